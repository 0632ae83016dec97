package replicate

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// measured returns the bytes, in both directions, and the time of a session.
func measured(t testing.TB, a, b *device) (int64, time.Duration) {
	began := time.Now()
	d, _ := syncBoth(t, a, b)
	require.True(t, d.Equal)
	return d.Bytes.Received + d.Bytes.Sent, time.Since(began)
}
