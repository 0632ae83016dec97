package republish

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestMain(m *testing.M) { os.Exit(lawtest.Main(m)) }

// model is a network as republishers see it: peers that come and leave, store what
// verifies for 48 h, and return the newest. It records the requests of each client.
type model struct {
	mu      sync.Mutex
	now     func() time.Time
	rng     *rand.Rand
	peers   []*modelPeer
	live    map[string]*modelPeer
	born    int
	opened  map[[sha256.Size]byte]pointer.Record
	down    bool
	walks   []time.Time
	clients []*modelClient
	puts    map[pointer.Pointer]int // put requests
}

type modelPeer struct {
	Peer
	start   uint64 // of its key; dense peers share it
	records map[pointer.Pointer]modelRecord
	silent  bool // answers walks only
	refuses bool // to store any record
}

type modelRecord struct {
	pointer.Record
	at time.Time
}

const peersForget = 48 * time.Hour

func newModel(peers int, seed uint64) *model {
	m := &model{now: time.Now, rng: rand.New(rand.NewPCG(seed, 1)), live: map[string]*modelPeer{},
		opened: map[[sha256.Size]byte]pointer.Record{}, puts: map[pointer.Pointer]int{}}
	for range peers {
		m.join(m.newID())
	}
	return m
}

func (m *model) newID() Peer {
	m.born++
	return Peer{ID: fmt.Sprintf("peer %d %d", m.born, m.rng.Uint64())}
}

func (m *model) join(p Peer) { m.peers = append(m.peers, m.newPeer(p)) }

func (m *model) newPeer(p Peer) *modelPeer {
	place := p.key()
	m.live[p.ID] = &modelPeer{Peer: p, start: binary.BigEndian.Uint64(place[:]), records: map[pointer.Pointer]modelRecord{}}
	return m.live[p.ID]
}

// replace replaces a share of the peers by new ones.
func (m *model) replace(share float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.peers {
		if m.rng.Float64() < share {
			delete(m.live, m.peers[i].ID)
			m.peers[i] = m.newPeer(m.newID())
		}
	}
}

// closestTo returns the peers closest to a key, in order.
func (m *model) closestTo(at Key) []*modelPeer {
	start := binary.BigEndian.Uint64(at[:])
	var found []*modelPeer
	for _, p := range m.peers {
		if len(found) == replication && p.start^start >= found[replication-1].start^start {
			continue
		}
		i, _ := slices.BinarySearchFunc(found, p.start^start, func(o *modelPeer, d uint64) int { return cmp.Compare(o.start^start, d) })
		found = slices.Insert(found, i, p)
		found = found[:min(len(found), replication)]
	}
	return found
}

// walkCount returns the number of walks.
func (m *model) walkCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.walks)
}

// clientCount returns the number of clients.
func (m *model) clientCount() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.clients)
}

// clientsAfter returns the clients after the first n.
func (m *model) clientsAfter(n int) (all []modelClient) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.clients[n:] {
		all = append(all, modelClient{pointers: maps.Clone(s.pointers)})
	}
	return all
}

// putsOf returns the number of puts of records of p; of all, for the zero
// pointer.
func (m *model) putsOf(p pointer.Pointer) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for of, times := range m.puts {
		if p.IsZero() || of == p {
			n += times
		}
	}
	return n
}

// holders returns the number of closest peers that have the record now.
func (m *model) holders(rec pointer.Record) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.closestTo(keyOf(rec.Pointer())) {
		if have, ok := m.get(p, rec.Pointer()); ok && have.ID() == rec.ID() {
			n++
		}
	}
	return n
}

// resolves reports whether one of the closest peers has an unexpired record.
func (m *model) resolves(p pointer.Pointer) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, peer := range m.closestTo(keyOf(p)) {
		if rec, ok := m.get(peer, p); ok && m.now().Before(rec.Expires()) {
			return true
		}
	}
	return false
}

func (m *model) get(p *modelPeer, of pointer.Pointer) (pointer.Record, bool) {
	have, ok := p.records[of]
	if !ok || m.now().Sub(have.at) >= peersForget {
		return pointer.Record{}, false
	}
	return have.Record, true
}

func (m *model) put(p *modelPeer, of pointer.Pointer, b []byte) error {
	key := sha256.Sum256(b)
	rec, ok := m.opened[key]
	if !ok {
		var err error
		if rec, err = pointer.Open(of, b, m.now()); err != nil {
			return err
		}
		m.opened[key] = rec
	}
	if !m.now().Before(rec.Expires()) {
		return errors.New("expired")
	}
	if have, ok := m.get(p, of); ok && have.Compare(rec) > 0 {
		return dht.ErrOlder
	}
	p.records[of] = modelRecord{rec, m.now()}
	return nil
}

// storeAt stores a record at the n closest peers.
func (m *model) storeAt(rec pointer.Record, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.closestTo(keyOf(rec.Pointer()))[:n] {
		p.records[rec.Pointer()] = modelRecord{rec, m.now()}
	}
}

var errDown = fmt.Errorf("%w: no network", dht.ErrUnreachable)

func (m *model) UnlinkableClient(context.Context) (Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return nil, errDown
	}
	s := &modelClient{model: m, pointers: map[pointer.Pointer]bool{}}
	m.clients = append(m.clients, s)
	return s, nil
}

