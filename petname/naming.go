package petname

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Source describes how the owner received a pointer.
type Source struct {
	// "typed", "link"; empty: "link" if the link has more than a pointer, otherwise "typed"
	Kind    string
	By      string // empty: "me"
	Channel string // "argument", "stdin", "api", …; empty: "api"

	// Lookalike is set when the owner confirmed a name that looks like another.
	// The ledger records it.
	Lookalike bool

	// ReplacePin is set when the owner decided that the commitment of the link is
	// right, whatever is on record. The decision is recorded, and can be undone.
	ReplacePin bool

	invited bool // of a pairing: every holder of the invitation could have accepted it
}

func (s Source) fact(l pointer.Link) *wireFact {
	if s.Kind == "" {
		s.Kind = "typed"
		if !l.Next.IsZero() || l.Nickname != "" {
			s.Kind = "link"
		}
	}
	if s.By == "" {
		s.By = byOwner
	}
	if s.Channel == "" {
		s.Channel = "api"
	}
	return &wireFact{Kind: s.Kind, By: s.By, Channel: s.Channel, Nickname: l.Nickname, Next: l.Next.Bytes()}
}

// Add names the pointer of a link. It is an act of the owner. Repeating it
// changes nothing.
//
// It refuses a pointer of the owner ([ErrOwnPointer]), the name of another
// contact ([*TakenError]), a name that looks like another ([*LookalikeError]),
// a contact with another name ([*NamedError]), a name or pointer in conflict
// with further contacts ([*ConflictError]), and a link with another commitment
// than the one on record for the pointer ([*ContradictionError]), unless the source
// replaces it. If only claims are on record, the differing one for a contact that
// has the name already is recorded, beside the error. Adding a contact that was
// removed or is in conflict resolves the conflict.
//
// Several contacts are added in one durable transaction, or none of them, by
// calls within [Book.Update].
func (b *Book) Add(n name.Name, l pointer.Link, s Source) (Contact, error) {
	var c Contact
	var contradiction *ContradictionError
	err := b.update(func(tx *ledger.Tx) (err error) {
		if err = b.add(tx, n, l, s); errors.As(err, &contradiction) {
			return b.addClaim(tx, n, l, s, err)
		}
		if err == nil {
			c, err = readByPointer(tx.View(), l.Pointer)
		}
		return err
	})
	if err == nil && contradiction != nil {
		err = contradiction
	}
	if err != nil {
		return Contact{}, err
	}
	return c, nil
}

// addClaim records a link that contradicts the claims on record about a contact
// with this name, so that the owner is shown the contradiction from then on. If
// there is nothing to record it returns refused, so that nothing is written.
func (b *Book) addClaim(tx *ledger.Tx, n name.Name, l pointer.Link, s Source, refused error) error {
	c, err := readByPointer(tx.View(), l.Pointer)
	if err != nil || c.Name.IsZero() || c.Name.Key() != n.Key() {
		return firstError(err, refused)
	}
	pl, _, err := placeIn(tx.View(), c, l.Pointer)
	if _, r := pl.pin(); err != nil || r == confirmed || slices.ContainsFunc(pl.claims, func(known placeClaim) bool { return known.Next == l.Next }) || len(pl.claims) >= maxDiffering/2 {
		return firstError(err, refused)
	}
	err = appendAct(tx, act{Op: opLearn, Contact: c.ID.Bytes(), Fact: s.fact(l), Of: otherPointer(c.ID, l.Pointer)})
	return firstError(err, checkMoved(tx.View(), c))
}

func (b *Book) add(tx *ledger.Tx, n name.Name, l pointer.Link, s Source) error {
	return b.accept(tx, n, l, s, nil, nil)
}

