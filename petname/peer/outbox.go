package peer

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// bucketOutbox has what is to be sent and isn't in its channel yet: pointer of
// whom it is to ‖ number → message. So what a message makes a session say to
// somebody else is durable together with the session, and waits for the turn of
// that channel.
var bucketOutbox = []byte("outbox")

// post puts messages into the outbox, in the transaction that makes them due.
func post(tx *bbolt.Tx, out []mutual.Outgoing) error {
	for _, o := range out {
		b, err := message{Kind: kindMutual, Body: o.Bytes}.encode()
		if err != nil {
			return err
		}
		if err := push(tx, o.To, b); err != nil {
			return err
		}
	}
	return nil
}

// push puts one message into the outbox.
func push(tx *bbolt.Tx, to pointer.Pointer, m []byte) error {
	outbox := tx.Bucket(bucketOutbox)
	n, err := outbox.NextSequence()
	if err != nil {
		return err
	}
	return outbox.Put(binary.BigEndian.AppendUint64(to.Bytes(), n), m)
}

// queued is how many messages are in the outbox for a party.
func queued(tx *bbolt.Tx, to pointer.Pointer) (n int) {
	prefix := to.Bytes()
	at := tx.Bucket(bucketOutbox).Cursor()
	for k, _ := at.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = at.Next() {
		n++
	}
	return n
}

// unload moves what there is for a party into its channel, whose turn it is, in
// one transaction: it gets there once.
func (p *Peer) unload(to pointer.Pointer, c *line) error {
	prefix := to.Bytes()
	var keys, waiting [][]byte
	err := p.db.View(func(tx *bbolt.Tx) error {
		at := tx.Bucket(bucketOutbox).Cursor()
		for k, v := at.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = at.Next() {
			keys, waiting = append(keys, bytes.Clone(k)), append(waiting, bytes.Clone(v))
		}
		return nil
	})
	if err != nil || len(keys) == 0 {
		return err
	}
	sent := 0
	var full error
	for _, b := range waiting {
		if full = c.Send(b); full != nil {
			break
		}
		sent++
	}
	err = p.db.Update(func(tx *bbolt.Tx) error {
		for _, k := range keys[:sent] {
			if err := tx.Bucket(bucketOutbox).Delete(k); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketChannels).Put(to.Bytes(), c.State())
	})
	return errors.Join(full, err)
}

// addressees are those for whom something is in the outbox.
func (p *Peer) addressees() (to []pointer.Pointer, err error) {
	err = p.db.View(func(tx *bbolt.Tx) error {
		at := tx.Bucket(bucketOutbox).Cursor()
		for k, _ := at.First(); k != nil; {
			if len(k) < 8 {
				return fmt.Errorf("outbox: key of %d bytes", len(k))
			}
			one, err := pointer.FromBytes(k[:len(k)-8])
			if err != nil {
				return fmt.Errorf("outbox: %w", err)
			}
			to = append(to, one)
			k, _ = at.Seek(append(bytes.Clone(k[:len(k)-8]), bytes.Repeat([]byte{0xff}, 9)...))
		}
		return nil
	})
	return to, err
}

// flush brings what is in the outbox for a party on its way, and says how many
// messages to it are not acknowledged. An error beside Queued says why it waits.
func (p *Peer) flush(ctx context.Context, key crypto.Signer, to pointer.Pointer) (Sent, int, error) {
	defer p.turn(to)()
	c, err := p.channel(ctx, key, to)
	if err != nil {
		return Queued, 0, err
	}
	if err := errors.Join(p.unload(to, c), p.save(to, c)); err != nil {
		return Queued, c.Waiting(), err
	}
	receipt, err := p.put(ctx, to, c)
	if receipt.Stored > 0 {
		return Stored, c.Waiting(), nil
	}
	return Queued, c.Waiting(), err
}

// flushAll is flush for everybody.
func (p *Peer) flushAll(ctx context.Context, key crypto.Signer, report *Report) {
	all, err := p.addressees()
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	for _, to := range all {
		_, waiting, err := p.flush(ctx, key, to)
		if err != nil {
			report.Errs = append(report.Errs, err)
		}
		if waiting > 0 {
			report.Waiting[to] = waiting
		}
	}
}
