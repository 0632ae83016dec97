package pointer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/multiformats/go-multibase"
	"github.com/multiformats/go-multihash"
	"github.com/stretchr/testify/require"
)

// Only a short key stands in its pointer: a long one there would be a second
// pointer of a key that has one by its hash.
func TestLongKeysAreNotReadInline(t *testing.T) {
	for name, kind := range map[string]int{"RSA": ic.RSA, "ECDSA": ic.ECDSA} {
		_, public, err := ic.GenerateKeyPair(kind, 2048)
		require.NoError(t, err)
		encoded, err := ic.MarshalPublicKey(public)
		require.NoError(t, err)
		mh, err := multihash.Encode(encoded, multihash.IDENTITY)
		require.NoError(t, err)
		_, err = FromBytes(mh)
		require.ErrorContains(t, err, "over 42", name)
	}
}

// lowOrder are the eight points of the torsion group in their canonical
// spellings (the table of "Taming the many EdDSAs", Chalkias, Garillot and
// Nikolaenko 2020, §C).
var lowOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}

// requirePointRefused tries a point by every way in.
func requirePointRefused(t *testing.T, raw []byte, why string) {
	t.Helper()
	encoded := append([]byte{0x08, 0x01, 0x12, 0x20}, raw...)
	mh := append([]byte{0x00, 0x24}, encoded...)
	_, err := FromBytes(mh)
	require.ErrorContains(t, err, why)
	_, err = FromPublicKey(ed25519.PublicKey(raw))
	require.ErrorContains(t, err, why)
	_, err = decodeKey(encoded)
	require.ErrorContains(t, err, why)
	requireRefused(t, inBase36(t, append([]byte{0x01, 0x72}, mh...)), why)
	requireRefused(t, multihash.Multihash(mh).B58String(), why)
	requireRefused(t, "did:key:"+mustEncode(t, multibase.Base58BTC, append([]byte{0xed, 0x01}, raw...)), why)
}

func TestPointsOfLowOrderAreRefused(t *testing.T) {
	eight := edwards25519.NewIdentityPoint()
	for _, s := range lowOrder {
		raw := unhex(t, s)
		point, err := new(edwards25519.Point).SetBytes(raw)
		require.NoError(t, err)
		require.Equal(t, 1, new(edwards25519.Point).MultByCofactor(point).Equal(eight), "the table holds low order")
		requirePointRefused(t, raw, "low order")
	}
}

// A point is spelled otherwise when y stands there plus p (possible for y from
// 0 to 18), or when x = 0 carries the sign of a negative x (y = 1 and -1).
func TestNonCanonicalSpellingsOfPointsAreRefused(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	onCurve := 0
	try := func(y *big.Int, sign byte) {
		raw := y.FillBytes(make([]byte, 32))
		for i := range 16 {
			raw[i], raw[31-i] = raw[31-i], raw[i]
		}
		raw[31] |= sign << 7
		why := "not a point"
		if point, err := new(edwards25519.Point).SetBytes(raw); err == nil {
			onCurve++
			why = "non-canonical"
			require.NotEqual(t, raw, point.Bytes())
			if new(edwards25519.Point).MultByCofactor(point).Equal(edwards25519.NewIdentityPoint()) == 1 {
				why = "holds an Ed25519 key" // refused by either check
			}
		}
		requirePointRefused(t, raw, why)
	}
	for k := range int64(19) {
		try(new(big.Int).Add(p, big.NewInt(k)), 0)
		try(new(big.Int).Add(p, big.NewInt(k)), 1)
	}
	try(big.NewInt(1), 1)
	try(new(big.Int).Sub(p, big.NewInt(1)), 1)
	require.Equal(t, 26, onCurve, "the library takes 26 spellings that RFC 8032 refuses")
}

