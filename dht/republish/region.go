package republish

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
)

// maxWalks bounds the exploration of one region: peers placed densely around a
// key could make it endless. After maxWalks, the peers found so far are used.
const maxWalks = 40

// region is a part of the keyspace, the keys that share a prefix, with the peers
// in it. It has at least 20 peers, unless the network has less, so the closest
// 20 peers of any key in the region are in the region.
type region struct {
	prefix Key
	bits   int
	peers  []keyedPeer
}

type keyedPeer struct {
	Peer
	key Key
}

// explore returns the region of a key, found by walks that name no pointer.
func (r *Republisher) explore(ctx context.Context, near Key) (region, error) {
	client, err := r.config.Network.UnlinkableClient(ctx)
	if err != nil {
		return region{}, err
	}
	defer client.Close()
	r.mu.Lock()
	guess := r.depth
	r.mu.Unlock()
	e := exploration{republisher: r, client: client, found: map[string]keyedPeer{}}
	// The walk key shares bits with near. With too few shared bits, the 20 peers that
	// the walk finds may be in another region than near; a walk shows how many suffice.
	shared, at, depth := guess, Key{}, 0
	for range 3 {
		if at, depth, err = e.walk(ctx, near, shared); err != nil {
			return region{}, err
		}
		if shared = min(shared, commonPrefix(at, near)); depth-1 <= shared {
			break
		}
		shared = depth - 1 // there are more peers near the key than expected
	}
	if depth == 0 && guess > 2 { // the walk found under 20 peers, fewer than shared 2 bits before
		return region{}, fmt.Errorf("%w: %d", errFewerPeers, len(e.found))
	}
	// The peers that share depth bits with at are known. The region is one bit
	// wider: the 20th closest peer is in its other half.
	reg := region{prefix: at, bits: min(max(depth-1, 0), shared)}
	for d := depth; d > reg.bits; d-- {
		if err := e.exploreSubtree(ctx, sibling(at, d), d); err != nil {
			return region{}, err
		}
	}
	for _, p := range e.found {
		if commonPrefix(p.key, at) >= reg.bits {
			reg.peers = append(reg.peers, p)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.depth, r.failures = depth, 0
	return reg, nil
}

// exploration is the state of the walks of one region.
type exploration struct {
	republisher *Republisher
	client      Client
	found       map[string]keyedPeer
	walks       int
}

// walk makes one walk. It returns the key that the walk looked up, and the
// number of bits such that all peers that share these with the key are known; 0
// means the whole network.
func (e *exploration) walk(ctx context.Context, near Key, shared int) (at Key, depth int, err error) {
	if err := e.republisher.waitForWalk(ctx); err != nil {
		return Key{}, 0, err
	}
	e.walks++
	// Only these bits of a contact's key leave this package.
	at, peers, err := e.client.Walk(ctx, near.truncate(shared), shared)
	if err != nil {
		return Key{}, 0, err
	}
	for i, p := range peers {
		found := keyedPeer{p, p.key()}
		e.found[p.ID] = found
		if i == replication-1 {
			depth = commonPrefix(at, found.key) + 1
		}
	}
	return at, depth, nil
}

// exploreSubtree walks until all peers that share the first d bits of prefix are
// known, or maxWalks were made.
func (e *exploration) exploreSubtree(ctx context.Context, prefix Key, d int) error {
	if e.walks >= maxWalks {
		return nil
	}
	at, depth, err := e.walk(ctx, prefix, d)
	if err != nil {
		return err
	}
	for depth = min(depth, 8*len(at)); depth > d; depth-- {
		if err := e.exploreSubtree(ctx, sibling(at, depth), depth); err != nil {
			return err
		}
	}
	return nil
}

// closestPeers returns the 20 peers of the region closest to a key, the closest
// first.
func (r region) closestPeers(to Key) []keyedPeer {
	peers := slices.Clone(r.peers)
	slices.SortFunc(peers, func(a, b keyedPeer) int {
		for i := range to {
			if c := cmp.Compare(a.key[i]^to[i], b.key[i]^to[i]); c != 0 {
				return c
			}
		}
		return 0
	})
	return peers[:min(len(peers), replication)]
}

// contains reports whether a key is in the region.
func (r region) contains(p Key) bool { return commonPrefix(r.prefix, p) >= r.bits }

// commonPrefix returns the number of leading bits that two keys share.
func commonPrefix(a, b Key) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(a)
}

// sibling returns the key with its d-th bit, counted from 1, inverted.
func sibling(p Key, d int) Key {
	p[(d-1)/8] ^= 0x80 >> ((d - 1) % 8)
	return p
}

// truncate returns the key with all bits after the first n set to 0.
func (p Key) truncate(n int) Key {
	for i := range p {
		if left := n - 8*i; left < 8 {
			p[i] &= ^byte(0xff >> max(left, 0))
		}
	}
	return p
}

func (p Key) compare(o Key) int { return bytes.Compare(p[:], o[:]) }
