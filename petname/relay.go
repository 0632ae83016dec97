package petname

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// A message of a mutual introduction is of use to the device of the owner that holds the session.
// Another device that receives one, and acknowledges it, relays it by an entry of the book.

const (
	tableRelayed     = "relayed"      // pointer of the sender ‖ RelayID → relayState
	tableRelayedEnds = "relayed ends" // end (8 bytes) ‖ key of the row of tableRelayed → empty

	// relayTime is how long a relayed message is stored: no session of package mutual lasts
	// longer.
	relayTime = 90 * 24 * time.Hour

	// maxRelayed bounds the stored messages of one sender.
	maxRelayed = 256
)

// RelayID identifies a relayed message: a hash of its sender and its body.
type RelayID [16]byte

// Relayed is a message of a mutual introduction that a device of the owner received from a
// contact, for another device. It is a claim of the device that relayed it: only a session that
// accepts it verifies it.
type Relayed struct {
	ID   RelayID
	By   pointer.Pointer // the sender
	Body []byte
}

// ErrTooManyRelayed is returned when too many messages of one sender are relayed.
var ErrTooManyRelayed = errors.New("too many messages of this contact are for other devices")

// wireRelay is a relayed message in an act.
type wireRelay struct {
	_    struct{} `cbor:",toarray"`
	By   []byte
	Body []byte
}

func (w wireRelay) check() error {
	if _, kind, err := mutual.SessionOf(w.Body); err != nil || kind == mutual.KindRequest {
		return fmt.Errorf("relayed message of kind %d: %w", kind, mutual.ErrInvalid)
	}
	if _, err := pointer.FromBytes(w.By); err != nil {
		return fmt.Errorf("sender %w", err)
	}
	return nil
}

func (w wireRelay) id() RelayID {
	h := sha256.New()
	h.Write([]byte("petnames/relay/v1\x00"))
	h.Write(w.By) // a multihash contains its length
	h.Write(w.Body)
	return RelayID(h.Sum(nil)[:16])
}

func (w wireRelay) row() []byte {
	id := w.id()
	return slices.Concat(w.By, id[:])
}

// relayState is the row of a relayed message.
type relayState struct {
	_       struct{} `cbor:",toarray"`
	At      int64    // ms since 1970: the earliest receipt by a device
	Body    []byte
	Entries [][]byte // the entries that have it, sorted: the first maxEntries
}

// end returns the time after which the body of the message is dropped, in ms since 1970.
func (s relayState) end() int64 { return s.At + relayTime.Milliseconds() }

// relay stores a relayed message. Devices that received the same one have one row for it.
func (f fold) relay(v *ledger.View, e ledger.Entry, w wireRelay) error {
	row := w.row()
	state, err := getState[relayState](v, tableRelayed, row)
	if err != nil {
		return err
	}
	if state.Body != nil {
		if err := v.Delete(tableRelayedEnds, endKey(state.end(), row)); err != nil {
			return err
		}
	}
	if at := e.Time().UnixMilli(); state.Body == nil || at < state.At {
		state.At = at
	}
	state.Body = w.Body
	if state.Entries = withKey(state.Entries, undoKey(e.ID())); len(state.Entries) > maxEntries {
		state.Entries = state.Entries[:maxEntries]
	}
	if err := v.Put(tableRelayedEnds, endKey(state.end(), row), []byte{}); err != nil {
		return err
	}
	return putState(v, tableRelayed, row, state)
}

// dropRelayed removes the rows of relayed messages of which all entries are dropped. done is
// false if there are other entries.
func (f fold) dropRelayed(v *ledger.View, dropped map[string][][]byte) (done bool, err error) {
	for row, entries := range dropped {
		state, err := getState[relayState](v, tableRelayed, []byte(row))
		if err != nil || len(state.Entries) >= maxEntries {
			return false, err
		}
		for _, key := range entries {
			state.Entries = withoutKey(state.Entries, key)
		}
		if len(state.Entries) > 0 {
			return false, nil
		}
		if err := v.Delete(tableRelayedEnds, endKey(state.end(), []byte(row))); err != nil {
			return false, err
		}
		if err := v.Delete(tableRelayed, []byte(row)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// Relay records a message of a contact for the owner's other devices, and reports whether it is
// new in the book. It returns [ErrTooManyRelayed] when the book has too many of this contact.
func (b *Book) Relay(by pointer.Pointer, body []byte) (isNew bool, err error) {
	w := wireRelay{By: by.Bytes(), Body: bytes.Clone(body)}
	err = b.update(func(tx *ledger.Tx) error {
		isNew = false
		known, err := tx.View().Get(tableRelayed, w.row())
		if err != nil || known != nil {
			return err
		}
		n := 0
		for _, err := range tx.View().Scan(tableRelayed, w.By) {
			if err != nil {
				return err
			}
			if n++; n >= maxRelayed {
				return fmt.Errorf("by %s: %w", by, ErrTooManyRelayed)
			}
		}
		isNew = true
		return appendAct(tx, act{Op: opRelay, Relay: &w})
	})
	return isNew && err == nil, err
}

// Relayed yields the messages that devices of the owner relayed, by sender.
func (b *Book) Relayed() iter.Seq2[Relayed, error] {
	return func(yield func(Relayed, error) bool) {
		var all []Relayed
		err := b.read(func(v *ledger.View) error {
			for kv, err := range v.Scan(tableRelayed, nil) {
				if err != nil {
					return err
				}
				var m Relayed
				state, err := decodeState[relayState](tableRelayed, kv.Value)
				if err != nil {
					return err
				}
				if len(kv.Key) < len(m.ID) {
					return errRow
				}
				n := len(kv.Key) - len(m.ID)
				copy(m.ID[:], kv.Key[n:])
				if m.By, err = pointer.Restore(kv.Key[:n]); err != nil {
					return err
				}
				m.Body = bytes.Clone(state.Body)
				all = append(all, m)
			}
			return nil
		})
		if err != nil {
			yield(Relayed{}, err)
			return
		}
		for _, m := range all {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// expiredRelayed returns the entries of at most limit relayed messages that ended before a time.
func expiredRelayed(v *ledger.View, before time.Time, limit int) (ids []ledger.ID, err error) {
	for kv, err := range v.Scan(tableRelayedEnds, nil) {
		if err != nil {
			return nil, err
		}
		if !endsBefore(kv.Key, before) || len(ids) >= limit {
			break
		}
		state, err := getState[relayState](v, tableRelayed, kv.Key[8:])
		if err != nil {
			return nil, err
		}
		if len(state.Entries) >= maxEntries {
			continue // entries over the bound would bring it back
		}
		if ids, err = appendEntries(ids, state.Entries); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
