package petname

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Reentry is the result of [Book.Reenter].
type Reentry struct {
	Entered   int               // acts that are in the book by this call
	Conflicts []ReentryConflict // acts that were left out
}

// ReentryReason is the reason why an act is not entered anew without a decision.
type ReentryReason string

const (
	ReentryTaken         ReentryReason = "name_taken"    // the name or the label is of another contact now
	ReentryRemoved       ReentryReason = "removed"       // the contact was removed, or is not in the book
	ReentryChanged       ReentryReason = "changed"       // the other branch, or another device, changed the same
	ReentryContradiction ReentryReason = "contradiction" // it contradicts what the book knows of the contact's keys
	ReentryUndo          ReentryReason = "undo"          // the undo of an act that counts, of a kind that cannot be entered anew
	ReentryUnreadable    ReentryReason = "unreadable"    // of another version
)

// ReentryConflict is an act that does not count and that conflicts with the book. It is a
// plain value. Of several acts about one thing it is the last one.
type ReentryConflict struct {
	Op      string // as in [Event]; of an undo, that of the act that has its effect
	At      time.Time
	Contact pointer.Pointer `json:",omitzero"` // zero: none
	Reason  ReentryReason
	Mine    string          // what the act leads to: a name, or a label; empty: none, as of a removal
	Theirs  string          // what the book has in its place; empty: nothing
	Other   pointer.Pointer `json:",omitzero"` // of ReentryTaken: the contact that has the name; zero: none
	final   bool            // no decision can enter it
}

// Reenter enters acts that do not count as new acts of this device, in their order: those of
// a fork of an earlier device of the owner, as [ledger.Ledger.Chain] yields them after the
// entry shared, the last one that counts. Names, removals, edges, keeps, decisions,
// suggestions, steps of contacts and the nickname are entered. A publication is not made again;
// only its sequence is recorded as used, if it is above those in the book, and is not counted
// in Entered. What is in the book already is left out, and so is what another
// act undid.
//
// Of an act that conflicts with what the branch that counts or another device changed, decide
// returns whether it is entered nevertheless; with a nil decide it is not. Conflicts that
// are left are in the result. Each act is one transaction: after an error those before it are
// entered. Acts that are one step of [Book.Undo] in the book from, in which they were made, are one
// here. The same call on another new book leads to the same; on this one it can enter an
// act that was in conflict with what a later one changed.
func (b *Book) Reenter(from *Book, acts iter.Seq2[ledger.EntryBody, error], shared uint64, decide func(ReentryConflict) (mine bool, err error)) (Reentry, error) {
	r := &reentry{shared: shared, device: b.ledger.Device(), decide: decide, left: make(map[string]int)}
	all, err := r.read(acts)
	if err != nil {
		return Reentry{}, err
	}
	made := make(map[uint64]int) // the number of an old entry → of the entries that were made for it
	for _, e := range all {
		if e.undone {
			continue
		}
		number := e.ID().Number
		first, err := from.firstOfStep(number)
		if err != nil {
			return r.out, err
		}
		err = b.Update(func(book *Book, local *ledger.View) error {
			r.book, r.e, r.applied = book, e.Entry, book.tx.Appended()
			if err := r.enter(e.act, e.err); err != nil {
				return err
			}
			if book.tx.Appended() > r.applied && e.act.Op != opPublish {
				r.out.Entered++
			}
			made[number] = book.tx.Appended() - r.applied
			count := 0
			for n := first; n > 0 && n <= number; n++ {
				count += made[n]
			}
			if count < 2 {
				return nil
			}
			return book.putStep(local, count)
		})
		if refused := (*refusedAct)(nil); errors.As(err, &refused) {
			made[number] = 0
			_, err = r.conflict(refused.thing, refused.conflict)
		}
		if err != nil {
			return r.out, fmt.Errorf("entering %s anew: %w", e.ID(), err)
		}
	}
	return r.out, nil
}

// reentry is the state of one Reenter.
type reentry struct {
	shared  uint64
	device  ledger.DeviceID // that enters
	decide  func(ReentryConflict) (bool, error)
	left    map[string]int // what an act is about → index of its conflict in out, for those left out
	out     Reentry
	book    *Book // of the transaction
	e       ledger.Entry
	applied int
}

// oldAct is an act that does not count.
type oldAct struct {
	ledger.EntryBody
	act    act
	err    error // it cannot be read
	undone bool  // another one undoes it, or it is that one
}

// read reads the acts, and marks those that another one of them undoes.
func (r *reentry) read(acts iter.Seq2[ledger.EntryBody, error]) (all []oldAct, err error) {
	at := make(map[uint64]int)
	for e, err := range acts {
		if err != nil {
			return nil, err
		}
		if e.Kind() != ledger.KindApplication || e.Body == nil { // dropped: a suggestion that had ended
			continue
		}
		o := oldAct{EntryBody: e}
		if o.act, o.err = decodeAct(e.Body); o.err == nil && o.act.Op == opUndo && o.act.Number > r.shared {
			o.undone = true
			if i, found := at[o.act.Number]; found {
				all[i].undone = true
			}
		}
		at[e.ID().Number] = len(all)
		all = append(all, o)
	}
	return all, nil
}

