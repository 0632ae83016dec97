package kad

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	flushEvery = 5 * time.Second  // how much a killed node forgets, at most
	peersEvery = 10 * time.Minute // how old the peers in the journal get

	maxKnown      = 64       // peers remembered
	maxKnownAddrs = 4        // addresses of each
	maxKnownBytes = 32 << 10 // of all of them
)

// durable is what outlives a node: what it holds, and whom it knows.
type persistence struct {
	node       *Node
	journal    *journal
	knownPeers []peer.AddrInfo // from the journal, when it was opened
	peers      []string        // as last written
	peersSaved time.Time       // when they were
	stop       context.CancelFunc
	done       chan struct{}
	once       sync.Once
}

// forget ends it; what it has stays on disk.
func (n *Node) closePersistence() (err error) {
	if n.persistence != nil {
		n.persistence.once.Do(func() { err = n.persistence.close() })
	}
	return err
}

// remember opens the journal and fills the store from it. That part of it could
// not be read is told in the log, and is no failure: the network has it.
func (n *Node) openPersistence(path string) (*persistence, error) {
	m := &persistence{node: n, done: make(chan struct{})}
	s := n.store
	j, err := openJournal(path, m.head(), func(e entry) error {
		switch {
		case e.kind == entryPut && len(e.fields) == 3:
			r := s.parseValue(string(e.fields[1]), e.fields[2])
			_ = s.insert(&r.heldRecord, string(e.fields[0])) // full: the bound is a lower one than it was
		case e.kind == entryDelete && len(e.fields) == 1:
			_ = s.Delete(context.Background(), datastore.RawKey(string(e.fields[0])))
		case e.kind == entryPeers && len(e.fields) > 0:
			m.peers = nil
			for _, f := range e.fields {
				m.peers = append(m.peers, string(f))
			}
		default:
			return fmt.Errorf("%w: an entry of kind %q with %d fields", errDamaged, e.kind, len(e.fields))
		}
		return nil
	})
	switch {
	case errors.Is(err, errOtherNetwork): // it was left since
		n.log.Info("stored records left behind", "error", err)
	case err != nil:
		n.log.Warn("stored records not all read", "error", err)
	}
	m.journal = j
	// Whom we knew by other entrances may be of another network.
	if len(m.peers) > 0 && m.peers[0] == n.networkTag() {
		if m.knownPeers, err = parseAddrs(m.peers[1:]); err != nil {
			m.knownPeers = nil
		}
		m.knownPeers = m.knownPeers[:min(len(m.knownPeers), maxKnown)]
	}
	s.mu.Lock()
	s.changedKeys = map[string]bool{}
	s.dropExpired(s.now())
	s.mu.Unlock()
	// What can't be written is told at once, not after a day.
	if err := m.flush(); err != nil {
		return nil, fmt.Errorf("stored records: %w", err)
	}
	var ctx context.Context
	ctx, m.stop = context.WithCancel(context.Background())
	go m.run(ctx)
	return m, nil
}

func (m *persistence) head() entry {
	return newEntry(entryHead, string(m.node.network), string(m.node.protocol))
}

// tag tells apart networks of one protocol: by where they are entered.
func (n *Node) networkTag() string {
	var entrances []string
	for _, s := range n.bootstrap {
		entrances = append(entrances, s.ID.String())
	}
	slices.Sort(entrances)
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %v", n.network, n.protocol, entrances)))
	return hex.EncodeToString(sum[:8])
}

// run writes the journal until ctx ends.
func (m *persistence) run(ctx context.Context) {
	defer close(m.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.flush()
		if err != nil && !failed {
			m.node.log.Warn("stored records not written", "error", err)
		}
		failed = err != nil
	}
}

// close writes what there is to write, for good.
func (m *persistence) close() error {
	m.stop()
	<-m.done
	m.peersSaved = time.Time{}
	err := m.flush()
	if cerr := m.journal.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("kad: stored records: %w", err)
	}
	return nil
}

// flush writes what has changed.
func (m *persistence) flush() error {
	s := m.node.store
	var changes []entry
	if now := time.Now(); now.Sub(m.peersSaved) >= peersEvery {
		if peers := m.node.peersToSave(); len(peers) > 1 {
			m.peers, m.peersSaved = peers, now
			changes = append(changes, newEntry(entryPeers, peers...))
		}
	}
	s.mu.Lock()
	if now := s.now(); now.Sub(s.lastDrop).Abs() > dropEvery {
		s.dropExpired(now)
	}
	changed := s.changedKeys
	s.changedKeys = map[string]bool{}
	for name := range changed {
		changes = append(changes, s.entry(name))
	}
	size := s.bytes
	s.mu.Unlock()
	err := m.journal.flush(changes, size, func() []entry {
		all := []entry{m.head()}
		if len(m.peers) > 0 {
			all = append(all, newEntry(entryPeers, m.peers...))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for name := range s.items {
			all = append(all, s.entry(name))
		}
		return all
	})
	return err // the next flush writes all: what this one lost is in it
}

// entry is how the journal has a key as it is now.
func (s *boundedStore) entry(name string) entry {
	h := s.items[name]
	if h == nil {
		return newEntry(entryDelete, name)
	}
	return entry{entryPut, [][]byte{[]byte(h.source.name), []byte(h.name), h.value}}
}

// acquaintances are the tag of the network and the addresses of peers in the
// routing table, for the next time. Of more than fit, chance picks: an order
// could be aimed at.
func (n *Node) peersToSave() []string {
	out := []string{n.networkTag()}
	if n.dht == nil {
		return out
	}
	peers := shuffle(n.dht.RoutingTable().ListPeers())
	left := maxKnownBytes
	for _, id := range peers[:min(len(peers), maxKnown)] {
		taken := 0
		for _, a := range n.host.Peerstore().Addrs(id) {
			text := a.String() + "/p2p/" + id.String()
			if !n.mayDial(a) || taken == maxKnownAddrs || len(text) > left {
				continue
			}
			out = append(out, text)
			taken++
			left -= len(text)
		}
	}
	return out
}

func shuffle(peers []peer.ID) []peer.ID {
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return peers
}
