package dht_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

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

// Each answer of a network peer with an expired record is reported, and no other answer.
func TestExpiredAnswersOfPeersAreReported(t *testing.T) {
	k := newKey(t)
	ended := signFor(t, k, 1, epoch.Add(-time.Hour))
	store := peers(ended.Bytes(), nil, sign(t, k, 2).Bytes(), ended.Bytes(), []byte("garbage"), sign(t, newKey(t), 3).Bytes())
	for _, source := range []dht.Source{dht.SourceRouter, dht.SourceHome} {
		store.answers = append(store.answers, scriptedAnswer{answer: dht.Answer{Record: ended.Bytes(), Source: source, Peer: "other"}})
	}
	store.answers = append(store.answers, scriptedAnswer{answer: dht.Answer{Record: ended.Bytes(), Source: dht.SourceNetwork}})
	var reported []string
	r := dht.Resolver{Stores: []dht.Store{store}, Now: newClock().now, OnExpired: func(peer string, r pointer.Record) {
		require.Equal(t, ended.ID(), r.ID())
		reported = append(reported, peer)
	}}
	_, err := r.Best(t.Context(), k.Pointer(), dht.LevelStrict)
	require.NoError(t, err)
	require.Equal(t, []string{"peer0", "peer3"}, reported)
}
