package exchange

import (
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// A session of a mutual introduction is on one device: the one that started it, or the one where
// the owner answered the offer. Until the answer, each device that received the offer has a
// session in the phase Invited, and any other device restores one from the offer in the book.
// Another device that receives a message of a session relays it by an entry of the book, and the
// device with the session handles it after the two have exchanged entries: once, and after the
// messages that precede it.

// otherSenders reports whether another device can have a session: one that holds the identity key.
func (tx tx) otherSenders() (bool, error) {
	all, err := tx.book.Senders()
	return slices.ContainsFunc(all, func(s petname.Sender) bool { return s.Device != tx.book.Ledger().Device() }), err
}

// relay records a message for the other devices. The results are those of handle.
func (tx tx) relay(by pointer.Pointer, body []byte) (stop bool, err error) {
	_, err = tx.book.Relay(by, body)
	return err != nil && !errors.Is(err, petname.ErrTooManyRelayed), err
}

// hadOthers reports whether the book has, or had, another device.
func (e *Exchange) hadOthers() bool { return len(e.c.Book.Ledger().Devices()) > 1 }

// isDue reports whether a session of this device can handle a message now.
func isDue(local *ledger.View, m petname.Relayed) (bool, error) {
	session, _, err := mutual.SessionOf(m.Body)
	if err != nil {
		return false, err
	}
	i, err := loadIntroducer(local, session)
	if err != nil || i != nil {
		return err == nil && !i.Early(m.By, m.Body), err
	}
	s, err := loadInvitee(local, m.By, session)
	return err == nil && s != nil && !s.Early(m.Body), err
}

// receiveRelayed handles the messages that devices of the owner relayed, for sessions of this
// device.
func (e *Exchange) receiveRelayed(report *Report) error {
	if !e.hadOthers() {
		return nil
	}
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	handled, err := e.handledRelayed()
	if err != nil {
		return err
	}
	var waiting []petname.Relayed
	for m, err := range e.c.Book.Relayed() {
		if err != nil {
			return err
		}
		if !handled[m.ID] {
			waiting = append(waiting, m)
		}
		delete(handled, m.ID)
	}
	for id := range handled { // the book has dropped the message
		if err := e.deleteRow(tableHandled, id[:]); err != nil {
			return err
		}
	}
	for progress := true; progress; {
		progress = false
		var later []petname.Relayed
		for _, m := range waiting {
			done, err := e.receiveRelayedOne(m, report)
			if err != nil {
				return err
			}
			if progress = progress || done; !done {
				later = append(later, m)
			}
		}
		waiting = later
	}
	return nil
}

// handledRelayed returns the relayed messages that this device has handled.
func (e *Exchange) handledRelayed() (ids map[petname.RelayID]bool, err error) {
	ids = make(map[petname.RelayID]bool)
	err = e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableHandled, nil) {
			if err != nil {
				return err
			}
			var id petname.RelayID
			if len(row.Key) != len(id) {
				return errKey
			}
			copy(id[:], row.Key)
			ids[id] = true
		}
		return nil
	})
	return ids, err
}

// receiveRelayedOne handles one message in one transaction, and reports whether it did. A message
// that could not be stored is handled by a later Sync.
func (e *Exchange) receiveRelayedOne(m petname.Relayed, report *Report) (done bool, err error) {
	err = e.view(func(local *ledger.View) error {
		done, err = isDue(local, m)
		return err
	})
	if err != nil || !done {
		return false, err
	}
	var messageReport Report
	var refused error
	err = e.update(func(tx tx) error {
		messageReport = Report{}
		stop := false
		if stop, refused = e.handleMutual(tx, m.By, m.Body, &messageReport); stop {
			return refused
		}
		return tx.local.Put(tableHandled, m.ID[:], []byte{})
	})
	if err != nil {
		report.refuse(m.By, err)
		return false, nil
	}
	report.add(messageReport)
	report.refuse(m.By, refused)
	return true, nil
}

// leaveAnswered ends the sessions of offers that the owner answered on another device: this
// device is not a party of them any more. The other device has sent the answer.
func (e *Exchange) leaveAnswered(report *Report) error {
	if !e.hadOthers() {
		return nil
	}
	e.sessionLock.Lock()
	defer e.sessionLock.Unlock()
	all, err := e.inviteeSessions()
	if err != nil {
		return err
	}
	for _, s := range all {
		phase, _ := s.Phase()
		if s.offer == (petname.SuggestionID{}) || phase >= mutual.Active {
			continue
		}
		offer, err := e.c.Book.Suggestion(s.offer.String())
		if err != nil {
			report.Errs = append(report.Errs, err)
			continue
		}
		switch {
		case phase == mutual.Invited && offer.State != petname.Pending && offer.State != petname.Expired:
			err = e.deleteSession(tableInvitees, s.key(), s.Request().Session)
		case phase != mutual.Invited && offer.State == petname.Declined:
			s.Decline()
			if err = e.saveInvitee(s, nil); err == nil {
				report.Mutual = append(report.Mutual, s.mutual())
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// offered returns the session of an offer: that of this device, or one that is restored from the
// offer in the book. answered reports that the owner has consented on another device; then a
// consent changes nothing. It returns [petname.ErrNotFound] and [petname.ErrDecided].
func (e *Exchange) offered(id petname.SuggestionID) (s inviteeSession, answered bool, err error) {
	all, err := e.inviteeSessions()
	if err != nil {
		return s, false, err
	}
	for _, stored := range all {
		if phase, _ := stored.Phase(); stored.offer == id && (phase != mutual.Invited || !e.hadOthers()) {
			return stored, false, nil
		}
	}
	if !e.hadOthers() {
		return s, false, notOffered(id)
	}
	offer, err := e.c.Book.Suggestion(id.String())
	if err != nil || offer.ID != id || offer.Kind != petname.Mutual {
		return s, false, notOffered(id)
	}
	switch offer.State {
	case petname.Accepted:
		answered = true
	case petname.Declined, petname.Withdrawn:
		return s, false, fmt.Errorf("suggestion %s: %w", id, petname.ErrDecided)
	}
	v, err := mutual.Receive(e.c.Now(), e.c.Book.Identity(), offer.By, offer.Evidence)
	if err != nil {
		return s, false, notOffered(id)
	}
	return inviteeSession{Invitee: v, offer: id}, answered, nil
}

func notOffered(id petname.SuggestionID) error {
	return fmt.Errorf("suggestion %s: no such offer, or it has expired: %w", id, petname.ErrNotFound)
}
