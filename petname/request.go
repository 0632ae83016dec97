package petname

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

const (
	// MaxRequestLifetime bounds how long a contact request is pending.
	MaxRequestLifetime = 30 * 24 * time.Hour

	// requestSlotTime is how long a contact request occupies its slot at least,
	// even if it expires sooner. It bounds the rate of ledger entries that
	// unknown senders cause.
	requestSlotTime = 7 * 24 * time.Hour
)

// ReceiveContactRequest processes a contact request, and reports whether it is
// new. A contact request is an introduction that its own subject signed, and
// the sender is not in the book. It becomes a pending suggestion of kind
// [ContactRequest]. At most [MaxInboxFrom] contact requests are pending, one
// for each sender, for at most [MaxRequestLifetime]. An expired request
// occupies its slot until a week after its arrival, unless it is declined.
//
// verifyStamp checks the sender's proof of work (package request). It is called
// last, if all other checks have passed.
//
// The error is a [*NamedError] for a contact, and [ErrUnknownSender] for an
// introduction of another subject. Other errors are those of [Book.Receive],
// among them [ErrInboxFull], and of verifyStamp.
func (b *Book) ReceiveContactRequest(s introduce.Statement, channel string, verifyStamp func(introduce.Introduction) error) (SuggestionID, bool, error) {
	i, is := s.Introduction()
	if !is {
		return SuggestionID{}, false, fmt.Errorf("%w: is of kind %d, not an introduction", introduce.ErrInvalid, s.Kind())
	}
	if err := i.CheckTime(b.now()); err != nil {
		return SuggestionID{}, false, err
	}
	switch {
	case i.By != i.About:
		return SuggestionID{}, false, fmt.Errorf("by %s, about another pointer: %w", i.By, ErrUnknownSender)
	case i.Expires.Sub(b.now()) > MaxRequestLifetime:
		return SuggestionID{}, false, fmt.Errorf("by %s: %w: is valid for over %d days", i.By, introduce.ErrInvalid, MaxRequestLifetime/(24*time.Hour))
	case !b.IsOwn(i.To):
		return SuggestionID{}, false, fmt.Errorf("by %s, to %s: %w", i.By, i.To, ErrWrongRecipient)
	}
	proposed := fromIntroduction(s, ContactRequest, channel)
	known := false
	err := b.read(func(v *ledger.View) (err error) {
		if err := checkUnknown(v, i.By); err != nil {
			return err
		}
		known, err = b.checkSuggestion(v, proposed)
		return err
	})
	if err != nil || known {
		return proposed.id(), false, err
	}
	if err := verifyStamp(i); err != nil {
		return SuggestionID{}, false, err
	}
	isNew := false
	err = b.update(func(tx *ledger.Tx) (err error) {
		if err := checkUnknown(tx.View(), i.By); err != nil {
			return err
		}
		isNew, err = b.suggest(tx, proposed)
		return err
	})
	return proposed.id(), isNew && err == nil, err
}

// checkUnknown returns an error if p belongs to a contact.
func checkUnknown(v *ledger.View, p pointer.Pointer) error {
	c, err := readNamed(v, p)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return firstError(err, &NamedError{Name: c.Name, Contact: p})
}

// checkRequestRoom is checkRoom for a contact request. One that has expired counts until
// requestSlotTime after its arrival.
func (b *Book) checkRequestRoom(v *ledger.View, proposed wireSuggestion) error {
	now, n := b.now(), 0
	for s, err := range b.pending(v) {
		if err != nil {
			return err
		}
		if s.Kind != ContactRequest || s.State != Pending && now.Sub(s.At) >= requestSlotTime {
			continue
		}
		if n++; n >= MaxInboxFrom || s.State == Pending && bytes.Equal(s.By.Bytes(), proposed.By) {
			return fmt.Errorf("contact request: %w", ErrInboxFull)
		}
	}
	return nil
}
