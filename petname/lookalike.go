package petname

import (
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
		names[i] = fmt.Sprintf("%q", c.Name)
	}
	return fmt.Sprintf("the name %q looks like %s, and you could take one for the other", e.Name, strings.Join(names, ", "))
}

// Names look alike when their skeletons (UTS #39, §4) are the same, both in
// lower case or both in upper case: "syb1l" looks like "sybil" in upper case
// alone. The table of looks has a row for each form of each name:
//
//	form ‖ sha2-256(skeleton), 16 bytes ‖ sha2-256(comparison key), 8 bytes → comparison key
//
// so that a new name is compared with all others at the cost of two reads.
const (
	tableLooks = "looks"

	maxLike = 8
)

// looks are the starts of the rows that tell what a key looks like.
func looks(key string) [][]byte {
	forms := []string{key, strings.ToUpper(key)}
	rows := make([][]byte, len(forms))
	for i, form := range forms {
		sum := sha256.Sum256([]byte(confusable.Skeleton(form)))
		rows[i] = append([]byte{byte(i)}, sum[:16]...)
	}
	return rows
}

func lookRow(look []byte, key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return append(slices.Clone(look), sum[:8]...)
}

// seen notes what a key that is new to the index looks like; unseen forgets it.
func seen(v *ledger.View, key string) error {
	for _, look := range looks(key) {
		if err := v.Put(tableLooks, lookRow(look, key), []byte(key)); err != nil {
			return err
		}
	}
	return nil
}

func unseen(v *ledger.View, key string) error {
	for _, look := range looks(key) {
		if err := v.Delete(tableLooks, lookRow(look, key)); err != nil {
			return err
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
	for _, look := range looks(n.key) {
		for kv, err := range v.Scan(tableLooks, look) {
			if err != nil {
				return err
			}
			if string(kv.Value) == n.key {
				continue
			}
			if err := e.add(v, string(kv.Value), p); err != nil {
				return err
			}
			if len(e.Like) >= maxLike {
				return e
			}
		}
	}
	if len(e.Like) > 0 {
		return e
	}
	return nil
}

// add lists whoever has a key, once, and not the contact to be named itself.
func (e *LookalikeError) add(v *ledger.View, key string, p pointer.Pointer) error {
	have, err := claimants(v, key, 2)
	if err != nil {
		return err
	}
	for _, cl := range have {
		if cl.id == p || slices.ContainsFunc(e.Like, func(c Contact) bool { return c.ID == cl.id }) {
			continue
		}
		c, _, err := readContact(v, cl.id)
		if err != nil {
			return err
		}
		if c.Name.IsZero() {
			c.Name = recorded(key) // in conflict: the name that looks like it
		}
		e.Like = append(e.Like, c)
	}
	return nil
}
