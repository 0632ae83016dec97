package exchange

import (
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// inviteeSession is a session that was offered to the owner. A function that reads a session
// and writes it back holds e.sessionLock, also for those that the owner started.
type inviteeSession struct {
	*mutual.Invitee
	offer     petname.SuggestionID // in the inbox; zero: not yet
	concluded bool                 // the result is in the book
}

// inviteeState is the stored form of an inviteeSession, in canonical CBOR.
type inviteeState struct {
	_         struct{} `cbor:",toarray"`
	State     []byte
	Offer     []byte
	Concluded bool
}

// key returns the key of the session's row.
func (s inviteeSession) key() []byte {
	r := s.Request()
	return inviteeKey(r.By, r.Session)
}

func inviteeKey(by pointer.Pointer, session mutual.Session) []byte {
	return slices.Concat(by.Bytes(), session[:])
}

// decodeInvitee decodes the value of a row of tableInvitees.
func decodeInvitee(b []byte) (*inviteeSession, error) {
	var w inviteeState
	if err := canonical.UnmarshalLoose(b, &w, canonical.Bounds{}); err != nil {
		return nil, fmt.Errorf("mutual introduction: %w", err)
	}
	v, err := mutual.RestoreInvitee(w.State)
	if err != nil {
		return nil, err
	}
	s := &inviteeSession{Invitee: v, concluded: w.Concluded}
	if len(w.Offer) != len(s.offer) {
		return nil, fmt.Errorf("mutual introduction: offer with an id of %d bytes", len(w.Offer))
	}
	copy(s.offer[:], w.Offer)
	return s, nil
}

// loadInvitee returns the session that an introducer offered, nil if there is none.
func loadInvitee(local *ledger.View, by pointer.Pointer, session mutual.Session) (*inviteeSession, error) {
	b, err := local.Get(tableInvitees, inviteeKey(by, session))
	if err != nil || b == nil {
		return nil, err
	}
	return decodeInvitee(b)
}

// loadIntroducer returns a session that the owner started, nil if there is none.
func loadIntroducer(local *ledger.View, session mutual.Session) (*mutual.Introducer, error) {
	b, err := local.Get(tableIntroducers, session[:])
	if err != nil || b == nil {
		return nil, err
	}
	return mutual.RestoreIntroducer(b)
}

// inviteeSessions returns the sessions that were offered to the owner.
func (e *Exchange) inviteeSessions() (all []inviteeSession, err error) {
	err = e.view(func(local *ledger.View) error {
		all, err = scanInvitees(local, nil)
		return err
	})
	return all, err
}

// scanInvitees is inviteeSessions within a transaction, of the introducer with the bytes of
// a pointer, nil: of all.
func scanInvitees(local *ledger.View, by []byte) (all []inviteeSession, err error) {
	for row, err := range local.Scan(tableInvitees, by) {
		if err != nil {
			return nil, err
		}
		s, err := decodeInvitee(row.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, *s)
	}
	return all, nil
}

// introducers returns the sessions that the owner started.
func (e *Exchange) introducers() (all []*mutual.Introducer, err error) {
	err = e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableIntroducers, nil) {
			if err != nil {
				return err
			}
			i, err := mutual.RestoreIntroducer(row.Value)
			if err != nil {
				return err
			}
			all = append(all, i)
		}
		return nil
	})
	return all, err
}

// saveInvitee stores a session and its messages in one transaction.
func (e *Exchange) saveInvitee(s inviteeSession, out []mutual.Outgoing) error {
	return e.update(func(tx tx) error { return tx.putInvitee(s, out) })
}

// putInvitee is saveInvitee within a transaction.
func (tx tx) putInvitee(s inviteeSession, out []mutual.Outgoing) error {
	b, err := canonical.Marshal(inviteeState{State: s.State(), Offer: s.offer[:], Concluded: s.concluded})
	if err != nil {
		return err
	}
	if err := tx.local.Put(tableInvitees, s.key(), b); err != nil {
		return err
	}
	return tx.enqueueAll(out)
}

// saveIntroducer stores a session that the owner started, and its messages, in one transaction.
func (e *Exchange) saveIntroducer(i *mutual.Introducer, out []mutual.Outgoing) error {
	return e.update(func(tx tx) error { return tx.putIntroducer(i, out) })
}

// putIntroducer is saveIntroducer within a transaction.
func (tx tx) putIntroducer(i *mutual.Introducer, out []mutual.Outgoing) error {
	session := i.Requests()[0].Session
	if err := tx.local.Put(tableIntroducers, session[:], i.State()); err != nil {
		return err
	}
	return tx.enqueueAll(out)
}

// deleteSession deletes a session that has expired, and its messages in the outbox: no party
// accepts them any more.
func (e *Exchange) deleteSession(table string, key []byte, session mutual.Session) error {
	return e.update(func(tx tx) error {
		for row, err := range tx.local.Scan(tableOutbox, nil) {
			if err != nil {
				return err
			}
			m, err := decodeMessage(row.Value)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			if got, _, err := mutual.SessionOf(m.Body); err != nil || got != session {
				continue
			}
			if err := deleteQueued(tx.local, row.Key); err != nil {
				return err
			}
		}
		return tx.local.Delete(table, key)
	})
}
