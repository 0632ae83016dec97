package exchange

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// Each device of the owner sends to a contact in a channel of its own. That of the first device
// of the book has the empty purpose; that of another device has a purpose with its tag, which the
// owner's card lists. A device reads the channels of all devices of the contact. The rows of its
// own channel are channelRows of rowsOf; those of the channels that it only reads are rows of
// tableIncoming.
//
// In the channel of the empty purpose the first device alone puts records, which acknowledge what
// the first device of the contact sends. The other devices process what they find there, and do
// not acknowledge it. In a channel with a tag the records of the reader acknowledge and have no
// messages, so all devices of the reader put them: the position of the sender only moves
// forward, in whatever order acknowledgements arrive. The same is so in the channel of the empty
// purpose once the first device of this side has been removed, and sends there no more.

// fromPurpose precedes the tag of the sender in the purpose of a channel.
const fromPurpose = "petnames/from/1 "

// maxQuietTags bounds the channels of one contact that one Sync polls although nothing was
// received there yet, in rotation.
const maxQuietTags = 4

// purposeOf returns the purpose of the channel on which a device sends. The zero tag stands for
// the first device of a book.
func purposeOf(tag pointer.DeviceTag) string {
	if tag == (pointer.DeviceTag{}) {
		return ""
	}
	return fromPurpose + tag.String()
}

// role is what this device is in the book.
type role struct {
	tag      pointer.DeviceTag   // of this device; zero: it is the first one
	own      []pointer.DeviceTag // of all devices of the book
	several  bool                // there are other devices, which were not removed
	replaced bool                // the first device cannot sign any more: it was removed
}

// role returns what this device is in the book. It returns [petname.ErrDeviceRemoved] if it was
// removed.
func (e *Exchange) role() (r role, err error) {
	l := e.c.Book.Ledger()
	all := l.Devices()
	for i, d := range all {
		r.own = append(r.own, petname.DeviceTag(d.ID))
		switch {
		case d.ID != l.Device():
			r.several = r.several || !d.Removed
		case d.Removed:
			return r, fmt.Errorf("device %s: %w", d.ID, petname.ErrDeviceRemoved)
		case i > 0:
			r.tag = petname.DeviceTag(d.ID)
		}
	}
	if len(all) == 1 {
		return r, nil
	}
	senders, err := e.c.Book.Senders()
	r.replaced = !slices.ContainsFunc(senders, func(s petname.Sender) bool { return s.First })
	return r, err
}

// isFirst reports whether this device is the first one of the book.
func (r role) isFirst() bool { return r.tag == pointer.DeviceTag{} }

// incoming is a channel that this device reads, and on which it sends no messages.
type incoming struct {
	party pointer.Pointer
	tag   pointer.DeviceTag // of the device of the party that sends; zero: the first one
	self  pointer.Pointer   // of the owner, that the messages are for
	until time.Time         // of an earlier pointer of the owner: when the channel is deleted; zero: not set yet
	head  []byte            // nil: nothing was received yet
}

// rows returns the rows of the channel's state.
func (in incoming) rows() channelRows {
	var until int64
	if !in.until.IsZero() {
		until = in.until.UnixMilli()
	}
	return channelRows{heads: tableIncoming, key: slices.Concat(in.party.Bytes(), in.tag[:], in.self.Bytes()), prefix: binary.BigEndian.AppendUint64(nil, uint64(until))}
}

// parseIncoming decodes a row of tableIncoming. size is the length of a pointer of the owner.
func parseIncoming(row ledger.KV, size int) (in incoming, err error) {
	k, v := row.Key, row.Value
	if len(k) < size+len(in.tag) || len(v) < 8 {
		return in, fmt.Errorf("incoming channel: row of %d and %d bytes", len(k), len(v))
	}
	n := len(k) - size - len(in.tag)
	copy(in.tag[:], k[n:])
	if in.party, err = pointer.FromBytes(k[:n]); err == nil {
		in.self, err = pointer.FromBytes(k[n+len(in.tag):])
	}
	if until := int64(binary.BigEndian.Uint64(v)); until != 0 {
		in.until = time.UnixMilli(until)
	}
	in.head = bytes.Clone(v[8:])
	return in, err
}

// incomingRows returns the stored channels with the bytes of a pointer of a party; nil: with all.
func (e *Exchange) incomingRows(party []byte) (all []incoming, err error) {
	size := len(e.c.Book.Identity().Bytes()) // the same for every Ed25519 key
	err = e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableIncoming, party) {
			if err != nil {
				return err
			}
			in, err := parseIncoming(row, size)
			if err != nil {
				return err
			}
			all = append(all, in)
		}
		return nil
	})
	return all, err
}

