package dhttest

import (
	"sync/atomic"
	"time"
	"unsafe"
)

// Clock is the clock of a machine that can sleep. During the sleep the wall
// clock advances, and the monotonic clock and the timers stand still, as on
// Linux, macOS and Windows. The zero value shows the time of the system. It is
// safe for concurrent use, also in a bubble of testing/synctest.
type Clock struct{ slept atomic.Int64 }

// Sleep puts the machine to sleep for d. It returns at once.
func (c *Clock) Sleep(d time.Duration) { c.slept.Add(int64(d)) }

// Now returns the current time, with a monotonic reading that does not include
// the sleep. Two results before and after a sleep of an hour have an hour
// between their wall clocks, and After, Sub and Equal see none of it.
func (c *Clock) Now() time.Time {
	slept := time.Duration(c.slept.Load())
	wall := time.Now().Round(0).Add(slept)
	t := withReading.Add(wall.Sub(withReading.Round(0)))
	// Package time has no way to set the two readings apart. The test of Clock
	// fails when the layout of time.Time changes.
	(*timeLayout)(unsafe.Pointer(&t)).ext -= int64(slept)
	return t
}

// withReading is a time with a monotonic reading: time.Now in a bubble of
// testing/synctest returns none.
var withReading = time.Now()

// timeLayout is the layout of a time.Time. If it has a monotonic reading, ext is
// that reading, in nanoseconds.
type timeLayout struct {
	wall uint64
	ext  int64
	loc  *time.Location
}
