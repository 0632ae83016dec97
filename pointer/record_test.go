package pointer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	ic "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

func TestHandMadeRecordOpens(t *testing.T) {
	key := testKey(1)
	r, err := Open(key.Pointer(), seal(key, encodeMap(honest()), nil), testNow)
	require.NoError(t, err)
	require.Equal(t, NoValue, r.Value())
	require.Equal(t, uint64(7), r.Sequence())
	require.Equal(t, time.Hour, r.TTL())
	require.Equal(t, testEnd, r.Expires())
}

// Each of these carries a right signature by the right key, and differs in one
// thing from the record of TestHandMadeRecordOpens.
func TestValidlySignedRecordsThatBreakTheRulesAreRefused(t *testing.T) {
	key := testKey(1)
	number := func(n uint64) []byte { return mustCBOR(n) }
	text := func(s string) []byte { return mustCBOR([]byte(s)) }
	deep := bytes.Repeat([]byte{0x81}, 40)
	unsorted := honest()
	unsorted[0], unsorted[1] = unsorted[1], unsorted[0]
	card := func(b []byte) []byte { return encodeMap(with(honest(), entry{cardKey, mustCBOR(b)})) }
	good := encodeMap(honest())
	for name, data := range map[string][]byte{
		"sequence 2^63":                  encodeMap(with(honest(), entry{"Sequence", number(1 << 63)})),
		"sequence 2^64-1":                encodeMap(with(honest(), entry{"Sequence", number(math.MaxUint64)})),
		"negative sequence":              encodeMap(with(honest(), entry{"Sequence", mustCBOR(-1)})),
		"negative TTL":                   encodeMap(with(honest(), entry{"TTL", mustCBOR(-1)})),
		"TTL 2^63":                       encodeMap(with(honest(), entry{"TTL", number(1 << 63)})),
		"no Value":                       encodeMap(without(honest(), "Value")),
		"no Validity":                    encodeMap(without(honest(), "Validity")),
		"no ValidityType":                encodeMap(without(honest(), "ValidityType")),
		"no Sequence":                    encodeMap(without(honest(), "Sequence")),
		"no TTL":                         encodeMap(without(honest(), "TTL")),
		"Value is text":                  encodeMap(with(honest(), entry{"Value", mustCBOR(NoValue)})),
		"Value is null":                  encodeMap(with(honest(), entry{"Value", []byte{0xf6}})),
		"Validity is text":               encodeMap(with(honest(), entry{"Validity", mustCBOR(testEnd.Format(time.RFC3339Nano))})),
		"Validity is no time":            encodeMap(with(honest(), entry{"Validity", text("tomorrow")})),
		"ValidityType 1":                 encodeMap(with(honest(), entry{"ValidityType", number(1)})),
		"ValidityType is text":           encodeMap(with(honest(), entry{"ValidityType", mustCBOR("0")})),
		"Sequence is a float":            encodeMap(with(honest(), entry{"Sequence", mustCBOR(float64(7))})),
		"Sequence is bytes":              encodeMap(with(honest(), entry{"Sequence", text("7")})),
		"TTL is a float":                 encodeMap(with(honest(), entry{"TTL", mustCBOR(1.5)})),
		"value is no path":               encodeMap(with(honest(), entry{"Value", text("/etc/passwd")})),
		"value is text without meaning":  encodeMap(with(honest(), entry{"Value", text("hello")})),
		"value is /ipfs without a CID":   encodeMap(with(honest(), entry{"Value", text("/ipfs/")})),
		"value is /ipfs with a bad CID":  encodeMap(with(honest(), entry{"Value", text("/ipfs/bafybad")})),
		"unsorted keys":                  encodeMap(unsorted),
		"duplicate key":                  encodeMap(append(honest()[:1], honest()...)),
		"duplicate key, other value":     encodeMap(append([]entry{{"TTL", number(1)}}, honest()...)),
		"indefinite map":                 append(append([]byte{0xbf}, good[1:]...), 0xff),
		"indefinite byte string":         encodeMap(with(honest(), entry{"Value", append(append([]byte{0x5f}, text(NoValue)...), 0xff)})),
		"integer not in shortest form":   encodeMap(with(honest(), entry{"Sequence", []byte{0x18, 0x07}})),
		"trailing byte":                  append(good[:len(good):len(good)], 0x00),
		"map says one pair too many":     append([]byte{good[0] + 1}, good[1:]...),
		"map says one pair too few":      append([]byte{good[0] - 1}, good[1:]...),
		"not a map":                      mustCBOR([]string{"Value"}),
		"integer key":                    append(append([]byte{good[0] + 1}, 0x01, 0x01), good[1:]...),
		"metadata: NaN":                  encodeMap(with(honest(), entry{"_x", []byte{0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0}})),
		"metadata: float of 32 bits":     encodeMap(with(honest(), entry{"_x", []byte{0xfa, 0x3f, 0x80, 0, 0}})),
		"metadata: undefined":            encodeMap(with(honest(), entry{"_x", []byte{0xf7}})),
		"metadata: an unknown tag":       encodeMap(with(honest(), entry{"_x", append([]byte{0xd8, 43}, mustCBOR(append([]byte{0}, cid.MustParse("bafkqaaa").Bytes()...))...)})),
		"metadata: a link of text":       encodeMap(with(honest(), entry{"_x", []byte{0xd8, 42, 0x61, 'a'}})),
		"metadata: a link to nothing":    encodeMap(with(honest(), entry{"_x", []byte{0xd8, 42, 0x40}})),
		"metadata: a link behind a one":  encodeMap(with(honest(), entry{"_x", append([]byte{0xd8, 42}, mustCBOR(append([]byte{1}, cid.MustParse("bafkqaaa").Bytes()...))...)})),
		"metadata: a link to no CID":     encodeMap(with(honest(), entry{"_x", []byte{0xd8, 42, 0x42, 0x00, 0x01}})),
		"metadata: a link without zero":  encodeMap(with(honest(), entry{"_x", append([]byte{0xd8, 42}, mustCBOR(cid.MustParse("bafkqaaa").Bytes())...)})),
		"metadata: below -2^63":          encodeMap(with(honest(), entry{"_x", []byte{0x3b, 0x80, 0, 0, 0, 0, 0, 0, 0}})),
		"metadata: a date tag":           encodeMap(with(honest(), entry{"_x", []byte{0xc1, 0x00}})),
		"metadata: text is not UTF-8":    encodeMap(with(honest(), entry{"_x", []byte{0x61, 0xff}})),
		"metadata: key is not UTF-8":     append(append([]byte{good[0] + 1}, 0x61, 0xff, 0x00), good[1:]...),
		"metadata: inner key not UTF-8":  encodeMap(with(honest(), entry{"_x", []byte{0xa1, 0x61, 0xff, 0x00}})),
		"metadata: infinity":             encodeMap(with(honest(), entry{"_x", []byte{0xfb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0}})),
		"metadata: duplicate inner key":  encodeMap(with(honest(), entry{"_x", []byte{0xa2, 0x61, 'a', 0x00, 0x61, 'a', 0x00}})),
		"metadata: nested 40 deep":       encodeMap(with(honest(), entry{"_x", append(deep, 0x00)})),
		"metadata: nested 16 deep":       encodeMap(with(honest(), entry{"_x", append(bytes.Repeat([]byte{0x81}, maxDepth), 0x00)})),
		"metadata: unsorted nested keys": encodeMap(with(honest(), entry{"_x", []byte{0xa2, 0x61, 'b', 0x00, 0x61, 'a', 0x00}})),
		"metadata: a length of 2^63":     encodeMap(with(honest(), entry{"_x", []byte{0x5b, 0x80, 0, 0, 0, 0, 0, 0, 0}})),
		"metadata: a list of 2^32":       encodeMap(with(honest(), entry{"_x", []byte{0x9b, 0, 0, 0, 1, 0, 0, 0, 0}})),
		"card is text":                   encodeMap(with(honest(), entry{cardKey, mustCBOR("\xa1\x01\x01")})),
		"card is a map":                  encodeMap(with(honest(), entry{cardKey, []byte{0xa1, 0x61, 'v', 0x01}})),
		"card is empty":                  card(nil),
		"card of version 2":              card([]byte{0xa1, 0x01, 0x02}),
		"card without a version":         card([]byte{0xa1, 0x02, 0x61, 'A'}),
		"card is not canonical":          card([]byte{0xa1, 0x01, 0x18, 0x01}),
		"card with unsorted keys":        card([]byte{0xa2, 0x02, 0x61, 'A', 0x01, 0x01}),
		"card with an empty nickname":    card([]byte{0xa2, 0x01, 0x01, 0x02, 0x60}),
		"card with a nickname of bytes":  card([]byte{0xa2, 0x01, 0x01, 0x02, 0x41, 'A'}),
		"nickname of 65 bytes":           card(append([]byte{0xa2, 0x01, 0x01, 0x02, 0x78, 65}, strings.Repeat("a", 65)...)),
		"payload is text":                encodeMap(with(honest(), entry{payloadKey, mustCBOR("message")})),
		"payload is a list of bytes":     encodeMap(with(honest(), entry{payloadKey, mustCBOR([]any{[]byte("message")})})),
		"payload is empty":               encodeMap(with(honest(), entry{payloadKey, mustCBOR([]byte{})})),
		"payload beside a card":          encodeMap(with(honest(), entry{cardKey, mustCBOR([]byte{0xa1, 0x01, 0x01})}, entry{payloadKey, mustCBOR([]byte("message"))})),
		"payload in pieces":              encodeMap(with(honest(), entry{payloadKey, []byte{0x5f, 0x41, 0x00, 0xff}})),
		"no data":                        nil,
	} {
		t.Run(name, func(t *testing.T) {
			b := seal(key, data, nil)
			_, err := Open(key.Pointer(), b, testNow)
			require.ErrorIs(t, err, ErrInvalid)
			require.Less(t, len(err.Error()), 600, "an error repeats hostile input in bounds")
			require.Error(t, Malformed(b), "no pointer is needed to tell")
		})
	}
	// The same makers with nothing broken are accepted, so none of the above
	// is refused for the way it was made.
	for name, data := range map[string][]byte{
		"metadata":            encodeMap(with(honest(), entry{"_x", mustCBOR(1.5)}, entry{"_y", mustCBOR([]any{true, nil, "é", -5})})),
		"metadata: 15 deep":   encodeMap(with(honest(), entry{"_x", append(bytes.Repeat([]byte{0x81}, maxDepth-1), 0x00)})),
		"metadata: a link":    encodeMap(with(honest(), entry{"_x", append([]byte{0xd8, 42}, mustCBOR(append([]byte{0}, cid.MustParse("bafkqaaa").Bytes()...))...)})),
		"card":                card([]byte{0xa1, 0x01, 0x01}),
		"payload":             encodeMap(with(honest(), entry{payloadKey, mustCBOR([]byte{0})})),
		"nickname of 64":      card(append([]byte{0xa2, 0x01, 0x01, 0x02, 0x78, 64}, strings.Repeat("a", 64)...)),
		"value is empty":      encodeMap(with(honest(), entry{"Value", text("")})),
		"value is binary CID": encodeMap(with(honest(), entry{"Value", mustCBOR(cid.MustParse("bafkqaaa").Bytes())})),
		"sequence 2^63-1":     encodeMap(with(honest(), entry{"Sequence", number(math.MaxInt64)})),
		"TTL 0":               encodeMap(with(honest(), entry{"TTL", number(0)})),
		"end in another zone": encodeMap(with(honest(), entry{"Validity", text("2120-01-02T03:04:05+02:00")})),
	} {
		b := seal(key, data, nil)
		_, err := Open(key.Pointer(), b, testNow)
		require.NoError(t, err, name)
		require.NoError(t, Malformed(b), name)
	}
}

