package kad

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// An eclipse: whoever wants a name silenced makes so many peer IDs, until dozens
// of them are closer to its key than any honest peer. They store what they are
// sent, and answer nothing, or an old record; their answers name one another.
// The 20 closest are then all theirs. What they can't do is to thin out the
// honest peers of the region: within the radius that should hold 20 there still
// are 20, behind them. A walk that sees more peers about its key than chance
// puts there asks (or stores with) all of that region, and finds them by looking
// up other keys inside it.
//
// Source: Sridhar et al., "Content Censorship in the InterPlanetary File
// System" (NDSS 2024), whose defence counts peers in the same way.
const (
	maxRegion   = 80 // peers of a region that are asked
	maxPerGroup = 10 // of these from one group of addresses: /16 of IPv4, /32 of IPv6
	probes      = 8  // look-ups of other keys of the region
	probePeers  = 6  // closest peers that each of these wants
	probeSlots  = 4
	minDense    = 6
	maxKeyTries = 1 << 18 // tries for one probe's key
)

// crowd is a walk's knowledge that its target is surrounded.
type denseRegion struct {
	pendingProbes int // probes that have not ended
}

// crowded says whether more peers were heard of about the target than chance
// explains. What is heard of includes the dead, which an estimate that counts
// the living leaves out, and an estimate has its error: both to the benefit of
// the doubt.
func (w *walk) isDense() bool {
	if w.size.peers == 0 {
		return false
	}
	for i, c := range w.contacts {
		expected := w.size.peers * c.span * (4./3 + 2*w.size.relError)
		if i+1 >= minDense && exceedsChance(i+1, expected) {
			return true
		}
		if expected > 3*nearPeers {
			return false
		}
	}
	return false
}

// surround begins the look-ups of other keys of the region.
func (w *walk) startProbes(ctx context.Context) {
	w.dense = &denseRegion{pendingProbes: probes}
	radius := nearPeers / w.size.peers
	seeds := make([]peer.AddrInfo, 0, len(w.contacts))
	for _, c := range w.contacts {
		if c.state != failed {
			seeds = append(seeds, c.AddrInfo)
		}
	}
	for i := range probes {
		target := w.target
		offset := uint64((float64(i) + 0.5) / probes * radius * math.MaxUint64)
		binary.BigEndian.PutUint64(target[:], binary.BigEndian.Uint64(target[:])^offset)
		w.requests.Go(func() {
			found := w.probe(ctx, target, seeds)
			w.events <- event{reply: reply{closer: found}}
		})
	}
}

// plausible is how many of the peers may be counted as independent of one
// another: the j-th of honest ones by distance lies at about j/n of the space,
// those that were made for the key far nearer. All, if the size is not known.
func (s size) countIndependent(peers []*contact) int {
	if s.peers == 0 {
		return len(peers)
	}
	spans := make([]float64, len(peers))
	for i, c := range peers {
		spans[i] = c.span
	}
	slices.Sort(spans)
	n := 0
	for _, d := range spans {
		if s.peers*d >= float64(n) {
			n++
		}
	}
	return n
}

// surrounded says, at the end of a walk, whether hardly anybody but the crowd
// answered.
func (w *walk) surrounded() bool {
	return w.dense != nil && w.size.countIndependent(w.responders()) < closest/2
}

// region gives those of the region that are to be asked: all who may be alive,
// of one group of addresses only some.
func (cr *denseRegion) contacts(w *walk) []*contact {
	var region []*contact
	groups := map[string]int{}
	for _, c := range w.contacts {
		if len(region) == maxRegion || !w.near(c) && len(region) >= closest {
			break
		}
		if c.state != candidate && c.state != asking && c.state != answered {
			continue
		}
		if g := addressGroup(c.Addrs); g != "" {
			if groups[g] == maxPerGroup {
				continue
			}
			groups[g]++
		}
		region = append(region, c)
	}
	return region
}

// addressGroup is what the first public address has in common with those that
// one provider would give to one customer; "" for peers of a local network.
func addressGroup(addrs []ma.Multiaddr) string {
	for _, a := range addrs {
		ip, err := manet.ToIP(a)
		if err != nil || !manet.IsPublicAddr(a) {
			continue
		}
		if v4 := ip.To4(); v4 != nil {
			return string(v4[:2])
		}
		return string(ip[:4])
	}
	return ""
}

// probeNear finds peers about a place in the space that is not the key's own,
// by a look-up of a key that lies close to it.
func (n *Node) probeNear(ctx context.Context, target [sha256.Size]byte, seeds []peer.AddrInfo) []peer.AddrInfo {
	w := n.newPlainWalk(keyNear(target, n.size().peers), dht_pb.Message_FIND_NODE)
	w.k, w.slots = probePeers, probeSlots
	for _, p := range seeds {
		w.add(p)
	}
	_ = w.run(ctx, func(e event) bool { return true }) // what it found is what there is
	var found []peer.AddrInfo
	for _, c := range w.contacts {
		if c.state != failed && len(found) < 3*closest {
			found = append(found, c.AddrInfo)
		}
	}
	return found
}

// keyNear makes a key whose place shares as many leading bits with the target
// as tell apart the region's eighths.
func keyNear(target [sha256.Size]byte, peers float64) string {
	bits := int(math.Ceil(math.Log2(max(1, peers/nearPeers)))) + 4
	prefix := rand.Text()
	best, nearest := prefix, uint64(math.MaxUint64)
	for i := range uint64(maxKeyTries) {
		key := string(binary.AppendUvarint([]byte(prefix), i))
		place := sha256.Sum256([]byte(key))
		d := binary.BigEndian.Uint64(place[:]) ^ binary.BigEndian.Uint64(target[:])
		if d < nearest {
			best, nearest = key, d
		}
		if d>>max(0, 64-bits) == 0 {
			break
		}
	}
	return best
}
