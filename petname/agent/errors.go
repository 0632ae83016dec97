package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Errors of other packages are returned unchanged: [home.ErrNoHome],
// [home.ErrLocked], [ledger.ErrInUse], those of packages petname (among them
// [petname.ErrNotFound] for a contact, an edge or the ID of a suggestion that is
// not there), name, dht, pair, introduce and mutual. A network that does not
// respond is [dht.ErrUnreachable], a [*dht.ShortError] or
// [context.DeadlineExceeded].
var (
	// ErrNotJoined is returned when a network is needed and none was joined.
	ErrNotJoined = errors.New("no network is joined")

	// ErrNoTransport is returned when a DHT is needed and the agent has no
	// Transport.
	ErrNoTransport = errors.New("no transport for a DHT: HTTP routers alone can be used")

	// ErrNotServing is returned when the agent has to run, and does not.
	ErrNotServing = errors.New("no node is running")

	// ErrClosed is returned when an agent that was closed is started, or needs a
	// network.
	ErrClosed = errors.New("the agent is closed")

	// ErrSameContact is returned when two names mean one contact.
	ErrSameContact = errors.New("are one contact")

	// ErrNoSuggestion is returned when no suggestion has the number.
	ErrNoSuggestion = errors.New("no suggestion has that number")

	// ErrNotIntroduced is returned when there is no introduction to retract.
	ErrNotIntroduced = errors.New("there is no such introduction, or it has expired")

	// ErrNothingToDispute is returned when no introduced key was replaced by the
	// contact's.
	ErrNothingToDispute = errors.New("no introduced key was replaced by this one")

	// ErrFormerIntroduction is returned when each introduction to dispute was made to a former key
	// of the owner, which alone could ask about it.
	ErrFormerIntroduction = errors.New("the introduction was made to your former key, and only that could ask about it")

	errRoutersOnly = errors.New("only routers have it, and whether they stored it can't be verified")
)

// The errors of messages and of invitations.
var (
	ErrMalformed       = exchange.ErrMalformed       // a code, link or QR code that is none
	ErrPaired          = exchange.ErrPaired          // a code by which the owner has paired before
	ErrNoSealing       = exchange.ErrNoSealing       // a contact's card has no key to seal messages with
	ErrNoInvitation    = exchange.ErrNoInvitation    // no such invitation is under way
	ErrTooManyRequests = exchange.ErrTooManyRequests // too many contact requests are under way
	ErrNewerDevice     = exchange.ErrNewerHandover   // the other device has a newer version of the program
)

// MovedError is returned for a message to a pointer whose key was replaced: see
// [exchange.MovedError].
type MovedError = exchange.MovedError

// ArgumentError is returned for an argument that cannot be used. Nothing has
// changed then.
type ArgumentError struct {
	Name   string // "value" (too long), "path" (not a content path), "lifetime", "ttl", "pointer", "introduction", "suggestion", "life", "uses" or "purpose"
	Reason string // for people; the argument is quoted in it
}

func (e *ArgumentError) Error() string { return e.Reason }

// AddressError is returned for an address of a network, a peer, a router or a
// relay that cannot be used. Nothing has changed then.
type AddressError struct {
	Kind    string // "network", "router", "peer", "peer ID" (an address without one), "listen" or "relay"
	Address string
	Reason  string // for people; the address is quoted in it
}

func (e *AddressError) Error() string { return e.Reason }

// MismatchError is returned when the identity key of a home is not that of its
// book.
type MismatchError struct {
	Key, Book pointer.Pointer
	Dir       string
}

func (e *MismatchError) Error() string {
	return "the identity key is of " + e.Key.String() + ", and the book is of " + e.Book.String()
}

// SequenceError is returned when the owner's newest record has the highest sequence: none
// can be published above it. This program signs no such record but as the last one of
// a key, so another holder of the key has signed it.
type SequenceError struct{ Sequence uint64 }

func (e *SequenceError) Error() string {
	return fmt.Sprintf("the last sequence is %d, and there is none above it: another holder of your key has signed that record, and only another key can publish", e.Sequence)
}

// ClockError is returned when the clock of this machine is over a day behind an entry of
// the book that this device made. Nothing has changed then.
type ClockError struct{ Now, Entry time.Time }

func (e *ClockError) Error() string {
	return fmt.Sprintf("this machine's clock shows %s, and the last entry of this device in the book is dated %s: what is signed now can end too early",
		clockText(e.Now), clockText(e.Entry))
}

// UnsavedError is returned when a record is signed and its sequence is used, but the
// home could not store the record. Nothing was stored in a network. The next
// publication signs another.
type UnsavedError struct {
	Sequence uint64
	Err      error
}

func (e *UnsavedError) Error() string {
	return fmt.Sprintf("sequence %d is signed, but neither saved nor published: %v", e.Sequence, e.Err)
}

// Unwrap returns the cause.
func (e *UnsavedError) Unwrap() error { return e.Err }

// NextError is returned when the header of the locked identity key states another next
// key than when the key was last unlocked: the header is damaged. If the key was not
// unlocked on this device before, NextError is returned when the owner's newest record
// commits to another one: the header is damaged, or another holder of the key signed the
// record. Unlocking decides: see [Agent.Unlock].
type NextError struct {
	Key, Record pointer.Commitment // of the header, and what it differs from
	Sequence    uint64             // of the record; 0: it differs from when the key was last unlocked
	Dir         string             // of the home
}

func (e *NextError) Error() string {
	if e.Sequence == 0 {
		return fmt.Sprintf("line 3 of %q commits to another next key than when it was last unlocked", filepath.Join(e.Dir, "identity.key"))
	}
	return fmt.Sprintf("line 3 of %q commits to another next key than your record, sequence %d",
		filepath.Join(e.Dir, "identity.key"), e.Sequence)
}

// NoRecordError is returned when the home holds no record of a pointer.
type NoRecordError struct{ Pointer pointer.Pointer }

func (e *NoRecordError) Error() string { return "this home holds no record of " + e.Pointer.String() }

// Unwrap returns [dht.ErrNotFound].
func (e *NoRecordError) Unwrap() error { return dht.ErrNotFound }

// NoNicknameError is returned when a contact has no nickname to pass on: the
// owner's petname for it stays private.
type NoNicknameError struct {
	Text string    // as the contact was asked for
	Name name.Name // the petname
	To   string    // the purpose: "to suggest" or "to share it by"
}

func (e *NoNicknameError) Error() string {
	return fmt.Sprintf("%q has no nickname %s, and your petname for it stays private", e.Name, e.To)
}

// NoCardError is returned when a message cannot be sealed because its recipient
// has published no record yet.
type NoCardError struct {
	Name name.Name // of the contact; zero: one of two
	err  error
}

func (e *NoCardError) Error() string {
	recipient := "one of them has"
	if !e.Name.IsZero() {
		recipient = fmt.Sprintf("%q has", e.Name)
	}
	return recipient + " published nothing yet, so there is no key to seal a message with"
}

func (e *NoCardError) Unwrap() error { return e.err }

// noCard returns the error that a missing record means for a message.
func noCard(err error, to name.Name) error {
	if !errors.Is(err, dht.ErrNotFound) {
		return err
	}
	return &NoCardError{to, err}
}

// isNetwork reports whether an error is one of the network: a later attempt may
// succeed.
func isNetwork(err error) bool {
	return errors.Is(err, ErrNotJoined) || errors.Is(err, dht.ErrUnreachable) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, new(*dht.ShortError))
}
