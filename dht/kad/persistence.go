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
	flushEvery = 5 * time.Second  // how much of its changes a killed node loses, at most
	peersEvery = 10 * time.Minute // how old the journal's list of peers becomes

	maxKnown      = 64       // peers in the journal
	maxKnownAddrs = 4        // addresses of each peer
	maxKnownBytes = 32 << 10 // of all addresses
)

// persistence writes a server's stored records and known peers to its journal.
type persistence struct {
	node       *Node
	journal    *journal
	knownPeers []peer.AddrInfo // from the journal when it was opened
	peers      []string        // the last list written
	peersSaved time.Time       // when peers was written
	stop       context.CancelFunc
	done       chan struct{}
	once       sync.Once
}

// closePersistence writes all changes and closes the journal, once.
func (n *Node) closePersistence() (err error) {
	if n.persistence != nil {
		n.persistence.once.Do(func() { err = n.persistence.close() })
	}
	return err
}

// openPersistence opens the journal and fills the store from it. An unreadable
// part is logged and not an error, since other peers have copies of the
// records.
func (n *Node) openPersistence(path string) (*persistence, error) {
	p := &persistence{node: n, done: make(chan struct{})}
	s := n.store
	j, err := openJournal(path, p.head(), func(e entry) error {
		switch {
		case e.kind == entryPut && len(e.fields) == 3:
			r := s.parseValue(string(e.fields[1]), e.fields[2])
			_ = s.insert(&r.heldRecord, string(e.fields[0])) // the store may be full if its limit was lowered
		case e.kind == entryDelete && len(e.fields) == 1:
			_ = s.Delete(context.Background(), datastore.RawKey(string(e.fields[0])))
		case e.kind == entryPeers && len(e.fields) > 0:
			p.peers = nil
			for _, f := range e.fields {
				p.peers = append(p.peers, string(f))
			}
		default:
			return fmt.Errorf("%w: an entry of kind %q with %d fields", errDamaged, e.kind, len(e.fields))
		}
		return nil
	})
	switch {
	case errors.Is(err, errOtherNetwork): // the configuration changed
		n.log.Info("stored records set aside", "error", err)
	case err != nil:
		n.log.Warn("stored records not completely read", "error", err)
	}
	p.journal = j
	// Peers learned through other bootstrap peers may belong to another network.
	if len(p.peers) > 0 && p.peers[0] == n.networkTag() {
		if p.knownPeers, err = parseAddrs(p.peers[1:]); err != nil {
			p.knownPeers = nil
		}
		p.knownPeers = p.knownPeers[:min(len(p.knownPeers), maxKnown)]
	}
	s.mu.Lock()
	s.changedKeys = map[string]bool{} // what was read is in the journal; changes from now on are not
	s.dropExpired(s.now())
	s.mu.Unlock()
	// A file that cannot be written is reported at the start.
	if err := p.flush(); err != nil {
		return nil, fmt.Errorf("stored records: %w", err)
	}
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.Background())
	go p.run(ctx)
	return p, nil
}

// head returns the first entry of the journal.
func (p *persistence) head() entry {
	return newEntry(entryHead, string(p.node.network), string(p.node.protocol))
}

// networkTag distinguishes networks of one protocol by their bootstrap peers.
func (n *Node) networkTag() string {
	var bootstrapIDs []string
	for _, p := range n.bootstrap {
		bootstrapIDs = append(bootstrapIDs, p.ID.String())
	}
	slices.Sort(bootstrapIDs)
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %v", n.network, n.protocol, bootstrapIDs)))
	return hex.EncodeToString(sum[:8])
}

// run writes changes to the journal until ctx ends.
func (p *persistence) run(ctx context.Context) {
	defer close(p.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	failed := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.flush()
		if err != nil && !failed {
			p.node.log.Warn("stored records not written", "error", err)
		}
		failed = err != nil
	}
}

// close writes the remaining changes and closes the journal.
func (p *persistence) close() error {
	p.stop()
	<-p.done
	p.peersSaved = time.Time{}
	p.journal.complete()
	err := p.flush()
	if cerr := p.journal.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("kad: stored records: %w", err)
	}
	return nil
}

// flush writes the changes since the previous flush.
func (p *persistence) flush() error {
	s := p.node.store
	var changes []entry
	if now := s.now(); now.Sub(p.peersSaved).Abs() >= peersEvery {
		if peers := p.node.peersToSave(); len(peers) > 1 {
			p.peers, p.peersSaved = peers, now
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
	err := p.journal.flush(changes, size, func() []entry {
		all := []entry{p.head()}
		if len(p.peers) > 0 {
			all = append(all, newEntry(entryPeers, p.peers...))
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for name := range s.items {
			all = append(all, s.entry(name))
		}
		return all
	})
	return err // after an error the next flush rewrites the whole journal
}

// entry returns the journal entry for the current state of a key.
func (s *boundedStore) entry(name string) entry {
	h := s.items[name]
	if h == nil {
		return newEntry(entryDelete, name)
	}
	return entry{entryPut, [][]byte{[]byte(h.source.name), []byte(h.name), h.value}}
}

// peersToSave returns the network's tag and multiaddrs of peers in the routing
// table, for the next start. If there are too many, it chooses at random, so
// that no attacker can influence the choice by an order.
func (n *Node) peersToSave() []string {
	out := []string{n.networkTag()}
	if n.dht == nil {
		return out
	}
	peers := shuffle(n.dht.RoutingTable().ListPeers())
	left := maxKnownBytes
	for _, id := range peers[:min(len(peers), maxKnown)] {
		addrs := 0
		for _, a := range n.host.Peerstore().Addrs(id) {
			text := a.String() + "/p2p/" + id.String()
			if !n.MayDial(a) || addrs == maxKnownAddrs || len(text) > left {
				continue
			}
			out = append(out, text)
			addrs++
			left -= len(text)
		}
	}
	return out
}

// shuffle puts the peers into a random order, in place.
func shuffle(peers []peer.ID) []peer.ID {
	rand.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	return peers
}
