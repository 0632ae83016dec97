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

	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/pointer"
)

// maxSharedBits bounds the leading bits that a random key must share with another
// key. Finding one takes about 2^19 hashes on average, which suffices for
// regions of 20 peers in a network of 10 million.
const maxSharedBits = 19

var _ republish.Network = (*Node)(nil)

// throwAwayHost is a host with a throw-away peer key. It does not listen and
// has no routing table; its first peers come from the node's.
type throwAwayHost struct {
	node   *Node // the node of the network
	client *Node // a node without a DHT, with only the throw-away host
	stop   func() bool
}

// UnlinkableClient implements [republish.Network]: it starts a throw-away host with
// a new peer key in the node's network. Only the IP address links it to the node.
// The caller closes it; it also ends when the node does. It costs a host, and its
// own connection to each peer that it asks.
func (n *Node) UnlinkableClient(ctx context.Context) (republish.Client, error) {
	_, leave, err := n.begin(ctx) // Close waits for leave; the host outlives the call's context
	if err != nil {
		return nil, err
	}
	defer leave()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("kad: throw-away host: %w", err)
	}
	s := &throwAwayHost{node: n, client: &Node{protocol: n.protocol, network: n.network, dialTimeout: n.dialTimeout, timeout: n.timeout, adjustHost: n.adjustHost, dials: n.dials, now: n.now, log: n.log}}
	h, err := s.client.newHost(Config{}, key)
	if err != nil {
		return nil, fmt.Errorf("kad: throw-away host: %w", err)
	}
	s.client.host = h
	s.stop = context.AfterFunc(n.ctx, func() { _ = h.Close() })
	return s, nil
}

// Close ends the host and its connections.
func (s *throwAwayHost) Close() error {
	s.stop()
	return s.client.host.Close()
}

// Walk implements [republish.Client]: it looks up a random key near another one.
func (s *throwAwayHost) Walk(ctx context.Context, near republish.Key, shared int) (republish.Key, []republish.Peer, error) {
	n := s.node
	ctx, leave, err := n.begin(ctx)
	if err != nil {
		return republish.Key{}, nil, err
	}
	defer leave()
	key := randomKey(near, min(shared, maxSharedBits))
	w := newWalk(s.client.host.ID(), key, func(ctx context.Context, p peer.AddrInfo) (reply, error) {
		return s.client.query(ctx, s.addrInfo(p), dht_pb.Message_FIND_NODE, key)
	})
	w.waitForLate = true // a complete result is more important than time
	if err = n.addInitialPeers(ctx, w); err == nil {
		err = w.run(ctx, func(event) bool { return true })
	}
	live := w.live()
	if err == nil && len(live) == 0 {
		err = noneAnswered(w.asked)
	}
	if err != nil {
		return republish.Key{}, nil, fmt.Errorf("kad: walk: %w", err)
	}
	var found []republish.Peer
	for _, c := range live[:min(len(live), closest)] {
		p := republish.Peer{ID: string(c.ID)}
		for _, a := range s.addrInfo(c.AddrInfo).Addrs {
			p.Addrs = append(p.Addrs, a.String())
		}
		found = append(found, p)
	}
	return w.target, found, nil
}

// addrInfo returns the peer with its addresses. Those of a peer from the node's
// routing table are in the node's peerstore only.
func (s *throwAwayHost) addrInfo(p peer.AddrInfo) peer.AddrInfo {
	if len(p.Addrs) == 0 {
		for _, a := range s.node.host.Peerstore().Addrs(p.ID) {
			if s.node.MayDial(a) {
				p.Addrs = append(p.Addrs, a)
			}
		}
	}
	return p
}

// Get implements [republish.Client]: it asks one peer for a record, which is not
// verified.
func (s *throwAwayHost) Get(ctx context.Context, from republish.Peer, p pointer.Pointer) ([]byte, error) {
	ctx, done, info, err := s.request(ctx, from)
	if err != nil {
		return nil, err
	}
	defer done()
	r, err := s.client.query(ctx, info, dht_pb.Message_GET_VALUE, routingKey(p))
	return r.record, err
}

// Put implements [republish.Client]: it stores a record with one peer. A peer that
// refuses it because it has the same record, in a copy with added fields,
// counts as having stored it.
func (s *throwAwayHost) Put(ctx context.Context, to republish.Peer, p pointer.Pointer, record []byte) error {
	ctx, done, info, err := s.request(ctx, to)
	if err != nil {
		return err
	}
	defer done()
	rec, err := pointer.Open(p, record, s.client.now())
	if err != nil {
		return err
	}
	err = s.client.putTo(ctx, info, routingKey(p), record)
	if err != nil && s.client.peerHolds(ctx, info, routingKey(p), rec) {
		err = nil
	}
	return err
}

// request parses a peer's addresses and begins an operation with the request
// timeout. The caller calls done.
func (s *throwAwayHost) request(ctx context.Context, p republish.Peer) (_ context.Context, done func(), info peer.AddrInfo, err error) {
	info.ID = peer.ID(p.ID)
	for _, text := range p.Addrs {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, nil, info, err
		}
		info.Addrs = append(info.Addrs, a)
	}
	ctx, leave, err := s.node.begin(ctx)
	if err != nil {
		return nil, nil, info, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.client.timeout)
	return ctx, func() {
		cancel()
		leave()
	}, info, nil
}

// randomKey returns a key in the form of a peer ID, which belongs to no peer.
// Its hash shares at least the given number of leading bits with near and is
// otherwise random.
func randomKey(near republish.Key, shared int) string {
	key := make([]byte, 2+sha256.Size)
	for {
		_, _ = rand.Read(key) // never fails
		key[0], key[1] = 0x12, sha256.Size
		if hash := sha256.Sum256(key); sharedBits(hash, near) >= shared {
			return string(key)
		}
	}
}

// sharedBits returns the number of equal leading bits.
func sharedBits(a, b [sha256.Size]byte) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * sha256.Size
}
