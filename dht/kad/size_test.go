package kad

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

// lookUps returns the results of look-ups of random keys in a network of n
// peers: the spans of the closest 20.
func lookUps(r *rand.Rand, n, count int) [][]float64 {
	var samples [][]float64
	for range count {
		spans := make([]float64, n)
		for i := range spans {
			spans[i] = r.Float64()
		}
		slices.Sort(spans)
		samples = append(samples, spans[:min(n, closest)])
	}
	return samples
}

func TestTheSizeIsEstimatedFromTheClosestPeers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{60, 1000, 5000} {
		sum, worst := 0.0, 0.0
		const rounds = 60
		for range rounds {
			var s sampler
			for _, spans := range lookUps(r, n, minSamples) {
				require.Zero(t, s.estimate().peers, "fewer than %d are no estimate", minSamples)
				s.add(spans)
			}
			got := s.estimate()
			off := got.peers/float64(n) - 1
			sum += off
			worst = max(worst, math.Abs(off)/got.relError)
		}
		require.InDelta(t, 0, sum/rounds, 0.04, "%d peers", n)
		require.Less(t, worst, 5.0, "in standard errors")
	}
}

// A peer that happens to be very close to a random key has little influence on
// the fit. It dominates the average of rank/span, which has no expectation and
// grows with the number of samples.
func TestTheEstimateIsNotAnAverage(t *testing.T) {
	average := func(samples [][]float64) float64 {
		sum, n := 0.0, 0.0
		for _, spans := range samples {
			for i, d := range spans {
				sum += float64(i+1) / d
				n++
			}
		}
		return sum / n
	}
	samples := lookUps(rand.New(rand.NewPCG(3, 4)), 1000, minSamples)
	usual, usualAverage := fit(samples...), average(samples)
	samples[5][0] = 1e-12
	require.InEpsilon(t, usual, fit(samples...), 0.01)
	require.Greater(t, average(samples), 1e6*usualAverage)

	// Also without such a peer, the average over many look-ups is far too high, and
	// the fit is not.
	many := lookUps(rand.New(rand.NewPCG(5, 6)), 200, 20_000)
	require.InEpsilon(t, 200, fit(many...), 0.02)
	require.Greater(t, average(many), 1.3*200)
}

func TestOnlyRandomKeysAreSamples(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 24)
		client := startClient(t, nodes[0])
		rec := sign(t, newKey(t), 1)
		ctx := within(t, 30*time.Second)
		for range minSamples {
			_, err := client.Put(ctx, rec.Pointer(), rec.Bytes())
			require.NoError(t, err)
			_, err = (&dht.Resolver{Stores: []dht.Store{client}}).Best(ctx, rec.Pointer(), dht.LevelStrict)
			require.NoError(t, err)
		}
		require.NoError(t, client.Wait(ctx))
		require.Zero(t, client.sampler.count(), "the key of a put or a get is not a sample")
		for range minSamples {
			require.NoError(t, client.sample(ctx))
		}
		got := client.size()
		t.Logf("24 peers are estimated at %.1f ± %.0f %%", got.peers, 100*got.relError)
		require.InDelta(t, 24, got.peers, 24*5*got.relError)
		for range maxSamples {
			client.sampler.add(make([]float64, closest))
		}
		require.Equal(t, maxSamples, client.sampler.count())
	})
}

func TestExceedsChance(t *testing.T) {
	for _, expected := range []float64{0.01, 0.5, 1, 3, 10, 27, 60} {
		// The tail of the Poisson distribution, as the complement.
		head, term := 0.0, math.Exp(-expected)
		for count := range 200 {
			tail := 1 - head
			if tail > 1e-9 && math.Abs(tail-1e-4) > 1e-9 { // else the complement has no digits left
				require.Equal(t, tail < 1e-4, exceedsChance(count, expected), "%d of %g, chance %g", count, expected, tail)
			}
			head += term
			term *= expected / float64(count+1)
		}
		require.True(t, exceedsChance(500, expected))
	}
}
