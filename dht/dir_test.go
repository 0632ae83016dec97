package dht_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// load returns the record that a directory has for p, as bytes.
func load(t testing.TB, d *dht.Dir, p pointer.Pointer) ([]byte, error) {
	t.Helper()
	var b []byte
	var failed error
	for a, err := range d.Get(t.Context(), p) {
		b, failed = a.Record, err
	}
	return b, failed
}

func TestFilesAreNamedAfterPointersAndPrivate(t *testing.T) {
	c := newClock()
	d := c.home(t)
	rec := sign(t, newKey(t), 1)
	_, err := d.Put(t.Context(), rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	file := dht.RecordFile(d, rec.Pointer())
	require.Equal(t, rec.Pointer().String()+".record", filepath.Base(file))
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, rec.Bytes(), b)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.True(t, info.ModTime().Equal(epoch), "the time of the file is that of the confirmation")
	if runtime.GOOS != "windows" {
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		fresh := filepath.Join(t.TempDir(), "a", "b")
		_, err = dht.OpenDir(fresh)
		require.NoError(t, err)
		info, err = os.Stat(fresh)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	}
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "notes.record"), nil, 0o600))
	other := strings.ToUpper(sign(t, newKey(t), 1).Pointer().String()) // another spelling of a pointer
	_, err = pointer.Parse(other)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), other+".record"), nil, 0o600))
	ps, err := d.Pointers()
	require.NoError(t, err)
	require.Equal(t, []pointer.Pointer{rec.Pointer()}, ps)
}

func TestACrashLeavesTheOldRecordOrTheNew(t *testing.T) {
	c := newClock()
	d := c.home(t)
	k := newKey(t)
	old := sign(t, k, 1)
	_, err := d.Put(t.Context(), k.Pointer(), old.Bytes())
	require.NoError(t, err)
	dir := filepath.Dir(dht.RecordFile(d, k.Pointer()))

	// A crash in the middle of a put leaves a part of a temporary file.
	left := filepath.Join(dir, ".new-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	require.NoError(t, os.WriteFile(left, sign(t, k, 2).Bytes()[:50], 0o600))
	d, err = dht.OpenDir(dir)
	require.NoError(t, err)
	d.Now = c.now
	require.NoFileExists(t, left)
	b, err := load(t, d, k.Pointer())
	require.NoError(t, err)
	require.Equal(t, old.Bytes(), b)
}

func TestADamagedFileIsReportedAndNeverServed(t *testing.T) {
	c := newClock()
	d := c.home(t)
	k := newKey(t)
	rec := sign(t, k, 1)
	whole := rec.Bytes()
	file := dht.RecordFile(d, k.Pointer())
	for cut := range len(whole) {
		require.NoError(t, os.WriteFile(file, whole[:cut], 0o600))
		b, err := load(t, d, k.Pointer())
		require.Nil(t, b, "cut at %d", cut)
		require.ErrorContains(t, err, file)
		require.ErrorIs(t, err, pointer.ErrInvalid)
	}
	for name, b := range map[string][]byte{
		"another's": sign(t, newKey(t), 1).Bytes(),
		"huge":      bytes.Repeat([]byte{8}, 1<<20),
	} {
		require.NoError(t, os.WriteFile(file, b, 0o600))
		b, err := load(t, d, k.Pointer())
		require.Nil(t, b, name)
		require.Error(t, err, name)
	}
	// A valid record replaces it.
	_, err := d.Put(t.Context(), k.Pointer(), whole)
	require.NoError(t, err)
	b, err := load(t, d, k.Pointer())
	require.NoError(t, err)
	require.Equal(t, whole, b)

	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	_, err = load(t, d, k.Pointer())
	require.ErrorContains(t, err, "plain file")
	_, err = d.Put(t.Context(), k.Pointer(), whole)
	require.Error(t, err)
}

// A record file of 64 MiB uses no more memory than the largest record: Dir does
// not read beyond the limit.
func TestAHugeRecordFileIsNotReadWhole(t *testing.T) {
	const size = 64 << 20
	d := newClock().home(t)
	rec := sign(t, newKey(t), 1)
	file := dht.RecordFile(d, rec.Pointer())
	require.NoError(t, os.WriteFile(file, rec.Bytes(), 0o600))
	require.NoError(t, os.Truncate(file, size)) // sparse
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := load(t, d, rec.Pointer())
	runtime.ReadMemStats(&after)
	require.Nil(t, b)
	require.ErrorContains(t, err, "damaged")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(size/4))

	// The largest record is not truncated.
	largest := signOfSize(t, newKey(t), pointer.MaxRecord)
	_, err = d.Put(t.Context(), largest.Pointer(), largest.Bytes())
	require.NoError(t, err)
	b, err = load(t, d, largest.Pointer())
	require.NoError(t, err)
	require.Equal(t, largest.Bytes(), b)
}

