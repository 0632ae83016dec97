package introduce

import (
	"crypto"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// MaxEdges bounds the edges that are shared with one audience.
const MaxEdges = 64

// Edges are the names that somebody shares with one person alone: all that there
// are, from this version on. Of two, the one with the higher version stands.
type Edges struct {
	By      pointer.Pointer // set by Sign
	To      pointer.Pointer
	Version uint64                  // above the last one; from 1
	Edges   map[string]pointer.Edge // label → where it leads; labels of 1 to pointer.MaxLabel bytes, hostile text
	Made    time.Time               // set by Sign
}

// Sign gives the signed statement.
func (e Edges) Sign(sharer crypto.Signer, now time.Time) ([]byte, error) {
	w := wire{Kind: KindEdges, To: e.To.Bytes(), Made: millis(now), Version: e.Version}
	for label, edge := range e.Edges {
		if w.Edges == nil {
			w.Edges = make(map[string]wireEdge, len(e.Edges))
		}
		w.Edges[label] = wireEdge{Pointer: edge.Pointer.Bytes(), Next: edge.Next.Bytes()}
	}
	b, err := w.sign(sharer)
	if err != nil {
		return nil, fmt.Errorf("edges: %w", err)
	}
	if _, err := OpenEdges(b); err != nil {
		return nil, err
	}
	return b, nil
}

// OpenEdges parses and verifies edges. Its errors wrap [ErrInvalid].
func OpenEdges(b []byte) (Edges, error) {
	o, err := open(b, KindEdges)
	if err != nil {
		return Edges{}, fmt.Errorf("edges: %w", err)
	}
	if len(o.Edges) > MaxEdges || o.Version > pointer.MaxSequence {
		return Edges{}, fmt.Errorf("edges: %w", invalid("%d of them, over %d, or version %d", len(o.Edges), MaxEdges, o.Version))
	}
	e := Edges{By: o.by, To: o.to, Version: o.Version, Made: o.made, Edges: make(map[string]pointer.Edge, len(o.Edges))}
	for label, w := range o.Edges {
		if label == "" || len(label) > pointer.MaxLabel || !utf8.ValidString(label) {
			return Edges{}, fmt.Errorf("edges: %w", invalid("label of %d bytes, or not UTF-8", len(label)))
		}
		edge := pointer.Edge{}
		if edge.Pointer, err = pointer.FromBytes(w.Pointer); err != nil {
			return Edges{}, fmt.Errorf("edges: %w", invalid("label %q: %v", label, err))
		}
		if w.Next != nil {
			if edge.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
				return Edges{}, fmt.Errorf("edges: %w", invalid("label %q: %v", label, err))
			}
		}
		e.Edges[label] = edge
	}
	return e, nil
}
