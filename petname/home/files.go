package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/petnames-go/petnames/ledger/durable"
)

// The files of a home.
const (
	identityFile        = "identity.key"
	deviceFile          = "device.key"
	peerFile            = "peer.key"
	sealingFile         = "sealing.key"
	ledgerFile          = "ledger.db"
	recordsDir          = "records"
	configFile          = "config.toml"
	nodeFile            = "dht.db"
	republishFile       = "keep.json"
	portsFile           = "ports.json"
	peersFile           = "peers.json"
	socketFile          = "node.sock"
	oldMessagesFile     = "post.db"
	damagedMessagesFile = "post.db.damaged"
)

// file describes one file of a home. All of them belong to the user of the process,
// the only one that may read and write them.
type file struct {
	name string
	kind fs.FileMode // type bits: 0 is a regular file
	need need

	// check checks the content. Nil: the content is checked where it is used (the
	// ledger and the records by their own packages), or there is none.
	check func(h Home) error
	// apart: package agent reports the problems of the content on a line of its own.
	apart bool

	older string // prefix of the temporary files of older versions; empty: none of its own
	dated bool   // older versions named temporary files by a decimal number
}

type need int

const (
	optional need = iota // created when it is first used
	made                 // by Create; what needs it reports that it is missing
	vital                // by Create; without it the home does not open
)

// table returns every file of a home: [Open], [Create], [Home.CheckFiles] and the
// removal of left-overs use it.
func table() []file {
	return []file{
		{name: identityFile, need: vital, apart: true, check: func(h Home) error { _, err := h.Identity(); return err }},
		{name: deviceFile, need: vital, check: func(h Home) error { _, err := h.deviceKey(); return err }},
		{name: ledgerFile, need: vital, apart: true},
		{name: peerFile, need: made, check: func(h Home) error { _, err := h.PeerKey(); return err }},
		{name: sealingFile, need: optional, check: func(h Home) error { _, err := h.readSealing(); return err }, dated: true}, // older homes have none
		{name: recordsDir, kind: fs.ModeDir, need: made, apart: true},
		{name: configFile, apart: true, check: func(h Home) error { _, err := h.Config(); return err }, dated: true},
		{name: nodeFile, check: Home.checkNodeFile, older: ".dht-"},
		{name: replacedFile},
		{name: peerFile + ".damaged"},
		{name: sealingFile + ".damaged"},
		{name: nodeFile + ".damaged"},
		{name: nodeFile + ".other"},
		{name: republishFile, check: Home.checkRepublishFile, older: ".keep-"},
		{name: portsFile, check: func(h Home) error { _, err := h.Ports(); return err }},
		{name: peersFile, check: func(h Home) error { _, err := h.KnownPeers(); return err }},
		{name: socketFile, kind: fs.ModeSocket},
		{name: creatingFile},
		{name: joiningDir, kind: fs.ModeDir},
		{name: rejoiningDir, kind: fs.ModeDir},
		{name: rejoinJournal, check: func(h Home) error { _, err := h.readRejoin(); return err }},
		{name: ledgerFile + forkedSuffix},
		{name: journalFile, check: func(h Home) error { _, err := h.readJournal(); return err }},
		{name: oldMessagesFile, check: func(h Home) error { _, err := h.oldMessagesState(); return err }},
		{name: damagedMessagesFile},
	}
}

// IncompleteError is returned for a folder that has files of a home and lacks others. It
// wraps [ErrNoHome] if the identity key is missing.
type IncompleteError struct {
	Dir     string
	Missing []string // names of the missing files
	Present []string // names of the files of a home that exist

	// Unfinished reports that [Create] or [Recover] was interrupted there, or that another
	// process is in one: the files are of no use. The next one in the folder replaces them.
	Unfinished bool
	From       string // then the recovery file of Recover; "": Create, or unknown

	also error // what the error is besides; nil: nothing
}

func (e *IncompleteError) Error() string {
	if e.Unfinished {
		return fmt.Sprintf("there is no home at %q yet: one was being created, and was interrupted, or is created now", e.Dir)
	}
	return fmt.Sprintf("%s missing from the home %q, %s", isOrAre(e.Missing), e.Dir, e.present())
}

func (e *IncompleteError) present() string {
	if e.noIdentity() {
		return "or an init was cut short; " + isOrAre(e.Present) + " there"
	}
	return "and " + isOrAre(e.Present) + " there"
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names, ", ") + " are"
}

// Next returns the next step for people.
func (e *IncompleteError) Next() string {
	if e.Unfinished {
		return "create it again"
	}
	return fmt.Sprintf("delete nothing there: put %s back into %s from a copy of the home", strings.Join(e.Missing, ", "), e.Dir)
}

func (e *IncompleteError) noIdentity() bool {
	return e.Unfinished || len(e.Missing) > 0 && e.Missing[0] == identityFile
}

// Unwrap returns the errors that it is besides.
func (e *IncompleteError) Unwrap() (all []error) {
	if e.noIdentity() {
		all = append(all, ErrNoHome)
	}
	if e.also != nil {
		all = append(all, e.also)
	}
	return all
}

