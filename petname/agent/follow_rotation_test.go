package agent_test

import (
	"context"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// memoryRouter is a router with a store in memory.
type memoryRouter struct{ dht.Memory }

func (m *memoryRouter) GetAt(ctx context.Context, p pointer.Pointer, _ dht.Level) iter.Seq2[dht.Answer, error] {
	return m.Get(ctx, p)
}

func (*memoryRouter) Check(context.Context) error { return nil }
func (*memoryRouter) Close() error                { return nil }

// rotating is a contact with its keys, whose records are in a router.
type rotating struct {
	t                *testing.T
	router           *memoryRouter
	old, next, after *pointer.Key
}

func newRotating(t *testing.T) *rotating {
	return &rotating{t, &memoryRouter{}, newKey(t), newKey(t), newKey(t)}
}

func (r *rotating) commitment(k *pointer.Key) pointer.Commitment {
	c, err := pointer.Commit(k.Public())
	require.NoError(r.t, err)
	return c
}

func (r *rotating) put(k *pointer.Key, f pointer.Fields) {
	f.Expires = time.Now().Add(year)
	rec, err := pointer.Sign(k, f)
	require.NoError(r.t, err)
	_, err = r.router.Put(r.t.Context(), rec.Pointer(), rec.Bytes())
	require.NoError(r.t, err)
}

// rotates puts the last record of the old key, and the first one of the next.
func (r *rotating) rotates() {
	step, err := pointer.Succeed(r.old.Pointer(), r.next, r.commitment(r.after), r.old)
	require.NoError(r.t, err)
	chain := []pointer.Succession{step}
	r.put(r.old, pointer.Fields{Sequence: pointer.MaxSequence, Card: &pointer.Card{Next: r.commitment(r.next), Successor: r.next.Pointer(), Succession: chain}})
	r.put(r.next, pointer.Fields{Value: "/ipfs/bafkqabdumvzxi", Sequence: 1, Card: &pointer.Card{Next: r.commitment(r.after), Succession: chain}})
}

// Attack: a thief of a contact's key published a record that caches may use for a year, with a
// card or without. The contact rotates. Minutes later a look-up follows, and an agent that runs
// follows by itself.
func TestARecordWithALongTTLHidesNoRotation(t *testing.T) {
	for _, running := range []bool{false, true} {
		for _, withCard := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				bob := newRotating(t)
				a := openedWith(t, agent.Options{})
				usesFake(t, a, bob.router)
				_, err := a.Add("bob", pointer.Link{Pointer: bob.old.Pointer(), Next: bob.commitment(bob.next)}, petname.Source{Channel: "argument", Lookalike: true})
				require.NoError(t, err)
				thief := pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 7, TTL: year}
				if withCard {
					thief.Card = &pointer.Card{Next: bob.commitment(bob.next)}
				}
				bob.put(bob.old, thief)
				if running {
					require.NoError(t, a.Start(t.Context()))
				}
				res, err := a.Resolve(t.Context(), "bob", dht.LevelFresh)
				require.NoError(t, err)
				require.Equal(t, "/ipfs/bafkqaaa", res.Value)
				require.Equal(t, year, res.TTL, "as it was signed")

				bob.rotates()
				if running {
					time.Sleep(2*agent.SyncEvery + time.Minute)
					synctest.Wait()
				} else {
					time.Sleep(agent.DefaultTTL)
					res, err = a.Resolve(t.Context(), "bob", dht.LevelAny)
					require.NoError(t, err)
					require.Equal(t, bob.next.Pointer(), res.Pointer)
					require.Equal(t, "/ipfs/bafkqabdumvzxi", res.Value)
				}
				c, err := a.Lookup("bob")
				require.NoError(t, err)
				require.Equal(t, bob.next.Pointer(), c.Pointer)
			})
		}
	}
}

// The record of a pointer that is no contact is used for an hour, if it has no card.
func TestTheRecordOfNoContactIsUsedForAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bob := newRotating(t)
		a := openedWith(t, agent.Options{})
		usesFake(t, a, bob.router)
		bob.put(bob.old, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 7, TTL: year})
		for _, source := range []dht.Source{dht.SourceHome, dht.SourceCache, dht.SourceHome} {
			res, err := a.Resolve(t.Context(), bob.old.Pointer().String(), dht.LevelAny)
			require.NoError(t, err)
			require.Equal(t, source, res.Source)
			time.Sleep(59 * time.Minute)
		}
	})
}
