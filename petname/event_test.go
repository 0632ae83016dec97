package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
)

// Every verdict in an entry is a decision of its event, and no two are the same.
func TestEveryVerdictIsADecision(t *testing.T) {
	seen := map[Decision]bool{}
	for v := verdictDecline; v <= verdictConsent; v++ {
		d := event(ledger.Entry{}, act{Op: opDecide, Item: make([]byte, 16), Verdict: v}).Decision
		require.NotEmpty(t, d, v)
		require.False(t, seen[d], d)
		seen[d] = true
	}
	require.Len(t, decisions, len(seen))
	require.Error(t, act{Op: opDecide, Item: make([]byte, 16), Verdict: verdictConsent + 1}.check(), "a verdict without a decision")
}
