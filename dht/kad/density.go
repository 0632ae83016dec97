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

// Defence against eclipse attacks. To suppress a name, an attacker generates
// peer IDs until dozens of them are closer to the name's key than any honest
// peer. These Sybils accept records, return nothing or an old record, and name
// only one another, so that the 20 closest peers are all the attacker's. The
// attacker cannot remove the honest peers of the region: the radius that is
// expected to contain 20 peers still contains about 20 honest ones. A walk
// measures the density of peers around its key. If the density is higher than
// chance explains, the walk looks up other keys of the region to find its
// peers, and asks, or stores with, all of them.
//
// Source: Sridhar et al., "Content Censorship in the InterPlanetary File
// System" (NDSS 2024). Its defence counts peers in the same way.
const (
	maxRegion   = 80 // peers of a region to ask
	maxPerGroup = 10 // of these, peers of one address group: an IPv4 /16 or an IPv6 /32
	probes      = 8  // look-ups of other keys of the region
	probePeers  = 6  // closest peers that each probe looks for
	probeSlots  = 4
	minDense    = 6       // peers that a dense region has at least
	maxKeyTries = 1 << 18 // hashes to find a probe's key
)

// denseRegion is the state of a walk that found too many peers around its
// target.
type denseRegion struct {
	pendingProbes int // probes that have not ended
}

// isDense reports whether the walk knows more peers around its target than
// chance explains. The threshold is raised for dead peers, which the walk
// counts and an estimate of live peers does not, and for the error of the
// estimate.
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

// startProbes marks the target's region as dense and starts look-ups of other
// keys in it.
func (w *walk) startProbes(ctx context.Context) {
	w.dense = &denseRegion{pendingProbes: probes}
	radius := nearPeers / w.size.peers
	initial := make([]peer.AddrInfo, 0, len(w.contacts))
	for _, c := range w.contacts {
		if c.state != failed {
			initial = append(initial, c.AddrInfo)
		}
	}
	for i := range probes {
		target := w.target
		offset := uint64((float64(i) + 0.5) / probes * radius * math.MaxUint64)
		binary.BigEndian.PutUint64(target[:], binary.BigEndian.Uint64(target[:])^offset)
		w.requests.Go(func() {
			found := w.probe(ctx, target, initial)
			w.events <- event{reply: reply{closer: found}}
		})
	}
}

// countIndependent returns how many of the peers can be counted as independent
// of one another. Of n honest peers the j-th closest is expected at j/n of the
// key space; IDs generated for the key are much nearer. If the size is unknown,
// all of them count.
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

// surrounded reports, at the end of a walk, whether the region is dense and
// almost no peers at expected distances answered.
func (w *walk) surrounded() bool {
	return w.dense != nil && w.size.countIndependent(w.responders()) < closest/2
}

// contacts returns the peers of the region to ask: all that may be alive,
// except for those above the limit for one address group.
func (d *denseRegion) contacts(w *walk) []*contact {
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

// addressGroup returns the prefix of the first public address that one provider
// would assign to one customer: an IPv4 /16 or an IPv6 /32. It returns "" for a
// peer without a public address.
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

// probeNear returns up to 60 peers close to a target, by a look-up of a key
// near it.
func (n *Node) probeNear(ctx context.Context, target [sha256.Size]byte, initial []peer.AddrInfo) []peer.AddrInfo {
	w := n.newPlainWalk(keyNear(target, n.size().peers), dht_pb.Message_FIND_NODE)
	w.k, w.slots = probePeers, probeSlots
	for _, p := range initial {
		w.add(p)
	}
	_ = w.run(ctx, func(e event) bool { return true }) // an incomplete walk is useful as well
	var found []peer.AddrInfo
	for _, c := range w.contacts {
		if c.state != failed && len(found) < 3*closest {
			found = append(found, c.AddrInfo)
		}
	}
	return found
}

// keyNear generates a key at a distance from the target within a sixteenth of
// the radius of the target's region, or returns the nearest key of maxKeyTries
// attempts.
func keyNear(target [sha256.Size]byte, peers float64) string {
	bits := int(math.Ceil(math.Log2(max(1, peers/nearPeers)))) + 4
	prefix := rand.Text()
	best, nearest := prefix, uint64(math.MaxUint64)
	for i := range uint64(maxKeyTries) {
		key := string(binary.AppendUvarint([]byte(prefix), i))
		hash := sha256.Sum256([]byte(key))
		d := binary.BigEndian.Uint64(hash[:]) ^ binary.BigEndian.Uint64(target[:])
		if d < nearest {
			best, nearest = key, d
		}
		if d>>max(0, 64-bits) == 0 {
			break
		}
	}
	return best
}
