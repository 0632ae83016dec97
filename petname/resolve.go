package petname

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Records returns the best record of a pointer. [*dht.Resolver] implements it.
type Records interface {
	Best(ctx context.Context, p pointer.Pointer, level dht.Level) (dht.Result, error)
}

// maxHops bounds the names of a path.
const maxHops = 8

// Hop is one verified step of a path.
type Hop struct {
	Name    string       // the petname, or the label of the edge
	Result  dht.Result   // the record of Pointer, and its source
	Card    pointer.Card // the card of the record; zero: none
	Pointer pointer.Pointer
	// earlier pointers whose records led to Pointer by proven successions
	Former []pointer.Pointer
	// the successor that the card or a step on record names, and no pinned commitment proves;
	// zero: none
	Unproven    pointer.Pointer
	PrivateEdge bool // the next hop is by a private edge, not by one of the card
}

// edges returns the edges of the card; none if the card names a successor of its pointer: the
// record may be the last one of its key, which cannot be signed anew, and the owner may have
// withdrawn them since.
func (h Hop) edges() map[string]pointer.Edge {
	if !NamedSuccessor(h.Pointer, h.Card).IsZero() {
		return nil
	}
	return h.Card.Edges
}

// Resolution is the result of [Book.Resolve]: every step of the path.
type Resolution struct {
	Path string // the input
	Hops []Hop  // at least one
}

// Last returns the last hop, the target of the path.
func (r Resolution) Last() Hop { return r.Hops[len(r.Hops)-1] }

// PathError is returned for a path, with the part that does not resolve.
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

// Resolve resolves a path: a petname of the owner, a pointer or "me" for the owner, then
// labels; or a link. The path may also be as it is shown: see [name.SplitPath]. A
// label is that of a private edge that the contact before it shares with the
// owner, or else that of an edge in the contact's card: `alice/bob` is the
// contact that alice shares as bob. A card that names a successor of its pointer
// has no edges. Every record is verified, and its
// commitment is compared with the one pinned by the book or the edge. The first
// card of a contact pins its commitment. If a card names a successor that opens
// the pinned commitment, Resolve continues there, and the contact advances in
// the book.
//
// Errors are [*PathError]s around [ErrNotFound], a [*ConflictError], a
// [*DuplicityError], a [*ContradictionError], a [*SuccessionError], or the error of records. The
// Resolution has the completed hops also with an error.
func (b *Book) Resolve(ctx context.Context, records Records, path string, level dht.Level) (Resolution, error) {
	res := Resolution{Path: path}
	parts, err := splitPath(path)
	if err != nil {
		return res, &PathError{path, path, err}
	}
	at, err := b.startOfPath(parts[0])
	if err != nil {
		return res, &PathError{path, parts[0], err}
	}
	seen := make(map[pointer.Pointer]bool)
	for i, part := range parts {
		if seen[at.pointer] {
			return res, &PathError{path, part, errors.New("leads in a circle, back to " + firstAt(res.Hops, at.pointer))}
		}
		seen[at.pointer] = true
		hop, err := b.hop(ctx, records, part, at, level)
		if err == nil && hop.Unproven.IsZero() && !at.apart {
			hop.Unproven = b.unprovenSuccessor(hop.Pointer)
		}
		if hop.Result.Record.Pointer() == hop.Pointer {
			res.Hops = append(res.Hops, hop)
		}
		if errors.Is(err, dht.ErrNotFound) && i < len(parts)-1 {
			// Private edges do not need a published record.
			if _, private, perr := b.privateEdge(at, hop.Pointer, parts[i+1]); perr == nil && private {
				res.Hops, err = append(res.Hops, hop), nil
			}
		}
		if err != nil {
			return res, &PathError{path, part, err}
		}
		if i == len(parts)-1 {
			break
		}
		edge, private, err := b.privateEdge(at, hop.Pointer, parts[i+1])
		if err != nil {
			return res, &PathError{path, parts[i+1], err}
		}
		if private {
			res.Hops[len(res.Hops)-1].PrivateEdge = true
		} else {
			edge, err = findEdge(hop.edges(), parts[i+1])
		}
		if err != nil && hop.Result.Source == dht.SourceCache && level == dht.LevelAny {
			// The label may be newer than the cached card.
			refreshed, ferr := b.hop(ctx, records, part, at, dht.LevelFresh)
			switch {
			case ferr == nil:
				res.Hops[len(res.Hops)-1] = refreshed
				edge, err = findEdge(refreshed.edges(), parts[i+1])
			case errors.As(ferr, new(*DuplicityError)), errors.As(ferr, new(*ContradictionError)), errors.As(ferr, new(*SuccessionError)):
				return res, &PathError{path, part, ferr} // more severe than a missing label
			}
		}
		if err != nil {
			return res, &PathError{path, parts[i+1], fmt.Errorf("%s %w", name.Quote(part), err)}
		}
		if at, err = b.pinnedEdge(edge); err != nil {
			return res, &PathError{path, parts[i+1], err}
		}
	}
	return res, nil
}

