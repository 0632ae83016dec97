package agent

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Agent is a running person: a home, open, and the networks that it uses. Its
// methods are safe for concurrent use. Close it.
type Agent struct {
	*state
	ask func() ([]byte, error) // Options.Passphrase
}

// Options may be left zero.
type Options struct {
	// Create is what to create the home with if there is none. Nil: [Open] fails
	// with [home.ErrNoHome].
	Create *Profile

	// Transport starts the nodes of the DHT. Nil: HTTP routers only.
	Transport Transport

	// Passphrase is asked for the passphrase each time that the identity key is
	// needed and locked. Nil: what needs the key fails with [home.ErrLocked].
	Passphrase func() ([]byte, error)

	Log  *slog.Logger     // nil: nothing is logged
	Now  func() time.Time // nil: time.Now
	Wait time.Duration    // how long Open waits while another process has the home open
}

// Profile is what a new home is created with: the nickname, the passphrase that
// locks the identity key, and the recovery file.
type Profile = home.CreateOptions

// state is what all views of an agent share.
type state struct {
	home      home.Home
	book      *petname.Book
	records   *dht.Dir
	transport Transport
	log       *slog.Logger
	now       func() time.Time
	settles   time.Duration // bounds settle; settleTimeout, but in tests
	events    broker

	mu      sync.Mutex // held while a network is entered or left, which can take seconds
	closed  bool
	node    Node // nil until it is needed; the agent's own while it serves
	serving bool
	own     NodeConfig        // what the agent serves with; zero: a throw-away client
	clients map[string]router // by URL
	began   time.Time         // when it began to serve
	lastPut *LastPut          // nil: none yet

	messages        *exchange.Exchange // nil until it is needed
	missing         error              // files that were missing when the home was opened; nil: none
	lost            error              // messages of an older version that could not be read; nil: none
	unlinkable      Node               // of a serving agent: a client with a throw-away peer key; nil until it is needed
	unlinkableOf    Node               // the node that it was made beside
	unlinkableSince time.Time

	wakes       sync.Mutex             // of the two below, so that a change of the book waits for no network
	wakeSync    chan<- struct{}        // starts a look at messages and invitations; nil: the agent does not run
	republisher *republish.Republisher // likewise

	joining    sync.Mutex     // one Join at a time: what is saved last is entered last
	publishing sync.Mutex     // one publication at a time: sequences are taken in turn
	starting   sync.Mutex     // held while the agent starts, or ends what Start began
	loops      sync.WaitGroup // of Start
	tail       sync.WaitGroup // what continues after its method returned, and is given time to end

	// Of the time from Start to the end of Run or to Close.
	running context.Context // of loops; under mu
	stop    context.CancelFunc
	life    context.Context // of tail: it ends later; under mu
	end     context.CancelFunc
}

// Open opens the home in dir, and creates it first if Create says so and there
// is none. It fails with [home.ErrNoHome] when there is none, with
// [ledger.ErrInUse] when another process has it open, and changes nothing then.
// No network is used before one is joined, in this process or an earlier one.
func Open(ctx context.Context, dir string, o Options) (*Agent, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	h, err := home.Open(dir)
	if errors.Is(err, home.ErrNoHome) && o.Create != nil {
		h, err = create(dir, *o.Create)
	}
	if err != nil {
		return nil, err
	}
	s := &state{home: h, transport: o.Transport, log: o.Log, now: o.Now, settles: settleTimeout}
	if s.book, err = h.Book(petname.Options{Wait: o.Wait, Now: o.Now, OnChange: s.changed}); err != nil {
		return nil, err
	}
	s.missing = h.Missing() // before Records creates the folder
	if s.records, err = h.Records(); err != nil {
		return nil, errors.Join(err, s.book.Close())
	}
	s.records.Now = o.Now
	s.begin()
	a := &Agent{state: s, ask: o.Passphrase}
	if h.HasOldMessages() {
		_, _ = a.exchange() // what fails is reported by each method that needs it, and by Check
	}
	return a, nil
}

// Notice returns the notice of an Open that found files of the home missing, or could
// not read all messages of an older version; nil if there is none.
func (a *Agent) Notice() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return errors.Join(a.missing, a.lost)
}

func create(dir string, p Profile) (home.Home, error) {
	if p.Nickname != "" {
		if _, err := petname.CheckLabel(p.Nickname); err != nil {
			return home.Home{}, err
		}
	}
	return home.Create(dir, p)
}

// WithPassphrase returns the same agent with another [Options.Passphrase], for a
// process that serves several clients.
func (a *Agent) WithPassphrase(ask func() ([]byte, error)) *Agent { return &Agent{a.state, ask} }

