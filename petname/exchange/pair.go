package exchange

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
)

// suggestPaired puts the other party of a pairing into the inbox, with the purpose of its
// invitation, and stores its keys and addresses.
func (e *Exchange) suggestPaired(m pair.Paired, kind petname.SuggestionKind, purpose string) (s *petname.Suggestion, err error) {
	err = e.update(func(tx tx) error {
		s, err = tx.suggestPaired(m, kind, purpose)
		return err
	})
	return s, err
}

// suggestPaired is Exchange.suggestPaired within a transaction.
func (tx tx) suggestPaired(m pair.Paired, kind petname.SuggestionKind, purpose string) (*petname.Suggestion, error) {
	if err := putKnown(tx.local, m.Peer.Pointer, m.Peer.Details); err != nil {
		return nil, err
	}
	id, _, err := tx.book.Suggest(petname.Suggestion{Kind: kind, Pointer: m.Peer.Pointer, Next: m.Peer.Next, Nickname: m.Peer.Nickname, Note: purpose,
		Channel: m.Channel, Evidence: m.Transcript})
	if err != nil {
		return nil, err
	}
	s, err := tx.book.Suggestion(id.String())
	return &s, err
}

// Pair accepts an invitation, which is a link "petname-invite:…", the text of a QR code or a
// spoken code, and waits for the inviter. A pairing by code that was broken off is continued.
// Meanwhile the owner's own codes are answered. Pair returns the suggestion of the inviter in
// the inbox, or [ErrMalformed] for any other text, and [ErrPaired] for a code by which the owner
// has paired.
func (e *Exchange) Pair(ctx context.Context, key crypto.Signer, text string) (petname.Suggestion, error) {
	self, err := e.self(ctx, key)
	if err != nil {
		return petname.Suggestion{}, err
	}
	stepper, addresses, entered, err := e.stepperOf(self, text)
	if err != nil {
		return petname.Suggestion{}, err
	}
	if err := e.resumeCodes(ctx, key); err != nil {
		return petname.Suggestion{}, err
	}
	event, err := pair.Run(ctx, besideOwnCodes{stepper, e}, e.storeFor(addresses), e.c.Now, e.c.PollInterval)
	if pair.Final(err) && !errors.Is(err, pair.ErrTimeout) && entered != "" {
		err = errors.Join(err, e.deleteRow(tableAcceptedCodes, []byte(entered)))
	}
	if err != nil {
		return petname.Suggestion{}, err
	}
	purpose := ""
	if invitee, ok := stepper.(*pair.Invitee); ok {
		invitation, _ := invitee.Invitation()
		purpose = invitation.Purpose
	}
	var s *petname.Suggestion
	err = e.update(func(tx tx) (err error) {
		if s, err = tx.suggestPaired(*event.Paired, petname.Paired, purpose); err != nil || entered == "" {
			return err
		}
		until := e.c.Now().Add(codeStateLife)
		return errors.Join(tx.local.Delete(tableAcceptedCodes, []byte(entered)), tx.local.Put(tableUsedCodes, pairedKey(entered), usedUntil(until)))
	})
	if err != nil {
		return petname.Suggestion{}, err
	}
	return *s, nil
}

// ErrPaired is returned when the owner enters a code again by which the owner has paired.
var ErrPaired = errors.New("you have paired by this code already")

// pairedKey returns the key in tableUsedCodes of a code, by its public half, by which the owner
// has paired.
func pairedKey(code string) []byte { return []byte("paired " + code) }

// isUsed reports whether a row of tableUsedCodes with a value is of use.
func isUsed(value []byte, now time.Time) bool {
	end, err := time.Parse(time.RFC3339, string(value))
	return err == nil && !now.After(end)
}

// usedUntil returns the value of a row of tableUsedCodes, which is of no use after a time.
func usedUntil(t time.Time) []byte {
	return []byte(t.UTC().Add(time.Second).Format(time.RFC3339))
}

// stepperOf returns the side that accepts an invitation, with the addresses of the inviter.
// entered is the public half of a code, and empty for other texts.
func (e *Exchange) stepperOf(self pair.Self, text string) (stepper pair.Stepper, addresses [][]byte, entered string, err error) {
	code, cerr := pair.ParseCode(text)
	if cerr == nil {
		if self.Device {
			code = code.ForDevice()
		}
		stepper, err = e.acceptCode(self, code)
		return stepper, nil, code.String(), err
	}
	ticket, terr := pair.ParseTicket(text, e.c.Now())
	switch {
	case terr == nil:
		stepper, err = pair.AcceptTicket(self, ticket)
		return stepper, ticket.Addresses, "", err
	case errors.Is(terr, pair.ErrExpired):
		return nil, nil, "", terr
	case strings.Contains(text, ":"): // meant as a link
		return nil, nil, "", fmt.Errorf("%w: %w", ErrMalformed, terr)
	}
	return nil, nil, "", fmt.Errorf("%w: %w", ErrMalformed, cerr)
}

// ErrMalformed is returned when the text passed to Pair is neither an invitation nor a code.
var ErrMalformed = errors.New("neither a code nor an invitation")

// self returns the owner's side of a pairing.
func (e *Exchange) self(ctx context.Context, key crypto.Signer) (pair.Self, error) {
	me, err := e.c.Identity(ctx)
	return pair.Self{Key: key, Identity: me, Direct: e.c.Direct}, err
}

// markCodeUsed records the use of a code until a time. It returns [pair.ErrCodeUsed] if the
// code was used before.
func (e *Exchange) markCodeUsed(_ context.Context, mark string, until time.Time) error {
	return e.update(func(tx tx) error {
		now := e.c.Now()
		for row, err := range tx.local.Scan(tableUsedCodes, nil) {
			if err != nil {
				return err
			}
			if isUsed(row.Value, now) {
				continue
			}
			if err := tx.local.Delete(tableUsedCodes, row.Key); err != nil {
				return err
			}
		}
		if old, err := tx.local.Get(tableUsedCodes, []byte(mark)); err != nil || old != nil {
			return cmp.Or(err, pair.ErrCodeUsed)
		}
		return tx.local.Put(tableUsedCodes, []byte(mark), usedUntil(until))
	})
}
