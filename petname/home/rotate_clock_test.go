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
