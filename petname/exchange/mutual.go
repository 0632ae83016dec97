package exchange

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// Bounds of mutual introductions.
const (
	maxOffers  = 16  // active offers of one introducer; further offers are declined at once
	maxStarted = 100 // active sessions that the owner started

	maxDeclines   = 64  // unsent messages to an introducer with too many offers; over it an offer is ignored
	maxRemembered = 256 // stored offers of one introducer, active or not, that have not expired
)

// ErrTooManySessions is returned when a bound of active mutual introductions is reached.
var ErrTooManySessions = errors.New("too many mutual introductions are active")

// Mutual is the state of a mutual introduction (package mutual) on this device.
type Mutual struct {
	Session   mutual.Session
	By        pointer.Pointer    // the introducer; the owner in a session that it started
	Parties   [2]pointer.Pointer // the two contacts that the owner introduces; zero in an offer to the owner
	Consented [2]bool            // which of the Parties have consented
	Suggested string             // the name of the other party in an offer to the owner: untrusted text
	Expires   time.Time
	Phase     mutual.Phase
	Reason    mutual.Reason        // the reason if Phase is Ended
	Offer     petname.SuggestionID // the suggestion of an offer to the owner

	Offers [2]OfferSent // of IntroduceBoth: what became of the offer to each of the Parties
}

// OfferSent is the result of sending an offer to one party of a mutual introduction.
type OfferSent struct {
	To   pointer.Pointer
	Sent Delivery
	Err  error // why it is Queued, if that is known
}

// IntroduceBoth offers to introduce two contacts to each other: each receives the suggested
// name and the note of the other's Party, and nothing else until both consent. A zero expires
// is [IntroductionLifetime] from now. A contact that has advanced to another pointer, also by the
// card that is fetched here, is offered it there.
//
// The session is durable on this device when the Delivery is not empty. An error beside
// [Queued] is the reason why one of the offers, or both, are not sent yet. Sync does all
// further steps.
func (e *Exchange) IntroduceBoth(ctx context.Context, key crypto.Signer, a, b mutual.Party, expires time.Time) (Mutual, Delivery, error) {
	now := e.c.Now()
	if expires.IsZero() {
		expires = now.Add(IntroductionLifetime)
	}
	// A request names the key of its recipient: one to an earlier key is refused.
	for _, party := range []*mutual.Party{&a, &b} {
		current, err := e.currentPointer(ctx, party.Pointer)
		if err != nil {
			return Mutual{}, "", err
		}
		party.Pointer = current
	}
	i, out, err := mutual.Start(now, e.c.Rand, key, a, b, expires)
	if err != nil {
		return Mutual{}, "", err
	}
	if err := e.startSession(i, out); err != nil {
		return Mutual{}, "", err
	}
	m := introducerMutual(i)
	var errs [2]error
	result := Stored
	for n, to := range []pointer.Pointer{a.Pointer, b.Pointer} {
		sent, err := e.flushOutboxes(ctx, key, to)
		m.Offers[n], errs[n] = OfferSent{to, sent, err}, err
		result = worse(result, sent)
	}
	return m, result, errors.Join(errs[:]...)
}

// startSession stores a new session, unless too many are active.
func (e *Exchange) startSession(i *mutual.Introducer, out []mutual.Outgoing) error {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	all, err := e.introducers()
	if err != nil {
		return err
	}
	active := 0
	for _, other := range all {
		if phase, _ := other.Phase(); phase < mutual.Active {
			active++
		}
	}
	if active >= maxStarted {
		return fmt.Errorf("%d started: %w: wait until some have ended or expired", active, ErrTooManySessions)
	}
	return e.saveIntroducer(i, out)
}

// flushOutboxes calls flushOutbox for several recipients. It returns Queued if one of them is
// Queued, or else Behind if one is.
func (e *Exchange) flushOutboxes(ctx context.Context, key crypto.Signer, all ...pointer.Pointer) (Delivery, error) {
	result := Stored
	var errs []error
	for _, to := range all {
		sent, _, err := e.flushOutbox(ctx, key, to)
		result = worse(result, sent)
		errs = append(errs, err)
	}
	return result, errors.Join(errs...)
}

// worse returns the Delivery for two recipients: that of the one with less.
func worse(a, b Delivery) Delivery {
	if b == Queued || b == Behind && a == Stored {
		return b
	}
	return a
}

// flushToContacts is flushOutboxes for parties of a session that was stored before. Nothing is sent
// to one that is no contact any more, such as an introducer that was removed: the result is then
// Queued.
func (e *Exchange) flushToContacts(ctx context.Context, key crypto.Signer, all ...pointer.Pointer) (Delivery, error) {
	var contacts []pointer.Pointer
	var errs []error
	for _, to := range all {
		at, err := e.followSuccession(to)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !e.isContact(at):
			errs = append(errs, fmt.Errorf("nothing is sent to %s, which is no contact: %w", at, petname.ErrNotFound))
		default:
			contacts = append(contacts, at)
		}
	}
	result, err := e.flushOutboxes(ctx, key, contacts...)
	if len(errs) > 0 {
		result = Queued
	}
	return result, errors.Join(append(errs, err)...)
}