func TestEnvelopesThatBreakTheRulesAreRefused(t *testing.T) {
	key, other := testKey(1), testKey(2)
	data := encodeMap(honest())
	ownKey, err := encodeKey(key.Public())
	require.NoError(t, err)
	otherKey, err := encodeKey(other.Public())
	require.NoError(t, err)
	v1 := func(pb *ipnspb.IpnsRecord) {
		pb.Value, pb.Validity = []byte(NoValue), []byte(testEnd.Format(time.RFC3339Nano))
		pb.ValidityType, pb.Sequence, pb.Ttl = new(ipnspb.IpnsRecord_EOL), new(uint64(7)), new(uint64(time.Hour))
		pb.SignatureV1 = []byte("nobody verifies this any more")
	}
	for name, change := range map[string]func(*ipnspb.IpnsRecord){
		"V1 Value disagrees":        func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Value = []byte("/ipfs/bafkqaab") },
		"V1 Validity disagrees":     func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Validity = []byte("2121-01-02T03:04:05Z") },
		"V1 ValidityType disagrees": func(pb *ipnspb.IpnsRecord) { v1(pb); pb.ValidityType = new(ipnspb.IpnsRecord_ValidityType(1)) },
		"V1 Sequence disagrees":     func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Sequence = new(uint64(8)) },
		"V1 TTL disagrees":          func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Ttl = new(uint64(1)) },
		"V1 Value missing":          func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Value = nil },
		"V1 Validity missing":       func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Validity = nil },
		"V1 Sequence missing":       func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Sequence = nil },
		"V1 TTL missing":            func(pb *ipnspb.IpnsRecord) { v1(pb); pb.Ttl = nil },
		"Value disagrees, unsigned": func(pb *ipnspb.IpnsRecord) { v1(pb); pb.SignatureV1, pb.Value = nil, []byte("/ipfs/bafkqaab") },
		"Value agrees, alone":       func(pb *ipnspb.IpnsRecord) { pb.Value = []byte(NoValue) },
		"lone V1 signature":         func(pb *ipnspb.IpnsRecord) { pb.SignatureV1 = []byte{1} },
		"key of someone else":       func(pb *ipnspb.IpnsRecord) { pb.PubKey = otherKey },
		"key is no key":             func(pb *ipnspb.IpnsRecord) { pb.PubKey = []byte{1, 2, 3} },
		"no signature":              func(pb *ipnspb.IpnsRecord) { pb.SignatureV2 = nil },
		"signature cut":             func(pb *ipnspb.IpnsRecord) { pb.SignatureV2 = pb.SignatureV2[:63] },
		"signature with a tail":     func(pb *ipnspb.IpnsRecord) { pb.SignatureV2 = append(pb.SignatureV2, 0) },
		"signature by another":      func(pb *ipnspb.IpnsRecord) { pb.SignatureV2 = sealedSignature(other, data) },
		"signature undomained":      func(pb *ipnspb.IpnsRecord) { pb.SignatureV2 = ed25519.Sign(*key.private.key, data) },
		"signature of V1's kind":    func(pb *ipnspb.IpnsRecord) { v1(pb); pb.SignatureV1, pb.SignatureV2 = pb.SignatureV2, nil },
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(key.Pointer(), seal(key, data, change), testNow)
			require.ErrorIs(t, err, ErrInvalid)
		})
	}
	for name, change := range map[string]func(*ipnspb.IpnsRecord){
		"V1 fields that agree": v1,
		"the same, unsigned":   func(pb *ipnspb.IpnsRecord) { v1(pb); pb.SignatureV1 = nil },
		"own key inside":       func(pb *ipnspb.IpnsRecord) { pb.PubKey = ownKey },
	} {
		_, err := Open(key.Pointer(), seal(key, data, change), testNow)
		require.NoError(t, err, name)
	}
}

