package dht_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// epoch is the start of the clocks of these tests.
var epoch = time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

const (
	life = 24 * time.Hour
	ttl  = 5 * time.Minute
)

// clock is a clock that only the test advances.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }
func newClock() *clock                   { return &clock{epoch} }
func (c *clock) home(t testing.TB) *dht.Dir {
	t.Helper()
	d, err := dht.OpenDir(t.TempDir())
	require.NoError(t, err)
	d.Now = c.now
	return d
}

// keysOf has the number of keys of each test, by its name.
var keysOf sync.Map // of *atomic.Int64

// newKey returns a key that depends on the name of the test and the number of its keys: a law
// draws the same records in each run.
func newKey(t testing.TB) *pointer.Key {
	t.Helper()
	n, _ := keysOf.LoadOrStore(t.Name(), new(atomic.Int64))
	seed := sha256.Sum256(fmt.Appendf(nil, "dht test %s %d", t.Name(), n.(*atomic.Int64).Add(1)))
	k, err := pointer.NewKey(rand.NewChaCha8(seed))
	require.NoError(t, err)
	return k
}

func sign(t testing.TB, k *pointer.Key, sequence uint64) pointer.Record {
	t.Helper()
	return signFor(t, k, sequence, epoch.Add(life))
}

func signFor(t testing.TB, k *pointer.Key, sequence uint64, expires time.Time) pointer.Record {
	t.Helper()
	rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: expires, TTL: ttl})
	require.NoError(t, err)
	return rec
}

// scriptedStore is a store with scripted answers.
type scriptedStore struct {
	answers []scriptedAnswer
	ends    error // of the store, after the answers
	hangs   bool  // after the answers, ignoring its context
	gets    atomic.Int32
	puts    func(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error)
}

type scriptedAnswer struct {
	answer dht.Answer
	err    error
}

func (s *scriptedStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		s.gets.Add(1)
		for i, a := range s.answers {
			a.answer.Asked = i + 1
			if !yield(a.answer, a.err) {
				return
			}
		}
		if s.hangs {
			select {}
		}
		if s.ends != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, s.ends)
		}
	}
}

func (s *scriptedStore) Put(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	return s.puts(ctx, p, b)
}

// peers returns a network in which each record is the answer of one peer; nil is a
// peer without a record.
func peers(records ...[]byte) *scriptedStore {
	s := &scriptedStore{}
	for i, b := range records {
		s.answers = append(s.answers, scriptedAnswer{answer: dht.Answer{Record: b, Source: dht.SourceNetwork, Peer: fmt.Sprintf("peer%d", i)}})
	}
	return s
}

// collect returns all results, and the error.
func collect(r *dht.Resolver, p pointer.Pointer, level dht.Level) (results []dht.Result, err error) {
	for res, e := range r.Resolve(context.Background(), p, level) {
		if e != nil {
			err = e
			continue
		}
		results = append(results, res)
	}
	return results, err
}

// storeFunc is a store of which only Get is used.
type storeFunc func(context.Context, func(dht.Answer, error) bool)

func (f storeFunc) Get(ctx context.Context, _ pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { f(ctx, yield) }
}

func (f storeFunc) Put(ctx context.Context, _ pointer.Pointer, _ []byte) (dht.Receipt, error) {
	f(ctx, nil)
	return dht.Receipt{}, ctx.Err()
}
