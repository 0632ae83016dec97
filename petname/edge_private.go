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

// audienceOf returns the id of the contact that is the only recipient of an
// edge; nil for a public edge.
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

// ShareWith shares the contact with pointer p under a label with one other
// contact. Private edges are in no card and are sent sealed. Errors are those
// of [Book.SharePublic].
func (b *Book) ShareWith(audience, p pointer.Pointer, label name.Name) (Edge, error) {
	return b.share(p, label, &audience)
}

// UnshareWith removes a label that is shared with one contact, and returns its
// edge.
func (b *Book) UnshareWith(audience pointer.Pointer, label name.Name) (Edge, error) {
	return b.unshare(label, &audience)
}

// EdgesWith yields the edges that are shared with one contact, as [Book.Edges]
// does.
func (b *Book) EdgesWith(audience pointer.Pointer) iter.Seq2[Edge, error] { return b.edges(&audience) }

// Audiences returns the contacts with which edges were ever shared privately,
// including those with which none is shared any more.
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
			if len(all) == 0 || all[len(all)-1] != id { // the rows of one audience are adjacent
				all = append(all, id)
			}
		}
		return nil
	})
	return all, err
}

// receiveEdges stores the edges that a contact shares with the owner.
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
				return nil // an older statement
			}
		}
		isNew = true
		return appendAct(tx, act{Op: opStatement, Statement: s.Bytes(), Channel: channel})
	})
	return isNew, err
}

// EdgesFrom returns the edges that a contact shares with the owner privately,
// from the newest statement that its current key signed. The result is empty if
// there is none.
func (b *Book) EdgesFrom(p pointer.Pointer) (introduce.Edges, error) {
	var edges introduce.Edges
	err := b.read(func(v *ledger.View) error {
		c, err := readNamed(v, p)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil || len(c.Contradictions) > 0 {
			return err
		}
		stored, err := getState[statementState](v, tablePrivateEdges, c.Pointer.Bytes())
		if err != nil || stored.Statement == nil {
			return err
		}
		if edges, err = stored.edges(); err != nil {
			return err
		}
		if !b.IsOwn(edges.To) {
			return fmt.Errorf("edges of %s: %w", p, ErrWrongRecipient)
		}
		return nil
	})
	return edges, err
}