func sealedSignature(key *Key, data []byte) []byte {
	var pb ipnspb.IpnsRecord
	if err := proto.Unmarshal(seal(key, data, nil), &pb); err != nil {
		panic(err)
	}
	return pb.GetSignatureV2()
}

func TestRecordsAreRefusedFromOneByteOverTheLimit(t *testing.T) {
	key := testKey(1)
	padded := func(padding int) []byte {
		return seal(key, encodeMap(with(honest(), entry{"_x", mustCBOR(make([]byte, padding))})), nil)
	}
	padding := MaxRecord - len(padded(9000)) + 9000
	require.Len(t, padded(padding), MaxRecord)
	_, err := Open(key.Pointer(), padded(padding), testNow)
	require.NoError(t, err)
	_, err = Open(key.Pointer(), padded(padding+1), testNow)
	require.ErrorIs(t, err, ErrInvalid)
	_, err = Open(key.Pointer(), seal(key, encodeMap(honest()), func(pb *ipnspb.IpnsRecord) { pb.SignatureV1 = bytes.Repeat([]byte{1}, MaxRecord) }), testNow)
	require.ErrorIs(t, err, ErrInvalid)
}

func TestAuthenticExpiredRecordComesInsideTheError(t *testing.T) {
	key := testKey(1)
	made, err := Sign(key, Fields{Sequence: 3, Expires: testNow, Card: &Card{Nickname: "Ann"}})
	require.NoError(t, err)
	_, err = Open(key.Pointer(), made.Bytes(), testNow)
	require.NoError(t, err, "valid to its end")
	r, err := Open(key.Pointer(), made.Bytes(), testNow.Add(1))
	var expired *ExpiredError
	require.ErrorAs(t, err, &expired)
	require.NotErrorIs(t, err, ErrInvalid)
	require.Zero(t, r.Compare(Record{}))
	require.Equal(t, made.ID(), expired.Record.ID())
	card, _ := expired.Record.Card()
	require.Equal(t, "Ann", card.Nickname)

	// Expired and not authentic is not authentic.
	_, err = Open(testKey(2).Pointer(), made.Bytes(), testNow.Add(1))
	require.ErrorIs(t, err, ErrInvalid)
	require.False(t, errors.As(err, &expired))
	// boxo looks at the end before the TTL: an expired record doesn't slip by.
	for _, field := range []entry{{"TTL", mustCBOR(-1)}, {"Sequence", mustCBOR(-1)}} {
		past := with(honest(), entry{"Validity", mustCBOR([]byte("2020-01-01T00:00:00Z"))}, field)
		_, err = Open(key.Pointer(), seal(key, encodeMap(past), nil), testNow)
		require.ErrorIs(t, err, ErrInvalid, field.key)
	}
}