// Close ends what [Agent.Start] began and the network, then closes the home. It
// waits up to 3 seconds for what is being stored; the rest is in the home, and is
// stored another time.
func (a *Agent) Close() error {
	a.starting.Lock()
	defer a.starting.Unlock()
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	err := a.halt()
	a.events.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, router := range a.clients {
		_ = router.Close() // idle connections; there is nothing to lose
	}
	return errors.Join(err, a.book.Close())
}

// Dir returns the folder of the home, as an absolute path.
func (a *Agent) Dir() string { return a.home.Dir }

// Pointer returns the owner's own pointer.
func (a *Agent) Pointer() pointer.Pointer { return a.book.Identity() }

// Link returns what the owner hands to others: the pointer with the commitment
// to the next key, the nickname and a checksum.
func (a *Agent) Link() (pointer.Link, error) {
	id, err := a.Identity()
	if err != nil {
		return pointer.Link{}, err
	}
	return pointer.Link{Pointer: id.Pointer, Next: id.Next, Nickname: id.Nickname}, nil
}

// Identity is what the home says about its owner.
type Identity struct {
	Pointer  pointer.Pointer
	Next     pointer.Commitment // to the next key
	Recovery string             // where the next key is, for people
	Nickname string
	Device   string // ID of this device
	Sequence uint64 // of the last publication; 0: none
	Locked   bool   // the identity key needs a passphrase
}

// Identity returns what the home says about its owner. It needs no passphrase. It fails
// with a [*home.HeaderError] when a line of the identity key is damaged, or a
// [*NextError] when the key is locked and the owner's record contradicts it.
func (a *Agent) Identity() (Identity, error) {
	id, err := a.identity()
	if err == nil && id.Locked {
		err = a.checkNext(id)
	}
	if err != nil {
		return Identity{}, err
	}
	nickname, err := a.book.Nickname()
	if err != nil {
		return Identity{}, err
	}
	last, err := a.lastOwn()
	if err != nil {
		return Identity{}, err
	}
	return Identity{Pointer: id.Pointer, Next: id.Next, Recovery: id.Recovery(), Nickname: name.Clean(nickname),
		Device: a.book.Ledger().Device().String(), Sequence: last.Sequence, Locked: id.Locked}, nil
}

// identity reads the header of the identity key, which must be the book's.
func (s *state) identity() (home.Identity, error) {
	id, err := s.home.Identity()
	if err != nil {
		return home.Identity{}, err
	}
	if first := s.book.Ledger().Identity(); id.First() != first {
		return home.Identity{}, &MismatchError{Key: id.First(), Book: first, Dir: s.home.Dir}
	}
	return id, nil
}

// checkNext compares the commitment in the header of a locked identity key with the
// owner's record, if the home holds one.
func (s *state) checkNext(id home.Identity) error {
	r, _, err := s.held(id.Pointer)
	if err != nil {
		return nil
	}
	if card, ok := r.Card(); ok && !card.Next.IsZero() && card.Next != id.Next {
		return &NextError{Key: id.Next, Record: card.Next, Sequence: r.Sequence(), Dir: s.home.Dir}
	}
	return nil
}

// key returns the identity's key, unlocked if it has to be.
func (a *Agent) key() (*pointer.Key, error) {
	id, err := a.identity()
	if err != nil {
		return nil, err
	}
	passphrase, err := a.passphrase(id)
	if err != nil {
		return nil, err
	}
	key, err := id.Key(passphrase)
	if err != nil {
		return nil, err
	}
	return key, id.CheckLast()
}

func (a *Agent) passphrase(id home.Identity) (string, error) {
	if !id.Locked || a.ask == nil {
		return "", nil
	}
	p, err := a.ask()
	if err != nil {
		return "", fmt.Errorf("%w: %w", home.ErrLocked, err)
	}
	return string(p), nil
}

// keyIfUnlocked is key, without an error while the key is locked and no
// passphrase is at hand: it returns nil then.
func (a *Agent) keyIfUnlocked() (crypto.Signer, error) {
	key, err := a.key()
	if errors.Is(err, home.ErrLocked) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return key, nil
}

// Unlock reports whether the identity key can be used: nil if it can, or else
// [home.ErrLocked] or [home.ErrPassphrase].
func (a *Agent) Unlock() error {
	_, err := a.key()
	return err
}

// locked reports whether the agent cannot sign by itself.
func (a *Agent) locked() bool {
	id, err := a.identity()
	return err != nil || id.Locked && a.ask == nil
}
