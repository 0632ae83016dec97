package pointer

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/boxo/ipns"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// boxoOpens is boxo's judgement, but for the end: it reads the real clock, and
// looks at the end after everything else but the TTL's sign.
func boxoOpens(p Pointer, b []byte) (*ipns.Record, bool) {
	rec, err := ipns.UnmarshalRecord(b)
	if err != nil {
		return nil, false
	}
	err = ipns.ValidateWithName(rec, ipns.NameFromPeer(peer.ID(p.multihash)))
	return rec, err == nil || errors.Is(err, ipns.ErrExpiredRecord)
}

// checkAgainstBoxo fails when Open accepts what boxo refuses, or reads it
// otherwise; it reports whether Open accepted.
func checkAgainstBoxo(t interface {
	require.TestingT
	Helper()
}, p Pointer, b []byte) bool {
	t.Helper()
	rec, accepted := boxoOpens(p, b)
	r, ok := authentic(p, b)
	if !ok {
		_, err := Open(p, b, testNow)
		require.ErrorIs(t, err, ErrInvalid)
		require.Less(t, len(err.Error()), 1000)
		return false
	}
	require.True(t, accepted, "boxo refuses what Open accepts")
	sequence, err := rec.Sequence()
	require.NoError(t, err)
	require.Equal(t, sequence, r.Sequence())
	ttl, err := rec.TTL()
	require.NoError(t, err)
	require.Equal(t, ttl, r.TTL())
	require.GreaterOrEqual(t, ttl.Nanoseconds(), int64(0))
	end, err := rec.Validity()
	require.NoError(t, err)
	require.Equal(t, end, r.Expires())
	value, err := rec.Value()
	require.NoError(t, err)
	require.Equal(t, value.String(), r.Value())
	card, has := r.Card()
	require.Equal(t, rec.MetadataExists(cardKey), has)
	if has {
		meta, err := rec.Metadata(cardKey)
		require.NoError(t, err)
		signed, err := meta.AsBytes()
		require.NoError(t, err)
		again, err := card.Encode()
		require.NoError(t, err)
		require.Equal(t, signed, again)
	}
	require.Equal(t, rec.MetadataExists(payloadKey), r.Payload() != nil)
	if r.Payload() != nil {
		require.False(t, has)
		meta, err := rec.Metadata(payloadKey)
		require.NoError(t, err)
		signed, err := meta.AsBytes()
		require.NoError(t, err)
		require.Equal(t, signed, r.Payload())
	}
	return true
}

// fuzzNames are the pointers that raw fuzz input is opened against.
func fuzzNames(t testing.TB) []Pointer {
	names := []Pointer{testKey(1).Pointer()}
	for _, v := range kuboVectors {
		p, _ := kubo(t, v.name)
		names = append(names, p)
	}
	return names
}

// fuzzSeed: which of the names; sign: take data as the signed document, sign
// it with testKey(1), and put tail behind the envelope.
type fuzzSeed struct {
	name       uint8
	sign       bool
	data, tail []byte
}

func fuzzSeeds(t testing.TB) []fuzzSeed {
	var seeds []fuzzSeed
	for i, v := range kuboVectors {
		_, b := kubo(t, v.name)
		var pb ipnspb.IpnsRecord
		require.NoError(t, proto.Unmarshal(b, &pb))
		seeds = append(seeds, fuzzSeed{uint8(i + 1), false, b, nil}, fuzzSeed{0, true, pb.GetData(), nil}, fuzzSeed{0, true, pb.GetData(), b[:len(b)/2]})
	}
	for _, f := range []Fields{
		{Expires: testEnd}, {Expires: testNow, Sequence: MaxSequence, V1: true},
		{Expires: testEnd, Card: &Card{Nickname: "Ann"}}, {Expires: testEnd, Card: fullCard()},
		{Expires: testEnd, Payload: []byte("message")}, {Expires: testEnd, Payload: make([]byte, 8000), V1: true},
	} {
		r, err := Sign(testKey(1), f)
		require.NoError(t, err)
		seeds = append(seeds, fuzzSeed{0, false, r.Bytes(), nil}, fuzzSeed{0, true, r.signed, nil}, fuzzSeed{0, true, r.signed, []byte{0x50, 0x01}})
	}
	for _, entries := range [][]entry{
		with(honest(), entry{"_x", mustCBOR([]any{1, -1, "a", []byte{1}, true, nil, 1.5, map[string]any{"k": []int{}}})}),
		with(honest(), entry{"TTL", mustCBOR(-1)}), with(honest(), entry{"Sequence", mustCBOR(uint64(1 << 63))}),
		without(honest(), "Value"), append(honest()[1:], honest()[0]),
		with(honest(), entry{payloadKey, mustCBOR("text")}), with(honest(), entry{payloadKey, mustCBOR([]byte{})}),
		with(honest(), entry{cardKey, mustCBOR([]byte{0xa1, 0x01, 0x01})}, entry{payloadKey, mustCBOR([]byte{1})}),
	} {
		seeds = append(seeds, fuzzSeed{0, true, encodeMap(entries), nil})
	}
	return seeds
}

