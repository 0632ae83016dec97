package ledger

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// Ledger is an open ledger file. Its methods may be called from several
// goroutines. A function passed to Update or Read must only call methods of the
// transaction.
type Ledger struct {
	path   string
	self   DeviceID
	signer crypto.Signer
	fold   Fold
	now    func() time.Time
	rand   io.Reader

	readOnly bool // the file may not be written

	writer  sync.Mutex     // one writer at a time; taken before the gate
	broken  error          // damage, because of which writing has stopped; under writer
	unsure  error          // of the last commit, if it failed: see resume.go; under writer
	failed  atomic.Bool    // unsure is set
	free    []uint64       // defaced pages, nil if not looked up yet; under writer
	list    uint32         // checksum of their list; under writer
	clean   bool           // the file has its clean mark; under writer
	gate    sync.RWMutex   // held by readers; taken to deface pages and to close
	closed  bool           // under gate
	down    bool           // the file is closed, and has to be opened again; under gate
	pages   *pages         // replaced under gate
	stuck   atomic.Bool    // bbolt's locks may be held for good
	trusted [4]atomic.Bool // by trustIndex and so on: whether checkBranches has succeeded
	st      atomic.Pointer[state]
	file    *os.File
	db      *bbolt.DB

	failing func(*bbolt.Tx) error // in tests: instead of Commit
}

// Options are the dependencies of a ledger. The zero value is usable.
type Options struct {
	Now  func() time.Time // the clock of entries; nil: time.Now
	Rand io.Reader        // for the book's id and for signers that use it; nil: crypto/rand
	Wait time.Duration    // how long to wait while another process has the file open; 0: not at all

	// Followed is for Join, which verifies statements by it: see [Ledger.Follow]. Nil: not known.
	Followed *Followed

	files durable.FS // creates and renames a new file; nil: the operating system's
}

// Genesis describes the start of a book.
type Genesis struct {
	Identity   crypto.Signer // admits the device; an Ed25519 key
	Device     crypto.Signer // signs this device's entries; an Ed25519 key
	DeviceName string        // at most 64 bytes
}

// Create creates a book with its first device, in a new file (mode 0600). After
// a crash there is either no ledger at path or a complete one. If the file
// exists, the error is fs.ErrExist and the file is unchanged.
func Create(path string, g Genesis, f Fold, o Options) (*Ledger, error) {
	o = o.withDefaults()
	if g.Identity == nil {
		return nil, errors.New("no identity key")
	}
	return build(path, g.Device, f, o, func(w *writing) error {
		if _, err := io.ReadFull(o.Rand, w.st.book[:]); err != nil {
			return fmt.Errorf("drawing a book id: %w", err)
		}
		body, err := admitFirst(w.st.book, g.Identity, o.Rand, w.l.self, g.DeviceName)
		if err != nil {
			return err
		}
		_, _, identity, err := parseGenesis(body, pointer.Pointer{})
		if err != nil {
			return fmt.Errorf("identity key: %w", err)
		}
		w.st.identity = identity
		w.addDevice(w.l.self, g.DeviceName)
		_, err = w.append(KindGenesis, body)
		return err
	})
}

// Join creates a ledger file for a device that the identity has admitted to a
// book, from the entries that another device's Missing(nil) yields. It verifies
// everything as Merge does, and that the book belongs to identity. File and
// errors are as for Create.
func Join(path string, identity pointer.Pointer, device crypto.Signer, entries iter.Seq[[]byte], f Fold, o Options) (*Ledger, error) {
	if identity == (pointer.Pointer{}) {
		return nil, errors.New("no identity to expect")
	}
	return build(path, device, f, o.withDefaults(), func(w *writing) error {
		w.st.identity = identity
		if o.Followed != nil {
			followed, err := o.Followed.from(identity)
			if err == nil {
				err = w.follow(followed)
			}
			if err != nil {
				return err
			}
		}
		if _, err := w.merge(entries, false); err != nil {
			return err
		}
		if w.st.first(w.l.self) == nil {
			return fmt.Errorf("%w: device %v is not admitted to the book", ErrRefused, w.l.self)
		}
		return nil
	})
}

