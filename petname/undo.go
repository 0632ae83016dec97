package petname

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Undo reverts the newest change of names, edges, keeping or pins by this device that
// was not undone, and returns the event of that change. A further call reverts
// the change before. Facts known only from the change, such as a link's
// commitment, are removed with it; facts from cards stay. Cards, steps and
// introductions that the book would not have without the change count no more.
//
// It changes nothing and returns an error if another device has changed the
// same since ([ErrChanged], or a [*ConflictError] for a concurrent change), or
// if the old name or label now belongs to another contact ([*TakenError]).
func (b *Book) Undo() (Event, error) {
	for {
		ev, err := b.undoNewest()
		if !errors.Is(err, errUndoRace) {
			return ev, err
		}
	}
}

// errUndoRace is returned if another goroutine changed the book between the two
// transactions of an undo. That goroutine made progress, so the retries end.
var errUndoRace = errors.New("the book was changed at the same time")

func (b *Book) undoNewest() (Event, error) {
	var id ledger.ID
	err := b.read(func(v *ledger.View) (err error) {
		id, err = b.newestUndoable(v)
		return err
	})
	if err != nil {
		return Event{}, err
	}
	step, ev, err := b.stepUpTo(id)
	if err != nil {
		return Event{}, err
	}
	ev.MovedFrom = pointer.Pointer{}
	err = b.update(func(tx *ledger.Tx) error {
		id := id // the function can run again
		var before Contact
		if step[0].Contact != nil {
			contact, err := pointer.FromBytes(step[0].Contact)
			if err == nil {
				before, _, err = readContact(tx.View(), contact)
			}
			if err != nil {
				return err
			}
		}
		for i, a := range step {
			newest, err := b.newestUndoable(tx.View())
			none := errors.Is(err, ErrNothingToUndo)
			switch {
			case i > 0 && (none || err == nil && newest.Number < id.Number):
				return ev.moved(tx.View(), before) // the rest was undone before
			case none || err == nil && newest != id:
				return errUndoRace
			case err != nil:
				return err
			}
			if err := undo(tx, id, a); err != nil {
				return err
			}
			id.Number--
		}
		return ev.moved(tx.View(), before)
	})
	return ev, err
}

// moved returns the error of checkMoved, and sets the pointer from which an undo moved
// the contact.
func (ev *Event) moved(v *ledger.View, before Contact) error {
	if before.ID.IsZero() {
		return nil
	}
	c, _, err := readContact(v, before.ID)
	if err == nil && c.Pointer != before.Pointer {
		ev.MovedFrom = before.Pointer
	}
	return firstError(err, checkMoved(v, before))
}

// stepUpTo returns the acts that were one step of the owner, the newest first: that
// of an entry, and those of the entries before it. The event is that of the
// step's naming, or of its first act; of a choice that of its last one.
func (b *Book) stepUpTo(id ledger.ID) (step []act, ev Event, err error) {
	newest := id
	first, err := b.firstOfStep(id.Number)
	if err != nil {
		return nil, Event{}, err
	}
	for {
		e, body, err := b.ledger.Entry(id)
		if err != nil {
			return nil, Event{}, err
		}
		a, err := decodeAct(body)
		switch {
		case err != nil && len(step) > 0:
			return step, ev, nil
		case err != nil:
			return nil, Event{}, fmt.Errorf("entry %s can't be undone: %w", id, err)
		}
		replaced := len(step) > 0 && step[len(step)-1].Replaced != nil
		if replaced && (a.Op != opRemove || !bytes.Equal(a.Contact, step[len(step)-1].Replaced)) {
			return step, ev, nil
		}
		if step = append(step, a); !replaced && (first == 0 || id == newest) {
			ev = event(e, a)
		}
		if first > 0 && first < id.Number {
			id.Number--
			continue
		}
		if !a.Joined && a.Replaced == nil || id.Number < 2 {
			return step, ev, nil
		}
		id.Number--
	}
}

