package delegation

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// golden is the delegation of alice to her peer key in epoch 2.
const golden = "825840a242f322c5019b11dfc5f871d4d00645c645a8f09d703a624ae826417f2213bab4ee71adcfc403541301" +
	"070c370c7413e00fcbc1e8cc346ea453f1e2a46e0203585d8601582600240801122038088e4c2ae82f5c45c680" +
	"8a61a6490d3c612ce1da235714466fc748fbc4cbbb5826002408011220bf3fb4c7bc1cdd95630b4ce466c3f16f" +
	"ff3f1298711254907c5780f9c11a08c4021a69a42a401a69ad64c0"

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// testKey returns the key of a party, from its name.
func testKey(t testing.TB, party string) *pointer.Key {
	seed := make([]byte, 32)
	copy(seed, party)
	key, err := pointer.NewKey(bytes.NewReader(seed))
	require.NoError(t, err)
	return key
}

// delegate returns the delegation of a party to a peer key, for a week from testNow.
func delegate(t testing.TB, party, peer string, epoch uint64) Delegation {
	d, err := Sign(testKey(t, party), testKey(t, peer).Pointer(), epoch, testNow, testNow.Add(MaxLifetime))
	require.NoError(t, err)
	return d
}

// A delegation keeps its wire format.
func TestDelegationsKeepTheirWireFormat(t *testing.T) {
	d := delegate(t, "alice", "alice's peer", 2)
	require.Equal(t, testKey(t, "alice").Pointer(), d.By())
	require.Equal(t, testKey(t, "alice's peer").Pointer(), d.Peer())
	require.Equal(t, uint64(2), d.Epoch())
	require.Equal(t, testNow.Add(MaxLifetime), d.Expires())
	require.Equal(t, golden, hex.EncodeToString(d.Bytes()))
	again, err := Open(d.Bytes())
	require.NoError(t, err)
	require.Equal(t, d, again)
	require.False(t, d.IsZero())
	require.True(t, Delegation{}.IsZero())
}

// resign returns a delegation with another body, signed by alice.
func resign(t testing.TB, change func(*body)) []byte {
	b := delegate(t, "alice", "alice's peer", 2).body
	change(&b)
	raw, err := canonical.Marshal(b)
	require.NoError(t, err)
	signature, err := testKey(t, "alice").Sign(nil, append([]byte(domain), raw...), crypto.Hash(0))
	require.NoError(t, err)
	out, err := canonical.Marshal(signed{Signature: signature, Body: raw})
	require.NoError(t, err)
	return out
}

// A delegation of which one field is wrong, and properly signed, is refused.
func TestForgedDelegationsAreRefused(t *testing.T) {
	_, err := Open(resign(t, func(*body) {}))
	require.NoError(t, err)
	for name, change := range map[string]func(*body){
		"another version":        func(b *body) { b.Version = 2 },
		"signed by another":      func(b *body) { b.By = testKey(t, "mallory").Pointer().Bytes() },
		"no pointer":             func(b *body) { b.By = []byte{} },
		"no peer":                func(b *body) { b.Peer = []byte("x") },
		"longer than a week":     func(b *body) { b.Expires++ },
		"ends before it starts":  func(b *body) { b.Expires = b.Made },
		"before 1970":            func(b *body) { b.Made, b.Expires = -5, 5 },
		"of a far future":        func(b *body) { b.Made, b.Expires = maxSeconds, maxSeconds+1 },
		"times that wrap around": func(b *body) { b.Made, b.Expires = -1<<62, 1<<62 },
	} {
		_, err := Open(resign(t, change))
		require.ErrorIs(t, err, ErrInvalid, name)
	}
	good := delegate(t, "alice", "alice's peer", 2).Bytes()
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		_, err := Open(bad)
		require.ErrorIs(t, err, ErrInvalid, "byte %d", i)
		_, err = Open(good[:i])
		require.ErrorIs(t, err, ErrInvalid, "cut at %d", i)
	}
	_, err = Open(append(bytes.Clone(good), 0))
	require.ErrorIs(t, err, ErrInvalid)
	_, err = Sign(testKey(t, "alice"), testKey(t, "p").Pointer(), 0, testNow, testNow.Add(MaxLifetime+time.Second))
	require.ErrorIs(t, err, ErrInvalid, "nor is it signed")
	_, err = Sign(testKey(t, "alice"), pointer.Pointer{}, 0, testNow, testNow.Add(time.Hour))
	require.ErrorIs(t, err, ErrInvalid)
}

// A delegation is valid in its time and its epoch, and one that a clock far ahead signed is not.
func TestADelegationIsValidInItsTimeAndEpoch(t *testing.T) {
	d := delegate(t, "alice", "alice's peer", 2)
	for _, test := range []struct {
		name  string
		now   time.Time
		epoch uint64
		want  error
	}{
		{"at its beginning", testNow, 2, nil},
		{"of a later epoch than the card", testNow, 1, nil},
		{"of no card", testNow, 0, nil},
		{"of an earlier epoch than the card", testNow, 3, ErrEpoch},
		{"in its last second", testNow.Add(MaxLifetime - time.Second), 2, nil},
		{"expired", testNow.Add(MaxLifetime), 2, ErrExpired},
		{"a day ahead", testNow.Add(-maxAhead), 2, nil},
		{"over a day ahead", testNow.Add(-maxAhead - time.Second), 2, ErrExpired},
	} {
		require.ErrorIs(t, d.Check(test.now, test.epoch), test.want, test.name)
	}
	require.Error(t, Delegation{}.Check(testNow, 0))
}
