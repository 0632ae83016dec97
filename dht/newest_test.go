package dht_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// Newest returns the newest records that verify, newest first and each once, in
// whatever order they arrive.
func TestNewestAreInOrderAndVerified(t *testing.T) {
	k := newKey(t)
	tampered := sign(t, k, 9).Bytes()
	tampered[len(tampered)-3] ^= 4
	long := append(sign(t, k, 9).Bytes(), make([]byte, pointer.MaxRecord)...)
	expired := signFor(t, k, 9, epoch.Add(-1)).Bytes()
	s := peers(sign(t, k, 2).Bytes(), tampered, nil, []byte{}, long, expired, sign(t, newKey(t), 9).Bytes(),
		sign(t, k, 4).Bytes(), sign(t, k, 1).Bytes(), sign(t, k, 4).Bytes(), sign(t, k, 3).Bytes())
	found, err := dht.Newest(t.Context(), s, k.Pointer(), epoch, dht.Bounds{Answers: 100, Verified: 100, Returned: 3})
	require.NoError(t, err)
	require.Equal(t, []uint64{4, 3, 2}, sequences(found))
}

func sequences(records []pointer.Record) (s []uint64) {
	for _, r := range records {
		s = append(s, r.Sequence())
	}
	return s
}

// Each bound of Newest is exact: a value at the bound is accepted, and one
// beyond it is not.
func TestTheBoundsOfNewestAreExact(t *testing.T) {
	k := newKey(t)
	var records [][]byte
	for i := range uint64(6) {
		records = append(records, sign(t, k, i+1).Bytes())
	}
	one, six := records[0], records[5]
	for name, tc := range map[string]struct {
		says   [][]byte
		bounds dht.Bounds
		want   []uint64
	}{
		"the last answer allowed":            {[][]byte{nil, nil, six}, dht.Bounds{Answers: 3, Verified: 9, Returned: 9}, []uint64{6}},
		"an answer too many":                 {[][]byte{nil, nil, six}, dht.Bounds{Answers: 2, Verified: 9, Returned: 9}, nil},
		"the last verification":              {[][]byte{one, []byte("x"), six}, dht.Bounds{Answers: 9, Verified: 3, Returned: 9}, []uint64{6, 1}},
		"a verification too many":            {[][]byte{one, []byte("x"), six}, dht.Bounds{Answers: 9, Verified: 2, Returned: 9}, []uint64{1}},
		"the same bytes are verified once":   {[][]byte{one, one, one, six}, dht.Bounds{Answers: 9, Verified: 2, Returned: 9}, []uint64{6, 1}},
		"the newest are kept, not the first": {records, dht.Bounds{Answers: 9, Verified: 9, Returned: 2}, []uint64{6, 5}},
	} {
		found, err := dht.Newest(t.Context(), peers(tc.says...), k.Pointer(), epoch, tc.bounds)
		require.NoError(t, err, name)
		require.Equal(t, tc.want, sequences(found), name)
	}
}

// A record that arrives in two encodings, with and without the fields of
// version 1, is one record.
func TestNewestCountsARecordOnceInAnyEncoding(t *testing.T) {
	k := newKey(t)
	fields := pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 2, Expires: epoch.Add(life), TTL: ttl}
	plain, err := pointer.Sign(k, fields)
	require.NoError(t, err)
	fields.V1 = true
	both, err := pointer.Sign(k, fields)
	require.NoError(t, err)
	require.Equal(t, plain.ID(), both.ID())
	require.NotEqual(t, plain.Bytes(), both.Bytes())
	found, err := dht.Newest(t.Context(), peers(plain.Bytes(), both.Bytes(), sign(t, k, 1).Bytes()), k.Pointer(), epoch, dht.Bounds{Answers: 9, Verified: 9, Returned: 2})
	require.NoError(t, err)
	require.Equal(t, []uint64{2, 1}, sequences(found))
}

// If a whole store fails, Newest returns its error with the records found. The
// failure of a single peer is not an error.
func TestNewestReportsTheStoresFailure(t *testing.T) {
	k := newKey(t)
	peerFails := scriptedAnswer{dht.Answer{Source: dht.SourceNetwork, Peer: "x"}, errors.New("malformed")}
	s := peers(nil, sign(t, k, 1).Bytes())
	s.answers[0] = peerFails
	b := dht.Bounds{Answers: 9, Verified: 9, Returned: 9}
	found, err := dht.Newest(t.Context(), s, k.Pointer(), epoch, b)
	require.NoError(t, err)
	require.Len(t, found, 1)
	s.ends = errBroken
	found, err = dht.Newest(t.Context(), s, k.Pointer(), epoch, b)
	require.ErrorIs(t, err, errBroken)
	require.Len(t, found, 1)

	// Bytes that were checked before do not end the look-up, even if no others
	// are allowed.
	s = peers(sign(t, k, 1).Bytes())
	s.answers = append(s.answers, s.answers[0])
	s.ends = errBroken
	_, err = dht.Newest(t.Context(), s, k.Pointer(), epoch, dht.Bounds{Answers: 9, Verified: 1, Returned: 9})
	require.ErrorIs(t, err, errBroken)
}

// A rejection names its router once, and names no peer of a DHT.
func TestRejectionsNameRouters(t *testing.T) {
	for _, tc := range []struct {
		r    dht.Rejection
		want string
	}{
		{dht.Rejection{Source: dht.SourceNetwork, Peer: "12D3", Reason: "bad"}, "bad"},
		{dht.Rejection{Source: dht.SourceRouter, Reason: "bad"}, "bad"},
		{dht.Rejection{Source: dht.SourceRouter, Peer: "http://r.example", Reason: "bad"}, "router http://r.example: bad"},
		{dht.Rejection{Source: dht.SourceRouter, Peer: "http://r.example", Reason: "router http://r.example: bad"}, "router http://r.example: bad"},
	} {
		require.Equal(t, tc.want, tc.r.String())
	}
}
