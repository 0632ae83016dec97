package agent

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// A rotation that was interrupted and finished at a later open is on record until the
// owner publishes or rotates, whatever was called in between: the next rotation returns
// it, and the key is not rotated twice.
//
//	rotations: pointer that the rotation led to → pointer before it

const tableRotations = "rotations"

// finishRotation finishes or undoes a rotation that was interrupted. It fails with a
// [*home.UnfinishedError] for one that cannot be finished yet.
func (s *state) finishRotation() error {
	i, err := s.finishOnRecord()
	if i == nil {
		return err
	}
	if err != nil && i.Finished {
		return &home.UnfinishedError{Old: i.From, New: i.To, Err: err}
	}
	if err != nil {
		return err
	}
	s.log.Warn(i.String())
	return nil
}

// resumeRotation finishes or undoes a rotation that an earlier process left, and keeps
// the notice of it.
func (s *state) resumeRotation() {
	i, err := s.finishOnRecord()
	switch {
	case err != nil && i != nil && i.Finished:
		s.interrupted = fmt.Errorf("a rotation from %s to %s was interrupted, and cannot be finished yet: %w", i.From, i.To, err)
	case err != nil:
		s.interrupted = fmt.Errorf("a rotation was interrupted, and cannot be finished or undone yet: %w", err)
	case i != nil:
		s.interrupted = errors.New(i.String())
	}
}

// finishOnRecord is [home.Home.FinishRotation]. Before its journal is removed, the
// rotation is put on record, so that a crash between the two loses nothing.
func (s *state) finishOnRecord() (*home.Interrupted, error) {
	i, err := s.home.PendingRotation()
	if err == nil && i != nil && i.Finished {
		err = s.book.Update(func(_ *petname.Book, local *ledger.View) error {
			return local.Put(tableRotations, i.To.Bytes(), i.From.Bytes())
		})
	}
	if err != nil || i == nil {
		return i, err
	}
	return s.home.FinishRotation(s.now(), s.ownEntry())
}

// takeFinished reports whether a rotation to the current pointer is on record, and
// removes it, with the notice of it.
func (s *state) takeFinished(current pointer.Pointer) bool {
	s.notices.Lock()
	s.interrupted = nil
	s.notices.Unlock()
	var from []byte
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		from, err = local.Get(tableRotations, current.Bytes())
		return err
	})
	if err != nil || from == nil {
		return false
	}
	err = s.book.Update(func(_ *petname.Book, local *ledger.View) error {
		return local.Delete(tableRotations, current.Bytes())
	})
	if err != nil {
		s.log.Warn("a rotation that was finished stays on record", "error", err)
	}
	return true
}
