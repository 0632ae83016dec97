package replicate

import (
	"bytes"
	"crypto/sha256"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Two devices can each regard the other one, or a third one, as removed: a thief of a device
// with the identity key removes the owner's, and the owner removes the thief's under a later key.
// The ledger decides which removal stands (ledger/settle.go), once it has both. But a device
// reads nothing that a removed one sends. A bundle is the exception: what one device wrote in its
// own log, for another one that has not acknowledged it. The recipient merges one that shows a
// later key alone, and answers nothing: by one key the hash of the statements decides, and a thief
// makes as many as it likes.

const (
	bundleDomain = "petnames/sync/bundle/v1\x00"

	// MaxBundle bounds the messages of a bundle.
	MaxBundle = 8
)

// bundle is one message of a bundle.
type bundle struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Channel []byte
	More    bool // another message follows
	Entries [][]byte
}

// own yields what this device wrote and the peer has not acknowledged.
func (p *Peer) own(l *ledger.Ledger) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for e, err := range l.Missing(fromHeads(p.s.Known)) {
			var h ledger.Head
			if err == nil {
				h, _, err = l.Identify(e)
			}
			if (err != nil || h.Device == l.Device()) && !yield(e, err) {
				return
			}
		}
	}
}

// Unacknowledged reports whether this device wrote something that the peer has not acknowledged.
func (p *Peer) Unacknowledged(l *ledger.Ledger) (bool, error) {
	for _, err := range p.own(l) {
		return err == nil, err
	}
	return false, nil
}

// Bundle returns what this device wrote and the peer has not acknowledged, in at most MaxBundle
// messages of at most 8192 bytes; nil if there is nothing, if it does not fit, or if it is not
// known what the peer has. The Peer is unchanged.
func (p *Peer) Bundle(l *ledger.Ledger) ([][]byte, error) {
	if err := p.check(l); err != nil || len(p.s.Known) == 0 {
		return nil, err
	}
	parts, size := [][][]byte{nil}, 0
	for e, err := range p.own(l) {
		if err != nil {
			return nil, err
		}
		if size += len(e) + 3; size > maxData {
			if parts, size = append(parts, nil), len(e)+3; size > maxData || len(parts) > MaxBundle {
				return nil, nil
			}
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], e)
	}
	if len(parts[0]) == 0 {
		return nil, nil
	}
	var out [][]byte
	for i, entries := range parts {
		out = append(out, canonical.MustMarshal(bundle{Version: version, Channel: bundleChannel(l.Book(), l.Device(), p.s.Device), More: i < len(parts)-1, Entries: entries}))
	}
	return out, nil
}

// MergeBundle merges a bundle of a device that is removed, whose messages next returns by their
// number; nil: there is none. It merges nothing unless the bundle has a removal that a later
// identity key signed than the one that removed the device (see
// [ledger.Ledger.RemovesUnderLaterKey]), and every entry is one of the device itself. A bundle with
// an error of its own is refused: see [IsRefused].
func MergeBundle(l *ledger.Ledger, from ledger.DeviceID, next func(number int) ([]byte, error)) (added int, err error) {
	var all [][]byte
	for i, more := 0, true; more; i++ {
		if i == MaxBundle {
			return 0, broken("a bundle of over %d messages", MaxBundle)
		}
		b, err := next(i)
		if err != nil || b == nil {
			return 0, err
		}
		m, err := parseBundle(b)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(m.Channel, bundleChannel(l.Book(), from, l.Device())) {
			return 0, broken("a bundle of another book, or between other devices")
		}
		all, more = append(all, m.Entries...), m.More
	}
	later, err := l.RemovesUnderLaterKey(from, all)
	if err != nil || !later {
		return 0, err
	}
	added, _, _, err = ledgerStore{Ledger: l}.merge(all)
	return added, err
}

func parseBundle(b []byte) (m bundle, err error) {
	if len(b) > 1 && isNewer(b[1]) {
		return m, ErrNewer
	}
	if err := canonical.Unmarshal(b, &m, canonical.Bounds{Size: maxMessage, Elements: 1 << 10, Pairs: 16}); err != nil {
		return m, broken("a bundle that %w", err)
	}
	if m.Version != version || len(m.Entries) == 0 {
		return m, broken("no bundle")
	}
	return m, nil
}

// bundleChannel returns the identifier of the bundles from a device to another one.
func bundleChannel(book ledger.BookID, from, to ledger.DeviceID) []byte {
	h := sha256.Sum256(slices.Concat([]byte(bundleDomain), book[:], from[:], to[:]))
	return h[:16]
}
