package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// CreateOptions are the options of [Create]. The zero value is an unlocked home
// without a nickname.
type CreateOptions struct {
	Nickname   string
	Passphrase string // encrypts the identity key and the recovery file; empty: not locked
	Recovery   string // new recovery file, for the next key instead of the home; needs a Passphrase; empty: the home
	WorkFactor int    // of scrypt, log2; 0: the default of age, about a second
}

// Create creates a home in dir, which must be missing or empty, or have only what an
// interrupted Create or [Recover] left. It fails with [ErrExists] when dir contains a
// home, with [ErrCreating], with [ErrNotEmpty], with [ErrRecoveryInHome] when the recovery
// file would be in dir, and with [fs.ErrExist] when the recovery file exists; the error
// wraps an [*IncompleteError] when dir has some files of a home and lacks others. After an
// error it removes what it created. The identity key is written last: [Open] finds no home
// without it.
func Create(dir string, o CreateOptions) (h Home, err error) { return createOn(nil, dir, o) }

// createOn is Create on a file system; nil: that of the operating system.
func createOn(files durable.FS, dir string, o CreateOptions) (Home, error) {
	n := newHome{CreateOptions: o}
	for _, key := range []**pointer.Key{&n.current, &n.next, &n.after} {
		var err error
		if *key, err = pointer.NewKey(nil); err != nil {
			return Home{}, err
		}
	}
	return n.createOn(files, dir)
}

// newHome is the content of a home to create.
type newHome struct {
	CreateOptions
	current, next, after *pointer.Key         // after is used only for a recovery file
	succession           []pointer.Succession // to current; nil: it is the first key
	last                 []byte               // the last record of the key before current; nil: none
	former               []pointer.Record     // the last records of all keys before current that are known
	device               *pointer.Key         // nil: a new one
	from                 string               // the recovery file that it comes from, as an absolute path; "": none
}

// createOn creates the home on a file system. Each error of [Create] is one of it.
func (o newHome) createOn(files durable.FS, dir string) (h Home, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return Home{}, err
	}
	h = Home{Dir: dir, files: files}
	if o.Recovery != "" {
		if o.Recovery, err = recoveryPath(dir, o.Recovery, o.Passphrase); err != nil {
			return Home{}, err
		}
	}
	c, err := h.claim(creating{from: o.from})
	if err != nil {
		return Home{}, err
	}
	if err = o.fill(h, c); err == nil {
		err = c.finish()
	}
	if err != nil {
		c.undo()
		return Home{}, err
	}
	return h, nil
}

// fill creates the files of the home in a folder that was claimed.
func (o newHome) fill(h Home, c *claim) error {
	if o.Recovery != "" {
		if err := checkNoFile(o.Recovery); err != nil {
			return err
		}
	}
	device := o.device
	if device == nil {
		var err error
		if device, err = pointer.NewKey(nil); err != nil {
			return err
		}
	}
	peer, err := newPeerKey()
	if err != nil {
		return err
	}
	if err = c.write(h.path(deviceFile), []byte(device.Secret()+"\n")); err != nil {
		return err
	}
	if err = c.write(h.path(peerFile), peer); err != nil {
		return err
	}
	sealing, err := newSealing(time.Now())
	if err != nil {
		return err
	}
	if err = c.write(h.path(sealingFile), sealing); err != nil {
		return err
	}
	if err = durable.Or(h.files).Mkdir(h.path(recordsDir)); err != nil {
		return err
	}
	c.made = append(c.made, h.path(recordsDir))
	c.made = append(c.made, h.path(ledgerFile)) // the folder was empty, so the file is of this call
	next, err := pointer.Commit(o.next.Public())
	if err != nil {
		return err
	}
	book, err := petname.Create(h.path(ledgerFile), o.current, device, petname.Options{DeviceName: deviceName(), Succession: o.succession, Next: next})
	if err != nil {
		return err
	}
	if o.Nickname != "" {
		err = book.SetNickname(o.Nickname)
	}
	if err == nil {
		err = putLastRecords(book, o.former)
	}
	if err = errors.Join(err, book.Close()); err != nil {
		return err
	}
	if o.Recovery != "" {
		k := recoveryKeys{current: o.current, next: o.next, after: o.after, chain: o.succession, nickname: o.Nickname, former: o.former}
		b, err := k.format(LastExpiry(time.Now(), time.Time{}), o.Passphrase, o.WorkFactor)
		if err != nil {
			return err
		}
		if err := c.note(creating{recovery: o.Recovery, head: recoveryHead(b)}.appended()); err != nil {
			return err
		}
		if err := c.write(o.Recovery, b); errors.Is(err, fs.ErrExist) {
			return checkNoFile(o.Recovery)
		} else if err != nil {
			return &RecoveryFileError{o.Recovery, err}
		}
	}
	b, err := secrets{current: o.current, next: o.next, nextElsewhere: o.Recovery != "", succession: o.succession, last: o.last,
		passphrase: o.Passphrase, workFactor: o.WorkFactor}.format()
	if err != nil {
		return err
	}
	// Atomic: Open would accept half an identity key as a home.
	c.made = append(c.made, h.path(identityFile))
	return h.replace(identityFile, b)
}

