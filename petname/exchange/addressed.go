package exchange

import (
	"errors"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// A statement names the pointer of its recipient, and a session of a mutual introduction those of
// its parties. No other party accepts them, so what was made for a pointer that is none of the
// contact's is not sent to it: see [Exchange.Held].

// trailIn returns the pointers of the contact with a pointer, of which the first one is its id, or
// the pointer alone.
func trailIn(book *petname.Book, p pointer.Pointer) ([]pointer.Pointer, error) {
	c, err := book.ByPointer(p)
	if errors.Is(err, petname.ErrNotFound) {
		return []pointer.Pointer{p}, nil
	}
	return trailOf(c), err
}

// trailOf returns the pointers of a contact.
func trailOf(c petname.Contact) (all []pointer.Pointer) {
	for _, s := range c.Chain {
		all = append(all, s.Pointer)
	}
	return all
}

// isFor reports whether a row of the outbox is for the contact with an id and a trail, and can
// be sent to its current pointer: no other party accepts what was signed for a pointer that is
// none of its own, such as that of a successor which the owner believed by mistake.
func isFor(local *ledger.View, contact pointer.Pointer, trail []pointer.Pointer, row ledger.KV) (bool, error) {
	id, err := recipient(local, row.Key)
	if err != nil || !id.IsZero() && id != contact {
		return false, err
	}
	return isAddressed(local, trail, row.Value)
}

func (e *Exchange) isAddressed(trail []pointer.Pointer, encoded []byte) (is bool, err error) {
	err = e.view(func(local *ledger.View) error {
		is, err = isAddressed(local, trail, encoded)
		return err
	})
	return is, err
}

func (tx tx) isAddressed(trail []pointer.Pointer, encoded []byte) (bool, error) {
	return isAddressed(tx.local, trail, encoded)
}

// isAddressed reports whether a message is for one of the pointers of a contact, or names none.
func isAddressed(local *ledger.View, trail []pointer.Pointer, encoded []byte) (bool, error) {
	to := statementTo(encoded)
	if !to.IsZero() {
		return slices.Contains(trail, to), nil
	}
	m, err := decodeMessage(encoded)
	if err != nil || m.Kind != kindMutual {
		return true, nil
	}
	session, _, err := mutual.SessionOf(m.Body)
	if err != nil {
		return true, nil
	}
	i, err := loadIntroducer(local, session)
	if err != nil {
		return false, err
	}
	if i != nil {
		requests := i.Requests()
		return slices.ContainsFunc(requests[:], func(r mutual.Request) bool { return slices.Contains(trail, r.To) }), nil
	}
	offered, err := scanInvitees(local, nil)
	if err != nil {
		return false, err
	}
	stored := false
	for _, s := range offered {
		if s.Request().Session != session {
			continue
		}
		if slices.Contains(trail, s.Request().By) {
			return true, nil
		}
		stored = true
	}
	return !stored, nil // an answer to an offer that is not stored is for whichever key made the offer
}

// statementTo returns the pointer that a message was signed for; zero: it names none.
func statementTo(encoded []byte) pointer.Pointer {
	s := statementIn(encoded)
	if i, ok := s.Introduction(); ok {
		return i.To
	}
	if r, ok := s.Retraction(); ok {
		return r.To
	}
	if edges, ok := s.Edges(); ok {
		return edges.To
	}
	q, _ := s.Question()
	return q.To
}

// isEdges reports whether a message states the shared edges of a contact.
func isEdges(encoded []byte) bool { return statementIn(encoded).Kind() == introduce.KindEdges }

// statementIn returns the statement in a message that this device made; zero: there is none.
func statementIn(encoded []byte) introduce.Statement {
	m, err := decodeMessage(encoded)
	if err != nil || m.Kind != kindStatement {
		return introduce.Statement{}
	}
	s, err := introduce.Restore(m.Body) // the row has a checksum
	if err != nil {
		return introduce.Statement{}
	}
	return s
}