// accept is add for a suggestion. The entry also records the suggestion and the
// replaced contact; nil: none.
func (b *Book) accept(tx *ledger.Tx, n name.Name, l pointer.Link, s Source, item, replaced []byte) error {
	switch {
	case n.IsZero():
		return &name.Error{Reason: "is empty"}
	case l.Pointer.IsZero():
		return errors.New("add: no pointer given")
	case b.IsOwn(l.Pointer):
		return ErrOwnPointer
	}
	fact := s.fact(l)
	if err := fact.check(); err != nil {
		return fmt.Errorf("add: %w", err)
	}
	v := tx.View()
	id, err := contactIDOf(v, l.Pointer)
	if err == nil && id == l.Pointer {
		id, err = removedContactAt(v, n, l)
	}
	if err != nil {
		return err
	}
	c, found, err := readContact(v, id)
	if err != nil {
		return err
	}
	if !c.Name.IsZero() && (c.Name.Key() != n.Key() || item != nil && !l.Next.IsZero()) {
		if err := checkSameParty(v, c, l); err != nil {
			return err
		}
	}
	pl, unsigned, err := placeIn(v, c, l.Pointer)
	if err != nil {
		return err
	}
	of := pinFact{Fact: Fact{Pointer: l.Pointer, Kind: fact.Kind, By: fact.By, Next: l.Next}}
	weakest := entered
	if s.invited {
		weakest = reported
	}
	if fact.Kind == string(Paired) && pl.onlyClaimsDiffer(l.Next, weakest) {
		s.ReplacePin = true // a pairing is an act of the owner, and the contact's own signature carried the commitment
	}
	pinned, err := pl.checkClaim(l, s.ReplacePin, of.rank(unsigned))
	if err != nil {
		return err
	}
	if err := checkSoleHolder(v, c); err != nil {
		var conflict *ConflictError
		if errors.As(err, &conflict) && c.Name.IsZero() && c.Conflict == nil && len(conflict.Contacts) == 2 {
			return &NamedError{conflict.Contacts[1].Name, c.Pointer} // c has no name to remove
		}
		return err
	}
	if err := checkAvailable(v, n, id); err != nil {
		return err
	}
	if !c.Name.IsZero() && c.Name.Key() != n.Key() {
		return &NamedError{c.Name, l.Pointer}
	}
	if c.Name.Key() != n.Key() {
		if err := checkDistinct(v, n, id, s.Lookalike); err != nil {
			return err
		}
	}
	if c.Name.Key() == n.Key() {
		// Only a naming records a replaced contact, so it is stated again.
		if s.ReplacePin && item == nil && replaced == nil {
			return b.replacePin(tx, c, l, fact, false)
		}
		if replaced == nil && (l.Next.IsZero() || pinned == l.Next) {
			if item == nil {
				return nil // already known
			}
			a := act{Op: opLearn, Contact: id.Bytes(), Fact: fact, Of: otherPointer(id, l.Pointer), Item: item}
			if err := appendAct(tx, a); err != nil || !s.ReplacePin {
				return firstError(err, checkMoved(tx.View(), c))
			}
			return b.replacePin(tx, c, l, fact, true)
		}
		n = c.Name
	}
	a := act{Op: opName, Contact: id.Bytes(), Name: n.String(), Fact: fact, Lookalike: s.Lookalike, Of: otherPointer(id, l.Pointer), Item: item, Replaced: replaced}
	var edges []wireShare
	if found {
		a.Previous, edges, err = previousState(v, c)
	} else { // an undone addition leaves edges that another device stated meanwhile
		edges, err = edgesEndingWith(v, id)
	}
	if err != nil {
		return err
	}
	if c.Name.IsZero() && c.Conflict == nil {
		a.setShares(edges) // otherwise they would stay
	}
	if c.Name.IsZero() && c.Conflict == nil {
		if a.Keep, err = keepAfterNaming(v, id); err != nil {
			return err
		}
	}
	again := false
	if !found {
		if again, err = confirmedWhenRemoved(v, l); err != nil {
			return err
		}
	}
	if err := firstError(appendAct(tx, a), checkMoved(tx.View(), c)); err != nil || !s.ReplacePin && !again {
		return err
	}
	if c, _, err = readContact(tx.View(), id); err != nil {
		return err
	}
	if again {
		return decide(tx, c, l.Pointer, &wireFact{Kind: factConfirm, By: byOwner, Channel: fact.Channel, Next: l.Next.Bytes()}, true)
	}
	return b.replacePin(tx, c, l, fact, true)
}

