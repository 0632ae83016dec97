package petname

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// OnChange is called once after each change, with its entry of the log, when the
// book has changed already. It is not called for a change that fails, or that
// changes nothing.
func TestOnChangeIsCalledAfterEachChange(t *testing.T) {
	var b *Book
	var seen []Event
	o := testOptions()
	o.OnChange = func(e Event) {
		seen = append(seen, e)
		var newest Event
		for logged, err := range b.Log() { // it may read the book
			require.NoError(t, err)
			newest = logged
		}
		require.Equal(t, newest, e)
	}
	created, err := Create(filepath.Join(lawtest.FastDir(t), "ledger.db"), testKey("me"), testKey("one"), o)
	require.NoError(t, err)
	b = created
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	var id SuggestionID
	for _, step := range []struct {
		op    string // of the event; empty: none
		about string // the contact; empty: none
		item  bool   // the event has the suggestion
		do    func() error
	}{
		{"name", "alice", false, func() error { _, err := b.Add(mustName("alice"), link("alice"), Source{}); return err }},
		{"", "", false, func() error { _, err := b.Add(mustName("alice"), link("alice"), Source{}); return err }},
		{"", "", false, func() error { _, err := b.Add(mustName("alice"), link("bob"), Source{}); return err }},
		{"suggest", "", false, func() error { id = receive(t, b, introduced(t, "alice", "me", "carol")); return nil }},
		{"name", "carol", true, func() error { _, err := b.Accept(id, mustName("carol"), Acceptance{}); return err }},
		{"undo", "carol", true, func() error { _, err := b.Undo(); return err }},
		{"decide", "", true, func() error { _, err := b.Decline(id, false); return err }},
		{"keep", "alice", false, func() error { return b.SetRepublished([]pointer.Pointer{pointerOf("alice")}, true) }},
		{"unkeep", "alice", false, func() error { return b.SetRepublished([]pointer.Pointer{pointerOf("alice")}, false) }},
		{"publish", "", false, func() error { return b.ReserveSequence(Published{Sequence: 1}) }},
		{"", "", false, func() error { return b.ReserveSequence(Published{Sequence: 1}) }},
		{"remove", "alice", false, func() error { _, err := b.Remove(pointerOf("alice")); return err }},
	} {
		seen = nil
		_ = step.do() // those without an event fail, or do nothing
		if step.op == "" {
			require.Empty(t, seen)
			continue
		}
		require.Len(t, seen, 1, step.op)
		require.Equal(t, step.op, seen[0].Op)
		if step.about != "" {
			require.Equal(t, pointerOf(step.about), seen[0].Contact, step.op)
		}
		require.Equal(t, step.item, seen[0].Item == id && id != (SuggestionID{}), step.op)
	}
}
