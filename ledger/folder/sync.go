package folder

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

const (
	suffix = ".petnames"

	maxFiles   = 16384     // in one folder
	maxReceive = 256 << 20 // bytes of files that one call reads
	maxFile    = 16 << 20  // bytes of entries after which another file is begun
	maxOwn     = 64        // own files, over which they become one
)

// Options are the dependencies of [Sync]. The zero value is usable.
type Options struct {
	Now   func() time.Time // for the names of files; nil: time.Now
	Files durable.FS       // nil: the operating system's

	maxReceive int64 // for tests; 0: the bound of the package
}

// Result is what a [Sync] did. It is a plain value.
type Result struct {
	Received int      // new entries that count
	Sent     int      // entries that the folder lacked
	Waiting  int      // entries that build on others that are not in the folder yet
	Files    int      // that were read
	More     bool     // the folder has more than one call reads: call again
	Problems []error  // a [*FileError] for each file that cannot be read to its end, has entries that wait, or that do not verify
	Reported error    // of [ledger.Ledger.MergePart]: an entry that does not count, or does not verify
	Written  []string // names of the new files
}

// FileError is the reason why a file, or the rest of it, cannot be read.
type FileError struct {
	Name string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%q: %v", e.Name, e.Err) }

func (e *FileError) Unwrap() error { return e.Err }

// Sync merges what the folder has, and writes what it lacks. The folder must exist. device
// is the key of the ledger's device. Several devices may call Sync on one folder at the
// same time; of one ledger, calls exclude one another only by their transactions, so that a
// caller makes one at a time.
//
// After an error the entries that were merged stay merged, and the next call continues.
func Sync(l *ledger.Ledger, device ed25519.PrivateKey, dir string, o Options) (Result, error) {
	private, err := x25519.Private(device)
	if err != nil {
		return Result{}, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return Result{}, err
	}
	s := &syncing{l: l, private: private, dir: dir, files: durable.Or(o.Files), now: o.Now, limit: cmp.Or(o.maxReceive, maxReceive), sources: map[string]*source{}, items: map[[32]byte]*item{}}
	if s.now == nil {
		s.now = func() time.Time { return time.Now().Round(0) }
	}
	if err := s.run(); err != nil {
		return s.Result, fmt.Errorf("folder %q: %w", dir, err)
	}
	return s.Result, nil
}

// syncing is one Sync.
type syncing struct {
	Result
	l       *ledger.Ledger
	private *ecdh.PrivateKey
	dir     string
	files   durable.FS
	now     func() time.Time
	limit   int64

	state    state
	sources  map[string]*source // by name
	items    map[[32]byte]*item // by the hash of their bytes
	order    [][32]byte         // of items
	size     int                // of those that were not merged before, in bytes
	kept     int                // of the others
	stored   []storedEntry
	received int64 // bytes of files
}

func (s *syncing) run() error {
	if info, err := os.Stat(s.dir); err != nil {
		return err
	} else if !info.IsDir() {
		return errors.New("is a file, not a folder")
	}
	if err := durable.Sweep(s.files, s.dir, s.tempNames()); err != nil {
		return err
	}
	names, err := s.list()
	if err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	if s.outdated() || !s.unchanged(names) {
		s.reset()
	}
	s.state.Own = slices.DeleteFunc(s.state.Own, func(name string) bool {
		return !slices.ContainsFunc(names, func(f readFile) bool { return f.Name == name })
	})
	if err := s.readFiles(names); err != nil {
		return err
	}
	if err := s.reportFiles(); err != nil {
		return err
	}
	covered, err := s.covered()
	if err != nil {
		return err
	}
	if s.More {
		s.setCovered(covered)
		return s.save()
	}
	if err := s.write(covered); err != nil {
		return err
	}
	if err := s.save(); err != nil {
		return err
	}
	return s.unite()
}

// tempNames returns the prefix of the names of files that this device has not completed.
// What a crash leaves of them is removed by the next call.
func (s *syncing) tempNames() string {
	id := s.l.Device()
	return fmt.Sprintf(".petnames-%x-", sha256.Sum256(append([]byte(s.dir), id[:]...)))[:20] + "-"
}

// list returns the sync files in the folder, by name: oldest first.
func (s *syncing) list() (out []readFile, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		info, err := os.Stat(filepath.Join(s.dir, e.Name()))
		if err != nil || !info.Mode().IsRegular() {
			if !errors.Is(err, fs.ErrNotExist) { // removed by another device since
				s.problem(e.Name(), cmp.Or(err, errForeign))
			}
			continue
		}
		if out = append(out, readFile{Name: e.Name(), Size: info.Size()}); len(out) > maxFiles {
			return nil, fmt.Errorf("over %d files", maxFiles)
		}
	}
	return out, nil
}

func (s *syncing) problem(name string, err error) {
	s.Problems = append(s.Problems, &FileError{name, err})
}

// unchanged reports whether all files that were read before are there as they were.
func (s *syncing) unchanged(names []readFile) bool {
	sizes := map[string]int64{}
	for _, f := range names {
		sizes[f.Name] = f.Size
	}
	s.state.Read = slices.DeleteFunc(s.state.Read, func(r readFile) bool {
		size, found := sizes[r.Name]
		return r.Failed && (!found || size != r.Size)
	})
	return !slices.ContainsFunc(s.state.Read, func(r readFile) bool {
		size, found := sizes[r.Name]
		return !found || size != r.Size
	})
}

