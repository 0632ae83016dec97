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
	// MaxStrangerLife bounds how long a stranger's letter waits in the inbox.
	MaxRequestLifetime = 30 * 24 * time.Hour

	// strangersEvery is how long a stranger's letter takes its place in the
	// list even when it has expired sooner: each leaves an entry in the ledger
	// for good, and so they must not come faster than that.
	requestSlotTime = 7 * 24 * time.Hour
)

// ReceiveStranger takes in what somebody who is not in the book says of itself,
// an introduction by the very pointer that it is about, and reports whether it
// is new. It waits in the inbox as a [Stranger]: apart from all others, at most
// [MaxInboxFrom] together, one by each, for [MaxStrangerLife] at most; an expired
// one keeps its place until a week after it came, unless it is declined.
//
// paid tells whether they have done the work that a stranger has to do (package
// postage), and is asked last: only if its nil would let the letter in.
//
// Who is in the book is a [*NamedError], and no stranger; whoever introduces
// somebody else is refused as [ErrStranger]. Its other errors are those of
// [Book.Receive], [ErrInboxFull] among them, and of paid.
func (b *Book) ReceiveContactRequest(s introduce.Statement, channel string, verifyStamp func(introduce.Introduction) error) (SuggestionID, bool, error) {
	i, is := s.Introduction()
	if !is {
		return SuggestionID{}, false, fmt.Errorf("%w: is of kind %d, and no introduction", introduce.ErrInvalid, s.Kind())
	}
	if err := i.CheckTime(b.now()); err != nil {
		return SuggestionID{}, false, err
	}
	switch {
	case i.By != i.About:
		return SuggestionID{}, false, fmt.Errorf("by %s, about somebody else: %w", i.By, ErrUnknownSender)
	case i.Expires.Sub(b.now()) > MaxRequestLifetime:
		return SuggestionID{}, false, fmt.Errorf("by %s: %w: is good for over %d days", i.By, introduce.ErrInvalid, MaxRequestLifetime/(24*time.Hour))
	case !b.isOwn(i.To):
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

// stranger refuses who is in the book.
func checkUnknown(v *ledger.View, p pointer.Pointer) error {
	c, err := readNamed(v, p)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return firstError(err, &NamedError{Name: c.Name, Contact: p})
}

// strangerRoom is room, for a stranger.
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
			return fmt.Errorf("by a stranger: %w", ErrInboxFull)
		}
	}
	return nil
}
