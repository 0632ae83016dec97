package home

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// A home whose device forked, or was removed from the book, joins its book again as a new
// device. Until that is committed, all that is new is in rejoiningDir: the provisional home of
// the new device, with its keys, and the new book. rejoinJournal commits it. From then on the
// files take their places, by the process that committed it or by the next [Home.Book].
// Each step can be repeated.
//
//	# petname rejoin 1
//	# device: <id>         of the new device
//	# aside: "ledger.db.forked"   the name of the old book, quoted as in Go
const (
	rejoiningDir  = ".rejoining"
	rejoinJournal = "rejoin.journal"
	rejoinMagic   = "# petname rejoin 1"
	rejoinedBook  = "book.db" // in rejoiningDir
	forkedSuffix  = ".forked"
)

// BeginRejoin returns the provisional home of the new device, as [BeginJoin] does for a new
// home: that of a joining that was interrupted, or else a new one. The caller has the book of
// h open.
func (h Home) BeginRejoin() (Home, error) {
	if p, err := Open(h.path(rejoiningDir)); err == nil {
		return p, nil
	}
	if err := os.RemoveAll(h.path(rejoiningDir)); err != nil { // unfinished
		return Home{}, err
	}
	return createProvisional(h.path(rejoiningDir))
}

// GiveUpRejoin removes the provisional home of [Home.BeginRejoin].
func (h Home) GiveUpRejoin() error { return os.RemoveAll(h.path(rejoiningDir)) }

// NewBook makes the book of the new device, in the place of an unfinished one, of the entries
// of the old book, which admit the device. The caller closes it before [Home.CommitRejoin].
func (h Home) NewBook(old *petname.Book, o petname.Options) (*petname.Book, error) {
	device, err := Home{Dir: h.path(rejoiningDir)}.deviceKey()
	if err != nil {
		return nil, err
	}
	name := filepath.Join(h.path(rejoiningDir), rejoinedBook)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var failed error
	entries := func(yield func([]byte) bool) {
		for b, err := range old.Ledger().Missing(nil) {
			if failed = err; err != nil || !yield(b) {
				return
			}
		}
	}
	id, err := h.Identity()
	if err != nil {
		return nil, err
	}
	o.Succession, o.Next = id.Succession, id.Next
	book, err := petname.Join(name, old.Ledger().Identity(), device, entries, o)
	if failed != nil && err == nil {
		err = errors.Join(failed, book.Close())
	}
	if err != nil {
		return nil, errors.Join(failed, err)
	}
	if err := copyLastRecords(old, book); err != nil {
		return nil, errors.Join(err, book.Close())
	}
	return book, nil
}

