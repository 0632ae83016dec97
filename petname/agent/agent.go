package agent

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/delegation"
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

	// JoinTimeout bounds how long entering a network delays what needs it. 0: 5 s.
	JoinTimeout time.Duration
}

// Profile is what a new home is created with: the nickname, the passphrase that
// locks the identity key, and the recovery file.
type Profile = home.CreateOptions

// state is the state of an agent, which [Agent.WithPassphrase] shares.
type state struct {
	home          home.Home
	book          *petname.Book
	records       *dht.Dir
	transport     Transport
	log           *slog.Logger
	now           func() time.Time
	finishTimeout time.Duration // bounds finishPuts; tests set another
	patience      time.Duration // devicePatience; tests set another
	joinTimeout   time.Duration // bounds entering a network
	events        broker

	mu          sync.Mutex // held while a network is entered or left, which can take seconds
	closed      bool
	node        Node   // nil until it is needed; the agent's own while it serves
	nodeNetwork string // networkTag of node
	serving     bool
	own         NodeConfig        // of the serving node; zero: a throw-away client
	clients     map[string]router // by URL
	began       time.Time         // when it began to serve
	lastPut     *LastPut          // nil: none yet
	expired     expiredSeen

	messages        *exchange.Exchange             // nil until it is needed
	missing         error                          // files that were missing when the home was opened; nil: none
	warned          atomic.Uint64                  // sequence of the record that warnSuperseded logged last
	received        atomic.Pointer[pointer.Record] // the newest of the owner's pointer that a store returned; nil: none
	foreign         atomic.Pointer[pointer.Record] // of the owner's pointer, seen last: see isForeign; nil: none
	bundlesAt       time.Time                      // when bundles were exchanged; syncing guards it
	mergedEntries   atomic.Bool                    // entries of other devices that may change the card were merged
	formerPut       time.Time                      // when putFormerAlone stored records; zero: not yet
	unlinkable      Node                           // of a serving agent: a client with a throw-away peer key; nil until it is needed
	unlinkableOf    Node                           // the node that it was made beside
	unlinkableSince time.Time

	notices     sync.Mutex // guards the three below, so that Notice waits for no network
	lost        error      // messages of an older version that could not be read; nil: none
	interrupted error      // the rotation that Open finished, undid, or could not finish; nil: none
	damaged     bool       // the identity key could not be read when the home was opened

	wakes       sync.Mutex             // guards the two below, so that a change of the book waits for no network
	wakeSync    chan<- struct{}        // starts a fetch of messages and a step of invitations; nil: the agent does not run
	republisher *republish.Republisher // likewise
	named       chan pointer.Pointer   // contacts that were named, for runCards; never closed

	syncing    sync.Mutex     // one Sync at a time
	joining    sync.Mutex     // one Join at a time: the networks saved last are entered last
	publishing sync.Mutex     // one publication at a time: sequences are used in order
	starting   sync.Mutex     // held while the agent starts, or ends what Start began
	loops      sync.WaitGroup // of Start
	tasks      sync.WaitGroup // of startTask: work that continues after its method returned

	delegating sync.Mutex            // guards the next
	delegated  delegation.Delegation // the one that was used last; zero: none

	conns      conns
	listening  sync.Mutex                    // guards the two below
	listeners  map[string]*listener          // by protocol
	followedAt map[pointer.Pointer]time.Time // when the record of a contact was looked for because of a hello

	// From Start to the end of Run or to Close.
	running      context.Context // of loops; under mu
	stop         context.CancelFunc
	tasksContext context.Context // of tasks: it ends later than running; under mu
	stopTasks    context.CancelFunc
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
	clock := o.Now
	if clock == nil {
		clock = time.Now
	}
	if o.JoinTimeout <= 0 {
		o.JoinTimeout = defaultJoinTimeout
	}
	o.Now = func() time.Time { return clock().Round(0) } // no monotonic reading, which stands still while the machine sleeps
	h, err := home.Open(dir)
	if errors.Is(err, home.ErrNoHome) && o.Create != nil {
		h, err = create(dir, *o.Create)
	}
	if err != nil {
		return nil, err
	}
	s := &state{home: h, transport: o.Transport, log: o.Log, now: o.Now, finishTimeout: finishTimeout, patience: devicePatience, joinTimeout: o.JoinTimeout, named: make(chan pointer.Pointer, maxNamed)}
	if s.book, err = h.Book(petname.Options{Wait: o.Wait, Now: o.Now, OnChange: s.changed}); err != nil {
		return nil, err
	}
	s.missing = h.Missing() // before Records creates the folder
	if s.records, err = h.Records(); err != nil {
		return nil, errors.Join(err, s.book.Close())
	}
	s.records.Now = o.Now
	s.begin()
	if err := s.learnRecords(); err != nil {
		s.log.Warn("the records of an older version confirm nothing yet", "error", err)
	}
	a := &Agent{state: s, ask: o.Passphrase}
	s.resumeRotation()
	// Before an entry has the date of this clock.
	s.comparedEntry()
	if id, err := s.identity(); err != nil {
		s.damaged = true
	} else if err := s.saveLastRecords(ctx, id); err != nil { // before a look-up finds others
		s.log.Warn("last record of a former pointer not saved", "error", err)
	}
	if h.HasOldMessages() {
		_, _ = a.exchange() // what fails is reported by each method that needs it, and by Check
	}
	return a, nil
}

