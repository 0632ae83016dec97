package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// A record that no store has received yet can be superseded by one that this home did
// not make: it was published offline from a restored or copied home, and the network
// has a higher sequence. The device-local table "unsent" remembers the last such
// record, so that its value is not lost without notice.
//
//	unsent: pointer → sequence (8 bytes) ‖ value
//
// The mark of a former pointer stays after a rotation, which another device may have made
// without the publication, until the owner publishes.

const tableUnsent = "unsent"

// SupersededError is returned when the owner's last publication was stored nowhere, and
// a newer record with another value was found that this home did not make; or, with Foreign
// set, when there is evidence that the owner's key signs outside of this home (see
// [OtherCopy]), and that record has another value. Nothing has changed. A publication with a
// value of its own decides.
type SupersededError struct {
	Unsent  petname.Published // made by this home or another device of the owner; Sequence is 0 if an earlier pointer has it
	Newest  petname.Published // found; with Foreign, it may be of an earlier pointer, and replaced since
	Foreign bool
}

func (e *SupersededError) Error() string {
	if !e.Foreign && e.Unsent.Sequence == 0 {
		return fmt.Sprintf("your last publication, under a former pointer of yours, was stored nowhere, and there is a newer one of another device, with another value.\nYours:\n  %s\nThe newer one:\n  %s",
			e.Unsent.Value, e.Newest.Value)
	}
	if e.Foreign {
		return fmt.Sprintf("your key has signed a record outside of this home, sequence %d, with another value than you published last.\nYours:\n  %s\nThe other one:\n  %s",
			e.Newest.Sequence, e.Unsent.Value, e.Newest.Value)
	}
	return fmt.Sprintf("your publication of sequence %d was stored nowhere, and there is a newer one that this home did not make, sequence %d.\nYours:\n  %s\nThe newer one:\n  %s",
		e.Unsent.Sequence, e.Newest.Sequence, e.Unsent.Value, e.Newest.Value)
}

// markUnsent marks a record as unsent if it changed the value, or has that of an unsent
// record, also of a former pointer. Otherwise the owner has decided against an unsent
// record, and its mark is removed, unless the record is a renewal.
func markUnsent(local *ledger.View, r pointer.Record, changed, renewing bool) error {
	key := r.Pointer().Bytes()
	mark := changed
	var decided [][]byte
	for row, err := range local.Scan(tableUnsent, nil) {
		if err != nil {
			return err
		}
		before, marked := parseUnsent(row.Value)
		same := marked && before.Value == r.Value()
		mark = mark || same
		if same || !renewing {
			decided = append(decided, bytes.Clone(row.Key))
		}
	}
	for _, of := range decided {
		if err := local.Delete(tableUnsent, of); err != nil {
			return err
		}
	}
	if !mark {
		return nil
	}
	return local.Put(tableUnsent, key, append(binary.BigEndian.AppendUint64(nil, r.Sequence()), r.Value()...))
}

func parseUnsent(row []byte) (p petname.Published, ok bool) {
	if len(row) < 8 {
		return petname.Published{}, false
	}
	return petname.Published{Sequence: binary.BigEndian.Uint64(row), Value: string(row[8:])}, true
}

// unsent returns the owner's last publication on this device, and its pointer, which may be a
// former one, if no store has accepted it; otherwise zero values.
func (s *state) unsent() (p petname.Published, of pointer.Pointer, err error) {
	own := []pointer.Pointer{s.book.Identity()}
	if id, err := s.identity(); err == nil { // a damaged key is reported elsewhere
		for _, step := range slices.Backward(id.Succession) {
			own = append(own, step.Old)
		}
	}
	err = s.book.Ledger().ReadLocal(func(local *ledger.View) error {
		for _, at := range own {
			row, err := local.Get(tableUnsent, at.Bytes())
			if err != nil {
				return err
			}
			if found, marked := parseUnsent(row); marked {
				p, of = found, at
				return nil
			}
		}
		return nil
	})
	return p, of, err
}

// clearUnsentLater is clearUnsent after a put in the background, whose error no verb returns: a
// record that no store has, or that more refused than stored, since they have a newer one, does
// not count as received.
func (s *state) clearUnsentLater(r pointer.Record, receipt dht.Receipt, failed error) {
	if receipt.Stored > 0 && receipt.Stored >= receipt.Refused {
		s.clearUnsent(r, receipt, failed)
	}
}

// clearUnsent removes the mark of a record that was put with this result, unless no store
// has received it. A record that was refused counts as received: the error of the put has
// reported it to the owner. The mark of a later record or of another value stays.
func (s *state) clearUnsent(r pointer.Record, receipt dht.Receipt, failed error) {
	if receipt.Stored+receipt.Refused == 0 && (failed == nil || isNetwork(failed) || errors.Is(failed, context.Canceled)) {
		return
	}
	p, of, err := s.unsent()
	if err == nil && (of.IsZero() || of == r.Pointer() && p.Sequence > r.Sequence() || p.Value != r.Value() || r.Pointer() != s.book.Identity()) {
		return
	}
	if err == nil {
		err = s.book.Update(func(_ *petname.Book, local *ledger.View) error {
			return local.Delete(tableUnsent, of.Bytes())
		})
	}
	if err != nil {
		s.log.Warn("mark of a publication not removed", "error", err) // at worst the owner is asked
	}
}

// superseded returns a [*SupersededError] if newest replaces an unsent publication with
// another value.
func (s *state) superseded(newest petname.Published) error {
	p, of, err := s.unsent()
	former := of != s.book.Identity()
	if err != nil || of.IsZero() || !former && newest.Sequence < p.Sequence || newest.Value == p.Value {
		return err
	}
	if former {
		p.Sequence = 0
	}
	return &SupersededError{Unsent: p, Newest: newest}
}

// warnSuperseded logs once for each record of the owner that is stored instead of an unsent
// publication: it is the newer one, and stays until the owner decides.
func (s *state) warnSuperseded(r pointer.Record) {
	var e *SupersededError
	if !errors.As(s.superseded(petname.Published{Sequence: r.Sequence(), Value: r.Value()}), &e) {
		return
	}
	if before := s.warned.Swap(r.Sequence()); before == r.Sequence() {
		return
	}
	s.log.Warn("a publication of yours was stored nowhere, and a newer one is stored that this home did not make: publish decides",
		"sequence", e.Unsent.Sequence, "newer", e.Newest.Sequence)
}

// decide returns the draft of a publication after an unsent one was superseded: edit
// decides if it sets the same value whatever was published before.
func decide(superseded error, edit func(*Draft) error) (Draft, error) {
	var e *SupersededError
	if !errors.As(superseded, &e) {
		return Draft{}, superseded
	}
	a, err := drafted(e.Unsent.Value, edit)
	if err != nil {
		return Draft{}, err
	}
	b, err := drafted(e.Newest.Value, edit)
	if err == nil && a.Value != b.Value {
		err = e
	}
	return b, err
}
