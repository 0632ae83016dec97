package petname

import (
	"errors"
	"fmt"
	"iter"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// audienceOf is the id of the contact whom alone an edge is shared with; nil for
// everybody.
func audienceOf(v *ledger.View, with *pointer.Pointer) ([]byte, error) {
	if with == nil {
		return nil, nil
	}
	c, err := readNamed(v, *with)
	if err != nil {
		return nil, err
	}
	if c.Conflict != nil {
		return nil, &ConflictError{Contacts: []Contact{c}}
	}
	return c.ID.Bytes(), nil
}

// ShareWith makes the contact with that pointer reachable under a label of mine,
// for one other contact alone: it is in no card, and travels sealed. Errors as
// for [Book.SharePublic].
func (b *Book) ShareWith(audience, p pointer.Pointer, label name.Name) (Edge, error) {
	return b.share(p, label, &audience)
}

// UnshareWith takes a label back from its audience, and returns what it was.
func (b *Book) UnshareWith(audience pointer.Pointer, label name.Name) (Edge, error) {
	return b.unshare(label, &audience)
}

// EdgesWith yields what I share with one contact alone, as [Book.Edges] does.
func (b *Book) EdgesWith(audience pointer.Pointer) iter.Seq2[Edge, error] { return b.edges(&audience) }

// EdgesFor is what a statement to one contact says of them: see
// [introduce.Edges].
func (b *Book) EdgesFor(audience pointer.Pointer) (map[string]pointer.Edge, error) {
	return fitEdges(b.edges(&audience))
}

// Audiences are the contacts with whom alone something was ever shared, those that
// read nothing any more among them.
func (b *Book) Audiences() ([]pointer.Pointer, error) {
	var all []pointer.Pointer
	err := b.read(func(v *ledger.View) error {
		for kv, err := range v.Scan(tableEdges, []byte{audiencePrivate}) {
			if err != nil {
				return err
			}
			audience, err := audienceIn(kv.Key)
			if err != nil {
				return err
			}
			id, err := pointer.Restore(audience)
			if err != nil {
				return err
			}
			if len(all) == 0 || all[len(all)-1] != id { // rows of one stand together
				all = append(all, id)
			}
		}
		return nil
	})
	return all, err
}

// receiveEdges keeps what a contact shares with me.
func (b *Book) receiveEdges(s introduce.Statement, edges introduce.Edges, channel string) (bool, error) {
	isNew := false
	err := b.update(func(tx *ledger.Tx) error {
		v := tx.View()
		if _, err := b.checkSender(v, edges.By, edges.To); err != nil {
			return err
		}
		old, err := getState[statementState](v, tablePrivateEdges, edges.By.Bytes())
		if err != nil {
			return err
		}
		if old.Statement != nil {
			stored, err := old.edges()
			if err != nil {
				return err
			}
			if stored.Version >= edges.Version {
				return nil // an old one, played again
			}
		}
		isNew = true
		return appendAct(tx, act{Op: opStatement, Statement: s.Bytes(), Channel: channel})
	})
	return isNew, err
}

// Told is what a contact shares with me alone, by the newest of what it signed
// under the key that it has now; empty when it never shared anything.
func (b *Book) EdgesFrom(p pointer.Pointer) (introduce.Edges, error) {
	var edges introduce.Edges
	err := b.read(func(v *ledger.View) error {
		c, err := readNamed(v, p)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || c.Duplicity {
			return err
		}
		stored, err := getState[statementState](v, tablePrivateEdges, c.Pointer.Bytes())
		if err != nil || stored.Statement == nil {
			return err
		}
		if edges, err = stored.edges(); err != nil {
			return err
		}
		if !b.isOwn(edges.To) {
			return fmt.Errorf("edges of %s: %w", p, ErrWrongRecipient)
		}
		return nil
	})
	return edges, err
}