// covered returns heads up to which files have all entries that all devices can read. What
// this device wrote counts as covered by its own files alone: of another file it cannot verify
// that the slots of other devices open, and a hostile device can spoil them.
func (s *syncing) covered() (covered []ledger.Head, err error) {
	devices, device := s.devices(), s.l.Device()
	complete, forAll := map[ledger.Hash]bool{}, map[*source]bool{}
	for _, h := range s.state.Covered {
		covered = append(covered, ledger.Head{Device: ledger.DeviceID(h.Device), Number: h.Number, Hash: ledger.Hash(h.Hash)})
		complete[ledger.Hash(h.Hash)] = true
	}
	for _, src := range s.sources {
		forAll[src] = !slices.ContainsFunc(devices, func(id ledger.DeviceID) bool { return !src.slots.names(id) })
	}
	slices.SortStableFunc(s.stored, func(a, b storedEntry) int { return cmp.Compare(a.head.Number, b.head.Number) })
	for _, e := range s.stored {
		covers := func(src *source) bool {
			return forAll[src] && (e.head.Device != device || slices.Contains(s.state.Own, src.Name))
		}
		if (e.head.Number == 1 || complete[e.prev]) && slices.ContainsFunc(e.sources, covers) {
			complete[e.head.Hash] = true
			covered = append(covered, e.head)
		}
	}
	return highest(covered), nil
}

func (s *syncing) setCovered(heads []ledger.Head) {
	s.state.Covered, s.state.Devices = nil, nil
	for _, h := range heads {
		s.state.Covered = append(s.state.Covered, head{Device: h.Device[:], Number: h.Number, Hash: h.Hash[:]})
	}
	for _, id := range s.devices() {
		s.state.Devices = append(s.state.Devices, id[:])
	}
}

// write writes what the folder lacks.
func (s *syncing) write(covered []ledger.Head) error {
	heads := s.l.Heads()
	var entries [][]byte
	size := 0
	for e, err := range s.l.Missing(covered) {
		if err != nil {
			return err
		}
		entries = append(entries, e)
		if size += len(e); size >= maxFile {
			if err := s.create(entries); err != nil {
				return err
			}
			entries, size = nil, 0
		}
	}
	if len(entries) > 0 {
		if err := s.create(entries); err != nil {
			return err
		}
	}
	s.setCovered(heads)
	return nil
}

// highest returns heads without those that are before another one of the same device in an
// unbroken row of numbers with one hash each: what Missing need not look up.
func highest(heads []ledger.Head) []ledger.Head {
	numbers := map[ledger.DeviceID]map[uint64]int{}
	for _, h := range heads {
		if numbers[h.Device] == nil {
			numbers[h.Device] = map[uint64]int{}
		}
		numbers[h.Device][h.Number]++
	}
	return slices.DeleteFunc(heads, func(h ledger.Head) bool {
		n := numbers[h.Device]
		return n[h.Number] == 1 && n[h.Number+1] == 1
	})
}

// create writes a file.
func (s *syncing) create(entries [][]byte) error {
	// The time and the count are for the order of reading alone: entries of one device in
	// order wait for no others.
	name := s.now().UTC().Format(nameTime) + fmt.Sprintf("%03d", len(s.Written)) + strings.ToLower(rand.Text()[:10]) + suffix
	path := filepath.Join(s.dir, name)
	if err := durable.Replace(s.files, path, s.tempNames(), time.Time{}, content{s.devices(), entries}); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.Sent += len(entries)
	s.Written = append(s.Written, name)
	s.state.Read = append(s.state.Read, readFile{Name: name, Size: info.Size()})
	s.state.Own = append(s.state.Own, name)
	return nil
}

// unite replaces the small files of this device by one when its files are many.
func (s *syncing) unite() error {
	if len(s.state.Own) <= maxOwn {
		return nil
	}
	var old []string
	for _, r := range s.state.Read {
		if r.Size <= maxFile/maxOwn && slices.Contains(s.state.Own, r.Name) {
			old = append(old, r.Name)
		}
	}
	var entries [][]byte
	var heads []ledger.Head
	for _, name := range old {
		err := s.readOwn(name, func(entry []byte) {
			if h, _, err := s.l.Identify(entry); err == nil {
				entries, heads = append(entries, bytes.Clone(entry)), append(heads, h)
			}
		})
		if err != nil {
			return nil // it is damaged: it stays for what of it can be read
		}
	}
	lacks, err := s.l.Lacks(heads)
	if err != nil {
		return err
	}
	for i := len(heads) - 1; i >= 0; i-- {
		if slices.Contains(lacks, heads[i]) { // the carrier has replaced a file
			entries = slices.Delete(entries, i, i+1)
		}
	}
	if len(old) < 2 || len(entries) == 0 {
		return nil
	}
	sent := s.Sent
	if err := s.create(entries); err != nil {
		return err
	}
	s.Sent = sent
	for _, name := range old {
		if err := s.files.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.state.Own = slices.DeleteFunc(s.state.Own, func(name string) bool { return slices.Contains(old, name) })
	s.state.Read = slices.DeleteFunc(s.state.Read, func(r readFile) bool { return slices.Contains(old, r.Name) })
	return s.save()
}

// readOwn calls fn with the entries of a file that this device wrote.
func (s *syncing) readOwn(name string, fn func(entry []byte)) error {
	file, err := durable.Open(filepath.Join(s.dir, name))
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReader(io.LimitReader(file, maxFile))
	slots, err := readSlots(r)
	if err != nil {
		return err
	}
	for entry, err := range slots.read(r, s.l.Device(), s.private) {
		if err != nil {
			return err
		}
		fn(entry)
	}
	return nil
}