func TestRecordsOfEveryKeyTypeOpen(t *testing.T) {
	for _, kind := range []struct {
		name    string
		kind    int
		inline  bool
		isLocal bool
	}{
		{"RSA", ic.RSA, false, false}, {"ECDSA", ic.ECDSA, false, false},
		{"Secp256k1", ic.Secp256k1, true, false}, {"Ed25519", ic.Ed25519, true, true},
	} {
		t.Run(kind.name, func(t *testing.T) {
			private, public, err := ic.GenerateKeyPairWithReader(kind.kind, 2048, rand.Reader)
			require.NoError(t, err)
			id, err := peer.IDFromPublicKey(public)
			require.NoError(t, err)
			p, err := Parse(id.String())
			require.NoError(t, err)
			require.Equal(t, peer.ToCid(id).Hash().HexString(), fmt.Sprintf("%x", p.Bytes()))
			again, err := Parse(p.String())
			require.NoError(t, err)
			require.Equal(t, p, again)

			value, err := path.NewPath("/ipfs/bafkqaaa")
			require.NoError(t, err)
			rec, err := ipns.NewRecord(private, value, 5, testEnd, time.Minute)
			require.NoError(t, err)
			b, err := ipns.MarshalRecord(rec)
			require.NoError(t, err)
			r, err := Open(p, b, testNow)
			require.NoError(t, err)
			require.Equal(t, uint64(5), r.Sequence())

			found, ok := Embedded(b)
			require.Equal(t, !kind.inline, ok)
			if ok {
				require.Equal(t, p, found)
			}
			_, err = Open(testKey(1).Pointer(), b, testNow)
			require.ErrorIs(t, err, ErrInvalid)
			if !kind.isLocal {
				require.Error(t, p.Verify([]byte("m"), make([]byte, 64)))
				_, err := FromPublicKey(public)
				require.Error(t, err)
			}
			if !kind.inline {
				// Without the key inside, a hash alone verifies nothing.
				var pb ipnspb.IpnsRecord
				require.NoError(t, proto.Unmarshal(b, &pb))
				pb.PubKey = nil
				bare, err := proto.Marshal(&pb)
				require.NoError(t, err)
				_, err = Open(p, bare, testNow)
				require.ErrorIs(t, err, ErrInvalid)
				// The key in another spelling than was hashed (its type, a
				// varint, in two bytes) is anybody's doing, and mended.
				encoded, err := ic.MarshalPublicKey(public)
				require.NoError(t, err)
				pb.PubKey = append([]byte{0x08, encoded[1] | 0x80, 0x00}, encoded[2:]...)
				respelled, err := proto.Marshal(&pb)
				require.NoError(t, err)
				again, err := Open(p, respelled, testNow)
				require.NoError(t, err)
				require.Equal(t, b, again.Bytes())
			}
		})
	}
}

