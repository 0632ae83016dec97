package pointer

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	_ "github.com/petnames-go/petnames/pointer/lawtest" // a fixed seed
)

// signFunc is a crypto.Signer in somebody else's hands.
type signFunc struct {
	public crypto.PublicKey
	sign   func(message []byte) ([]byte, error)
}

func (s signFunc) Public() crypto.PublicKey { return s.public }
func (s signFunc) Sign(_ io.Reader, message []byte, _ crypto.SignerOpts) ([]byte, error) {
	return s.sign(message)
}

func TestForeignSignersAreVerified(t *testing.T) {
	key := testKey(1)
	fields := Fields{Sequence: 1, Expires: testEnd}
	own, err := Sign(key, fields)
	require.NoError(t, err)
	foreign, err := Sign(*key.private.key, fields)
	require.NoError(t, err)
	require.Equal(t, own, foreign, "ed25519.PrivateKey signs the same record")

	honestly := func(m []byte) ([]byte, error) { return key.Sign(nil, m, crypto.Hash(0)) }
	_, err = Sign(signFunc{key.Public(), honestly}, fields)
	require.NoError(t, err)
	for name, signer := range map[string]crypto.Signer{
		"signs wrong":        signFunc{key.Public(), func(m []byte) ([]byte, error) { s, err := honestly(m); s[0] ^= 1; return s, err }},
		"signs other bytes":  signFunc{key.Public(), func(m []byte) ([]byte, error) { return honestly(append(m, 0)) }},
		"signs nothing":      signFunc{key.Public(), func([]byte) ([]byte, error) { return nil, nil }},
		"is another key":     signFunc{testKey(2).Public(), honestly},
		"fails":              signFunc{key.Public(), func([]byte) ([]byte, error) { return nil, errors.New("locked") }},
		"has an odd key":     signFunc{ed25519.PublicKey{1, 2, 3}, honestly},
		"has no key":         signFunc{nil, honestly},
		"has low-order key":  signFunc{ed25519.PublicKey(make([]byte, 32)), honestly},
		"is no signer":       nil,
		"is a nil *Key":      (*Key)(nil),
		"is the zero *Key":   new(Key),
		"is an ed25519 zero": signFunc{ed25519.PublicKey(nil), honestly},
	} {
		_, err := Sign(signer, fields)
		require.Error(t, err, name)
	}
}

func TestSignRefusesWhatOpenWould(t *testing.T) {
	key := testKey(1)
	for name, f := range map[string]Fields{
		"sequence 2^63":    {Sequence: 1 << 63, Expires: testEnd},
		"negative TTL":     {TTL: -1, Expires: testEnd},
		"value":            {Value: "hello", Expires: testEnd},
		"year 10000":       {Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"year -1":          {Expires: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)},
		"nickname":         {Expires: testEnd, Card: &Card{Nickname: strings.Repeat("a", 65)}},
		"record too large": {Expires: testEnd, Value: NoValue + "/" + strings.Repeat("a", MaxRecord)},
		"card too large":   {Expires: testEnd, Card: &Card{Nodes: [][]byte{make([]byte, MaxRecord)}}},
		"payload too long": {Expires: testEnd, Payload: make([]byte, MaxRecord)},
		"card and payload": {Expires: testEnd, Card: &Card{}, Payload: []byte{1}},
	} {
		_, err := Sign(key, f)
		require.ErrorContains(t, err, "signing a record: ", name)
		if strings.Contains(name, "too l") {
			require.ErrorContains(t, err, "shorten", name) // the remedy
		}
		require.Less(t, len(err.Error()), 600)
	}
}

func TestWhatSignReturnsOpenReadsTheSame(t *testing.T) {
	values := []string{"", NoValue, "/ipns/example.org", NoValue + "/a//b/../c/", "/ipns/" + testKey(3).Pointer().String() + "/é\x00\xff"}
	rapid.Check(t, func(t *rapid.T) {
		key := testKey(rapid.Byte().Draw(t, "key"))
		f := Fields{
			Value:    rapid.SampledFrom(values).Draw(t, "value"),
			Sequence: rapid.Uint64Range(0, MaxSequence).Draw(t, "sequence"),
			Expires: time.Unix(rapid.Int64Range(-62167219200, 253402300799).Draw(t, "seconds"),
				rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")).In(time.FixedZone("", rapid.IntRange(-12, 12).Draw(t, "zone")*3600)),
			TTL: time.Duration(rapid.Int64Min(0).Draw(t, "ttl")),
			V1:  rapid.Bool().Draw(t, "v1"),
		}
		if rapid.Bool().Draw(t, "card") {
			f.Card = &Card{Nickname: rapid.StringN(0, 16, 64).Draw(t, "nickname"), Nodes: [][]byte{}, Edges: map[string]Edge{}}
		} else {
			f.Payload = rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
		}
		made, err := Sign(key, f)
		require.NoError(t, err)
		opened, err := Open(key.Pointer(), made.Bytes(), f.Expires)
		require.NoError(t, err)
		require.Equal(t, made, opened)
		require.Equal(t, f.Sequence, opened.Sequence())
		require.Equal(t, f.TTL, opened.TTL())
		require.True(t, bytes.Equal(f.Payload, opened.Payload()))
		require.True(t, f.Expires.Equal(opened.Expires()))
		// and so do boxo's readers
		rec, err := ipns.UnmarshalRecord(made.Bytes())
		require.NoError(t, err)
		value, err := rec.Value()
		require.NoError(t, err)
		require.Equal(t, value.String(), opened.Value())
	})
}
