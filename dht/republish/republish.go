// Package republish keeps names alive: it puts records again before the network
// forgets them, without any key. Anyone can, since a record is signed; so a
// friend's name survives their closed laptop until its record expires.
//
//	k := republish.New(republish.Config{Network: node, Contacts: book, Home: records, Path: "keep.json"})
//	err := k.Run(ctx) // until ctx ends
//
// A [Keeper] is a scheduler: the network, the book and the clock are the
// caller's. For each record that it keeps it looks first, at the 20 peers
// closest to it, and puts only if fewer than 10 of those hold the newest
// record; a newer one that the look brought replaces the one kept. It comes
// back when half of a record's holders are expected to be gone, by the rate at
// which it sees peers go, and after 22 h at the latest, since peers forget a
// record after 48 h however alive they are. Where nobody can be seen to have
// put a record for 40 h it is put whatever the look said.
//
// # What it costs
//
// Pointers that are near one another in the keyspace have the same peers. One
// exploration, of two or three walks, finds all peers of a region, and serves
// every record there that is due, or soon will be: 10,000 records in a network
// of 2,000 peers take some 180 walks.
//
// # What it shows
//
// Walks go to random places, and name no contact: an observer learns the first
// bits of a key (as many as make a region, about log₂ of the number of peers
// less 4), under a peer key that is thrown away afterwards. Each record is then
// asked for and put under a throw-away peer key of its own. So peers, and logs
// of peer IDs, can't link the contacts of a book to each other, to the walk, or
// to the home's node. What remains: the IP address is the same, and the records
// of one region are put within minutes of each other. Whoever sees addresses,
// as each asked peer does, can tell that this address keeps that record; that
// is why nothing is kept unless the user says so.
//
// Holders are counted by their words: peers that surround a key can claim to
// hold a record and keep nothing. Then it is put every 40 h, and not sooner.
package republish

import (
	"context"
	"crypto/sha256"
	"errors"
	"iter"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/pointer"
)

const (
	closest    = 20 // Kademlia's k: whom a record belongs to
	enough     = 10 // holders, of those: nothing is put then
	forgotten  = 40 * time.Hour
	longest    = 22 * time.Hour // between two looks, but for the jitter
	shortest   = 2 * time.Hour
	unknownAge = 24 * time.Hour // of a record found with others and never put here: between none and 48 h
	retryAfter = time.Hour      // a put that too few stored
	jitter     = 0.1            // of a due time, either way

	apart    = 3 * time.Second // between records that become due for no reason of their own
	spread   = 2 * time.Hour   // most that such due times are spread over
	parallel = 4               // records of a region at once
	maxGap   = 2 * time.Second // between two of a region, on average

	walksPerMinute = 6
	maxPause       = time.Hour // while nobody can be reached
	pollEvery      = 10 * time.Minute
	saveEvery      = time.Minute // while region follows region
)

// Place is a point of the keyspace: peers and records are placed by sha2-256.
type Place [sha256.Size]byte

// Peer is a peer of the network, as the network calls it.
type Peer struct {
	ID    string // its bytes; placed by their hash
	Addrs []string
}

func (p Peer) place() Place { return sha256.Sum256([]byte(p.ID)) }

// placeOf is where a record lives (IPNS specification, "Routing record").
func placeOf(p pointer.Pointer) Place {
	return sha256.Sum256(append([]byte("/ipns/"), p.Bytes()...))
}

// Network makes strangers. Package kad's Node is one.
type Network interface {
	// Stranger is a fresh presence in the network, under a throw-away peer key
	// that nothing but IP addresses links to any other.
	Stranger(ctx context.Context) (Stranger, error)
}

// Stranger acts in the network under its own peer key. Its methods are safe for
// concurrent use and bound their own time.
type Stranger interface {
	// Walk looks up a random key whose place shares the first bits with near,
	// or a few less if that many are too hard to find, and says what place it
	// was and which peers are closest to it, in order: 20, or all there are.
	Walk(ctx context.Context, near Place, bits int) (at Place, closest []Peer, err error)
	// Get asks one peer for a record. Unverified; nil: it has none.
	Get(ctx context.Context, from Peer, p pointer.Pointer) ([]byte, error)
	// Put has one peer store a record; nil: it said that it did.
	Put(ctx context.Context, to Peer, p pointer.Pointer, record []byte) error
	Close() error
}

// Contacts says whose records are kept. Whoever is removed is not among them.
type Contacts interface {
	Kept() iter.Seq2[pointer.Pointer, error]
	// Keeps is asked again before anything is sent.
	Keeps(pointer.Pointer) (bool, error)
}