// Whoever carries a record can add to its copy without a key, and other
// implementations take such copies and prefer the longer one. They open, and
// what was added is gone: else anybody could make a pointer go dark.
func TestAdditionsToAnEnvelopeAreRemoved(t *testing.T) {
	key := testKey(1)
	data := encodeMap(honest())
	clean := seal(key, data, nil)
	ownKey, err := encodeKey(key.Public())
	require.NoError(t, err)
	for name, change := range map[string]func(*ipnspb.IpnsRecord){
		"an unknown field": func(pb *ipnspb.IpnsRecord) {
			pb.ProtoReflect().SetUnknown(protowire.AppendBytes(protowire.AppendTag(nil, 10, protowire.BytesType), make([]byte, 5000)))
		},
		"an old sequence":           func(pb *ipnspb.IpnsRecord) { pb.Sequence = new(uint64(77)) },
		"an old validity":           func(pb *ipnspb.IpnsRecord) { pb.Validity = []byte("2121-01-02T03:04:05Z") },
		"an old validity type":      func(pb *ipnspb.IpnsRecord) { pb.ValidityType = new(ipnspb.IpnsRecord_ValidityType(9)) },
		"an old TTL":                func(pb *ipnspb.IpnsRecord) { pb.Ttl = new(uint64(1)) },
		"empty old fields":          func(pb *ipnspb.IpnsRecord) { pb.Value, pb.SignatureV1 = []byte{}, []byte{} },
		"a key that isn't needed":   func(pb *ipnspb.IpnsRecord) { pb.PubKey = ownKey },
		"a key in another spelling": func(pb *ipnspb.IpnsRecord) { pb.PubKey = append(ownKey[:len(ownKey):len(ownKey)], 0x18, 0x00) },
	} {
		t.Run(name, func(t *testing.T) {
			carried := seal(key, data, change)
			require.NotEqual(t, clean, carried)
			// It is what the network would hold and give.
			rec, err := ipns.UnmarshalRecord(carried)
			require.NoError(t, err)
			require.NoError(t, ipns.ValidateWithName(rec, ipns.NameFromPeer(peer.ID(key.Pointer().Bytes()))))
			r, err := Open(key.Pointer(), carried, testNow)
			require.NoError(t, err)
			require.Equal(t, clean, r.Bytes())
			require.NoError(t, Malformed(carried))
		})
	}
}

