package folder_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/ledger/folder"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// counts is a fold that counts the entries with each body.
type counts struct{}

func (counts) Version() string { return "counts" }

func (counts) Apply(v *ledger.View, _ ledger.Entry, body []byte) error {
	old, err := v.Get("counts", body)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(old))
	return v.Put("counts", body, []byte(strconv.Itoa(n+1)))
}

// clock is a second later at each look.
func clock() func() time.Time {
	now := time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)
	return func() time.Time { now = now.Add(time.Second); return now }
}

// book returns a book with these devices, each with what the first one has.
func book(t testing.TB, names ...string) []*ledger.Ledger {
	t.Helper()
	identity := testKey("identity")
	o := ledger.Options{Now: clock()}
	dir := t.TempDir()
	first, err := ledger.Create(filepath.Join(dir, names[0]), ledger.Genesis{Identity: identity, Device: testKey(names[0]), DeviceName: names[0]}, counts{}, o)
	require.NoError(t, err)
	books := []*ledger.Ledger{first}
	for _, name := range names[1:] {
		require.NoError(t, first.AdmitDevice(identity, testKey(name).Public().(ed25519.PublicKey), name))
	}
	p, err := pointer.FromPublicKey(identity.Public())
	require.NoError(t, err)
	for _, name := range names[1:] {
		l, err := ledger.Join(filepath.Join(dir, name), p, testKey(name), slices.Values(missing(t, first)), counts{}, o)
		require.NoError(t, err)
		books = append(books, l)
	}
	t.Cleanup(func() {
		for _, l := range books {
			require.NoError(t, l.Close())
		}
	})
	return books
}

func digest(t require.TestingT, l *ledger.Ledger) ledger.Hash {
	h, err := l.Digest()
	require.NoError(t, err)
	return h
}

func missing(t require.TestingT, l *ledger.Ledger) (out [][]byte) {
	for b, err := range l.Missing(nil) {
		require.NoError(t, err)
		out = append(out, b)
	}
	return out
}

func write(t require.TestingT, l *ledger.Ledger, bodies ...string) {
	var all [][]byte
	for _, b := range bodies {
		all = append(all, []byte(b))
	}
	_, err := l.Append(all...)
	require.NoError(t, err)
}

func sync(t require.TestingT, l *ledger.Ledger, name, dir string) folder.Result {
	r, err := folder.Sync(l, testKey(name), dir, folder.Options{Now: func() time.Time { return time.Unix(1800000000, 0) }})
	require.NoError(t, err)
	return r
}

func TestTwoDevicesMeetInAFolder(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone")
	write(t, b[0], "a", "b")
	write(t, b[1], "c")
	r := sync(t, b[0], "laptop", dir)
	require.Equal(t, folder.Result{Sent: 4, Written: r.Written}, r)
	require.Len(t, r.Written, 1)
	r = sync(t, b[1], "phone", dir)
	require.Equal(t, folder.Result{Received: 2, Sent: 1, Files: 1, Written: r.Written}, r)
	r = sync(t, b[0], "laptop", dir)
	require.Equal(t, folder.Result{Received: 1, Files: 1}, r)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	// What does not change writes nothing and reads nothing.
	for range 3 {
		require.Equal(t, folder.Result{}, sync(t, b[0], "laptop", dir))
		require.Equal(t, folder.Result{}, sync(t, b[1], "phone", dir))
	}
}

// Files that are lost are written again, by the first device that misses them.
func TestLostFilesAreWrittenAgain(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone", "server")
	for i := range 5 {
		write(t, b[i%2], fmt.Sprint(i))
		sync(t, b[i%2], []string{"laptop", "phone"}[i%2], dir)
	}
	names := files(t, dir)
	require.NoError(t, os.Remove(filepath.Join(dir, names[2])))
	sync(t, b[0], "laptop", dir)
	sync(t, b[2], "server", dir)
	sync(t, b[0], "laptop", dir)
	require.Equal(t, digest(t, b[0]), digest(t, b[2]))
}

