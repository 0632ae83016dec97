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

// How many peers the network has, says how far around a key its k closest must
// be looked for, and whether more stand there than chance explains.
//
// It is read from how near the closest peers are to keys that nobody could have
// prepared for: of n peers the i-th closest is expected at i/n of the space. A
// server looks up random keys for it, one at a time and far apart; the key of a
// get or a put is never a sample, since that is where an attacker would stand.
// Until there are [minSamples], and so always for a client that lives for one
// verb, the peers of the routing table that are closest to ourselves are the
// sample: our own ID is as good as random to those who don't know it in advance.
const (
	minSamples     = 12
	maxSamples     = 48               // the newest are kept
	sampleEvery    = 10 * time.Minute // on average
	firstSamples   = time.Minute      // between those that are still missing
	fewestSampled  = 8                // closest peers that a sample needs
	sampleDeadline = 20 * time.Second
)

// span is where a distance lies in the space: of [0, 1).
func span(d [sha256.Size]byte) float64 {
	return float64(binary.BigEndian.Uint64(d[:8])) / (1 << 63) / 2
}

// fit gives the n that fits the spans of the closest peers of several look-ups
// best, each in ascending order: the line through zero, span = rank/n, of least
// squares. The average of rank/span, which looks like the same, has no
// expectation: one peer that happens to lie at the key makes it infinite.
// 0: not enough to go by.
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

// sampler keeps the samples of a node.
type sampler struct {
	mu      sync.Mutex
	samples [][]float64
}

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

func (s *sampler) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.samples)
}

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

// size is an estimate: peers that live, or stand in tables as if they did.
type size struct {
	peers    float64 // 0: unknown
	relError float64 // the relative standard error
}

// size is what is known of the network's size.
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
		return size{} // a table of everybody
	}
	slices.Sort(spans)
	return size{peers: fit(spans), relError: 1 / math.Sqrt(float64(len(spans)))}
}

func distanceOf(target [sha256.Size]byte, id peer.ID) [sha256.Size]byte {
	d := sha256.Sum256([]byte(id))
	for i := range d {
		d[i] ^= target[i]
	}
	return d
}

// sample looks up one random key, and keeps how near its closest peers are.
// The walk teaches the routing table as any other does.
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

// keepSampling goes on while the node runs. The pauses are drawn, so that a
// thousand nodes started together don't stay together.
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
			continue // alone, and not to be what wakes the network
		}
		if err := n.sample(n.ctx); err != nil {
			n.log.Debug("network size not sampled", "error", err)
		}
	}
}

// tooMany says whether chance explains count peers where expected ones were to
// be: the tail of Poisson's distribution.
func exceedsChance(count int, expected float64) bool {
	const chance = 1e-4
	if float64(count) <= expected {
		return false
	}
	// P(X ≥ count) = 1 - Σ e^-λ λ^i/i! for i < count; summed from above, since
	// the tail is what is small.
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
