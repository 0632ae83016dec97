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
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	suffix = ".petnames"
	table  = "sync folders" // device-local: what was read, by the hash of the folder's path

	maxFiles   = 16384     // in one folder
	maxReceive = 256 << 20 // bytes of entries that one call reads
	batch      = 4 << 20   // bytes of entries that are merged at once
	maxFile    = 16 << 20  // bytes of entries after which another file is begun
	maxOwn     = 64        // own files, over which they become one
)

// Options are the dependencies of [Sync]. The zero value is usable.
type Options struct {
	Now   func() time.Time // for the names of files; nil: time.Now
	Files durable.FS       // nil: the operating system's
}

// Result is what a [Sync] did. It is a plain value.
type Result struct {
	Received int      // new entries that count
	Sent     int      // entries that the folder lacked
	Waiting  int      // entries that build on others that are not in the folder yet
	Files    int      // that were read
	More     bool     // the folder has more than one call reads: call again
	Problems []error  // a [*FileError] for each file, or the rest of one, that cannot be read
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

// state is what a device remembers of a folder.
type state struct {
	_       struct{} `cbor:",toarray"`
	Read    []readFile
	Own     []string // of the names in Read: written by this device
	Covered []head   // the folder has all up to these
}

type readFile struct {
	_    struct{} `cbor:",toarray"`
	Name string
	Size int64
}

type head struct {
	_      struct{} `cbor:",toarray"`
	Device []byte
	Number uint64
	Hash   []byte
}

// bounds are those of a state: one element for each file.
var bounds = canonical.Bounds{Elements: maxFiles, Pairs: 16}

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
	s := &syncing{l: l, private: private, dir: dir, files: durable.Or(o.Files), now: o.Now, complete: map[ledger.Hash]bool{}}
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

	before, after state
	read          []ledger.Head        // the entries of the files that were read
	complete      map[ledger.Hash]bool // entries that the folder has with all before them in their chain
	unmerged      [][]byte             // that were read, of any number of files
	size          int                  // of them, in bytes
	waiting       [][]byte
	received      int // bytes
}