// signOfSize returns a record of exactly size bytes.
func signOfSize(t testing.TB, k *pointer.Key, size int) pointer.Record {
	t.Helper()
	for length := size - 1000; length < size; {
		rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa/" + strings.Repeat("a", length), Expires: epoch.Add(life)})
		require.NoError(t, err)
		if len(rec.Bytes()) == size {
			return rec
		}
		length += max(1, (size-len(rec.Bytes()))/2)
	}
	t.Fatal("no record of this size")
	return pointer.Record{}
}

// Dir does not follow a symbolic link, even to a record that verifies. A put
// replaces the link and leaves its target unchanged.
func TestALinkAsARecordFileIsNotFollowed(t *testing.T) {
	d := newClock().home(t)
	k := newKey(t)
	old, newer := sign(t, k, 1), sign(t, k, 2)
	file := dht.RecordFile(d, k.Pointer())
	target := filepath.Join(t.TempDir(), "elsewhere")
	require.NoError(t, os.WriteFile(target, old.Bytes(), 0o600))
	if err := os.Symlink(target, file); err != nil && runtime.GOOS == "windows" {
		t.Skip(err)
	}
	b, err := load(t, d, k.Pointer())
	require.Nil(t, b)
	require.ErrorContains(t, err, "no plain file")
	for _, rec := range []pointer.Record{old, newer} { // also the record in the link's target
		require.NoError(t, os.RemoveAll(file))
		require.NoError(t, os.Symlink(target, file))
		_, err = d.Put(t.Context(), k.Pointer(), rec.Bytes())
		require.NoError(t, err)
		b, err = load(t, d, k.Pointer())
		require.NoError(t, err)
		require.Equal(t, rec.Bytes(), b)
		info, err := os.Lstat(file)
		require.NoError(t, err)
		require.True(t, info.Mode().IsRegular(), "the link itself was replaced")
		untouched, err := os.ReadFile(target)
		require.NoError(t, err)
		require.Equal(t, old.Bytes(), untouched)
	}
	// Temporary files are regular files: a link with such a name stays.
	link := filepath.Join(filepath.Dir(file), ".new-ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	require.NoError(t, os.Symlink(target, link))
	_, err = dht.OpenDir(filepath.Dir(file))
	require.NoError(t, err)
	_, err = os.Lstat(link)
	require.NoError(t, err)
}

func TestAFullDiskKeepsTheOldRecord(t *testing.T) {
	c := newClock()
	d := c.home(t)
	k := newKey(t)
	old := sign(t, k, 1)
	_, err := d.Put(t.Context(), k.Pointer(), old.Bytes())
	require.NoError(t, err)
	dht.SetFiles(d, fullDisk{})
	newer := sign(t, k, 2)
	receipt, err := d.Put(t.Context(), k.Pointer(), newer.Bytes())
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Zero(t, receipt.Stored)
	b, err := load(t, d, k.Pointer())
	require.NoError(t, err)
	require.Equal(t, old.Bytes(), b)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dht.RecordFile(d, k.Pointer())), ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)

	// A look-up continues and reports it; publishing fails.
	r := dht.Resolver{Stores: []dht.Store{peers(newer.Bytes())}, Home: d, Now: c.now}
	res, err := r.Best(t.Context(), k.Pointer(), dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, newer.ID(), res.Record.ID())
	require.Equal(t, dht.SourceHome, res.Rejected[0].Source)
	_, err = r.Publish(t.Context(), newer)
	require.ErrorIs(t, err, syscall.ENOSPC)
}

