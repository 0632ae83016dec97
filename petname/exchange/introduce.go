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

// Send sends a statement to its recipient. It is durable here when Send returns
// without Sent being empty; an error beside [Queued] says why it waits.
func (p *Peer) Send(ctx context.Context, key crypto.Signer, to pointer.Pointer, s introduce.Statement) (Sent, error) {
	switch s.Kind() {
	case 0:
		return "", introduce.ErrInvalid
	case introduce.KindIntroduction:
		if err := p.Said(s); err != nil {
			return "", err
		}
	}
	return p.send(ctx, key, to, message{Kind: kindStatement, Body: s.Bytes()})
}

// Life is how long an introduction is good for unless something else is said.
const Life = 30 * 24 * time.Hour

// maxSaid bounds the introductions by me that are remembered: the oldest go first.
const maxSaid = 10_000

// Said keeps an introduction by the owner, so that it can be retracted; Send calls
// it.
func (p *Peer) Said(s introduce.Statement) error {
	i, is := s.Introduction()
	if !is {
		return fmt.Errorf("%w: is of kind %d, and no introduction", introduce.ErrInvalid, s.Kind())
	}
	return p.update(func(tx tx) error {
		key := saidKey(i)
		if old, err := tx.local.Get(tableSaid, key); err != nil || old != nil {
			return err
		}
		n, err := tx.local.Count(tableSaid)
		if err != nil {
			return err
		}
		for row, err := range tx.local.Scan(tableSaid, nil) {
			if err != nil {
				return err
			}
			if n < maxSaid {
				break
			}
			if err := tx.local.Delete(tableSaid, row.Key); err != nil {
				return err
			}
			n--
		}
		return tx.local.Put(tableSaid, key, s.Bytes())
	})
}

// same reports whether two pointers are one contact's, whose key may have gone on.
func (p *Peer) same(a, b pointer.Pointer) bool {
	if a == b {
		return true
	}
	one, err := p.c.Book.ByPointer(a)
	other, err2 := p.c.Book.ByPointer(b)
	return err == nil && err2 == nil && one.ID == other.ID
}

// saidKey sorts by time.
func saidKey(i introduce.Introduction) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(i.Made.UnixMilli())), i.ID[:]...)
}

// Retract takes back what I said to one contact about a pointer, all of it that
// has not expired, and gives what that was.
func (p *Peer) Retract(ctx context.Context, key crypto.Signer, to, about pointer.Pointer) ([]introduce.Introduction, Sent, error) {
	var found []introduce.Introduction
	var all []introduce.Introduction
	err := p.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableSaid, nil) {
			if err != nil {
				return err
			}
			s, err := introduce.Restore(row.Value, introduce.KindIntroduction) // the row has a checksum
			if i, _ := s.Introduction(); err == nil && i.CheckTime(p.c.Now()) == nil {
				all = append(all, i)
			}
		}
		return nil
	})
	for _, i := range all {
		if p.same(i.To, to) && p.same(i.About, about) {
			found = append(found, i)
		}
	}
	if err != nil || len(found) == 0 {
		return nil, "", cmp.Or(err, fmt.Errorf("%s was not introduced to %s, or it has expired: %w", about, to, petname.ErrNotFound))
	}
	var sent Sent
	for _, i := range found {
		signed, err := introduce.Retraction{To: to, ID: i.ID}.Sign(key, p.c.Now())
		if err != nil {
			return nil, "", err
		}
		if sent, err = p.Send(ctx, key, to, signed); sent == "" {
			return nil, "", err
		}
		if err := p.delete1(tableSaid, saidKey(i)); err != nil {
			return nil, "", err
		}
	}
	return found, sent, nil
}
