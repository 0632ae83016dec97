package ledger

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Followed is the succession of the key of the book's identity that the owner of this device has
// verified.
type Followed struct {
	Steps []pointer.Succession // in order, from the identity that created the book to the current key
	Next  pointer.Commitment   // of the current key, to the next one; zero: not known
}

// Follow sets the succession by which the ledger judges the steps of statements, and settles what
// counts again. Steps that are neither a part of the succession, from its first key, nor continue
// it by keys that were committed to, are a thief's of an earlier key: their statement is stored
// and does not stand. What counts is a function of the entries and of the succession.
//
// The file stores the succession: without a later call it stays, also after Open. In a ledger
// without one every chain counts that its keys signed. Follow writes nothing if the succession is
// the stored one. The error is ErrReadOnly for a file that may not be written, and any other one
// for a step that does not verify or is not in order; nothing has changed then.
func (l *Ledger) Follow(f Followed) error {
	st := l.st.Load()
	to, err := f.from(st.identity)
	if err != nil || st.followed.equal(to) {
		return err
	}
	return l.write(func(w *writing) error { return w.follow(to) })
}

// follow stores a succession and settles what counts by it. No statement has been read in the
// transaction.
func (w *writing) follow(f *followed) error {
	w.st.followed = f
	if _, err := w.index.put(followedKey, f.row()); err != nil {
		return err
	}
	if w.st.format < fileFormat { // no statement has steps
		return nil
	}
	return w.settle()
}

// followed is a verified succession. Nil: none is known.
type followed struct {
	keys []pointer.Pointer // after the identity of the book, in order
	next pointer.Commitment
}

// from verifies the succession from the identity of a book.
func (f Followed) from(identity pointer.Pointer) (*followed, error) {
	if len(f.Steps) > pointer.MaxKept {
		return nil, fmt.Errorf("succession to follow: %d steps, over %d", len(f.Steps), pointer.MaxKept)
	}
	out, at := &followed{next: f.Next}, identity
	for i, s := range f.Steps {
		if s.Old != at {
			return nil, fmt.Errorf("succession to follow: step %d does not start at %q", i+1, at)
		}
		var err error
		if at, err = s.Verify(); err != nil {
			return nil, fmt.Errorf("succession to follow: step %d: %w", i+1, err)
		}
		out.keys = append(out.keys, at)
	}
	return out, nil
}

func (f *followed) equal(g *followed) bool {
	if f == nil || g == nil {
		return f == g
	}
	return f.next == g.next && slices.Equal(f.keys, g.keys)
}

// accepts reports whether steps, of openSteps, are the first ones of the succession, or continue
// it by keys that were committed to, as [pointer.Follow] does.
func (f *followed) accepts(steps []pointer.Succession) bool {
	if f == nil {
		return true
	}
	next := f.next
	for i, s := range steps {
		if i < len(f.keys) {
			if to, err := pointer.FromPublicKey(s.New); err != nil || to != f.keys[i] {
				return false
			}
			continue
		}
		if !next.Opens(s.New) {
			return false
		}
		next = s.Next // both keys signed the step
	}
	return true
}

// judge sets whether the steps of a verified statement follow the succession, and drops them.
func (s *storedStatement) judge(f *followed) {
	s.follows = f.accepts(s.admitted.chain) && f.accepts(s.removed.chain)
	s.admitted.chain, s.removed.chain = nil, nil
}

// followedRow is the row followedKey of the index.
type followedRow struct {
	_    struct{} `cbor:",toarray"`
	Keys [][]byte // multihashes of the pointers after the identity of the book
	Next []byte   // the commitment; empty: not known
}

func (f *followed) row() []byte {
	row := followedRow{Keys: make([][]byte, len(f.keys)), Next: append([]byte{}, f.next.Bytes()...)}
	for i, p := range f.keys {
		row.Keys[i] = p.Bytes()
	}
	return canonical.MustMarshal(row)
}

// readFollowed reads the row of the index; nil: there is none.
func readFollowed(c *chain) (*followed, error) {
	b, err := c.get(followedKey)
	if err != nil || b == nil {
		return nil, err
	}
	var row followedRow
	err = readRow(b, &row)
	if err == nil && len(row.Keys) > pointer.MaxKept {
		err = errors.New("too many keys")
	}
	f := &followed{}
	for _, k := range row.Keys {
		var p pointer.Pointer
		if err == nil {
			p, err = pointer.FromBytes(k)
		}
		f.keys = append(f.keys, p)
	}
	if err == nil && len(row.Next) > 0 {
		f.next, err = pointer.CommitmentFromBytes(row.Next)
	}
	if err != nil {
		return nil, c.damaged(followedKey, err)
	}
	return f, nil
}