// saw reports whether the present act was made with the knowledge of an entry, or whether the
// entry is one of this Reenter.
func (r *reentry) saw(device []byte, number uint64) bool {
	id := entryID(device, number)
	switch id.Device {
	case r.device:
		return true
	case r.e.ID().Device:
		return number <= r.shared
	}
	return r.e.Saw(id)
}

// conflict decides on a conflict of the present act about a thing, and reports whether the act
// is to be entered. An earlier decision about the thing to leave an act out is kept.
func (r *reentry) conflict(thing string, c ReentryConflict) (mine bool, err error) {
	c.At = r.e.Time()
	if i, before := r.left[thing]; before {
		r.out.Conflicts[i] = c
		return false, nil
	}
	if r.decide != nil && !c.final {
		if mine, err = r.decide(c); mine || err != nil {
			return mine, err
		}
	}
	r.left[thing] = len(r.out.Conflicts)
	r.out.Conflicts = append(r.out.Conflicts, c)
	return false, nil
}

// refused records that the book refuses the present act, for a reason of the book. Any other
// error is returned. Of a contact that would move to the pointer of another one, the conflict
// states that other contact.
func (r *reentry) refused(thing string, c ReentryConflict, err error) error {
	var moved *ConflictError
	if errors.As(err, &moved) && !moved.Pointer.IsZero() && len(moved.Contacts) == 2 {
		c.Theirs, c.Other = moved.Contacts[1].recordedName().String(), moved.Contacts[1].Pointer
	}
	part := (*refusedAct)(nil) // of the act
	switch {
	case err == nil:
		return nil
	case errors.As(err, &part):
		c.Reason = part.conflict.Reason
	case errors.As(err, new(*ContradictionError)), errors.As(err, new(*DuplicityError)), errors.As(err, new(*SuccessionError)):
		c.Reason = ReentryContradiction
	case errors.As(err, new(*TakenError)):
		c.Reason = ReentryTaken
	case errors.Is(err, ErrNotFound):
		c.Reason = ReentryRemoved
	case errors.As(err, new(*ConflictError)), errors.As(err, new(*NamedError)), errors.Is(err, ErrOwnPointer), errors.As(err, new(*name.Error)), errors.Is(err, ErrNoCommitment):
		c.Reason = ReentryChanged
	default:
		return err
	}
	c.final = true
	if r.book.tx.Appended() > r.applied { // nothing of the act is entered
		return &refusedAct{thing, c, err}
	}
	_, err = r.conflict(thing, c)
	return err
}

// refusedAct is returned for an act that the book refuses after a part of it was entered.
type refusedAct struct {
	thing    string
	conflict ReentryConflict
	error
}

// enter enters the present act.
func (r *reentry) enter(a act, unreadable error) error {
	if unreadable != nil {
		_, err := r.conflict(r.e.ID().String(), ReentryConflict{Op: "unknown", Reason: ReentryUnreadable, final: true})
		return err
	}
	switch a.Op {
	case opName:
		return r.name(a)
	case opRemove:
		return r.remove(a)
	case opLearn:
		return r.learn(a)
	case opShare, opUnshare:
		return r.share(a)
	case opUndo:
		return r.undo(a)
	case opProfile:
		return r.profile(a)
	case opKeep:
		return r.keep(a)
	case opAdvance:
		return r.advance(a)
	case opSuggest:
		return r.suggest(a)
	case opDecide:
		return r.decision(a)
	case opStatement:
		return r.statement(a)
	case opPin:
		return r.pin(a)
	case opDevice:
		return r.deviceName(*a.Device)
	}
	return r.publication(a)
}

// undo enters the undo of an act that counts, as the act that has its effect.
func (r *reentry) undo(a act) error {
	switch {
	case a.Pin != nil:
		_, err := r.conflict("pin "+string(a.Contact), ReentryConflict{Op: opPin.String(), Contact: optionalPointer(a.Contact), Reason: ReentryUndo, final: true})
		return err
	case a.Label != "":
		restored := act{Op: opUnshare, Label: a.Label, Audience: a.Audience}
		for _, w := range a.shares() {
			if w.Contact != nil {
				restored = act{Op: opShare, Label: w.Label, Audience: w.Audience, Contact: w.Contact}
			}
		}
		return r.share(restored)
	case a.undoesKeep():
		return r.keep(a)
	}
	restored := act{Op: opRemove, Contact: a.Contact}
	for _, w := range a.Previous {
		if w.Name != "" {
			restored = act{Op: opName, Contact: a.Contact, Name: w.Name}
		}
	}
	if restored.Op == opRemove {
		return r.remove(restored)
	}
	if err := r.name(restored); err != nil {
		return err
	}
	for _, w := range a.shares() {
		if w.Contact == nil {
			continue
		}
		if err := r.share(act{Op: opShare, Label: w.Label, Audience: w.Audience, Contact: w.Contact}); err != nil {
			return err
		}
	}
	if a.Keep == keepOn {
		return r.keep(act{Op: opKeep, Contact: a.Contact, Keep: keepOn})
	}
	return nil
}
