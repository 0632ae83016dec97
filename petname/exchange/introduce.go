package exchange

import (
	"cmp"
	"context"
	"crypto"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Send sends a statement to its recipient. The statement is durable on this device when the
// [Delivery] is not empty.
func (e *Exchange) Send(ctx context.Context, key crypto.Signer, to pointer.Pointer, s introduce.Statement) (Delivery, error) {
	switch s.Kind() {
	case 0:
		return "", introduce.ErrInvalid
	case introduce.KindIntroduction:
		if err := e.RecordIntroduction(s); err != nil {
			return "", err
		}
	}
	return e.sendMessage(ctx, key, to, message{Kind: kindStatement, Body: s.Bytes()})
}

// IntroductionLifetime is the default time until an introduction expires.
const IntroductionLifetime = 30 * 24 * time.Hour

// maxIntroductions bounds the introductions that can be retracted: the oldest are removed
// first.
const maxIntroductions = 10_000

// RecordIntroduction stores an introduction by the owner, so that it can be retracted. Send
// calls it. It returns [introduce.ErrInvalid] for another statement.
func (e *Exchange) RecordIntroduction(s introduce.Statement) error {
	i, ok := s.Introduction()
	if !ok {
		return fmt.Errorf("%w: kind %d is not an introduction", introduce.ErrInvalid, s.Kind())
	}
	return e.update(func(tx tx) error {
		key := introductionKey(i)
		if old, err := tx.local.Get(tableIntroductions, key); err != nil || old != nil {
			return err
		}
		n, err := tx.local.Count(tableIntroductions)
		if err != nil {
			return err
		}
		for row, err := range tx.local.Scan(tableIntroductions, nil) {
			if err != nil {
				return err
			}
			if n < maxIntroductions {
				break
			}
			if err := tx.local.Delete(tableIntroductions, row.Key); err != nil {
				return err
			}
			n--
		}
		return tx.local.Put(tableIntroductions, key, s.Bytes())
	})
}

// sameContact reports whether two pointers are the same contact, before or after a rotation.
func (e *Exchange) sameContact(a, b pointer.Pointer) bool {
	if a == b {
		return true
	}
	first, err := e.c.Book.ByPointer(a)
	second, secondErr := e.c.Book.ByPointer(b)
	return err == nil && secondErr == nil && first.ID == second.ID
}

// introductionKey returns the key of a row, which sorts by time.
func introductionKey(i introduce.Introduction) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(i.Made.UnixMilli())), i.ID[:]...)
}

// Retract retracts all introductions of about to one contact that have not expired, and
// returns them. It returns [petname.ErrNotFound] if there are none.
func (e *Exchange) Retract(ctx context.Context, key crypto.Signer, to, about pointer.Pointer) ([]introduce.Introduction, Delivery, error) {
	var found []introduce.Introduction
	var all []introduce.Introduction
	err := e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableIntroductions, nil) {
			if err != nil {
				return err
			}
			s, err := introduce.Restore(row.Value, introduce.KindIntroduction) // the row has a checksum
			if i, _ := s.Introduction(); err == nil && i.CheckTime(e.c.Now()) == nil {
				all = append(all, i)
			}
		}
		return nil
	})
	for _, i := range all {
		if e.sameContact(i.To, to) && e.sameContact(i.About, about) {
			found = append(found, i)
		}
	}
	if err != nil || len(found) == 0 {
		return nil, "", cmp.Or(err, fmt.Errorf("%s was not introduced to %s, or it has expired: %w", about, to, petname.ErrNotFound))
	}
	var sent Delivery
	for _, i := range found {
		signed, signErr := introduce.Retraction{To: to, ID: i.ID}.Sign(key, e.c.Now())
		if signErr != nil {
			return nil, "", signErr
		}
		// The record of a channel has all queued messages that fit, so the last result counts.
		if sent, err = e.Send(ctx, key, to, signed); sent == "" {
			return nil, "", err
		}
		if deleteErr := e.deleteRow(tableIntroductions, introductionKey(i)); deleteErr != nil {
			return nil, "", deleteErr
		}
	}
	return found, sent, err
}
