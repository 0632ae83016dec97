package replicate

import (
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/ledger"
)

var (
	// ErrNotAdmitted is returned for a peer that is no device of the book, or was removed.
	// Nothing is sent to it.
	ErrNotAdmitted = errors.New("it is no device of the book, or was removed")

	// ErrSelf is returned for a peer that has the key of this device: it is this device,
	// or a copy of its files.
	ErrSelf = errors.New("it has the key of this device: it is this device, or a copy of it")

	// ErrNoAnswer is returned when the peer closes the connection in the handshake, which
	// it does for devices that it does not admit, and of other books.
	ErrNoAnswer = errors.New("it closed the connection without an answer: it does not admit this device, or is no device of this book")

	// ErrNewer is returned when the peer's program has a newer version of the protocol.
	// Nothing has changed.
	ErrNewer = errors.New("its program is of a newer version, which this one does not know")

	// ErrMissing is returned for a message of which one before it is missing: an earlier state of
	// this device received that, before it was replaced by a backup, or another copy of this
	// device did, or the peer left it out. The peer is asked for another round.
	ErrMissing error = missingError{}

	errProtocol = errors.New("it broke the protocol")
)

// missingError is the type of ErrMissing. It is an errProtocol, although the peer need not be the
// cause.
type missingError struct{}

func (missingError) Error() string {
	return "a message before it is missing here, as after a restored backup, or if a copy of this device has received it; the other device is asked for it again"
}

func (missingError) Is(target error) bool { return target == errProtocol }

// maxSide is the bound of side data, in bytes.
const maxSide = 64 << 10

// Options are the options of a call. The zero value is usable.
type Options struct {
	// Offer is sent to the peer, beside the entries: at most 64 KiB.
	Offer []byte

	// OfferTo returns the Offer for the peer, the key of which is verified; nil: Offer is sent.
	OfferTo func(peer ledger.DeviceID) ([]byte, error)

	// Receive is called with the peer's Offer, empty or not, after all of the peer's entries are
	// merged, and before that is acknowledged; not if the peer has more for another call. If it
	// returns an error, the call returns that error, and the call of the peer fails.
	Receive func(peer ledger.DeviceID, side []byte) error

	maxReceive int64 // for tests; 0: the bound of the package
	maxSend    int64
}

// Result is what a call did. It is a plain value, and valid after an error as well.
type Result struct {
	Peer     ledger.DeviceID // zero if the peer did not prove it
	Received int             // new entries that count; of a Fetch all that were written
	Sent     int             // entries
	Waiting  int             // received entries that build on others that are not here: a later call may bring those
	More     bool            // one of the two has more to send than one call does: call again
	Equal    bool            // the same entries count on both, as each stated at the end
	Side     []byte          // the peer's Offer
	Reported error           // of [ledger.Ledger.MergePart]: the first entry that does not count, or does not verify
	Heads    []ledger.Head   // of this device, up to which the peer has received all entries; nil: not known, as after an error
	Bytes    struct {        // on the connection, in each direction
		Received, Sent int64
	}
}

func checkOffer(side []byte) error {
	if len(side) > maxSide {
		return fmt.Errorf("an offer of %d bytes, at most %d", len(side), maxSide)
	}
	return nil
}

// admitted reports whether a device counts in the book and is not removed.
func admitted(l *ledger.Ledger, id ledger.DeviceID) bool {
	for _, d := range l.Devices() {
		if d.ID == id {
			return !d.Removed
		}
	}
	return false
}
