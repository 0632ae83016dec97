package petname

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

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// benchSize is the big book's; PETNAME_BENCH_NAMES makes it smaller for a
// quick look.
func benchSize(b *testing.B) int { return benchSetting(b, "PETNAME_BENCH_NAMES", 1_000_000) }

func benchSetting(b *testing.B, variable string, n int) int {
	b.Helper()
	if s := os.Getenv(variable); s != "" {
		_, err := fmt.Sscan(s, &n)
		require.NoError(b, err)
	}
	return n
}

func benchName(i int) name.Name { return mustName(fmt.Sprintf("Friend %07d", i)) }

// benchPointer is a pointer that no one has the key of: as cheap to make as a
// hash, unlike a key.
func benchPointer(i int) pointer.Pointer {
	for salt := byte(0); ; salt++ {
		h := sha256.Sum256(binary.BigEndian.AppendUint64([]byte{salt}, uint64(i)))
		if p, err := pointer.FromBytes(append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, h[:]...)); err == nil {
			return p
		}
	}
}

// benchBatch is how many names are added in one transaction. The more pages one
// transaction touches, the more it leaves free, and the longer is the list that
// bbolt reads with each open: PETNAME_BENCH_BATCH tries others.
const benchBatch = 100

// benchBook makes a closed book of n names.
func benchBook(b *testing.B, n int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ledger.db")
	book, err := Create(path, testKey("me"), testKey("one"), Options{})
	require.NoError(b, err)
	fillBook(b, book, n, Source{})
	require.NoError(b, book.Close())
	return path
}

func fillBook(b *testing.B, book *Book, n int, s Source) {
	size := benchSetting(b, "PETNAME_BENCH_BATCH", benchBatch)
	for i := 0; i < n; {
		var batch []Naming
		for end := min(n, i+size); i < end; i++ {
			batch = append(batch, Naming{benchName(i), pointer.Link{Pointer: benchPointer(i)}, s})
		}
		require.NoError(b, addAll(book, batch))
	}
}

func median(ds []time.Duration) time.Duration {
	slices.Sort(ds)
	return ds[len(ds)/2]
}

// report times two sides in turns, so that what else the machine does falls on
// both, and reports the medians of the rounds and their ratio.
func report(b *testing.B, one, other string, rounds, each int, ours, theirs func() time.Duration) {
	var a, z []time.Duration
	for range rounds {
		a, z = append(a, ours()), append(z, theirs())
	}
	x, y := median(a), median(z)
	b.ReportMetric(float64(x.Nanoseconds())/float64(each), "ns/"+one)
	b.ReportMetric(float64(y.Nanoseconds())/float64(each), "ns/"+other)
	b.ReportMetric(float64(x)/float64(y), "ratio")
	b.ReportMetric(0, "ns/op")
}

