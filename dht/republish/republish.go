// Package republish puts records again before the network discards them. It
// needs no keys: a record is signed, so any host can put it. The record of a
// contact that is offline therefore resolves until it expires.
//
// Call [New], then [Republisher.Run]:
//
//	config := republish.Config{Network: node, Contacts: book, Home: records, Path: "keep.json"}
//	r := republish.New(config)
//	err := r.Run(ctx) // until ctx ends
//
// A [Republisher] is a scheduler: the caller supplies the network, the book and
// the clock. For each contact's record it first queries the 20 peers closest to the
// record, and puts it only if fewer than 10 of them hold the newest record. A
// newer record that the query returns replaces the stored one. The next query
// is due when half of the holders are expected to have left, by the measured
// rate at which peers leave, and after 22 h at the latest: peers discard a
// record after 48 h even if they stay. If there is no evidence of a put by
// others for 40 h, the record is put whatever the query returned.
//
// # Cost
//
// Pointers that are near one another in the keyspace have the same peers. One
// exploration of two or three walks finds all peers of a region, and serves
// every record there that is due or will be soon: 10,000 records in a network
// of 2,000 peers take some 180 walks.
//
// # Privacy
//
// Walks go to random keys and name no contact. An observer learns the first
// bits of a key (the bits that the keys of a region share, about log₂ of the
// number of peers less 4), under a throw-away peer key. Each record is then
// requested and put under a throw-away peer key of its own. So peers, and logs
// of peer IDs, cannot link the contacts of a book to each other, to the walk, or
// to the home's node. What remains: the IP address is the same, and the records
// of one region are put within minutes of each other. An observer of addresses,
// such as a queried peer, learns that this address republishes that record.
// Nothing is therefore republished unless the owner asks for it.
//
// The number of holders is the number of peers that claim to hold the record:
// peers that surround a key can claim it and store nothing. The record is then
// put every 40 h, and not sooner.
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
	replication = 20             // Kademlia's k: the peers that should hold a record
	minHolders  = 10             // holders among these with which a record is not put
	maxPutAge   = 40 * time.Hour // since the last put; peers discard a record after 48 h
	maxInterval = 22 * time.Hour // between two queries, without the jitter
	minInterval = 2 * time.Hour
	assumedAge  = 24 * time.Hour // since the last put of a record that peers hold and that was never put here (0 to 48 h)
	retryAfter  = time.Hour      // after a put that too few peers stored
	jitter      = 0.1            // share of an interval, added or subtracted

	spacing     = 3 * time.Second // between records that would all be due at once
	maxSpread   = 2 * time.Hour   // limit of the time over which these are spread
	maxParallel = 4               // records of a region processed at once
	maxGap      = 2 * time.Second // between two records of a region, on average

	walksPerMinute = 6
	maxPause       = time.Hour // while no peer can be reached
	pollEvery      = 10 * time.Minute
	maxWait        = time.Minute // of Run: timers stand still while the machine sleeps, and due times do not
	saveEvery      = time.Minute // while there is always a record due
)

// Key is a point of the Kademlia keyspace: the sha2-256 of a peer's ID, or of a
// record's routing key.
type Key [sha256.Size]byte

// Peer is a peer of the network.
type Peer struct {
	ID    string   // the bytes of the libp2p peer ID
	Addrs []string // multiaddrs
}

func (p Peer) key() Key { return sha256.Sum256([]byte(p.ID)) }

// keyOf returns the key of a record (IPNS specification, "Routing record").
func keyOf(p pointer.Pointer) Key {
	return sha256.Sum256(append([]byte("/ipns/"), p.Bytes()...))
}

// Network is the DHT that records are put to. Package kad's Node implements it.
type Network interface {
	// UnlinkableClient returns a new client with a throw-away peer key. Only IP
	// addresses link it to any other client.
	UnlinkableClient(ctx context.Context) (Client, error)
}

// Client sends requests under a peer key of its own. Its methods are safe for
// concurrent use and bound their own time.
type Client interface {
	// Walk looks up a random key that shares the first bits with near, or a few
	// bits less if such a key is too hard to find. It returns that key and the
	// 20 peers closest to it, the closest first, or all peers if there are less.
	Walk(ctx context.Context, near Key, bits int) (at Key, closest []Peer, err error)
	// Get requests a record from one peer. It returns unverified bytes, nil if
	// the peer has no record.
	Get(ctx context.Context, from Peer, p pointer.Pointer) ([]byte, error)
	// Put requests one peer to store a record. It returns nil if the peer
	// acknowledged it.
	Put(ctx context.Context, to Peer, p pointer.Pointer, record []byte) error
	Close() error
}

// Contacts is the set of contacts with records to republish. A removed contact
// is not in it.
type Contacts interface {
	// Pointers yields the current pointers of these contacts.
	Pointers() iter.Seq2[pointer.Pointer, error]
	// Contains reports whether Pointers would yield the pointer now. It is
	// called before each request that names a pointer.
	Contains(pointer.Pointer) (bool, error)
}

