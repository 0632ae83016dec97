package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// A contact has stolen a retired key of another party, and leads its own trail through it. A link
// of that party with its commitment means that party, and not the contact; its bare pointer does
// for what is sent.
func TestALinkOfAnotherPartyMeansNoContact(t *testing.T) {
	a := opened(t)
	now := time.Now()
	m, alice0, alice1, thief := newKey(t), newKey(t), newKey(t), newKey(t)
	commit := func(k *pointer.Key) pointer.Commitment {
		c, err := pointer.Commit(k.Public())
		require.NoError(t, err)
		return c
	}
	step := func(old, next *pointer.Key, c pointer.Commitment) pointer.Succession {
		s, err := pointer.Succeed(old.Pointer(), next, c, old)
		require.NoError(t, err)
		return s
	}
	store := &dht.Memory{Now: time.Now, Source: dht.SourceNetwork}
	put := func(k *pointer.Key, seq uint64, card *pointer.Card) {
		r, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: seq, Expires: now.Add(48 * time.Hour), TTL: time.Minute, Card: card})
		require.NoError(t, err)
		_, err = store.Put(t.Context(), r.Pointer(), r.Bytes())
		require.NoError(t, err)
	}
	after := newKey(t)
	steps := []pointer.Succession{step(m, alice0, commit(thief)), step(alice0, thief, commit(after))}
	put(m, 1, &pointer.Card{Next: commit(alice0)})
	add(t, a, "mallory", m.Pointer())
	records := &dht.Resolver{Stores: []dht.Store{store}, Now: time.Now}
	book := agent.BookOf(a)
	_, err := book.Resolve(t.Context(), records, "mallory", dht.LevelFresh)
	require.NoError(t, err)
	put(m, 2, &pointer.Card{Next: commit(alice0), Succession: steps})
	put(thief, 1, &pointer.Card{Next: commit(after), Succession: steps})
	_, err = book.Resolve(t.Context(), records, "mallory", dht.LevelFresh)
	require.NoError(t, err)
	put(alice0, 9, &pointer.Card{Next: commit(alice1), Successor: alice1.Pointer(), Succession: []pointer.Succession{step(alice0, alice1, commit(after))}})
	put(alice1, 1, &pointer.Card{Next: commit(after), Succession: []pointer.Succession{step(alice0, alice1, commit(after))}})
	for _, link := range []string{pointer.Link{Pointer: alice0.Pointer(), Next: commit(alice1), Nickname: "alice"}.String(), alice0.Pointer().String()} {
		res, err := book.Resolve(t.Context(), records, link, dht.LevelFresh)
		require.NoError(t, err)
		require.NotEqual(t, thief.Pointer(), res.Last().Pointer)
		to, err := a.PointerOf(link)
		require.NoError(t, err)
		require.Equal(t, alice0.Pointer(), to)
	}
	_, err = a.Lookup(pointer.Link{Pointer: alice0.Pointer(), Next: commit(alice1)}.String())
	require.ErrorIs(t, err, petname.ErrNotFound)
	c, err := a.Lookup(pointer.Link{Pointer: alice0.Pointer(), Next: commit(thief)}.String())
	require.NoError(t, err)
	require.Equal(t, m.Pointer(), c.ID)
}
