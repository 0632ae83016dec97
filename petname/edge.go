package petname

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Edge is a label under which the owner shares a contact: a public edge is in
// the owner's card, and a private edge is for one recipient. An edge does not
// contain the owner's petname for the contact.
type Edge struct {
	Label   string          // as typed
	Contact Contact         // the target
	Pointer pointer.Pointer // the target's current pointer
	// devices disagree on the target, or on whether the edge or its target still exists; the
	// edge is not published
	Conflict bool
}

// CheckLabel returns an error if label cannot be an edge's label: a name of at
// most pointer.MaxLabel bytes. The error is a [*name.Error].
func CheckLabel(label string) (name.Name, error) {
	n, err := name.Parse(label)
	if err != nil {
		return name.Name{}, err
	}
	if len(n.String()) > pointer.MaxLabel {
		return name.Name{}, &name.Error{Text: label, Reason: fmt.Sprintf("is %d bytes long, over %d for a label", len(n.String()), pointer.MaxLabel)}
	}
	return n, nil
}

// SharePublic shares the contact with pointer p under a public label, from the
// next published record on. The error is a [*TakenError] if the label is in use
// for another contact. Sharing a label in conflict resolves the conflict.
func (b *Book) SharePublic(p pointer.Pointer, label name.Name) (Edge, error) {
	return b.share(p, label, nil)
}

func (b *Book) share(p pointer.Pointer, label name.Name, with *pointer.Pointer) (Edge, error) {
	if _, err := CheckLabel(label.String()); err != nil {
		return Edge{}, err
	}
	var e Edge
	err := b.update(func(tx *ledger.Tx) error {
		v := tx.View()
		audience, err := audienceOf(v, with)
		if err != nil {
			return err
		}
		c, err := readNamed(v, p)
		if err != nil {
			return err
		}
		if c.Conflict != nil {
			return &ConflictError{Contacts: []Contact{c}}
		}
		if err := c.Pinned(c.Pointer, pointer.Commitment{}); err != nil {
			return err
		}
		if bytes.Equal(c.ID.Bytes(), audience) {
			return fmt.Errorf("label %q leads to its own recipient", label)
		}
		state, err := readEdge(v, audience, label.String())
		if err != nil {
			return err
		}
		was, shared, err := state.edge(v)
		if err != nil {
			return err
		}
		if shared && !was.Conflict {
			if e = was; was.Contact.ID == c.ID {
				return nil
			}
			return &TakenError{label, was.Pointer}
		}
		a := act{Op: opShare, Contact: c.ID.Bytes(), Label: label.String(), Audience: audience}
		a.setShares(state.previous(audience))
		if err := appendAct(tx, a); err != nil {
			return err
		}
		if state, err = readEdge(v, audience, label.String()); err != nil {
			return err
		}
		e, _, err = state.edge(v)
		return err
	})
	if err != nil {
		return Edge{}, err
	}
	return e, nil
}

// Unshare removes a public label, and returns its edge. Published records
// contain it until they expire.
func (b *Book) Unshare(label name.Name) (Edge, error) { return b.unshare(label, nil) }

func (b *Book) unshare(label name.Name, with *pointer.Pointer) (Edge, error) {
	var was Edge
	err := b.update(func(tx *ledger.Tx) error {
		audience, err := audienceOf(tx.View(), with)
		if err != nil {
			return err
		}
		state, err := readEdge(tx.View(), audience, label.String())
		if err != nil {
			return err
		}
		var shared bool
		if was, shared, err = state.edge(tx.View()); err != nil {
			return err
		}
		if !shared {
			return fmt.Errorf("label %q: %w", label, ErrNotFound)
		}
		a := act{Op: opUnshare, Label: label.String(), Audience: audience}
		a.setShares(state.previous(audience))
		return appendAct(tx, a)
	})
	if err != nil {
		return Edge{}, err
	}
	return was, nil
}

// Edges yields the public edges, ordered by the keys of their labels, including
// those in conflict.
func (b *Book) Edges() iter.Seq2[Edge, error] { return b.edges(nil) }

func (b *Book) edges(with *pointer.Pointer) iter.Seq2[Edge, error] {
	return func(yield func(Edge, error) bool) {
		var edges []Edge // few: they have to fit into a record
		err := b.read(func(v *ledger.View) error {
			audience, err := audienceOf(v, with)
			if err != nil {
				return err
			}
			for kv, err := range v.Scan(tableEdges, edgePrefix(audience)) {
				if err != nil {
					return err
				}
				state, err := decodeState[edgeState](tableEdges, kv.Value)
				if err != nil {
					return err
				}
				e, found, err := state.edge(v)
				if err != nil {
					return err
				}
				if found {
					edges = append(edges, e)
				}
			}
			return nil
		})
		if err != nil {
			yield(Edge{}, err)
			return
		}
		for _, e := range edges {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// PublishableEdges returns, by label, the edges among all that a card or an
// [introduce.Edges] statement may contain: those that are not in conflict, and
// whose target is not in duplicity. Its argument is [Book.Edges] for a card, and
// [Book.EdgesWith] for a statement to one contact. It returns the first error of
// all.
func PublishableEdges(all iter.Seq2[Edge, error]) (map[string]pointer.Edge, error) {
	edges := make(map[string]pointer.Edge)
	for e, err := range all {
		if err != nil {
			return nil, err
		}
		if _, err := CheckLabel(e.Label); err == nil && !e.Conflict && len(e.Contact.Contradictions) == 0 {
			edges[e.Label] = pointer.Edge{Pointer: e.Pointer, Next: e.Contact.Next}
		}
	}
	return edges, nil
}
