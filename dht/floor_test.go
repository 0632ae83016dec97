package dht_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

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
