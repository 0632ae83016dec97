package replicate

import (
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The items of the streams of a connection and of rounds of messages: see doc.go.
const (
	version = 1

	kindHello   = 1
	kindEntries = 2
	kindDone    = 3

	maxHeads = 1024      // of one hello
	maxItem  = 192 << 10 // bytes
)

var (
	helloBounds   = canonical.Bounds{Size: maxItem, Elements: maxHeads, Pairs: 16}
	entriesBounds = canonical.Bounds{Size: maxItem, Elements: 1024, Pairs: 16}
)

// hello states what its sender has.
type hello struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint64
	Version uint64
	Heads   []head
	Same    []byte
	Ask     bool
	Side    []byte
}

// head is a ledger.Head.
type head struct {
	_      struct{} `cbor:",toarray"`
	Device [32]byte
	Number uint64
	Hash   [32]byte
}

// entries are some of the entries that the peer lacks.
type entries struct {
	_       struct{} `cbor:",toarray"`
	Kind    uint64
	State   uint64
	Entries [][]byte
}

// The states of entries.
const (
	stateMore    = 0 // others follow
	stateLast    = 1
	stateLimited = 2 // the last of this call or round, and there are more
)

// done acknowledges the entries of the peer.
type done struct {
	_      struct{} `cbor:",toarray"`
	Kind   uint64
	Digest []byte
}

// digestSize is the size of the digest in a done; 0 is one of a device without a ledger.
const digestSize = 16

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errProtocol, fmt.Errorf(format, args...))
}

// parseHello reads a hello. Its version is checked before its form.
func parseHello(b []byte) (h hello, err error) {
	if len(b) > 2 && b[1] == kindHello && isNewer(b[2]) {
		return h, ErrNewer
	}
	if err := canonical.Unmarshal(b, &h, helloBounds); err != nil {
		return h, broken("a hello that %w", err)
	}
	if h.Kind != kindHello || h.Version != version || h.Heads == nil || h.Same == nil || h.Side == nil || len(h.Side) > maxSide {
		return h, broken("no hello")
	}
	return h, nil
}

// isNewer reports whether the byte starts an integer that is a later version.
func isNewer(b byte) bool { return b>>5 == 0 && b > version }

func parseEntries(b []byte) (e entries, err error) {
	if err := canonical.Unmarshal(b, &e, entriesBounds); err != nil {
		return e, broken("entries that %w", err)
	}
	if e.Kind != kindEntries || e.State > stateLimited || e.Entries == nil {
		return e, broken("no entries")
	}
	return e, nil
}

func parseDone(b []byte) (d done, err error) {
	if err := canonical.Unmarshal(b, &d, entriesBounds); err != nil {
		return d, broken("a done that %w", err)
	}
	if d.Kind != kindDone || d.Digest == nil || len(d.Digest) != digestSize && len(d.Digest) != 0 {
		return d, broken("no done")
	}
	return d, nil
}

// toHeads returns heads for the wire.
func toHeads(heads []ledger.Head) []head {
	out := make([]head, 0, len(heads))
	for _, h := range heads {
		out = append(out, head{Device: h.Device, Number: h.Number, Hash: h.Hash})
	}
	return out
}

func fromHeads(heads []head) []ledger.Head {
	out := make([]ledger.Head, 0, len(heads))
	for _, h := range heads {
		out = append(out, ledger.Head{Device: h.Device, Number: h.Number, Hash: h.Hash})
	}
	return out
}
