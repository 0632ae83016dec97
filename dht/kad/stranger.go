package kad

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/bits"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/pointer"
)

// maxNear bounds the first bits of a place that a key is searched for: a
// million hashes at the most, and regions of 20 peers in a network of 10
// million.
const maxNear = 19

var _ republish.Network = (*Node)(nil)

// stranger is a host of its own, under a throw-away peer key. It listens
// nowhere, keeps no routing table, and takes its first peers from the node's.
type stranger struct {
	node *Node // whose network it is
	as   *Node // what acts: a node with nothing but a host
	stop func() bool
}

// UnlinkableClient returns a new client of the network, which only the IP address
// links to the node. Close it; it ends with the node at the latest. It costs a
// host, and a connection of its own to each peer that it asks.
func (n *Node) UnlinkableClient(ctx context.Context) (republish.Client, error) {
	_, leave, err := n.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("kad: stranger: %w", err)
	}
	s := &stranger{node: n, as: &Node{protocol: n.protocol, network: n.network, dialing: n.dialing, timeout: n.timeout, wire: n.wire, now: n.now, log: n.log}}
	h, err := s.as.newHost(Config{}, key)
	if err != nil {
		return nil, fmt.Errorf("kad: stranger: %w", err)
	}
	s.as.host = h
	s.stop = context.AfterFunc(n.ctx, func() { _ = h.Close() })
	return s, nil
}

// Close ends its connections.
func (s *stranger) Close() error {
	s.stop()
	return s.as.host.Close()
}

// Walk looks up a random key near a place.
func (s *stranger) Walk(ctx context.Context, near republish.Key, shared int) (republish.Key, []republish.Peer, error) {
	n := s.node
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return republish.Key{}, nil, err
	}
	defer leave()
	key := randomKey(near, min(shared, maxNear))
	w := newWalk(s.as.host.ID(), key, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
		return s.as.query(ctx, s.addressed(p), dht_pb.Message_FIND_NODE, key)
	})
	w.patient = true // in no hurry
	if err = n.seed(ctx, w); err == nil {
		err = w.run(ctx, func(event) bool { return true })
	}
	live := w.live()
	if err == nil && len(live) == 0 {
		err = fmt.Errorf("%w: none of %d peers answered", dht.ErrUnreachable, w.asked)
	}
	if err != nil {
		return republish.Key{}, nil, fmt.Errorf("kad: walk: %w", err)
	}
	var found []republish.Peer
	for _, c := range live[:min(len(live), closest)] {
		p := republish.Peer{ID: string(c.ID)}
		for _, a := range s.addressed(c.AddrInfo).Addrs {
			p.Addrs = append(p.Addrs, a.String())
		}
		found = append(found, p)
	}
	return w.target, found, nil
}

// addressed adds the addresses that only the node knows: those of peers that
// came from its routing table.
func (s *stranger) addressed(p peer.AddrInfo) peer.AddrInfo {
	if len(p.Addrs) == 0 {
		for _, a := range s.node.host.Peerstore().Addrs(p.ID) {
			if s.node.mayDial(a) {
				p.Addrs = append(p.Addrs, a)
			}
		}
	}
	return p
}

// Get asks one peer for a record.
func (s *stranger) Get(ctx context.Context, from republish.Peer, p pointer.Pointer) ([]byte, error) {
	ctx, done, info, err := s.request(ctx, from)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := s.as.query(ctx, info, dht_pb.Message_GET_VALUE, routingKey(p))
	return r.record, err
}

// Put has one peer store a record. A peer that has the same one, in a copy that
// somebody added to, has it.
func (s *stranger) Put(ctx context.Context, to republish.Peer, p pointer.Pointer, record []byte) error {
	ctx, done, info, err := s.request(ctx, to)
	if err != nil {
		return err
	}
	defer done()
	rec, err := pointer.Open(p, record, s.as.now())
	if err != nil {
		return err
	}
	err = s.as.store(ctx, info, routingKey(p), record)
	if err != nil && s.as.holds(ctx, info, routingKey(p), rec) {
		err = nil
	}
	return err
}

func (s *stranger) request(ctx context.Context, p republish.Peer) (_ context.Context, done func(), info peer.AddrInfo, err error) {
	info.ID = peer.ID(p.ID)
	for _, text := range p.Addrs {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, nil, info, err
		}
		info.Addrs = append(info.Addrs, a)
	}
	ctx, leave, err := s.node.enter(ctx)
	if err != nil {
		return nil, nil, info, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.as.timeout)
	return ctx, func() {
		cancel()
		leave()
	}, info, nil
}

// randomKey is a key like a peer's ID, of which only the first bits of its
// place are chosen. Nobody's.
func randomKey(near republish.Key, shared int) string {
	key := make([]byte, 2+sha256.Size)
	for {
		_, _ = rand.Read(key) // never fails
		key[0], key[1] = 0x12, sha256.Size
		if place := sha256.Sum256(key); sharedBits(place, near) >= shared {
			return string(key)
		}
	}
}

func sharedBits(a, b [sha256.Size]byte) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * sha256.Size
}
