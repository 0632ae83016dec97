package peer

import (
	"cmp"
	"context"
	"crypto"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

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

var bucketSaid = []byte("said") // id of an introduction → it, signed by me

// maxSaid bounds the introductions by me that are remembered: the oldest go first.
const maxSaid = 10_000

// Said keeps an introduction by the owner, so that it can be retracted; Send calls
// it.
func (p *Peer) Said(s introduce.Statement) error {
	i, is := s.Introduction()
	if !is {
		return fmt.Errorf("%w: is of kind %d, and no introduction", introduce.ErrInvalid, s.Kind())
	}
	return p.db.Update(func(tx *bbolt.Tx) error {
		said, key := tx.Bucket(bucketSaid), saidKey(i)
		if said.Get(key) != nil {
			return nil
		}
		// Stats counts what was there before this transaction.
		for n := said.Stats().KeyN; n >= maxSaid; n-- {
			k, _ := said.Cursor().First()
			if err := said.Delete(k); err != nil {
				return err
			}
		}
		return said.Put(key, s.Bytes())
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
	err := p.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketSaid).ForEach(func(_, signed []byte) error {
			s, err := introduce.Open(signed, introduce.KindIntroduction) // a row of this file has no checksum
			i, _ := s.Introduction()
			if err == nil && i.CheckTime(p.c.Now()) == nil && p.same(i.To, to) && p.same(i.About, about) {
				found = append(found, i)
			}
			return nil
		})
	})
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
		err = p.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketSaid).Delete(saidKey(i)) })
		if err != nil {
			return nil, "", err
		}
	}
	return found, sent, nil
}
