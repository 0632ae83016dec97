package dht_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
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

func newKey(t testing.TB) *pointer.Key {
	t.Helper()
	k, err := pointer.NewKey(rand.Reader)
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

func TestLevelsEndTheLookUpWhenReached(t *testing.T) {
	k := newKey(t)
	rec := sign(t, k, 4)
	b := rec.Bytes()
	for _, tc := range []struct {
		level          dht.Level
		want           dht.Level
		agreed, answer int
	}{
		{dht.LevelAny, dht.LevelAny, 1, 1},
		{dht.LevelAgreed, dht.LevelAgreed, 3, 3},
		{dht.LevelFresh, dht.LevelFresh, 5, 5},
		{dht.LevelStrict, dht.LevelStrict, 8, 8},
		{"", dht.LevelAny, 1, 1},
	} {
		r := dht.Resolver{Stores: []dht.Store{peers(b, b, b, b, b, b, b, b)}, Now: newClock().now}
		res, err := r.Best(t.Context(), k.Pointer(), tc.level)
		require.NoError(t, err)
		require.Equal(t, tc.want, res.Freshness)
		require.Equal(t, tc.agreed, res.Agreed, tc.level)
		require.Equal(t, tc.answer, res.Answered, tc.level)
		require.Equal(t, dht.SourceNetwork, res.Source)
		require.Equal(t, b, res.Record.Bytes())
	}
	r := dht.Resolver{Now: newClock().now}
	_, err := r.Best(t.Context(), k.Pointer(), "thorough")
	require.ErrorContains(t, err, `"thorough"`)
	_, err = r.Best(t.Context(), pointer.Pointer{}, dht.LevelAny)
	require.Error(t, err)
}

func TestAgreementIsOfDistinctPeersOnTheBestRecord(t *testing.T) {
	k := newKey(t)
	old, rec := sign(t, k, 4).Bytes(), sign(t, k, 5).Bytes()
	s := peers(old, old, old, rec, old, rec)
	for range 10 {
		s.answers = append(s.answers, s.answers[3]) // one peer, repeatedly
	}
	r := dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}
	results, err := collect(&r, k.Pointer(), dht.LevelFresh)
	require.NoError(t, err)
	last := results[len(results)-1]
	require.Equal(t, rec, last.Record.Bytes())
	require.Equal(t, 2, last.Agreed)
	require.Equal(t, dht.LevelFresh, last.Freshness, "everybody was asked; strict was not asked for")
	for i := range results[1:] {
		require.GreaterOrEqual(t, results[i+1].Record.Compare(results[i].Record), 0)
	}
}

func TestARouterAloneIsNotFresh(t *testing.T) {
	k := newKey(t)
	s := peers(sign(t, k, 1).Bytes())
	s.answers[0].answer.Source, s.answers[0].answer.Peer = dht.SourceRouter, ""
	r := dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}
	res, err := r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, dht.LevelAny, res.Freshness)
	require.Equal(t, dht.SourceRouter, res.Source)
}

func TestAStoreThatStoppedShortIsNotStrict(t *testing.T) {
	k := newKey(t)
	s := peers(sign(t, k, 1).Bytes(), nil)
	s.ends = errors.New("gave up")
	r := dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}
	res, err := r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
	require.NoError(t, err)
	require.Equal(t, dht.LevelAny, res.Freshness)
	require.Equal(t, 2, res.Answered)
	require.Contains(t, res.Rejected[0].Reason, "gave up")
}

