package dhttest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A sleep advances the wall clock, and not the monotonic clock.
func TestClockSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		before := c.Now()
		require.Contains(t, before.String(), " m=")
		c.Sleep(60 * time.Hour)
		after := c.Now()
		require.Contains(t, after.String(), " m=")
		require.Equal(t, 60*time.Hour, after.Round(0).Sub(before.Round(0)))
		require.Zero(t, after.Sub(before))
		time.Sleep(time.Minute)
		require.Equal(t, time.Minute, c.Now().Sub(before))
		require.Equal(t, 60*time.Hour+time.Minute, c.Now().Round(0).Sub(before.Round(0)))
	})
}