// Own is about my own record, which is put again always.
type Own struct {
	Pointer func() pointer.Pointer
	// Store is the network under the node's own key.
	Store dht.Store
	// Locked says whether Renew can't sign.
	Locked func() bool
	// Renew signs the record anew, valid for that long (0: unknown), keeps it
	// in the home and puts it.
	Renew func(ctx context.Context, old pointer.Record, life time.Duration) error
}

// Config is a keeper's. Network, Contacts and Home must be there.
type Config struct {
	Network  Network
	Contacts Contacts
	Home     dht.Store        // the newest record of everybody; one that a look brings is put there
	Own      *Own             // nil: none is kept
	Path     string           // of the file that the due times are kept in; "": memory only
	Now      func() time.Time // nil: time.Now
	Rand     rand.Source      // of the jitter; nil: seeded by the system
	Logger   *slog.Logger     // nil: nothing is logged

	files durable.FS // what writes the file; nil: the operating system's
}

// Keeper keeps records. Its methods are safe for concurrent use; Run runs once
// at a time.
type Keeper struct {
	c    Config
	log  *slog.Logger
	wake chan struct{}
	rate *rate.Limiter // of the walks

	mu     sync.Mutex
	rng    *rand.Rand
	items  []*item // by place
	own    ownState
	churn  float64 // peers that go, of one, per hour
	depth  int     // of the last region: bits that its peers share
	walks  int     // since the start
	last   time.Time
	said   string    // what the last look or put came to
	read   time.Time // of the book
	pause  time.Time // until then nobody is asked
	failed int       // explorations in a row
	dirty  bool
	saved  time.Time
	clock  clock
}

// New makes a keeper, with the due times of its file. A file that can't be
// read is begun anew.
func New(c Config) *Keeper {
	k := &Keeper{c: c, log: c.Logger, wake: make(chan struct{}, 1), churn: startChurn}
	k.rate = rate.NewLimiter(rate.Every(time.Minute/walksPerMinute), walksPerMinute)
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	if k.c.Now == nil {
		k.c.Now = time.Now
	}
	source := c.Rand
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	k.rng = rand.New(source)
	now := k.c.Now()
	k.clock.start(now)
	if c.Path == "" {
		return k
	}
	if err := durable.Sweep(c.files, filepath.Dir(c.Path), tempPrefix(c.Path)); err != nil {
		k.log.Warn("due times", "error", err)
	}
	s, err := readState(c.Path)
	if err != nil {
		k.log.Warn("due times begun anew", "error", err)
	}
	k.restore(s, now)
	return k
}

// Run keeps records until ctx ends, and returns its error.
func (k *Keeper) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		k.mindClock()
		if err := k.readBook(); err != nil {
			k.log.Error("kept contacts not read", "error", err)
		}
		switch now := k.c.Now(); {
		case k.ownDue(now):
			k.keepOwn(ctx)
		case k.due(now) != nil:
			k.tend(ctx, k.due(now))
		default:
			k.save()
			k.wait(ctx, k.idle(now))
		}
	}
	k.save()
	return ctx.Err()
}

// Wake has the book read again, and the network tried again, at once: after a
// change of either.
func (k *Keeper) Wake() {
	k.mu.Lock()
	k.read, k.pause, k.failed = time.Time{}, time.Time{}, 0
	if k.own.Problem != "" {
		k.own.Next = k.c.Now()
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// wait passes the time until something may be due.
func (k *Keeper) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-k.wake:
	case <-ctx.Done():
	}
}

// tend explores the region around one that is due, and keeps it and all others
// there that will be soon.
func (k *Keeper) tend(ctx context.Context, first *item) {
	r, err := k.explore(ctx, first.place)
	if err != nil {
		if ctx.Err() == nil {
			k.log.Warn("region not explored", "error", err)
			k.backOff(err)
		}
		return
	}
	batch, gap := k.ripe(r, first)
	var running sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, it := range batch {
		sleep(ctx, k.upTo(2*gap))
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			k.keepOne(ctx, r, it)
		})
	}
	running.Wait()
	k.mu.Lock()
	recent := time.Since(k.saved) < saveEvery
	k.mu.Unlock()
	if !recent {
		k.save()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// backOff pauses after nobody could be reached, longer each time.
func (k *Keeper) backOff(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed++
	k.depth = 0
	k.pause = k.c.Now().Add(k.around(min(maxPause, time.Minute<<min(k.failed, 10))))
	k.said = err.Error()
}

// errFew is a network that was found large before and small now.
var errFew = errors.New("fewer peers were found than there were")
