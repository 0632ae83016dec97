package kad

import (
	"time"

	"golang.org/x/time/rate"
)

// tokenRate is the size of a token bucket and its refill rate.
type tokenRate struct {
	burst     int
	perSecond float64
}

// bucket is a token bucket. The zero value is full.
type bucket struct{ tokens *rate.Limiter }

// take removes n tokens and returns true, or returns false if the bucket has fewer.
// All calls for one bucket must pass the same rate.
func (b *bucket) take(r tokenRate, n int, now time.Time) bool {
	if b.tokens == nil {
		b.tokens = rate.NewLimiter(rate.Limit(r.perSecond), r.burst)
	}
	b.tokens.AllowN(now, 0) // sets the time, also after the clock was set back
	return b.tokens.AllowN(now, n)
}

// left returns how many tokens are in the bucket.
func (b *bucket) left(r tokenRate, now time.Time) float64 { return float64(r.burst) - b.used(now) }

// used returns how many tokens are missing from the bucket.
func (b *bucket) used(now time.Time) float64 {
	if b.tokens == nil {
		return 0
	}
	b.tokens.AllowN(now, 0)
	return float64(b.tokens.Burst()) - b.tokens.TokensAt(now)
}
