package introduce

import (
	"crypto"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// maxEdges bounds the edges that are shared with one audience.
const maxEdges = 64

// Edges are all names, at most 64, that a sharer shares with one recipient alone. Of
// two such statements the one with the higher version is valid.
type Edges struct {
	By      pointer.Pointer // set by Sign
	To      pointer.Pointer
	Version uint64                  // above the last one; from 1
	Edges   map[string]pointer.Edge // by label: untrusted text of 1 to pointer.MaxLabel bytes
	Made    time.Time               // set by Sign
}

// Sign returns the signed statement.
func (e Edges) Sign(sharer crypto.Signer, now time.Time) (Statement, error) {
	w := wire{Kind: KindEdges, To: e.To.Bytes(), Made: millis(now), Version: e.Version}
	for label, edge := range e.Edges {
		if w.Edges == nil {
			w.Edges = make(map[string]wireEdge, len(e.Edges))
		}
		w.Edges[label] = wireEdge{Pointer: edge.Pointer.Bytes(), Next: edge.Next.Bytes()}
	}
	return w.sign(sharer)
}

// edges returns the content of edges, checked.
func (p *parsed) edges() (e Edges, err error) {
	if len(p.Edges) > maxEdges || p.Version > pointer.MaxSequence {
		return Edges{}, invalid("%d of them, over %d, or version %d", len(p.Edges), maxEdges, p.Version)
	}
	e = Edges{By: p.by, To: p.to, Version: p.Version, Made: p.made, Edges: make(map[string]pointer.Edge, len(p.Edges))}
	for label, w := range p.Edges {
		if label == "" || len(label) > pointer.MaxLabel || !utf8.ValidString(label) {
			return Edges{}, invalid("label of %d bytes, or not UTF-8", len(label))
		}
		edge := pointer.Edge{}
		if edge.Pointer, err = p.pointer(w.Pointer); err != nil {
			return Edges{}, invalid("label %q: %v", label, err)
		}
		if w.Next != nil {
			if edge.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
				return Edges{}, invalid("label %q: %v", label, err)
			}
		}
		e.Edges[label] = edge
	}
	return e, nil
}
