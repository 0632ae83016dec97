package pointer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"slices"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"github.com/ipfs/boxo/ipns"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// drawRecord makes records that often agree in a part of what orders them. A
// document is signed either with V1 or without, never in both ways: the two
// forms have one ID, and boxo orders other documents between them.
func drawRecord(t *rapid.T) Record {
	f := Fields{
		Sequence: rapid.SampledFrom([]uint64{0, 1, 2, 255, 256, MaxSequence}).Draw(t, "sequence"),
		Expires:  testEnd.Add(rapid.SampledFrom([]time.Duration{0, 1, time.Second, -time.Hour}).Draw(t, "end")),
		TTL:      time.Duration(rapid.IntRange(0, 4).Draw(t, "ttl")),
	}
	f.V1 = f.TTL > 1
	if rapid.Bool().Draw(t, "card") {
		f.Card = &Card{Nickname: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "nickname")}
	}
	r, err := Sign(testKey(1), f)
	require.NoError(t, err)
	return r
}

func TestCompareOrdersAsBoxoSelects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var records []Record
		var wires [][]byte
		for range rapid.IntRange(1, 6).Draw(t, "records") {
			r := drawRecord(t)
			records = append(records, r)
			wires = append(wires, r.Bytes())
		}
		at, err := ipns.Validator{}.Select("", wires)
		require.NoError(t, err)
		best := slices.MaxFunc(records, Record.Compare)
		require.Equal(t, best.Sequence(), records[at].Sequence())
		require.Equal(t, best.Expires(), records[at].Expires())
		require.Equal(t, best.ID(), records[at].ID())
	})
}

// Records of equal sequence and end are ordered as boxo orders them, with a V1
// signature and without, whatever their values and cards.
func TestCompareOrdersTiesAsBoxoSelects(t *testing.T) {
	draw := func(t *rapid.T, label string) Record {
		f := Fields{
			Value:    rapid.SampledFrom([]string{"", "/ipfs/bafkqaaa", "/ipfs/bafkqaaa/a", "/ipfs/bafkqaaa/b"}).Draw(t, label+" value"),
			Sequence: 1, Expires: testEnd,
			TTL: time.Duration(rapid.IntRange(0, 500).Draw(t, label+" ttl")),
		}
		f.V1 = f.TTL%2 == 1
		if rapid.Bool().Draw(t, label+" card") {
			f.Card = &Card{Nickname: "a"}
		}
		r, err := Sign(testKey(1), f)
		require.NoError(t, err)
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		at, err := ipns.Validator{}.Select("", [][]byte{a.Bytes(), b.Bytes()})
		require.NoError(t, err)
		require.Equal(t, at == 1, a.Compare(b) < 0)
		require.Equal(t, a.ID() == b.ID(), a.Compare(b) == 0)
	})
}

// One document signed with V1 and without is one record.
func TestBothFormsOfADocumentAreOneRecord(t *testing.T) {
	f := Fields{Sequence: 1, Expires: testEnd}
	without, err := Sign(testKey(1), f)
	require.NoError(t, err)
	f.V1 = true
	with, err := Sign(testKey(1), f)
	require.NoError(t, err)
	require.NotEqual(t, without.Bytes(), with.Bytes())
	require.Equal(t, without.ID(), with.ID())
	require.Zero(t, without.Compare(with))
	require.Zero(t, with.Compare(without))
}

// The order is total over the IDs of documents, each in one form.
func TestCompareIsATotalOrderOverIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawRecord(t), drawRecord(t), drawRecord(t)
		require.Zero(t, a.Compare(a))
		require.Equal(t, a.Compare(b), -b.Compare(a))
		require.Equal(t, a.Compare(b) == 0, a.ID() == b.ID())
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 {
			require.LessOrEqual(t, a.Compare(c), 0)
		}
		require.Positive(t, a.Compare(Record{}), "no record is older than none")
	})
}

