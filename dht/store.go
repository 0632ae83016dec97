// Package dht moves signed records between a person and the machines that
// store them, none of which is trusted.
//
// A [Store] gets and puts the bytes of a record under a pointer: [Memory] and
// [Dir] are embedded ones, package kad is a node of the libp2p Kademlia DHT,
// package delegated asks routers over HTTP.
// A [Resolver] asks several of them at once, verifies all that comes back with
// [pointer.Open], and gives the best record that verifies:
//
//	home, err := dht.OpenDir(filepath.Join(dir, "records"))
//	…
//	r := &dht.Resolver{Stores: []dht.Store{node}, Home: home}
//	res, err := r.Best(ctx, p, dht.LevelFresh)
//	fmt.Println(res.Record.Value(), res.Source, res.Freshness, res.Agreed)
//
// What a Resolver promises: the bytes of a Result were signed by the pointer's
// key and are within their life; they are never older than what this home has
// verified before (the floor); a store that lies, hangs, floods or fails can
// withhold its own answer and nothing else. What nobody can promise: that a
// newer record doesn't exist. [Result.Freshness] and [Result.Agreed] say how
// far it was looked for. Acknowledgements and agreement are counted by peer,
// and peers are free to make: against one who owns the key's whole
// neighbourhood they prove nothing.
package dht

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/petnames-go/petnames/pointer"
)

// Source says where a record came from.
type Source string

// The sources of a record.
const (
	SourceNetwork Source = "network" // a peer of a DHT
	SourceCache   Source = "cache"   // kept in the home, and served in the network's stead
	SourceRouter  Source = "router"  // an HTTP router (/routing/v1)
	SourceHome    Source = "home"    // a store on this machine, asked as such
)

// Answer is what one peer, or a store as a whole, says about a pointer.
type Answer struct {
	Record []byte // unverified, and the receiver's to keep; nil: the answerer has none
	Source Source
	Peer   string // who answered: a peer's ID, a router's URL; "" if the store is local
	Asked  int    // peers asked so far in this look-up
}

// Receipt is the outcome of a put, in peers. Asked may exceed the sum of the
// next three: the rest had not answered yet when the put was done.
//
// Stored counts words. Groups and Spread tell how many different mouths they
// may come from, Confirmed how many peers were seen to have it.
type Receipt struct {
	Asked       int // peers that the record was sent to
	Stored      int // of these: confirmed that they hold it
	Refused     int // of these: answered, and do not
	Unreachable int // of these: did not answer

	// Confirmed peers gave the record back to a look-up of its own after the
	// put: others than the first to acknowledge it, and not more of those who
	// stand at one spot than chance puts there. Only [Store]s that are asked for
	// it look; see [Thorough].
	Confirmed int

	// Groups of public addresses (/16 of IPv4, /32 of IPv6) that those who
	// stored it belong to, and Spread: how many of them are left when no more
	// are counted about the key than the network's size explains. 0: not known,
	// as on a local network or a small one.
	Groups, Spread int
}

func (r Receipt) add(o Receipt) Receipt {
	return Receipt{
		r.Asked + o.Asked, r.Stored + o.Stored, r.Refused + o.Refused, r.Unreachable + o.Unreachable,
		r.Confirmed + o.Confirmed, r.Groups + o.Groups, r.Spread + o.Spread,
	}
}

// Doubt says in a few words why the acknowledgements of a put may all be one
// attacker's; "" if nothing speaks for it.
func (r Receipt) Doubt() string {
	switch {
	case r.Stored < 4:
		return "" // too few to tell
	case r.Groups == 1:
		return "only peers of one group of addresses acknowledged it"
	case r.Spread > 0 && 2*r.Spread < r.Stored:
		return fmt.Sprintf("most acknowledgements (%d of %d) came from peers that crowd about the key", r.Stored-r.Spread, r.Stored)
	}
	return ""
}

// Store keeps records, by pointer. Implementations are safe for concurrent
// use and pass the suite of package dhttest.
type Store interface {
	// Get yields an answer for each peer that was asked, as it comes in. An
	// error is yielded beside an Answer without a record: with Peer set it is
	// that peer's failure alone, else the store's, which then did not ask all
	// that it should have. Iteration may go on after either. A record that
	// is not there is no error. Closing early stops the work.
	Get(ctx context.Context, p pointer.Pointer) iter.Seq2[Answer, error]

	// Put stores a record, whose bytes it neither keeps nor changes. A nil
	// error means that as many peers stored it as the store aims at. A
	// record that is malformed, of another pointer, expired, or over
	// [pointer.MaxRecord] is refused; an older one than the store holds gives
	// [ErrOlder]. The same record again is fine.
	Put(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error)
}

// Seeker is a Store that looks harder for a higher level. A [Resolver] asks it
// by GetAt in Get's stead, with the level that it was asked for itself.
type LevelStore interface {
	Store
	GetAt(ctx context.Context, p pointer.Pointer, level Level) iter.Seq2[Answer, error]
}

// Thorough is a Store that can see a put through: PutAll is Put, but returns
// only when every peer that should have the record has said something, and it
// was looked up again: [Receipt.Confirmed].
type ConfirmingStore interface {
	Store
	PutAll(ctx context.Context, p pointer.Pointer, record []byte) (Receipt, error)
}

var (
	// ErrNotFound: peers answered, and none of them has a record.
	ErrNotFound = errors.New("no record found")

	// ErrUnreachable: nobody answered, or there is nobody to ask. Worth
	// retrying once the network is back.
	ErrUnreachable = errors.New("nobody could be reached")

	// ErrOlder: a put that is older than what the store holds.
	ErrOlder = errors.New("an older record than the one already stored")

	// ErrSurrounded: more peers than chance explains stand at a pointer's key,
	// and few others answered: whoever made them may have kept a newer record
	// from us. What came is no fresher than any.
	ErrSurrounded = errors.New("the name is surrounded by peers that one attacker may have made")

	// ErrRejected: records came, and not one of them verified.
	ErrRejected = errors.New("no record that came verifies")
)

// ShortError is a put that fewer peers confirmed than were wanted. The record
// may be found all the same; it is worth putting again.
type ShortError struct {
	Receipt Receipt
	Want    int // peers
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("stored by %d of %d peers, and %d are wanted (%d refused it, %d did not answer); try again",
		e.Receipt.Stored, e.Receipt.Asked, e.Want, e.Receipt.Refused, e.Receipt.Unreachable)
}

// RollbackError is a look-up that brought only records older than the newest
// one that this home has ever verified.
type RollbackError struct {
	Have pointer.Record // the floor; maybe expired
	Got  pointer.Record // the best of those that came
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("%s: only an older record came (sequence %d) than the one already known (sequence %d)",
		e.Have.Pointer(), e.Got.Sequence(), e.Have.Sequence())
}
