package republish

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
)

// maxWalks bounds the exploration of one region. Peers that crowd around a key
// could make it as long as they like; past it, who was found must do.
const maxWalks = 40

// region is a part of the keyspace, named by the first bits that its places
// share, and the peers in it. It is chosen to hold 20 at least, unless the
// network has less: then the closest 20 of any place in it are in it.
type region struct {
	prefix Place
	bits   int
	peers  []located
}

type located struct {
	Peer
	place Place
}

// explore finds the region around a place, by walks that name no pointer.
func (k *Keeper) explore(ctx context.Context, near Place) (region, error) {
	s, err := k.c.Network.Stranger(ctx)
	if err != nil {
		return region{}, err
	}
	defer s.Close()
	k.mu.Lock()
	guess := k.depth
	k.mu.Unlock()
	e := exploration{keeper: k, stranger: s, found: map[string]located{}}
	shared, at, depth := guess, Place{}, 0
	for range 3 {
		if at, depth, err = e.walk(ctx, near, shared); err != nil {
			return region{}, err
		}
		if shared = min(shared, common(at, near)); depth-1 <= shared {
			break
		}
		shared = depth - 1 // the peers stand closer than was thought: walk nearer
	}
	if depth == 0 && guess > 2 {
		return region{}, fmt.Errorf("%w: %d", errFew, len(e.found))
	}
	// The 20th closest peer, which ended the walk, stands in the other half of
	// the region that is one bit wider than what is known.
	r := region{prefix: at, bits: min(max(depth-1, 0), shared)}
	for d := depth; d > r.bits; d-- {
		if err := e.cover(ctx, sibling(at, d), d); err != nil {
			return region{}, err
		}
	}
	for _, p := range e.found {
		if common(p.place, at) >= r.bits {
			r.peers = append(r.peers, p)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.depth, k.failed = depth, 0
	return r, nil
}

// exploration is what the walks of one region found.
type exploration struct {
	keeper   *Keeper
	stranger Stranger
	found    map[string]located
	walks    int
}

// walk makes one walk. All peers that share depth bits with the place that it
// went to are known then; 0 is the whole network.
func (e *exploration) walk(ctx context.Context, near Place, shared int) (at Place, depth int, err error) {
	if err := e.keeper.take(ctx); err != nil {
		return Place{}, 0, err
	}
	e.walks++
	// No more of a contact's place than that leaves this package.
	at, peers, err := e.stranger.Walk(ctx, near.first(shared), shared)
	if err != nil {
		return Place{}, 0, err
	}
	for i, p := range peers {
		l := located{p, p.place()}
		e.found[p.ID] = l
		if i == closest-1 {
			depth = common(at, l.place) + 1
		}
	}
	return at, depth, nil
}

// cover walks until all peers that share the first d bits of the place are
// known.
func (e *exploration) cover(ctx context.Context, prefix Place, d int) error {
	if e.walks >= maxWalks {
		return nil
	}
	at, depth, err := e.walk(ctx, prefix, d)
	if err != nil {
		return err
	}
	for depth = min(depth, 8*len(at)); depth > d; depth-- {
		if err := e.cover(ctx, sibling(at, depth), depth); err != nil {
			return err
		}
	}
	return nil
}

// nearest are the 20 peers that a record belongs to.
func (r region) nearest(to Place) []located {
	peers := slices.Clone(r.peers)
	slices.SortFunc(peers, func(a, b located) int {
		for i := range to {
			if c := cmp.Compare(a.place[i]^to[i], b.place[i]^to[i]); c != 0 {
				return c
			}
		}
		return 0
	})
	return peers[:min(len(peers), closest)]
}

// holds says whether a place is in the region.
func (r region) holds(p Place) bool { return common(r.prefix, p) >= r.bits }

// common is how many first bits two places share.
func common(a, b Place) int {
	for i := range a {
		if x := a[i] ^ b[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * len(a)
}

// sibling is the place with the d-th bit, counted from 1, the other way.
func sibling(p Place, d int) Place {
	p[(d-1)/8] ^= 0x80 >> ((d - 1) % 8)
	return p
}

// first is a place with all but the first n bits 0.
func (p Place) first(n int) Place {
	for i := range p {
		if left := n - 8*i; left < 8 {
			p[i] &= ^byte(0xff >> max(left, 0))
		}
	}
	return p
}

func (p Place) compare(o Place) int { return bytes.Compare(p[:], o[:]) }
