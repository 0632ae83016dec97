package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// The last record of a key has nothing in its card that the owner may withdraw in the 20 years of
// its validity: no label that was public at the rotation, published before or not.
func TestALastRecordHasNothingThatTheOwnerMayWithdraw(t *testing.T) {
	for _, published := range []bool{true, false} {
		a := openedWith(t, agent.Options{Create: &agent.Profile{Nickname: "Ana"}})
		old := a.Pointer()
		add(t, a, "bob", newKey(t).Pointer())
		_, err := a.Share([]string{"bob"}, "doc")
		require.NoError(t, err)
		if published {
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone, value("/ipfs/bafkqaaa")))
			require.NoError(t, err)
		}
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		require.NoError(t, a.Unshare("doc"))
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
		require.NoError(t, err)

		last, ok := held(t, a, old).Card()
		require.True(t, ok)
		id, err := agent.HomeOf(a).Identity()
		require.NoError(t, err)
		require.Equal(t, pointer.Card{Next: last.Next, Successor: a.Pointer(), Succession: id.Succession}, last)
		require.False(t, last.Next.IsZero())
	}
}

// Older versions signed last records with labels, and the key that could sign another is erased:
// the identity and a check state which labels stay readable, and no other ones.
func TestLabelsInALastRecordAreNamed(t *testing.T) {
	a := opened(t)
	old, key := a.Pointer(), ownKey(t, a)
	add(t, a, "bob", newKey(t).Pointer())
	_, err := a.Share([]string{"bob"}, "doc")
	require.NoError(t, err)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	id, err := a.Identity()
	require.NoError(t, err)
	require.Empty(t, id.LastRecords[0].Labels)

	last := held(t, a, old)
	card, _ := last.Card()
	card.Edges = map[string]pointer.Edge{"doc": {Pointer: newKey(t).Pointer()}}
	older, err := pointer.Sign(key, pointer.Fields{Sequence: last.Sequence(), Expires: last.Expires(), Card: &card})
	require.NoError(t, err)
	require.NoError(t, agent.BookOf(a).Update(func(_ *petname.Book, local *ledger.View) error {
		return home.PutLastRecord(local, older)
	}))
	id, err = a.Identity()
	require.NoError(t, err)
	require.Equal(t, []string{"doc"}, id.LastRecords[0].Labels)
	require.NotContains(t, check(a, t, "records").Detail, "doc", "it is public")
	require.NoError(t, a.Unshare("doc"))
	got := check(a, t, "records")
	require.True(t, got.OK, "nothing can be done about it")
	require.Contains(t, got.Detail, `"doc"`)
	require.Contains(t, got.Detail, old.String())
}
