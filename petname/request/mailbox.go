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

// Slots is how many letters a doorstep has room for at a time: each is a
// look-up whenever its owner looks.
const Slots = 4

const (
	// maxAnswers bounds what is taken from a store for one place, maxVerified
	// how many different records of these are verified, and maxOpened how many
	// of the newest are unsealed.
	maxAnswers  = 512
	maxVerified = 16
	maxOpened   = 2

	recordTTL = time.Minute
)

// ErrBlocked: all places are taken by records that nothing can be put over.
var ErrBlocked = errors.New("somebody has blocked their doorstep: try again in some hours, or ask for an invitation by another way")

// slot is one of a doorstep.
type slot struct{ key *pointer.Key }

func slotOf(owner pointer.Pointer, epoch uint64, n int) slot {
	info, err := canonical.Marshal([]any{epoch, n})
	if err != nil {
		panic(err) // unreachable: two numbers
	}
	b, err := hkdf.Key(sha256.New, owner.Bytes(), []byte("petnames/doorstep/v1"), string(info), ed25519.SeedSize)
	if err != nil {
		panic(err) // unreachable: the length is a fixed one
	}
	key, err := pointer.NewKey(bytes.NewReader(b))
	if err != nil {
		panic(err) // unreachable: any 32 bytes are a key's
	}
	return slot{key}
}

func sealInfo(at pointer.Pointer) []byte {
	return append([]byte("petnames/doorstep/seal/v1\x00"), at.Bytes()...)
}

func sealExtra(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// expiryOf is when the records of a seed end: with the last moment at which their
// stamps are good.
func expiryOf(epoch uint64) time.Time {
	return time.Unix(int64((epoch+2)*uint64(EpochLength/time.Second)), 0).UTC()
}

// Send puts a letter onto somebody's doorstep, with the seed of now, for which
// its stamp has to be. Errors are the store's, or [ErrBlocked].
func Send(ctx context.Context, store dht.Store, to pointer.Pointer, sealing []pointer.SealingKey, m Message, now time.Time) (dht.Receipt, error) {
	fail := func(err error) (dht.Receipt, error) {
		return dht.Receipt{}, fmt.Errorf("letter to %s: %w", to, err)
	}
	plain, err := m.encode()
	if err != nil {
		return fail(err)
	}
	key, err := seal.Pick(sealing)
	if err != nil {
		return fail(err)
	}
	epoch := EpochAt(now)
	at, sequence, err := chooseSlot(ctx, store, to, epoch, m, now)
	if err != nil {
		return fail(err)
	}
	p := at.key.Pointer()
	payload, err := seal.Seal(key, sealInfo(p), sealExtra(sequence), []int{payloadSize}, plain)
	if err != nil {
		return fail(err)
	}
	rec, err := pointer.Sign(at.key, pointer.Fields{Sequence: sequence, Expires: expiryOf(epoch), TTL: recordTTL, Payload: payload})
	if err != nil {
		return fail(err)
	}
	receipt, err := store.Put(ctx, p, rec.Bytes())
	if err != nil {
		return receipt, fmt.Errorf("letter to %s: %w", to, err)
	}
	return receipt, nil
}

// chooseSlot takes the first free place from the one that the statement's hash
// says, or else the first of them that can be written over.
func chooseSlot(ctx context.Context, store dht.Store, to pointer.Pointer, epoch uint64, m Message, now time.Time) (slot, uint64, error) {
	hash := sha256.Sum256(m.Statement)
	var slots [Slots]slot
	for i := range slots {
		slots[i] = slotOf(to, epoch, (int(hash[0])+i)%Slots)
	}
	taken, err := fetchSlots(ctx, store, slots[:], now)
	if err != nil {
		return slot{}, 0, err
	}
	sequence := uint64(max(now.UnixMilli(), 0))
	for i, records := range taken {
		if len(records) == 0 {
			return slots[i], sequence, nil
		}
	}
	for i, records := range taken {
		if newest := records[0].Sequence(); newest < pointer.MaxSequence {
			return slots[i], max(sequence, newest+1), nil
		}
	}
	return slot{}, 0, ErrBlocked
}

// fetchSlots gives the newest records at each place. An error is the store's, and
// comes only when nothing at all did.
func fetchSlots(ctx context.Context, store dht.Store, slots []slot, now time.Time) ([][]pointer.Record, error) {
	records, errs := make([][]pointer.Record, len(slots)), make([]error, len(slots))
	var wg sync.WaitGroup
	for i, at := range slots {
		wg.Go(func() { records[i], errs[i] = newestRecords(ctx, store, at.key.Pointer(), now) })
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

// newestRecords gives the newest records under a pointer that verify, at most maxOpened.
func newestRecords(ctx context.Context, store dht.Store, p pointer.Pointer, now time.Time) ([]pointer.Record, error) {
	return dht.Newest(ctx, store, p, now, dht.Bounds{Answers: maxAnswers, Verified: maxVerified, Kept: maxOpened})
}

// Fetch gives the letters on my doorstep that are sealed to one of the keys, at
// most 2 of each place. All that is in them is hostile: see the package's doc.
// An error is the store's, and comes only when nothing could be looked at.
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
		return nil, fmt.Errorf("my doorstep: %w", err)
	}
	var messages []Message
	for _, records := range found {
		for _, rec := range records {
			m, err := openMessage(keys, rec)
			if err != nil || slices.ContainsFunc(messages, func(o Message) bool { return bytes.Equal(o.Statement, m.Statement) && bytes.Equal(o.Stamp, m.Stamp) }) {
				continue // anybody can leave anything there
			}
			messages = append(messages, m)
		}
	}
	return messages, nil
}

func openMessage(keys []hpke.PrivateKey, rec pointer.Record) (Message, error) {
	payload := rec.Payload()
	if len(payload) != payloadSize {
		return Message{}, fmt.Errorf("letter of %d bytes, not %d", len(payload), payloadSize)
	}
	b, err := seal.Open(keys, sealInfo(rec.Pointer()), sealExtra(rec.Sequence()), payload)
	if err != nil {
		return Message{}, err
	}
	return decodeMessage(b)
}
