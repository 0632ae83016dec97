package peer

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The buckets of mutual introductions. Whoever reads one and writes it back has
// p.sessions.
var (
	bucketInvited = []byte("invited") // pointer of the introducer ‖ session → invitedState
	bucketStarted = []byte("started") // session → state of a mutual.Introducer
)

// invited is a session that somebody offered me.
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

func (p *Peer) get(bucket, key []byte) (value []byte, err error) {
	err = p.db.View(func(tx *bbolt.Tx) error {
		value = bytes.Clone(tx.Bucket(bucket).Get(key))
		return nil
	})
	return value, err
}

// loadInvited gives nil if there is none.
func (p *Peer) loadInvited(by pointer.Pointer, session mutual.Session) (*invited, error) {
	b, err := p.get(bucketInvited, invitedKey(by, session))
	if err != nil || b == nil {
		return nil, err
	}
	return decodeInvited(b)
}

// loadStarted gives nil if there is none.
func (p *Peer) loadStarted(session mutual.Session) (*mutual.Introducer, error) {
	b, err := p.get(bucketStarted, session[:])
	if err != nil || b == nil {
		return nil, err
	}
	return mutual.RestoreIntroducer(b)
}

func (p *Peer) invitedAll() (all []invited, err error) {
	err = p.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketInvited).ForEach(func(_, b []byte) error {
			s, err := decodeInvited(b)
			if err == nil {
				all = append(all, *s)
			}
			return err
		})
	})
	return all, err
}

func (p *Peer) startedAll() (all []*mutual.Introducer, err error) {
	err = p.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketStarted).ForEach(func(_, b []byte) error {
			i, err := mutual.RestoreIntroducer(b)
			all = append(all, i)
			return err
		})
	})
	return all, err
}

// saveInvited makes a session, and what it says, durable in one.
func (p *Peer) saveInvited(s invited, out []mutual.Outgoing) error {
	b, err := canonical.Marshal(invitedState{State: s.State(), Offer: s.offer[:], Told: s.told})
	if err != nil {
		return err
	}
	return p.db.Update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(bucketInvited).Put(s.key(), b); err != nil {
			return err
		}
		return post(tx, out)
	})
}

// saveStarted: likewise.
func (p *Peer) saveStarted(i *mutual.Introducer, out []mutual.Outgoing) error {
	session := i.Requests()[0].Session
	return p.db.Update(func(tx *bbolt.Tx) error {
		if err := tx.Bucket(bucketStarted).Put(session[:], i.State()); err != nil {
			return err
		}
		return post(tx, out)
	})
}

// forgetOffer takes out an offer that nothing was said on.
func (p *Peer) forgetOffer(key []byte) error {
	return p.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketInvited).Delete(key) })
}

// drop takes out a session whose end has come, and what of it is still in the
// outbox: nobody would take it any more.
func (p *Peer) drop(bucket, key []byte, session mutual.Session) error {
	return p.db.Update(func(tx *bbolt.Tx) error {
		outbox := tx.Bucket(bucketOutbox)
		var late [][]byte
		err := outbox.ForEach(func(k, v []byte) error {
			m, err := decodeMessage(v)
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			if of, _, err := mutual.SessionOf(m.Body); err == nil && of == session {
				late = append(late, bytes.Clone(k))
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, k := range late {
			if err := outbox.Delete(k); err != nil {
				return err
			}
		}
		return tx.Bucket(bucket).Delete(key)
	})
}
