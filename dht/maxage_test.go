package dht_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const year = 365 * 24 * time.Hour

// signLong signs a record that may be cached for a year, with a card or without.
func signLong(t testing.TB, k *pointer.Key, sequence uint64, card bool) pointer.Record {
	t.Helper()
	f := pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: epoch.Add(year), TTL: year}
	if card {
		f.Card = &pointer.Card{Nickname: "Bob"}
	}
	rec, err := pointer.Sign(k, f)
	require.NoError(t, err)
	return rec
}

// Attack: a holder of a key signs a record that caches may use for a year. It is used without a
// request for an hour, with a card for minutes, and for less if the caller bounds it. The record
// states its TTL as it was signed.
func TestARecordIsNotCachedForItsWholeTTL(t *testing.T) {
	for _, tc := range []struct {
		card         bool
		bound, until time.Duration
	}{{false, 0, time.Hour}, {true, 0, 5 * time.Minute}, {false, 7 * time.Minute, 7 * time.Minute}, {true, time.Minute, time.Minute}, {true, year, 5 * time.Minute}} {
		c := newClock()
		k := newKey(t)
		old := signLong(t, k, 1, tc.card)
		net := peers(old.Bytes())
		r := dht.Resolver{Stores: []dht.Store{net}, Home: c.home(t), Now: c.now, AgeBound: func(p pointer.Pointer) time.Duration {
			require.Equal(t, k.Pointer(), p)
			return tc.bound
		}}
		best := func(level dht.Level) dht.Result {
			t.Helper()
			res, err := r.Best(t.Context(), k.Pointer(), level)
			require.NoError(t, err)
			return res
		}
		best(dht.LevelAny)
		c.advance(tc.until - time.Second)
		res := best(dht.LevelAny)
		require.Equal(t, dht.SourceCache, res.Source)
		require.Equal(t, year, res.Record.TTL())
		require.False(t, best(dht.LevelOffline).Stale)
		require.EqualValues(t, 1, net.gets.Load())

		c.advance(time.Second)
		require.True(t, best(dht.LevelOffline).Stale)
		net.answers = peers(signLong(t, k, 2, tc.card).Bytes()).answers
		require.EqualValues(t, 2, best(dht.LevelAny).Record.Sequence())
		require.EqualValues(t, 2, net.gets.Load())
	}
}

// A TTL below the bounds counts.
func TestAShortTTLIsTheMaxAge(t *testing.T) {
	k := newKey(t)
	for _, card := range []*pointer.Card{nil, {Nickname: "Bob"}} {
		for _, want := range []time.Duration{0, time.Second, time.Minute} {
			rec, err := pointer.Sign(k, pointer.Fields{Sequence: 1, Expires: epoch.Add(year), TTL: want, Card: card})
			require.NoError(t, err)
			require.Equal(t, want, dht.MaxAge(rec))
		}
	}
}
