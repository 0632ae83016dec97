package replicate

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// measured returns the bytes, in both directions, and the time of a session.
func measured(t testing.TB, a, b *device) (int64, time.Duration) {
	began := time.Now()
	d, _ := syncBoth(t, a, b)
	require.True(t, d.Equal)
	return d.Bytes.Received + d.Bytes.Sent, time.Since(began)
}

func sizes() []int {
	if lawtest.Long() {
		return []int{10, 100_000}
	}
	return []int{10, 2000}
}

// BenchmarkSession prints the bytes and the time of a session of 5 new entries beside those
// of the entries alone, merged without a session; and those of the first session.
//
//	PETNAME_TEST_LONG=1 go test ./ledger/replicate -run - -bench Session -benchtime 20x
func BenchmarkSession(b *testing.B) {
	for _, size := range sizes() {
		b.Run(fmt.Sprintf("book=%d", size), func(b *testing.B) {
			d := book(b, "laptop", "phone", "server")
			fill(b, d[0], size)
			all := sizeOf(missing(b, d[0].Ledger, d[1].Heads()))
			first, took := measured(b, d[0], d[1])
			began := time.Now()
			merge(b, d[0], d[2])
			mergeAll := time.Since(began)
			var entries, cost int64
			var alone time.Duration
			b.ResetTimer()
			b.StopTimer()
			for range b.N {
				fill(b, d[0], 5)
				heads := d[2].Heads()
				entries += int64(sizeOf(missing(b, d[0].Ledger, heads)))
				began := time.Now()
				merge(b, d[0], d[2])
				alone += time.Since(began)
				b.StartTimer()
				n, _ := measured(b, d[0], d[1])
				b.StopTimer()
				cost += n
			}
			b.ReportMetric(float64(cost)/float64(b.N), "bytes")
			b.ReportMetric(float64(entries)/float64(b.N), "bytes-of-entries")
			b.ReportMetric(float64(alone.Nanoseconds())/float64(b.N), "ns-merge-alone")
			b.ReportMetric(float64(first)/float64(all), "first-ratio")
			b.ReportMetric(took.Seconds(), "first-s")
			b.ReportMetric(mergeAll.Seconds(), "first-s-merge-alone")
		})
	}
}
