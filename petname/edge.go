package petname

import (
	"errors"
	"fmt"
	"iter"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Edge is a name that I give to somebody in public: whoever reads my card can
// walk `me/label` to the contact. My petname for it doesn't show.
type Edge struct {
	Label    string          // as typed
	Contact  Contact         // whom it leads to
	Pointer  pointer.Pointer // the contact's, now
	Conflict bool            // devices disagree on where it leads: it isn't published
}

// CheckLabel refuses what can't be an edge's label: labels are names too, of
// at most pointer.MaxLabel bytes. The error is a [*NameError].
func CheckLabel(label string) (Name, error) {
	n, err := ParseName(label)
	if err != nil {
		return Name{}, err
	}
	if len(n.text) > pointer.MaxLabel {
		return Name{}, &NameError{label, fmt.Sprintf("is %d bytes long, over %d for a label", len(n.text), pointer.MaxLabel)}
	}
	return n, nil
}

// SharePublic makes the contact with that pointer reachable under a label of
// mine, for everybody, from the next record that I publish on. A label that
// leads to somebody else is a [*TakenError].
func (b *Book) SharePublic(p pointer.Pointer, label Name) (Edge, error) {
	err := b.update(func(tx *ledger.Tx) error {
		c, err := named(tx.View(), p)
		if err != nil {
			return err
		}
		if c.Conflict != nil {
			return &ConflictError{Contacts: []Contact{c}}
		}
		was, shared, err := readEdge(tx.View(), label)
		if err != nil {
			return err
		}
		if shared && was.Pointer == p && !was.Conflict {
			return nil
		}
		if shared && !was.Conflict {
			return &TakenError{label, was.Pointer}
		}
		return appendAct(tx, act{Op: opShare, Contact: p.Bytes(), Label: label.text})
	})
	if err != nil {
		return Edge{}, err
	}
	return b.edge(label)
}

// Unshare takes a public label back. Records that were published keep it until
// they expire.
func (b *Book) Unshare(label Name) (Edge, error) {
	var was Edge
	err := b.update(func(tx *ledger.Tx) error {
		var shared bool
		var err error
		if was, shared, err = readEdge(tx.View(), label); err != nil {
			return err
		}
		if !shared {
			return fmt.Errorf("label %q: %w", label, ErrNotFound)
		}
		return appendAct(tx, act{Op: opUnshare, Label: label.text, WasEdge: was.Pointer.Bytes()})
	})
	return was, err
}

func (b *Book) edge(label Name) (Edge, error) {
	var e Edge
	err := b.ledger.Read(func(v *ledger.View) error {
		var err error
		e, _, err = readEdge(v, label)
		return err
	})
	return e, err
}

func readEdge(v *ledger.View, label Name) (Edge, bool, error) {
	state, err := getState[edgeState](v, tableEdges, edgeKey(audiencePublic, label.text))
	if err != nil {
		return Edge{}, false, err
	}
	return state.edge(v)
}

// edge gives the edge of a state; false when it leads nowhere: it was taken
// back, or its contact has no name any more.
func (s edgeState) edge(v *ledger.View) (Edge, bool, error) {
	var e Edge
	found, unshared := false, false
	for _, cl := range s.Claims {
		if cl.Contact == nil {
			unshared = true
			continue
		}
		p, err := pointer.Restore(cl.Contact)
		if err != nil {
			return Edge{}, false, err
		}
		c, err := named(v, p)
		if errors.Is(err, ErrNotFound) {
			continue // removed since
		}
		if err != nil {
			return Edge{}, false, err
		}
		e.Conflict = e.Conflict || found && e.Pointer != c.Pointer
		e.Label, e.Contact, e.Pointer, found = cl.Label, c, c.Pointer, true
	}
	e.Conflict = e.Conflict || found && unshared
	return e, found, nil
}

// Edges yields my public edges, in the order of their labels' keys, those in
// conflict included.
func (b *Book) Edges() iter.Seq2[Edge, error] {
	return func(yield func(Edge, error) bool) {
		var edges []Edge // as many as fit a record: few
		err := b.ledger.Read(func(v *ledger.View) error {
			for kv, err := range v.Scan(tableEdges, []byte{audiencePublic}) {
				if err != nil {
					return err
				}
				var state edgeState
				if err := actDecoder.Unmarshal(kv.Value, &state); err != nil {
					return fmt.Errorf("table %s: %w", tableEdges, err)
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

// PublicEdges is what my card says of them: those that are not in conflict.
func (b *Book) PublicEdges() (map[string]pointer.Edge, error) {
	edges := make(map[string]pointer.Edge)
	for e, err := range b.Edges() {
		if err != nil {
			return nil, err
		}
		if !e.Conflict {
			edges[e.Label] = pointer.Edge{Pointer: e.Pointer, Next: e.Contact.Next}
		}
	}
	return edges, nil
}
