package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

func inboxOf(t *testing.T, a *agent.Agent) (all []pointer.Pointer) {
	t.Helper()
	for s, err := range a.Inbox() {
		require.NoError(t, err)
		all = append(all, s.Pointer)
	}
	return all
}

// The card lists a device with the identity key, by a renewal. The device sends to a contact,
// whose other device has the message before it is acknowledged, although it did not fetch it.
func TestMessagesBetweenDevicesOfTwoOwners(t *testing.T) {
	hub := served(t, nil)
	a, c := opened(t), opened(t)
	for _, one := range []*agent.Agent{a, c} {
		join(t, one, addrs(t, hub)...)
		_, err := one.Publish(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
	}
	add(t, a, "c", c.Pointer())
	add(t, c, "a", a.Pointer())
	dan := newKey(t).Pointer()
	add(t, a, "dan", dan)
	require.NoError(t, agent.RenewForDevices(t.Context(), a))
	sequence := held(t, a, a.Pointer()).Sequence()
	require.Equal(t, uint64(1), sequence, "there is nothing to list")

	phone, joined := joinedBy(t, a, true, false)
	require.NoError(t, agent.RenewForDevices(t.Context(), a))
	r := held(t, a, a.Pointer())
	require.Equal(t, sequence+1, r.Sequence())
	card, _ := r.Card()
	require.Equal(t, []pointer.DeviceTag{petname.DeviceTag(joined.Device)}, card.Devices)
	require.NoError(t, agent.RenewForDevices(t.Context(), a))
	require.Equal(t, r.Sequence(), held(t, a, a.Pointer()).Sequence())

	tablet, _ := joinedBy(t, c, true, false)
	require.NoError(t, tablet.Start(t.Context()))
	syncAll(t, agent.SyncOptions{}, c, tablet) // c learns the addresses of the tablet
	_, err := phone.Introduce(t.Context(), agent.Introduction{About: "dan", To: "c", As: "dan", Lifetime: agent.IntroductionLifetime})
	require.NoError(t, err)
	fetched, err := c.Fetch(t.Context(), false)
	require.NoError(t, err)
	require.NoError(t, fetched.Problem)
	require.Equal(t, []pointer.Pointer{dan}, inboxOf(t, c))
	require.Equal(t, []pointer.Pointer{dan}, inboxOf(t, tablet))
	fetched, err = phone.Fetch(t.Context(), false)
	require.NoError(t, err)
	require.Zero(t, fetched.Waiting)
}