func files(t require.TestingT, dir string) (names []string) {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A law: whatever a synchronizing program does to the folders that it copies between (a
// part of a file, an order, copies under other names, losses), devices that go on end the
// same, and no call fails.
func TestAnyCarrierLeadsToOneBook(t *testing.T) {
	names := []string{"laptop", "phone", "server"}
	lawtest.Check(t, 15, func(rt *rapid.T) {
		b := book(t, names...)
		dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
		copyFile := func(from, to int, name string, keep float64) {
			content, err := os.ReadFile(filepath.Join(dirs[from], name))
			require.NoError(rt, err)
			content = content[:int(float64(len(content))*keep)]
			require.NoError(rt, os.WriteFile(filepath.Join(dirs[to], name), content, 0o600))
		}
		device := rapid.IntRange(0, 2)
		for i := range rapid.IntRange(1, 25).Draw(rt, "steps") {
			d := device.Draw(rt, "device")
			there := files(rt, dirs[d])
			switch rapid.IntRange(0, 6).Draw(rt, "what") {
			case 0, 1:
				write(rt, b[d], fmt.Sprint(i))
			case 2:
				sync(rt, b[d], names[d], dirs[d])
			case 3, 4: // a part arrives
				if len(there) > 0 {
					copyFile(d, device.Draw(rt, "to"), rapid.SampledFrom(there).Draw(rt, "file"), rapid.SampledFrom([]float64{1, 1, 0.9, 0.5, 0}).Draw(rt, "keep"))
				}
			case 5:
				if len(there) > 0 {
					name := rapid.SampledFrom(there).Draw(rt, "file")
					require.NoError(rt, os.Remove(filepath.Join(dirs[d], name)))
				}
			case 6:
				if len(there) > 0 {
					name := rapid.SampledFrom(there).Draw(rt, "file")
					conflict := strings.TrimSuffix(name, ".petnames") + ".sync-conflict-20261130-080000-ABCDEFG.petnames"
					content, err := os.ReadFile(filepath.Join(dirs[d], name))
					require.NoError(rt, err)
					require.NoError(rt, os.WriteFile(filepath.Join(dirs[d], conflict), content, 0o600))
				}
			}
		}
		for range 4 { // in the end the copies are whole
			for from := range dirs {
				sync(rt, b[from], names[from], dirs[from])
				for _, name := range files(rt, dirs[from]) {
					for to := range dirs {
						here, err := os.Stat(filepath.Join(dirs[from], name))
						require.NoError(rt, err)
						if there, err := os.Stat(filepath.Join(dirs[to], name)); err != nil || there.Size() < here.Size() {
							copyFile(from, to, name, 1)
						}
					}
				}
			}
		}
		for i := range b {
			require.Equal(rt, digest(rt, b[0]), digest(rt, b[i]))
		}
	})
}

// Nothing that is foreign, damaged or of another book prevents the rest, and it stays.
func TestForeignFilesAreReportedAndLeftAlone(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone")
	write(t, b[0], "a")
	r := sync(t, b[0], "laptop", dir)
	whole, err := os.ReadFile(filepath.Join(dir, r.Written[0]))
	require.NoError(t, err)
	other := book(t, "stranger")
	write(t, other[0], "stolen")
	sync(t, other[0], "stranger", dir)
	put := func(name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	put("note.txt", []byte("no sync file"))
	put("empty.petnames", nil)
	put("text.petnames", []byte("dear diary"))
	put("long.petnames", bytes.Repeat([]byte("petnames sync 1\n"), 1<<16))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-20] ^= 1
	put("flipped.petnames", flipped)
	put("cut.petnames", whole[:len(whole)-1])
	put("longer.petnames", append(bytes.Clone(whole), "more"...))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder.petnames"), 0o700))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "link.petnames")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "nowhere.petnames")))
	before := files(t, dir)
	r = sync(t, b[1], "phone", dir)
	require.Equal(t, 1, r.Received)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	var named []string
	for _, p := range r.Problems {
		var e *folder.FileError
		require.ErrorAs(t, p, &e)
		named = append(named, e.Name)
	}
	slices.Sort(named)
	require.Subset(t, named, []string{"cut.petnames", "empty.petnames", "flipped.petnames", "folder.petnames", "link.petnames", "long.petnames", "text.petnames"})
	require.NotContains(t, named, r.Written)
	require.Equal(t, before, files(t, dir))
	require.Subset(t, before, files(t, dir))
}

// Only devices of the book read it: no carrier, no stranger, and of what is written after a
// removal not the removed device.
func TestOnlyTheDevicesOfTheBookReadTheFolder(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone")
	write(t, b[0], "secret petname")
	sync(t, b[0], "laptop", dir)
	for _, name := range files(t, dir) {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NotContains(t, string(content), "secret petname")
		for _, d := range b[0].Devices() {
			require.NotContains(t, string(content), string(d.ID[:]))
		}
	}
	stranger := book(t, "stranger")
	r := sync(t, stranger[0], "stranger", dir)
	require.Zero(t, r.Received)
	require.Len(t, r.Problems, 1)
	require.ErrorContains(t, r.Problems[0], "another book")

	require.NoError(t, b[0].RemoveDevice(testKey("identity"), b[1].Device()))
	sync(t, b[0], "laptop", dir)
	r = sync(t, b[1], "phone", dir)
	require.Equal(t, 1, r.Received)
	require.Len(t, r.Problems, 2, "the stranger's file, and the one after the removal")
	require.NotEqual(t, digest(t, b[0]), digest(t, b[1]))
}

// A device writes one file a call, and of many its own become one.
func TestManyFilesBecomeOne(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone")
	for i := range 70 {
		write(t, b[0], fmt.Sprint(i))
		sync(t, b[0], "laptop", dir)
	}
	require.Less(t, len(files(t, dir)), 10)
	r := sync(t, b[1], "phone", dir)
	require.Equal(t, 70, r.Received)
	require.Empty(t, r.Problems)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// A cut of the power, or a fault of the disk, at any operation loses nothing and leaves
// nothing that a later call does not clear.
func TestAPowerCutInTheFolderLosesNothing(t *testing.T) {
	b := book(t, "laptop", "phone")
	turn := 0
	try := func(disk *durabletest.Disk) {
		dir := t.TempDir()
		write(t, b[0], fmt.Sprint(turn))
		turn++
		_, err := folder.Sync(b[0], testKey("laptop"), dir, folder.Options{Files: disk})
		if err != nil {
			require.True(t, errors.Is(err, durabletest.ErrCrashed) || disk.Failed() != "", "%v", err)
		}
		disk.Crash()
		sync(t, b[0], "laptop", dir)
		sync(t, b[1], "phone", dir)
		require.Equal(t, digest(t, b[0]), digest(t, b[1]))
		for _, name := range files(t, dir) {
			require.True(t, strings.HasSuffix(name, ".petnames"), name)
		}
	}
	for disk := range durabletest.Crashes() {
		try(disk)
	}
	for disk := range durabletest.Faults() {
		try(disk)
	}
	require.Greater(t, turn, 10)
}

// The bytes of a sync are those of its entries and 200 for each device, whatever the size
// of the book.
func TestASyncCostsItsDifference(t *testing.T) {
	sizes := []int{10, 2000}
	if lawtest.Long() {
		sizes = append(sizes, 100_000)
	}
	for _, size := range sizes {
		dir := t.TempDir()
		b := book(t, "laptop", "phone")
		body := strings.Repeat("b", 120)
		for all := slices.Repeat([]string{body}, size); len(all) > 0; all = all[min(1000, len(all)):] {
			write(t, b[0], all[:min(1000, len(all))]...)
		}
		began := time.Now()
		sync(t, b[0], "laptop", dir)
		first := time.Since(began)
		began = time.Now()
		sync(t, b[1], "phone", dir)
		received := time.Since(began)
		old := total(t, dir)
		heads := b[0].Heads()
		write(t, b[0], body, body, body, body, body)
		entries := 0
		for e, err := range b[0].Missing(heads) {
			require.NoError(t, err)
			entries += len(e)
		}
		began = time.Now()
		sync(t, b[0], "laptop", dir)
		cost := int(total(t, dir) - old)
		t.Logf("book of %d: first sync %d bytes, %v to write, %v to read; 5 entries of %d bytes cost %d, %v", size, old, first, received, entries, cost, time.Since(began))
		require.LessOrEqual(t, float64(cost), 1.1*float64(entries)+2*200)
		require.Equal(t, 5, sync(t, b[1], "phone", dir).Received)
	}
}

func total(t *testing.T, dir string) (n int64) {
	for _, name := range files(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		n += info.Size()
	}
	return n
}

func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	device := testKey("laptop")
	l, err := ledger.Create(filepath.Join(dir, "ledger.db"), ledger.Genesis{Identity: testKey("identity"), Device: device}, counts{}, ledger.Options{})
	if err != nil {
		panic(err)
	}
	defer l.Close()
	result, err := folder.Sync(l, device, dir, folder.Options{})
	fmt.Println(result.Received, "received,", result.Sent, "sent,", err)
	// Output: 0 received, 1 sent, <nil>
}
