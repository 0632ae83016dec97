package petname

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Records finds the best record of a pointer: a [*dht.Resolver].
type Records interface {
	Best(ctx context.Context, p pointer.Pointer, level dht.Level) (dht.Result, error)
}

// MaxHops bounds a path, in names.
const maxHops = 8

// Hop is one step of a path, verified.
type Hop struct {
	Name        string            // the petname, or the label that the owner before gave
	Result      dht.Result        // the record of the hop's pointer and how it was found
	Card        pointer.Card      // of that record; zero when there is none
	Pointer     pointer.Pointer   // whose record it is
	Former      []pointer.Pointer // those that were asked first, and had gone on to the next: its keys, proven
	Unproven    pointer.Pointer   // the successor that the card names, which no commitment of before proves; zero: none
	PrivateEdge bool              // the next hop is by an edge that its owner shares with me alone, and not by its card
}

// Resolution is where a path leads: the last hop's pointer and record, and
// every step on the way.
type Resolution struct {
	Path string // as it was asked for
	Hops []Hop  // at least one
}

// Last is the hop that the path leads to.
func (r Resolution) Last() Hop { return r.Hops[len(r.Hops)-1] }

// PathError says which part of a path doesn't lead on.
type PathError struct {
	Path string
	Part string
	Err  error
}

func (e *PathError) Error() string {
	if e.Part == e.Path {
		return fmt.Sprintf("%s: %v", name.Quote(e.Path), e.Err)
	}
	return fmt.Sprintf("%s, at %s: %v", name.Quote(e.Path), name.Quote(e.Part), e.Err)
}

func (e *PathError) Unwrap() error { return e.Err }

// Resolve walks a path: a petname of mine (or a pointer), then labels, each an
// edge that the owner before it shares with me alone, or else one in its card:
// `alice/bob` is the one whom my alice calls bob. Every record on the way is verified, its commitment compared with
// the one that I, or the edge, pinned; the first card seen of a contact pins
// its commitment. A card that says that its key has a successor is followed
// when the new key opens that commitment, and the contact moves with it.
//
// Errors are [*PathError]s around [ErrNotFound], a [*ConflictError], a
// [*DuplicityError], a [*SuccessionError], or what records returned. The hops
// that were made come back beside an error.
func (b *Book) Resolve(ctx context.Context, records Records, path string, level dht.Level) (Resolution, error) {
	res := Resolution{Path: path}
	parts, err := splitPath(path)
	if err != nil {
		return res, &PathError{path, path, err}
	}
	p, pinned, err := b.startOfPath(parts[0])
	if err != nil {
		return res, &PathError{path, parts[0], err}
	}
	seen := make(map[pointer.Pointer]bool)
	for i, part := range parts {
		if seen[p] {
			return res, &PathError{path, part, errors.New("leads in a circle, back to " + p.String())}
		}
		seen[p] = true
		hop, err := b.hop(ctx, records, part, p, pinned, level)
		if hop.Result.Record.Pointer() == hop.Pointer {
			res.Hops = append(res.Hops, hop)
		}
		if errors.Is(err, dht.ErrNotFound) && i < len(parts)-1 {
			// Who shares with me alone needs nothing published for it.
			if _, private, perr := b.privateEdge(hop.Pointer, parts[i+1]); perr == nil && private {
				res.Hops, err = append(res.Hops, hop), nil
			}
		}
		if err != nil {
			return res, &PathError{path, part, err}
		}
		if i == len(parts)-1 {
			break
		}
		edge, private, err := b.privateEdge(hop.Pointer, parts[i+1])
		if err != nil {
			return res, &PathError{path, parts[i+1], err}
		}
		if private {
			res.Hops[len(res.Hops)-1].PrivateEdge = true
		} else {
			edge, err = findEdge(hop.Card.Edges, parts[i+1])
		}
		if err != nil && hop.Result.Source == dht.SourceCache && level == dht.LevelAny {
			// A label may be younger than what was cached: ask before saying no.
			again, ferr := b.hop(ctx, records, part, p, pinned, dht.LevelFresh)
			switch {
			case ferr == nil:
				res.Hops[len(res.Hops)-1] = again
				edge, err = findEdge(again.Card.Edges, parts[i+1])
			case errors.As(ferr, new(*DuplicityError)), errors.As(ferr, new(*SuccessionError)):
				return res, &PathError{path, part, ferr} // worse than a label that isn't there
			}
		}
		if err != nil {
			return res, &PathError{path, parts[i+1], fmt.Errorf("%s %w", name.Quote(part), err)}
		}
		if p, pinned, err = b.pinnedEdge(edge); err != nil {
			return res, &PathError{path, parts[i+1], err}
		}
	}
	return res, nil
}

