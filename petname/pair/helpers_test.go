package pair

import (
	"context"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// newRandom returns a stream of bytes that a seed determines.
func newRandom(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func newKey(t require.TestingT, seed byte) *pointer.Key {
	k, err := pointer.NewKey(newRandom(seed))
	require.NoError(t, err)
	return k
}

// newSelf returns a side with all fields of an identity.
func newSelf(t require.TestingT, seed byte, nickname string) Self {
	k := newKey(t, seed)
	next, err := pointer.Commit(newKey(t, seed+100).Public())
	require.NoError(t, err)
	return Self{
		Key:    k,
		Random: newRandom(seed + 50),
		Identity: Identity{
			Pointer: k.Pointer(),
			Details: pointer.Details{
				Next: next, Nickname: nickname,
				Sealing:   []pointer.SealingKey{{KEM: 0x20, Key: make([]byte, 32)}, {KEM: 0x647a, Key: make([]byte, 1216)}},
				Addresses: [][]byte{{4, 127, 0, 0, 1, 6, 0x0f, 0xa1, seed}},
			},
		},
	}
}

// start is the first time of the tests' clock.
var start = time.Date(2026, 5, 1, 12, 7, 0, 0, time.UTC)

// clock is a clock that advances only when a test advances it.
type clock struct{ at time.Time }

func newClock() *clock { return &clock{start} }

func (c *clock) now() time.Time        { return c.at }
func (c *clock) after(d time.Duration) { c.at = c.at.Add(d) }

// usedCodes is a MarkUsed in memory; every mark also goes to log.
type usedCodes struct {
	marks map[string]bool
	until time.Time // of the last mark
	log   *[]string
	fail  error
}

func (n *usedCodes) markUsed(_ context.Context, mark string, until time.Time) error {
	if n.fail != nil {
		return n.fail
	}
	if n.marks[mark] {
		return ErrCodeUsed
	}
	if n.marks == nil {
		n.marks = map[string]bool{}
	}
	n.marks[mark], n.until = true, until
	if n.log != nil {
		*n.log = append(*n.log, "mark "+mark)
	}
	return nil
}

// loggingStore is a store that logs what is put into it, and can fail.
type loggingStore struct {
	dht.Store
	log    *[]string
	puts   int
	names  map[pointer.Pointer]string
	broken error
}

func (l *loggingStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	if l.broken != nil {
		return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, l.broken) }
	}
	return l.Store.Get(ctx, p)
}

func (l *loggingStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if l.broken != nil {
		return dht.Receipt{}, l.broken
	}
	l.puts++
	if l.log != nil {
		*l.log = append(*l.log, "put "+l.names[p])
	}
	return l.Store.Put(ctx, p, record)
}

// putMessage writes a message into a mailbox, as any party with its key can.
func putMessage(t require.TestingT, store dht.Store, b mailbox, message []byte, sequence uint64, expires time.Time) {
	require.NoError(t, b.put(context.Background(), store, message, sequence, expires))
}

// fetchMessage returns the message in a mailbox.
func fetchMessage(t require.TestingT, store dht.Store, b mailbox, now time.Time) ([]byte, bool) {
	f, ok, err := b.fetch(context.Background(), store, now)
	require.NoError(t, err)
	return f.message, ok
}
