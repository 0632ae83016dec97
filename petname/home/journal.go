package home

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

// journalFile exists while a rotation is under way. It has no secrets:
//
//	# petname rotation 1
//	# from: k51…
//	# to: k51…
//	# next: k…           the commitment of the new key
//	# sealing: <hex>     sha2-256 of the sealing keys to be replaced; "none": there are none
//	# recovery: "/…"     the new recovery file, quoted as in Go; "": none
//	# head: "…"          its first 512 bytes, likewise; absent of older versions
//
// The rotation is committed when identity.key has the new key. Until then, an
// interrupted rotation is undone: the new recovery file is removed. Afterwards it is
// finished: the sealing keys are replaced. Both can be repeated.
const (
	journalFile  = "rotation.journal"
	journalMagic = "# petname rotation 1"
	headField    = "# head: "
)

// journal is the content of journalFile.
type journal struct {
	from, to pointer.Pointer
	next     pointer.Commitment
	sealing  string
	recovery string // absolute path; "": none
	head     string // recoveryHead of that file; "": of an older version, or none
}

// Interrupted is a rotation that a crash or a full disk had interrupted, and that
// [Home.FinishRotation] has finished or undone. It is a plain value.
type Interrupted struct {
	From, To pointer.Pointer
	Finished bool   // the pointer is To; false: nothing of the rotation remains
	Left     string // a recovery file of a rotation that was undone, and could not be set aside; "": none
	Aside    string // its new name: see setAside; "": there was none
}

func (i Interrupted) String() string {
	if i.Finished {
		return fmt.Sprintf("a rotation from %s to %s was interrupted and has been finished", i.From, i.To)
	}
	text := fmt.Sprintf("a rotation from %s was interrupted before the key changed, and has been undone", i.From)
	if i.Left != "" {
		text += fmt.Sprintf(": the recovery file %q belongs to it", i.Left)
	}
	if i.Aside != "" {
		text += fmt.Sprintf(": its recovery file is now %q, and of no use, unless this home is a copy of one that has rotated", i.Aside)
	}
	return text
}

func (j journal) format() []byte {
	b := fmt.Appendf(nil, "%s\n# from: %s\n# to: %s\n# next: %s\n# sealing: %s\n# recovery: %q\n", journalMagic, j.from, j.to, j.next, j.sealing, j.recovery)
	if j.recovery != "" {
		b = fmt.Appendf(b, "%s%q\n", headField, j.head)
	}
	return b
}

func parseJournal(b []byte) (j journal, err error) {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	if n := len(lines) - 1; n == 6 && strings.HasPrefix(lines[n], headField) {
		if j.head, err = strconv.Unquote(lines[n][len(headField):]); err != nil {
			return journal{}, errors.New("line 7 is not quoted: damaged")
		}
		lines = lines[:n]
	}
	if len(lines) != 6 || lines[0] != journalMagic {
		return journal{}, errors.New("is not of this version, or damaged")
	}
	values := make([]string, 5)
	for i, name := range []string{"from", "to", "next", "sealing", "recovery"} {
		var ok bool
		if values[i], ok = strings.CutPrefix(lines[i+1], "# "+name+": "); !ok {
			return journal{}, fmt.Errorf("line %d should say %q: damaged", i+2, name)
		}
	}
	if j.from, err = pointer.Parse(values[0]); err != nil {
		return journal{}, err
	}
	if j.to, err = pointer.Parse(values[1]); err != nil {
		return journal{}, err
	}
	if j.next, err = pointer.ParseCommitment(values[2]); err != nil {
		return journal{}, err
	}
	j.sealing = values[3]
	if j.recovery, err = strconv.Unquote(values[4]); err != nil {
		return journal{}, errors.New("line 6 is not quoted: damaged")
	}
	return j, nil
}

// readJournal fails with [fs.ErrNotExist] when no rotation is under way.
func (h Home) readJournal() (journal, error) {
	name := h.path(journalFile)
	text, err := readText(name)
	if err != nil {
		return journal{}, err
	}
	j, err := parseJournal([]byte(text))
	if err != nil {
		return journal{}, &FileError{Path: name, Err: fmt.Errorf("journal of a rotation %q: %w", name, err),
			step: "move it away; if a rotation was under way, rotate the key once more: the sealing keys may not be replaced yet"}
	}
	return j, nil
}

// writeJournal writes the journal of the rotation.
func (r *Rotation) writeJournal() (journal, error) {
	j := journal{from: r.Old.Pointer(), to: r.New.Pointer(), next: r.Next, recovery: r.recoveryPath, head: recoveryHead(r.recovery)}
	var err error
	if j.sealing, err = r.home.sealingSum(); err != nil {
		return journal{}, err
	}
	if err := r.home.replace(journalFile, j.format()); err != nil {
		return journal{}, errors.Join(fmt.Errorf("journal of the rotation: %w", err), r.home.removeJournal())
	}
	return j, nil
}