// modelStranger records its requests.
type modelClient struct {
	model    *model
	keys     []Key // of its walks, as requested
	bits     []int
	pointers map[pointer.Pointer]bool
	closed   bool
}

func (s *modelClient) Walk(_ context.Context, near Key, bits int) (Key, []Peer, error) {
	m := s.model
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return Key{}, nil, errDown
	}
	m.walks = append(m.walks, time.Now())
	s.keys, s.bits = append(s.keys, near), append(s.bits, bits)
	at := near
	for i := bits; i < 8*len(at); i++ {
		if m.rng.IntN(2) == 1 {
			at[i/8] ^= 0x80 >> (i % 8)
		}
	}
	var found []Peer
	for _, p := range m.closestTo(at) {
		found = append(found, p.Peer)
	}
	return at, found, nil
}

func (s *modelClient) peer(p Peer, of pointer.Pointer) (*modelPeer, error) {
	s.pointers[of] = true
	if peer := s.model.live[p.ID]; peer != nil && !peer.silent {
		return peer, nil
	}
	return nil, errDown
}

func (s *modelClient) Get(_ context.Context, from Peer, p pointer.Pointer) ([]byte, error) {
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	peer, err := s.peer(from, p)
	if err != nil {
		return nil, err
	}
	if rec, ok := s.model.get(peer, p); ok {
		return rec.Bytes(), nil
	}
	return nil, nil
}

func (s *modelClient) Put(_ context.Context, to Peer, p pointer.Pointer, b []byte) error {
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	s.model.puts[p]++
	peer, err := s.peer(to, p)
	if err != nil {
		return err
	}
	if peer.refuses {
		return errors.New("refused")
	}
	return s.model.put(peer, p, b)
}

func (s *modelClient) Close() error {
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	s.closed = true
	return nil
}

// modelStore is the network under a node's own key.
type modelStore struct{ *model }

func (m modelStore) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		m.mu.Lock()
		peers := m.closestTo(keyOf(p))
		if m.down {
			peers = nil
		}
		var answers []dht.Answer
		for _, peer := range peers {
			a := dht.Answer{Source: dht.SourceNetwork, Peer: peer.ID}
			if rec, ok := m.model.get(peer, p); ok {
				a.Record = rec.Bytes()
			}
			answers = append(answers, a)
		}
		m.mu.Unlock()
		for _, a := range answers {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (m modelStore) Put(_ context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return dht.Receipt{}, errDown
	}
	var r dht.Receipt
	for _, peer := range m.closestTo(keyOf(p)) {
		m.puts[p]++
		r.Asked++
		if m.put(peer, p, b) == nil {
			r.Stored++
		}
	}
	return r, nil
}

// book is a set of contacts with records to republish.
type book struct {
	mu       sync.Mutex
	pointers map[pointer.Pointer]bool
}

func (b *book) Pointers() iter.Seq2[pointer.Pointer, error] {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.Collect(maps.Keys(b.pointers))
	slices.SortFunc(all, func(x, y pointer.Pointer) int { return bytes.Compare(x.Bytes(), y.Bytes()) })
	return func(yield func(pointer.Pointer, error) bool) {
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (b *book) Contains(p pointer.Pointer) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pointers[p], nil
}

func (b *book) set(on bool, ps ...pointer.Pointer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range ps {
		if b.pointers[p] = on; !on {
			delete(b.pointers, p)
		}
	}
}

func testKey(n int) *pointer.Key {
	seed := sha256.Sum256(fmt.Appendf(nil, "keep test %d", n))
	k, err := pointer.NewKey(bytes.NewReader(seed[:ed25519.SeedSize]))
	if err != nil {
		panic(err)
	}
	return k
}

func sign(t testing.TB, k *pointer.Key, sequence uint64, life time.Duration) pointer.Record {
	t.Helper()
	rec, err := pointer.Sign(k, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: time.Now().Add(life).Truncate(time.Second), TTL: time.Minute})
	require.NoError(t, err)
	return rec
}

// newHome returns a book of n contacts, and a home with their records.
func newHome(t testing.TB, n int, life time.Duration) (*book, *dht.Memory, []pointer.Record) {
	t.Helper()
	b, home := &book{pointers: map[pointer.Pointer]bool{}}, &dht.Memory{}
	var recs []pointer.Record
	for i := range n {
		rec := sign(t, testKey(i), 1, life)
		_, err := home.Put(t.Context(), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		b.set(true, rec.Pointer())
		recs = append(recs, rec)
	}
	return b, home, recs
}

// start runs a republisher until the test, or stop, ends it.
func start(t *testing.T, c Config) (k *Republisher, stop func()) {
	t.Helper()
	if c.Rand == nil {
		c.Rand = rand.NewPCG(7, 7)
	}
	k = New(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = k.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return k, stop
}

// requireRates advances the clock by some minutes and checks the rates of walks and of
// records in each. Walks come at their rate, after a burst of at most the walks
// of one minute. Records of a region, each under a different peer key, are at
// least a second apart on average.
func requireRates(t *testing.T, m *model, minutes int) {
	t.Helper()
	for range minutes {
		walks, strangers := m.walkCount(), m.clientCount()
		advance(time.Minute)
		require.LessOrEqual(t, m.walkCount()-walks, 2*walksPerMinute)
		require.LessOrEqual(t, m.clientCount()-strangers, 60)
	}
}

// advance advances the clock, and waits until all that is due has happened.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