// Open opens a ledger file. device must be a key that was admitted to the book.
// The error is fs.ErrNotExist if there is no file, ErrInUse if another process
// has it open, and a *DamagedError if it is damaged.
//
// A file that may not be written, by its mode or its file system, is opened for
// reading: every change fails with ErrReadOnly.
//
// Open reads the index and the devices' heads only, whatever the size of the
// book. After a crash it also reads the header of every page, and if the fold's
// version has changed it rebuilds the view.
func Open(path string, device crypto.Signer, f Fold, o Options) (*Ledger, error) {
	l, err := newLedger(path, device, f, o.withDefaults())
	if err != nil {
		return nil, err
	}
	err = l.open(o.Wait)
	if durable.ReadOnly(err) {
		l.readOnly = true
		err = l.open(o.Wait)
	}
	if err == nil && l.st.Load().fold != l.fold.Version() {
		if err = l.Rebuild(); err != nil {
			_ = l.shut()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	if l.readOnly {
		return l, nil
	}
	// Best effort: another process may be creating a ledger here, and will
	// fail.
	_ = durable.Sweep(o.files, filepath.Dir(path), filepath.Base(path)+newSuffix)
	return l, nil
}

// withDefaults returns o with the defaults for nil fields.
func (o Options) withDefaults() Options {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

// newLedger returns a Ledger without a file.
func newLedger(path string, device crypto.Signer, f Fold, o Options) (*Ledger, error) {
	self, err := deviceOf(device)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, errors.New("no fold")
	}
	return &Ledger{path: path, self: self, signer: device, fold: f, now: o.Now, rand: o.Rand}, nil
}

// open opens the file and checks it.
func (l *Ledger) open(wait time.Duration) (err error) {
	flags := os.O_RDWR
	if l.readOnly {
		flags = os.O_RDONLY
	}
	if err := l.openFile(flags, wait); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = l.shut()
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if l.pages, err = openPages(l.file, l.path, l.db.Info().PageSize); err != nil {
		return err
	}
	if l.clean, err = l.pages.recover(l.readOnly); err != nil {
		return err
	}
	tx, err := l.begin(false)
	if err != nil {
		return err
	}
	err = l.load(tx)
	l.rollback(tx)
	if err != nil {
		return err
	}
	st := l.st.Load()
	if st.first(l.self) == nil {
		return fmt.Errorf("device %v is not one of the book's; open it with the key of a device that is", l.self)
	}
	return nil
}

// load reads the index, and the path to each head in the log, and verifies the
// heads.
func (l *Ledger) load(tx *bbolt.Tx) error {
	if err := l.checkBranches(tx, trustIndex); err != nil {
		return err
	}
	st, err := loadState(tx, l.path)
	if err != nil {
		return err
	}
	l.st.Store(st)
	log, err := l.openLog(tx, st)
	if err != nil {
		return err
	}
	for i := range st.branches {
		b := &st.branches[i]
		if b.head < b.from {
			continue
		}
		if err := l.pages.descend(uint64(log.b.Root()), logKey(uint32(i), b.head)); err != nil {
			return err
		}
		// Including the signature: the head's hash covers the chain before it.
		e, _, err := log.entry(uint32(i), b.head, true)
		if err != nil {
			return err
		}
		if e.hash != b.hash {
			return &DamagedError{Path: l.path, At: "entry " + e.id.String(), Err: errors.New("is not the head that was written")}
		}
	}
	return nil
}

// openFile opens the file with bbolt, which locks it.
func (l *Ledger) openFile(flags int, wait time.Duration) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &DamagedError{Path: l.path, At: "the list of free pages", Err: panicError(r)}
		}
		if err != nil && l.file != nil {
			_ = l.abandon() // no effect if bbolt has closed it
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	l.db, err = bbolt.Open(l.path, 0o600, &bbolt.Options{
		Timeout:      max(wait, 1),
		FreelistType: bbolt.FreelistArrayType, // faster to load
		NoStatistics: true,
		ReadOnly:     flags == os.O_RDONLY,
		OpenFile: func(name string, _ int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flags|syscall.O_NONBLOCK, mode) // a pipe would wait for a writer
			if err != nil {
				return nil, err
			}
			if info, err := f.Stat(); err != nil || info.Size() == 0 && flags&os.O_CREATE == 0 || !info.Mode().IsRegular() {
				f.Close()
				if err == nil {
					err = &DamagedError{Path: name, At: "the file", Err: errors.New("it is empty, or no file")}
				}
				return nil, err
			}
			l.file = f
			return f, nil
		},
	})
	var damaged *DamagedError
	switch {
	case err == nil || errors.As(err, &damaged) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
		return err
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%q: %w", l.path, ErrInUse)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return &DamagedError{Path: l.path, At: "the meta pages", Err: err}
	}
	if info, serr := os.Stat(l.path); serr == nil && info.Size() < 4*int64(os.Getpagesize()) {
		return &DamagedError{Path: l.path, At: "the end of the file", Err: err}
	}
	return fmt.Errorf("%q: %w", l.path, err)
}