// checkSameParty returns an error for a link that names another party than the contact
// that came to its pointer: to rename that contact would be wrong. If the contact is proven to be
// at the pointer and to have committed to its next key, it returns nil: the commitment of the
// link is false, whatever its source.
func checkSameParty(v *ledger.View, c Contact, l pointer.Link) error {
	if c.Pointer == l.Pointer && c.Pin == Confirmed && !slices.ContainsFunc(c.Chain, func(s Step) bool { return s.Unsigned }) {
		return nil
	}
	_, apart, err := contactOfLink(v, l)
	if err != nil || !apart {
		return err
	}
	what := "moved to %s, and the link has another next key for it: the link"
	if l.Next.IsZero() {
		what = "came to %s and left it: that pointer"
	}
	return fmt.Errorf("your contact %q "+what+" may be old or altered; ask its owner for the newest link: %w",
		c.Name, l.Pointer, &ConflictError{Contacts: []Contact{c}, Pointer: l.Pointer})
}

// replacePin records that the owner decided for the commitment of a link,
// unless it is what is pinned. A contradiction at a pointer before that of the link
// is settled by the link's pointer: the contact moved there. joined is that of
// decide.
func (b *Book) replacePin(tx *ledger.Tx, c Contact, l pointer.Link, fact *wireFact, joined bool) error {
	pl, _, err := placeIn(tx.View(), c, l.Pointer)
	if err != nil {
		return err
	}
	h, err := readFacts(tx.View(), c.ID)
	if err != nil {
		return err
	}
	for i, earlier := range h.places(c)[:len(c.Chain)-1] {
		at := c.Chain[i].Pointer
		if at == l.Pointer {
			break
		}
		followed := earlier.openedBy(h.standing(false), at, c.Chain[i+1].Pointer)
		if earlier.contested != nil && !followed.IsZero() { // the link leads past it
			if err := decide(tx, c, at, &wireFact{Kind: factConfirm, By: byOwner, Channel: fact.Channel, Next: followed.Bytes()}, joined); err != nil {
				return err
			}
			joined = true
		}
	}
	if next, r := pl.pin(); next != l.Next || r < entered || len(pl.claims) != 1 {
		decided := *fact
		decided.By = byOwner
		if err := decide(tx, c, l.Pointer, &decided, joined); err != nil {
			return err
		}
	}
	return checkMoved(tx.View(), c)
}

// onlyClaimsDiffer reports whether commitments on record differ from one, and none
// of them has a stronger source than upTo.
func (pl place) onlyClaimsDiffer(next pointer.Commitment, upTo rank) bool {
	differs := false
	for _, c := range pl.claims {
		if c.Next != next {
			differs = true
			if c.rank > upTo {
				return false
			}
		}
	}
	return differs && !next.IsZero()
}

// checkClaim compares the commitment of a link with what is on record for its
// pointer, and returns what is pinned. r is the strength of the link's source. A
// third party's claim that differs from a confirmed commitment is no error: it
// is stored with its source, and pins nothing.
func (pl place) checkClaim(l pointer.Link, replace bool, r rank) (pointer.Commitment, error) {
	pinned, strength := pl.pin()
	switch {
	case replace && l.Next.IsZero():
		return pinned, fmt.Errorf("%w: a bare pointer replaces no commitment to a next key", ErrNoCommitment)
	case l.Next.IsZero(), replace, pinned == l.Next:
		return pinned, nil
	case pl.contested != nil:
		for _, c := range pl.claims {
			if c.Next == l.Next && c.rank == confirmed && !pl.duplicity {
				return pinned, nil // the owner agrees with the card
			}
		}
		return pinned, Contradiction{l.Pointer, pl.contested, pl.duplicity}.err()
	case pinned.IsZero(), strength == confirmed && r == reported:
		return pinned, nil
	case strength == confirmed && r == confirmed:
		return pinned, &DuplicityError{l.Pointer, pinned, l.Next}
	}
	e := &ContradictionError{Contradiction{Pointer: l.Pointer}}
	for _, c := range pl.claims {
		e.Claims = append(e.Claims, c.PinClaim)
	}
	e.Claims = append(e.Claims, PinClaim{Next: l.Next, Pin: r.pin()})
	return pinned, e
}

