package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/ledger/durable"
)

// creatingFile exists, locked, while [Create] or [Recover] works in a folder. Without the
// lock it was left by one that was interrupted: nothing of that home was used yet, and the
// next one in the folder removes it, and takes the file over. It has no secrets. Each
// creation appends its lines:
//
//	# petname home under way 1
//	# from: "/…"         the recovery file of Recover, quoted as in Go; "": of Create
//	# recovery: "/…"     the new recovery file; this line and the next are appended before
//	                     it is written
//	# head: "…"          its first 512 bytes, which no other recovery file begins with
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
	head           string // recoveryHead of the new recovery file

	joining bool // of FinishJoin: the folder has a joiningDir, which stays. Not in the file
}

const (
	fromField     = "# from: "
	recoveryField = "# recovery: "
)

func (c creating) format() []byte {
	b := fmt.Appendf(nil, "%s\n%s%q\n", creatingMagic, fromField, c.from)
	if c.recovery == "" {
		return b
	}
	return append(b, c.appended()...)
}

// appended returns the lines about the new recovery file.
func (c creating) appended() []byte {
	return fmt.Appendf(nil, "%s%q\n%s%q\n", recoveryField, c.recovery, headField, c.head)
}

// readCreating reads the last creation in creatingFile. Fields that are damaged are empty,
// since the process can be interrupted at any time.
func (h Home) readCreating() (c creating, err error) {
	b, err := durable.ReadFile(h.path(creatingFile), maxKeyFile)
	if err != nil {
		return creating{}, err
	}
	text := string(b)
	lines := strings.Split(text[max(0, strings.LastIndex(text, creatingMagic)):], "\n")
	field := func(line int, name string) string {
		if line >= len(lines)-1 { // a line that is cut short has no end
			return ""
		}
		quoted, _ := strings.CutPrefix(lines[line], name)
		text, _ := strconv.Unquote(quoted)
		return text
	}
	return creating{from: field(1, fromField), recovery: field(2, recoveryField), head: field(3, headField)}, nil
}

// claim is the right to create a home in a folder: creatingFile, locked.
type claim struct {
	files durable.FS
	made  []string // what was created, in this order: folders, creatingFile, other files
	at    int      // index of creatingFile in made
	lock  *os.File // of creatingFile
}

// changedError is returned when another process may have changed the folder meanwhile, and
// a claim is to be tried again. err is the reason, if that does not help.
type changedError struct{ error }

// claim creates the folder, or checks that it is empty, and creates creatingFile. What an
// interrupted creation left is removed first. It fails with [ErrExists], [ErrCreating],
// [ErrNotEmpty], or an [*IncompleteError].
func (h Home) claim(content creating) (c *claim, err error) {
	var changed changedError
	for range 8 {
		if c, err = h.tryClaim(content); !errors.As(err, &changed) {
			return c, err
		}
	}
	return nil, fmt.Errorf("home %q: %w", h.Dir, changed.error)
}

func (h Home) tryClaim(content creating) (*claim, error) {
	marker := h.path(creatingFile)
	c := &claim{files: h.files}
	_, err := os.Lstat(marker)
	found := err == nil
	if !found {
		if c.made, err = h.claimDir(content.joining); err == nil {
			err = durable.Create(h.files, marker, content.format())
		}
		_, merr := os.Lstat(marker)
		switch {
		case err == nil:
		case merr == nil: // another process began meanwhile
			err = changedError{ErrCreating}
		case errors.Is(err, fs.ErrNotExist): // another process may have removed the folder
			err = changedError{err}
		}
		if err != nil {
			c.undo()
			return nil, err
		}
	}
	c.at = len(c.made)
	if c.lock, err = h.lockCreating(); err != nil {
		c.undo() // creatingFile belongs to another process by now
		return nil, err
	}
	if !found {
		c.made = append(c.made, marker)
	}
	if err := h.clearUnfinished(content.joining); err != nil {
		c.undo()
		return nil, err
	}
	if !found {
		return c, nil
	}
	c.made = append(c.made, marker)
	if err := c.note(content.format()); err != nil {
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
		return nil, changedError{err}
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
			err = changedError{ErrCreating}
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// clearUnfinished removes what an interrupted creation left, under the lock.
func (h Home) clearUnfinished(joining bool) error {
	if _, err := os.Lstat(h.path(identityFile)); err == nil {
		return fmt.Errorf("%w at %q", ErrExists, h.Dir)
	}
	c, err := h.readCreating()
	c.joining = joining
	if err == nil {
		err = h.removeUnfinished(c)
	}
	if err == nil || errors.Is(err, ErrNotEmpty) {
		return err
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
		case name == creatingFile || name == "lost+found" || name == joiningDir && c.joining:
		case name == recordsDir && e.IsDir():
			if records, err := os.ReadDir(h.path(recordsDir)); err != nil || len(records) > 0 {
				return errors.Join(h.notEmpty(recordsDir), err)
			}
			remove = append(remove, name)
		case e.Type().IsRegular() && (isOfCreate(name) || name == configFile && c.joining):
			remove = append(remove, name)
		default:
			return h.notEmpty(name)
		}
	}
	if c.recovery != "" && c.head != "" {
		if err := removeRecovery(h.files, c.recovery, c.head); err != nil {
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

// note appends lines to creatingFile, which stays locked.
func (c *claim) note(lines []byte) error {
	f, err := durable.Or(c.files).OpenFile(c.made[c.at], os.O_WRONLY|os.O_APPEND)
	if err != nil {
		return err
	}
	_, err = f.Write(lines)
	return errors.Join(err, f.Sync(), f.Close())
}

// undo removes what was created, folders only if they are empty.
func (c *claim) undo() {
	for i := len(c.made) - 1; i >= 0; i-- {
		if i == c.at && c.lock != nil {
			_ = c.finish()
		} else {
			_ = durable.Or(c.files).Remove(c.made[i])
		}
	}
	c.release()
}

// finish removes creatingFile: the home is whole. It does so under the lock, where the
// system can remove an open file. A process that has opened the home since may have removed
// it: see removeCreating.
func (c *claim) finish() error {
	name := c.made[c.at]
	err := durable.Or(c.files).Remove(name)
	c.release()
	if err != nil && runtime.GOOS == "windows" {
		err = durable.Or(c.files).Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
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