// Anybody can write one signed record in many ways; all are one record.
func TestIDAndOrderIgnoreTheEnvelope(t *testing.T) {
	key := testKey(1)
	r, err := Sign(key, Fields{Sequence: 1, Expires: testEnd, V1: true})
	require.NoError(t, err)
	var pb ipnspb.IpnsRecord
	require.NoError(t, proto.Unmarshal(r.Bytes(), &pb))
	own, err := encodeKey(key.Public())
	require.NoError(t, err)

	pb.PubKey = own
	withKey, err := proto.Marshal(&pb)
	require.NoError(t, err)
	pb.PubKey, pb.SignatureV1 = nil, []byte{1}
	otherV1, err := proto.Marshal(&pb)
	require.NoError(t, err)
	twice := protowire.AppendBytes(protowire.AppendTag(r.Bytes(), 9, protowire.BytesType), pb.GetData())
	before := protowire.AppendBytes(protowire.AppendTag(nil, 9, protowire.BytesType), []byte("overridden"))

	for name, b := range map[string][]byte{
		"key inside": withKey, "other V1 signature": otherV1, "data twice": twice, "data overridden": append(before, r.Bytes()...),
	} {
		require.False(t, bytes.Equal(b, r.Bytes()), name)
		again, err := Open(key.Pointer(), b, testNow)
		require.NoError(t, err, name)
		require.Equal(t, r.ID(), again.ID(), name)
		require.Zero(t, r.Compare(again), name)
		if name == "other V1 signature" { // nobody verifies it, so nobody can tell whose it is
			require.Equal(t, b, again.Bytes(), name)
		} else {
			require.Equal(t, r.Bytes(), again.Bytes(), name)
		}
	}
}

// For records with the same sequence and the same end, the signatures determine
// the order, since they stand before the data in the bytes that boxo compares.
// For some of the pairs the order of the data would be the opposite.
func TestForEqualSequencesAndEndsTheSignatureDecides(t *testing.T) {
	var records []Record
	for ttl := range 8 {
		r, err := Sign(testKey(1), Fields{Sequence: 1, Expires: testEnd, TTL: time.Duration(ttl)})
		require.NoError(t, err)
		records = append(records, r)
	}
	otherwise := 0
	for i, a := range records {
		for _, b := range records[i+1:] {
			at, err := ipns.Validator{}.Select("", [][]byte{a.Bytes(), b.Bytes()})
			require.NoError(t, err)
			require.Equal(t, at == 0, a.Compare(b) > 0)
			require.Equal(t, a.Compare(b), -b.Compare(a))
			if (bytes.Compare(a.signed, b.signed) > 0) != (a.Compare(b) > 0) {
				otherwise++
			}
		}
	}
	require.Positive(t, otherwise)
}

// A signer whose signatures are not a function of the message, such as some
// hardware, can sign one document twice. The two records have the same content.
func TestOneDocumentSignedTwiceIsOneRecord(t *testing.T) {
	key := testKey(1)
	one, err := Sign(key, Fields{Sequence: 1, Expires: testEnd})
	require.NoError(t, err)
	var pb ipnspb.IpnsRecord
	require.NoError(t, proto.Unmarshal(one.Bytes(), &pb))
	pb.SignatureV2 = signedAnew(t, key, append([]byte("ipns-signature:"), pb.GetData()...))
	b, err := proto.Marshal(&pb)
	require.NoError(t, err)
	other, err := Open(key.Pointer(), b, testNow)
	require.NoError(t, err)
	require.NotEqual(t, one.Bytes(), other.Bytes())
	require.Equal(t, one.ID(), other.ID())
	require.Zero(t, one.Compare(other))
	require.Zero(t, other.Compare(one))
}

// signedAnew is a signature according to RFC 8032, §5.1.6, except for its
// nonce.
func signedAnew(t testing.TB, key *Key, message []byte) []byte {
	t.Helper()
	h := sha512.Sum512(key.private.key.Seed())
	secret, err := edwards25519.NewScalar().SetBytesWithClamping(h[:32])
	require.NoError(t, err)
	seed := sha512.Sum512([]byte("another nonce"))
	nonce, err := edwards25519.NewScalar().SetUniformBytes(seed[:])
	require.NoError(t, err)
	commitment := new(edwards25519.Point).ScalarBaseMult(nonce).Bytes()
	sum := sha512.Sum512(slices.Concat(commitment, key.Public().(ed25519.PublicKey), message))
	challenge, err := edwards25519.NewScalar().SetUniformBytes(sum[:])
	require.NoError(t, err)
	return append(commitment, edwards25519.NewScalar().MultiplyAdd(challenge, secret, nonce).Bytes()...)
}
