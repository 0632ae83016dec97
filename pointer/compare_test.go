package pointer

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// drawRecord makes records that often agree in a part of what orders them.
func drawRecord(t *rapid.T) Record {
	f := Fields{
		Sequence: rapid.SampledFrom([]uint64{0, 1, 2, 255, 256, MaxSequence}).Draw(t, "sequence"),
		Expires:  testEnd.Add(rapid.SampledFrom([]time.Duration{0, 1, time.Second, -time.Hour}).Draw(t, "end")),
		TTL:      time.Duration(rapid.IntRange(0, 2).Draw(t, "ttl")),
		V1:       rapid.Bool().Draw(t, "v1"),
	}
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
		// Of records in the old way too boxo compares what anybody can rewrite
		// first: there the two may pick different ones of one sequence and end.
		if !slices.ContainsFunc(records, isV1) {
			require.Equal(t, best.ID(), records[at].ID())
		}
	})
}

func isV1(r Record) bool {
	var pb ipnspb.IpnsRecord
	return proto.Unmarshal(r.Bytes(), &pb) != nil || pb.SignatureV1 != nil
}

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