func (s *syncing) run() error {
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
	if !s.unchanged(names) {
		s.before = state{Own: s.before.Own}
	}
	for _, h := range s.before.Covered {
		s.complete[ledger.Hash(h.Hash)] = true
	}
	s.after.Read = s.before.Read
	for _, f := range names {
		if slices.ContainsFunc(s.before.Read, func(r readFile) bool { return r.Name == f.Name }) {
			continue
		}
		if s.received > maxReceive {
			s.More = true
			break
		}
		if err := s.readFile(f); err != nil {
			return err
		}
	}
	if err := s.merge(); err != nil {
		return err
	}
	if s.Waiting = len(s.waiting); s.Waiting > 0 {
		s.after.Read = s.before.Read // they are read again when the others have arrived
	}
	for _, name := range s.before.Own {
		if slices.ContainsFunc(names, func(f readFile) bool { return f.Name == name }) {
			s.after.Own = append(s.after.Own, name)
		}
	}
	if s.More {
		s.after.Covered = s.before.Covered
		return s.save()
	}
	if err := s.write(); err != nil {
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
	for _, r := range s.before.Read {
		if !slices.Contains(names, r) {
			return false
		}
	}
	return true
}

func (s *syncing) row() []byte {
	h := sha256.Sum256([]byte(s.dir))
	return h[:]
}

func (s *syncing) load() error {
	return s.l.ReadLocal(func(local *ledger.View) error {
		b, err := local.Get(table, s.row())
		if err != nil || b == nil {
			return err
		}
		if canonical.Unmarshal(b, &s.before, bounds) != nil || slices.ContainsFunc(s.before.Covered, func(h head) bool {
			return len(h.Hash) != len(ledger.Hash{}) || len(h.Device) != len(ledger.DeviceID{})
		}) {
			s.before = state{} // of another version: everything is read again
		}
		return nil
	})
}

func (s *syncing) save() error {
	b, err := canonical.Marshal(s.after)
	if err != nil {
		return err
	}
	_, err = s.l.Update(func(tx *ledger.Tx) error { return tx.Local().Put(table, s.row(), b) })
	return err
}

// readFile reads a file. Its entries are merged with those of other files.
func (s *syncing) readFile(f readFile) error {
	file, err := durable.Open(filepath.Join(s.dir, f.Name))
	if err != nil {
		s.problem(f.Name, err)
		return nil
	}
	defer file.Close()
	s.Files++
	whole := true
	for entry, err := range read(bufio.NewReaderSize(file, 64<<10), s.l.Device(), s.private) {
		if err != nil {
			s.problem(f.Name, err)
			whole = false
			break
		}
		h, prev, err := s.l.Identify(entry)
		if err != nil {
			s.Reported = cmp.Or(s.Reported, err)
			continue
		}
		s.read = append(s.read, h)
		if h.Number == 1 || s.complete[prev] {
			s.complete[h.Hash] = true
		}
		s.unmerged = append(s.unmerged, bytes.Clone(entry))
		if s.size += len(entry); s.size >= batch {
			if err := s.merge(); err != nil {
				return err
			}
		}
		s.received += len(entry)
	}
	if whole {
		s.after.Read = append(slices.Clone(s.after.Read), f)
	}
	return nil
}

// merge merges the entries that were read, with those that waited for them.
func (s *syncing) merge() error {
	entries := append(s.waiting, s.unmerged...)
	if s.unmerged, s.size = nil, 0; len(entries) == 0 {
		return nil
	}
	n, waiting, err := s.l.MergePart(slices.Values(entries))
	s.Received += n
	s.waiting = waiting
	switch {
	case err == nil:
	case errors.Is(err, ledger.ErrFork), errors.Is(err, ledger.ErrRefused):
		s.Reported = cmp.Or(s.Reported, err)
	default:
		return err
	}
	return nil
}

// write writes what the folder lacks.
func (s *syncing) write() error {
	var covered []ledger.Head
	for _, h := range s.before.Covered {
		covered = append(covered, ledger.Head{Device: ledger.DeviceID(h.Device), Number: h.Number, Hash: ledger.Hash(h.Hash)})
	}
	for _, h := range s.read {
		if s.complete[h.Hash] {
			covered = append(covered, h)
		}
	}
	heads := s.l.Heads()
	var entries [][]byte
	size := 0
	for e, err := range s.l.Missing(highest(covered)) {
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
	for _, h := range heads {
		s.after.Covered = append(s.after.Covered, head{Device: h.Device[:], Number: h.Number, Hash: h.Hash[:]})
	}
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
	var devices []ledger.DeviceID
	for _, d := range s.l.Devices() {
		if !d.Removed {
			devices = append(devices, d.ID)
		}
	}
	// The time is for the order of reading alone: entries of one device in order wait for
	// no others.
	name := s.now().UTC().Format("20060102-150405-") + strings.ToLower(rand.Text()[:10]) + suffix
	path := filepath.Join(s.dir, name)
	if err := durable.Replace(s.files, path, s.tempNames(), time.Time{}, content{devices, entries}); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	s.Sent += len(entries)
	s.Written = append(s.Written, name)
	s.after.Read = append(slices.Clone(s.after.Read), readFile{Name: name, Size: info.Size()})
	s.after.Own = append(s.after.Own, name)
	return nil
}

// unite replaces the files of this device by one when they are many.
func (s *syncing) unite() error {
	if len(s.after.Own) <= maxOwn {
		return nil
	}
	old := s.after.Own
	var entries [][]byte
	for _, name := range old {
		file, err := durable.Open(filepath.Join(s.dir, name))
		if err != nil {
			return err
		}
		for entry, err := range read(bufio.NewReader(file), s.l.Device(), s.private) {
			if err != nil {
				file.Close()
				return nil // it is damaged: it stays for what of it can be read
			}
			entries = append(entries, bytes.Clone(entry))
		}
		file.Close()
	}
	s.after.Own = nil
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
	s.after.Read = slices.DeleteFunc(s.after.Read, func(r readFile) bool { return slices.Contains(old, r.Name) })
	return s.save()
}
