package agent

import (
	"bytes"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// The header of a locked identity key states the commitment to the next key, and the keys
// that prove it are encrypted. When the key was unlocked and the commitment is that of the
// next key, the commitment is on record on this device. A record of the owner that differs
// is then one of another holder of the key: see [OtherCopy].
//
//	proven: pointer → commitment to the next key

const tableProven = "proven"

// provenNext returns the commitment that was proven last for a pointer of the owner; zero:
// none.
func (s *state) provenNext(p pointer.Pointer) (next pointer.Commitment) {
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableProven, p.Bytes())
		if err == nil && row != nil {
			next, err = pointer.CommitmentFromBytes(bytes.Clone(row))
		}
		return err
	})
	if err != nil {
		s.log.Warn("the commitment that was proven last was not read", "error", err)
		return pointer.Commitment{}
	}
	return next
}

// setProven puts the commitment of an identity that was unlocked on record. That it fails,
// as in a home that cannot be written, costs no more than the record.
func (s *state) setProven(id home.Identity) {
	if s.provenNext(id.Pointer) == id.Next {
		return
	}
	err := s.book.Update(func(_ *petname.Book, local *ledger.View) error {
		return local.Put(tableProven, id.Pointer.Bytes(), id.Next.Bytes())
	})
	if err != nil {
		s.log.Warn("a commitment that was proven is not on record", "error", err)
	}
}

// checkNext compares the commitment in the header of a locked identity key with the one
// that was proven when the key was last unlocked, or if there is none with the owner's
// record, if the home holds one.
func (s *state) checkNext(id home.Identity) error {
	if proven := s.provenNext(id.Pointer); !proven.IsZero() {
		if proven != id.Next {
			return &NextError{Key: id.Next, Record: proven, Dir: s.home.Dir}
		}
		return nil
	}
	r, _, err := s.held(id.Pointer)
	if err != nil {
		return nil
	}
	if card, ok := r.Card(); ok && !card.Next.IsZero() && card.Next != id.Next {
		return &NextError{Key: id.Next, Record: card.Next, Sequence: r.Sequence(), Dir: s.home.Dir}
	}
	return nil
}
