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

// LikeKind is why a name could be taken for something else.
type LikeKind string

const (
	LikeName     LikeKind = "name"     // it looks like another contact's petname
	LikeNickname LikeKind = "nickname" // it looks like what another contact calls itself
	LikeReserved LikeKind = "reserved" // it looks like a word such as "me"
	LikeScripts  LikeKind = "scripts"  // it mixes letters of different scripts
)

// Likeness is one reason why a name could be taken for something else.
type Likeness struct {
	Kind    LikeKind
	Text    string  // the other name; the nickname (hostile text); the word; the scripts
	Contact Contact // whose name or nickname it is; zero otherwise
}

func (l Likeness) String() string {
	switch l.Kind {
	case LikeName:
		return fmt.Sprintf("looks like %s", name.Quote(l.Text))
	case LikeNickname:
		subject := name.Quote(l.Contact.Name.String())
		if l.Contact.Name.IsZero() {
			subject = "the contact " + l.Contact.ID.String()
		}
		return fmt.Sprintf("looks like what %s calls itself", subject)
	case LikeReserved:
		return fmt.Sprintf("could be read as the word %q", l.Text)
	}
	return "mixes the scripts " + l.Text
}

// LookalikeError: the name isn't taken, and could be taken for something else.
// Whether it is meant is for the user to say: Source.Lookalike.
type LookalikeError struct {
	Name name.Name
	Like []Likeness // at least one; at most 8 are listed
}

func (e *LookalikeError) Error() string {
	reasons := make([]string, len(e.Like))
	for i, l := range e.Like {
		reasons[i] = l.String()
	}
	return fmt.Sprintf("the name %q could mislead you: it %s", e.Name, strings.Join(reasons, ", it "))
}

// Names look alike when they have a look in common. The table of looks has a
// row for each skeleton of each name, and of each nickname heard, of each
// contact that has a name,
//
//	sha2-256(skeleton), 12 bytes ‖ kind ‖ sha2-256(contact id), 8 bytes ‖ sha2-256(text), 8 bytes → kind ‖ uvarint(len(id)) ‖ id ‖ text
//
// so that a new name is compared with all others at the cost of a few reads, and
// with names before nicknames: no crowd of these hides a name. Whoever has no
// name any more is a stranger, of whom nothing is told, and has no rows.
const (
	tableLooks = "looks"

	rowName     byte = 'n'
	rowNickname byte = 'k'

	maxLike = 8
	// maxLooks bounds the rows that are compared for one skeleton: what comes
	// behind so many counts as alike, so that nobody hides in a crowd.
	maxLooks = 256
	// maxLooksOfOne bounds those of one contact, likewise: it can call itself
	// what it likes, as often as it likes.
	maxLooksOfOne = 16
)

var errLook = errors.New("row of the looks: malformed")

func lookKey(l name.Look, kind byte, contact []byte, text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return append(lookPrefix(l, kind, contact), sum[:8]...)
}

// lookPrefix is what the rows of one contact start with.
func lookPrefix(l name.Look, kind byte, contact []byte) []byte {
	sum := sha256.Sum256(contact)
	return append(append(l.Row(), kind), sum[:8]...)
}

// setLooks notes, or takes back, that a contact has a name or a nickname.
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

// relook brings the rows of a contact's old and new names up to date, and those
// of its nicknames when it comes to have a name, or has none any more.
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

// distinct refuses a name that could be taken for something else, unless the
// user has been told.
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

// likenesses are the reasons why a name of the contact with that id could be
// taken for something else. Its own names and nicknames are none: nobody is
// taken for another.
func likenesses(v *ledger.View, n name.Name, own pointer.Pointer) ([]Likeness, error) {
	looks := name.LooksOfNew(n)
	like, err := likeOthers(v, looks, own)
	if err != nil {
		return nil, err
	}
	if word := name.ReservedFor(looks); word != "" {
		like = append(like, Likeness{Kind: LikeReserved, Text: word})
	}
	if scripts := name.MixedScripts(n.String()); scripts != nil {
		like = append(like, Likeness{Kind: LikeScripts, Text: strings.Join(scripts, " and ")})
	}
	return like[:min(len(like), maxLike)], nil
}

// likeOthers finds the names, and then the nicknames, of other contacts.
func likeOthers(v *ledger.View, looks []name.Look, own pointer.Pointer) ([]Likeness, error) {
	search := likeSearch{v: v, looks: looks, own: own}
	names, err := search.rows(rowName, LikeName)
	if err != nil || len(names) == maxLike {
		return names, err
	}
	nicknames, err := search.rows(rowNickname, LikeNickname)
	return append(names, nicknames...), err
}

// likeSearch looks for what is taken for one of some looks.
type likeSearch struct {
	v     *ledger.View
	looks []name.Look
	own   pointer.Pointer // whose they are
	read  int             // rows, so far
}

// rows finds the rows of a kind that are taken for one of the looks: one for each
// contact, and maxLike at most. It reads maxLooks rows of each look and few more,
// however many there are, and whoever has them.
func (s *likeSearch) rows(kind byte, as LikeKind) ([]Likeness, error) {
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
				from = prefixEnd(lookPrefix(l, kind, id.Bytes())) // its other rows tell no more
				break
			}
		}
	}
	return found, nil
}

// behind is the first key after all that start with a prefix; nil for none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i]++; prefix[i] != 0 {
			return prefix[:i+1]
		}
	}
	return nil
}

// NamesLike gives the petnames of others that a text, which names the owner of a
// pointer or is what it calls itself, could be taken for: 8 at most. Unlike the
// reasons of a [LookalikeError] it costs no more in a crowd that all calls
// itself the same.
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
		like, err := search.rows(rowName, LikeName)
		for _, l := range like {
			names = append(names, l.Text)
		}
		return err
	})
	return names, err
}

// Lookalikes says what a text that names the owner of a pointer (a suggestion,
// a nickname) could be taken for: the reasons for which [Book.Add] would want
// an answer, and no more than a reading of the book.
func (b *Book) Lookalikes(text string, p pointer.Pointer) ([]Likeness, error) {
	n, some := name.OfNickname(text)
	if !some {
		return nil, nil
	}
	var like []Likeness
	err := b.read(func(v *ledger.View) error {
		id, err := contactIDOf(v, p)
		if err == nil {
			like, err = likenesses(v, n, id)
		}
		return err
	})
	return like, err
}