// firstAt returns the path, as it is typed, of the first hop to a pointer, and the pointer.
func firstAt(hops []Hop, p pointer.Pointer) string {
	var names []string
	for _, h := range hops {
		if names = append(names, h.Name); h.Pointer == p {
			return fmt.Sprintf("%s, %s", name.Quote(strings.Join(names, "/")), p)
		}
	}
	return p.String()
}

// ErrPathTooLong is returned for a path of more than 8 parts.
var ErrPathTooLong = errors.New("the path is too long")

// unprovenSuccessor returns the successor that a step on record names for the
// contact with current pointer p, and that only a claim proves; zero: none.
func (b *Book) unprovenSuccessor(p pointer.Pointer) pointer.Pointer {
	if c, err := b.ByPointer(p); err == nil && c.Pointer == p {
		return c.Unproven
	}
	return pointer.Pointer{}
}

func splitPath(path string) ([]string, error) {
	// A pointer or a link may contain slashes: /ipns/k51….
	if p, err := pointer.Parse(path); err == nil {
		return []string{p.String()}, nil
	}
	if link, ok := name.LinkIn(path); ok {
		return []string{link.String()}, nil
	}
	if link, ok := linkIn(path); ok {
		return []string{link.Pointer.String()}, nil
	}
	parts := name.SplitPath(path)
	if len(parts) > maxHops {
		return nil, fmt.Errorf("has %d parts, over %d: %w", len(parts), maxHops, ErrPathTooLong)
	}
	for i, part := range parts {
		if i == 0 {
			if _, err := pointer.Parse(part); err == nil {
				continue
			}
		}
		if _, err := name.ParseKnown(part); err != nil {
			// A text with one pointer, as a contact or a nickname is shown.
			if link, perr := pointer.ParseLink(path); perr == nil && (len(parts) == 1 || strings.Contains(path, "\n")) {
				return []string{link.Pointer.String()}, nil
			}
			return nil, err
		}
	}
	return parts, nil
}

// start is a pointer of a path, and what is known of the key after it.
type start struct {
	pointer  pointer.Pointer
	next     pointer.Commitment // zero: none
	rank     rank               // of next
	unsigned bool               // cards pin nothing there
	known    bool               // a contact is there
	apart    bool               // a contact is there, and the start is not about it: see contactOfLink
}

// startAt returns the start at the current pointer of a contact.
func (b *Book) startAt(c Contact) (start, error) {
	at := start{pointer: c.Pointer, known: true}
	err := b.read(func(v *ledger.View) error {
		pl, unsigned, err := placeIn(v, c, c.Pointer)
		if err == nil {
			at.next, at.rank = pl.pin()
			at.unsigned = unsigned
		}
		return err
	})
	return at, err
}

// ownName is the first part of a path of the owner's own labels. It is no petname.
const ownName = "me"

// startOfPath returns the start of a path with a first part.
func (b *Book) startOfPath(part string) (start, error) {
	link, isLink := linkIn(part)
	var c Contact
	var apart bool
	var err error
	if isLink {
		if c, apart, err = b.byLink(link); errors.Is(err, ErrNotFound) { // it needs no petname
			return start{pointer: link.Pointer, next: link.Next, rank: reported, apart: apart}, nil
		}
	} else if c, err = b.Find(part); errors.Is(err, ErrNotFound) && part == ownName {
		return start{pointer: b.Identity()}, nil
	}
	if err == nil {
		err = c.Pinned(c.Pointer, pointer.Commitment{})
	}
	if err == nil && isLink {
		err = c.PinnedByLink(link)
	}
	if err != nil {
		return start{}, err
	}
	at, err := b.startAt(c)
	at.apart = apart
	return at, err
}

