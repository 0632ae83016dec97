package exchange

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Handover is what an admitted device makes a home of, beside the entries of the book. Its
// parts are opaque here, but for the book's.
type Handover struct {
	Identity  []byte          // the file of the identity key
	Sealing   []byte          // the file of the sealing keys
	Creator   pointer.Pointer // the identity that created the book
	Former    [][]byte        // the last records of former keys, oldest first; empty: not known
	Inviter   ledger.DeviceID // which handed it over
	Addresses [][]byte        // of that one
	Book      ledger.BookID
}

// wireHandover is the encoding of a Handover.
type wireHandover struct {
	Version   int      `cbor:"1,keyasint"`
	Identity  []byte   `cbor:"2,keyasint"`
	Sealing   []byte   `cbor:"3,keyasint"`
	Creator   []byte   `cbor:"4,keyasint"`
	Former    [][]byte `cbor:"5,keyasint,omitempty"`
	Inviter   []byte   `cbor:"6,keyasint"`
	Addresses [][]byte `cbor:"7,keyasint,omitempty"`
	Book      []byte   `cbor:"8,keyasint"`
}

func (h Handover) encode() ([]byte, error) {
	return canonical.Marshal(wireHandover{1, h.Identity, h.Sealing, h.Creator.Bytes(), h.Former, h.Inviter[:], h.Addresses, h.Book[:]})
}

// ErrNewerHandover is returned for a handover by a newer version of the program.
var ErrNewerHandover = errors.New("the other device has a newer version of this program: update this one")

func decodeHandover(b []byte) (Handover, error) {
	var w wireHandover
	if err := canonical.UnmarshalLoose(b, &w, canonical.Bounds{Size: maxHandover}); err != nil {
		return Handover{}, fmt.Errorf("handover: %w", err)
	}
	if w.Version != 1 {
		return Handover{}, fmt.Errorf("handover of version %d: %w", w.Version, ErrNewerHandover)
	}
	creator, err := pointer.FromBytes(w.Creator)
	if err != nil || len(w.Inviter) != ed25519.PublicKeySize || len(w.Book) != len(ledger.BookID{}) {
		return Handover{}, errors.Join(errors.New("handover: it names no creator, no device or no book"), err)
	}
	return Handover{w.Identity, w.Sealing, creator, w.Former, ledger.DeviceID(w.Inviter), w.Addresses, ledger.BookID(w.Book)}, nil
}

// wireChunk is a message of the channel: a part of the CBOR byte strings of the handover and
// the entries, in this order. A sender that was restarted begins a new generation, which
// replaces the earlier ones.
type wireChunk struct {
	_          struct{} `cbor:",toarray"`
	Version    int
	Generation uint64
	Index      uint64
	Last       bool
	Bytes      []byte
}

// refuses reports whether a chunk is the answer to a device that was removed before it had the
// book: nothing follows. To an earlier version of the program it is a chunk without a book.
func (w wireChunk) refuses() bool { return w.Index == 0 && w.Last && len(w.Bytes) == 0 }

func decodeChunk(b []byte) (wireChunk, error) {
	var w wireChunk
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{Size: drop.MaxMessage}); err != nil {
		return wireChunk{}, fmt.Errorf("handover: %w", err)
	}
	if w.Version != 1 {
		return wireChunk{}, fmt.Errorf("handover of version %d: %w", w.Version, ErrNewerHandover)
	}
	return w, nil
}

// wireAdmission is the row of an invitation that admits a device.
type wireAdmission struct {
	_        struct{} `cbor:",toarray"`
	Name     string
	WithKey  bool
	Identity []byte
}

// wireNewcomer is the row of a device that has paired.
type wireNewcomer struct {
	_          struct{} `cbor:",toarray"`
	Invitation string
	Name       string
	WithKey    bool
	Identity   []byte
	Sealing    []pointer.SealingKey
	Addresses  [][]byte
	Since      int64 // ms since 1970
	Generation uint64
	Sent       bool // all chunks of the generation are in the channel; without an Identity: the refusal is
}

// handover is what is being sent to a device: byte strings, of which the last ones are entries
// of the book.
type handover struct {
	generation uint64
	index      uint64                      // of the next chunk
	pending    []byte                      // not in a chunk yet
	heads      map[ledger.Hash]ledger.Head // of the entries that are in a chunk or pending
	ended      bool                        // the last chunk was returned
}

// next returns up to n more chunks.
func (h *handover) next(l *ledger.Ledger, n int) (chunks []wireChunk, err error) {
	whole := true
	for b, err := range l.Missing(slices.Collect(maps.Values(h.heads))) {
		if err != nil {
			return nil, err
		}
		head, prev, err := l.Identify(b)
		if err == nil {
			err = h.add(b)
		}
		if err != nil {
			return nil, err
		}
		delete(h.heads, prev)
		h.heads[head.Hash] = head
		if whole = len(h.pending) < n*maxChunk; !whole {
			break
		}
	}
	for ; n > 0 && !h.ended && (whole || len(h.pending) >= maxChunk); n-- {
		size := min(len(h.pending), maxChunk)
		h.ended = whole && size == len(h.pending)
		chunks = append(chunks, wireChunk{Version: 1, Generation: h.generation, Index: h.index, Last: h.ended, Bytes: bytes.Clone(h.pending[:size])})
		h.pending, h.index = h.pending[size:], h.index+1
	}
	return chunks, nil
}

// add appends a byte string.
func (h *handover) add(b []byte) error {
	encoded, err := canonical.Marshal(b)
	h.pending = append(h.pending, encoded...)
	return err
}
