package exchange

import (
	"crypto"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// handleMutual processes a message of a mutual introduction: see handle. The messages that it
// causes are in the outbox when it returns. The caller holds e.sessionLock.
func (e *Exchange) handleMutual(tx tx, by pointer.Pointer, body []byte, report *Report) (stop bool, err error) {
	session, kind, err := mutual.SessionOf(body)
	if err != nil {
		return false, err
	}
	i, err := loadIntroducer(tx.local, session)
	if err != nil {
		return true, err
	}
	if i != nil && kind == mutual.KindRequest {
		return false, fmt.Errorf("offer by %s with the id of a session that this device started: %w", by, mutual.ErrOtherSession)
	}
	several, err := tx.otherSenders()
	if err != nil {
		return true, err
	}
	if i != nil && several && i.Early(by, body) {
		return tx.relay(by, body)
	}
	if i != nil {
		before := introducerMutual(i)
		out, err := i.Handle(e.c.Now(), by, body)
		return e.saveChanged(err, before, func() Mutual { return introducerMutual(i) }, func() error { return tx.putIntroducer(i, out) }, report)
	}
	s, err := loadInvitee(tx.local, by, session)
	if err != nil {
		return true, err
	}
	if s == nil && kind == mutual.KindRequest {
		if s, err = e.receiveOffer(tx, by, body); err != nil {
			return !isRefusal(err) && !errors.As(err, new(*mutual.EndedError)) && !errors.Is(err, ErrTooManySessions), err
		}
	}
	if several && (s == nil || s.Early(body)) {
		return tx.relay(by, body)
	}
	if s == nil {
		return false, fmt.Errorf("by %s: %w", by, mutual.ErrOtherSession)
	}
	if phase, _ := s.Phase(); several && phase == mutual.Invited && kind != mutual.KindRequest {
		// The owner may have answered on another device, which has to end its session as well.
		if stop, err := tx.relay(by, body); stop {
			return stop, err
		}
	}
	before := s.mutual()
	out, err := s.Handle(e.c.Now(), by, body)
	stop, err = e.saveChanged(err, before, s.mutual, func() error { return tx.putInvitee(*s, out) }, report)
	if phase, _ := s.Phase(); err != nil || phase != mutual.Invited {
		return stop, err
	}
	return e.suggestOffer(tx, s, body, report)
}

// saveChanged calls save for a session after its Handle returned err, and reports the session
// if it has changed: before is its state before Handle, and after returns the state now. The
// results are those of handle.
func (e *Exchange) saveChanged(err error, before Mutual, after func() Mutual, save func() error, report *Report) (stop bool, _ error) {
	var ended *mutual.EndedError
	if err != nil && !errors.As(err, &ended) {
		return !isRefusal(err), err
	}
	if err := save(); err != nil {
		return true, err
	}
	if m := after(); m != before {
		report.Mutual = append(report.Mutual, m)
	}
	if ended != nil && ended.Err != nil {
		return false, err
	}
	return false, nil
}

// receiveOffer stores a new offer. If there are too many, it declines the offer and returns
// ErrTooManySessions.
func (e *Exchange) receiveOffer(tx tx, by pointer.Pointer, request []byte) (*inviteeSession, error) {
	v, err := mutual.Receive(e.c.Now(), e.c.Book.Identity(), by, request)
	if err != nil {
		return nil, err
	}
	trail, err := trailIn(tx.book, by)
	if err != nil {
		return nil, err
	}
	var all []inviteeSession
	for _, p := range trail {
		one, err := scanInvitees(tx.local, p.Bytes())
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	active, stored := 0, 0
	for _, other := range all {
		stored++
		if phase, _ := other.Phase(); phase < mutual.Active {
			active++
		}
	}
	if active >= maxOffers || stored >= maxRemembered {
		n, err := countQueued(tx.local, tableOutbox, by)
		if err == nil && n < maxDeclines { // so that an introducer that fetches no answers fills no outbox
			err = tx.enqueueAll(v.Decline())
		}
		if err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("by %s: %w: it was declined", by, ErrTooManySessions)
	}
	s := &inviteeSession{Invitee: v}
	return s, tx.putInvitee(*s, nil)
}

// suggestOffer puts an offer into the inbox. If the book refuses it, the session is deleted.
func (e *Exchange) suggestOffer(tx tx, s *inviteeSession, request []byte, report *Report) (stop bool, err error) {
	id, isNew, err := tx.book.Suggest(petname.Suggestion{Kind: petname.Mutual, Channel: "drop", Evidence: request})
	switch {
	case errors.Is(err, petname.ErrInboxFull):
		return true, fmt.Errorf("%w: the message stays with its sender", err)
	case err != nil && isRefusal(err):
		return false, errors.Join(err, tx.local.Delete(tableInvitees, s.key()))
	case err != nil:
		return true, err
	}
	s.offer = id
	if err := tx.putInvitee(*s, nil); err != nil {
		return true, err
	}
	if !isNew {
		return false, nil
	}
	return false, tx.addFresh(id, report)
}

// addFresh adds a suggestion that is new in the inbox to the report.
func (tx tx) addFresh(id petname.SuggestionID, report *Report) error {
	s, err := tx.book.Suggestion(id.String())
	if err == nil {
		report.Fresh = append(report.Fresh, s)
	}
	return err
}

// concludeSessions writes the results of sessions that are over to the book, once for each.
func (e *Exchange) concludeSessions(report *Report) error {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	all, err := e.inviteeSessions()
	if err != nil {
		return err
	}
	for _, s := range all {
		phase, _ := s.Phase()
		if s.concluded || phase < mutual.Active {
			continue
		}
		var sessionReport Report
		err := e.update(func(tx tx) error {
			if err := e.concludeSession(tx, s, &sessionReport); err != nil {
				return err
			}
			s.concluded = true
			return tx.putInvitee(s, nil)
		})
		if err != nil {
			report.Errs = append(report.Errs, err)
			continue
		}
		report.add(sessionReport)
	}
	return nil
}

// concludeSession writes the result of one session to the book.
func (e *Exchange) concludeSession(tx tx, s inviteeSession, report *Report) error {
	phase, reason := s.Phase()
	offered := s.offer != petname.SuggestionID{}
	if phase == mutual.Ended {
		if !offered || reason == mutual.Expired { // the inbox removes it by its own time
			return nil
		}
		offer, err := tx.book.Suggestion(s.offer.String())
		if err != nil || offer.State == petname.Declined {
			return err // the owner declined it
		}
		return tx.book.Withdraw(s.offer)
	}
	if offered {
		if err := tx.book.Consent(s.offer); err != nil {
			return err
		}
	}
	summary, err := mutual.Verify(s.Transcript())
	if err != nil {
		return err
	}
	id, isNew, err := tx.book.Suggest(petname.Suggestion{Kind: petname.Acquainted, Channel: "drop", Evidence: s.Transcript()})
	if err != nil && isRefusal(err) {
		report.Refused = append(report.Refused, Refusal{s.Request().By, err})
		return nil
	}
	if err != nil {
		return err
	}
	// These keys and addresses are used until there is a card. Those of a pairing are not replaced.
	if details, err := loadKnown(tx.local, summary.Pointer); err != nil {
		return err
	} else if details.Sealing == nil {
		if err := putKnown(tx.local, summary.Pointer, summary.Payload); err != nil {
			return err
		}
	}
	if !isNew {
		return nil
	}
	return tx.addFresh(id, report)
}

// authenticateSessions does the steps that waited for the identity's key.
func (e *Exchange) authenticateSessions(key crypto.Signer, report *Report) error {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	all, err := e.inviteeSessions()
	if err != nil {
		return err
	}
	for _, s := range all {
		if !s.NeedsKey() {
			continue
		}
		out, err := s.Authenticate(e.c.Now(), e.c.Rand, key)
		if err != nil {
			report.Errs = append(report.Errs, err)
			continue
		}
		if err := e.saveInvitee(s, out); err != nil {
			return err
		}
		report.Mutual = append(report.Mutual, s.mutual())
	}
	return nil
}

// expireSessions ends and deletes sessions that have expired. Their requests cannot be
// replayed: an expired request is refused.
func (e *Exchange) expireSessions(report *Report) error {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	now := e.c.Now()
	introduced, err := e.introducers()
	if err != nil {
		return err
	}
	for _, i := range introduced {
		m := introducerMutual(i)
		if now.Before(m.Expires) {
			continue
		}
		if i.Expire(now) {
			report.Mutual = append(report.Mutual, introducerMutual(i))
		}
		if err := e.deleteSession(tableIntroducers, m.Session[:], m.Session); err != nil {
			return err
		}
	}
	offered, err := e.inviteeSessions()
	if err != nil {
		return err
	}
	for _, s := range offered {
		m := s.mutual()
		if now.Before(m.Expires) || m.Phase >= mutual.Active && m.Reason != mutual.Expired && !s.concluded {
			continue
		}
		if s.Expire(now) {
			report.Mutual = append(report.Mutual, s.mutual())
		}
		if err := e.deleteSession(tableInvitees, s.key(), m.Session); err != nil {
			return err
		}
	}
	return nil
}