// Own configures the owner's record, which is put again however many peers hold
// it, and signed again before it expires.
type Own struct {
	Pointer func() pointer.Pointer
	// Store is the network, accessed under the node's own peer key.
	Store dht.Store
	// Locked reports whether the identity key is locked, so that Renew cannot
	// sign.
	Locked func() bool
	// Lifetime returns the lifetime that the record was published with, 0 if it
	// is unknown. Nil: it is always unknown, and the time that was left when the
	// Republisher first saw the record takes its place.
	Lifetime func(pointer.Record) time.Duration
	// Renew signs the record again with the given lifetime (0: unknown), stores
	// it in the home and puts it.
	Renew func(ctx context.Context, old pointer.Record, life time.Duration) error
	// Former puts the records of the owner's earlier pointers, which Store puts
	// together with the current one. It is called when the current one has expired
	// and cannot be renewed; nil: there are none.
	Former func(ctx context.Context)
}

// Config configures a Republisher. Network, Contacts and Home are required.
type Config struct {
	Network  Network
	Contacts Contacts
	Home     dht.Store        // the newest known records; newer ones that a query returns are put there
	Own      *Own             // nil: the owner's record is not republished
	Path     string           // of the file with the due times; "": memory only
	Now      func() time.Time // the clock; nil: time.Now
	Rand     rand.Source      // of the jitter; nil: seeded by the system
	Logger   *slog.Logger     // nil: nothing is logged

	files durable.FS // the file system; nil: the operating system's
}

// Republisher republishes records. Its methods are safe for concurrent use,
// except that only one Run may be active at a time.
type Republisher struct {
	config Config
	log    *slog.Logger
	wake   chan struct{}
	rate   *rate.Limiter // of the walks

	mu           sync.Mutex
	rng          *rand.Rand
	items        []*item // sorted by key
	own          ownState
	churn        float64   // rate at which peers leave, per peer and hour
	depth        int       // of the last region: bits shared by its peers
	walks        int       // since the start
	last         time.Time // the last query or put
	outcome      string    // of the last query or put
	contactsRead time.Time
	pausedUntil  time.Time // no request is sent before
	woken        bool      // Wake was called since Run began what it does now
	failures     int       // consecutive failed explorations
	dirty        bool
	saved        time.Time
	clock        clock
}

// New returns a Republisher with the due times of its file. A file that cannot
// be read is logged and replaced by a new one.
func New(c Config) *Republisher {
	r := &Republisher{config: c, log: c.Logger, wake: make(chan struct{}, 1), churn: startChurn}
	r.rate = rate.NewLimiter(rate.Every(time.Minute/walksPerMinute), walksPerMinute)
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	clock := c.Now
	if clock == nil {
		clock = time.Now
	}
	r.config.Now = func() time.Time { return clock().Round(0) } // due times pass while the machine sleeps
	source := c.Rand
	if source == nil {
		source = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	r.rng = rand.New(source)
	now := r.config.Now()
	r.clock.start(now)
	if c.Path == "" {
		return r
	}
	if err := durable.Sweep(c.files, filepath.Dir(c.Path), tempPrefix(c.Path)); err != nil {
		r.log.Warn("due times", "error", err)
	}
	s, err := readState(c.Path)
	if err != nil {
		r.log.Warn("due times begun anew", "error", err)
	}
	r.restore(s, now)
	return r
}

// Run republishes records until ctx ends, and returns the error of ctx.
func (r *Republisher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		r.mu.Lock()
		r.woken = false
		r.mu.Unlock()
		r.checkClock()
		if err := r.readContacts(); err != nil {
			r.log.Error("kept contacts not read", "error", err)
		}
		switch now := r.config.Now(); {
		case r.ownDue(now):
			r.republishOwn(ctx)
		case r.due(now) != nil:
			r.republishRegion(ctx, r.due(now))
		default:
			r.save()
			r.wait(ctx, r.idleTime(now))
		}
	}
	r.save()
	return ctx.Err()
}

// Wake makes Run read the contacts again, end a pause of the network and retry a
// failed put of the owner's record, also of one that is under way now and fails. Call
// it after a change of the contacts or the network.
func (r *Republisher) Wake() {
	r.mu.Lock()
	r.woken = true
	r.contactsRead, r.pausedUntil, r.failures = time.Time{}, time.Time{}, 0
	if r.own.Problem != "" {
		r.own.Next = r.config.Now()
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// wait returns after d, on a Wake, or when ctx ends.
func (r *Republisher) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.wake:
	case <-ctx.Done():
	}
}

// republishRegion explores the region around a record that is due, and
// republishes it and all others of the region that are due soon.
func (r *Republisher) republishRegion(ctx context.Context, first *item) {
	reg, err := r.explore(ctx, first.key)
	if err != nil {
		if ctx.Err() == nil {
			r.log.Warn("region not explored", "error", err)
			r.backOff(err)
		}
		return
	}
	due, gap := r.dueIn(reg, first)
	var running sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for _, it := range due {
		sleep(ctx, r.randomDelay(2*gap)) // gap on average
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		running.Go(func() {
			defer func() { <-slots }()
			r.republishOne(ctx, reg, it)
		})
	}
	running.Wait()
	r.mu.Lock()
	recent := time.Since(r.saved) < saveEvery
	r.mu.Unlock()
	if !recent {
		r.save()
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

// backOff pauses after a failed exploration, longer after each consecutive one. One
// that was under way at a Wake may have failed for a reason that is gone: it is repeated
// at once.
func (r *Republisher) backOff(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.depth = 0
	if r.woken {
		return
	}
	r.failures++
	r.pausedUntil = r.config.Now().Add(r.jittered(min(maxPause, time.Minute<<min(r.failures, 10))))
	r.outcome = err.Error()
}

// errFewerPeers is returned when the network seems to have shrunk since the last
// exploration.
var errFewerPeers = errors.New("fewer peers were found than there were")
