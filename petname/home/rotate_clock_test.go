package home

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The attack: a thief has the sealing keys, and the rotation happens under a clock that
// is behind the date of their creation. They are replaced nevertheless.
func TestARotationUnderASlowClockReplacesTheSealingKeys(t *testing.T) {
	for _, behind := range []time.Duration{time.Minute, 5 * time.Hour, 23 * time.Hour, 48 * time.Hour, 40 * 365 * 24 * time.Hour} {
		h := create(t, CreateOptions{})
		before, err := h.Sealing()
		require.NoError(t, err)
		r, err := h.Rotate(RotateOptions{Now: func() time.Time { return time.Now().Add(-behind) }})
		require.NoError(t, err)
		require.NoError(t, r.Commit(nil))
		after, err := h.Sealing()
		require.NoError(t, err)
		for i, key := range after.PublicKeys() {
			require.False(t, equalKeys(before.PublicKeys()[i], key), "%s behind", behind)
		}
		require.NoFileExists(t, h.path(journalFile))
	}
}

// Under a clock that was never set, a last record ends 20 years after the newest entry of
// the book or the first version. An entry of the far future does not move it out of the
// years that a record can have.
func TestALastRecordOfAClockThatWasNeverSetHasNotEnded(t *testing.T) {
	for _, now := range []time.Time{{}, time.Unix(0, 0), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)} {
		require.Equal(t, plausible.AddDate(20, 0, 0), LastExpiry(now, time.Time{}))
		require.Equal(t, plausible.AddDate(23, 0, 0), LastExpiry(now, plausible.AddDate(3, 0, 0)))
		require.Equal(t, plausible.AddDate(20, 0, 0), LastExpiry(now, plausible.AddDate(7900, 0, 0)))
	}
	require.Equal(t, plausible.AddDate(24, 0, 0), LastExpiry(plausible.AddDate(4, 0, 0), plausible.AddDate(3, 0, 0)))
}
