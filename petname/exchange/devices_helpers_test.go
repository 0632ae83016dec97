package exchange

import (
	"context"
	"crypto/ed25519"
	"iter"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// addDevice returns a further device of the owner, with the identity key or without it, and
// publishes the card that lists it.
func (p *person) addDevice(t testing.TB, seed string, withKey bool) *person {
	t.Helper()
	d := &person{name: p.name, key: p.key, network: p.network, clock: p.clock, sealing: slices.Clone(p.sealing), chain: p.chain,
		deviceKey: testKey(p.name + "'s " + seed), ledger: filepath.Join(t.TempDir(), "ledger.db")}
	require.NoError(t, p.book.AdmitDevice(p.key, d.deviceKey.Public().(ed25519.PublicKey), seed, withKey))
	var err error
	d.book, err = petname.Join(d.ledger, p.book.Ledger().Identity(), d.deviceKey, slices.Values(p.entriesFor(t, nil)), petname.Options{Now: p.clock.Now, OnChange: ignored})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.book.Close()) })
	d.open()
	p.clock.now = p.clock.now.Add(1e9) // the sequence of the next record
	p.publish(t)
	return d
}

// entriesFor returns the entries of p that another device lacks; nil: all.
func (p *person) entriesFor(t testing.TB, d *person) (entries [][]byte) {
	t.Helper()
	missing := p.book.Ledger().Missing(nil)
	if d != nil {
		missing = p.book.Ledger().Missing(d.book.Ledger().Heads())
	}
	for e, err := range missing {
		require.NoError(t, err)
		entries = append(entries, e)
	}
	return entries
}

// syncDevices exchanges the entries of all devices of an owner.
func syncDevices(t testing.TB, all ...*person) {
	t.Helper()
	for range 2 {
		for _, p := range all {
			for _, from := range all {
				if p == from {
					continue
				}
				_, err := p.book.Ledger().Merge(slices.Values(from.entriesFor(t, p)))
				require.NoError(t, err)
			}
		}
	}
}

// lossy is a store that loses records and answers, and counts what is asked and put.
type lossy struct {
	dht.Store
	mu     sync.Mutex
	random *rand.Rand // nil: nothing is lost
	puts   int
	gets   int
}

// lost counts a call, and returns its number; 0: it is not lost.
func (l *lossy) lost(n *int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
	if l.random == nil || l.random.IntN(4) != 0 {
		return 0
	}
	return *n
}

func (l *lossy) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if n := l.lost(&l.puts); n > 0 {
		if n%2 == 0 {
			return dht.Receipt{Asked: 1, Stored: 1}, nil
		}
		return dht.Receipt{Asked: 1}, dht.ErrUnreachable
	}
	return l.Store.Put(ctx, p, record)
}

func (l *lossy) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	if l.lost(&l.gets) > 0 {
		return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{Source: dht.SourceNetwork}, nil) }
	}
	return l.Store.Get(ctx, p)
}

func (l *lossy) setRandom(random *rand.Rand) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.random = random
}

// reset returns the numbers of records that were put and of pointers that were asked for, and
// counts from 0.
func (l *lossy) reset() (puts, gets int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	puts, gets, l.puts, l.gets = l.puts, l.gets, 0, 0
	return puts, gets
}

// newLossy returns a store in memory.
func newLossy(c *clock) *lossy { return &lossy{Store: &dht.Memory{Now: c.Now}} }

// pairsOfDevices returns the devices of Alice and of Bob, who have each other in their books.
func pairsOfDevices(t testing.TB, network dht.Store, c *clock) (alice, bob [2]*person) {
	t.Helper()
	alice[0], bob[0] = newPerson(t, c, network, "alice"), newPerson(t, c, network, "bob")
	alice[0].knows(t, bob[0])
	bob[0].knows(t, alice[0])
	alice[1], bob[1] = alice[0].addDevice(t, "phone", true), bob[0].addDevice(t, "phone", true)
	syncDevices(t, alice[:]...)
	syncDevices(t, bob[:]...)
	return alice, bob
}

// introducesOne sends an introduction of a subject of its own.
func (p *person) introducesOne(t testing.TB, to, subject string) {
	t.Helper()
	s := p.introduces(t, &person{name: subject}, &person{name: to})
	sent, err := p.Send(context.Background(), p.key, pointerOf(to), s)
	if sent == "" {
		require.NoError(t, err)
	}
}

// subjects returns the pointers in the inbox, each as often as it is there.
func (p *person) subjects(t testing.TB) (all []string) {
	t.Helper()
	for _, s := range p.inbox(t) {
		all = append(all, s.Pointer.String())
	}
	slices.Sort(all)
	return all
}

func pointersOf(names ...string) (all []string) {
	for _, n := range names {
		all = append(all, pointerOf(n).String())
	}
	slices.Sort(all)
	return all
}
