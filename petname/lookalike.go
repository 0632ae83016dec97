package petname

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Likeness is one reason why a name could be mistaken for something else. Kind
// determines the other fields:
//
//   - "name": another contact's petname;
//   - "nickname": another contact's nickname;
//   - "reserved": a word such as "me";
//   - "scripts": letters of different scripts;
//   - "path": a sign that reads as the arrow of a path.
type Likeness struct {
	Kind    string
	Text    string  // the other name; the nickname (hostile text); the word; the scripts; the sign
	Contact Contact // the contact with that name or nickname; zero for the other kinds
}

// The kinds of a [Likeness].
const (
	likeName     = "name"
	likeNickname = "nickname"
	likeReserved = "reserved"
	likeScripts  = "scripts"
	likePath     = "path"
)

func (l Likeness) String() string {
	switch l.Kind {
	case likeName:
		return fmt.Sprintf("looks like %s", name.Quote(l.Text))
	case likeNickname:
		subject := name.Quote(l.Contact.Name.String())
		if l.Contact.Name.IsZero() {
			subject = "the contact " + l.Contact.ID.String()
		}
		return fmt.Sprintf("looks like what %s calls itself", subject)
	case likeReserved:
		return fmt.Sprintf("could be read as the word %q", l.Text)
	case likePath:
		return fmt.Sprintf("could be read as a path, because of %q between words", l.Text)
	}
	return "mixes the scripts " + l.Text
}

// LookalikeError is returned for a name that is available but could be mistaken
// for something else. The caller may ask the owner, and repeat the call with
// Source.Lookalike.
type LookalikeError struct {
	Name name.Name
	Like []Likeness // 1 to 8 reasons
}

func (e *LookalikeError) Error() string {
	reasons := make([]string, len(e.Like))
	for i, l := range e.Like {
		reasons[i] = l.String()
	}
	return fmt.Sprintf("the name %q could mislead you: it %s", e.Name, strings.Join(reasons, ", it "))
}

// Two names look alike if they have a look in common. The table of looks has a
// row for each skeleton of each name and of each nickname of a named contact,
//
//	sha2-256(skeleton), 12 bytes ‖ kind ‖ sha2-256(contact id), 8 bytes ‖ sha2-256(text), 8 bytes
//	→ kind ‖ uvarint(len(id)) ‖ id ‖ text
//
// so a new name is compared with all others at the cost of a few reads. Names
// are compared before nicknames, so no number of nicknames hides a name.
// Contacts without a name have no rows.
const (
	tableLooks = "looks"

	rowName     byte = 'n'
	rowNickname byte = 'k'

	maxLike = 8
	// maxLooks bounds the rows that are compared for one skeleton. Further rows
	// count as alike, so that a large number of rows hides no name.
	maxLooks = 256
	// maxLooksOfOne is the same bound for one contact, which can choose any
	// number of nicknames.
	maxLooksOfOne = 16
)

var errLook = errors.New("row of the looks: malformed")

func lookKey(l name.Look, kind byte, contact []byte, text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return append(lookPrefix(l, kind, contact), sum[:8]...)
}

// lookPrefix returns the prefix of the rows of one contact.
func lookPrefix(l name.Look, kind byte, contact []byte) []byte {
	sum := sha256.Sum256(contact)
	return append(append(l.Row(), kind), sum[:8]...)
}

// setLooks adds or removes the rows of a contact's name or nickname.
func (f fold) setLooks(v *ledger.View, kind byte, contact []byte, n name.Name, present bool) error {
	if f.withoutLooks {
		return nil
	}
	value := append(binary.AppendUvarint([]byte{kind}, uint64(len(contact))), contact...)
	value = append(value, n.String()...)
	for _, l := range name.Looks(n) {
		key := lookKey(l, kind, contact, n.String())
		if present {
			if err := v.Put(tableLooks, key, value); err != nil {
				return err
			}
		} else if err := v.Delete(tableLooks, key); err != nil {
			return err
		}
	}
	return nil
}

func decodeLook(b []byte) (kind byte, id pointer.Pointer, text string, err error) {
	if len(b) < 2 {
		return 0, id, "", errLook
	}
	size, n := binary.Uvarint(b[1:])
	if n <= 0 || size > uint64(len(b)-1-n) {
		return 0, id, "", errLook
	}
	end := 1 + n + int(size)
	id, err = pointer.Restore(b[1+n : end])
	return b[0], id, string(b[end:]), err
}

