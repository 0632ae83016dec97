package home

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that was years ahead when keys were replaced puts off their erasure by no
// more than the retention, counted from when the clock is right again. A clock that was
// never set erases nothing, then or later.
func TestAClockThatWasAheadKeepsNoFormerKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	right := first.Made.Add(time.Hour)
	_, err = h.RenewSealing(right.AddDate(10, 0, 0), 0)
	require.NoError(t, err)
	count := func(now time.Time) int {
		s, err := h.EraseSealing(now)
		require.NoError(t, err)
		read, err := h.Sealing()
		require.NoError(t, err)
		require.Len(t, read.PrivateKeys(), len(s.PrivateKeys()))
		return len(s.PrivateKeys())
	}
	require.Equal(t, 4, count(time.Unix(0, 0)), "a clock that was never set")
	require.Equal(t, 4, count(right))
	require.Equal(t, 4, count(right.Add(SealingRetention-time.Second)))
	require.Equal(t, 2, count(right.Add(SealingRetention)))
}