// writeMany puts records of one key into a directory, from start on.
func writeMany(path string, key *pointer.Key, records [][]byte, start int) error {
	d, err := dht.OpenDir(path)
	if err != nil {
		return err
	}
	d.Now = func() time.Time { return epoch }
	for i := range records {
		b := records[(start+i*7)%len(records)]
		if _, err := d.Put(context.Background(), key.Pointer(), b); err != nil && !errors.Is(err, dht.ErrOlder) {
			return err
		}
	}
	return nil
}

func TestOlderNeverReplacesNewer(t *testing.T) {
	path := t.TempDir()
	k := newKey(t)
	var records [][]byte
	for i := range 30 {
		records = append(records, sign(t, k, uint64(i+1)).Bytes())
	}
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 4 {
		wg.Go(func() { errs <- writeMany(path, k, records, i*11) }) // a Dir each, like separate processes
	}
	floor := make(chan error, 1)
	stop := make(chan struct{})
	go func() {
		d, err := dht.OpenDir(path)
		if err != nil {
			floor <- err
			return
		}
		var last uint64
		for {
			for a, err := range d.Get(context.Background(), k.Pointer()) {
				if err != nil {
					floor <- err
					return
				}
				if a.Record == nil {
					continue
				}
				rec, err := pointer.Open(k.Pointer(), a.Record, epoch)
				if err != nil || rec.Sequence() < last {
					floor <- fmt.Errorf("after %d came %d, %v", last, rec.Sequence(), err)
					return
				}
				last = rec.Sequence()
			}
			select {
			case <-stop:
				floor <- nil
				return
			default:
			}
		}
	}()
	wg.Wait()
	close(stop)
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	require.NoError(t, <-floor)
	d, err := dht.OpenDir(path)
	require.NoError(t, err)
	b, err := load(t, d, k.Pointer())
	require.NoError(t, err)
	require.Equal(t, records[29], b)
}

// TestOtherProcess is the second process of TestTwoProcessesShareADirectory.
func TestOtherProcess(t *testing.T) {
	path := os.Getenv("PETNAMES_TEST_DIR")
	if path == "" {
		t.Skip("run by TestTwoProcessesShareADirectory")
	}
	text, err := os.ReadFile(filepath.Join(path, "task"))
	require.NoError(t, err)
	p, err := pointer.Parse(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	d, err := dht.OpenDir(filepath.Join(path, "records"))
	require.NoError(t, err)
	d.Now = func() time.Time { return epoch }
	for i := 29; i >= 0; i-- {
		b, err := os.ReadFile(filepath.Join(path, fmt.Sprint(i)))
		require.NoError(t, err)
		if _, err := d.Put(t.Context(), p, b); !errors.Is(err, dht.ErrOlder) {
			require.NoError(t, err)
		}
	}
}

func TestTwoProcessesShareADirectory(t *testing.T) {
	path := t.TempDir()
	k := newKey(t)
	var records [][]byte
	for i := range 30 {
		records = append(records, sign(t, k, uint64(i+1)).Bytes())
		require.NoError(t, os.WriteFile(filepath.Join(path, fmt.Sprint(i)), records[i], 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(path, "task"), []byte(k.Pointer().String()), 0o600))
	exe, err := os.Executable()
	require.NoError(t, err)
	other := exec.Command(exe, "-test.run=^TestOtherProcess$")
	other.Env = append(os.Environ(), "PETNAMES_TEST_DIR="+path)
	var out bytes.Buffer
	other.Stdout, other.Stderr = &out, &out
	require.NoError(t, other.Start())
	err = writeMany(filepath.Join(path, "records"), k, records, 0)
	require.NoError(t, other.Wait(), out.String())
	require.NoError(t, err)
	d, err := dht.OpenDir(filepath.Join(path, "records"))
	require.NoError(t, err)
	b, err := load(t, d, k.Pointer())
	require.NoError(t, err)
	require.Equal(t, records[29], b)
}
