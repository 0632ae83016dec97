package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/ledger/durable"
)

// creatingFile exists, locked, while [Create] or [Recover] works in a folder. Without the
// lock it was left by one that was interrupted: nothing of that home was used yet, and the
// next one in the folder removes it. It has no secrets:
//
//	# petname home under way 1
//	# from: "/…"         the recovery file of Recover, quoted as in Go; "": of Create
//	# recovery: "/…"     the new recovery file, likewise; "": none
//	# pointer: k51…      the first two lines of the new recovery file after its version;
//	# next: k…           absent without one
//
// The home is whole when identity.key exists; a creatingFile beside it has no meaning, and
// [Home.Book] removes it.
const (
	creatingFile  = ".creating"
	creatingMagic = "# petname home under way 1"
)

// ErrCreating is returned while another process creates a home in the folder.
var ErrCreating = errors.New("another process creates a home there")

// creating is the content of creatingFile.
type creating struct {
	from, recovery string // absolute paths; "": none
	header         string // of the new recovery file, without its first line; "": none
}

func (c creating) format() []byte {
	return fmt.Appendf(nil, "%s\n# from: %q\n# recovery: %q\n%s", creatingMagic, c.from, c.recovery, c.header)
}

// readCreating reads creatingFile. A damaged one has empty fields: it is empty if the
// process was interrupted at once.
func (h Home) readCreating() (c creating, err error) {
	b, err := durable.ReadFile(h.path(creatingFile), maxKeyFile)
	if err != nil {
		return creating{}, err
	}
	lines := strings.SplitN(string(b), "\n", 4)
	if len(lines) < 4 || lines[0] != creatingMagic {
		return creating{}, nil
	}
	from, err1 := strconv.Unquote(strings.TrimPrefix(lines[1], "# from: "))
	recovery, err2 := strconv.Unquote(strings.TrimPrefix(lines[2], "# recovery: "))
	if err1 != nil || err2 != nil {
		return creating{}, nil
	}
	return creating{from, recovery, lines[3]}, nil
}

// claim is the right to create a home in a folder: creatingFile, locked.
type claim struct {
	files durable.FS
	made  []string // what was created, in this order: folders, creatingFile, other files
	at    int      // index of creatingFile in made
	lock  *os.File // of creatingFile
}

// errClaimAgain is returned when another process changed the folder meanwhile.
var errClaimAgain = errors.New("the folder has changed")

// claim creates the folder, or checks that it is empty, and creates creatingFile. What an
// interrupted creation left is removed first. It fails with [ErrExists], [ErrCreating],
// [ErrNotEmpty], or an [*IncompleteError].
func (h Home) claim(content creating) (c *claim, err error) {
	for range 8 {
		if c, err = h.tryClaim(content); !errors.Is(err, errClaimAgain) {
			return c, err
		}
	}
	return nil, fmt.Errorf("home %q: %w", h.Dir, ErrCreating)
}

func (h Home) tryClaim(content creating) (*claim, error) {
	marker := h.path(creatingFile)
	if _, err := os.Lstat(marker); err == nil {
		return nil, h.clearUnfinished()
	}
	made, err := h.claimDir()
	if errors.As(err, new(*IncompleteError)) || errors.Is(err, ErrNotEmpty) {
		if _, merr := os.Lstat(marker); merr == nil { // of a process that began meanwhile
			err = errClaimAgain
		}
	}
	c := &claim{files: h.files, made: made, at: len(made)}
	if err == nil {
		err = durable.Create(h.files, marker, content.format())
		if errors.Is(err, fs.ErrExist) {
			err = errClaimAgain
		}
	}
	if err == nil {
		if c.lock, err = h.lockCreating(); err == nil || !errors.Is(err, ErrCreating) && !errors.Is(err, errClaimAgain) {
			c.made = append(c.made, marker)
		} // otherwise another process has taken it over
	}
	if err != nil {
		c.undo()
		return nil, err
	}
	return c, nil
}

