package dht_test

import (
	"context"
	"crypto/rand"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

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
