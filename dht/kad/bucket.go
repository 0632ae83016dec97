package kad

import (
	"time"

	"golang.org/x/time/rate"
)

// rate is the size of a token bucket, and how fast it fills up.
type tokenRate struct {
	burst     int
	perSecond float64
}

// bucket is a token bucket; the zero value is full.
type bucket struct{ tokens *rate.Limiter }

// take takes n tokens, if the bucket has as many. All calls for one bucket have
// the same rate.
func (b *bucket) take(r tokenRate, n int, now time.Time) bool {
	if b.tokens == nil {
		b.tokens = rate.NewLimiter(rate.Limit(r.perSecond), r.burst)
	}
	b.tokens.AllowN(now, 0) // notes the time, also when the clock went back and the next call fails
	return b.tokens.AllowN(now, n)
}

// used returns how many tokens a full bucket has more than this one.
func (b *bucket) used(now time.Time) float64 {
	if b.tokens == nil {
		return 0
	}
	b.tokens.AllowN(now, 0)
	return float64(b.tokens.Burst()) - b.tokens.TokensAt(now)
}
