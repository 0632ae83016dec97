package dht

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

const (
	recordSuffix = ".record"
	tempPrefix   = ".new-"
	lockName     = ".lock"
)

// Dir is a Store in a directory, with one file for each record: the signed bytes,
// named by the pointer's text plus ".record". The modification time of a file is
// the time when the record was last confirmed to be the newest. Files are
// replaced atomically, so a crash leaves the old record or the new one. A lock
// file prevents two processes from replacing a newer record by an older one. A
// file that does not verify, or is not a regular file, is reported and never
// served; the next put of a valid record replaces it.
type Dir struct {
	// Now is the clock for expiry and file times; nil means time.Now.
	Now func() time.Time

	path   string
	fs     durable.FS // for writing
	absent bool       // it does not exist, and may not be created
	mu     sync.Mutex // flock does not exclude goroutines of one process from each other
}

// OpenDir opens the directory, and creates it (mode 0700) if it does not exist.
// It removes temporary files left by a crash. A directory that may not be written can
// be read, and each put fails. A Dir keeps no file open and needs no
// Close.
func OpenDir(path string) (*Dir, error) { return openDir(durable.OS{}, path) }

// openDir is OpenDir on a file system.
func openDir(files durable.FS, path string) (*Dir, error) {
	_, err := durable.MkdirAll(files, path)
	absent := durable.ReadOnly(err)
	if err != nil && !absent {
		return nil, fmt.Errorf("records: %w", err)
	}
	d := &Dir{path: path, fs: files, absent: absent}
	unlock, err := d.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	// The lock is held: no other process is writing.
	if err := durable.Sweep(files, path, tempPrefix); err != nil && !durable.ReadOnly(err) {
		return nil, fmt.Errorf("records: %w", err)
	}
	return d, nil
}

// Get yields one answer, with the record if there is one, even if it has expired,
// or the error of a damaged file.
func (d *Dir) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[Answer, error] {
	return func(yield func(Answer, error) bool) {
		a := Answer{Source: SourceHome}
		if err := ctx.Err(); err != nil {
			yield(a, err)
			return
		}
		stored, ok, err := d.load(p, d.now())
		if ok {
			a.Record = stored.record.Bytes()
		}
		yield(a, err)
	}
}

// Put verifies a record and stores it durably. It returns an error that wraps
// [ErrOlder] if it has a newer one.
func (d *Dir) Put(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	now := d.now()
	rec, err := pointer.Open(p, record, now)
	if err != nil {
		return Receipt{Asked: 1, Refused: 1}, fmt.Errorf("put: %w", err)
	}
	stored, err := d.store(rec, now)
	if err != nil {
		return Receipt{Asked: 1, Unreachable: 1}, err
	}
	if supersedes(stored.record, rec) {
		return Receipt{Asked: 1, Refused: 1}, olderError(stored.record, rec)
	}
	return Receipt{Asked: 1, Stored: 1}, nil
}

// Pointers returns the pointers with a record file, in the order of their texts.
// It ignores files of other names.
func (d *Dir) Pointers() ([]pointer.Pointer, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("records: %w", err)
	}
	var ps []pointer.Pointer
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), recordSuffix)
		if !ok {
			continue
		}
		if p, err := pointer.Parse(text); err == nil && p.String() == text {
			ps = append(ps, p)
		}
	}
	return ps, nil
}

func (d *Dir) now() time.Time {
	if d.Now != nil {
		return d.Now().Round(0)
	}
	return time.Now().Round(0)
}

// file returns the path of the file of a pointer's record.
func (d *Dir) file(p pointer.Pointer) string {
	return filepath.Join(d.path, p.String()+recordSuffix)
}

// load implements floorStore. It fails if the file is damaged.
func (d *Dir) load(p pointer.Pointer, now time.Time) (floorRecord, bool, error) {
	// Windows refuses to rename over a file that is open for reading.
	if runtime.GOOS == "windows" {
		unlock, err := d.lock()
		if err != nil {
			return floorRecord{}, false, err
		}
		defer unlock()
	}
	return d.readRecord(p, now)
}

// readRecord reads and verifies the record of a pointer, expired or not. On Windows
// the caller holds the lock.
func (d *Dir) readRecord(p pointer.Pointer, now time.Time) (floorRecord, bool, error) {
	if p.IsZero() {
		return floorRecord{}, false, errors.New("records: no pointer given")
	}
	// A link may lead out of the directory.
	info, err := os.Lstat(d.file(p))
	if errors.Is(err, fs.ErrNotExist) {
		return floorRecord{}, false, nil
	}
	if err != nil {
		return floorRecord{}, false, fmt.Errorf("records: %w", err)
	}
	if !info.Mode().IsRegular() {
		return floorRecord{}, false, fmt.Errorf("records: %q is no plain file", d.file(p))
	}
	f, err := durable.Open(d.file(p))
	if errors.Is(err, fs.ErrNotExist) {
		return floorRecord{}, false, nil
	}
	if err != nil {
		return floorRecord{}, false, fmt.Errorf("records: %w", err)
	}
	defer f.Close()
	// The file may have been replaced since Lstat: take time and bytes from the
	// same file.
	if info, err = f.Stat(); err != nil {
		return floorRecord{}, false, fmt.Errorf("records: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(pointer.MaxRecord)+1))
	if err != nil {
		return floorRecord{}, false, fmt.Errorf("records: %w", err)
	}
	rec, _, err := openExpired(p, b, now)
	if err != nil {
		return floorRecord{}, false, fmt.Errorf("records: %q is damaged: %w", d.file(p), err)
	}
	return floorRecord{rec, info.ModTime()}, true, nil
}

// store implements floorStore. It replaces a damaged file.
func (d *Dir) store(rec pointer.Record, confirmed time.Time) (floorRecord, error) {
	unlock, err := d.lock()
	if err != nil {
		return floorRecord{}, err
	}
	defer unlock()
	p := rec.Pointer()
	stored, ok, err := d.readRecord(p, d.now())
	switch {
	case err != nil:
		// Damaged: replace it.
	case ok && supersedes(stored.record, rec):
		return stored, nil
	case ok && stored.record.ID() == rec.ID():
		if confirmed.IsZero() {
			return stored, nil
		}
		if err := os.Chtimes(d.file(p), confirmed, confirmed); err != nil {
			return floorRecord{}, fmt.Errorf("records: %w", err)
		}
		return floorRecord{stored.record, confirmed}, nil
	}
	modified := confirmed
	if modified.IsZero() {
		modified = time.Unix(0, 0) // not confirmed: stale
	}
	if err := durable.Replace(d.fs, d.file(p), tempPrefix, modified, bytes.NewReader(rec.Bytes())); err != nil {
		return floorRecord{}, fmt.Errorf("records: %w", err)
	}
	return floorRecord{rec, confirmed}, nil
}

// lock excludes other processes, and other goroutines of this process. Where nothing
// can be written, no lock file is needed.
func (d *Dir) lock() (unlock func(), err error) {
	d.mu.Lock()
	f, err := os.OpenFile(filepath.Join(d.path, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if durable.ReadOnly(err) || d.absent {
		return d.mu.Unlock, nil
	}
	if err == nil {
		if err = lockFile(f); err != nil {
			f.Close()
		}
	}
	if err != nil {
		d.mu.Unlock()
		return nil, fmt.Errorf("records: lock: %w", err)
	}
	return func() {
		f.Close() // releases the lock
		d.mu.Unlock()
	}, nil
}