// WithdrawMutual withdraws a session that the owner started. It returns
// [petname.ErrNotFound] if the session is unknown or has expired.
func (e *Exchange) WithdrawMutual(ctx context.Context, key crypto.Signer, session mutual.Session) (Mutual, Delivery, error) {
	i, err := e.withdrawSession(session)
	if err != nil {
		return Mutual{}, "", err
	}
	m := introducerMutual(i)
	sent, err := e.flushToContacts(ctx, key, m.Parties[:]...)
	return m, sent, err
}

// withdrawSession withdraws a session, and stores it with the messages to both parties.
func (e *Exchange) withdrawSession(session mutual.Session) (*mutual.Introducer, error) {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	var i *mutual.Introducer
	err := e.view(func(local *ledger.View) (err error) {
		i, err = loadIntroducer(local, session)
		return err
	})
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, fmt.Errorf("mutual introduction %x: %w", session[:6], petname.ErrNotFound)
	}
	return i, e.saveIntroducer(i, i.Withdraw())
}

// AcceptMutual consents to an offer in the inbox, a suggestion of kind [petname.Mutual]. If
// the other party consents too, it receives the result of Config.Identity. Accepting again
// changes nothing, also on another device after the two have exchanged entries. Without that
// exchange, a second consent by another device ends the session.
//
// The offer leaves the inbox. The result of the session is a suggestion of kind
// [petname.Acquainted], which a later Sync puts into the inbox. No contact is added before
// that is accepted.
func (e *Exchange) AcceptMutual(ctx context.Context, key crypto.Signer, offer petname.SuggestionID) (Mutual, Delivery, error) {
	if e.c.Identity == nil {
		return Mutual{}, "", errors.New("mutual introduction: Config.Identity is nil")
	}
	self, err := e.c.Identity(ctx)
	if err != nil {
		return Mutual{}, "", err
	}
	if s, answered, err := e.offered(offer); err == nil && answered {
		m := s.mutual()
		m.Phase = mutual.Accepted // at least: the other device has the session
		return m, Stored, nil
	}
	m, err := e.answerOffer(offer, func(v *mutual.Invitee) ([]mutual.Outgoing, error) {
		if phase, _ := v.Phase(); phase > mutual.Invited && phase <= mutual.Active {
			return nil, nil
		}
		return v.Accept(e.c.Now(), e.c.Rand, key, self.Details)
	}, func(book *petname.Book) error { return book.Consent(offer) })
	if err != nil {
		return Mutual{}, "", err
	}
	sent, err := e.flushToContacts(ctx, key, m.By)
	return m, sent, err
}

// DeclineMutual declines an offer, or retracts the consent while the session is not Active;
// then it returns [petname.ErrDecided]. The introducer is notified, and notifies the other
// party.
func (e *Exchange) DeclineMutual(ctx context.Context, key crypto.Signer, offer petname.SuggestionID) (Mutual, Delivery, error) {
	m, err := e.answerOffer(offer, func(v *mutual.Invitee) ([]mutual.Outgoing, error) {
		if phase, _ := v.Phase(); phase == mutual.Active {
			return nil, fmt.Errorf("suggestion %s: the introduction is complete: %w", offer, petname.ErrDecided)
		}
		return v.Decline(), nil
	}, func(book *petname.Book) error {
		_, err := book.Decline(offer, false)
		return err
	})
	if err != nil {
		return Mutual{}, "", err
	}
	sent, err := e.flushToContacts(ctx, key, m.By)
	return m, sent, err
}

// answerOffer calls change on the session of an offer, and decide on the book. It stores the
// session, its messages and the changes of the book in one transaction.
func (e *Exchange) answerOffer(offer petname.SuggestionID, change func(*mutual.Invitee) ([]mutual.Outgoing, error), decide func(*petname.Book) error) (Mutual, error) {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	s, _, err := e.offered(offer)
	if err != nil {
		return Mutual{}, err
	}
	out, err := change(s.Invitee)
	var ended *mutual.EndedError
	if err != nil && !errors.As(err, &ended) {
		return Mutual{}, err
	}
	return s.mutual(), errors.Join(err, e.update(func(tx tx) error {
		if ended == nil {
			if err := decide(tx.book); err != nil {
				return err
			}
		}
		return tx.putInvitee(s, out)
	}))
}

// Mutuals returns the mutual introductions that are stored, those that the owner started and
// those that were offered to it. They are stored until they expire, in any phase.
func (e *Exchange) Mutuals() ([]Mutual, error) {
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	var all []Mutual
	introduced, err := e.introducers()
	if err != nil {
		return nil, err
	}
	for _, i := range introduced {
		all = append(all, introducerMutual(i))
	}
	offered, err := e.inviteeSessions()
	for _, s := range offered {
		all = append(all, s.mutual())
	}
	return all, err
}

// introducerMutual returns the state of a session that the owner started.
func introducerMutual(i *mutual.Introducer) Mutual {
	requests := i.Requests()
	m := Mutual{Session: requests[0].Session, By: requests[0].By, Parties: [2]pointer.Pointer{requests[0].To, requests[1].To},
		Consented: i.Consented(), Expires: requests[0].Expires}
	m.Phase, m.Reason = i.Phase()
	return m
}

// mutual returns the state of a session that was offered to the owner.
func (s inviteeSession) mutual() Mutual {
	r := s.Request()
	m := Mutual{Session: r.Session, By: r.By, Suggested: r.Suggested, Expires: r.Expires, Offer: s.offer}
	m.Phase, m.Reason = s.Phase()
	return m
}