// recoveryPath returns the absolute path of a recovery file, which must be outside of
// the home, so that it survives the loss of the home.
func recoveryPath(dir, file, passphrase string) (string, error) {
	if passphrase == "" {
		return "", errors.New("a recovery file is always encrypted, and no passphrase is given")
	}
	name, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	for _, at := range [][2]string{{dir, name}, {resolved(dir), resolved(name)}} { // as it is named, and as links lead to it
		if rel, err := filepath.Rel(at[0], at[1]); err == nil && filepath.IsLocal(rel) {
			return "", fmt.Errorf("recovery file %q: %w", file, ErrRecoveryInHome)
		}
	}
	return name, nil
}

// resolved returns an absolute path without symbolic links in the folders that exist.
func resolved(name string) string {
	if whole, err := filepath.EvalSymlinks(name); err == nil {
		return whole
	}
	folder := filepath.Dir(name)
	if folder == name {
		return name
	}
	return filepath.Join(resolved(folder), filepath.Base(name))
}

// errRecoveryTaken is returned when a recovery file that is to be written exists.
var errRecoveryTaken = fmt.Errorf("%w", fs.ErrExist)

// RecoveryFileError is returned when a new recovery file cannot be written. Path is absolute.
type RecoveryFileError struct {
	Path string
	Err  error
}

func (e *RecoveryFileError) Error() string { return fmt.Sprintf("recovery file: %v", e.Err) }
func (e *RecoveryFileError) Unwrap() error { return e.Err }

func checkNoFile(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("recovery file %q: %w", name, errRecoveryTaken)
	}
	return nil
}

// claimDir creates the folder, or checks that it is empty, but for a joiningDir if joining is
// set. It returns the folders
// that it created. The folder has no creatingFile.
func (h Home) claimDir(joining bool) (made []string, err error) {
	entries, err := os.ReadDir(h.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return durable.MkdirAll(h.files, h.Dir)
	case err != nil:
		if info, serr := os.Stat(h.Dir); serr == nil && !info.IsDir() {
			return nil, fmt.Errorf("home %q: is a file, not a folder", h.Dir)
		}
		return nil, fmt.Errorf("home %q: %w", h.Dir, err)
	}
	incomplete := h.incomplete(vital)
	if _, err := os.Lstat(h.path(identityFile)); err == nil {
		if incomplete != nil {
			incomplete.also = ErrExists
			return nil, incomplete
		}
		return nil, fmt.Errorf("%w at %q", ErrExists, h.Dir)
	}
	if incomplete != nil {
		incomplete.also = fs.ErrExist
		return nil, incomplete
	}
	for _, e := range entries {
		if e.Name() != "lost+found" && !(joining && e.Name() == joiningDir) { // the first is in the root of a file system
			return nil, h.notEmpty(e.Name())
		}
	}
	return nil, nil
}

func deviceName() string {
	name, err := os.Hostname()
	if err != nil || len(name) > 64 {
		return "device"
	}
	return name
}
