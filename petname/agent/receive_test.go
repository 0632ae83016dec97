package agent_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Of a text with a statement that is refused, Receive receives the others and names the refused
// one; ReceiveAll receives nothing.
func TestStatementsOfOneTextThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		what    string
		receive func(a *agent.Agent, text []byte) ([]petname.SuggestionID, error)
		waits   int
		says    string
	}{
		{"each", (*agent.Agent).Receive, 2, "statement 2 of 3 is refused: by "},
		{"all", (*agent.Agent).ReceiveAll, 0, "statement 2 of 3 is refused: by "},
	} {
		a := openedWith(t, agent.Options{})
		alice, unknown := newKey(t), newKey(t)
		add(t, a, "alice", alice.Pointer())
		text := slices.Concat(introduced(t, a, alice, newKey(t).Pointer()), introduced(t, a, unknown, newKey(t).Pointer()), introduced(t, a, alice, newKey(t).Pointer()))
		ids, err := c.receive(a, text)
		var refused *agent.StatementsError
		require.ErrorAs(t, err, &refused, c.what)
		require.ErrorIs(t, err, petname.ErrUnknownSender)
		require.Contains(t, err.Error(), c.says)
		require.Equal(t, []int{2, 3, c.waits}, []int{refused.Refused[0].Number, refused.Of, refused.Received}, c.what)
		require.Len(t, refused.Refused, 1)
		require.Len(t, ids, c.waits, c.what)
		waiting := 0
		for _, err := range a.Inbox() {
			require.NoError(t, err)
			waiting++
		}
		require.Equal(t, c.waits, waiting, c.what)
		if c.waits > 0 {
			require.Contains(t, err.Error(), "; the 2 others are received")
		} else {
			require.Contains(t, err.Error(), "; nothing of the text is received")
		}

		ids, err = c.receive(a, slices.Concat(text[:len(text)/3], text[:len(text)/3]))
		require.NoError(t, err, "of a contact alone")
		require.Len(t, ids, 1, "each suggestion once")
		_, err = c.receive(a, introduced(t, a, unknown, newKey(t).Pointer()))
		require.ErrorIs(t, err, petname.ErrUnknownSender)
		require.NotContains(t, err.Error(), "statement 1", "a single statement needs no number")
	}
}

// An introduction whose succession contradicts what is on record is in the inbox, and both are
// stated, also if all of a text is to be received.
func TestAnIntroductionWaitsBesideItsRefusedSuccession(t *testing.T) {
	for _, receive := range []func(*agent.Agent, []byte) ([]petname.SuggestionID, error){(*agent.Agent).Receive, (*agent.Agent).ReceiveAll} {
		a := openedWith(t, agent.Options{})
		alice, bob, later, other := newKey(t), newKey(t), newKey(t), newKey(t)
		add(t, a, "alice", alice.Pointer())
		next, err := pointer.Commit(later.Public())
		require.NoError(t, err)
		_, err = a.Add("bob", pointer.Link{Pointer: bob.Pointer(), Next: next}, petname.Source{})
		require.NoError(t, err)
		_, err = a.Add("ben", pointer.Link{Pointer: later.Pointer()}, petname.Source{})
		require.NoError(t, err)
		after, err := pointer.Commit(other.Public())
		require.NoError(t, err)
		step, err := pointer.Succeed(bob.Pointer(), later, after, bob)
		require.NoError(t, err)
		signed, err := introduce.Introduction{To: a.Pointer(), About: later.Pointer(), Suggested: "bob", Expires: time.Now().Add(time.Hour),
			Chain: []pointer.Succession{step}}.Sign(alice, nil, time.Now())
		require.NoError(t, err)
		ids, err := receive(a, introduce.Armor(signed.Bytes()))
		require.Error(t, err)
		require.True(t, errors.As(err, new(*petname.ConflictError)), "%v", err)
		require.Contains(t, err.Error(), "in the inbox all the same")
		require.Len(t, ids, 1)
		_, err = a.Suggestion(ids[0].String())
		require.NoError(t, err)
	}
}