func TestFloorSurvivesARestart(t *testing.T) {
	c := newClock()
	home := c.home(t)
	k := newKey(t)
	newer, older := sign(t, k, 7), sign(t, k, 6)
	r := dht.Resolver{Stores: []dht.Store{peers(newer.Bytes())}, Home: home, Now: c.now}
	_, err := r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
	require.NoError(t, err)

	again := dht.Resolver{Stores: []dht.Store{peers(older.Bytes(), older.Bytes(), nil)}, Home: home, Now: c.now}
	_, err = again.Best(t.Context(), k.Pointer(), dht.LevelFresh)
	rollback, ok := errors.AsType[*dht.RollbackError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, newer.ID(), rollback.Have.ID())
	require.Equal(t, older.ID(), rollback.Got.ID())

	// At any, the home's record is returned instead, marked as such.
	c.advance(ttl)
	res, err := again.Best(t.Context(), k.Pointer(), dht.LevelAny)
	require.NoError(t, err)
	require.Equal(t, newer.ID(), res.Record.ID())
	require.True(t, res.Stale)
	require.Equal(t, dht.SourceCache, res.Source)
	require.Len(t, res.Rejected, 2)

	// A floor that has expired is still the floor.
	c.advance(life)
	longer := signFor(t, k, 6, c.now().Add(life))
	again.Stores = []dht.Store{peers(longer.Bytes())}
	_, err = again.Best(t.Context(), k.Pointer(), dht.LevelAny)
	_, ok = errors.AsType[*dht.RollbackError](err)
	require.True(t, ok, "%v", err)
}

func TestCacheIsUsedWithinTheTTLOnly(t *testing.T) {
	c := newClock()
	home := c.home(t)
	k := newKey(t)
	rec := sign(t, k, 1)
	net := peers(rec.Bytes())
	r := dht.Resolver{Stores: []dht.Store{net}, Home: home, Now: c.now}
	best := func(level dht.Level) dht.Result {
		t.Helper()
		res, err := r.Best(t.Context(), k.Pointer(), level)
		require.NoError(t, err)
		return res
	}
	require.Equal(t, dht.SourceNetwork, best(dht.LevelAny).Source)
	require.EqualValues(t, 1, net.gets.Load())

	c.advance(ttl - time.Second)
	res := best(dht.LevelAny)
	require.Equal(t, dht.SourceCache, res.Source)
	require.False(t, res.Stale)
	require.EqualValues(t, 1, net.gets.Load(), "nobody was asked")
	require.Equal(t, dht.SourceNetwork, best(dht.LevelFresh).Source)
	require.EqualValues(t, 2, net.gets.Load(), "fresh always asks")

	// That confirmed it again.
	c.advance(ttl - time.Second)
	require.Equal(t, dht.SourceCache, best(dht.LevelAny).Source)

	c.advance(time.Second)
	results, err := collect(&r, k.Pointer(), dht.LevelAny)
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.True(t, results[0].Stale)
	require.Equal(t, dht.SourceCache, results[0].Source)
	require.False(t, results[1].Stale)
	require.Equal(t, dht.SourceNetwork, results[1].Source)

	// After the clock is set back, confirmations in the future are invalid.
	c.advance(-time.Hour)
	results, err = collect(&r, k.Pointer(), dht.LevelAny)
	require.NoError(t, err)
	require.True(t, results[0].Stale)

	// Offline returns the home's record, and that it is stale.
	c.advance(2 * time.Hour)
	before := net.gets.Load()
	res = best(dht.LevelOffline)
	require.Equal(t, dht.SourceHome, res.Source)
	require.Equal(t, dht.LevelOffline, res.Freshness)
	require.True(t, res.Stale)
	require.Equal(t, before, net.gets.Load())

	// Without a network: stale until it expires.
	r.Stores = []dht.Store{&scriptedStore{ends: dht.ErrUnreachable}}
	res = best(dht.LevelAny)
	require.True(t, res.Stale)
	require.Zero(t, res.Answered)
	_, err = r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	c.advance(life)
	for _, level := range []dht.Level{dht.LevelAny, dht.LevelFresh, dht.LevelOffline} {
		_, err = r.Best(t.Context(), k.Pointer(), level)
		_, expired := errors.AsType[*pointer.ExpiredError](err)
		require.True(t, expired, "%s: %v", level, err)
	}
}