// updateLooks updates the rows of a contact's old and new names. It adds the
// rows of its nicknames when it gets a name, and removes them when it loses its
// last one.
func (f fold) updateLooks(v *ledger.View, contact []byte, before, after []name.Name) error {
	if named := len(after) > 0; named != (len(before) > 0) && !f.withoutLooks {
		for fact, err := range factsOf(v, contact) {
			if err != nil {
				return err
			}
			if n, some := name.OfNickname(fact.Fact.Nickname); some {
				if err := f.setLooks(v, rowNickname, contact, n, named); err != nil {
					return err
				}
			}
		}
	}
	for _, n := range before {
		if !slices.Contains(after, n) {
			if err := f.setLooks(v, rowName, contact, n, false); err != nil {
				return err
			}
		}
	}
	for _, n := range after {
		if !slices.Contains(before, n) {
			if err := f.setLooks(v, rowName, contact, n, true); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDistinct returns a [*LookalikeError] for a name that could be mistaken
// for something else, unless the owner confirmed it.
func checkDistinct(v *ledger.View, n name.Name, id pointer.Pointer, confirmed bool) error {
	if confirmed {
		return nil
	}
	like, err := likenesses(v, n, id)
	if err != nil || len(like) == 0 {
		return err
	}
	return &LookalikeError{n, like}
}

// likenesses returns the reasons why a name of the contact with id own could be
// mistaken for something else. The contact's own names and nicknames are not
// compared.
func likenesses(v *ledger.View, n name.Name, own pointer.Pointer) ([]Likeness, error) {
	looks := name.LooksOfNew(n)
	like, err := likeOthers(v, looks, own)
	if err != nil {
		return nil, err
	}
	if word := name.ReservedFor(looks); word != "" {
		like = append(like, Likeness{Kind: likeReserved, Text: word})
	}
	if scripts := name.MixedScripts(n.String()); scripts != nil {
		like = append(like, Likeness{Kind: likeScripts, Text: strings.Join(scripts, " and ")})
	}
	if sign := name.PathSign(n.String()); sign != "" {
		like = append(like, Likeness{Kind: likePath, Text: sign})
	}
	return like[:min(len(like), maxLike)], nil
}

// likeOthers returns the matching names, then the matching nicknames, of other
// contacts.
func likeOthers(v *ledger.View, looks []name.Look, own pointer.Pointer) ([]Likeness, error) {
	search := likeSearch{v: v, looks: looks, own: own}
	names, err := search.rows(rowName, likeName)
	if err != nil || len(names) == maxLike {
		return names, err
	}
	nicknames, err := search.rows(rowNickname, likeNickname)
	return append(names, nicknames...), err
}

// likeSearch finds the names or nicknames that match some looks.
type likeSearch struct {
	v     *ledger.View
	looks []name.Look
	own   pointer.Pointer // the contact with these looks
	read  int             // rows read so far
}

// rows returns the matching rows of a kind: one for each contact, at most
// maxLike. For each look it reads little more than maxLooks rows.
func (s *likeSearch) rows(kind byte, as string) ([]Likeness, error) {
	done := map[pointer.Pointer]bool{s.own: true}
	var found []Likeness
	for _, l := range s.looks {
		prefix := append(l.Row(), kind)
		read, ofOne := 0, 0
		var last pointer.Pointer
		for from := prefix; from != nil; {
			start := from
			from = nil
			for kv, err := range s.v.ScanFrom(tableLooks, prefix, start) {
				if err != nil {
					return nil, err
				}
				_, id, text, err := decodeLook(kv.Value)
				if err != nil {
					return nil, err
				}
				if s.read, read, ofOne = s.read+1, read+1, ofOne+1; id != last {
					last, ofOne = id, 1
				}
				overLimit := read > maxLooks
				if !done[id] {
					if !overLimit && ofOne <= maxLooksOfOne && !name.Alike(s.looks, name.LooksOf(text)) {
						continue
					}
					c, _, err := readContact(s.v, id)
					if err != nil {
						return nil, err
					}
					done[id] = true
					if found = append(found, Likeness{as, text, c}); len(found) == maxLike {
						return found, nil
					}
					if overLimit {
						break
					}
				}
				// further rows of this contact add nothing
				from = prefixEnd(lookPrefix(l, kind, id.Bytes()))
				break
			}
		}
	}
	return found, nil
}

// prefixEnd returns the first key after all keys with a prefix; nil if there is
// none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i]++; prefix[i] != 0 {
			return prefix[:i+1]
		}
	}
	return nil
}

// NamesLike returns the petnames of other contacts that text, a name or
// nickname for pointer p, could be mistaken for: at most 8. Unlike [Book.Add],
// which also compares nicknames, it reads no rows of them, so its cost does not
// depend on their number.
func (b *Book) NamesLike(text string, p pointer.Pointer) ([]string, error) {
	n, some := name.OfNickname(text)
	if !some {
		return nil, nil
	}
	var names []string
	err := b.read(func(v *ledger.View) error {
		id, err := contactIDOf(v, p)
		if err != nil {
			return err
		}
		search := likeSearch{v: v, looks: name.LooksOfNew(n), own: id}
		like, err := search.rows(rowName, likeName)
		for _, l := range like {
			names = append(names, l.Text)
		}
		return err
	})
	return names, err
}