// Notice returns the notices of an Open that found files of the home missing, that
// could not read the identity key or all messages of an older version, that found a clock
// that does not agree with the book, or that found an interrupted rotation, and the notice of
// another copy of the home that writes as this device (see [Agent.Fork]), or of two copies that
// write as another one, with an [*UncountedError]; nil if there are none. A rotation that was
// finished or undone is among them until the owner publishes or rotates, and a damaged key while it
// is. Notice waits for no network.
func (a *Agent) Notice() error {
	clock := a.clockNotice()
	fork := errors.Join(a.forkNotice(), a.uncountedNotice())
	a.notices.Lock()
	defer a.notices.Unlock()
	var key error
	if a.damaged {
		_, key = a.identity()
		a.damaged = key != nil
	}
	return errors.Join(a.missing, key, a.interrupted, a.lost, clock, fork)
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

// Close ends what [Agent.Start] began, leaves the network, and closes the home. It
// waits up to 3 seconds for puts under way. A record that was not stored is in the
// home, and is stored another time.
func (a *Agent) Close() error {
	a.starting.Lock()
	defer a.starting.Unlock()
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.closeListeners()
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

// Link returns the owner's link, by which others add the owner to their books: the
// pointer with the commitment to the next key, the nickname and a checksum.
func (a *Agent) Link() (pointer.Link, error) {
	id, err := a.Identity()
	if err != nil {
		return pointer.Link{}, err
	}
	return pointer.Link{Pointer: id.Pointer, Next: id.Next, Nickname: id.Nickname}, nil
}

// Identity is the owner's identity, as the home has it. It is a plain value.
type Identity struct {
	Pointer  pointer.Pointer
	Next     pointer.Commitment // to the next key
	Recovery string             // where the next key is, for people
	Nickname string
	Device   string // ID of this device
	Sequence uint64 // of the last publication; 0: none
	Locked   bool   // the identity key needs a passphrase
	Added    bool   // another device admitted this one: of what init made it has nothing

	LastRecords []LastRecord // of the earlier pointers, oldest first
}

// Identity returns the owner's identity. It needs no passphrase. It fails with a
// [*home.HeaderError] when a line of the identity key is damaged, or a [*NextError]
// when the key is locked and its header differs from what the passphrase proved before,
// or if it was not unlocked before from the owner's record.
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
		Device: a.book.Ledger().Device().String(), Sequence: last.Sequence, Locked: id.Locked, Added: a.added(), LastRecords: a.lastRecords(id)}, nil
}

// added reports whether another device admitted this one.
func (s *state) added() bool {
	all := s.book.Ledger().Devices()
	return len(all) > 0 && all[0].ID != s.book.Ledger().Device()
}

// identity reads the header of the identity key, which must be the book's.
func (s *state) identity() (home.Identity, error) {
	id, err := s.home.Identity()
	if err != nil {
		return home.Identity{}, err
	}
	if created := s.book.Ledger().Identity(); !id.Created(created) {
		return home.Identity{}, &MismatchError{Key: id.First(), Book: created, Dir: s.home.Dir}
	}
	return id, nil
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
	key, proven, err := id.Unlock(passphrase)
	if err != nil {
		return nil, err
	}
	if id.Locked {
		a.unlocked(id, passphrase)
	}
	if id.Locked && proven {
		a.setProven(id)
	}
	return key, id.CheckLast()
}

// unlocked does what needs the passphrase of an identity that was unlocked.
func (a *Agent) unlocked(id home.Identity, passphrase string) {
	if err := a.home.IdentityUnlocked(id); err != nil {
		a.log.Warn("the former identity key is not erased", "error", err)
	}
	if err := a.keepHandovers(id, passphrase); err != nil {
		a.log.Warn("other devices do not receive the rotated key", "error", err)
	}
}

func (a *Agent) passphrase(id home.Identity) (string, error) {
	if !id.Locked {
		return "", nil
	}
	return a.askPassphrase()
}

// askPassphrase returns the passphrase that was given, also of an identity that is not locked;
// empty: none was.
func (a *Agent) askPassphrase() (string, error) {
	if a.ask == nil {
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