func FuzzOpenAgainstBoxo(f *testing.F) {
	for _, s := range fuzzSeeds(f) {
		f.Add(s.name, s.sign, s.data, s.tail)
	}
	names := fuzzNames(f)
	f.Fuzz(func(t *testing.T, name uint8, sign bool, data, tail []byte) {
		b := bytes.Clone(data)
		if sign {
			b = append(seal(testKey(1), data, nil), tail...)
		}
		checkAgainstBoxo(t, names[int(name)%len(names)], b)
	})
}

func TestFuzzSeedsAreAcceptedAndRefused(t *testing.T) {
	names := fuzzNames(t)
	accepted, refused := 0, 0
	for _, s := range fuzzSeeds(t) {
		b := s.data
		if s.sign {
			b = append(seal(testKey(1), s.data, nil), s.tail...)
		}
		if checkAgainstBoxo(t, names[s.name], b) {
			accepted++
		} else {
			refused++
		}
	}
	require.Greater(t, accepted, 10)
	require.Greater(t, refused, 4)
}

// drawDAG draws what a metadata value may hold.
func drawDAG(t *rapid.T, depth int) any {
	kinds := 9
	if depth > 3 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.Uint64().Draw(t, "uint")
	case 1:
		return rapid.Int64().Draw(t, "int")
	case 2:
		return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")
	case 3:
		return rapid.StringN(0, 30, 300).Draw(t, "text")
	case 4:
		return rapid.SampledFrom([]any{true, false, nil, math.Copysign(0, -1), int64(math.MinInt64), uint64(math.MaxUint64)}).Draw(t, "simple")
	case 5:
		return rapid.Float64().Filter(func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }).Draw(t, "float")
	case 6:
		return cbor.Tag{Number: 42, Content: append([]byte{0}, cid.MustParse("bafkqaaa").Bytes()...)}
	case 7:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		for i := range list {
			list[i] = drawDAG(t, depth+1)
		}
		return list
	default:
		fields := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "pairs") {
			fields[rapid.StringN(0, 12, 40).Draw(t, "name")] = drawDAG(t, depth+1)
		}
		return fields
	}
}

// Honest metadata of any shape opens; with one byte changed before it is
// signed, boxo refuses nothing that Open accepts.
func TestMetadataOfEveryShapeIsReadAsBoxoReadsIt(t *testing.T) {
	encoder, err := cbor.EncOptions{Sort: cbor.SortLengthFirst}.EncMode()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		value, err := encoder.Marshal(drawDAG(t, 0))
		require.NoError(t, err)
		data := encodeMap(with(honest(), entry{"_x", value}))
		if len(data) > MaxRecord-200 {
			return
		}
		key := testKey(1)
		r, err := Open(key.Pointer(), seal(key, data, nil), testNow)
		_, accepted := boxoOpens(key.Pointer(), seal(key, data, nil))
		require.Equal(t, accepted, err == nil, "%v", err)
		if err == nil {
			checkAgainstBoxo(t, key.Pointer(), r.Bytes())
		}
		data[rapid.IntRange(0, len(data)-1).Draw(t, "at")] ^= rapid.ByteMin(1).Draw(t, "xor")
		checkAgainstBoxo(t, key.Pointer(), seal(key, data, nil))
	})
}

// strictDAG is the slow way to say what readDocument's walk says: decode and
// encode again, with another CBOR library.
func strictDAG(b []byte) bool {
	decoder, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: maxDepth,
		NaN: cbor.NaNDecodeForbidden, Inf: cbor.InfDecodeForbidden, BignumTag: cbor.BignumTagForbidden,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	encoder, err := cbor.EncOptions{Sort: cbor.SortLengthFirst}.EncMode()
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	if decoder.Unmarshal(b, &fields) != nil {
		return false
	}
	again, err := encoder.Marshal(fields)
	return err == nil && bytes.Equal(again, b)
}

func FuzzDocument(f *testing.F) {
	for _, s := range fuzzSeeds(f) {
		f.Add(s.data)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := readDocument(b)
		if err != nil {
			return
		}
		if !strictDAG(b) {
			t.Fatal("accepted, and doesn't encode back to the same bytes")
		}
		var fields map[string]any
		require.NoError(t, cbor.Unmarshal(b, &fields))
		require.Equal(t, fields["Sequence"], d.sequence)
		require.Equal(t, fields["TTL"], d.ttl)
		require.Equal(t, fields["ValidityType"], d.validityType)
		require.Equal(t, fields["Value"], d.value[:len(d.value):len(d.value)])
		require.Equal(t, fields["Validity"], d.validity)
	})
}