func TestErrorsOfResolve(t *testing.T) {
	c := newClock()
	k := newKey(t)
	bad := sign(t, k, 1).Bytes()
	bad[len(bad)-1] ^= 1
	expired := signFor(t, k, 1, epoch.Add(-time.Second)).Bytes()
	dead := &scriptedStore{answers: []scriptedAnswer{{dht.Answer{Source: dht.SourceNetwork, Peer: "x"}, dht.ErrUnreachable}}}
	lies := &scriptedStore{answers: []scriptedAnswer{{dht.Answer{Source: dht.SourceNetwork, Peer: "x"}, errors.New("malformed")}}}
	for name, tc := range map[string]struct {
		stores []dht.Store
		is     error
	}{
		"peers have none":            {[]dht.Store{peers(nil, nil)}, dht.ErrNotFound},
		"one liar among the honest":  {[]dht.Store{peers(nil, bad)}, dht.ErrNotFound},
		"nobody to ask":              {nil, dht.ErrUnreachable},
		"nobody answers":             {[]dht.Store{dead}, dht.ErrUnreachable},
		"stores fail":                {[]dht.Store{&scriptedStore{ends: errors.New("x")}}, dht.ErrUnreachable},
		"only bad ones":              {[]dht.Store{peers(bad, bad)}, dht.ErrRejected},
		"only broken answers":        {[]dht.Store{lies}, dht.ErrRejected},
		"expired":                    {[]dht.Store{peers(expired, nil, bad)}, nil},
		"one store finds, one fails": {[]dht.Store{&scriptedStore{ends: errors.New("x")}, peers(nil)}, dht.ErrNotFound},
	} {
		r := dht.Resolver{Stores: tc.stores, Now: c.now}
		for _, level := range []dht.Level{dht.LevelAny, dht.LevelStrict} {
			_, err := r.Best(t.Context(), k.Pointer(), level)
			require.Error(t, err, name)
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is, name)
			} else {
				_, ok := errors.AsType[*pointer.ExpiredError](err)
				require.True(t, ok, "%s: %v", name, err)
			}
			for _, other := range []error{dht.ErrNotFound, dht.ErrUnreachable, dht.ErrRejected} {
				if other != tc.is {
					require.NotErrorIs(t, err, other, name)
				}
			}
		}
		_, err := r.Best(t.Context(), newKey(t).Pointer(), dht.LevelOffline)
		require.ErrorIs(t, err, dht.ErrNotFound)
	}
}

func TestHangingStoreDoesNotDelayOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := pointer.NewKey(rand.Reader)
		require.NoError(t, err)
		rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 2, Expires: time.Now().Add(life), TTL: ttl})
		require.NoError(t, err)
		stop := make(chan struct{})
		hung := storeFunc(func(context.Context, func(dht.Answer, error) bool) { <-stop }) // ignores its context
		defer close(stop)
		fails := &scriptedStore{ends: errors.New("broken")}
		began := time.Now()
		r := dht.Resolver{Stores: []dht.Store{hung, fails, peers(rec.Bytes(), rec.Bytes(), rec.Bytes())}}
		res, err := r.Best(t.Context(), k.Pointer(), dht.LevelAgreed)
		require.NoError(t, err)
		require.Equal(t, 3, res.Agreed)
		require.Zero(t, time.Since(began), "not held up at all")

		// A level that needs all of them ends at the timeout.
		res, err = r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
		require.NoError(t, err)
		require.Equal(t, dht.LevelAgreed, res.Freshness)
		require.Equal(t, 30*time.Second, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = (&dht.Resolver{Stores: []dht.Store{hung}}).Best(ctx, k.Pointer(), dht.LevelAny)
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
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

func TestAnswersOfAStoreAreBounded(t *testing.T) {
	k := newKey(t)
	rec := sign(t, k, 1)
	yielded := 0
	flood := storeFunc(func(_ context.Context, yield func(dht.Answer, error) bool) {
		for yield(dht.Answer{Record: []byte(strings.Repeat("x", yielded)), Source: dht.SourceNetwork, Peer: fmt.Sprint(yielded)}, nil) {
			yielded++
		}
	})
	r := dht.Resolver{Stores: []dht.Store{flood, peers(rec.Bytes())}, Now: newClock().now}
	res, err := r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
	require.NoError(t, err)
	require.Equal(t, rec.Bytes(), res.Record.Bytes())
	require.LessOrEqual(t, yielded, 600)
	require.Len(t, res.Rejected, 32)
	require.NotEqual(t, dht.LevelStrict, res.Freshness, "the flooded store was not heard out")
}

func TestPublishStoresInTheHomeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the grace period follows the clock of the bubble
		c := newClock()
		home := c.home(t)
		k := newKey(t)
		rec := sign(t, k, 2)
		short := &dht.ShortError{Receipt: dht.Receipt{Asked: 10, Stored: 1, Unreachable: 9}, Want: 8}
		var kept atomic.Int32
		putter := func(receipt dht.Receipt, err error) dht.Store {
			return &scriptedStore{puts: func(_ context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
				for a := range home.Get(context.Background(), p) {
					if string(a.Record) == string(b) {
						kept.Add(1)
					}
				}
				clear(b) // a store may modify its argument without effect on other stores
				return receipt, err
			}}
		}
		r := dht.Resolver{Home: home, Now: c.now, Stores: []dht.Store{putter(dht.Receipt{Asked: 20, Stored: 19, Refused: 1}, nil)}}
		receipt, err := r.Publish(t.Context(), rec)
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 20, Stored: 19, Refused: 1}, receipt)
		require.EqualValues(t, 1, kept.Load(), "stored in the home before any put to a store")

		r.Stores = append(r.Stores, putter(short.Receipt, short))
		receipt, err = r.Publish(t.Context(), rec)
		require.NoError(t, err, "one store has it as it wants to")
		require.Equal(t, dht.Receipt{Asked: 30, Stored: 20, Refused: 1, Unreachable: 9}, receipt)

		r.Stores = r.Stores[1:]
		_, err = r.Publish(t.Context(), rec)
		got, ok := errors.AsType[*dht.ShortError](err)
		require.True(t, ok)
		require.Equal(t, 8, got.Want)

		_, err = r.Publish(t.Context(), sign(t, k, 1))
		require.ErrorIs(t, err, dht.ErrOlder)
		r.Stores = nil
		_, err = r.Publish(t.Context(), sign(t, k, 3))
		require.ErrorIs(t, err, dht.ErrUnreachable)
		_, err = r.Publish(t.Context(), signFor(t, k, 4, epoch.Add(-time.Hour)))
		_, ok = errors.AsType[*pointer.ExpiredError](err)
		require.True(t, ok)
		_, err = r.Publish(t.Context(), pointer.Record{})
		require.Error(t, err)

		// The own record needs no look-up.
		res, err := r.Best(t.Context(), k.Pointer(), dht.LevelAny)
		require.NoError(t, err)
		require.EqualValues(t, 3, res.Record.Sequence())
		require.Equal(t, dht.SourceCache, res.Source)
	})
}

func TestHangingStoreCountsAsUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := make(chan struct{})
		defer close(stop)
		hung := storeFunc(func(context.Context, func(dht.Answer, error) bool) { <-stop })
		k, err := pointer.NewKey(rand.Reader)
		require.NoError(t, err)
		rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(life), TTL: ttl})
		require.NoError(t, err)
		r := dht.Resolver{Stores: []dht.Store{hung, new(dht.Memory)}, Timeout: 500 * time.Millisecond}
		receipt, err := r.Publish(t.Context(), rec)
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 2, Stored: 1, Unreachable: 1}, receipt)
		r.Stores = r.Stores[:1]
		_, err = r.Publish(t.Context(), rec)
		require.ErrorIs(t, err, dht.ErrUnreachable)
	})
}

// The floor is confirmed at the given time. A zero time leaves the stored
// confirmation unchanged, and a record without a confirmation is stale.
func TestAFloorKeepsTheTimeOfItsConfirmation(t *testing.T) {
	for name, durable := range map[string]bool{"in memory": false, "in a home": true} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			r := &dht.Resolver{Now: c.now}
			if durable {
				r.Home = c.home(t)
			}
			k := newKey(t)
			older, rec := sign(t, k, 1), sign(t, k, 2)
			stale := func() bool {
				res, err := r.Best(t.Context(), k.Pointer(), dht.LevelOffline)
				require.NoError(t, err)
				return res.Stale
			}
			_, _, err := dht.StoreFloor(r, rec, time.Time{})
			require.NoError(t, err)
			require.True(t, stale())
			for _, tc := range []struct {
				rec           pointer.Record
				at, confirmed time.Time
			}{
				{rec, epoch.Add(-time.Minute), epoch.Add(-time.Minute)},
				{rec, time.Time{}, epoch.Add(-time.Minute)},
				{rec, epoch, epoch},
				{older, epoch.Add(time.Minute), epoch},
			} {
				have, confirmed, err := dht.StoreFloor(r, tc.rec, tc.at)
				require.NoError(t, err)
				require.Equal(t, rec.ID(), have.ID())
				require.True(t, confirmed.Equal(tc.confirmed), confirmed)
				require.False(t, stale())
			}
		})
	}
}

