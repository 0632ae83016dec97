package exchange

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
)

// Config has the parts of an [Exchange]. Book, Records, Store and Sealing are required, and
// Identity for pairings, contact requests and the consent to mutual introductions.
type Config struct {
	Book     *petname.Book                                // its device-local tables store channels, messages and sessions
	Records  petname.Records                              // finds the cards of contacts
	Store    dht.Store                                    // stores messages; should be a client with a peer key of its own
	Direct   func(addresses [][]byte) dht.Store           // the mailbox of the peer at these addresses; nil: messages are never sent directly
	Wake     func()                                       // is called when a peer puts a new record into the mailbox, so that a Sync is due; may be nil
	Identity func(context.Context) (pair.Identity, error) // what the other party of a pairing receives
	Sealing  func() ([]hpke.PrivateKey, error)            // the owner's keys, the current ones first
	// Handover returns what a device that is admitted receives beside the entries of the book:
	// all but Identity, Creator, Inviter and Book. Nil: no device can be admitted.
	Handover func(NewDevice) (Handover, error)
	// FetchBook returns the entries of the book of a handover, from the device that handed it
	// over, for one that joins; nil, or with an error, they arrive in messages.
	FetchBook func(context.Context, Handover) (iter.Seq[[]byte], error)
	// DeviceKey is the key of this device, for SyncDevice. OfferDevice returns what another
	// device receives beside the entries, and ReceiveFromDevice receives it; both may be nil.
	DeviceKey         ed25519.PrivateKey
	OfferDevice       func(ledger.DeviceID) ([]byte, error)
	ReceiveFromDevice func(ledger.DeviceID, []byte) error
	// UnknownSenders reports whether to fetch the request mailbox, and the difficulty
	// that stamps must have; nil: never. The peers that store its records learn the IP
	// address that reads it: see package request.
	UnknownSenders func() (request.Difficulty, bool)
	// Replicate exchanges entries of the book with the owner's other devices, as far as it can
	// reach them in a short time. Sync calls it once, after new messages are in the book and
	// before the first record that acknowledges them; nil, or on the only device: not at all.
	Replicate    func(context.Context)
	Now          func() time.Time // nil: time.Now
	Rand         io.Reader        // nil: crypto/rand
	PollInterval time.Duration    // of the look-ups of Wait and Pair; 0: one second
}

// Exchange sends and receives the messages of one owner. It is safe for concurrent use.
type Exchange struct {
	c Config

	mu           sync.Mutex
	channelLocks map[pointer.Pointer]*sync.Mutex // a channel is used by one goroutine at a time
	invitations  map[string]*pendingInvitation   // by key: an ID, or codeID of it
	outcomes     map[string]chan outcome         // by ID: results that no Wait has returned yet
	mailbox      *mailbox
	verifier     *request.Verifier
	syncs        atomic.Uint64 // calls of Sync, from the minute of Open on: the position of the rotation in channelsToRead

	newcomerLock sync.Mutex // guards handovers, and one step of them at a time
	handovers    map[ledger.DeviceID]*handover

	sharingLock   sync.Mutex // one statement of shared edges at a time
	sessionLock   sync.Mutex // held from the read of a mutual session to its write
	resendingLock sync.Mutex // one proof of work at a time
}

// ErrNoSealing is returned when neither the card of a contact nor a pairing with it has a
// sealing key.
var ErrNoSealing = errors.New("its card has no key to seal messages with: it must publish again, or receive a file")

// Open returns an Exchange on a book. It needs no closing, and must not be used after the
// book is closed.
func Open(c Config) *Exchange {
	clock := c.Now
	if clock == nil {
		clock = time.Now
	}
	c.Now = func() time.Time { return clock().Round(0) } // no monotonic reading, which stands still while the machine sleeps
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.PollInterval <= 0 {
		c.PollInterval = defaultPollInterval
	}
	e := &Exchange{c: c, channelLocks: make(map[pointer.Pointer]*sync.Mutex), invitations: make(map[string]*pendingInvitation), outcomes: make(map[string]chan outcome), handovers: make(map[ledger.DeviceID]*handover), mailbox: newMailbox(c.Now),
		verifier: request.NewVerifier(c.Now)}
	e.mailbox.wake = c.Wake
	e.syncs.Store(uint64(max(0, e.c.Now().Unix()) / 60))
	return e
}

// lockChannel waits for exclusive use of the channel with a party, and returns the function
// that ends this use.
func (e *Exchange) lockChannel(party pointer.Pointer) (unlock func()) {
	e.mu.Lock()
	lock, exists := e.channelLocks[party]
	if !exists {
		lock = new(sync.Mutex)
		e.channelLocks[party] = lock
	}
	e.mu.Unlock()
	lock.Lock()
	return lock.Unlock
}

// openChannel opens the channel on which this device sends to a contact, with the keys and the
// addresses of its newest card if there is one. The errors are those of contactDetails. The
// caller holds the lock of the channel.
func (e *Exchange) openChannel(ctx context.Context, key crypto.Signer, to pointer.Pointer) (*channel, error) {
	card, err := e.contactCard(ctx, to)
	if err != nil {
		return nil, err
	}
	return e.openChannelWith(key, to, card)
}

