package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Edges that can be neither sent nor queued are not shared, and no label is returned.
func TestSharingThatFailsChangesNothing(t *testing.T) {
	a := opened(t)
	alice := add(t, a, "alice", newKey(t).Pointer()) // without a card: nothing can be sealed for alice
	add(t, a, "bob", newKey(t).Pointer())
	labels, sent, err := a.ShareWith(t.Context(), "alice", []string{"bob"}, "b")
	require.ErrorContains(t, err, "card")
	require.Empty(t, sent)
	require.Empty(t, labels)
	for edge, err := range a.EdgesWith(alice) {
		require.NoError(t, err)
		require.Empty(t, edge)
	}
}