// If the disk fails, the floor is not stored, but the look-up that found it
// uses it: the expired newest record takes precedence over an older one.
func TestFloorThatCannotBeStoredIsUsed(t *testing.T) {
	c := newClock()
	home := c.home(t)
	dht.SetFiles(home, fullDisk{})
	k := newKey(t)
	s := peers(signFor(t, k, 9, epoch.Add(-time.Second)).Bytes(), sign(t, k, 5).Bytes())
	_, err := (&dht.Resolver{Stores: []dht.Store{s}, Home: home, Now: c.now}).Best(t.Context(), k.Pointer(), dht.LevelStrict)
	expired, ok := errors.AsType[*pointer.ExpiredError](err)
	require.True(t, ok, "%v", err)
	require.EqualValues(t, 9, expired.Record.Sequence())
}

// A rollback error names the newest of the received records, in whatever order
// they arrived.
func TestARollbackNamesTheNewestReceivedRecord(t *testing.T) {
	c := newClock()
	k := newKey(t)
	r := dht.Resolver{Now: c.now}
	_, _, err := dht.StoreFloor(&r, sign(t, k, 7), epoch)
	require.NoError(t, err)
	r.Stores = []dht.Store{peers(sign(t, k, 3).Bytes(), sign(t, k, 5).Bytes(), sign(t, k, 4).Bytes())}
	_, err = r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
	rollback, ok := errors.AsType[*dht.RollbackError](err)
	require.True(t, ok, "%v", err)
	require.EqualValues(t, 5, rollback.Got.Sequence())
}

// The look-up returns the expired floor if the peers have no newer record. If
// no peer answered, the error also wraps ErrUnreachable.
func TestAnExpiredFloorWithoutReachablePeersReturnsBothErrors(t *testing.T) {
	c := newClock()
	k := newKey(t)
	r := dht.Resolver{Now: c.now}
	_, _, err := dht.StoreFloor(&r, sign(t, k, 7), epoch)
	require.NoError(t, err)
	c.advance(life + 1)
	for _, tc := range []struct {
		store       *scriptedStore
		unreachable bool
	}{{peers(nil), false}, {&scriptedStore{ends: errBroken}, true}} {
		r.Stores = []dht.Store{tc.store}
		_, err = r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
		_, ok := errors.AsType[*pointer.ExpiredError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, tc.unreachable, errors.Is(err, dht.ErrUnreachable))
		require.NotErrorIs(t, err, dht.ErrNotFound)
	}
}

// A record can be published until the moment that it expires.
func TestRecordIsPublishedUntilItExpires(t *testing.T) {
	c := newClock()
	rec := sign(t, newKey(t), 1)
	r := dht.Resolver{Stores: []dht.Store{&dht.Memory{Now: c.now}}, Now: c.now}
	c.advance(life)
	_, err := r.Publish(t.Context(), rec)
	require.NoError(t, err)
	c.advance(1)
	_, err = r.Publish(t.Context(), rec)
	_, expired := errors.AsType[*pointer.ExpiredError](err)
	require.True(t, expired, "%v", err)
}

// After the first success the other stores have one more second. Their context
// ends when the last of them returns.
func TestPublishWaitsOnceForOtherStores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		contexts := make(chan context.Context, 3)
		takes := func(d time.Duration) dht.Store {
			return &scriptedStore{puts: func(ctx context.Context, _ pointer.Pointer, _ []byte) (dht.Receipt, error) {
				contexts <- ctx
				time.Sleep(d) // on the clock of the bubble
				return dht.Receipt{Asked: 1, Stored: 1}, nil
			}}
		}
		rec := sign(t, newKey(t), 1)
		r := dht.Resolver{Now: newClock().now, Stores: []dht.Store{takes(0), takes(900 * time.Millisecond), takes(10 * time.Second)}}
		began := time.Now()
		receipt, err := r.Publish(t.Context(), rec)
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 3, Stored: 2}, receipt)
		require.Equal(t, time.Second, time.Since(began))
		working := <-contexts
		require.NoError(t, working.Err(), "it goes on")
		time.Sleep(9 * time.Second) // on the clock of the bubble
		synctest.Wait()
		require.ErrorIs(t, working.Err(), context.Canceled)
	})
}

