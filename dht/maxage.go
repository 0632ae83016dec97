package dht

import (
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// A holder of a key chooses the TTL of its records. Without a bound, one record of a thief
// would keep followers at a stolen key after its owner rotated, as an honest record with a
// long TTL would.
const (
	maxValueAge = time.Hour
	maxCardAge  = 5 * time.Minute
)

// MaxAge returns the time for which a cache may use a record without a request, counted from
// the last confirmation that it is the newest: its TTL, and at most [AgeBound].
func MaxAge(r pointer.Record) time.Duration { return min(r.TTL(), AgeBound(r)) }

// AgeBound returns the bound of [MaxAge]: an hour, or 5 minutes for a record with a card. A card
// has the keys that messages are sealed to, and its successor shows that the key was rotated.
func AgeBound(r pointer.Record) time.Duration {
	if _, ok := r.Card(); ok {
		return maxCardAge
	}
	return maxValueAge
}
