package home

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// joiningDir is a folder in that of a future home, while its device joins a book: a home of
// its own, whose identity is the key of the device, so that it has the protocols and the
// durable state of any home. It ends when the home is whole, or when the joining is given
// up.
const joiningDir = ".joining"

// BeginJoin returns the provisional home of a device that joins a book, with the future
// home in dir: that of a joining that was interrupted there, or else a new one. Its
// identity is the key of the device. dir must be missing or empty. It fails with the errors
// of [Create].
func BeginJoin(dir string) (Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, err
	}
	h := Home{Dir: dir}
	_, whole := os.Lstat(h.path(identityFile))
	if p, err := Open(h.path(joiningDir)); err == nil && errors.Is(whole, fs.ErrNotExist) {
		return p, nil // FinishJoin removes what an interrupted one left beside it
	}
	made, err := h.claimDir(true)
	if err != nil {
		return Home{}, err
	}
	p, err := createProvisional(h.path(joiningDir))
	if err != nil {
		for i := len(made) - 1; i >= 0; i-- {
			_ = os.Remove(made[i]) // only if it is empty
		}
		return Home{}, err
	}
	return p, nil
}

// createProvisional creates a home whose identity is the key of its device.
func createProvisional(dir string) (_ Home, err error) {
	n := newHome{}
	for _, key := range []**pointer.Key{&n.current, &n.next} {
		if *key, err = pointer.NewKey(nil); err != nil {
			return Home{}, err
		}
	}
	n.device = n.current
	return n.createOn(nil, dir)
}

// GiveUpJoin removes the provisional home of [BeginJoin] in dir, and the folder if it is
// empty then.
func GiveUpJoin(dir string) error {
	if err := os.RemoveAll(filepath.Join(dir, joiningDir)); err != nil {
		return err
	}
	_ = os.Remove(dir)
	return nil
}

// Handed is what another device of the owner hands to one that joins.
type Handed struct {
	Identity []byte           // of [Identity.Handover]
	Sealing  []byte           // the content of sealing.key: see [Home.SealingFile]
	Creator  pointer.Pointer  // the identity that created the book: the current one, or a former one
	Former   []pointer.Record // the last records of former keys
	Config   Config           // of the new home
	Entries  iter.Seq[[]byte] // exchanged entries of the book, which admit the device

	// Complete writes what else the new book is to have when the home exists; it may be nil.
	Complete func(*petname.Book) error
}

// FinishJoin makes the home in dir of its provisional one, which the next [Home.Book] removes.
// After an error, or a crash, the provisional home is as it was: FinishJoin can be called
// again.
func FinishJoin(dir string, in Handed) (Home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, err
	}
	h := Home{Dir: dir}
	provisional, err := Open(h.path(joiningDir))
	if err != nil {
		return Home{}, err
	}
	id, err := ParseHandover(in.Identity)
	if err != nil {
		return Home{}, err
	}
	if !id.Created(in.Creator) {
		return Home{}, fmt.Errorf("the book was created by %s, and not by the identity %s", in.Creator, id.Pointer)
	}
	if _, err := parseSealing(string(in.Sealing)); err != nil {
		return Home{}, fmt.Errorf("sealing keys of another device: %w", err)
	}
	c, err := h.claim(creating{joining: true})
	if err != nil {
		return Home{}, err
	}
	if err = in.fill(h, provisional, id, c); err == nil {
		err = c.finish()
	}
	if err != nil {
		c.undo()
		return Home{}, err
	}
	return h, nil
}

// fill creates the files of the home, that of the identity last.
func (in Handed) fill(h, provisional Home, id Identity, c *claim) error {
	device, err := provisional.deviceKey()
	if err != nil {
		return err
	}
	if err := c.write(h.path(deviceFile), []byte(device.Secret()+"\n")); err != nil {
		return err
	}
	peer, err := durable.ReadFile(provisional.path(peerFile), maxKeyFile)
	if err != nil {
		return err
	}
	if err := c.write(h.path(peerFile), peer); err != nil {
		return err
	}
	if err := c.write(h.path(sealingFile), in.Sealing); err != nil {
		return err
	}
	if err := durable.Or(h.files).Mkdir(h.path(recordsDir)); err != nil {
		return err
	}
	c.made = append(c.made, h.path(recordsDir), h.path(ledgerFile)) // as in Create
	book, err := petname.Join(h.path(ledgerFile), in.Creator, device, in.Entries, petname.Options{Succession: id.Succession, Next: id.Next})
	if err != nil {
		return err
	}
	err = putLastRecords(book, in.Former)
	if err == nil && in.Complete != nil {
		err = in.Complete(book)
	}
	if err = errors.Join(err, book.Close()); err != nil {
		return err
	}
	c.made = append(c.made, h.path(configFile))
	if err := h.SetConfig(in.Config); err != nil {
		return err
	}
	c.made = append(c.made, h.path(identityFile))
	return h.replace(identityFile, in.Identity)
}

// removeJoining removes the provisional home beside a whole one.
func (h Home) removeJoining() error {
	if _, err := os.Lstat(h.path(joiningDir)); err != nil {
		return nil
	}
	if _, err := os.Lstat(h.path(identityFile)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.RemoveAll(h.path(joiningDir))
}

// IdentityFile returns the content of identity.key, as UTF-8 with lines that end in \n: the
// signature of a device without the key is over these bytes.
func (h Home) IdentityFile() ([]byte, error) {
	text, err := readText(h.path(identityFile))
	return []byte(text), err
}

// SealingFile returns the content of sealing.key, for another device of the owner.
func (h Home) SealingFile() ([]byte, error) {
	s, err := h.Sealing()
	if err != nil {
		return nil, err
	}
	return s.format()
}
