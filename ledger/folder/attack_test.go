package folder_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/folder"
)

// admit admits a device, and returns its ledger with what the admitting one has.
func admit(t *testing.T, by *ledger.Ledger, name string) *ledger.Ledger {
	t.Helper()
	require.NoError(t, by.AdmitDevice(testKey("identity"), testKey(name).Public().(ed25519.PublicKey), name))
	l, err := ledger.Join(filepath.Join(t.TempDir(), name), by.Identity(), testKey(name), slices.Values(missing(t, by)), counts{}, ledger.Options{Now: clock()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// syncEarly is a sync before all admissions, by the name of the file.
func syncEarly(t *testing.T, l *ledger.Ledger, name, dir string) {
	_, err := folder.Sync(l, testKey(name), dir, folder.Options{Now: func() time.Time { return time.Unix(1500000000, 0) }})
	require.NoError(t, err)
}

func deviceIDs(ledgers ...*ledger.Ledger) (ids []ledger.DeviceID) {
	for _, l := range ledgers {
		ids = append(ids, l.Device())
	}
	return ids
}

// file writes a file as a hostile device does.
func file(t *testing.T, dir, name string, devices []ledger.DeviceID, entries ...[]byte) {
	t.Helper()
	require.NoError(t, folder.WriteFile(filepath.Join(dir, name+".petnames"), devices, entries))
}

// named returns the names of the files with a problem, without the suffix.
func named(t require.TestingT, r folder.Result) (names []string) {
	for _, p := range r.Problems {
		var e *folder.FileError
		require.ErrorAs(t, p, &e)
		names = append(names, strings.TrimSuffix(e.Name, ".petnames"))
	}
	slices.Sort(names)
	return names
}

// What was written into a folder before a device was admitted reaches it, in any order of the
// calls: a device that can read the files writes their entries again. Then nothing is written
// any more, and the files that the new device cannot read are no problem.
func TestANewDeviceReceivesWhatWasWrittenBeforeItsAdmission(t *testing.T) {
	names := []string{"laptop", "phone", "tablet"}
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}, {1, 2}, {2, 1}} {
		dir := t.TempDir()
		b := book(t, "laptop", "phone")
		write(t, b[0], "before")
		syncEarly(t, b[0], "laptop", dir)
		write(t, b[1], "carl") // not synced with the laptop, which admits the tablet
		syncEarly(t, b[1], "phone", dir)
		b = append(b, admit(t, b[0], "tablet"))
		for i := range 3 {
			for _, d := range order {
				sync(t, b[d], names[d], dir)
			}
			if i == 0 {
				write(t, b[1], "ben")
			}
		}
		for _, d := range order {
			r := sync(t, b[d], names[d], dir)
			require.Equal(t, folder.Result{Problems: r.Problems}, folder.Result{Received: r.Received, Sent: r.Sent, Waiting: r.Waiting, Problems: r.Problems}, "%v %d", order, d)
			require.Empty(t, named(t, r), "%v %d", order, d)
			require.Equal(t, digest(t, b[order[0]]), digest(t, b[d]), "%v %d", order, d)
		}
	}
}

// A file that a new device cannot read is a problem until another device has written.
func TestFilesThatANewDeviceCannotReadAreNamedUntilAnotherOneWrites(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop")
	syncEarly(t, b[0], "laptop", dir)
	tablet := admit(t, b[0], "tablet")
	r := sync(t, tablet, "tablet", dir)
	require.Len(t, r.Problems, 1)
	require.ErrorContains(t, r.Problems[0], "another device writes again")
	write(t, b[0], "a")
	sync(t, b[0], "laptop", dir)
	r = sync(t, tablet, "tablet", dir)
	require.Equal(t, 1, r.Received)
	require.Empty(t, r.Problems)
}

// A removed device puts a file into the folder, the name of which is before all others, with
// hundreds of MiB of one entry that builds on another one, which is not there. The other
// devices go on, name it, and read a bounded part of it, once.
func TestARemovedDeviceDoesNotStopTheFolder(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone", "thief")
	big := strings.Repeat("x", 4000)
	write(t, b[2], big+"1", big+"2")
	all := missing(t, b[2])
	last := all[len(all)-1]
	require.NoError(t, b[0].RemoveDevice(testKey("identity"), b[2].Device()))
	sync(t, b[0], "laptop", dir)
	sync(t, b[1], "phone", dir)
	file(t, dir, "00000000-a", deviceIDs(b[0], b[1]), slices.Repeat([][]byte{last}, 200<<20/len(last))...)
	write(t, b[1], "from the phone")
	before := allocated()
	r := sync(t, b[1], "phone", dir)
	require.Less(t, allocated()-before, uint64(300<<20), "in all; 24 MiB of the file are read")
	require.Equal(t, 1, r.Sent)
	require.Zero(t, r.Waiting)
	require.False(t, r.More)
	require.Equal(t, []string{"00000000-a"}, named(t, r))
	require.Equal(t, 1, sync(t, b[0], "laptop", dir).Received)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	for range 2 {
		r = sync(t, b[1], "phone", dir)
		require.Zero(t, r.Files, "it is not read again")
		require.Equal(t, []string{"00000000-a"}, named(t, r))
	}
}

// allocated returns the bytes that were allocated since the start.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// The same by a device that is not removed, with entries that wait, do not verify, or are no
// entries: each file is named, and none is in the way of others.
func TestAFloodOfADeviceIsNamedAndBounded(t *testing.T) {
	b := book(t, "laptop", "phone", "thief")
	big := strings.Repeat("x", 4000)
	const number = 7000 // of more bytes than are read
	var bodies []string
	for i := range number {
		bodies = append(bodies, big+fmt.Sprint(i))
	}
	write(t, b[2], bodies...)
	withheld := missing(t, b[2])
	withheld = withheld[len(withheld)-number+1:]
	damaged := func(e []byte, i int) []byte {
		e = slices.Clone(e)
		e[len(e)-1-i%1000] ^= 1 + byte(i/1000)
		return e
	}
	var forged, garbage [][]byte
	for i := range number {
		forged = append(forged, damaged(withheld[0], i))
		garbage = append(garbage, []byte(big+fmt.Sprint(i)))
	}
	for name, entries := range map[string][][]byte{"waiting": withheld, "forged": forged, "garbage": garbage} {
		dir := t.TempDir()
		file(t, dir, "00000000-a", deviceIDs(b...), entries...)
		write(t, b[1], "of the phone "+name)
		r := sync(t, b[1], "phone", dir)
		require.Equal(t, []string{"00000000-a"}, named(t, r), name)
		require.False(t, r.More, name)
		require.Equal(t, name == "waiting", r.Waiting > 0, name)
		r = sync(t, b[0], "laptop", dir)
		require.Positive(t, r.Received, name)
		require.Equal(t, []string{"00000000-a"}, named(t, r), name)
		require.Equal(t, digest(t, b[0]), digest(t, b[1]), name)
		r = sync(t, b[0], "laptop", dir)
		require.Zero(t, r.Files, name)
		require.Equal(t, []string{"00000000-a"}, named(t, r), name)
	}
	// What waits is read again when something has arrived.
	dir := t.TempDir()
	file(t, dir, "00000000-a", deviceIDs(b...), withheld...)
	require.Equal(t, 0, sync(t, b[0], "laptop", dir).Received)
	all := missing(t, b[2])
	file(t, dir, "20000000-a", deviceIDs(b...), all[:len(all)-number+1]...)
	r := sync(t, b[0], "laptop", dir)
	require.Equal(t, number, r.Received)
	require.Zero(t, r.Waiting)
	require.Empty(t, r.Problems)
}

// Files that are cut off, each as large as a call reads, keep no call from the others: calls
// end.
func TestFilesThatCannotBeReadAreLast(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone")
	write(t, b[0], strings.Repeat("x", 4000), strings.Repeat("y", 4000))
	r := sync(t, b[0], "laptop", dir)
	whole, err := os.ReadFile(filepath.Join(dir, r.Written[0]))
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(dir, r.Written[0])))
	for i := range 4 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("0000000%d.petnames", i)), whole[:len(whole)-1], 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "20260101-000000-a.petnames"), whole, 0o600))
	o := folder.Bounded(folder.Options{}, int64(len(whole)))
	calls := 0
	for more := true; more; calls++ {
		require.Less(t, calls, 6)
		r, err = folder.Sync(b[1], testKey("phone"), dir, o)
		require.NoError(t, err)
		more = r.More
	}
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	require.Len(t, named(t, r), 4)
	r, err = folder.Sync(b[1], testKey("phone"), dir, folder.Bounded(folder.Options{}, int64(len(whole)-2)))
	require.NoError(t, err)
	require.False(t, r.More)
}