func TestLevelsAreOrdered(t *testing.T) {
	levels := []dht.Level{dht.LevelAny, dht.LevelAgreed, dht.LevelFresh, dht.LevelStrict}
	for i, l := range levels {
		for j, other := range levels {
			require.Equal(t, i >= j, l.AtLeast(other), "%s and %s", l, other)
		}
		for _, none := range []dht.Level{dht.LevelOffline, "", "thorough"} {
			require.False(t, l.AtLeast(none), "%s and %q", l, none)
			require.False(t, none.AtLeast(l), "%s and %q", l, none)
			require.False(t, none.AtLeast(none), none)
		}
	}
}

// Stores whose answers name no peer count as one peer each, however often they
// answer.
func TestStoresWithoutPeerNamesCountOnceEach(t *testing.T) {
	k := newKey(t)
	b := sign(t, k, 1).Bytes()
	nameless := func(times int) dht.Store {
		s := &scriptedStore{}
		for range times {
			s.answers = append(s.answers, scriptedAnswer{answer: dht.Answer{Record: b, Source: dht.SourceHome}})
		}
		return s
	}
	for _, tc := range []struct {
		stores []dht.Store
		agreed int
	}{
		{[]dht.Store{nameless(4)}, 1},
		{[]dht.Store{nameless(4), nameless(4)}, 2},
		{[]dht.Store{nameless(1), nameless(1), nameless(1)}, 3},
	} {
		res, err := (&dht.Resolver{Stores: tc.stores, Now: newClock().now}).Best(t.Context(), k.Pointer(), dht.LevelStrict)
		require.NoError(t, err)
		require.Equal(t, tc.agreed, res.Agreed)
	}
}

// A store that fails repeatedly produces an error of bounded size, and its
// count of asked peers never decreases.
func TestAStoreThatFailsOftenIsBounded(t *testing.T) {
	k := newKey(t)
	b := sign(t, k, 1).Bytes()
	s := &scriptedStore{}
	for range 400 {
		s.answers = append(s.answers, scriptedAnswer{dht.Answer{Source: dht.SourceNetwork}, errBroken})
	}
	r := dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}
	_, err := r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, 32, strings.Count(err.Error(), errBroken.Error()))

	r.Stores[0] = storeFunc(func(_ context.Context, yield func(dht.Answer, error) bool) {
		_ = yield(dht.Answer{Record: b, Source: dht.SourceNetwork, Peer: "a", Asked: 20}, nil) &&
			yield(dht.Answer{Source: dht.SourceNetwork, Peer: "b", Asked: 3}, nil)
	})
	res, err := r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
	require.NoError(t, err)
	require.Equal(t, 20, res.Asked)
	require.Equal(t, 2, res.Answered)
}

// A store that returns an error and an empty receipt counts as one unreachable
// peer. A receipt that is not empty beside an error is unchanged.
func TestAStoreThatFailsWithoutAReceiptShowsInTheSum(t *testing.T) {
	rec := sign(t, newKey(t), 1)
	returns := func(receipt dht.Receipt, err error) dht.Store {
		return &scriptedStore{puts: func(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) { return receipt, err }}
	}
	silent, works := returns(dht.Receipt{}, errBroken), returns(dht.Receipt{Asked: 20, Stored: 20}, nil)
	refuses := returns(dht.Receipt{Asked: 3, Refused: 3}, errBroken)
	for _, tc := range []struct {
		stores []dht.Store
		want   dht.Receipt
		fails  bool
	}{
		{[]dht.Store{silent, works}, dht.Receipt{Asked: 21, Stored: 20, Unreachable: 1}, false},
		{[]dht.Store{silent, silent, works}, dht.Receipt{Asked: 22, Stored: 20, Unreachable: 2}, false},
		{[]dht.Store{silent}, dht.Receipt{Asked: 1, Unreachable: 1}, true},
		{[]dht.Store{refuses}, dht.Receipt{Asked: 3, Refused: 3}, true},
	} {
		r := dht.Resolver{Stores: tc.stores, Now: newClock().now}
		for _, publish := range []func(context.Context, pointer.Record) (dht.Receipt, error){r.Publish, r.PublishAll} {
			synctest.Test(t, func(t *testing.T) { // the grace period of one second does not start
				receipt, err := publish(t.Context(), rec)
				require.Equal(t, tc.want, receipt)
				if tc.fails {
					require.ErrorIs(t, err, errBroken)
				} else {
					require.NoError(t, err)
				}
			})
		}
	}
}

