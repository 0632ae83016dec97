package dht_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

func TestAllOfOneIsAStore(t *testing.T) {
	dhttest.Run(t, func(*testing.T) dht.Store { return dht.All{new(dht.Memory)} })
}

func TestOneStoreThatWorksIsEnough(t *testing.T) {
	ctx := context.Background()
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	r, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	works := new(dht.Memory)
	all := dht.All{broken{}, works, broken{}}
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

	_, err = dht.All{broken{}, broken{}}.Put(ctx, r.Pointer(), r.Bytes())
	require.ErrorIs(t, err, errBroken)
	_, err = dht.All{}.Put(ctx, r.Pointer(), r.Bytes())
	require.ErrorIs(t, err, dht.ErrUnreachable)
}

// Closing a look-up early ends those that hang.
func TestClosingEarlyEndsAllLookUps(t *testing.T) {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	for range (dht.All{hangs{}, new(dht.Memory), hangs{}}).Get(context.Background(), key.Pointer()) {
		break
	}
}

// hangs is a store that answers when its caller has had enough.
type hangs struct{ broken }

func (hangs) Get(ctx context.Context, _ pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		<-ctx.Done()
		yield(dht.Answer{}, ctx.Err())
	}
}

// broken is a store that is down.
type broken struct{}

var errBroken = errors.New("down")

func (broken) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, errBroken) }
}

func (broken) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{Asked: 1, Unreachable: 1}, errBroken
}