// Looking up a petname, against bbolt's Get of the same key in the same file,
// each with its own transaction. Goal: at most 1.5×.
//
//	go test -run - -bench Lookup -benchtime 1x ./petname
func BenchmarkLookupAgainstBbolt(b *testing.B) {
	n := benchSize(b)
	path := benchBook(b, n)
	const count = 20_000
	names, keys := make([]name.Name, count), make([][]byte, count)
	for i := range names {
		names[i] = benchName(int(uint64(i) * 2654435761 % uint64(n)))
		keys[i] = append([]byte("\x05names"), names[i].Key()...)
	}
	// Only one of them can have the file at a time: they take turns, and each
	// has touched the pages before its time is taken.
	bucket := []byte("view")
	lookups := func() time.Duration {
		book, err := Open(path, testKey("one"), Options{})
		require.NoError(b, err)
		defer book.Close()
		return timed(func() {
			for _, n := range names {
				if _, err := book.Lookup(n); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	gets := func() time.Duration {
		db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, NoStatistics: true})
		require.NoError(b, err)
		defer db.Close()
		return timed(func() {
			for _, k := range keys {
				err := db.View(func(tx *bbolt.Tx) error {
					if tx.Bucket(bucket).Get(k) == nil {
						b.Fatal("the key is not in the file")
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.ResetTimer()
	for range b.N {
		report(b, "lookup", "get", 15, count, lookups, gets)
	}
}

// timed runs f twice and times the second run.
func timed(f func()) time.Duration {
	f()
	start := time.Now()
	f()
	return time.Since(start)
}

// Opening and closing a book of a million names, against one of ten. Goal: at
// most 2×.
//
//	go test -run - -bench Open -benchtime 1x ./petname
func BenchmarkOpenMillionAgainstTen(b *testing.B) {
	small, large := benchBook(b, 10), benchBook(b, benchSize(b))
	device := testKey("one")
	open := func(path string) func() time.Duration {
		return func() time.Duration {
			start := time.Now()
			book, err := Open(path, device, Options{})
			if err != nil {
				b.Fatal(err)
			}
			if err := book.Close(); err != nil {
				b.Fatal(err)
			}
			return time.Since(start)
		}
	}
	b.ResetTimer()
	for range b.N {
		report(b, "million", "ten", 301, 1, open(large), open(small))
	}
	db, err := bbolt.Open(large, 0o600, &bbolt.Options{})
	require.NoError(b, err)
	b.ReportMetric(float64(db.Stats().FreePageN), "free-pages")
	require.NoError(b, db.Close())
}

// benchBookBy makes a closed book of n names that keeps no looks.
func benchBookBy(b *testing.B, f fold, n int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "ledger.db")
	l, err := ledger.Create(path, ledger.Genesis{Identity: testKey("me"), Device: testKey("one"), DeviceName: "one"}, f, ledger.Options{})
	require.NoError(b, err)
	fillBook(b, newBook(l, Options{}), n, Source{Lookalike: f.withoutLooks})
	require.NoError(b, l.Close())
	return path
}

// Adding new names, each with a link that has a nickname, to a book of a
// million: with look-alikes looked for and kept, against a book that does
// neither. Each in a durable transaction of its own, and a hundred in one. Goal:
// at most 3×.
//
//	go test -run - -bench AddChecked -benchtime 1x ./petname
func BenchmarkAddCheckedAgainstBlind(b *testing.B) {
	n := benchSize(b)
	paths := map[bool]string{false: benchBookBy(b, fold{}, n), true: benchBookBy(b, fold{withoutLooks: true}, n)}
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d a transaction", size), func(b *testing.B) {
			next := n * (size + 1)
			adds := func(blind bool) func() time.Duration {
				return func() time.Duration {
					l, err := ledger.Open(paths[blind], testKey("one"), fold{withoutLooks: blind}, ledger.Options{})
					require.NoError(b, err)
					book := newBook(l, Options{})
					defer func() { require.NoError(b, book.Close()) }()
					var batches [][]Naming
					for range 300 / size * max(1, size/10) {
						var batch []Naming
						for range size {
							next++
							l := pointer.Link{Pointer: benchPointer(next), Nickname: fmt.Sprintf("nick %07d", next)}
							batch = append(batch, Naming{benchName(next), l, Source{Lookalike: blind}})
						}
						batches = append(batches, batch)
					}
					start := time.Now()
					for _, batch := range batches {
						if err := addAll(book, batch); err != nil {
							b.Fatal(err)
						}
					}
					return time.Since(start)
				}
			}
			each := 300 / size * max(1, size/10) * size
			for range b.N {
				report(b, "checked", "blind", 7, each, adds(false), adds(true))
			}
		})
	}
}

func BenchmarkLooks(b *testing.B) {
	for _, text := range []string{"Friend 0001234", "Nguyễn Văn Ánh", "محمد السعدي", "Алексей Смирнов"} {
		b.Run(text, func(b *testing.B) {
			n := mustName(text)
			for b.Loop() {
				name.Looks(n)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := name.Parse("Friend 0001234"); err != nil {
			b.Fatal(err)
		}
	}
}

// Resolving a name in a book that a sync brought, against the book of the device that wrote it.
// Goal: as fast.
//
//	go test -run - -bench ResolveAfterSync -benchtime 1x ./petname
func BenchmarkResolveAfterSync(b *testing.B) {
	n := min(benchSize(b), 20_000)
	dir := b.TempDir()
	writer, err := Create(filepath.Join(dir, "writer.db"), testKey("me"), testKey("one"), Options{})
	require.NoError(b, err)
	defer writer.Close()
	require.NoError(b, writer.Ledger().AdmitDevice(testKey("me"), testKey("two").Public().(ed25519.PublicKey), "two"))
	entries := func(heads []ledger.Head) func(yield func([]byte) bool) {
		return func(yield func([]byte) bool) {
			for entry, err := range writer.Ledger().Missing(heads) {
				require.NoError(b, err)
				if !yield(entry) {
					return
				}
			}
		}
	}
	reader, err := Join(filepath.Join(dir, "reader.db"), writer.Identity(), testKey("two"), entries(nil), Options{})
	require.NoError(b, err)
	defer reader.Close()
	fillBook(b, writer, n, Source{})
	merged, err := reader.Ledger().Merge(entries(reader.Ledger().Heads()))
	require.NoError(b, err)
	require.Equal(b, n, merged)

	records := &dht.Memory{Source: dht.SourceNetwork}
	key := testKey("friend")
	r, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(48 * time.Hour), TTL: time.Minute})
	require.NoError(b, err)
	_, err = records.Put(b.Context(), r.Pointer(), r.Bytes())
	require.NoError(b, err)
	_, err = writer.Add(mustName("friend"), pointer.Link{Pointer: r.Pointer()}, Source{})
	require.NoError(b, err)
	_, err = reader.Ledger().Merge(entries(reader.Ledger().Heads()))
	require.NoError(b, err)
	const count = 500
	resolves := func(book *Book) func() time.Duration {
		resolver := &dht.Resolver{Stores: []dht.Store{records}}
		return func() time.Duration {
			return timed(func() {
				for range count {
					if _, err := book.Resolve(b.Context(), resolver, "friend", dht.LevelFresh); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
	b.ResetTimer()
	for range b.N {
		report(b, "after", "before", 15, count, resolves(reader), resolves(writer))
	}
}
