package pointer

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	ipnspb "github.com/ipfs/boxo/ipns/pb"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// BenchmarkOpen opens a V2 record of about 200 bytes, and verifies the same
// signature over the same bytes with crypto/ed25519 alone. The two sides take
// turns, so that a machine that slows down slows both.
func BenchmarkOpen(b *testing.B) {
	key := testKey(1)
	record, err := Sign(key, Fields{
		Value:    "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
		Sequence: 2, Expires: testEnd, TTL: time.Hour,
	})
	require.NoError(b, err)
	wire := record.Bytes()
	require.InDelta(b, 200, len(wire), 40)
	var pb ipnspb.IpnsRecord
	require.NoError(b, proto.Unmarshal(wire, &pb))
	public := key.Public().(ed25519.PublicKey)
	message := append([]byte("ipns-signature:"), pb.GetData()...)
	interleave(b, func() {
		if _, err := Open(key.Pointer(), wire, testNow); err != nil {
			b.Fatal(err)
		}
	}, func() {
		if !ed25519.Verify(public, message, pb.GetSignatureV2()) {
			b.Fatal("the raw signature doesn't verify")
		}
	})
}

// BenchmarkSign signs such a record, and the same bytes with crypto/ed25519
// alone.
func BenchmarkSign(b *testing.B) {
	key := testKey(1)
	fields := Fields{
		Value:    "/ipfs/bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
		Sequence: 2, Expires: testEnd, TTL: time.Hour,
	}
	record, err := Sign(key, fields)
	require.NoError(b, err)
	var pb ipnspb.IpnsRecord
	require.NoError(b, proto.Unmarshal(record.Bytes(), &pb))
	message := append([]byte("ipns-signature:"), pb.GetData()...)
	interleave(b, func() {
		if _, err := Sign(key, fields); err != nil {
			b.Fatal(err)
		}
	}, func() {
		if _, err := key.Sign(rand.Reader, message, crypto.Hash(0)); err != nil {
			b.Fatal(err)
		}
	})
}

// interleave runs both sides in turns of a few, and reports nanoseconds of
// each and their ratio.
func interleave(b *testing.B, ours, raw func()) {
	const turn = 8
	var tOurs, tRaw time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		for range turn {
			ours()
		}
		middle := time.Now()
		for range turn {
			raw()
		}
		tOurs += middle.Sub(start)
		tRaw += time.Since(middle)
		n += turn
	}
	b.ReportMetric(float64(tOurs.Nanoseconds())/float64(n), "ours-ns")
	b.ReportMetric(float64(tRaw.Nanoseconds())/float64(n), "raw-ns")
	b.ReportMetric(float64(tOurs)/float64(tRaw), "ratio")
	b.ReportMetric(0, "ns/op")
}
