package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// removes returns whether a device is removed in the book of an agent.
func removes(t *testing.T, a *agent.Agent, of *agent.Agent) bool {
	t.Helper()
	own, err := of.Devices()
	require.NoError(t, err)
	devices, err := a.Devices()
	require.NoError(t, err)
	for _, d := range devices {
		for _, o := range own {
			if o.This && o.ID == d.ID {
				return d.Removed
			}
		}
	}
	require.Fail(t, "a device is not in the book")
	return false
}

// The attack: a stolen phone with the key removes the owner's first device, and the tablet learns
// of that alone. What the first device then states under the next key, which the phone never had,
// arrives at the tablet: messages that wait there already do not prevent it.
func TestARemovalUnderALaterKeyReachesADeviceThatAThiefTurned(t *testing.T) {
	for _, serving := range []bool{false, true} {
		for _, lie := range []string{"", "itself", "the first"} {
			removalUnderALaterKey(t, serving, lie)
		}
	}
}

// With a lie, the phone states before of a device that it does not hold the key.
func removalUnderALaterKey(t *testing.T, serving bool, lie string) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, stolen := joinedBy(t, a, true, false)
	tablet, _ := joinedBy(t, a, false, false)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
	require.NoError(t, err)
	if lie == "itself" {
		require.NoError(t, agent.BookOf(phone).StateOwnKey(false))
	}
	syncAll(t, agent.SyncOptions{}, a, phone, tablet)
	devices, err := phone.Devices()
	require.NoError(t, err)
	if lie == "the first" {
		require.NoError(t, agent.BookOf(phone).AdmitDevice(ownKey(t, phone), devices[0].ID[:], devices[0].Name, false))
	}
	_, err = phone.RemoveDevice(devices[0].ID)
	require.NoError(t, err)
	for _, x := range []*agent.Agent{phone, tablet} {
		_, err = x.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
	}
	require.True(t, removes(t, tablet, a))

	add(t, a, "bob", newKey(t).Pointer())
	_, err = a.Sync(t.Context(), agent.SyncOptions{}) // its messages wait from now on
	require.NoError(t, err)
	_, err = a.RemoveDevice(stolen.Device)
	require.NoError(t, err)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	if serving {
		require.NoError(t, a.Start(t.Context()))
		require.NoError(t, tablet.Start(t.Context()))
	}
	s, err := a.Sync(t.Context(), agent.SyncOptions{})
	if !serving { // otherwise the two may have exchanged already, and an error names the thief's entries
		require.NoError(t, err)
		require.Len(t, s.With, 1)
		require.True(t, s.With[0].Unacknowledged)
	}
	_, _ = tablet.Sync(t.Context(), agent.SyncOptions{})
	require.False(t, removes(t, tablet, a))
	require.True(t, removes(t, tablet, phone))
	for range 3 {
		for _, x := range []*agent.Agent{a, tablet} {
			_, _ = x.Sync(t.Context(), agent.SyncOptions{}) // once an error names the thief's entries
		}
	}
	require.Equal(t, digest(t, a), digest(t, tablet))
	_, err = tablet.Lookup("bob")
	require.NoError(t, err)
	s, err = a.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.False(t, s.With[0].Unacknowledged)
}

// The attack: a removed thief removes the owner's device by the key that both have, and puts that
// where the tablet looks. By one key the smaller hash decides in the ledger, and the thief could
// try until it has one: the tablet merges nothing without a later key.
func TestARemovedThiefChangesNothingWithoutALaterKey(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, stolen := joinedBy(t, a, true, false)
	tablet, _ := joinedBy(t, a, false, false)
	syncAll(t, agent.SyncOptions{}, a, phone, tablet)
	_, err := a.RemoveDevice(stolen.Device)
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{}, a, tablet)
	before := digest(t, tablet)
	devices, err := phone.Devices()
	require.NoError(t, err)
	_, err = phone.RemoveDevice(devices[0].ID)
	require.NoError(t, err)
	s, err := phone.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.True(t, s.With[0].Unacknowledged)
	_, err = tablet.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.Equal(t, before, digest(t, tablet))
	require.False(t, removes(t, tablet, a))
}
