package exchange

import (
	"context"
	"crypto"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
)

// Config is what a presence is made of.
type Config struct {
	Book     *petname.Book                                // its device-local tables have what is on its way
	Records  petname.Records                              // finds the cards of contacts
	Store    dht.Store                                    // where messages are left: a client with a peer key of its own
	Direct   func(addresses [][]byte) dht.Store           // the shelf of who is at these addresses; nil: nobody is reached directly
	Wake     func()                                       // is called when somebody handed something over, so that a Sync is due; nil: nothing
	Identity func(context.Context) (pair.Identity, error) // what those whom I pair with are told
	Sealing  func() ([]hpke.PrivateKey, error)            // this home's, the current ones first
	// Strangers reports whether to fetch the request mailbox, and the difficulty that
	// stamps must have; nil: never. The peers that store its records learn the IP
	// address that reads it: see package request.
	UnknownSenders func() (request.Difficulty, bool)
	Now            func() time.Time // nil: time.Now
	Rand           io.Reader        // nil: crypto/rand
	PollInterval   time.Duration    // interval of the look-ups of Wait and Pair; 0: the constant Every
}

// Peer is one person's presence. It is safe for concurrent use.
type Exchange struct {
	c Config

	mu           sync.Mutex
	channelLocks map[pointer.Pointer]*sync.Mutex // a channel is not for two at a time
	invitations  map[string]*pendingInvitation   // that this process steps
	outcomes     map[string]chan outcome         // by invitation: what nobody has waited for yet
	mailbox      *mailbox
	verifier     *request.Verifier

	sharing   sync.Mutex // what is said to an audience, in turn
	sessions  sync.Mutex // of mutual introductions, to read one and write it back
	resending sync.Mutex // the work is done once
}

// ErrNoSealing: a contact's card has no key to seal messages with.
var ErrNoSealing = errors.New("its card has no key to seal messages with: it has to publish again, or be told by a file")

// Open opens a presence. It ends with its book.
func Open(c Config) *Exchange {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.PollInterval <= 0 {
		c.PollInterval = PollInterval
	}
	e := &Exchange{c: c, channelLocks: make(map[pointer.Pointer]*sync.Mutex), invitations: make(map[string]*pendingInvitation), outcomes: make(map[string]chan outcome), mailbox: newMailbox(c.Now),
		verifier: request.NewVerifier(c.Now)}
	e.mailbox.wake = c.Wake
	return e
}

// turn waits for the turn at a channel, and gives what ends it.
func (e *Exchange) lockChannel(party pointer.Pointer) (end func()) {
	e.mu.Lock()
	turn, known := e.channelLocks[party]
	if !known {
		turn = new(sync.Mutex)
		e.channelLocks[party] = turn
	}
	e.mu.Unlock()
	turn.Lock()
	return turn.Unlock
}

// channel opens the channel with a contact: with what its newest card says, as
// far as one can be had.
func (e *Exchange) openChannel(ctx context.Context, key crypto.Signer, to pointer.Pointer) (*channel, error) {
	sealing, addresses, err := e.contactDetails(ctx, to)
	if err != nil {
		return nil, err
	}
	var state []byte
	at := rowsOf(to)
	err = e.view(func(local *ledger.View) error {
		state, err = at.load(local)
		return err
	})
	if err != nil {
		return nil, err
	}
	me := e.c.Book.Identity()
	if len(state) > 0 {
		owner, err := drop.Owner(state)
		if err != nil {
			return nil, fmt.Errorf("drop channel with %s: %w", to, err)
		}
		if owner != me {
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
	c, err := drop.Open(drop.Self{Pointer: me, Signer: key, Sealing: keys}, drop.Party{Pointer: to, Sealing: sealing}, state)
	if err != nil {
		return nil, err
	}
	return &channel{c, e.storeFor(addresses), at}, nil
}

// line is a channel, where its records are, and where it is stored.
type channel struct {
	*drop.Channel
	store dht.Store
	rows  channelRows
}

// reach gives the keys to write to somebody with, and the addresses that it may
// be at: those of its newest card, or else those that it told me when we paired.
func (e *Exchange) contactDetails(ctx context.Context, who pointer.Pointer) ([]pointer.SealingKey, [][]byte, error) {
	known, err := e.known(who)
	if err != nil {
		return nil, nil, err
	}
	result, err := e.c.Records.Best(ctx, who, dht.LevelAny)
	if err == nil {
		card, _ := result.Record.Card()
		if !card.Successor.IsZero() {
			// The book follows it if that is proven, and the next Sync the book.
			if _, err := e.c.Book.Resolve(ctx, e.c.Records, who.String(), dht.LevelAny); err != nil && ctx.Err() != nil {
				return nil, nil, err
			}
		}
		if len(card.Sealing) > 0 {
			if len(card.Nodes) > 0 {
				return card.Sealing, card.Nodes, nil
			}
			return card.Sealing, known.Addresses, nil
		}
	}
	switch {
	case len(known.Sealing) > 0:
		return known.Sealing, known.Addresses, nil
	case err != nil:
		return nil, nil, fmt.Errorf("card of %s: %w", who, err)
	}
	return nil, nil, fmt.Errorf("%s: %w", who, ErrNoSealing)
}

// save makes where a channel stands durable.
func (e *Exchange) saveChannel(c *channel) error {
	return e.update(func(tx tx) error { return c.rows.store(tx.local, c.Parts()) })
}

// put writes my record to a channel, if it is due, and keeps that it is there.
func (e *Exchange) putRecord(ctx context.Context, c *channel) (dht.Receipt, error) {
	receipt, err := c.Put(ctx, c.store, e.c.Now())
	return receipt, errors.Join(err, e.saveChannel(c))
}

// Sent says where a message is.
type Delivery string

const (
	Stored Delivery = "stored" // the network has it
	Queued Delivery = "queued" // it waits here, and goes out with a later Sync
)

// send queues a message to a contact, durably, and tries to bring it on its way.
// An error beside Queued says why it waits.
func (e *Exchange) sendMessage(ctx context.Context, key crypto.Signer, to pointer.Pointer, m message) (Delivery, error) {
	defer e.lockChannel(to)()
	b, err := m.encode()
	if err != nil {
		return "", err
	}
	c, err := e.openChannel(ctx, key, to)
	if err != nil {
		return "", err
	}
	if err := c.Send(b); err != nil {
		return "", err
	}
	if err := e.saveChannel(c); err != nil {
		return "", err
	}
	receipt, err := e.putRecord(ctx, c)
	if receipt.Stored > 0 {
		return Stored, nil
	}
	return Queued, err
}