// otherPointer returns the subject of a fact for an act: nil for the contact's
// first pointer.
func otherPointer(id, p pointer.Pointer) []byte {
	if p == id {
		return nil
	}
	return p.Bytes()
}

// checkSoleHolder returns an error if another named contact is at the pointer
// of c. A new name does not resolve that conflict, only a removal does.
func checkSoleHolder(v *ledger.View, c Contact) error {
	sharing, err := namedContactsAt(v, c.Pointer, maxRivals)
	if err != nil {
		return err
	}
	e := &ConflictError{Contacts: []Contact{c}, Pointer: c.Pointer}
	for _, id := range sharing {
		if id == c.ID {
			continue
		}
		other, _, err := readContact(v, id)
		if err != nil {
			return err
		}
		e.Contacts = append(e.Contacts, other)
	}
	if len(e.Contacts) > 1 {
		return fmt.Errorf("%s is the pointer of several contacts; remove all but one: %w", c.Pointer, e)
	}
	return nil
}

// previousState returns the claims of a contact, and the edges that end with
// its name, for an act: an undo restores them.
func previousState(v *ledger.View, c Contact) ([]wirePrevious, []wireShare, error) {
	state, err := getState[contactState](v, tableContacts, c.ID.Bytes())
	if err != nil {
		return nil, nil, err
	}
	was, err := state.previous(v, c.ID)
	if err != nil {
		return nil, nil, err
	}
	edges, err := edgesEndingWith(v, c.ID)
	return was, edges, err
}

// checkAvailable returns an error if a contact other than p has the name.
func checkAvailable(v *ledger.View, n name.Name, p pointer.Pointer) error {
	r, err := claimants(v, n.Key(), 2) // a second claimant makes a conflict; more change nothing
	if err != nil {
		return err
	}
	for _, cl := range r {
		if cl.id == p {
			continue
		}
		if len(r) > 1 || cl.inConflict {
			return conflictOver(v, n)
		}
		other, _, err := readContact(v, cl.id)
		if err != nil {
			return err
		}
		return &TakenError{n, other.Pointer}
	}
	return nil
}

// Rename changes the name of the contact with pointer p. Provenance and history
// stay. It resolves a conflict over the contact's names. Of the source only
// Lookalike is used. Errors are those of [Book.Add], and [ErrNotFound] for a
// pointer without a name.
func (b *Book) Rename(p pointer.Pointer, n name.Name, s Source) (Contact, error) {
	if n.IsZero() {
		return Contact{}, &name.Error{Reason: "is empty"}
	}
	return b.change(p, func(v *ledger.View, c Contact) (act, error) {
		if err := checkAvailable(v, n, c.ID); err != nil || c.Name.String() == n.String() {
			return act{}, err
		}
		if c.Name.Key() != n.Key() {
			if err := checkDistinct(v, n, c.ID, s.Lookalike); err != nil {
				return act{}, err
			}
		}
		was, _, err := previousState(v, c)
		return act{Op: opName, Contact: c.ID.Bytes(), Name: n.String(), Previous: was, Lookalike: s.Lookalike}, err
	})
}

// Remove removes the name of the contact with pointer p, and all edges to it
// and for it. The removal is recorded: nothing that other parties send restores
// the contact. Remove returns the contact without its name.
func (b *Book) Remove(p pointer.Pointer) (Contact, error) {
	return b.change(p, removeAct)
}

// removeAct returns the act that removes a contact's name.
func removeAct(v *ledger.View, c Contact) (act, error) {
	was, edges, err := previousState(v, c)
	a := act{Op: opRemove, Contact: c.ID.Bytes(), Previous: was}
	a.setShares(edges)
	if c.Republished {
		a.Keep = keepOn
	}
	return a, err
}
