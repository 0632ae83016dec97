package replicate

import (
	"errors"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
)

// store is what a session reads and writes: a ledger, or a file of a Fetch. Its methods are
// called by two goroutines.
type store interface {
	heads() []ledger.Head
	missing(heads []ledger.Head) iter.Seq2[[]byte, error]
	merge(entries [][]byte) (added, waiting int, reported, err error)
	digest() ([]byte, error)
	admits() error // nil while the peer may receive entries
}

// ledgerStore is the store of a device that has a ledger.
type ledgerStore struct {
	*ledger.Ledger
	peer ledger.DeviceID
}

func (l ledgerStore) heads() []ledger.Head { return l.Heads() }

func (l ledgerStore) missing(heads []ledger.Head) iter.Seq2[[]byte, error] { return l.Missing(heads) }

func (l ledgerStore) merge(entries [][]byte) (added, waiting int, reported, err error) {
	added, left, err := l.MergePart(slices.Values(entries))
	if errors.Is(err, ledger.ErrFork) || errors.Is(err, ledger.ErrRefused) {
		reported, err = err, nil
	}
	return added, len(left), reported, err
}

func (l ledgerStore) digest() ([]byte, error) {
	h, err := l.Digest()
	return h[:digestSize], err
}

func (l ledgerStore) admits() error {
	if !admitted(l.Ledger, l.peer) {
		return ErrNotAdmitted
	}
	return nil
}
