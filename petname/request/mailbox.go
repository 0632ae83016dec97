package request

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Slots is the number of messages that a request mailbox holds in an epoch. [Fetch]
// does one look-up for each.
const Slots = 4

const (
	// maxAnswers bounds the answers of a store that are read for one slot,
	// maxVerified the different records that are verified, and maxOpened the newest
	// of these that are unsealed.
	maxAnswers  = 512
	maxVerified = 16
	maxOpened   = 2

	recordTTL = time.Minute // caches must not delay the next record
)

// ErrBlocked is returned by [Send] when the records in all slots of the epoch have the
// highest sequence, so that none can be replaced.
var ErrBlocked = errors.New("the request mailbox of the recipient is blocked: try again in two hours, or ask for an invitation")

// slot is the key of one record of a request mailbox.
type slot struct{ key *pointer.Key }

// slotOf returns slot n, from 0, of the mailbox of an owner in an epoch.
func slotOf(owner pointer.Pointer, epoch uint64, n int) slot {
	info, err := canonical.Marshal([]any{epoch, n})
	if err != nil {
		panic(err) // unreachable: two numbers
	}
	b, err := hkdf.Key(sha256.New, owner.Bytes(), []byte("petnames/doorstep/v1"), string(info), ed25519.SeedSize)
	if err != nil {
		panic(err) // unreachable: the length is constant
	}
	key, err := pointer.NewKey(bytes.NewReader(b))
	if err != nil {
		panic(err) // unreachable: any 32 bytes are a seed
	}
	return slot{key}
}

// sealInfo returns the info of the seal, which binds a payload to its record.
func sealInfo(p pointer.Pointer) []byte {
	return append([]byte("petnames/doorstep/seal/v1\x00"), p.Bytes()...)
}

// sealExtra returns the extra of the seal, which binds a payload to the sequence of its
// record.
func sealExtra(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// expiryOf returns the time at which the records of an epoch expire, the end of the
// next epoch: the stamps in them are invalid from then on.
func expiryOf(epoch uint64) time.Time {
	return time.Unix(int64((epoch+2)*uint64(EpochLength/time.Second)), 0).UTC()
}

// Send puts a message into the request mailbox of a pointer, sealed to one of the
// sealing keys of its card. The stamp has to be of the epoch of now. Send returns the
// store's errors, [ErrBlocked], and an error if the message is too long or empty.
func Send(ctx context.Context, store dht.Store, to pointer.Pointer, sealing []pointer.SealingKey, m Message, now time.Time) (dht.Receipt, error) {
	fail := func(err error) (dht.Receipt, error) {
		return dht.Receipt{}, fmt.Errorf("contact request to %s: %w", to, err)
	}
	plain, err := m.encode()
	if err != nil {
		return fail(err)
	}
	key, err := seal.SelectKey(sealing)
	if err != nil {
		return fail(err)
	}
	epoch := EpochAt(now)
	s, sequence, err := chooseSlot(ctx, store, to, epoch, m, now)
	if err != nil {
		return fail(err)
	}
	p := s.key.Pointer()
	payload, err := seal.Seal(key, sealInfo(p), sealExtra(sequence), []int{payloadSize}, plain)
	if err != nil {
		return fail(err)
	}
	rec, err := pointer.Sign(s.key, pointer.Fields{Sequence: sequence, Expires: expiryOf(epoch), TTL: recordTTL, Payload: payload})
	if err != nil {
		return fail(err)
	}
	receipt, err := store.Put(ctx, p, rec.Bytes())
	if err != nil {
		return receipt, fmt.Errorf("contact request to %s: %w", to, err)
	}
	return receipt, nil
}

// chooseSlot returns the first free slot, starting at the one that the hash of the
// statement selects, or else the first whose record can be replaced; and the sequence of
// the record to put there.
func chooseSlot(ctx context.Context, store dht.Store, to pointer.Pointer, epoch uint64, m Message, now time.Time) (slot, uint64, error) {
	hash := sha256.Sum256(m.Statement)
	var slots [Slots]slot
	for i := range slots {
		slots[i] = slotOf(to, epoch, (int(hash[0])+i)%Slots)
	}
	stored, err := fetchSlots(ctx, store, slots[:], now)
	if err != nil {
		return slot{}, 0, err
	}
	sequence := uint64(max(now.UnixMilli(), 0))
	for i, records := range stored {
		if len(records) == 0 {
			return slots[i], sequence, nil
		}
	}
	for i, records := range stored {
		if newest := records[0].Sequence(); newest < pointer.MaxSequence {
			return slots[i], max(sequence, newest+1), nil
		}
	}
	return slot{}, 0, ErrBlocked
}

// fetchSlots returns the newest records of each slot. It returns the errors of the
// store only if no slot could be read.
func fetchSlots(ctx context.Context, store dht.Store, slots []slot, now time.Time) ([][]pointer.Record, error) {
	records, errs := make([][]pointer.Record, len(slots)), make([]error, len(slots))
	var wg sync.WaitGroup
	for i, s := range slots {
		wg.Go(func() { records[i], errs[i] = newestRecords(ctx, store, s.key.Pointer(), now) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i, found := range records {
		if len(found) > 0 || errs[i] == nil {
			return records, nil
		}
	}
	return records, errors.Join(errs...)
}

// newestRecords returns the newest verified records of a pointer, at most maxOpened.
func newestRecords(ctx context.Context, store dht.Store, p pointer.Pointer, now time.Time) ([]pointer.Record, error) {
	return dht.Newest(ctx, store, p, now, dht.Bounds{Answers: maxAnswers, Verified: maxVerified, Returned: maxOpened})
}

// Fetch returns the messages in the request mailbox of the owner that are sealed to one
// of the keys, of this epoch and the previous one, at most 2 of each slot. The messages
// are not verified: see the package documentation. Fetch returns the errors of the
// store only if no slot could be read.
func Fetch(ctx context.Context, store dht.Store, owner pointer.Pointer, keys []hpke.PrivateKey, now time.Time) ([]Message, error) {
	epoch := EpochAt(now)
	epochs := []uint64{epoch}
	if epoch > 0 {
		epochs = append(epochs, epoch-1)
	}
	var slots []slot
	for _, epoch := range epochs {
		for n := range Slots {
			slots = append(slots, slotOf(owner, epoch, n))
		}
	}
	found, err := fetchSlots(ctx, store, slots, now)
	if err != nil {
		return nil, fmt.Errorf("request mailbox: %w", err)
	}
	var messages []Message
	for _, records := range found {
		for _, rec := range records {
			m, err := openMessage(keys, rec)
			if err != nil || slices.ContainsFunc(messages, func(other Message) bool {
				return bytes.Equal(other.Statement, m.Statement) && bytes.Equal(other.Stamp, m.Stamp)
			}) {
				continue // anyone can write to the slot
			}
			messages = append(messages, m)
		}
	}
	return messages, nil
}

// openMessage decrypts the message in a record. It verifies neither the statement nor
// the stamp.
func openMessage(keys []hpke.PrivateKey, rec pointer.Record) (Message, error) {
	payload := rec.Payload()
	if len(payload) != payloadSize {
		return Message{}, fmt.Errorf("payload of %d bytes, not %d", len(payload), payloadSize)
	}
	b, err := seal.Open(keys, sealInfo(rec.Pointer()), sealExtra(rec.Sequence()), payload)
	if err != nil {
		return Message{}, err
	}
	return decodeMessage(b)
}
