package petname

import (
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
)

// undo reverts an earlier entry of the same device: it restores the earlier
// claims, and removes the fact of the entry. The act has the earlier claims,
// because the body of the entry may have been dropped.
func (f fold) undo(v *ledger.View, e ledger.Entry, a act) error {
	id := e.ID()
	undone := ledger.ID{Device: id.Device, Number: a.Number}
	if a.Number >= id.Number {
		return nil
	}
	if err := v.Delete(tableUndo, undoKey(undone)); err != nil {
		return err
	}
	if a.undoesKeep() {
		return f.setKeep(v, e, a.Contact, a.Keep)
	}
	if err := f.accept(v, a.Item, undone, false); err != nil {
		return err
	}
	if a.Pin != nil {
		return f.undoDecision(v, a.Contact, undone)
	}
	if a.Contact != nil {
		if err := v.Delete(tableReplaced, factKey(a.Contact, undone)); err != nil {
			return err
		}
	}
	if a.Label == "" && a.Contact != nil {
		if err := f.removeFact(v, a.Contact, undone); err != nil {
			return err
		}
		if err := f.updateChain(v, a.Contact); err != nil {
			return err
		}
		with := []claim{newClaim(id, "", false, 0)}
		if a.Previous != nil {
			with = with[:0]
			for _, w := range a.Previous {
				with = append(with, newClaim(id, w.Name, w.Removed, w.At))
			}
		}
		if err := f.setContact(v, e, act{Contact: a.Contact}, with); err != nil {
			return err
		}
		if err := f.setKeep(v, e, a.Contact, a.Keep); err != nil {
			return err
		}
	}
	for _, edges := range byLabel(a.shares()) {
		if err := f.setEdge(v, e, edges); err != nil {
			return err
		}
	}
	if a.Label != "" && a.Edges == nil && a.Private == nil {
		return f.setEdge(v, e, []wireShare{{Audience: a.Audience, Label: a.Label}})
	}
	return nil
}

// undoDecision removes the fact of a decision or of a claim. It keeps which decisions
// a decision replaced: see [chainFacts.replaced].
func (f fold) undoDecision(v *ledger.View, contact []byte, undone ledger.ID) error {
	key := factKey(contact, undone)
	fact, err := getState[factState](v, tableContacts, key)
	if err != nil || fact.Fact.Kind == "" { // unknown, or undone already
		return err
	}
	if err := f.removeFact(v, contact, undone); err != nil {
		return err
	}
	if fact.Decision && len(fact.Pin.Replaces) > 0 {
		kept := factState{Pin: &wirePin{Differs: [][]byte{}, Replaces: fact.Pin.Replaces}, Decision: true, Undone: true}
		if err := putState(v, tableContacts, key, kept); err != nil {
			return err
		}
	}
	return f.updateChain(v, contact)
}

// removeFact removes the fact of an entry, and the looks of its nickname unless
// another fact has the nickname.
func (f fold) removeFact(v *ledger.View, contact []byte, undone ledger.ID) error {
	key := factKey(contact, undone)
	fact, err := getState[factState](v, tableContacts, key)
	if err != nil {
		return err
	}
	if err := v.Delete(tableContacts, key); err != nil {
		return err
	}
	n, some := name.OfNickname(fact.Fact.Nickname)
	if !some {
		return nil
	}
	for other, err := range factsOf(v, contact) {
		if err != nil {
			return err
		}
		if o, _ := name.OfNickname(other.Fact.Nickname); o == n {
			return nil
		}
	}
	return f.setLooks(v, rowNickname, contact, n, false)
}