// byLink returns the contact that a link or an edge means, including removed contacts.
// The error is [ErrNotFound] if there is none. apart is that of contactOfLink.
func (b *Book) byLink(l pointer.Link) (c Contact, apart bool, err error) {
	err = b.read(func(v *ledger.View) error {
		id, passed, err := contactOfLink(v, l)
		if err != nil {
			return err
		}
		apart = passed
		var found bool
		if c, found, err = readContact(v, id); err == nil && !found {
			return fmt.Errorf("%s: %w", l.Pointer, ErrNotFound)
		}
		return err
	})
	return c, apart, err
}

// pinnedEdge returns the target of an edge, and the commitment pinned there. If
// the target is a contact, the contact's current pointer and its commitment are
// used: the record of the old key may have expired, or be a thief's. A contact that
// came to the target later is the target only if the commitments agree: see
// contactOfLink. A
// commitment of the edge is a claim of a third party: it is compared with
// another claim, and not with a confirmed commitment. An error of the book is
// returned, because the target would be uncertain.
func (b *Book) pinnedEdge(e pointer.Edge) (start, error) {
	c, apart, err := b.byLink(pointer.Link{Pointer: e.Pointer, Next: e.Next})
	if errors.Is(err, ErrNotFound) {
		return start{pointer: e.Pointer, next: e.Next, rank: reported, apart: apart}, nil
	}
	if err != nil {
		return start{}, err
	}
	next := e.Next
	if c.step(e.Pointer).Pin == Confirmed || e.Pointer != c.Pointer && c.Pin == Confirmed {
		next = pointer.Commitment{}
	}
	if err := c.PinnedByLink(pointer.Link{Pointer: e.Pointer, Next: next}); err != nil {
		return start{}, err
	}
	at, err := b.startAt(c)
	at.apart = apart
	if at.pointer == e.Pointer && at.next.IsZero() {
		at.next, at.rank = e.Next, reported
	}
	return at, err
}

// privateEdge returns the private edge with a label from the contact with
// pointer p, to which a start led. It reports false if there is none or several, so that the card
// is used.
func (b *Book) privateEdge(at start, p pointer.Pointer, label string) (pointer.Edge, bool, error) {
	if at.apart {
		return pointer.Edge{}, false, nil
	}
	shared, err := b.EdgesFrom(p)
	if err != nil || len(shared.Edges) == 0 {
		return pointer.Edge{}, false, err
	}
	e, err := findEdge(shared.Edges, label)
	return e, err == nil, nil
}

// findEdge returns the edge with exactly this label, or else the only one with
// an equal comparison key, or else the only one whose label is shown as this text. The
// edges are untrusted.
func findEdge(edges map[string]pointer.Edge, label string) (pointer.Edge, error) {
	if e, ok := edges[label]; ok {
		return e, nil
	}
	want, err := name.Key(label)
	if err != nil {
		want = strings.ToLower(label)
	}
	var found, shown []pointer.Edge
	for l, e := range edges {
		n, err := name.ParseKnown(l)
		switch {
		case err != nil:
		case n.Key() == want:
			found = append(found, e)
		case name.ShownLabel(l) == label:
			shown = append(shown, e)
		}
	}
	if len(found) == 0 {
		found = shown
	}
	switch len(found) {
	case 0:
		return pointer.Edge{}, errNoEdge
	case 1:
		return found[0], nil
	}
	return pointer.Edge{}, noEdge(fmt.Sprintf("shares %d labels that read like that", len(found)))
}

// noEdge is [ErrNotFound] with a text of its own, for a label that a card does
// not have.
type noEdge string

const errNoEdge = noEdge("shares no label of that name")

func (e noEdge) Error() string { return string(e) }

func (e noEdge) Is(target error) bool { return target == ErrNotFound }
