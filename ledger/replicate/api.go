package replicate

// The bodies follow.

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"iter"

	"github.com/petnames-go/petnames/ledger"
)

// Dial exchanges entries with a peer over a connection, as the side that opened it. device
// is the key of the ledger's device. conn is closed before Dial returns, and when ctx ends,
// which must end reads and writes that wait.
func Dial(ctx context.Context, l *ledger.Ledger, device ed25519.PrivateKey, conn io.ReadWriteCloser, peer ledger.DeviceID, o Options) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Accept is Dial for the side that accepted the connection. Result.Peer is the peer.
func Accept(ctx context.Context, l *ledger.Ledger, device ed25519.PrivateKey, conn io.ReadWriteCloser, o Options) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Fetch is Dial for a device that was admitted to a book and has no ledger yet. It writes
// the entries to to, for [Read]. If to is an *os.File that is open for reading and writing,
// or has its methods, Fetch continues after the entries that earlier calls wrote to it, and
// first cuts off one that is incomplete. Otherwise it writes all entries of the book.
func Fetch(ctx context.Context, book ledger.BookID, device ed25519.PrivateKey, conn io.ReadWriteCloser, peer ledger.DeviceID, to io.Writer, o Options) (Result, error) {
	return Result{}, errors.ErrUnsupported
}

// Read yields the entries that [Fetch] wrote, for [ledger.Join]. Nothing of them is
// verified. It yields an error, and ends, where they end too early or are damaged.
func Read(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) { yield(nil, errors.ErrUnsupported) }
}

// Peer is what a device stores of the exchange of messages with another one.
type Peer struct {
	// Result is what the calls of Outgoing and Incoming did since the Peer was made or
	// decoded. It is not encoded.
	Result Result
}

// NewPeer returns the state of an exchange that has not begun.
func NewPeer(device ledger.DeviceID) *Peer { return &Peer{Result: Result{Peer: device}} }

// Offer sets the side data for the peer: at most 64 KiB. It is sent when it changes.
func (p *Peer) Offer(side []byte) error { return errors.ErrUnsupported }

// Side returns the side data that the peer sent last; nil if it sent none.
func (p *Peer) Side() []byte { return nil }

// Outgoing returns the messages to send now, each of at most 8192 bytes and together about
// 512 KiB: none while earlier ones are not acknowledged, and none if the peer has
// everything. Peer and messages are to be stored in one transaction.
func (p *Peer) Outgoing(l *ledger.Ledger) ([][]byte, error) { return nil, errors.ErrUnsupported }

// Acknowledged states that the peer has processed all messages that Outgoing returned.
// Call it after Incoming of the messages that were received before or with the
// acknowledgement; in another order some entries are sent twice.
func (p *Peer) Acknowledged() {}

// Incoming processes a message of the peer, and merges what is complete. After an error
// of the message, and not of the ledger, the Peer is unchanged and the message is to be
// acknowledged like any other.
func (p *Peer) Incoming(l *ledger.Ledger, message []byte) error { return errors.ErrUnsupported }

// MarshalBinary returns the Peer in canonical CBOR: at most 512 KiB.
func (p *Peer) MarshalBinary() ([]byte, error) { return nil, errors.ErrUnsupported }

// UnmarshalBinary reads the output of MarshalBinary.
func (p *Peer) UnmarshalBinary(b []byte) error { return errors.ErrUnsupported }