// PendingRotation returns the rotation that was interrupted, as [Home.FinishRotation]
// would; nil: none. It changes nothing.
func (h Home) PendingRotation() (*Interrupted, error) {
	j, err := h.readJournal()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, err := h.Identity()
	if err != nil {
		return nil, err
	}
	return &Interrupted{From: j.from, To: j.to, Finished: id.Created(j.to)}, nil
}

// FinishRotation finishes a rotation that was interrupted after the identity had
// changed, and undoes one that was interrupted before. It returns nil if none was
// interrupted. newest is the date of the newest entry of the book; zero: unknown. The
// caller has the book open, so that no rotation is under way.
func (h Home) FinishRotation(now, newest time.Time) (*Interrupted, error) {
	j, err := h.readJournal()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	id, err := h.Identity()
	if err != nil {
		return nil, err
	}
	i := &Interrupted{From: j.from, To: j.to}
	switch {
	case id.Created(j.to):
		i.Finished = true
		return i, h.finish(j, now, newest)
	case id.Pointer != j.from: // the identity key was replaced by hand
		return nil, h.removeJournal()
	}
	if j.recovery != "" {
		if i.Aside, err = setAside(h.files, j.recovery, cmp.Or(j.head, recoveryHeader(j.to, j.next))); err != nil {
			i.Left = j.recovery
		}
	}
	return i, h.removeJournal()
}

// finish does what follows the change of the identity. The name of identity.key is
// made durable first, since a failed sync may have been what interrupted the rotation.
func (h Home) finish(j journal, now, newest time.Time) error {
	if err := durable.Or(h.files).SyncDir(h.Dir); err != nil {
		return err
	}
	sum, err := h.sealingSum()
	if err != nil {
		return err
	}
	if sum == j.sealing && sum != noSealing {
		var anyAge time.Duration
		if _, err := h.updateSealing(now, newest, false, &anyAge); err != nil {
			return fmt.Errorf("sealing keys: %w", err)
		}
		if sum, err = h.sealingSum(); err == nil && sum == j.sealing {
			err = errors.New("they were not replaced")
		}
		if err != nil {
			return fmt.Errorf("sealing keys: %w", err)
		}
	}
	return h.removeJournal()
}

// noSealing stands for the keys of a home without a file of sealing keys: an older
// one. [Home.Sealing] creates new ones there.
const noSealing = "none"

// sealingSum returns the hash of the current sealing keys.
func (h Home) sealingSum() (string, error) {
	if _, err := os.Lstat(h.path(sealingFile)); errors.Is(err, fs.ErrNotExist) {
		return noSealing, nil
	}
	s, err := h.Sealing()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, key := range s.PublicKeys() {
		hash.Write(key.Key)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// recoveryHead returns the first bytes of a recovery file, with the salt of its
// encryption. Its first lines alone do not tell two files apart: a rotation and a recovery
// from one file, and two recoveries, lead to the same keys.
func recoveryHead(b []byte) string { return string(b[:min(len(b), 512)]) }

// setAside renames the recovery file of a rotation that was undone, whole or in part, so
// that its name is free: head is how it begins. Another file with its name stays. It is
// not removed: if this home is a snapshot of one that went on with the rotation, the file
// has the only copy of that home's next key.
func setAside(files durable.FS, name, head string) (aside string, err error) {
	written, err := isRecovery(name, head)
	if err != nil || !written {
		return "", err
	}
	if aside, err = unusedName(name + ".undone"); err != nil {
		return "", err
	}
	if err := durable.Or(files).Rename(name, aside); err != nil {
		return "", err
	}
	return aside, durable.Or(files).SyncDir(filepath.Dir(name))
}

// removeRecovery removes the recovery file of a home that did not come to be, whole or in
// part: head is how it begins. Another file with its name stays.
func removeRecovery(files durable.FS, name, head string) error {
	written, err := isRecovery(name, head)
	if err != nil || !written {
		return err
	}
	return durable.Or(files).Remove(name)
}

// isRecovery reports whether a file is the recovery file that begins with head, whole or
// in part.
func isRecovery(name, head string) (bool, error) {
	b, err := durable.ReadFile(name, maxRecovery)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Stat(filepath.Dir(name)) // the medium may not be there
		return false, err
	}
	if err != nil {
		return false, err
	}
	written := string(bytes.TrimRight(b, "\x00"))
	return strings.HasPrefix(written, head) || strings.HasPrefix(head, written), nil
}

// removeJournal removes the journal durably.
func (h Home) removeJournal() error {
	err := durable.Or(h.files).Remove(h.path(journalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return durable.Or(h.files).SyncDir(h.Dir)
}