func TestZeroPointerIsInvalidEverywhere(t *testing.T) {
	var p Pointer
	require.True(t, p.IsZero())
	require.False(t, testKey(1).Pointer().IsZero())
	require.Equal(t, "(no pointer)", p.String())
	require.Equal(t, "(no pointer)", fmt.Sprint(p))
	require.Equal(t, "(no pointer)", p.Short())
	require.Empty(t, p.Bytes())
	require.Error(t, p.Verify([]byte("m"), make([]byte, 64)))
	_, err := p.MarshalText()
	require.Error(t, err)
	_, err = json.Marshal(struct{ P Pointer }{})
	require.Error(t, err)
	_, err = Parse(p.String())
	require.Error(t, err)
	_, err = FromBytes(p.Bytes())
	require.Error(t, err)
	_, err = Open(p, seal(testKey(1), encodeMap(honest()), nil), testNow)
	require.ErrorIs(t, err, ErrInvalid)
	_, err = ParseLink(Link{}.String())
	require.Error(t, err)
}

func TestPointerIsAMapKeyAndText(t *testing.T) {
	a, b := testKey(1).Pointer(), testKey(2).Pointer()
	again, err := Parse(strings.ToUpper(a.String()))
	require.NoError(t, err)
	names := map[Pointer]string{a: "ann", b: "bob"}
	require.Equal(t, "ann", names[again])

	text, err := json.Marshal(names)
	require.NoError(t, err)
	var back map[Pointer]string
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, names, back)

	text, err = json.Marshal([]Pointer{a})
	require.NoError(t, err)
	require.Equal(t, `["`+a.String()+`"]`, string(text))
	var list []Pointer
	require.NoError(t, json.Unmarshal(text, &list))
	require.Equal(t, []Pointer{a}, list)

	kept := b
	require.Error(t, kept.UnmarshalText([]byte("")))
	require.Error(t, kept.UnmarshalText([]byte(a.String()[:40])))
	require.Equal(t, b, kept, "a failed UnmarshalText changes nothing")
}

func TestPointerSharesNoBytes(t *testing.T) {
	p := testKey(1).Pointer()
	b := p.Bytes()
	q, err := FromBytes(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, p, q)
	require.Equal(t, testKey(1).Pointer(), p)
}

func TestRestoreReadsWhatBytesWrote(t *testing.T) {
	for kind, p := range pointersOfAllKinds(t) {
		got, err := Restore(p.Bytes())
		require.NoError(t, err, kind)
		require.Equal(t, p, got, kind)
		for n := range len(p.Bytes()) {
			_, err := Restore(p.Bytes()[:n])
			require.Error(t, err, "%s cut to %d bytes", kind, n)
		}
		_, err = Restore(append(p.Bytes(), 0))
		require.Error(t, err, kind)
	}
	b := testKey(1).Pointer().Bytes()
	got, err := Restore(b)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, testKey(1).Pointer(), got, "it keeps no bytes of the caller's")
}

func TestShortShowsBothEnds(t *testing.T) {
	p := testKey(1).Pointer()
	require.Equal(t, "k51…"+p.String()[len(p.String())-6:], p.Short())
}

func TestVerifyAcceptsTheOwnersSignatureAlone(t *testing.T) {
	key := testKey(1)
	message := []byte("message")
	sig := ed25519.Sign(*key.private.key, message)
	require.NoError(t, key.Pointer().Verify(message, sig))
	require.Error(t, key.Pointer().Verify([]byte("massage"), sig))
	require.Error(t, testKey(2).Pointer().Verify(message, sig))
	require.Error(t, key.Pointer().Verify(message, nil))
	require.Error(t, key.Pointer().Verify(message, append(sig, 0)))
	// S + L is the same number to a careless verifier (RFC 8032, §5.1.7).
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := bytes.Clone(sig[32:])
	for i := range 16 {
		s[i], s[31-i] = s[31-i], s[i]
	}
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	for i := range 16 {
		sum[i], sum[31-i] = sum[31-i], sum[i]
	}
	require.Error(t, key.Pointer().Verify(message, append(bytes.Clone(sig[:32]), sum...)))
}

func FuzzFromBytes(f *testing.F) {
	for _, p := range pointersOfAllKinds(f) {
		f.Add(p.Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := FromBytes(b)
		if err != nil {
			return
		}
		require.Equal(t, b, p.Bytes())
		again, err := Parse(p.String())
		require.NoError(t, err)
		require.Equal(t, p, again)
	})
}
