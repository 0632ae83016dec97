package dht_test

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

func TestMultiStoreOfOneIsAStore(t *testing.T) {
	dhttest.Run(t, func(*testing.T) dht.Store { return dht.MultiStore{new(dht.Memory)} })
}

func TestOneStoreThatWorksIsEnough(t *testing.T) {
	ctx := context.Background()
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	r, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	works := new(dht.Memory)
	all := dht.MultiStore{broken{}, works, broken{}}
	receipt, err := all.Put(ctx, r.Pointer(), r.Bytes())
	require.NoError(t, err)
	require.Equal(t, dht.Receipt{Asked: 3, Stored: 1, Unreachable: 2}, receipt)
	found, failed := 0, 0
	for a, err := range all.Get(ctx, r.Pointer()) {
		if err != nil {
			failed++
		}
		if a.Record != nil {
			require.Equal(t, r.Bytes(), a.Record)
			found++
		}
	}
	require.Equal(t, 1, found)
	require.Equal(t, 2, failed)

	_, err = dht.MultiStore{broken{}, broken{}}.Put(ctx, r.Pointer(), r.Bytes())
	require.ErrorIs(t, err, errBroken)
	_, err = dht.MultiStore{}.Put(ctx, r.Pointer(), r.Bytes())
	require.ErrorIs(t, err, dht.ErrUnreachable)
}

// MultiStore does not count a member as successful if it stored with fewer peers than
// it wants. The put is short unless another member stored with as many peers as
// it wants. The receipt counts the peers of the short member in both cases.
func TestShortMemberCountsInTheReceipt(t *testing.T) {
	ctx := t.Context()
	rec := sign(t, newKey(t), 1)
	short := &dht.ShortError{Receipt: dht.Receipt{Asked: 20, Stored: 3, Refused: 7, Unreachable: 10, Confirmed: 2, Groups: 3, Spread: 1}, Want: 15}
	few := &scriptedStore{puts: func(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) { return short.Receipt, short }}
	works := &dht.Memory{Now: newClock().now}

	receipt, err := dht.MultiStore{few, works}.Put(ctx, rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	require.Equal(t, dht.Receipt{Asked: 21, Stored: 4, Refused: 7, Unreachable: 10, Confirmed: 2, Groups: 3, Spread: 1}, receipt)

	receipt, err = dht.MultiStore{few, broken{}}.Put(ctx, rec.Pointer(), rec.Bytes())
	got, ok := errors.AsType[*dht.ShortError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, short, got)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, dht.Receipt{Asked: 21, Stored: 3, Refused: 7, Unreachable: 11, Confirmed: 2, Groups: 3, Spread: 1}, receipt)
}

// Ending a look-up early cancels the look-ups that hang and waits for them. The
// bubble fails if one of them is left.
func TestClosingEarlyEndsAllLookUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, err := pointer.NewKey(nil)
		require.NoError(t, err)
		var ended atomic.Int32
		hung := storeFunc(func(ctx context.Context, yield func(dht.Answer, error) bool) {
			<-ctx.Done()
			time.Sleep(time.Second) // on the clock of the bubble
			ended.Add(1)
		})
		for range (dht.MultiStore{hung, new(dht.Memory), hung}).Get(t.Context(), key.Pointer()) {
			break
		}
		require.EqualValues(t, 2, ended.Load())
	})
}

// A cancelled look-up returns the cancellation error, even if no store does.
func TestCancelledLookUpOfMultiStoreFails(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mute := storeFunc(func(context.Context, func(dht.Answer, error) bool) {})
	var failed []error
	for _, err := range (dht.MultiStore{mute, mute}).Get(ctx, sign(t, newKey(t), 1).Pointer()) {
		failed = append(failed, err)
	}
	require.Equal(t, []error{context.Canceled}, failed)
}

// broken is a store that is unreachable.
type broken struct{}

var errBroken = errors.New("down")

func (broken) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, errBroken) }
}

func (broken) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{Asked: 1, Unreachable: 1}, errBroken
}
