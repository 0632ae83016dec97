package petname

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Book is a book of petnames: a state machine over the entries of a ledger. In
// it a petname has exactly one contact and a contact at most one petname, after
// any operation and any merge. Its methods may be called from several
// goroutines. Only one process can have a book open.
type Book struct {
	ledger *ledger.Ledger
	now    func() time.Time
	// the owner's pointers, in the order of the succession; nil: the ledger's identity alone
	own      atomic.Pointer[[]pointer.Pointer]
	ownChain atomic.Pointer[[]pointer.Succession] // from the identity that created the book
	notify   func(Event)                          // Options.OnChange
	// the transaction of a book that Update passes to its function; otherwise nil
	tx      *ledger.Tx
	partial error // of such a book: a change that was refused after a part of it
}

// Options are the options of [Create] and [Open]. The zero value is usable.
type Options struct {
	Now  func() time.Time // nil: time.Now
	Rand io.Reader        // nil: crypto/rand
	// how long to wait while another process has the book open; 0: not at all
	Wait       time.Duration
	DeviceName string // for Create: the device's name in the ledger

	// For Create and Join: the succession of the owner's key and its commitment to the next one, as
	// for [Book.SetOwnSuccession].
	Succession []pointer.Succession
	Next       pointer.Commitment

	// OnChange is called after each change that this device makes, when the
	// change is durable, in the goroutine that made it. It may read the book.
	// Nil: no calls.
	OnChange func(Event)
}

func (o Options) ledger() ledger.Options {
	return ledger.Options{Now: o.Now, Rand: o.Rand, Wait: o.Wait}
}

// Create creates a book in a new file at path. The identity signs the admission
// of the device; the device signs all entries. If the file exists, the error is
// fs.ErrExist and the file is unchanged.
func Create(path string, identity, device crypto.Signer, o Options) (*Book, error) {
	g := ledger.Genesis{Identity: identity, Device: device, DeviceName: o.DeviceName}
	l, err := ledger.Create(path, g, fold{}, o.ledger())
	if err != nil {
		return nil, err
	}
	return newOwnBook(l, o)
}

// Join creates the book of a further device in a new file at path, from the entries of
// another device (the Missing of its ledger), which has admitted this one. identity is the
// one that created the book. The entries are verified. If the file exists, the error is
// fs.ErrExist and the file is unchanged; it wraps ledger.ErrRefused for entries that do not
// verify, or that are of another book.
func Join(path string, identity pointer.Pointer, device crypto.Signer, entries iter.Seq[[]byte], o Options) (*Book, error) {
	_, steps, err := ownSuccession(identity, o.Succession)
	if err != nil {
		return nil, err
	}
	lo := o.ledger()
	if len(steps) > 0 || !o.Next.IsZero() {
		lo.Followed = &ledger.Followed{Steps: steps, Next: o.Next}
	}
	l, err := ledger.Join(path, identity, device, entries, fold{}, lo)
	if err != nil {
		return nil, err
	}
	return newOwnBook(l, o)
}

// newOwnBook is newBook with the owner's succession set.
func newOwnBook(l *ledger.Ledger, o Options) (*Book, error) {
	b := newBook(l, o)
	if err := b.SetOwnSuccession(o.Succession, o.Next); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// Open opens a book. The error is ledger.ErrInUse if another process has it
// open.
func Open(path string, device crypto.Signer, o Options) (*Book, error) {
	l, err := ledger.Open(path, device, fold{}, o.ledger())
	if err != nil {
		return nil, err
	}
	return newBook(l, o), nil
}

func newBook(l *ledger.Ledger, o Options) *Book {
	now := o.Now
	if now == nil {
		now = time.Now
	}
	return &Book{ledger: l, now: func() time.Time { return now().Round(0) }, notify: o.OnChange}
}

// Close releases the file.
func (b *Book) Close() error { return b.ledger.Close() }

// Ledger returns the ledger of the book, for verification, sync and devices.
func (b *Book) Ledger() *ledger.Ledger { return b.ledger }

// Identity returns the owner's current pointer.
func (b *Book) Identity() pointer.Pointer {
	own := b.ownPointers()
	return own[len(own)-1]
}

// SetOwnSuccession sets the succession of the owner's key, up to the current one, and
// the commitment of the current key to the next one; zero: not known. Without steps the
// current key is that of the identity that created the book, and without either
// SetOwnSuccession does nothing.
//
// The identity that created the book has to occur in the succession: as the first, or, in
// a book that was created after a recovery, later. SetOwnSuccession returns a
// [*SuccessionError] if it does not, or if a step does not verify or is not in
// order. The caller sets the succession again after [Open]. Which devices are admitted and
// removed is settled by it: see [ledger.Ledger.Follow]. After another error, of a book that
// cannot be written, the succession is set, and the devices are as they were settled before.
func (b *Book) SetOwnSuccession(chain []pointer.Succession, next pointer.Commitment) error {
	if len(chain) == 0 && next.IsZero() {
		return nil
	}
	own, steps, err := ownSuccession(b.ledger.Identity(), chain)
	if err != nil {
		return err
	}
	b.own.Store(&own)
	b.ownChain.Store(&steps)
	return b.ledger.Follow(ledger.Followed{Steps: steps, Next: next})
}

// ownSuccession verifies the succession of the owner's key. It returns the owner's pointers, and
// the steps from the identity that created the book.
func ownSuccession(created pointer.Pointer, chain []pointer.Succession) (own []pointer.Pointer, steps []pointer.Succession, err error) {
	if len(chain) == 0 {
		return []pointer.Pointer{created}, nil, nil
	}
	own = []pointer.Pointer{chain[0].Old}
	for _, s := range chain {
		current := own[len(own)-1]
		if s.Old != current {
			return nil, nil, &SuccessionError{current, fmt.Errorf("its next step is from %s", s.Old)}
		}
		to, err := s.Verify()
		if err != nil {
			return nil, nil, &SuccessionError{s.Old, err}
		}
		own = append(own, to)
	}
	first := slices.Index(own, created)
	if first < 0 {
		return nil, nil, &SuccessionError{created, fmt.Errorf("its next step is from %s", chain[0].Old)}
	}
	return own, slices.Clone(chain[first:]), nil
}

// ownPointers returns the owner's pointers, in the order of the succession.
func (b *Book) ownPointers() []pointer.Pointer {
	if own := b.own.Load(); own != nil {
		return *own
	}
	return []pointer.Pointer{b.ledger.Identity()}
}

// IsOwn reports whether p is or was a pointer of the owner.
func (b *Book) IsOwn(p pointer.Pointer) bool { return slices.Contains(b.ownPointers(), p) }
