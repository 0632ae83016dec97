package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger/durable"
)

// What cannot be read is set aside under another name, with a number if there is such a file
// already. The table lists the first name of each.

// asides are the files that were set aside, and what doctor states of each.
var asides = map[string]struct{ separator, what string }{
	sealingFile + ".damaged":  {"-", "has sealing keys that could not be read; it is erased 30 days after they were replaced, or remove it"},
	peerFile + ".damaged":     {"-", "has a former key of the node, which could not be read: remove it when it is of no more use"},
	nodeFile + ".damaged":     {"", "has records that the node stored for others, which the network has too: remove it"},
	nodeFile + ".other":       {"", "has records of another network that the node stored for others: remove it"},
	ledgerFile + forkedSuffix: {"-", "has the book of this home from before it joined as a new device: remove it when it is of no more use"},
	damagedMessagesFile:       {".", ""}, // package agent reports it
}

// numbered returns the names of the files in the home that were set aside under the name of
// f, with its number or without; of any other file, its name.
func (f file) numbered(h Home) []string {
	names := []string{f.name}
	separator := asides[f.name].separator
	if separator == "" {
		return names
	}
	entries, err := os.ReadDir(h.Dir)
	if err != nil {
		return names // whatever uses the folder reports it
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), f.name+separator)
		if n, err := strconv.ParseUint(number, 10, 31); ok && err == nil && strconv.FormatUint(n, 10) == number {
			names = append(names, e.Name())
		}
	}
	return names
}

// SetAside returns a sentence for each file that was set aside since it could not be read: its
// path, what it has, and how it is removed.
func (h Home) SetAside() (all []string) {
	for _, f := range table() {
		what := asides[f.name].what
		if what == "" {
			continue
		}
		for _, name := range f.numbered(h) {
			if _, err := os.Lstat(h.path(name)); err == nil {
				all = append(all, fmt.Sprintf("%q %s", h.path(name), what))
			}
		}
	}
	return all
}

// eraseDamaged erases the sealing keys that were set aside, once they were replaced at least
// [SealingRetention] before now, by a clock that is bounded as that of [Home.EraseSealing]. The
// keys of s were made after that: the oldest date among them is the latest one at which the
// keys that were set aside can have been replaced. The content is not read, since it is damaged.
func (h Home) eraseDamaged(s Sealing, now time.Time) error {
	replaced := s.Made
	for _, f := range s.former {
		if replaced.IsZero() || f.replaced.Before(replaced) {
			replaced = f.replaced
		}
	}
	if replaced.Before(plausible) || now.Sub(replaced) < SealingRetention { // or the date is unknown
		return nil
	}
	for _, name := range (file{name: sealingFile + ".damaged"}).numbered(h) {
		info, err := os.Lstat(h.path(name))
		if err != nil || !info.Mode().IsRegular() {
			continue // CheckFiles reports what is no file
		}
		err = durable.Or(h.files).Remove(h.path(name))
		if err == nil {
			err = durable.Or(h.files).SyncDir(h.Dir)
		}
		if err != nil && !durable.ReadOnly(err) && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sealing keys that were set aside: %w", err)
		}
	}
	return nil
}