func TestDamagedHomeDoesNotPreventLookUps(t *testing.T) {
	c := newClock()
	home := c.home(t)
	k := newKey(t)
	rec := sign(t, k, 1)
	_, err := home.Put(t.Context(), k.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dht.RecordFile(home, k.Pointer()), []byte("damaged"), 0o600))
	r := dht.Resolver{Stores: []dht.Store{peers(rec.Bytes())}, Home: home, Now: c.now}
	_, err = r.Best(t.Context(), k.Pointer(), dht.LevelOffline)
	require.ErrorIs(t, err, dht.ErrRejected)
	res, err := r.Best(t.Context(), k.Pointer(), dht.LevelAny)
	require.NoError(t, err)
	require.Equal(t, dht.SourceHome, res.Rejected[0].Source)
	require.Contains(t, res.Rejected[0].Reason, "damaged")
	_, err = r.Best(t.Context(), k.Pointer(), dht.LevelOffline)
	require.NoError(t, err, "mended by what came")
}

// A store that hangs delays nothing once another store has stored the record;
// its put continues.
func TestPublishDoesNotWaitForAHangingStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cut, done atomic.Bool
		hangs := &scriptedStore{puts: func(ctx context.Context, _ pointer.Pointer, _ []byte) (dht.Receipt, error) {
			select {
			case <-ctx.Done():
				cut.Store(true)
				return dht.Receipt{}, ctx.Err()
			case <-time.After(10 * time.Second):
				done.Store(true)
				return dht.Receipt{Asked: 1, Stored: 1}, nil
			}
		}}
		holds := &scriptedStore{puts: func(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
			return dht.Receipt{Asked: 20, Stored: 17, Unreachable: 3}, nil
		}}
		rec := sign(t, newKey(t), 1)
		now := func() time.Time { return rec.Expires().Add(-time.Hour) }
		r := dht.Resolver{Now: now, Stores: []dht.Store{hangs, holds}}
		began := time.Now()
		receipt, err := r.Publish(t.Context(), rec)
		require.NoError(t, err)
		require.Equal(t, time.Second, time.Since(began))
		require.Equal(t, dht.Receipt{Asked: 21, Stored: 17, Unreachable: 3}, receipt)

		// PublishAll waits for all, until the context of the caller ends.
		began = time.Now()
		receipt, err = r.PublishAll(t.Context(), rec)
		require.NoError(t, err)
		require.Equal(t, 10*time.Second, time.Since(began))
		require.Equal(t, 18, receipt.Stored)
		require.True(t, done.Load())
		require.False(t, cut.Load())
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err = (&dht.Resolver{Now: now, Stores: []dht.Store{hangs}}).Publish(ctx, rec)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.True(t, cut.Load())
	})
}

// The TTL of a record in memory passes while the machine sleeps.
func TestTheTTLPassesDuringASleep(t *testing.T) {
	var clock dhttest.Clock
	k := newKey(t)
	rec := signFor(t, k, 1, clock.Now().Add(life))
	net := peers(rec.Bytes())
	r := dht.Resolver{Stores: []dht.Store{net}, Now: clock.Now}
	for _, gets := range []int32{1, 1, 2} {
		_, err := r.Best(t.Context(), k.Pointer(), dht.LevelAny)
		require.NoError(t, err)
		require.Equal(t, gets, net.gets.Load())
		if gets == net.gets.Load() && gets == 1 {
			clock.Sleep(ttl * 2 / 3)
		}
	}
}
