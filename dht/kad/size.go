package kad

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"math"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// An estimate of the number of peers in the network determines within which
// distance of a key its k closest peers are expected, and whether there are
// more than chance explains.
//
// The estimate uses the distances of the closest peers to random keys: of n
// peers the i-th closest is expected at i/n of the key space. A server looks up
// random keys for it, one at a time and with long pauses. The key of a get or a
// put is never a sample, since an attacker may have placed peers there. Until
// there are [minSamples], and so always for a short-lived client, the sample is
// the peers of the routing table that are closest to the node's own ID, which
// is as good as a random key against an attacker that does not know it in
// advance.
const (
	minSamples     = 12
	maxSamples     = 48               // the latest
	sampleEvery    = 10 * time.Minute // on average
	firstSamples   = time.Minute      // on average, until there are minSamples
	fewestSampled  = 8                // closest peers that a sample has at least
	sampleDeadline = 20 * time.Second
)

// span converts a distance to a part of the key space, in [0, 1].
func span(d [sha256.Size]byte) float64 {
	return float64(binary.BigEndian.Uint64(d[:8])) / (1 << 63) / 2
}

// fit estimates the number of peers n from the spans of the closest peers of
// several look-ups, each in ascending order. It fits the line through zero,
// span = rank/n, by least squares. The average of rank/span would not do, since
// it has no expectation: one peer that happens to be at the key makes it
// infinite. fit returns 0 if there is no data.
func fit(samples ...[]float64) float64 {
	var xy, xx float64
	for _, spans := range samples {
		for i, d := range spans {
			rank := float64(i + 1)
			xy += rank * d
			xx += rank * rank
		}
	}
	if xy <= 0 {
		return 0
	}
	return xx / xy
}

// sampler stores the samples of a node. It is safe for concurrent use.
type sampler struct {
	mu      sync.Mutex
	samples [][]float64
}

// add stores the spans of one sample, in ascending order.
func (s *sampler) add(spans []float64) {
	if len(spans) < fewestSampled {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, spans)
	if len(s.samples) > maxSamples {
		s.samples = slices.Clone(s.samples[1:])
	}
}

// count returns the number of samples.
func (s *sampler) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.samples)
}

// estimate returns the size of the network, unknown while there are too few
// samples.
func (s *sampler) estimate() size {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) < minSamples {
		return size{}
	}
	points := 0
	for _, spans := range s.samples {
		points += len(spans)
	}
	return size{peers: fit(s.samples...), relError: 1 / math.Sqrt(float64(points))}
}

// size is an estimate of the number of peers that are alive, or in routing
// tables as if they were.
type size struct {
	peers    float64 // 0: unknown
	relError float64 // the relative standard error
}

// size returns the current estimate, from samples or from the routing table.
func (n *Node) size() size {
	if s := n.sampler.estimate(); s.peers > 0 {
		return s
	}
	self := sha256.Sum256([]byte(n.host.ID()))
	var spans []float64
	for _, id := range n.dht.RoutingTable().NearestPeers(self[:], closest) {
		spans = append(spans, span(distanceOf(self, id)))
	}
	if len(spans) < closest {
		return size{} // the network is so small that the table contains all peers
	}
	slices.Sort(spans)
	return size{peers: fit(spans), relError: 1 / math.Sqrt(float64(len(spans)))}
}

// distanceOf returns the XOR distance of a peer from a target.
func distanceOf(target [sha256.Size]byte, id peer.ID) [sha256.Size]byte {
	d := sha256.Sum256([]byte(id))
	for i := range d {
		d[i] ^= target[i]
	}
	return d
}

// sample looks up a random key and stores the spans of its closest peers. Like
// any walk, it updates the routing table.
func (n *Node) sample(ctx context.Context) error {
	ctx, leave, err := n.begin(ctx)
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, sampleDeadline)
	defer cancel()
	w := n.newPlainWalk(rand.Text(), dht_pb.Message_FIND_NODE)
	if err := n.addInitialPeers(ctx, w); err != nil {
		return err
	}
	err = w.run(ctx, func(e event) bool {
		n.updateTable(ctx, e)
		return true
	})
	if err != nil {
		return err
	}
	var spans []float64
	for _, c := range w.live() {
		spans = append(spans, span(c.distance))
	}
	n.sampler.add(spans)
	return nil
}

// runSampling takes samples until the node ends. The pauses are random, so that
// nodes started at the same time do not sample at the same time.
func (n *Node) runSampling() {
	for {
		pause := sampleEvery
		if n.sampler.count() < minSamples {
			pause = firstSamples
		}
		timer := time.NewTimer(pause/2 + mathrand.N(pause))
		select {
		case <-n.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if n.Peers() == 0 {
			continue // a sample would make a node without peers join the network
		}
		if err := n.sample(n.ctx); err != nil {
			n.log.Debug("network size not sampled", "error", err)
		}
	}
}

// exceedsChance reports whether count peers are improbable where a number is
// expected, by the upper tail of the Poisson distribution.
func exceedsChance(count int, expected float64) bool {
	const chance = 1e-4
	if float64(count) <= expected {
		return false
	}
	// P(X ≥ count) = Σ e^-λ λ^i/i! for i ≥ count. The complement would lose all
	// digits of so small a sum.
	logP := -expected
	for i := 1; i <= count; i++ {
		logP += math.Log(expected / float64(i))
	}
	tail := 0.0
	for i, term := count, math.Exp(logP); i < count+1000 && term > 1e-12; i++ {
		tail += term
		term *= expected / float64(i+1)
	}
	return tail < chance
}