func TestHashOfAnEd25519KeyIsNotItsPointer(t *testing.T) {
	key := testKey(1)
	encoded, err := encodeKey(key.Public())
	require.NoError(t, err)
	sum := digest("", encoded)
	second, err := FromBytes(append([]byte{0x12, 0x20}, sum[:]...))
	require.NoError(t, err, "a hash doesn't show what is under it")
	b := seal(key, encodeMap(honest()), func(pb *ipnspb.IpnsRecord) { pb.PubKey = encoded })
	_, err = Open(key.Pointer(), b, testNow)
	require.NoError(t, err)
	_, err = Open(second, b, testNow)
	require.ErrorIs(t, err, ErrInvalid, "one key has one pointer")
}

// secp256k1 keys have a long spelling, too: 65 bytes, which only a hash has
// room for.
func TestUncompressedKeyHasNoPointerByItsHash(t *testing.T) {
	// The key 1, whose public key is the generator (SEC 2, §2.4.1).
	private, err := ic.UnmarshalSecp256k1PrivateKey(append(make([]byte, 31), 1))
	require.NoError(t, err)
	long := unhex(t, "0802 1241 04 79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
		"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
	_, err = ic.UnmarshalPublicKey(long)
	require.NoError(t, err, "libp2p reads it")
	sum := digest("", long)
	second, err := FromBytes(append([]byte{0x12, 0x20}, sum[:]...))
	require.NoError(t, err)
	data := encodeMap(honest())
	sig, err := private.Sign(append([]byte("ipns-signature:"), data...))
	require.NoError(t, err)
	b, err := proto.Marshal(&ipnspb.IpnsRecord{Data: data, SignatureV2: sig, PubKey: long})
	require.NoError(t, err)
	require.False(t, checkAgainstBoxo(t, second, b))
}

func TestEmbeddedKeyOfNoRecord(t *testing.T) {
	for _, b := range [][]byte{nil, {}, {0xff}, bytes.Repeat([]byte{0}, 20<<10), seal(testKey(1), encodeMap(honest()), nil)} {
		_, ok := Embedded(b)
		require.False(t, ok)
	}
	// Embedded does not look for a key in data that is too long for a record.
	own, err := encodeKey(testKey(1).Public())
	require.NoError(t, err)
	padded := func(n int) []byte {
		b, err := proto.Marshal(&ipnspb.IpnsRecord{PubKey: own, Data: make([]byte, n)})
		require.NoError(t, err)
		return b
	}
	n := MaxRecord - len(padded(9000)) + 9000
	found, ok := Embedded(padded(n))
	require.True(t, ok)
	require.Equal(t, testKey(1).Pointer(), found)
	require.Len(t, padded(n+1), MaxRecord+1)
	_, ok = Embedded(padded(n + 1))
	require.False(t, ok)
}

// Unsigned bytes must not cost more than their size: boxo's decoder, asked
// first, allocates tens of megabytes for this record.
func TestUnsignedNestingCostsLittle(t *testing.T) {
	var nested []byte
	for range 1000 {
		nested = append(nested, 0x99, 0x04, 0x00) // a list that claims 1024 items
	}
	b := seal(testKey(1), encodeMap(with(honest(), entry{"_x", nested})), nil)
	const rounds = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		_, err := Open(testKey(2).Pointer(), b, testNow)
		require.ErrorIs(t, err, ErrInvalid)
		Embedded(b)
		require.Error(t, Malformed(b))
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(64<<10))
}

