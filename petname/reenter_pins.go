package petname

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// pin enters a decision about the next key of a contact, with the commitments that it rejected:
// what the book has learned since is compared with it, as after a merge. It replaces the
// decisions that it replaced; one that it did not see is a conflict.
func (r *reentry) pin(a act) error {
	c, found, _, err := r.contact(a.Contact)
	if err != nil {
		return err
	}
	what := ReentryConflict{Op: opPin.String(), Contact: c.ID, Reason: ReentryChanged}
	thing := "pin " + string(a.Contact)
	if !found {
		what.Contact, what.Reason, what.final = optionalPointer(a.Contact), ReentryRemoved, true
		_, err := r.conflict(thing, what)
		return err
	}
	at := c.ID
	if a.Of != nil {
		at = optionalPointer(a.Of)
	}
	v := r.book.tx.View()
	rejected, err := a.Pin.differs()
	if err != nil {
		return err
	}
	pl, _, err := placeIn(v, c, at)
	if err != nil {
		return err
	}
	replaced := slices.Clone(pl.decisions)
	for _, id := range pl.decisions {
		row, err := getState[factState](v, tableContacts, factKey(a.Contact, id))
		if err != nil {
			return err
		}
		same := reflect.DeepEqual(row.Fact, *a.Fact)
		switch {
		case same && containsAll(row.Pin.Differs, a.Pin.Differs):
			return nil // the book has it
		case same && a.Joined && id.Device == r.device: // another act of the same decision
			replaced = slices.DeleteFunc(replaced, func(other ledger.ID) bool { return other == id })
		}
	}
	if slices.ContainsFunc(replaced, func(id ledger.ID) bool { return !r.saw(id.Device[:], id.Number) }) {
		if mine, err := r.conflict(thing, what); !mine {
			return err
		}
	}
	entered := act{Op: opPin, Contact: c.ID.Bytes(), Of: otherPointer(c.ID, at), Fact: a.Fact}
	err = appendDecision(r.book.tx, entered, rejected, replaced)
	return r.refused(thing, what, firstError(err, checkMoved(r.book.tx.View(), c)))
}

// advance enters the steps of a contact, which are verified against the book as any others.
func (r *reentry) advance(a act) error {
	chain, err := pointer.ParseSuccession(a.Chain)
	if err != nil {
		return err
	}
	what := ReentryConflict{Op: opAdvance.String(), Contact: optionalPointer(a.Contact), Reason: ReentryChanged}
	thing := "advance " + string(a.Contact)
	made := r.book.tx.Appended()
	if err := r.book.applySuccession(chain[0].Old, chain, a.Fact.Channel); err != nil || r.book.tx.Appended() > made {
		return r.refused(thing, what, err)
	}
	known, err := readFacts(r.book.tx.View(), what.Contact)
	if err != nil {
		return err
	}
	for _, s := range chain {
		if !slices.ContainsFunc(known.steps, func(k chainStep) bool {
			return k.Old == s.Old && k.New.Equal(s.New) && (k.OldSignature != nil || s.OldSignature == nil)
		}) {
			what.Reason, what.final = ReentryContradiction, true
			_, err := r.conflict(thing, what)
			return err
		}
	}
	return nil
}

// containsAll reports whether a list has each commitment of another one.
func containsAll(list, others [][]byte) bool {
	return !slices.ContainsFunc(others, func(o []byte) bool {
		return !slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, o) })
	})
}