// incomplete returns what the folder lacks of at least this need. It returns nil if that
// is nothing, or if the folder has no file that [Create] creates.
func (h Home) incomplete(least need) *IncompleteError {
	e := &IncompleteError{Dir: h.Dir}
	if c, err := h.readCreating(); !errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(h.path(identityFile)); errors.Is(err, fs.ErrNotExist) {
			e.Unfinished, e.From = true, c.from
			return e
		}
	}
	for _, f := range table() {
		_, err := os.Lstat(h.path(f.name))
		switch {
		case err == nil && (f.need > optional || f.name == sealingFile):
			e.Present = append(e.Present, f.name)
		case errors.Is(err, fs.ErrNotExist) && f.need >= least:
			e.Missing = append(e.Missing, f.name)
		}
	}
	if len(e.Missing) == 0 || len(e.Present) == 0 || len(e.Present) == 1 && e.Present[0] == recordsDir {
		return nil // a folder records alone is not of a home
	}
	return e
}

// Missing returns an [*IncompleteError] if a file that [Create] creates is missing,
// and nil otherwise. The home may open nevertheless, without what the file had.
func (h Home) Missing() error {
	if e := h.incomplete(made); e != nil {
		return e
	}
	return nil
}

// Inspect returns the home in dir, even if its identity key is missing, to check its
// other files. It fails with [ErrNoHome] when the folder has no file of a home, or those
// of an unfinished one.
func Inspect(dir string) (Home, error) {
	h, err := Open(dir)
	var incomplete *IncompleteError
	if errors.As(err, &incomplete) && !incomplete.Unfinished {
		return Home{Dir: incomplete.Dir}, nil
	}
	return h, err
}

// CheckFiles returns an error for each problem of the folder and its files: a missing
// file, an owner other than the user of this process, permissions for other users, a
// second hard link to a file (a rotation erases no key there), a folder in the place of a
// file, or content that cannot be read. It changes nothing.
// The content of the identity key, the ledger, the records and the settings has checks
// of its own.
func (h Home) CheckFiles() []error {
	var problems []error
	if info, err := os.Stat(h.Dir); err == nil {
		if !durable.OwnedByUser(info) {
			problems = append(problems, fmt.Errorf("%q belongs to another user", h.Dir))
		}
		if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
			problems = append(problems, fmt.Errorf("%q can be written to by others (mode %#o): chmod 700 it", h.Dir, info.Mode().Perm()))
		}
	}
	for _, f := range table() {
		for _, name := range f.numbered(h) {
			f.name = name
			problems = append(problems, f.problems(h)...)
		}
	}
	return problems
}

func (f file) problems(h Home) []error {
	name := h.path(f.name)
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) && f.need == optional {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return []error{fmt.Errorf("%q is missing: put it back from a copy of the home", name)}
	}
	if err != nil {
		return []error{err}
	}
	if info.Mode().Type() != f.kind {
		e := &FileError{Path: name, Err: &durable.KindError{Path: name, Mode: info.Mode().Type(), Want: f.kind}}
		target, terr := os.Stat(name)
		switch {
		case terr == nil && target.Mode().Type() == f.kind:
			e.step = stepLink
		case f.need == optional && f.name != sealingFile:
			e.step = "move it away: what it should be is made when it is needed"
		}
		return []error{e}
	}
	var problems []error
	if !durable.OwnedByUser(info) {
		problems = append(problems, fmt.Errorf("%q belongs to another user", name))
	}
	if n := durable.Links(info); f.kind == 0 && n > 1 {
		problems = append(problems, fmt.Errorf("%q has %d names on the disk (hard links): another name keeps the content when this file is replaced or erased; remove it", name, n))
	}
	perm := info.Mode().Perm()
	switch {
	case runtime.GOOS == "windows":
	case f.kind == fs.ModeDir && perm&0o022 != 0:
		problems = append(problems, fmt.Errorf("%q can be written to by others (mode %#o): chmod 700 it", name, perm))
	case f.kind != fs.ModeDir && perm&0o077 != 0:
		problems = append(problems, fmt.Errorf("%q can be read by others (mode %#o): chmod 600 it", name, perm))
	}
	if f.check != nil && !f.apart {
		if err := f.check(h); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// tempPrefix returns the prefix of the names of temporary files for a file.
func tempPrefix(file string) string { return "." + file + "-" }

// sweep removes the temporary files that a crash left: some contain keys. The caller
// has the book open, so no other process is replacing a file. In a home that cannot be
// written to it does nothing.
func (h Home) sweep() error {
	var prefixes []string
	for _, f := range table() {
		prefixes = append(prefixes, tempPrefix(f.name))
		if f.older != "" {
			prefixes = append(prefixes, f.older)
		}
	}
	err := durable.Sweep(h.files, h.Dir, prefixes...)
	if err == nil {
		err = h.sweepOlder()
	}
	if err == nil {
		err = h.removeCreating()
	}
	if err == nil {
		err = h.removeJoining()
	}
	if err != nil && !durable.ReadOnly(err) {
		return fmt.Errorf("home %q: %w", h.Dir, err)
	}
	return nil
}

// isDecimal reports whether text is the random part of a temporary name of older
// versions, a number of 32 bits. A date of eight digits is not: a copy that a person
// made may have it in its name.
func isDecimal(text string) bool {
	_, err := strconv.ParseUint(text, 10, 32)
	return err == nil && len(text) != 8
}

// sweepOlder removes the temporary files that a crash of an older version left.
func (h Home) sweepOlder() error {
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, f := range table() {
			prefix := f.older
			if f.dated {
				prefix = tempPrefix(f.name)
			}
			rest, ok := strings.CutPrefix(e.Name(), prefix)
			if prefix == "" || !ok || !e.Type().IsRegular() || !isDecimal(rest) {
				continue
			}
			if err := durable.Or(h.files).Remove(filepath.Join(h.Dir, e.Name())); err != nil {
				return fmt.Errorf("left-over of a crash: %w", err)
			}
		}
	}
	return nil
}
