package drop

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"iter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// start is the injected time, in the middle of an epoch.
var start = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

var ctx = context.Background()

// tb is what rapid.T and testing.T share.
type tb interface {
	require.TestingT
	Helper()
}

// person has an identity and sealing keys derived from two bytes.
type person struct {
	key     *pointer.Key
	sealing []hpke.PrivateKey
}

func newPerson(t tb, identity, sealing byte) person {
	t.Helper()
	key, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{identity}, 32)))
	require.NoError(t, err)
	p := person{key: key}
	for _, kem := range []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()} {
		private, err := kem.DeriveKeyPair(bytes.Repeat([]byte{sealing}, 32))
		require.NoError(t, err)
		p.sealing = append(p.sealing, private)
	}
	return p
}

func (p person) self() Self {
	return Self{Pointer: p.key.Pointer(), Signer: p.key, Sealing: p.sealing}
}

func (p person) party() Party {
	party := Party{Pointer: p.key.Pointer()}
	for _, k := range p.sealing {
		party.Sealing = append(party.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	return party
}

// renewed returns the same person with new sealing keys before the old ones.
func (p person) renewed(t tb, sealing byte) person {
	t.Helper()
	n := newPerson(t, 0, sealing)
	return person{key: p.key, sealing: append(n.sealing, p.sealing...)}
}

// pair returns two persons and both ends of their channel.
func pair(t tb) (alice, bob person, a, b *Channel) {
	t.Helper()
	alice, bob = newPerson(t, 1, 11), newPerson(t, 2, 12)
	return alice, bob, mustOpen(t, alice, bob, nil), mustOpen(t, bob, alice, nil)
}

func mustOpen(t tb, self, party person, state []byte) *Channel {
	t.Helper()
	c, err := Open(self.self(), party.party(), state)
	require.NoError(t, err)
	return c
}

func mustSend(t tb, c *Channel, messages ...string) {
	t.Helper()
	for _, m := range messages {
		require.NoError(t, c.Send([]byte(m)))
	}
}

// put stores the state, as callers must, and puts.
func put(t tb, c *Channel, store dht.Store, now time.Time) {
	t.Helper()
	c.State()
	_, err := c.Put(ctx, store, now)
	require.NoError(t, err)
}

func poll(t tb, c *Channel, store dht.Store, now time.Time) PollResult {
	t.Helper()
	result, err := c.Poll(ctx, store, now)
	require.NoError(t, err)
	return result
}

// pollAndProcess polls and processes all messages.
func pollAndProcess(t tb, c *Channel, store dht.Store, now time.Time) []string {
	t.Helper()
	result := poll(t, c, store, now)
	for _, m := range result.Messages {
		require.NoError(t, c.Done(m))
	}
	return texts(result.Messages)
}

func texts(messages []Message) []string {
	var all []string
	for _, m := range messages {
		all = append(all, string(m.Bytes))
	}
	return all
}

// archive is a store of all records ever put. It yields the records that serve
// returns; nil: the last one. Like a hostile store, it verifies nothing.
type archive struct {
	records map[pointer.Pointer][][]byte
	serve   func(p pointer.Pointer, all [][]byte) [][]byte
}

func newArchive() *archive { return &archive{records: map[pointer.Pointer][][]byte{}} }

func (a *archive) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	all := a.records[p]
	if a.serve != nil {
		all = a.serve(p, all)
	} else if len(all) > 0 {
		all = all[len(all)-1:]
	}
	return func(yield func(dht.Answer, error) bool) {
		for _, b := range all {
			if !yield(dht.Answer{Record: bytes.Clone(b), Source: dht.SourceNetwork, Peer: "peer"}, nil) {
				return
			}
		}
	}
}

func (a *archive) Put(_ context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	a.records[p] = append(a.records[p], bytes.Clone(b))
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

// memory is an honest store with the test's clock.
func memory(now *time.Time) *dht.Memory {
	return &dht.Memory{Now: func() time.Time { return *now }}
}

// polledPointers returns the pointers that c polls.
func polledPointers(c *Channel, now time.Time) ([]pointer.Pointer, error) {
	addresses, err := c.inboundAddresses(now)
	var at []pointer.Pointer
	for _, a := range addresses {
		at = append(at, a.pointer)
	}
	return at, err
}