func TestOpenedRecordSharesNothingWithTheCaller(t *testing.T) {
	key := testKey(1)
	made, err := Sign(key, Fields{Sequence: 1, Expires: testEnd, Card: &Card{Nickname: "Ann"}})
	require.NoError(t, err)
	b := made.Bytes()
	before := bytes.Clone(b)
	r, err := Open(key.Pointer(), b, testNow)
	require.NoError(t, err)
	id := r.ID()
	require.Equal(t, before, b, "the input is left alone")
	clear(b)
	clear(r.Bytes())
	require.Equal(t, before, r.Bytes())
	require.Equal(t, id, r.ID())

	made, err = Sign(key, Fields{Sequence: 1, Expires: testEnd, Payload: []byte("message")})
	require.NoError(t, err)
	b = made.Bytes()
	r, err = Open(key.Pointer(), b, testNow)
	require.NoError(t, err)
	clear(b)
	clear(r.Payload())
	require.Equal(t, "message", string(r.Payload()))
}

func TestARecordHasACardOrAPayload(t *testing.T) {
	key := testKey(1)
	plain, err := Sign(key, Fields{Sequence: 1, Expires: testEnd})
	require.NoError(t, err)
	require.Nil(t, plain.Payload())
	empty, err := Sign(key, Fields{Sequence: 1, Expires: testEnd, Payload: []byte{}})
	require.NoError(t, err)
	require.Equal(t, plain, empty, "an empty payload is none")

	message := bytes.Repeat([]byte{0xff, 0x00}, 4000)
	r, err := Sign(key, Fields{Sequence: 1, Expires: testEnd, Payload: message})
	require.NoError(t, err)
	_, hasCard := r.Card()
	require.False(t, hasCard)
	require.Equal(t, message, r.Payload())

	_, err = Sign(key, Fields{Sequence: 1, Expires: testEnd, Payload: message, Card: &Card{Nickname: "Ann"}})
	require.ErrorIs(t, err, errCardAndPayload)
}
