package peer

import (
	"bytes"
	"encoding/binary"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// moveOn brings channels to where their parties are now. A channel is between two
// keys: when a contact's has gone on to the next, what it hasn't acknowledged
// goes to the next, too. What I said under an earlier key of mine can't go on: it
// is signed by a key that is gone, and nobody would believe it; nor is there
// anybody to send to when the contact was removed. The next report says of how
// many messages.
func (p *Peer) moveOn() error {
	type row struct {
		party pointer.Pointer
		self  pointer.Pointer
		queue [][]byte
	}
	var rows []row
	err := p.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketChannels).ForEach(func(k, state []byte) error {
			party, err := pointer.FromBytes(k)
			if err != nil {
				return err
			}
			self, queue, err := drop.Unsent(state)
			rows = append(rows, row{party, self, queue})
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		contact, err := p.c.Book.ByPointer(r.party)
		gone := errors.Is(err, petname.ErrNotFound) || err == nil && contact.Name.IsZero() && contact.Conflict == nil
		if err != nil && !gone {
			return err
		}
		mine := r.self == p.c.Book.Identity()
		if mine && !gone && (contact.Pointer == r.party || contact.Duplicity) || mine && gone && len(r.queue) == 0 {
			continue // should it be added again, the channel goes on
		}
		next := contact.Pointer
		if !mine || gone {
			next = pointer.Pointer{}
			p.mu.Lock()
			p.left[r.party] += len(r.queue)
			p.mu.Unlock()
		}
		if err := p.moveChannel(r.party, next); err != nil {
			return err
		}
	}
	return nil
}

// moveChannel ends a channel, and has what was not acknowledged go to another
// pointer; to nobody if that is zero.
func (p *Peer) moveChannel(from, to pointer.Pointer) error {
	defer p.turn(from)()
	return p.db.Update(func(tx *bbolt.Tx) error {
		channels, outbox := tx.Bucket(bucketChannels), tx.Bucket(bucketOutbox)
		state := channels.Get(from.Bytes())
		if state == nil {
			return nil
		}
		_, queue, err := drop.Unsent(state)
		if err != nil {
			return err
		}
		// What is in the outbox comes behind.
		prefix := from.Bytes()
		var keys [][]byte
		at := outbox.Cursor()
		for k, v := at.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = at.Next() {
			keys, queue = append(keys, bytes.Clone(k)), append(queue, bytes.Clone(v))
		}
		for _, k := range keys {
			if err := outbox.Delete(k); err != nil {
				return err
			}
		}
		if to.IsZero() {
			queue = nil
		}
		for _, m := range queue {
			n, err := outbox.NextSequence()
			if err != nil {
				return err
			}
			if err := outbox.Put(binary.BigEndian.AppendUint64(to.Bytes(), n), m); err != nil {
				return err
			}
		}
		return channels.Delete(from.Bytes())
	})
}

// stranded tells once what can't go out any more.
func (p *Peer) stranded() map[pointer.Pointer]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	told := make(map[pointer.Pointer]int)
	for to, n := range p.left {
		if n > 0 {
			told[to] = n
		}
	}
	clear(p.left)
	return told
}
