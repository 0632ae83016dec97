package petname

import (
	"crypto"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// Book is one person's book of petnames: a state machine over the entries of a
// ledger. In it a petname has exactly one contact and a contact at most one
// petname, after any operation and any merge. It is safe for concurrent use;
// one process at a time has it open.
type Book struct {
	ledger     *ledger.Ledger
	now        func() time.Time
	successors atomic.Pointer[[]pointer.Pointer] // my pointers after the first, in turn; nil: none
	notify     func(Event)                       // Options.OnChange
	tx         *ledger.Tx                        // the transaction that this book belongs to: see Update; nil: none
}

// Options may be left zero.
type Options struct {
	Now        func() time.Time // nil: time.Now
	Rand       io.Reader        // nil: crypto/rand
	Wait       time.Duration    // how long to wait while another process has the book open
	DeviceName string           // for Create: how this device shows in the log

	// OnChange is called after each change of this device, once it is durable, by
	// the goroutine that made it. It may read the book. Nil: nothing is called.
	OnChange func(Event)
}

func (o Options) ledger() ledger.Options {
	return ledger.Options{Now: o.Now, Rand: o.Rand, Wait: o.Wait}
}

// Create starts a book at path: its identity signs once, to admit the device,
// which signs all entries from then on. It never overwrites a file.
func Create(path string, identity, device crypto.Signer, o Options) (*Book, error) {
	g := ledger.Genesis{Identity: identity, Device: device, DeviceName: o.DeviceName}
	l, err := ledger.Create(path, g, fold{}, o.ledger())
	if err != nil {
		return nil, err
	}
	return newBook(l, o), nil
}

// Open opens a book. ledger.ErrInUse tells that another process has it.
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
	return &Book{ledger: l, now: now, notify: o.OnChange}
}

// Close lets go of the file.
func (b *Book) Close() error { return b.ledger.Close() }

// Ledger is the ledger under the book, for checking, syncing and its devices.
func (b *Book) Ledger() *ledger.Ledger { return b.ledger }

// Identity is my own pointer, the one that I am at now.
func (b *Book) Identity() pointer.Pointer {
	if successors := b.successors.Load(); successors != nil {
		return (*successors)[len(*successors)-1]
	}
	return b.ledger.Identity()
}

// Rotated tells the book that my own key has gone on since the book began, by a
// succession from its first identity. It isn't stored: whoever holds the key
// holds it, and tells again when the book is opened anew.
func (b *Book) SetOwnSuccession(chain []pointer.Succession) error {
	current, successors := b.ledger.Identity(), []pointer.Pointer(nil)
	for _, s := range chain {
		if s.Old != current {
			return &SuccessionError{current, fmt.Errorf("a step from %s comes next", s.Old)}
		}
		var err error
		if current, err = s.Verify(); err != nil {
			return &SuccessionError{s.Old, err}
		}
		successors = append(successors, current)
	}
	if len(successors) > 0 {
		b.successors.Store(&successors)
	}
	return nil
}

// own are my pointers, in turn.
func (b *Book) ownPointers() []pointer.Pointer {
	own := []pointer.Pointer{b.ledger.Identity()}
	if successors := b.successors.Load(); successors != nil {
		own = append(own, *successors...)
	}
	return own
}

// Mine reports whether a pointer is, or was, my own.
func (b *Book) IsOwn(p pointer.Pointer) bool { return b.isOwn(p) }

func (b *Book) isOwn(p pointer.Pointer) bool { return slices.Contains(b.ownPointers(), p) }
