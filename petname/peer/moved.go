package peer

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// bucketFormer has the channels of keys that I had before: pointer of the party ‖
// my pointer then → until when they are looked at (8 bytes, ms since 1970) ‖ state.
//
// A channel is between two pointers. When mine has gone on, a new one begins with
// each party, and the one of before is still read: whoever hasn't heard of it
// writes there. It can't be written to, the key being gone.
var bucketFormer = []byte("former")

// formerKept is as long as a record of the other's can be found in.
const formerKept = 2 * drop.Epoch

type former struct {
	party, self pointer.Pointer
	until       time.Time
	state       []byte
}

func (f former) put(tx *bbolt.Tx) error {
	value := binary.BigEndian.AppendUint64(nil, uint64(f.until.UnixMilli()))
	return tx.Bucket(bucketFormer).Put(f.key(), append(value, f.state...))
}

func (f former) key() []byte { return slices.Concat(f.party.Bytes(), f.self.Bytes()) }

// retire lays a channel of a former key of mine aside, whose turn it is.
func (p *Peer) retire(to, self pointer.Pointer, state []byte) error {
	f := former{to, self, p.c.Now().Add(formerKept), state}
	return p.db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(f.put(tx), tx.Bucket(bucketChannels).Delete(to.Bytes()))
	})
}

// formers are all the channels of before.
func (p *Peer) formers() (all []former, err error) {
	err = p.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketFormer).ForEach(func(k, v []byte) error {
			mine := len(p.c.Book.Identity().Bytes()) // as long as that of any Ed25519 key
			if len(k) < mine || len(v) < 8 {
				return fmt.Errorf("former channel: row of %d and %d bytes", len(k), len(v))
			}
			f := former{until: time.UnixMilli(int64(binary.BigEndian.Uint64(v))), state: bytes.Clone(v[8:])}
			if f.party, err = pointer.FromBytes(k[:len(k)-mine]); err == nil {
				f.self, err = pointer.FromBytes(k[len(k)-mine:])
			}
			if err != nil {
				return fmt.Errorf("former channel: %w", err)
			}
			all = append(all, f)
			return nil
		})
	})
	return all, err
}

// syncFormer reads what came on the channels of before, while it is the party's
// turn.
func (p *Peer) syncFormer(ctx context.Context, party pointer.Pointer, report *Report) error {
	all, err := p.formers()
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.party != party {
			continue
		}
		if err := p.syncOne(ctx, f, report); err != nil {
			return err
		}
	}
	return nil
}

func (p *Peer) syncOne(ctx context.Context, f former, report *Report) error {
	sealing, addresses, err := p.reach(ctx, f.party)
	if err != nil {
		return err
	}
	keys, err := p.c.Sealing()
	if err != nil {
		return err
	}
	c, err := drop.Open(drop.Self{Pointer: f.self, Sealing: keys}, drop.Party{Pointer: f.party, Sealing: sealing}, f.state)
	if err != nil {
		return err
	}
	l := &line{c, p.store(addresses)}
	if _, err := p.receive(ctx, f.party, l, report); err != nil {
		return err
	}
	waiting, over := l.Waiting(), p.c.Now().After(f.until)
	switch {
	case waiting > 0 && over:
		report.Errs = append(report.Errs, fmt.Errorf("%d messages to %s, signed with a key of mine that is no more, were not fetched in time: say it anew", waiting, f.party))
	case waiting > 0:
		report.Waiting[f.party] += waiting
	}
	f.state = l.State()
	return p.db.Update(func(tx *bbolt.Tx) error {
		if over {
			return tx.Bucket(bucketFormer).Delete(f.key())
		}
		return f.put(tx)
	})
}

// follow gives where the contact with a pointer is now. If its key has gone on,
// what it hasn't acknowledged goes there, too: it was said to the contact, which
// takes it once, however often it comes.
func (p *Peer) follow(from pointer.Pointer) (to pointer.Pointer, err error) {
	c, err := p.c.Book.ByPointer(from)
	if errors.Is(err, petname.ErrNotFound) {
		return from, nil
	}
	if err != nil || c.Pointer == from || c.Duplicity || c.Conflict != nil || !c.Removed.IsZero() {
		return from, err
	}
	defer p.turn(from)()
	return c.Pointer, p.db.Update(func(tx *bbolt.Tx) error {
		channels, outbox := tx.Bucket(bucketChannels), tx.Bucket(bucketOutbox)
		var waiting [][]byte
		if state := channels.Get(from.Bytes()); state != nil {
			if waiting, err = drop.Unacknowledged(state); err != nil {
				return err
			}
		}
		prefix := from.Bytes()
		var keys [][]byte
		at := outbox.Cursor()
		for k, v := at.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = at.Next() {
			keys, waiting = append(keys, bytes.Clone(k)), append(waiting, bytes.Clone(v))
		}
		for _, k := range keys {
			if err := outbox.Delete(k); err != nil {
				return err
			}
		}
		for _, m := range waiting {
			if err := push(tx, c.Pointer, m); err != nil {
				return err
			}
		}
		return channels.Delete(from.Bytes())
	})
}
