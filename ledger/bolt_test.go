package ledger

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// bolted writes a bbolt file with an empty bucket, an inline one, one of several
// levels, and one with a value over many pages, and returns its rows.
func bolted(t *testing.T, pageSize int) (path string, rows map[string]string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize, NoSync: true})
	require.NoError(t, err)
	rows = map[string]string{}
	put := func(bucket, key, value string) {
		rows[bucket+"/"+key] = value
		require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(bucket))
			if err != nil {
				return err
			}
			return b.Put([]byte(key), []byte(value))
		}))
	}
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("empty"))
		return err
	}))
	for i := range 3 {
		put("small", fmt.Sprint("key", i), fmt.Sprint("value", i))
	}
	for i := range 60 {
		put("tree", fmt.Sprintf("%0100d", i*37%60), fmt.Sprintf("%0300d", i))
	}
	for i := range 12 {
		put("zone", fmt.Sprintf("!%099d", i), fmt.Sprintf("%0300d", i))
	}
	put("long", "key", string(bytes.Repeat([]byte("long"), 20_000)))
	put("tree", fmt.Sprintf("%0100d", 7), rows[fmt.Sprintf("tree/%0100d", 7)]) // an older copy of the leaf stays
	require.NoError(t, db.Close())
	return path, rows
}

// readBolt returns the rows and the errors. A row comes once.
func readBolt(t *testing.T, path string) (rows map[string]string, errs []error) {
	t.Helper()
	rows = map[string]string{}
	for row, err := range ReadBolt(path) {
		if err != nil {
			require.Truef(t, named(err), "%v", err)
			errs = append(errs, err)
			continue
		}
		key := row.Bucket + "/" + string(row.Key)
		require.NotContains(t, rows, key)
		rows[key] = string(row.Value)
	}
	return rows, errs
}

func TestReadBoltYieldsEveryRow(t *testing.T) {
	for _, size := range []int{1024, 4096, 16384} {
		path, want := bolted(t, size)
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		got, errs := readBolt(t, path)
		require.Empty(t, errs)
		require.Equal(t, want, got)
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after))
		n := 0
		for range ReadBolt(path) {
			if n++; n == 7 {
				break // and nothing is yielded behind the end
			}
		}

		// Without the first meta page the last commit is missing at most.
		copy(before, make([]byte, 80))
		require.NoError(t, os.WriteFile(path, before, 0o600))
		got, errs = readBolt(t, path)
		require.NotEmpty(t, errs, "the loss is named")
		require.GreaterOrEqual(t, len(got), len(want)-1)
	}
	for range ReadBolt(filepath.Join(t.TempDir(), "none")) {
	}
	for _, err := range ReadBolt(filepath.Join(t.TempDir(), "none")) {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	nested, _ := bolted(t, 4096)
	db, err := bbolt.Open(nested, 0o600, &bbolt.Options{NoSync: true})
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.Bucket([]byte("small")).CreateBucket([]byte("nested"))
		return err
	}))
	require.NoError(t, db.Close())
	got, errs := readBolt(t, nested)
	require.Len(t, got, 76)
	require.ErrorContains(t, errs[0], "within bucket")
	for _, b := range [][]byte{nil, []byte("hello"), make([]byte, 1<<16)} {
		path := filepath.Join(t.TempDir(), "garbage")
		require.NoError(t, os.WriteFile(path, b, 0o600))
		got, errs := readBolt(t, path)
		require.Empty(t, got)
		require.Len(t, errs, 1)
	}
}

// Whatever byte of a page's structure is changed, and wherever the file is cut:
// reading ends, without a panic, a row comes once, and what is missing is named.
func TestReadBoltReadsAroundDamage(t *testing.T) {
	const size = 1024
	path, want := bolted(t, size)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	lost := func(b []byte, what string) int {
		overwrite(t, path, b)
		got, errs := readBolt(t, path)
		missing := 0
		for key := range want {
			if _, there := got[key]; !there {
				missing++
			}
		}
		if missing > 0 {
			require.NotEmptyf(t, errs, "%s: %d rows are missing, and nothing is named", what, missing)
		}
		return missing
	}
	// Structure: headers and elements. Keys are content, which bbolt has no
	// checksums for.
	most, tries := 0, 0
	for id := 2; id*size < len(whole); id++ {
		page := whole[id*size:]
		if flags := ne.Uint16(page[8:]); ne.Uint64(page) != uint64(id) || flags != flagLeaf && flags != flagBranch {
			continue
		}
		end := pageHeader + int(ne.Uint16(page[10:]))*elemSize
		for at := range min(end, size) {
			if at >= 10 && at < 12 {
				continue // a smaller count of elements cannot be told from the truth
			}
			if !lawtest.Long() && at > 64 && at%7 != 0 {
				continue
			}
			b := bytes.Clone(whole)
			b[id*size+at] ^= []byte{0x01, 0x80, 0xff}[at%3]
			tries++
			if at >= pageHeader+4 {
				// A shorter key or value, or one of another place, is content too:
				// only that the reading ends is required.
				overwrite(t, path, b)
				for range ReadBolt(path) {
				}
				continue
			}
			if n := lost(b, fmt.Sprintf("page %d, byte %d", id, at)); n < len(want) {
				most = max(most, n)
			}
		}
	}
	require.Greater(t, tries, 500)
	require.NotZero(t, most)
	for n := 0; n < len(whole); n += size {
		lost(whole[:n:n], fmt.Sprint("cut to ", n))
		lost(whole[:n+1:n+1], fmt.Sprint("cut to ", n+1))
	}
	// One leaf of many costs its own rows.
	few := 0
	for id := 2; id*size < len(whole); id++ {
		b := bytes.Clone(whole)
		copy(b[id*size:], make([]byte, size))
		if n := lost(b, fmt.Sprint("page ", id)); n > 0 && n < 8 {
			few++
		}
	}
	require.Greater(t, few, 10)
}

