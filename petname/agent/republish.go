package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	ipns_pb "github.com/ipfs/boxo/ipns/pb"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// Republished yields the contacts that [Agent.SetRepublished] marked.
func (a *Agent) Republished() iter.Seq2[petname.Contact, error] { return a.book.Republished() }

// SetRepublished marks contacts, by their IDs, or with on false removes the marks:
// an agent that runs looks for the records of marked contacts now and then, and
// republishes one before the network drops it. Peers that store the record see the
// IP address that it came from. Errors are those of [petname.Book.SetRepublished].
func (a *Agent) SetRepublished(ids []pointer.Pointer, on bool) error {
	return a.book.SetRepublished(ids, on)
}

// RepublishEntries returns, by the contact's pointer, what is known of each
// contact's record that is republished; of an agent that does not run, what it
// knew when it last did.
func (a *Agent) RepublishEntries() (map[pointer.Pointer]republish.Entry, error) {
	if k := a.runningRepublisher(); k != nil {
		return k.Entries(), nil
	}
	entries, err := republish.ReadEntries(a.home.RepublishFile())
	if err != nil {
		a.log.Warn("due times not read", "error", err) // an agent that runs computes new ones
	}
	return entries, nil
}

// runRepublisher republishes records, until the agent closes.
func (a *Agent) runRepublisher() {
	k := republish.New(republish.Config{
		Network: republishNetwork{a.state}, Contacts: &republishedContacts{book: a.book}, Home: a.records, Path: a.home.RepublishFile(), Now: a.now, Logger: a.log,
		Own: &republish.Own{Pointer: a.book.Identity, Store: &ownNetwork{lazyNetwork{state: a.state}}, Locked: a.locked, Lifetime: a.lifetime, Renew: a.renew, Former: a.putFormerAlone},
	})
	a.wakes.Lock()
	a.republisher = k
	a.wakes.Unlock()
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	a.loops.Go(func() { _ = k.Run(running) })
}

func (s *state) runningRepublisher() *republish.Republisher {
	s.wakes.Lock()
	defer s.wakes.Unlock()
	return s.republisher
}

// wakeRepublisher notifies the republisher, if one runs, of a change of the book or the network.
func (s *state) wakeRepublisher() {
	if k := s.runningRepublisher(); k != nil {
		k.Wake()
	}
}

// renew publishes the owner's record again before it expires: the same value, for
// as long as it was published for. If that is unknown, the given lifetime may be the
// short rest of a longer one. Of a record that only another copy of the home, or a thief of the
// key, can have signed, nothing is kept: the value is that of the owner's last publication, and the
// options are those of this home's last one, or the defaults.
func (a *Agent) renew(ctx context.Context, old pointer.Record, life time.Duration) error {
	last, err := a.reserved(old.Pointer())
	if err != nil {
		return err
	}
	foreign := !last.made(old) && !a.othersSign()
	out, err := a.publishDraft(ctx, func(d *Draft) error {
		if foreign {
			d.V1, d.Addresses = last.v1, last.addresses
			if last.sequence > 0 {
				d.Lifetime = last.life
			}
			if !last.noOptions {
				d.TTL = last.ttl
			}
			d.TTL = min(d.TTL, d.Lifetime)
			return nil
		}
		d.TTL, d.Lifetime, d.V1 = old.TTL(), life.Round(time.Second), hasV1(old.Bytes())
		if a.lifetime(old) == 0 {
			d.Lifetime = max(d.Lifetime, defaultLifetime)
		}
		d.TTL, d.Lifetime = min(d.TTL, d.Lifetime), min(d.Lifetime, MaxLifetime)
		if c, ok := old.Card(); ok {
			d.Addresses = len(c.Nodes) > 0
		}
		return nil
	}, true)
	if err != nil && out.Receipt.Stored == 0 {
		return err
	}
	return nil
}

// hasV1 reports whether a record also has a V1 signature.
func hasV1(record []byte) bool {
	var pb ipns_pb.IpnsRecord
	return proto.Unmarshal(record, &pb) == nil && len(pb.GetSignatureV1()) > 0
}

// ownNetwork is where an agent that runs looks for the owner's record, and
// republishes it: the DHT and the routers that were joined. With it, the last
// records of the earlier keys are stored, which name the successor.
type ownNetwork struct{ lazyNetwork }

// Get is that of the DHT. The answers are the last in which the record of another copy of
// the home may be: the owner's is put next, and replaces those that end earlier.
func (n *ownNetwork) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		(&watchedStore{&n.lazyNetwork, n.state.book.Identity(), n.state.compareOwn}).Get(ctx, p)(yield)
		if n.state.foreign.Load() != nil {
			_, _, _ = n.state.noteCopy() // shown to the owner later
		}
	}
}

func (n *ownNetwork) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	s := n.state
	rec, err := pointer.Open(p, record, s.now())
	if err != nil {
		return dht.Receipt{}, err
	}
	stores, err := s.joined(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	s.warnSuperseded(rec)
	receipt, err := s.resolver(stores...).Publish(ctx, rec)
	s.clearUnsentLater(rec, receipt, err)
	s.setLastPut(rec, receipt, false, err) // it may be stored now after a publication that failed
	if id, ierr := s.identity(); ierr == nil {
		s.putFormer(ctx, id, stores)
	}
	return receipt, err
}

// putFormerAlone stores the last records of the owner's earlier pointers while the
// current record has expired: the identity can be locked for longer than it is valid.
// It is called after each failure of the republisher, and does it every 12 hours.
func (s *state) putFormerAlone(ctx context.Context) {
	const every = 12 * time.Hour // the network drops them after 48
	s.mu.Lock()
	soon := !s.formerPut.IsZero() && s.now().Round(0).Sub(s.formerPut).Abs() < every
	s.mu.Unlock()
	id, err := s.identity()
	if err != nil || soon {
		return
	}
	stores, err := s.joined(ctx)
	if err != nil {
		return
	}
	if stored, _ := s.putFormer(ctx, id, stores); len(stored) > 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.formerPut = s.now().Round(0)
	}
}

// republishNetwork is the network for the records of contacts: the one that the
// agent is in at the time.
type republishNetwork struct{ state *state }

func (r republishNetwork) UnlinkableClient(ctx context.Context) (republish.Client, error) {
	r.state.mu.Lock()
	node := r.state.node
	r.state.mu.Unlock()
	if node == nil {
		return nil, fmt.Errorf("%w: no network is joined", dht.ErrUnreachable)
	}
	return node.UnlinkableClient(ctx)
}

// republishedContacts is the marked contacts of the book.
type republishedContacts struct {
	book *petname.Book
	mu   sync.Mutex
	ids  map[pointer.Pointer]pointer.Pointer // by current pointer
}

func (k *republishedContacts) Pointers() iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
		ids := map[pointer.Pointer]pointer.Pointer{}
		defer func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.ids = ids
		}()
		for c, err := range k.book.Republished() {
			if err != nil {
				yield(pointer.Pointer{}, err)
				return
			}
			ids[c.Pointer] = c.ID
			if !yield(c.Pointer, nil) {
				return
			}
		}
	}
}

func (k *republishedContacts) Contains(p pointer.Pointer) (bool, error) {
	k.mu.Lock()
	id, known := k.ids[p]
	k.mu.Unlock()
	if !known {
		id = p
	}
	c, err := k.book.ByPointer(id)
	if errors.Is(err, petname.ErrNotFound) {
		return false, nil
	}
	return c.Republished && c.Pointer == p, err
}