// copyLastRecords copies the last records of former keys.
func copyLastRecords(from, to *petname.Book) error {
	return to.Update(func(_ *petname.Book, local *ledger.View) error {
		return from.Ledger().ReadLocal(func(old *ledger.View) error {
			for row, err := range old.Scan(tableLast, nil) {
				if err == nil {
					err = local.Put(tableLast, bytes.Clone(row.Key), bytes.Clone(row.Value))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// OldBook returns the path that [Home.CommitRejoin] renames the old book to.
func (h Home) OldBook() (string, error) { return unusedName(h.path(ledgerFile + forkedSuffix)) }

// CommitRejoin makes the new device and its book those of the home. closeOld closes the old
// book, which the caller has open: it gets the name aside, of [Home.OldBook]. After an error
// before the commit the home is as before; after one behind it, [Home.Book] does the rest.
func (h Home) CommitRejoin(aside string, closeOld func() error) error {
	device, err := Home{Dir: h.path(rejoiningDir)}.deviceKey()
	if err != nil {
		return errors.Join(err, closeOld())
	}
	j := fmt.Appendf(nil, "%s\n# device: %s\n# aside: %q\n", rejoinMagic, deviceID(device), filepath.Base(aside))
	err = h.replace(rejoinJournal, j)
	if err = errors.Join(err, closeOld()); err != nil {
		return err
	}
	return h.finishRejoin()
}

func deviceID(key *pointer.Key) ledger.DeviceID {
	return ledger.DeviceID(key.Public().(ed25519.PublicKey))
}

// rejoin is the content of rejoinJournal.
type rejoin struct {
	device ledger.DeviceID
	aside  string // a name in the home
}

func (h Home) readRejoin() (r rejoin, err error) {
	name := h.path(rejoinJournal)
	text, err := readText(name)
	if err != nil {
		return rejoin{}, err
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) == 3 && lines[0] == rejoinMagic {
		id, isID := strings.CutPrefix(lines[1], "# device: ")
		quoted, isName := strings.CutPrefix(lines[2], "# aside: ")
		aside, qerr := strconv.Unquote(quoted)
		ok := isID && isName && qerr == nil && strings.HasPrefix(aside, ledgerFile+forkedSuffix) && filepath.Base(aside) == aside
		if ok && r.device.UnmarshalText([]byte(id)) == nil {
			r.aside = aside
			return r, nil
		}
	}
	return rejoin{}, &FileError{Path: name, Err: fmt.Errorf("journal of a joining %q: is not of this version, or damaged", name),
		step: "put back a copy of it, or move it away and put back ledger.db and device.key that belong together"}
}

// finishRejoin moves the files of a joining that is committed to their places; nil: there is
// none. It fails with [ledger.ErrInUse] while another process does so.
func (h Home) finishRejoin() error {
	lock, err := durable.Open(h.path(rejoinJournal))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if locked, err := durable.TryLock(lock); err != nil || !locked {
		return errors.Join(err, fmt.Errorf("home %q: %w", h.Dir, ledger.ErrInUse))
	}
	r, err := h.readRejoin()
	if errors.Is(err, fs.ErrNotExist) { // another process has done it
		return nil
	}
	if err == nil {
		err = h.moveRejoined(r)
	}
	if err != nil {
		return fmt.Errorf("home %q: the joining as a new device is not finished: %w", h.Dir, err)
	}
	if err := os.RemoveAll(h.path(rejoiningDir)); err != nil {
		return err
	}
	files := durable.Or(h.files)
	if err := files.SyncDir(h.Dir); err != nil {
		return err
	}
	err = files.Remove(h.path(rejoinJournal))
	if err != nil && runtime.GOOS == "windows" { // an open file stays there
		lock.Close()
		err = files.Remove(h.path(rejoinJournal))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return files.SyncDir(h.Dir)
}

// moveRejoined moves the files of a joining to their places.
func (h Home) moveRejoined(r rejoin) error {
	files := durable.Or(h.files)
	staged := Home{Dir: h.path(rejoiningDir)}
	if err := files.SyncDir(h.Dir); err != nil { // the name of the journal
		return err
	}
	if _, err := os.Lstat(staged.path(rejoinedBook)); err == nil {
		if _, err := os.Lstat(h.path(r.aside)); errors.Is(err, fs.ErrNotExist) {
			if err := files.Rename(h.path(ledgerFile), h.path(r.aside)); err != nil {
				return err
			}
			if err := files.SyncDir(h.Dir); err != nil {
				return err
			}
		}
		if err := files.Rename(staged.path(rejoinedBook), h.path(ledgerFile)); err != nil {
			return err
		}
		if err := errors.Join(files.SyncDir(h.Dir), files.SyncDir(staged.Dir)); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	key, err := staged.deviceKey()
	if errors.Is(err, fs.ErrNotExist) { // they are in their places
		return h.checkRejoined(r)
	}
	if err != nil {
		return err
	}
	peer, err := durable.ReadFile(staged.path(peerFile), maxKeyFile)
	if err == nil {
		err = h.replace(peerFile, peer)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err == nil && deviceID(key) == r.device {
		err = h.replace(deviceFile, []byte(key.Secret()+"\n"))
	}
	if err != nil {
		return err
	}
	return h.checkRejoined(r)
}

// checkRejoined checks that the home has the key of the new device.
func (h Home) checkRejoined(r rejoin) error {
	key, err := h.deviceKey()
	if err == nil && deviceID(key) != r.device {
		err = fmt.Errorf("%q is not the key of device %s", h.path(deviceFile), r.device)
	}
	return err
}
