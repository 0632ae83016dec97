package agent_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// Two copies of a home rotate the key before either of them publishes. A device that has the key
// of one of them does not publish over the card of the other one, and each sync between the
// two states it, on both sides.
func TestCopiesThatRotateApartAreFoundByTheirDevices(t *testing.T) {
	hub := served(t, nil)
	one := opened(t)
	join(t, one, addrs(t, hub)...)
	device, _ := joinedBy(t, one, true, false)
	two, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, two.Close()) })
	syncAll(t, agent.SyncOptions{}, two, device)
	for _, a := range []*agent.Agent{two, one} {
		_, err := a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
	}
	_, err = one.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	for device.Pointer() != two.Pointer() { // the key of the copy reaches the device first
		for _, a := range []*agent.Agent{two, device} {
			_, err := a.Sync(t.Context(), agent.SyncOptions{})
			require.NoError(t, err)
		}
	}
	require.Equal(t, one.Pointer(), device.Pointer())
	require.NoError(t, one.Start(t.Context()))
	stated := 0
	for range 20 {
		_, err := device.Sync(t.Context(), agent.SyncOptions{})
		if err != nil {
			require.ErrorIs(t, err, agent.ErrDiverged)
			if stated++; stated == 2 {
				break // it is stated not once alone
			}
		}
	}
	require.Equal(t, 2, stated)
	var copied *agent.CopiedError
	_, err = device.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.ErrorAs(t, err, &copied)
}
