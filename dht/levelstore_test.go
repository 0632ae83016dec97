package dht_test

import (
	"context"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// levelStore is a LevelStore and ConfirmingStore that records the calls.
type levelStore struct {
	*scriptedStore
	levels []dht.Level
	all    int
}

func (s *levelStore) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	s.levels = append(s.levels, level)
	return s.Get(ctx, p)
}

func (s *levelStore) PutAll(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	s.all++
	return dht.Receipt{Asked: 8, Stored: 8, Confirmed: 6, Groups: 5, Spread: 7}, nil
}

func TestTheLevelReachesTheStore(t *testing.T) {
	k := newKey(t)
	b := sign(t, k, 1).Bytes()
	s := &levelStore{scriptedStore: peers(b, b, b, b, b, b)}
	r := dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}
	_, err := r.Best(t.Context(), k.Pointer(), dht.LevelOffline)
	require.Error(t, err)
	require.Empty(t, s.levels, "offline sends no request")
	for _, level := range []dht.Level{dht.LevelStrict, dht.LevelFresh, dht.LevelAgreed} {
		_, err := r.Best(t.Context(), k.Pointer(), level)
		require.NoError(t, err)
		require.Equal(t, level, s.levels[len(s.levels)-1])
	}
}

func TestSurroundedKeyIsNotFresh(t *testing.T) {
	k := newKey(t)
	b := sign(t, k, 1).Bytes()
	s := peers(b, nil, nil)
	s.answers = append(s.answers, scriptedAnswer{answer: dht.Answer{Source: dht.SourceNetwork}, err: dht.ErrSurrounded})
	for _, level := range []dht.Level{dht.LevelAgreed, dht.LevelFresh, dht.LevelStrict} {
		r := dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}
		res, err := r.Best(t.Context(), k.Pointer(), level)
		require.NoError(t, err)
		require.Equal(t, dht.LevelAny, res.Freshness)
		require.Len(t, res.Rejected, 1)
		require.Equal(t, dht.ErrSurrounded.Error(), res.Rejected[0].Reason)
	}
	s.answers[0].answer.Record = nil
	_, err := (&dht.Resolver{Stores: []dht.Store{s}, Now: newClock().now}).Best(t.Context(), k.Pointer(), dht.LevelFresh)
	require.ErrorIs(t, err, dht.ErrNotFound)
	require.ErrorIs(t, err, dht.ErrSurrounded)
}

func TestPublishAllWaitsForEveryStore(t *testing.T) {
	k := newKey(t)
	thorough := &levelStore{scriptedStore: peers()}
	plain := &dht.Memory{Now: newClock().now}
	r := dht.Resolver{Stores: []dht.Store{thorough, plain}, Now: newClock().now}
	receipt, err := r.PublishAll(t.Context(), sign(t, k, 1))
	require.NoError(t, err)
	require.Equal(t, 1, thorough.all)
	require.Equal(t, dht.Receipt{Asked: 9, Stored: 9, Confirmed: 6, Groups: 5, Spread: 7}, receipt)
	thorough.puts = func(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
		return dht.Receipt{Asked: 1, Stored: 1}, nil
	}
	_, err = r.Publish(t.Context(), sign(t, k, 2))
	require.NoError(t, err)
	require.Equal(t, 1, thorough.all)
}

func TestReceiptDoubt(t *testing.T) {
	for _, tc := range []struct {
		receipt dht.Receipt
		doubt   string
	}{
		{dht.Receipt{}, ""},
		{dht.Receipt{Asked: 3, Stored: 3, Groups: 1, Spread: 1}, ""},
		{dht.Receipt{Asked: 20, Stored: 20}, ""},
		{dht.Receipt{Asked: 20, Stored: 16, Groups: 14, Spread: 15}, ""},
		{dht.Receipt{Asked: 20, Stored: 16, Groups: 1, Spread: 15}, "one group of addresses"},
		{dht.Receipt{Asked: 20, Stored: 16, Groups: 16, Spread: 2}, "14 of 16"},
		// These are the bounds of each condition, on both sides.
		{dht.Receipt{Asked: 20, Stored: 3, Groups: 1, Spread: 3}, ""},
		{dht.Receipt{Asked: 20, Stored: 4, Groups: 1, Spread: 4}, "one group of addresses"},
		{dht.Receipt{Asked: 20, Stored: 4, Groups: 2, Spread: 4}, ""},
		{dht.Receipt{Asked: 20, Stored: 4, Groups: 0, Spread: 4}, ""},
		{dht.Receipt{Asked: 20, Stored: 3, Groups: 3, Spread: 1}, ""},
		{dht.Receipt{Asked: 20, Stored: 4, Groups: 4, Spread: 1}, "3 of 4"},
		{dht.Receipt{Asked: 20, Stored: 16, Groups: 16, Spread: 8}, ""},
		{dht.Receipt{Asked: 20, Stored: 16, Groups: 16, Spread: 7}, "9 of 16"},
		{dht.Receipt{Asked: 20, Stored: 17, Groups: 16, Spread: 8}, "9 of 17"},
		{dht.Receipt{Asked: 20, Stored: 16, Groups: 16, Spread: 0}, ""},
	} {
		if tc.doubt == "" {
			require.Empty(t, tc.receipt.Doubt(), "%+v", tc.receipt)
			continue
		}
		require.Contains(t, tc.receipt.Doubt(), tc.doubt)
	}
}
