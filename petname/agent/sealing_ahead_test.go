package agent_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// A device whose clock was years ahead when it made its home and removed a device, and is right
// later, has the keys for messages that its other devices have, and the dates of new ones are
// right.
func TestDevicesHaveTheSameSealingKeysAfterAClockYearsAhead(t *testing.T) {
	var off atomic.Int64
	ahead := int64(3 * 365 * 24 * time.Hour)
	off.Store(ahead)
	a := openedWith(t, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient,
		Now: func() time.Time { return time.Now().Add(time.Duration(off.Load())) }})
	hub := served(t, nil)
	join(t, a, addrs(t, hub)...)
	off.Store(0)
	tablet, _ := joinedBy(t, a, true, false)
	phone, joined := joinedBy(t, a, false, false)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, tablet, phone)
	off.Store(ahead)
	add(t, a, "ahead", newKey(t).Pointer())
	_, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	off.Store(0)
	same := func() {
		t.Helper()
		for range 4 {
			for _, x := range []*agent.Agent{a, tablet} {
				_, err := x.Sync(t.Context(), agent.SyncOptions{})
				require.NoError(t, err)
			}
		}
		require.Equal(t, digest(t, a), digest(t, tablet))
		require.Equal(t, sealingOf(t, a), sealingOf(t, tablet))
	}
	same()
	for _, x := range []*agent.Agent{a, tablet, a, tablet} {
		_, err := x.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		same()
	}
	for _, x := range []*agent.Agent{a, tablet} {
		s, err := agent.HomeOf(x).Sealing()
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), s.Made, time.Hour)
	}
}
