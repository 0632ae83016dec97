package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
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

// The event of a naming states whether the contact had the name already, and whether it settled a
// difference between devices.
func TestANamingStatesWhatItChanged(t *testing.T) {
	newest := func(b *Book) Event {
		t.Helper()
		var last Event
		for ev, err := range b.Log() {
			require.NoError(t, err)
			last = ev
		}
		return last
	}
	books := devices(t, t.TempDir(), 2)
	defer func() {
		for _, b := range books {
			require.NoError(t, b.Close())
		}
	}()
	one, two := books[0], books[1]
	must(one.Add(mustName("alice"), link("a"), Source{}))
	require.False(t, newest(one).Again)
	must(one.Add(mustName("Alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{}))
	ev := newest(one)
	require.True(t, ev.Again)
	require.Equal(t, []string{"alice"}, ev.Was)
	require.Equal(t, commitment("a"), ev.Fact.Next)
	must(one.Rename(pointerOf("a"), mustName("Alice"), Source{}))
	require.False(t, newest(one).Again)

	syncBooks(t, books...)
	must(one.Remove(pointerOf("a")))
	must(two.Rename(pointerOf("a"), mustName("carol"), Source{}))
	syncBooks(t, books...)
	must(one.Add(mustName("carol"), link("a"), Source{}))
	ev = newest(one)
	require.Equal(t, []any{"carol", []string{"carol"}, true, false}, []any{ev.Name, ev.Was, ev.WasRemoved, ev.Again})
}