// Entries that are not signed, and state that they are of another device, do not keep a
// device from writing what the folder lacks of it.
func TestForgedHeadsDoNotCoverEntries(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone", "thief")
	twin, err := ledger.Join(filepath.Join(t.TempDir(), "twin"), b[0].Identity(), testKey("laptop"), slices.Values(missing(t, b[0])), counts{}, ledger.Options{Now: clock()})
	require.NoError(t, err)
	defer twin.Close()
	known := len(missing(t, twin))
	write(t, b[0], "a")
	write(t, twin, "x", "y", "z")
	forged := missing(t, twin)
	for _, e := range forged[known:] {
		e[len(e)-3-10] ^= 1 // its signature
		require.Error(t, b[0].Book().VerifyAlone(e))
	}
	file(t, dir, "00000000-a", deviceIDs(b...), forged...)
	sync(t, b[0], "laptop", dir)
	sync(t, b[1], "phone", dir)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// Files that no call can read, small ones and one over the bound, do not make calls repeat for
// ever: each call reads a file that none read before, or is the last one.
func TestFilesThatNoCallReadsEndTheCalls(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], strings.Repeat("x", 4000))
	for name, fill := range map[string]func(t *testing.T, dir string){
		"not of petnames": func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "00000000-a.petnames"), []byte(strings.Repeat("x", 5000)), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "00000000-b.petnames"), []byte(strings.Repeat("y", 5000)), 0o600))
		},
		"of another book": func(t *testing.T, dir string) {
			other := book(t, "other")
			file(t, dir, "00000000-a", deviceIDs(other[0]), make([]byte, 5000))
			file(t, dir, "00000000-b", deviceIDs(other[0]), make([]byte, 5000))
		},
		"sealed for the other device": func(t *testing.T, dir string) {
			file(t, dir, "00000000-a", deviceIDs(b[0]), make([]byte, 5000))
			file(t, dir, "00000000-b", deviceIDs(b[0]), make([]byte, 5000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			sync(t, b[0], "laptop", dir)
			fill(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "00000000-c.petnames"), nil, 0o600))
			require.NoError(t, os.Truncate(filepath.Join(dir, "00000000-c.petnames"), 1<<20))
			last := folder.Result{More: true}
			for calls := 0; last.More; calls++ {
				require.Less(t, calls, 5)
				var err error
				last, err = folder.Sync(b[1], testKey("phone"), dir, folder.Bounded(folder.Options{}, 8000))
				require.NoError(t, err)
			}
			require.Equal(t, digest(t, b[0]), digest(t, b[1]))
			require.Equal(t, []string{"00000000-a", "00000000-b", "00000000-c"}, named(t, last))
		})
	}
}

// A stolen device writes a file that names all devices, of which the slot of one device does not
// open. It does not keep the author of the entries from writing them for that device.
func TestAFileThatADeviceCannotOpenCoversNothing(t *testing.T) {
	dir := t.TempDir()
	b := book(t, "laptop", "phone", "thief")
	write(t, b[0], "a", "b", "c")
	file(t, dir, "00000000-a", deviceIDs(b...), missing(t, b[0])...)
	path := filepath.Join(dir, "00000000-a.petnames")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, folder.SpoilSlot(raw, b[1].Device()))
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	require.NoError(t, b[0].RemoveDevice(testKey("identity"), b[2].Device()))
	require.Equal(t, len(missing(t, b[0])), sync(t, b[0], "laptop", dir).Sent)
	r := sync(t, b[1], "phone", dir)
	require.Equal(t, 4, r.Received)
	require.Equal(t, []string{"00000000-a"}, named(t, r))
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	require.Zero(t, sync(t, b[0], "laptop", dir).Sent)
}
