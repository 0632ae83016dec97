package petname

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"go.mau.fi/util/confusable"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// LookalikeError: the name isn't taken, and looks like one that is. Whether it
// is meant is for the user to say: Source.Lookalike.
type LookalikeError struct {
	Name Name
	Like []Contact // whose names it looks like; at most 8 are listed
}

func (e *LookalikeError) Error() string {
	names := make([]string, len(e.Like))
	for i, c := range e.Like {
		if names[i] = fmt.Sprintf("%q", c.Name); c.Name.IsZero() {
			names[i] = "a name in conflict of " + c.ID.String()
		}
	}
	return fmt.Sprintf("the name %q looks like %s, and you could take one for the other", e.Name, strings.Join(names, ", "))
}

// Names look alike when they have a skeleton (UTS #39, §4) in common, of those
// of three forms: as typed, in lower case, in upper case. Two aren't enough:
// "paypaI" looks like "paypal" as typed alone, "syb1l" like "sybil" in upper
// case alone. The table of looks has a row for each skeleton of each name of
// each contact,
//
//	sha2-256(skeleton), 12 bytes ‖ sha2-256(contact id ‖ name), 8 bytes → contact id
//
// so that a new name is compared with all others at the cost of three reads.
const (
	tableLooks = "looks"

	maxLike = 8
)

// looks are the starts of the rows that tell what a name looks like.
func looks(n Name) [][]byte {
	var rows [][]byte
	for _, form := range []string{n.text, n.key, strings.ToUpper(n.key)} {
		sum := sha256.Sum256([]byte(confusable.Skeleton(form)))
		if row := sum[:12]; !slices.ContainsFunc(rows, func(r []byte) bool { return bytes.Equal(r, row) }) {
			rows = append(rows, row)
		}
	}
	return rows
}

// relook brings the rows of a contact's old and new names up to date.
func relook(v *ledger.View, contact []byte, before, after []Name) error {
	row := func(look []byte, n Name) []byte {
		sum := sha256.Sum256(append(slices.Clone(contact), n.text...))
		return append(slices.Clone(look), sum[:8]...)
	}
	for _, n := range before {
		if slices.Contains(after, n) {
			continue
		}
		for _, look := range looks(n) {
			if err := v.Delete(tableLooks, row(look, n)); err != nil {
				return err
			}
		}
	}
	for _, n := range after {
		if slices.Contains(before, n) {
			continue
		}
		for _, look := range looks(n) {
			if err := v.Put(tableLooks, row(look, n), contact); err != nil {
				return err
			}
		}
	}
	return nil
}

// distinct refuses a name that looks like another contact's, unless the user
// has been told.
func distinct(v *ledger.View, n Name, p pointer.Pointer, told bool) error {
	if told {
		return nil
	}
	e := &LookalikeError{Name: n}
	for _, look := range looks(n) {
		for kv, err := range v.Scan(tableLooks, look) {
			if err != nil {
				return err
			}
			id, err := pointer.Restore(kv.Value)
			if err != nil {
				return err
			}
			if id == p || slices.ContainsFunc(e.Like, func(c Contact) bool { return c.ID == id }) {
				continue // nobody is taken for another, or it is listed
			}
			c, _, err := readContact(v, id)
			if err != nil {
				return err
			}
			if e.Like = append(e.Like, c); len(e.Like) == maxLike {
				return e
			}
		}
	}
	if len(e.Like) > 0 {
		return e
	}
	return nil
}