// openChannelWith is openChannel with what is known of the contact.
func (e *Exchange) openChannelWith(key crypto.Signer, to pointer.Pointer, card contactCard) (*channel, error) {
	r, err := e.role()
	if err != nil {
		return nil, err
	}
	contact, err := contactID(e.c.Book, to)
	if err != nil {
		return nil, err
	}
	if err := e.clearChannel(to, contact); err != nil {
		return nil, err
	}
	self := e.c.Book.Identity()
	var state, left []byte
	rows := rowsOf(to)
	err = e.view(func(local *ledger.View) error {
		if state, err = rows.load(local); err == nil && state == nil {
			left, err = local.Get(tableLeft, to.Bytes())
			left = bytes.Clone(left)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if owner, err := drop.Owner(left); err == nil && owner == self { // the contact has come back
		state = left
	}
	if len(state) > 0 {
		owner, err := drop.Owner(state)
		if err != nil {
			return nil, fmt.Errorf("drop channel with %s: %w", to, err)
		}
		if owner != self {
			if err := e.retireChannel(to, owner, state); err != nil {
				return nil, err
			}
			state = nil
		}
	}
	keys, err := e.c.Sealing()
	if err != nil {
		return nil, err
	}
	c, err := drop.Open(drop.Self{Pointer: self, Signer: key, Sealing: keys, Purpose: purposeOf(r.tag)}, drop.Party{Pointer: to, Sealing: card.sealing}, state)
	if err != nil {
		return nil, err
	}
	opened := &channel{Channel: c, store: e.storeFor(card.addresses), rows: rows, contact: contact, card: card, role: r, party: to}
	opened.reopen = func() (*channel, error) { return e.openChannelWith(key, to, card) }
	return opened, nil
}

// channel is an open channel, with the store of its records and the rows of its state.
type channel struct {
	*drop.Channel
	store dht.Store
	rows  channelRows
	// id of the contact that the messages are for; zero: a channel of an earlier key of the owner
	contact pointer.Pointer

	// Of a channel with a contact; else zero.
	party    pointer.Pointer
	card     contactCard
	role     role
	reopen   func() (*channel, error) // with the state that is stored; the caller holds the lock of the party's channel
	isStored bool                     // of one that this device only reads
}

// updateChannel runs change and stores the state of the channel, in one transaction. After an
// error the channel is as it was before the call: it neither puts nor stores what is not durable.
func (e *Exchange) updateChannel(c *channel, change func(tx tx) error) error {
	before := *c.Channel
	err := e.update(func(tx tx) error {
		if err := change(tx); err != nil {
			return err
		}
		if err := tx.setRecipient(c); err != nil {
			return err
		}
		return c.rows.store(tx.local, c.Parts())
	})
	if err != nil {
		*c.Channel = before
	}
	return err
}

// saveChannel stores the state of a channel.
func (e *Exchange) saveChannel(c *channel) error {
	return e.updateChannel(c, func(tx) error { return nil })
}

// putRecord puts the owner's record of a channel, and then stores that it was put. It returns
// Stored if the network has the record, else Queued and the reason. An error beside Stored is
// that of the disk: the messages of the record are still in the queue, and are put again.
func (e *Exchange) putRecord(ctx context.Context, c *channel) (Delivery, error) {
	receipt, err := c.Put(ctx, c.store, e.c.Now())
	saveErr := e.saveChannel(c)
	if receipt.Stored > 0 {
		return Stored, saveErr
	}
	return Queued, errors.Join(err, saveErr)
}

// sendRecord is putRecord for a message at the end of a channel's queue.
func (e *Exchange) sendRecord(ctx context.Context, c *channel) (Delivery, error) {
	sent, err := e.putRecord(ctx, c)
	if sent == Stored && c.NotPut() > 0 {
		sent = Behind
	}
	return sent, err
}

// Delivery reports how far a message has been sent. It is empty for a message that is not even
// stored on this device. An error beside [Queued] is the reason why the message is not sent yet.
// An error beside [Stored] or [Behind] is that of the disk, which could not record that it was
// sent: a later Sync may send it again, and the recipient processes it once.
type Delivery string

const (
	Stored Delivery = "stored" // the network has it
	Queued Delivery = "queued" // it is stored on this device, and a later Sync sends it
	Behind Delivery = "behind" // likewise, when the recipient has received earlier messages: the network has these, and their record has no room for more
)

// sendMessage stores a message to a contact and tries to send it.
func (e *Exchange) sendMessage(ctx context.Context, key crypto.Signer, to pointer.Pointer, m message) (sent Delivery, err error) {
	b, err := m.encode()
	if err != nil {
		return "", err
	}
	err = e.withChannel(ctx, key, to, func(_ pointer.Pointer, c *channel) error {
		if err := c.Send(b); err != nil {
			return err
		}
		if err := e.saveChannel(c); err != nil {
			return err
		}
		sent, err = e.sendRecord(ctx, c)
		return err
	})
	return sent, err
}