// Close waits for readers and a writer, and closes the file. Calling it again
// has no effect.
func (l *Ledger) Close() error {
	l.writer.Lock()
	defer l.writer.Unlock()
	l.gate.Lock()
	defer l.gate.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if l.down {
		return nil
	}
	if !l.clean && !l.readOnly && l.broken == nil && l.unsure == nil && !l.stuck.Load() {
		if l.sweepPages(true) == nil {
			_ = l.pages.markClean(l.list) // without it the next Open checks all pages
		}
	}
	return l.shut()
}

// shut closes the file, even if bbolt cannot.
func (l *Ledger) shut() (err error) {
	if l.stuck.Load() {
		return l.abandon()
	}
	defer func() {
		if recover() != nil {
			err = l.abandon()
		}
	}()
	return l.db.Close()
}

// abandon closes the file without bbolt. bbolt's mapping of it stays.
func (l *Ledger) abandon() error {
	unlock(l.file)
	return l.file.Close()
}

// build creates a ledger under a temporary name, calls fill in its first transaction,
// and opens it under its own name.
func build(path string, device crypto.Signer, f Fold, o Options, fill func(w *writing) error) (*Ledger, error) {
	fail := func(err error) (*Ledger, error) { return nil, fmt.Errorf("creating the ledger: %w", err) }
	if _, err := os.Lstat(path); err == nil {
		return fail(fmt.Errorf("%q: %w", path, fs.ErrExist))
	}
	temp := durable.TempName(path + newSuffix)
	l, err := newLedger(temp, device, f, o)
	if err != nil {
		return fail(err)
	}
	defer durable.Or(o.files).Remove(temp) // the name is random, so no other process uses it
	if err := l.openFile(os.O_RDWR|os.O_CREATE|os.O_EXCL, o.Wait); err != nil {
		return fail(err)
	}
	err = l.fill(fill)
	if cerr := l.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = publish(o.files, temp, path)
	}
	if err != nil {
		return fail(err)
	}
	return Open(path, device, f, o)
}

// fill creates the buckets in a new file, and calls fill in the first transaction.
func (l *Ledger) fill(fill func(w *writing) error) (err error) {
	if l.pages, err = openPages(l.file, l.path, l.db.Info().PageSize); err != nil {
		return err
	}
	err = l.db.Update(func(tx *bbolt.Tx) error {
		index, err := createChain(tx, bucketIndex, bucketIndex, l.path)
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucket([]byte(bucketLog)); err != nil {
			return err
		}
		if _, err := createChain(tx, bucketView, bucketView, l.path); err != nil {
			return err
		}
		return createLocal(tx, index)
	})
	if err != nil {
		return err
	}
	l.free = []uint64{} // no page is defaced yet
	l.st.Store(&state{format: firstFormat, fold: l.fold.Version(), devices: map[DeviceID][]uint32{}})
	return l.write(fill)
}

// newSuffix is followed by random letters in the name of an unfinished file.
const newSuffix = ".new-"

// publish renames the finished file durably. It never replaces another file.
func publish(files durable.FS, temp, path string) error {
	files = durable.Or(files)
	err := files.Link(temp, path)
	if err != nil {
		// The file exists, or the file system has no links. In the second case
		// check and rename are two steps, and a file that appears between them
		// is lost.
		if _, serr := os.Lstat(path); serr == nil {
			return fmt.Errorf("%q: %w", path, fs.ErrExist)
		}
		err = files.Rename(temp, path)
	}
	if err != nil {
		return err
	}
	return files.SyncDir(filepath.Dir(path))
}