func splitPath(path string) ([]string, error) {
	// A pointer may itself be pasted with slashes: /ipns/k51….
	if p, err := pointer.Parse(path); err == nil {
		return []string{p.String()}, nil
	}
	parts := strings.Split(path, "/")
	if len(parts) > maxHops {
		return nil, fmt.Errorf("has %d parts, over %d", len(parts), maxHops)
	}
	for i, part := range parts {
		if i == 0 {
			if _, err := pointer.Parse(part); err == nil {
				continue
			}
		}
		if _, err := name.Parse(part); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// start gives what the first part of a path means in my book.
func (b *Book) startOfPath(part string) (pointer.Pointer, pointer.Commitment, error) {
	c, err := b.Find(part)
	if errors.Is(err, ErrNotFound) {
		if p, perr := pointer.Parse(part); perr == nil {
			return p, pointer.Commitment{}, nil // a bare pointer needs no name
		}
	}
	if err != nil {
		return pointer.Pointer{}, pointer.Commitment{}, err
	}
	return c.Pointer, c.Next, c.Pinned(c.Pointer, pointer.Commitment{})
}

// edge is where an edge leads, and what is pinned there. What I pinned of a
// contact counts beside what the edge's owner did, and where I know it to have
// gone on to: the old key's record may be gone by now, or a thief's. Not being
// able to tell is an error, too.
func (b *Book) pinnedEdge(e pointer.Edge) (pointer.Pointer, pointer.Commitment, error) {
	c, err := b.ByPointer(e.Pointer)
	if errors.Is(err, ErrNotFound) {
		return e.Pointer, e.Next, nil
	}
	if err != nil {
		return e.Pointer, e.Next, err
	}
	if err := c.Pinned(e.Pointer, e.Next); err != nil {
		return e.Pointer, e.Next, err
	}
	if c.Pointer == e.Pointer && c.Next.IsZero() {
		return e.Pointer, e.Next, nil
	}
	return c.Pointer, c.Next, nil
}

// toldEdge finds a label in what the owner of a pointer shares with me alone. One
// that isn't there, or is there twice, is no reason not to read its card.
func (b *Book) privateEdge(p pointer.Pointer, label string) (pointer.Edge, bool, error) {
	shared, err := b.EdgesFrom(p)
	if err != nil || len(shared.Edges) == 0 {
		return pointer.Edge{}, false, err
	}
	e, err := findEdge(shared.Edges, label)
	return e, err == nil, nil
}

// follow finds the edge with a label among hostile ones: the label to the
// letter, or else the only one that is equal under the comparison key.
func findEdge(edges map[string]pointer.Edge, label string) (pointer.Edge, error) {
	if e, ok := edges[label]; ok {
		return e, nil
	}
	want := searchKey(label)
	var found []pointer.Edge
	for l, e := range edges {
		if n, err := name.Parse(l); err == nil && n.Key() == want {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return pointer.Edge{}, errNoEdge
	case 1:
		return found[0], nil
	}
	return pointer.Edge{}, noEdge(fmt.Sprintf("has %d public edges that read like that", len(found)))
}

// noEdge is a path that its owner's card doesn't carry on: [ErrNotFound], in
// words of its own.
type noEdge string

const errNoEdge = noEdge("has no public edge of that name")

func (e noEdge) Error() string { return string(e) }

func (e noEdge) Is(target error) bool { return target == ErrNotFound }