// newestUndoable returns the entry that an undo reverts.
func (b *Book) newestUndoable(v *ledger.View) (ledger.ID, error) {
	device := b.ledger.Device()
	last, ok, err := v.Last(tableUndo, device[:])
	if err != nil {
		return ledger.ID{}, err
	}
	if !ok || len(last.Key) != len(device)+8 {
		return ledger.ID{}, ErrNothingToUndo
	}
	return ledger.ID{Device: device, Number: binary.BigEndian.Uint64(last.Key[len(device):])}, nil
}

func undo(tx *ledger.Tx, id ledger.ID, a act) error {
	inverse := act{Op: opUndo, Number: id.Number, Contact: a.Contact, Name: a.Name, Previous: a.Previous, Label: a.Label, Edges: a.Edges, Keep: a.Keep,
		Audience: a.Audience, Private: a.Private, Item: a.Item}
	if a.Op == opKeep {
		if err := checkKeepUnchanged(tx.View(), a); err != nil {
			return err
		}
		inverse.Keep = a.Keep.other()
		return appendAct(tx, inverse)
	}
	if a.Op == opPin || a.Op == opLearn {
		return undoPin(tx, id, a)
	}
	if a.Op == opShare || a.Op == opUnshare {
		if err := checkEdgeUnchanged(tx.View(), a.Audience, a.Label, a.Contact); err != nil {
			return err
		}
		return appendAct(tx, inverse)
	}
	contact, err := pointer.FromBytes(a.Contact)
	if err != nil {
		return err
	}
	if err := checkNameUnchanged(tx.View(), contact, a); err != nil {
		return err
	}
	if a.Keep != 0 {
		if only, err := keptOnlyBy(tx.View(), id.Device, a.Contact); err != nil {
			return err
		} else if !only {
			inverse.Keep = 0 // another device ended the keeping since
		}
	}
	for _, w := range a.Previous {
		// A conflict of that time is restored as a conflict.
		if w.Name == "" || w.Contested {
			continue
		}
		if err := checkAvailable(tx.View(), name.Recorded(w.Name), contact); err != nil {
			return err
		}
		c, _, err := readContact(tx.View(), contact)
		if err != nil {
			return err
		}
		// another contact has advanced to the pointer since
		if err := checkSoleHolder(tx.View(), c); err != nil {
			return err
		}
	}
	for _, edges := range byLabel(a.shares()) {
		if err := checkEdgeUnchanged(tx.View(), edges[0].Audience, edges[0].Label, nil); err != nil {
			return err
		}
	}
	return appendAct(tx, inverse)
}

// undoPin reverts a decision about a commitment, or a claim of the owner.
func undoPin(tx *ledger.Tx, id ledger.ID, a act) error {
	contact, err := pointer.FromBytes(a.Contact)
	if err != nil {
		return err
	}
	if err := checkDecisionUnchanged(tx.View(), id, contact); err != nil {
		return err
	}
	return appendAct(tx, act{Op: opUndo, Number: id.Number, Contact: a.Contact, Pin: newWirePin(nil, nil), Item: a.Item})
}

// checkNameUnchanged returns an error if the contact's name is no longer the
// one of the act.
func checkNameUnchanged(v *ledger.View, contact pointer.Pointer, a act) error {
	state, err := getState[contactState](v, tableContacts, a.Contact)
	if err != nil || state.isAs(a) {
		return err
	}
	c, _, err := readContact(v, contact)
	if err != nil {
		return err
	}
	if c.Conflict != nil {
		return &ConflictError{Contacts: []Contact{c}}
	}
	return fmt.Errorf("%s: %w", contact, ErrChanged)
}

// checkEdgeUnchanged returns an error if a label leads to a contact other than
// in the act.
func checkEdgeUnchanged(v *ledger.View, audience []byte, label string, contact []byte) error {
	state, err := readEdge(v, audience, label)
	if err != nil || state.leadsTo(contact) {
		return err
	}
	e, found, err := state.edge(v)
	if err != nil {
		return err
	}
	if found && !e.Conflict {
		return &TakenError{name.Recorded(label), e.Pointer}
	}
	return fmt.Errorf("label %q: %w", name.Recorded(label), ErrChanged)
}
