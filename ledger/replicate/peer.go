package replicate

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	channelDomain = "petnames/sync/messages/v1\x00"

	maxMessage = 8192            // bytes: the bound of a message of dht/drop
	maxData    = maxMessage - 48 // bytes of the stream in one message
	roundSize  = 448 << 10       // bytes of entries after which a round ends
	maxRound   = 128             // messages of a round
	groupSize  = 4 << 10         // bytes of entries of one item
	maxKnown   = 2 * maxHeads    // heads of a list in a Peer

	roundIDSize = 8
)

// Peer is what a device stores of the exchange of messages with another one. Each side
// sends rounds: its heads, and the entries that the other one lacks as far as is known. A
// round is sent when the peer lacks something, when the side data has changed, and when
// either side does not know the other one's heads. While an earlier one is not acknowledged, only
// small ones follow, with the entries that were written since. When both have everything, neither
// sends.
//
// Rounds may be lost or repeated, and either device may return to an earlier state, as from
// a backup: the next round that arrives shows what is missing, and the devices converge. What
// is stored of the peer's heads is what it had, and a hint only: [Peer.Ask] makes a device that
// returned to an earlier state, or the peer of which did, converge although neither of the two
// writes.
//
// Messages are hostile until verified, as over a connection: a message, and an item that
// has partly arrived, have the bounds of the package. A Peer is for one goroutine.
type Peer struct {
	// Result is what the calls of Outgoing and Incoming did since the Peer was made or
	// decoded. Equal, More and Bytes are not set. It is not encoded.
	Result Result

	s   peerState
	ask bool // the next round asks for the heads of the peer
}

// peerState is the encoded form of a Peer.
type peerState struct {
	_      struct{} `cbor:",toarray"`
	Format uint64
	Device [32]byte

	Known   []head // that the peer has; of devices that it does not have, none
	Stated  []head // by its last hello
	Heard   bool   // it has stated its heads
	Settled bool   // its last round is over, and had all that it would send
	Asked   []byte // the hash of Stated and the own heads when it was asked for a round; empty: it was not
	Owed    bool   // it asked for a round

	Sending      []byte // the last round that is not acknowledged; empty: none
	SendingHeads []head // the last entries of all such rounds; empty if a hello shows what the peer has of them
	SendingAfter []head // of Known and of earlier SendingHeads, those that they follow on
	SendingOffer []byte // the hash of the side data of the last round

	Round   []byte // that is partly received; empty: none
	Next    uint64 // number of its next message
	Begun   bool   // its hello is processed
	Stream  []byte // an item of it that is partly received
	Skipped []byte // one of which the rest is passed over

	Offer   []byte // side data for the peer
	Offered []byte // the hash of what the peer has of it
	Side    []byte // of the peer
}

// stateBounds are the bounds of a peerState.
var stateBounds = canonical.Bounds{Size: 1 << 20, Elements: 1 << 14, Pairs: 16}

// NewPeer returns the state of an exchange that has not begun.
func NewPeer(device ledger.DeviceID) *Peer {
	p := &Peer{Result: Result{Peer: device}}
	p.s = peerState{Format: version, Device: device, Known: []head{}, Stated: []head{}, Asked: []byte{}, SendingHeads: []head{}, SendingAfter: []head{},
		Sending: []byte{}, SendingOffer: []byte{}, Round: []byte{}, Stream: []byte{}, Skipped: []byte{},
		Offer: []byte{}, Offered: []byte{}, Side: []byte{}}
	return p
}

// MarshalBinary returns the Peer in canonical CBOR: at most 1 MiB.
func (p *Peer) MarshalBinary() ([]byte, error) { return canonical.Marshal(p.s) }

// UnmarshalBinary reads the output of MarshalBinary.
func (p *Peer) UnmarshalBinary(b []byte) error {
	var s peerState
	if err := canonical.Unmarshal(b, &s, stateBounds); err != nil {
		return fmt.Errorf("the state of a peer %w", err)
	}
	if s.Format != version {
		return fmt.Errorf("the state of a peer is of version %d, this program knows %d", s.Format, version)
	}
	*p = Peer{Result: Result{Peer: s.Device, Side: s.Side}, s: s}
	return nil
}

// Assume sets what the peer has, as far as is known without a message from it: what it handed over,
// what was handed to it, or [Result].Heads of a connection. So the next round has what this device
// wrote since.
func (p *Peer) Assume(heads []ledger.Head) { p.s.Known = limit(heads) }

// assumed reports whether what the peer has is known by Assume alone.
func (p *Peer) assumed() bool { return !p.s.Heard && len(p.s.Stated) == 0 && len(p.s.Known) > 0 }

// Unknown reports whether nothing is known of what the peer has: no message of it was received, and
// nothing was assumed.
func (p *Peer) Unknown() bool { return !p.known() && len(p.s.Stated) == 0 }

// known reports whether anything is known of what the peer has.
func (p *Peer) known() bool { return p.s.Heard || p.assumed() }

// Ask makes the next round that Outgoing returns ask for the heads of the peer, which the peer
// answers, whatever is known of them. It is not encoded.
func (p *Peer) Ask() { p.ask = true }

// Asked reports whether no round is to be sent for [Peer.Ask] any more.
func (p *Peer) Asked() bool { return !p.ask }

// Offer sets the side data for the peer: at most 64 KiB. It is sent when it changes.
func (p *Peer) Offer(side []byte) error {
	if err := checkOffer(side); err != nil {
		return err
	}
	p.s.Offer = append([]byte{}, side...)
	return nil
}

// Side returns the side data that the peer sent last; none if it is empty, and none until all
// entries that the peer sends with it are merged: one of them may remove a device.
func (p *Peer) Side() []byte {
	if !p.s.Settled {
		return nil
	}
	return bytes.Clone(p.s.Side)
}

// UnknownOwn returns those heads of this device's log that the peer stated last and that the
// ledger does not have: another copy of the ledger's file wrote these entries, or the file was
// replaced by an older copy, or the peer lies. Of one that is true the entries follow.
func (p *Peer) UnknownOwn(l *ledger.Ledger) ([]ledger.Head, error) {
	own := slices.DeleteFunc(fromHeads(p.s.Stated), func(h ledger.Head) bool { return h.Device != l.Device() })
	if len(own) == 0 {
		return nil, nil
	}
	return l.Lacks(own)
}

// offerHash returns the hash of the side data for the peer: empty for none.
func (p *Peer) offerHash() []byte {
	if len(p.s.Offer) == 0 {
		return []byte{}
	}
	h := sha256.Sum256(p.s.Offer)
	return h[:]
}

// check returns the error for a peer with which nothing is exchanged.
func (p *Peer) check(l *ledger.Ledger) error {
	id := ledger.DeviceID(p.s.Device)
	switch {
	case id == l.Device():
		return fmt.Errorf("sync with %v: %w", id, ErrSelf)
	case !admitted(l, id):
		return fmt.Errorf("sync with %v: %w", id, ErrNotAdmitted)
	}
	return nil
}

// channel returns the identifier of the messages from a device to another one.
func channel(book ledger.BookID, from, to ledger.DeviceID) []byte {
	h := sha256.Sum256(slices.Concat([]byte(channelDomain), book[:], from[:], to[:]))
	return h[:16]
}
