package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// A mailbox is a pointer in a store whose key both sides derive from shared input. Each
// side puts messages for the other into it, as payloads of records. Any party with the
// input can write into it, so a mailbox does not authenticate a message.
type mailbox struct {
	key *pointer.Key

	// ended makes fetch return messages that have ended, too: by the clock of a side that
	// is far ahead, those of the other side have.
	ended bool
}

// The mailboxes of a slot.
const (
	mailboxOffer      = "offer"
	mailboxAcceptance = "take"
	mailboxAnswer     = "answer"
)

const (
	// maxAnswers bounds the answers of one look-up.
	maxAnswers = 512

	// maxMessage bounds a message, in bytes.
	maxMessage = 8 << 10

	// recordTTL is the TTL of the record of a message: caches must not delay the next one.
	recordTTL = 10 * time.Second
)

// newMailbox returns the mailbox with the key that is derived from these inputs.
func newMailbox(secret, salt []byte, info string) mailbox {
	key, err := pointer.NewKey(bytes.NewReader(derive(secret, salt, info, 32)))
	if err != nil {
		panic(err) // unreachable: any 32 bytes are a seed
	}
	return mailbox{key: key}
}

// mailboxKey returns the key of a mailbox of the slot.
func (s slot) mailboxKey(name string) *pointer.Key { return s.mailbox(name).key }

// mailbox returns a mailbox of the slot.
func (s slot) mailbox(name string) mailbox {
	return newMailbox(s.id(), nil, "petnames/pair/code/v1 "+name)
}

// storedMessage is the message in a mailbox.
type storedMessage struct {
	message  []byte
	sequence uint64
	present  bool // false: the mailbox is empty
}

// fetchAll fetches several mailboxes at once, as each fetch may query a network.
func fetchAll(ctx context.Context, store dht.Store, now time.Time, mailboxes []mailbox) ([]storedMessage, error) {
	all, failures := make([]storedMessage, len(mailboxes)), make([]error, len(mailboxes))
	var fetches sync.WaitGroup
	for n, m := range mailboxes {
		fetches.Go(func() { all[n], _, failures[n] = m.fetch(ctx, store, now) })
	}
	fetches.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err // of the network: the first suffices
		}
	}
	return all, nil
}

// fetch returns the newest message in the store's answers that has not ended (see
// mailbox); ok is false if there is none. It returns the error of the store only if no
// message was found.
func (b mailbox) fetch(ctx context.Context, store dht.Store, now time.Time) (f storedMessage, ok bool, err error) {
	p := b.key.Pointer()
	var best pointer.Record
	count := 0
	var storeErr error
	for a, err := range store.Get(ctx, p) {
		if count++; count > maxAnswers {
			break
		}
		if err != nil && a.Peer == "" {
			storeErr = err
		}
		if a.Record == nil {
			continue
		}
		rec, ended, err := pointer.OpenExpired(p, a.Record, now)
		if err != nil || ended && !b.ended || len(rec.Payload()) > maxMessage {
			continue // invalid, ended, or too long
		}
		if !ok || rec.Compare(best) > 0 {
			best, ok = rec, true
		}
	}
	switch {
	case ok:
		return storedMessage{best.Payload(), best.Sequence(), true}, true, nil
	case ctx.Err() != nil:
		return storedMessage{}, false, ctx.Err()
	case storeErr != nil:
		return storedMessage{}, false, fmt.Errorf("looking for the peer: %w", storeErr)
	}
	return storedMessage{}, false, nil
}

// put puts a message. It succeeds if at least one peer stored it, even if the store aims at
// more: the other side may find it there, and a lost message is put again.
func (b mailbox) put(ctx context.Context, store dht.Store, message []byte, sequence uint64, expires time.Time) error {
	rec, err := pointer.Sign(b.key, pointer.Fields{Sequence: sequence, Expires: expires, TTL: recordTTL, Payload: message})
	if err != nil {
		return final(err)
	}
	receipt, err := store.Put(ctx, b.key.Pointer(), rec.Bytes())
	if short, ok := errors.AsType[*dht.ShortError](err); ok && (short.Receipt.Stored > 0 || receipt.Stored > 0) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sending a message to the peer: %w", err)
	}
	return nil
}