// channelsToRead returns the channels of a party that this Sync reads besides the device's own:
// those where something was received, and some of the others that the party's card lists. It
// deletes the rows of those that the card does not list any more.
func (e *Exchange) channelsToRead(party pointer.Pointer, c *channel) (all []incoming, err error) {
	stored, err := e.incomingRows(party.Bytes())
	if err != nil {
		return nil, err
	}
	self := e.c.Book.Identity()
	var tags, quiet []pointer.DeviceTag
	if !c.role.isFirst() {
		tags = append(tags, pointer.DeviceTag{})
	}
	for _, tag := range c.card.tags {
		// A contact that lists a tag of the owner would make this device read its own channel.
		if !slices.Contains(c.role.own, tag) {
			tags = append(tags, tag)
		}
	}
	for _, in := range stored {
		switch {
		case in.self != self && in.until.IsZero():
			in.until = e.c.Now().Add(formerRetention)
		case in.self != self && e.c.Now().After(in.until), c.card.found && !slices.Contains(tags, in.tag):
			if err := e.update(func(tx tx) error { return tx.local.Delete(tableIncoming, in.rows().key) }); err != nil {
				return nil, err
			}
			continue
		}
		all = append(all, in)
	}
	for _, tag := range tags {
		switch {
		case slices.ContainsFunc(all, func(in incoming) bool { return in.tag == tag && in.self == self }):
		case tag == pointer.DeviceTag{}:
			all = append(all, incoming{party: party, self: self})
		default:
			quiet = append(quiet, tag)
		}
	}
	for i := range min(len(quiet), maxQuietTags) {
		tag := quiet[(int(e.syncs.Load())*maxQuietTags+i)%len(quiet)]
		all = append(all, incoming{party: party, tag: tag, self: self})
	}
	return all, nil
}

// pollOwn polls the channel on which this device sends. That of another device than the first
// one returns acknowledgements alone: messages there are not received.
func (e *Exchange) pollOwn(ctx context.Context, party pointer.Pointer, c *channel, report *Report) (polled drop.PollResult, err error) {
	if c.role.isFirst() {
		return e.poll(ctx, party, c, report)
	}
	if c.Waiting() == 0 {
		return drop.PollResult{}, nil
	}
	if polled, err = c.Poll(ctx, c.store, e.c.Now()); err != nil {
		report.Errs = append(report.Errs, err)
	}
	return polled, nil
}

// openIncoming opens a channel that this device reads. The caller holds the lock of the party's
// channel.
func (e *Exchange) openIncoming(key crypto.Signer, in incoming, card contactCard, r role) (*channel, error) {
	rows := in.rows()
	var state []byte
	err := e.view(func(local *ledger.View) (err error) {
		state, err = rows.load(local)
		return err
	})
	if err != nil {
		return nil, err
	}
	keys, err := e.c.Sealing()
	if err != nil {
		return nil, err
	}
	if in.self != e.c.Book.Identity() {
		key = nil // of another pointer
	}
	c, err := drop.Open(drop.Self{Pointer: in.self, Signer: key, Sealing: keys, Purpose: purposeOf(in.tag)}, drop.Party{Pointer: in.party, Sealing: card.sealing}, state)
	if err != nil {
		return nil, err
	}
	opened := &channel{Channel: c, store: e.storeFor(card.addresses), rows: rows, card: card, role: r, party: in.party, isStored: state != nil}
	opened.reopen = func() (*channel, error) { return e.openIncoming(key, in, card, r) }
	return opened, nil
}

// syncIncoming receives the messages of one channel that this device reads, and acknowledges
// them if that is for this device to do. It reports whether a record of the party was received.
// The caller holds the lock of the party's channel.
func (e *Exchange) syncIncoming(ctx context.Context, key crypto.Signer, in incoming, own *channel, report *Report) (received bool, err error) {
	c, err := e.openIncoming(key, in, own.card, own.role)
	if err != nil {
		return false, err
	}
	polled, err := e.poll(ctx, in.party, c, report)
	if err != nil {
		return false, err
	}
	received = !polled.Written.IsZero()
	if received || c.isStored {
		if err := e.saveChannel(c); err != nil {
			return received, err
		}
	}
	if in.self == e.c.Book.Identity() && (in.tag != pointer.DeviceTag{} || own.role.replaced) {
		e.putDue(ctx, key, c, report)
	}
	return received, nil
}

// putDue puts the record of a channel if it is due. One that acknowledges messages for the first
// time is added to those that putAcknowledgements puts, if another device has to have them first.
func (e *Exchange) putDue(ctx context.Context, key crypto.Signer, c *channel, report *Report) {
	if key == nil || !c.Due(e.c.Now()) {
		return
	}
	if e.c.Replicate != nil && c.role.several && c.Acknowledges() {
		report.acknowledgements = append(report.acknowledgements, c)
		return
	}
	if _, err := e.putRecord(ctx, c); err != nil {
		report.Errs = append(report.Errs, err)
	}
}

// putAcknowledgements puts the records that putDue has left, after one call of
// Config.Replicate.
func (e *Exchange) putAcknowledgements(ctx context.Context, report *Report) {
	if len(report.acknowledgements) == 0 {
		return
	}
	e.c.Replicate(ctx)
	errs := inParallel(report.acknowledgements, func(c *channel) error {
		defer e.lockChannel(c.party)()
		c, err := c.reopen() // it may have been used since
		if err != nil || !c.Due(e.c.Now()) {
			return err
		}
		_, err = e.putRecord(ctx, c)
		return err
	})
	report.acknowledgements = nil
	if err := errors.Join(errs...); err != nil {
		report.Errs = append(report.Errs, err)
	}
}

// inParallel calls a function for each value, at most maxParallel at a time, and returns the
// errors.
func inParallel[T any](all []T, do func(T) error) []error {
	errs := make([]error, len(all))
	slots := make(chan struct{}, maxParallel)
	var wg sync.WaitGroup
	for i, one := range all {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = do(one)
		})
	}
	wg.Wait()
	return errs
}
