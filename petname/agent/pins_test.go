package agent_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// oneRecord is a source of records that has one.
type oneRecord struct{ pointer.Record }

func (o oneRecord) Best(context.Context, pointer.Pointer, dht.Level) (dht.Result, error) {
	return dht.Result{Record: o.Record}, nil
}

// A card in the home proves that ann moved to the key of bob, whom the owner named meanwhile: a
// conflict, which is for the owner. It stops no other record from confirming a pin.
func TestAConflictOfOneRecordStopsNoOtherFromConfirming(t *testing.T) {
	ann, carol, bob := newKey(t), newKey(t), newKey(t)
	at := func(k *pointer.Key) pointer.Pointer {
		p, err := pointer.FromPublicKey(k.Public())
		require.NoError(t, err)
		return p
	}
	if at(ann).String() > at(carol).String() { // the records are read in the order of their names
		ann, carol = carol, ann
	}
	commit := func(k *pointer.Key) pointer.Commitment {
		c, err := pointer.Commit(k.Public())
		require.NoError(t, err)
		return c
	}
	sign := func(k *pointer.Key, sequence uint64, card pointer.Card) pointer.Record {
		r, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: time.Now().Add(time.Hour), Card: &card})
		require.NoError(t, err)
		return r
	}
	dir := filepath.Join(t.TempDir(), "home")
	a, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{}})
	require.NoError(t, err)
	for text, k := range map[string]*pointer.Key{"ann": ann, "carol": carol} {
		_, err = a.Add(text, pointer.Link{Pointer: at(k), Next: commit(bob)}, petname.Source{})
		require.NoError(t, err)
	}
	step, err := pointer.Succeed(at(ann), bob, pointer.Commitment{}, nil)
	require.NoError(t, err)
	_, err = agent.BookOf(a).Resolve(t.Context(), oneRecord{sign(ann, 1, pointer.Card{Successor: at(bob), Succession: []pointer.Succession{step}})}, "ann", dht.LevelAny)
	require.NoError(t, err)
	add(t, a, "bob", at(bob))
	for _, k := range []*pointer.Key{ann, carol} {
		r := sign(k, 2, pointer.Card{Next: commit(bob)})
		_, err = agent.RecordsOf(a).Put(t.Context(), r.Pointer(), r.Bytes())
		require.NoError(t, err)
	}
	var conflict *petname.ConflictError
	require.ErrorAs(t, agent.BookOf(a).LearnCard(sign(ann, 2, pointer.Card{Next: commit(bob)})), &conflict)
	require.NoError(t, a.Close())

	a, err = agent.Open(t.Context(), dir, agent.Options{})
	require.NoError(t, err)
	defer a.Close()
	for text, pin := range map[string]petname.Pin{"ann": petname.Claimed, "carol": petname.Confirmed} {
		c, err := a.Lookup(text)
		require.NoError(t, err)
		require.Equal(t, at(map[string]*pointer.Key{"ann": ann, "carol": carol}[text]), c.Pointer)
		require.Equal(t, pin, c.Pin, text)
	}
}
