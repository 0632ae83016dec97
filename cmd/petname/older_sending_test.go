package main

import (
	"context"
	"crypto/hpke"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// memoryNet is a store in memory that counts what is put, by pointer.
type memoryNet struct {
	dht.Memory
	mu   sync.Mutex
	puts map[pointer.Pointer]int
}

func (n *memoryNet) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	n.mu.Lock()
	n.puts[p]++
	n.mu.Unlock()
	return n.Memory.Put(ctx, p, record)
}

// counted returns how often each record was put since it was called last.
func (n *memoryNet) counted() map[pointer.Pointer]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	puts := maps.Clone(n.puts)
	clear(n.puts)
	return puts
}

// running is an older home whose messages are fetched and sent.
type running struct {
	*exchange.Exchange
	home home.Home
	book *petname.Book
	key  *pointer.Key
	net  *memoryNet
}

func older(t *testing.T, dir string, net *memoryNet) *running {
	t.Helper()
	h, err := home.Open(dir)
	require.NoError(t, err)
	r := &running{home: h, net: net}
	id, err := h.Identity()
	require.NoError(t, err)
	r.key, err = id.Key("")
	require.NoError(t, err)
	r.start(t)
	t.Cleanup(func() { require.NoError(t, r.book.Close()) })
	return r
}

// start opens the home, again if it is open.
func (r *running) start(t *testing.T) {
	t.Helper()
	if r.book != nil {
		require.NoError(t, r.book.Close())
	}
	var err error
	r.book, err = r.home.Book(petname.Options{})
	require.NoError(t, err)
	notice, err := r.home.MoveMessages(r.book, exchange.MigrateRow)
	require.NoError(t, err)
	require.Nil(t, notice)
	records, err := r.home.Records()
	require.NoError(t, err)
	sealing, err := r.home.Sealing()
	require.NoError(t, err)
	id, err := r.home.Identity()
	require.NoError(t, err)
	r.Exchange = exchange.Open(exchange.Config{Book: r.book, Store: r.net, Records: &dht.Resolver{Stores: []dht.Store{r.net}, Home: records},
		Sealing: func() ([]hpke.PrivateKey, error) { return sealing.PrivateKeys(), nil },
		Identity: func(context.Context) (pair.Identity, error) {
			return pair.Identity{Pointer: id.Pointer, Details: pointer.Details{Next: id.Next, Sealing: sealing.PublicKeys(), Nickname: "me"}}, nil
		}})
}

func (r *running) sync(t *testing.T) exchange.Report {
	t.Helper()
	report, err := r.Sync(context.Background(), r.key)
	require.NoError(t, err)
	for _, err := range report.Errs { // an invitation of before the rotation, in the older version too
		require.ErrorIs(t, err, exchange.ErrOldInvitation)
	}
	require.Empty(t, report.Refused)
	return report
}

func (r *running) inbox(t *testing.T) (kinds []string) {
	t.Helper()
	for s, err := range r.book.Inbox() {
		require.NoError(t, err)
		kinds = append(kinds, string(s.Kind))
	}
	slices.Sort(kinds)
	return kinds
}

// networkOf returns a network that has the records of the homes.
func networkOf(t *testing.T, dirs ...string) *memoryNet {
	t.Helper()
	net := &memoryNet{puts: map[pointer.Pointer]int{}}
	for _, dir := range dirs {
		h, err := home.Open(dir)
		require.NoError(t, err)
		records, err := h.Records()
		require.NoError(t, err)
		pointers, err := records.Pointers()
		require.NoError(t, err)
		for _, p := range pointers {
			for a, err := range records.Get(context.Background(), p) {
				require.NoError(t, err)
				_, err := net.Put(context.Background(), p, a.Record)
				require.NoError(t, err)
			}
		}
	}
	net.counted()
	return net
}

// A pending message in an older home is sent once, and a delivered one is not sent
// again, also after restarts.
func TestAnOlderHomeSendsWhatWaitsOnce(t *testing.T) {
	then(t, func(t *testing.T) {
		dirs := []string{olderHome(t, "alice"), olderHome(t, "bob")}
		net := networkOf(t, dirs...)
		alice, bob := older(t, dirs[0], net), older(t, dirs[1], net)
		david, err := pointer.Parse("k51qzi5uqu5dku4fctp0l4d6312um3aqdvti052jbq3wuk5o8d2xnxx1kk8vak")
		require.NoError(t, err)
		carrie, err := pointer.Parse("k51qzi5uqu5dlz6w5qb5h3vjusuiewug1y9zp4z3lhdb7iu09ao7x70jfy3g1c")
		require.NoError(t, err)
		// The introduction of dave to carrie, and to bob what is shared with him,
		// under the key after the rotation.
		toBob, toCarrie := alice.mailbox(t, bob.key.Pointer()), alice.mailbox(t, carrie)
		for i := range 3 {
			report := alice.sync(t)
			require.Equal(t, 2, report.Waiting[carrie], "with one under the key before, which nobody can send again")
			if i == 0 {
				require.Equal(t, map[pointer.Pointer]int{toBob: 1, toCarrie: 1}, net.counted())
			}
			report = bob.sync(t)
			require.Empty(t, report.Fresh)
			require.Equal(t, []string{"introduced"}, bob.inbox(t))
			told, err := bob.book.EdgesFrom(alice.key.Pointer())
			require.NoError(t, err)
			require.Equal(t, david, told.Edges["david"].Pointer)
			if i == 0 {
				require.Equal(t, map[pointer.Pointer]int{bob.mailbox(t, alice.key.Pointer()): 1}, net.counted(), "the acknowledgement")
			}
			require.Empty(t, net.counted())
			alice.start(t)
			bob.start(t)
		}
		require.Equal(t, 3, alice.sync(t).Waiting[bob.key.Pointer()], "those under the key before")
		require.Empty(t, net.counted())
	})
}

// mailbox returns the current pointer of the record to a contact.
func (r *running) mailbox(t *testing.T, to pointer.Pointer) pointer.Pointer {
	t.Helper()
	result, err := (&dht.Resolver{Stores: []dht.Store{r.net}}).Best(context.Background(), to, dht.LevelAny)
	require.NoError(t, err)
	card, ok := result.Record.Card()
	require.True(t, ok)
	sealing, err := r.home.Sealing()
	require.NoError(t, err)
	c, err := drop.Open(drop.Self{Pointer: r.key.Pointer(), Signer: r.key, Sealing: sealing.PrivateKeys()}, drop.Party{Pointer: to, Sealing: card.Sealing}, nil)
	require.NoError(t, err)
	c.State()
	record, err := c.Outgoing(time.Now())
	require.NoError(t, err)
	return record.Pointer()
}
