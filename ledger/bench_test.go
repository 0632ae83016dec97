package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// rows is the plainest fold: the body's first 16 bytes are a key of one table,
// the rest its value.
type rows struct{}

func (rows) Version() string { return "rows 1" }
func (rows) Apply(v *View, _ Entry, body []byte) error {
	if len(body) < 16 {
		return fmt.Errorf("body %q", body)
	}
	return v.Put("names", body[:16], body[16:])
}

func benchBody(i int) []byte {
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	return append(fmt.Appendf(nil, "%x", h[:8]), make([]byte, 80)...)
}

// benchLedger makes a closed ledger of n entries, each a row of the view.
func benchLedger(b *testing.B, n int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ledger.db")
	l, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, rows{}, Options{})
	require.NoError(b, err)
	for i := 0; i < n; {
		_, err := l.Update(func(tx *Tx) error {
			for end := min(n, i+1000); i < end; i++ {
				if _, err := tx.Append(benchBody(i)); err != nil {
					return err
				}
			}
			return nil
		})
		require.NoError(b, err)
	}
	require.NoError(b, l.Close())
	return path
}

// median times f k times.
func median(k int, f func()) time.Duration {
	ds := make([]time.Duration, k)
	for i := range ds {
		start := time.Now()
		f()
		ds[i] = time.Since(start)
	}
	slices.Sort(ds)
	return ds[k/2]
}

func BenchmarkOpenMillionAgainstTen(b *testing.B) {
	small, large := benchLedger(b, 10), benchLedger(b, 1_000_000)
	open := func(path string) func() {
		return func() {
			l, err := Open(path, testKey("one"), rows{}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			l.Close()
		}
	}
	info, err := os.Stat(large)
	require.NoError(b, err)
	for b.Loop() {
		s, l := median(101, open(small)), median(101, open(large))
		s, l = min(s, median(101, open(small))), min(l, median(101, open(large)))
		b.ReportMetric(float64(s.Nanoseconds()), "ns/open-10")
		b.ReportMetric(float64(l.Nanoseconds()), "ns/open-1000000")
		b.ReportMetric(float64(l)/float64(s), "ratio")
	}
	b.ReportMetric(float64(info.Size())/1e6, "MB")

	// The same file serves for looking one row up. Both sides bring their own
	// transaction.
	b.StopTimer()
	l, err := Open(large, testKey("one"), rows{}, Options{})
	require.NoError(b, err)
	defer l.Close()
	keys := make([][]byte, 1000)
	raw := make([][]byte, len(keys))
	for i := range keys {
		keys[i] = benchBody(i * 997)[:16]
		raw[i], _ = rowKey("names", keys[i])
	}
	each := func(f func(i int)) float64 {
		best := time.Duration(1 << 62)
		for range 7 {
			start := time.Now()
			for j := range 20 * len(keys) {
				f(j % len(keys))
			}
			best = min(best, time.Since(start))
		}
		return float64(best.Nanoseconds()) / float64(20*len(keys))
	}
	ours := func(i int) {
		err := l.Read(func(v *View) error {
			got, err := v.Get("names", keys[i])
			if got == nil {
				b.Fatal("not there")
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	theirs := func(i int) {
		err := l.db.View(func(tx *bbolt.Tx) error {
			if tx.Bucket([]byte(bucketView)).Get(raw[i]) == nil {
				b.Fatal("not there")
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	each(ours)
	each(theirs)
	o, t := each(ours), each(theirs)
	o, t = min(o, each(ours)), min(t, each(theirs))
	b.ReportMetric(o, "ns/view-get")
	b.ReportMetric(t, "ns/bbolt-get")
	b.ReportMetric(o/t, "get-ratio")
}

func BenchmarkAppendDurably1000(b *testing.B) {
	path := filepath.Join(b.TempDir(), "ledger.db")
	l, err := Create(path, Genesis{Identity: identity, Device: testKey("one"), DeviceName: "one"}, rows{}, Options{})
	require.NoError(b, err)
	defer l.Close()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "plain.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	require.NoError(b, err)
	defer db.Close()
	key := testKey("one")
	const batch = 1000
	n, m := 0, 0
	ours := func() {
		_, err := l.Update(func(tx *Tx) error {
			for range batch {
				if _, err := tx.Append(benchBody(n)); err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	// The same bytes: the entry with its body, and the view's row.
	theirs := func() {
		err := db.Update(func(tx *bbolt.Tx) error {
			entries, err := tx.CreateBucketIfNotExists([]byte("entries"))
			if err != nil {
				return err
			}
			names, err := tx.CreateBucketIfNotExists([]byte("names"))
			if err != nil {
				return err
			}
			for range batch {
				body := benchBody(m)
				m++
				sig := ed25519.Sign(key, body)
				if err := entries.Put(logKey(0, uint64(m)), append(make([]byte, 190), append(sig, body...)...)); err != nil {
					return err
				}
				if err := names.Put(body[:16], body[16:]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	ours()
	theirs()
	for b.Loop() {
		o, t := time.Duration(0), time.Duration(0)
		for range 10 { // in turns, so that both meet the same disk
			o += median(1, ours)
			t += median(1, theirs)
		}
		b.ReportMetric(float64(o.Nanoseconds())/10, "ns/append-1000")
		b.ReportMetric(float64(t.Nanoseconds())/10, "ns/bbolt-and-sign-1000")
		b.ReportMetric(float64(o)/float64(t), "ratio")
	}
}