// lockCreating opens and locks creatingFile. It fails with [ErrCreating] while another
// process has the lock.
func (h Home) lockCreating() (*os.File, error) {
	name := h.path(creatingFile)
	f, err := durable.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errClaimAgain
	}
	if err != nil {
		return nil, err
	}
	locked, err := durable.TryLock(f)
	if err == nil && !locked {
		err = fmt.Errorf("home %q: %w", h.Dir, ErrCreating)
	}
	if err == nil { // it may have been removed before the lock
		opened, oerr := f.Stat()
		there, terr := os.Lstat(name)
		if oerr != nil || terr != nil || !os.SameFile(opened, there) {
			err = errClaimAgain
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// clearUnfinished removes what an interrupted creation left, and returns errClaimAgain
// then.
func (h Home) clearUnfinished() error {
	lock, err := h.lockCreating()
	if err != nil {
		return err
	}
	if _, err = os.Lstat(h.path(identityFile)); err == nil {
		lock.Close()
		return fmt.Errorf("%w at %q", ErrExists, h.Dir)
	}
	c, err := h.readCreating()
	if err == nil {
		err = h.removeUnfinished(c)
	}
	lock.Close() // Windows removes no open file
	if err == nil {
		err = durable.Or(h.files).Remove(h.path(creatingFile))
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return errClaimAgain
	}
	return fmt.Errorf("home %q: removing an unfinished one: %w", h.Dir, err)
}

// removeUnfinished removes the files that Create makes, and the new recovery file. It
// fails with [ErrNotEmpty], and removes nothing, if the folder has any others.
func (h Home) removeUnfinished(c creating) error {
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		return err
	}
	var remove []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == creatingFile || name == "lost+found":
		case name == recordsDir && e.IsDir():
			if records, err := os.ReadDir(h.path(recordsDir)); err != nil || len(records) > 0 {
				return errors.Join(h.notEmpty(recordsDir), err)
			}
			remove = append(remove, name)
		case e.Type().IsRegular() && isOfCreate(name):
			remove = append(remove, name)
		default:
			return h.notEmpty(name)
		}
	}
	if c.recovery != "" && c.header != "" {
		if err := removeRecovery(h.files, c.recovery, recoveryMagic+"\n"+c.header); err != nil {
			return err
		}
	}
	for _, name := range remove {
		if err := durable.Or(h.files).Remove(h.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// removeCreating removes a creatingFile beside a whole home.
func (h Home) removeCreating() error {
	for _, file := range []string{creatingFile, identityFile} {
		if _, err := os.Lstat(h.path(file)); err != nil {
			return nil
		}
	}
	err := durable.Or(h.files).Remove(h.path(creatingFile))
	if errors.Is(err, fs.ErrNotExist) { // the process that created the home has removed it
		return nil
	}
	return err
}

// isOfCreate reports whether Create makes a file of this name, or a temporary one.
func isOfCreate(name string) bool {
	switch name {
	case deviceFile, peerFile, sealingFile, ledgerFile:
		return true
	}
	return durable.IsTempName(name, tempPrefix(identityFile)) || durable.IsTempName(name, ledgerFile+".new-")
}

// write creates a file.
func (c *claim) write(name string, b []byte) error {
	if err := durable.Create(c.files, name, b); err != nil {
		return err
	}
	c.made = append(c.made, name)
	return nil
}

// undo removes what was created, folders only if they are empty.
func (c *claim) undo() {
	for i := len(c.made) - 1; i >= 0; i-- {
		if i == c.at {
			c.release()
		}
		_ = durable.Or(c.files).Remove(c.made[i])
	}
	c.release()
}

// finish removes creatingFile: the home is whole.
func (c *claim) finish() error {
	c.release()
	return durable.Or(c.files).Remove(c.made[c.at])
}

func (c *claim) release() {
	if c.lock != nil {
		c.lock.Close()
		c.lock = nil
	}
}

// notEmptyError is the type of [ErrNotEmpty].
type notEmptyError struct{}

func (notEmptyError) Error() string { return "the folder of a new home must be empty" }
func (notEmptyError) Unwrap() error { return fs.ErrExist }

func (h Home) notEmpty(name string) error {
	return fmt.Errorf("%w: %q has %q", ErrNotEmpty, h.Dir, name)
}
