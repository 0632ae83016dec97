package agent_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// Two devices with clocks that are days apart do not receive each other's messages. A sync states
// it, and when the clocks agree, the messages arrive.
func TestASyncStatesThatTheClocksOfTwoDevicesAreDaysApart(t *testing.T) {
	for _, days := range []int{8, 10, 14} {
		var ahead atomic.Int64
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		b, _ := joinedBy(t, a, true, false)
		syncAll(t, agent.SyncOptions{}, a, b)
		dir := b.Dir()
		require.NoError(t, b.Close())
		b, err := agent.Open(t.Context(), dir, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient,
			Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		agent.SetPatience(b, 0)
		ahead.Store(int64(time.Duration(days) * 24 * time.Hour))
		add(t, a, "of a", newKey(t).Pointer())
		add(t, b, "of b", newKey(t).Pointer())
		var stated *agent.DeviceClockError
		for range 4 {
			_, _ = b.Sync(t.Context(), agent.SyncOptions{})
			s, err := a.Sync(t.Context(), agent.SyncOptions{})
			if stated != nil {
				require.ErrorAs(t, err, new(*agent.DeviceClockError), "again")
			} else if err != nil {
				require.ErrorAs(t, err, &stated)
				require.Equal(t, 1, len(s.With))
				require.Positive(t, s.With[0].Waiting)
			}
		}
		require.NotNil(t, stated, "%d days", days)
		require.WithinDuration(t, time.Now().Add(time.Duration(ahead.Load())), stated.Theirs, time.Hour)
		_, err = a.Lookup("of b")
		require.Error(t, err)
		ahead.Store(0)
		for range 6 {
			_, err := b.Sync(t.Context(), agent.SyncOptions{})
			require.NoError(t, err)
			_, _ = a.Sync(t.Context(), agent.SyncOptions{}) // the message of the wrong clock is there for a time
		}
		require.Equal(t, digest(t, a), digest(t, b), "%d days", days)
	}
}