// Every pointer of every branch page, led to every page: no loop, and no row of
// another place.
func TestReadBoltFollowsNoPointerAstray(t *testing.T) {
	const size = 1024
	path, want := bolted(t, size)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	met := 0
	for id := 2; id*size < len(whole); id++ {
		page := whole[id*size:]
		if ne.Uint64(page) != uint64(id) || ne.Uint16(page[8:]) != flagBranch {
			continue
		}
		for i := 0; i < int(ne.Uint16(page[10:])); i += 1 + i/4 {
			at := id*size + pageHeader + i*elemSize + 8
			for to := 2; to*size < len(whole); to += lawtest.Size(11, 3) + id%3 {
				if ne.Uint64(whole[at:]) == uint64(to) {
					continue
				}
				b := bytes.Clone(whole)
				ne.PutUint64(b[at:], uint64(to))
				overwrite(t, path, b)
				got, errs := readBolt(t, path)
				if len(got) < len(want) {
					require.NotEmptyf(t, errs, "page %d, pointer %d to page %d %x, %d of %d", id, i, to, whole[to*size:][:32], len(got), len(want))
					met++
				}
				for key := range got {
					require.Contains(t, want, key)
				}
			}
		}
	}
	require.NotZero(t, met)

	// Neither an older version of a leaf, among the free pages, nor a leaf of
	// another place or bucket is read for the leaf that is meant.
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	overwrite(t, path, whole)
	p, err := openPages(f, path, size)
	require.NoError(t, err)
	free, _, err := p.free()
	require.NoError(t, err)
	stale := 0
	for id := 2; id*size < len(whole); id++ {
		page := whole[id*size:]
		if ne.Uint64(page) != uint64(id) || ne.Uint16(page[8:]) != flagBranch || slices.Contains(free, uint64(id)) {
			continue
		}
		for i := range int(ne.Uint16(page[10:])) {
			at := id*size + pageHeader + i*elemSize + 8
			for to := uint64(2); to < p.meta.end; to++ {
				if h := whole[to*size:]; ne.Uint64(h) != to || ne.Uint16(h[8:]) != flagLeaf || ne.Uint64(whole[at:]) == to {
					continue
				}
				if !slices.Contains(free, to) && i > 2 && to%3 > 0 {
					continue // a sample
				}
				b := bytes.Clone(whole)
				ne.PutUint64(b[at:], to)
				overwrite(t, path, b)
				got, errs := readBolt(t, path)
				require.NotEmpty(t, errs)
				for key := range got {
					require.Contains(t, want, key)
				}
				stale++
			}
		}
	}
	require.NotZero(t, stale)

	// A chain of branch pages, each of which is met once, ends.
	long := bytes.Index(whole, []byte("longlong"))/size + 2
	b := bytes.Clone(whole)
	led := false
	for id := 2; id < long && !led; id++ {
		page := b[id*size:]
		if ne.Uint64(page) != uint64(id) || ne.Uint16(page[8:]) != flagBranch || slices.Contains(free, uint64(id)) {
			continue
		}
		ne.PutUint64(page[pageHeader+8:], uint64(long))
		from := pageHeader + int(ne.Uint32(page[pageHeader:]))
		key := page[from : from+int(ne.Uint32(page[pageHeader+4:]))]
		for id := long; id < long+40; id++ {
			page := b[id*size:]
			clear(page[:size])
			ne.PutUint64(page, uint64(id))
			ne.PutUint16(page[8:], flagBranch)
			ne.PutUint16(page[10:], 1)
			ne.PutUint32(page[pageHeader:], elemSize)
			ne.PutUint32(page[pageHeader+4:], uint32(len(key)))
			ne.PutUint64(page[pageHeader+8:], uint64(id+1))
			copy(page[pageHeader+elemSize:], key)
		}
		led = true
	}
	require.True(t, led)
	overwrite(t, path, b)
	_, errs := readBolt(t, path)
	require.Contains(t, fmt.Sprint(errs), "too deep")
}
