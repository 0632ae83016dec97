package petname

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// edgeState is the row of a label: the claims that no later claim replaced, as
// for names.
type edgeState struct {
	Claims []edgeClaim `cbor:"1,keyasint"` // sorted
}

type edgeClaim struct {
	_       struct{} `cbor:",toarray"`
	Device  []byte
	Number  uint64
	Label   string // as typed
	Contact []byte // nil: unshared
}

// edgeKey returns the key of a label's row: for a nil audience of a public
// label, otherwise of one for the contact with that id.
func edgeKey(audience []byte, label string) []byte {
	return append(edgePrefix(audience), name.Recorded(label).Key()...)
}

// edgePrefix returns the prefix of the rows of an audience.
func edgePrefix(audience []byte) []byte {
	if audience == nil {
		return []byte{audiencePublic}
	}
	return append([]byte{audiencePrivate, byte(len(audience))}, audience...)
}

func (s *edgeState) replace(e ledger.Entry, with []wireShare) {
	id := e.ID()
	s.Claims = slices.DeleteFunc(s.Claims, func(c edgeClaim) bool { return e.Saw(entryID(c.Device, c.Number)) })
	for _, w := range with {
		s.Claims = append(s.Claims, edgeClaim{Device: id.Device[:], Number: id.Number, Label: w.Label, Contact: w.Contact})
	}
	slices.SortFunc(s.Claims, func(a, b edgeClaim) int {
		return cmp.Or(bytes.Compare(a.Device, b.Device), cmp.Compare(a.Number, b.Number), bytes.Compare(a.Contact, b.Contact), strings.Compare(a.Label, b.Label))
	})
}

// previous returns the claims of a label for an act, so that an undo can
// restore them.
func (s edgeState) previous(audience []byte) []wireShare {
	var previous []wireShare
	for _, c := range s.Claims {
		w := wireShare{Audience: audience, Label: c.Label, Contact: c.Contact}
		if !slices.ContainsFunc(previous, w.equal) && len(previous) < maxPrevious {
			previous = append(previous, w)
		}
	}
	return previous
}

func (w wireShare) equal(o wireShare) bool {
	return w.Label == o.Label && bytes.Equal(w.Contact, o.Contact) && bytes.Equal(w.Audience, o.Audience)
}

// leadsTo reports whether all claims are for that contact; nil is no contact.
func (s edgeState) leadsTo(contact []byte) bool {
	return !slices.ContainsFunc(s.Claims, func(c edgeClaim) bool { return !bytes.Equal(c.Contact, contact) })
}

// byLabel groups edges by audience and by the comparison key of the label, in
// the order of the first edge of each group.
func byLabel(edges []wireShare) [][]wireShare {
	var groups [][]wireShare
	at := make(map[string]int)
	for _, e := range edges {
		key := string(edgeKey(e.Audience, e.Label))
		i, known := at[key]
		if !known {
			i = len(groups)
			at[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], e)
	}
	return groups
}

func readEdge(v *ledger.View, audience []byte, label string) (edgeState, error) {
	return getState[edgeState](v, tableEdges, edgeKey(audience, label))
}

// edge returns the edge of a state; false if it was unshared, or if its target
// has no name any more.
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
		c, err := readNamedByID(v, p)
		if errors.Is(err, ErrNotFound) {
			continue // removed since
		}
		if err != nil {
			return Edge{}, false, err
		}
		e.Conflict = e.Conflict || found && e.Pointer != c.Pointer || c.Conflict != nil && c.Conflict.Removed
		e.Label, e.Contact, e.Pointer, found = name.Recorded(cl.Label).String(), c, c.Pointer, true
	}
	e.Conflict = e.Conflict || found && unshared
	return e, found, nil
}

// edgesEndingWith returns the edges that end when the contact loses its name:
// those to it and to no other named contact, and those for it alone. An edge
// that was only hidden would return with the contact.
func edgesEndingWith(v *ledger.View, contact pointer.Pointer) ([]wireShare, error) {
	if n, err := v.Count(tableEdges); n == 0 || err != nil {
		return nil, err
	}
	var edges []wireShare
	for kv, err := range v.Scan(tableEdges, nil) {
		if err != nil {
			return nil, err
		}
		state, err := decodeState[edgeState](tableEdges, kv.Value)
		if err != nil {
			return nil, err
		}
		audience, err := audienceIn(kv.Key)
		if err != nil {
			return nil, err
		}
		ends, err := state.endsWith(v, contact)
		if err != nil {
			return nil, err
		}
		if ends || bytes.Equal(audience, contact.Bytes()) && !state.leadsTo(nil) {
			edges = append(edges, state.previous(audience)...)
		}
	}
	return edges[:min(len(edges), maxActEdges)], nil
}

// audienceIn returns the audience in the key of an edge's row; nil: public.
func audienceIn(key []byte) ([]byte, error) {
	switch {
	case len(key) > 0 && key[0] == audiencePublic:
		return nil, nil
	case len(key) > 1 && key[0] == audiencePrivate && len(key) >= 2+int(key[1]):
		return bytes.Clone(key[2 : 2+int(key[1])]), nil
	}
	return nil, errRow
}

func (s edgeState) endsWith(v *ledger.View, contact pointer.Pointer) (bool, error) {
	ends := false
	for _, cl := range s.Claims {
		if cl.Contact == nil {
			continue
		}
		p, err := pointer.Restore(cl.Contact)
		if err != nil {
			return false, err
		}
		if p == contact {
			ends = true
		} else if _, err := readNamedByID(v, p); err == nil {
			return false, nil
		} else if !errors.Is(err, ErrNotFound) {
			return false, err
		}
	}
	return ends, nil
}
