// Package dht looks up and publishes signed records in stores that are not
// trusted.
//
// Call [Resolver.Best] to look up a record, and [Resolver.Publish] to publish
// one. A Resolver queries several stores at once, verifies their answers with
// [pointer.Open], and returns the newest valid record:
//
//	home, err := dht.OpenDir(filepath.Join(dir, "records"))
//	…
//	r := &dht.Resolver{Stores: []dht.Store{node}, Home: home}
//	res, err := r.Best(ctx, p, dht.LevelFresh)
//	fmt.Println(res.Record.Value(), res.Source, res.Freshness, res.Agreed)
//
// A [Store] gets and puts the bytes of a record under a pointer. [Memory] and
// [Dir] are local stores, package kad is a node of the libp2p Kademlia DHT, and
// package delegated is a client of HTTP routers.
//
// A Resolver guarantees that the record of a Result was signed by the pointer's
// key, has not expired, and is not older than any record that this home has
// verified before (the floor). A store that returns false answers, hangs, floods
// or fails can only withhold its own answer. Nothing can guarantee that there is
// no newer record: [Result.Freshness] and [Result.Agreed] state the evidence.
// Acknowledgements and agreement are counted by peer, and peers cost nothing to
// make. If one attacker runs all peers near a key (an eclipse attack), the counts
// prove nothing.
package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/petnames-go/petnames/pointer"
)

// Source is the kind of store that a record is from.
type Source string

// The sources of a record.
const (
	SourceNetwork Source = "network" // a peer of a DHT
	SourceCache   Source = "cache"   // stored in the home, and used in place of a query
	SourceRouter  Source = "router"  // an HTTP router (/routing/v1)
	SourceHome    Source = "home"    // a local store
)

// Answer is the answer of one peer, or of a store as a whole, for a pointer.
type Answer struct {
	Record []byte // unverified, owned by the receiver; nil: no record
	Source Source
	Peer   string // a peer's ID or a router's URL; "" if the store is local
	Asked  int    // peers asked so far in this look-up
}

// Receipt is the result of a put, in peers. Asked may exceed the sum of Stored,
// Refused and Unreachable: the other peers had not answered when the put
// returned.
//
// Stored counts acknowledgements, which a peer can send without storing the
// record. Confirmed, Groups and Spread are further evidence.
type Receipt struct {
	Asked       int // peers that the record was sent to
	Stored      int // of these: acknowledged the put
	Refused     int // of these: answered, and did not store the record
	Unreachable int // of these: did not answer

	// Confirmed is the number of peers that returned the record to a separate
	// look-up after the put. It excludes the first peers that acknowledged, and
	// peers over the number that chance explains at one place of the keyspace.
	// Only [ConfirmingStore.PutAll] sets it.
	Confirmed int

	// Groups is the number of groups of public addresses (/16 of IPv4, /32 of
	// IPv6) of the peers that acknowledged. Spread is the number of these peers
	// without those over the density that the network's size explains near the
	// key. 0 means unknown, as on a local or small network.
	Groups, Spread int
}

// add returns the sum of two receipts.
func (r Receipt) add(o Receipt) Receipt {
	return Receipt{
		r.Asked + o.Asked, r.Stored + o.Stored, r.Refused + o.Refused, r.Unreachable + o.Unreachable,
		r.Confirmed + o.Confirmed, r.Groups + o.Groups, r.Spread + o.Spread,
	}
}

// Doubt returns, in a few words for people, why the acknowledgements of a put may
// all be from one attacker; "" if there is no evidence for that.
func (r Receipt) Doubt() string {
	switch {
	case r.Stored < 4:
		return "" // too few to decide
	case r.Groups == 1:
		return "only peers of one group of addresses acknowledged it"
	case r.Spread > 0 && 2*r.Spread < r.Stored:
		return fmt.Sprintf("most acknowledgements (%d of %d) came from an improbably dense group of peers near the key", r.Stored-r.Spread, r.Stored)
	}
	return ""
}

// Store stores records by pointer. Implementations are safe for concurrent use
// and pass the suite of package dhttest.
type Store interface {
	// Get yields an answer for each peer that was asked, in the order of arrival.
	// An error is yielded beside an Answer without a record. If its Peer is set,
	// only that peer failed. Otherwise the store failed, and did not ask all
	// peers that it should have. Further answers may follow either. A missing
	// record is not an error. Breaking out of the loop stops the look-up.
	Get(ctx context.Context, p pointer.Pointer) iter.Seq2[Answer, error]

	// Put stores a record. It neither retains nor changes the slice. The error
	// is nil if as many peers as the store wants have stored the record. Put
	// refuses a record that is malformed, of another pointer, expired, or over
	// [pointer.MaxRecord] bytes. It returns an error that wraps [ErrOlder] if
	// the store has a newer record. A record may be put again.
	Put(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error)
}

// LevelStore is a Store whose look-up depends on the level. A [Resolver] calls
// GetAt in place of Get, with the level of the caller.
type LevelStore interface {
	Store
	GetAt(ctx context.Context, p pointer.Pointer, level Level) iter.Seq2[Answer, error]
}

// ConfirmingStore is a Store that can confirm a put. PutAll is Put, but waits for
// every peer that should have the record to answer or fail, then looks the record
// up again: see [Receipt.Confirmed].
type ConfirmingStore interface {
	Store
	PutAll(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error)
}

var (
	// ErrNotFound is returned when peers answered and none has a record.
	ErrNotFound = errors.New("no record found")

	// ErrUnreachable is returned when no peer answered, or there is no peer to
	// ask. Retry when the network is available again.
	ErrUnreachable = errors.New("no peer or router could be reached")

	// ErrOlder is returned for a put of a record that is older than the stored
	// one.
	ErrOlder = errors.New("an older record than the one already stored")

	// ErrSurrounded is returned when the density of peers near a pointer's key is
	// higher than chance explains, and few other peers answered: one attacker
	// may run these peers and withhold a newer record (an eclipse attack). The
	// look-up then counts as incomplete.
	ErrSurrounded = errors.New("the name is surrounded by peers that one attacker may have made")

	// ErrRejected is returned when no received record verifies.
	ErrRejected = errors.New("no received record verifies")
)

// ShortError is the error of a put that fewer peers stored than the store wants.
// The record may be found nevertheless; put it again later.
type ShortError struct {
	Receipt Receipt
	Want    int // peers
}

func (e *ShortError) Error() string {
	are := "are"
	if e.Want == 1 {
		are = "is"
	}
	return fmt.Sprintf("stored by %d of %s, and %d %s wanted (%d refused it, %d did not answer); try again",
		e.Receipt.Stored, peersText(e.Receipt.Asked), e.Want, are, e.Receipt.Refused, e.Receipt.Unreachable)
}

// peersText returns "1 peer", "2 peers" and so on.
func peersText(n int) string {
	if n == 1 {
		return "1 peer"
	}
	return fmt.Sprintf("%d peers", n)
}

// RollbackError is the error of a look-up that found only records older than the
// newest one that this home has ever verified.
type RollbackError struct {
	Have pointer.Record // the floor, which may have expired
	Got  pointer.Record // the newest record found
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("%s: only records older than the one already known (sequence %d) were received: the newest has sequence %d",
		e.Have.Pointer(), e.Have.Sequence(), e.Got.Sequence())
}
