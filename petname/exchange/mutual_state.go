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

// invited is a session that somebody offered me. Whoever reads one of these, or
// one of mine, and writes it back, has p.sessions.
type invited struct {
	*mutual.Invitee
	offer petname.SuggestionID // in the inbox; zero: it isn't there yet
	told  bool                 // the book knows what came of it
}

type invitedState struct {
	_     struct{} `cbor:",toarray"`
	State []byte
	Offer []byte
	Told  bool
}

func (s invited) key() []byte {
	r := s.Request()
	return invitedKey(r.By, r.Session)
}

func invitedKey(by pointer.Pointer, session mutual.Session) []byte {
	return slices.Concat(by.Bytes(), session[:])
}

func decodeInvited(b []byte) (*invited, error) {
	var w invitedState
	if err := canonical.UnmarshalLoose(b, &w, canonical.Bounds{}); err != nil {
		return nil, fmt.Errorf("mutual introduction: %w", err)
	}
	v, err := mutual.RestoreInvitee(w.State)
	if err != nil {
		return nil, err
	}
	s := &invited{Invitee: v, told: w.Told}
	if len(w.Offer) != len(s.offer) {
		return nil, fmt.Errorf("mutual introduction: offer with an id of %d bytes", len(w.Offer))
	}
	copy(s.offer[:], w.Offer)
	return s, nil
}

// loadInvited returns nil if there is none.
func loadInvited(local *ledger.View, by pointer.Pointer, session mutual.Session) (*invited, error) {
	b, err := local.Get(tableInvited, invitedKey(by, session))
	if err != nil || b == nil {
		return nil, err
	}
	return decodeInvited(b)
}

// loadStarted returns nil if there is none.
func loadStarted(local *ledger.View, session mutual.Session) (*mutual.Introducer, error) {
	b, err := local.Get(tableStarted, session[:])
	if err != nil || b == nil {
		return nil, err
	}
	return mutual.RestoreIntroducer(b)
}

func (p *Peer) invitedAll() (all []invited, err error) {
	err = p.view(func(local *ledger.View) error {
		all, err = invitedRows(local)
		return err
	})
	return all, err
}

func invitedRows(local *ledger.View) (all []invited, err error) {
	for row, err := range local.Scan(tableInvited, nil) {
		if err != nil {
			return nil, err
		}
		s, err := decodeInvited(row.Value)
		if err != nil {
			return nil, err
		}
		all = append(all, *s)
	}
	return all, nil
}

func (p *Peer) startedAll() (all []*mutual.Introducer, err error) {
	err = p.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableStarted, nil) {
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

// saveInvited makes a session, and what it says, durable in one.
func (p *Peer) saveInvited(s invited, out []mutual.Outgoing) error {
	return p.update(func(tx tx) error { return putInvited(tx.local, s, out) })
}

func putInvited(local *ledger.View, s invited, out []mutual.Outgoing) error {
	b, err := canonical.Marshal(invitedState{State: s.State(), Offer: s.offer[:], Told: s.told})
	if err != nil {
		return err
	}
	if err := local.Put(tableInvited, s.key(), b); err != nil {
		return err
	}
	return post(local, out)
}

// saveStarted: likewise.
func (p *Peer) saveStarted(i *mutual.Introducer, out []mutual.Outgoing) error {
	return p.update(func(tx tx) error { return putStarted(tx.local, i, out) })
}

func putStarted(local *ledger.View, i *mutual.Introducer, out []mutual.Outgoing) error {
	session := i.Requests()[0].Session
	if err := local.Put(tableStarted, session[:], i.State()); err != nil {
		return err
	}
	return post(local, out)
}

// drop takes out a session whose end has come, and what of it is still in the
// outbox: nobody would take it any more.
func (p *Peer) drop(table string, key []byte, session mutual.Session) error {
	return p.update(func(tx tx) error {
		for row, err := range tx.local.Scan(tableOutbox, nil) {
			if err != nil {
				return err
			}
			m, err := decodeMessage(row.Value)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			if of, _, err := mutual.SessionOf(m.Body); err != nil || of != session {
				continue
			}
			if err := tx.local.Delete(tableOutbox, row.Key); err != nil {
				return err
			}
		}
		return tx.local.Delete(table, key)
	})
}
