package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

func sealingOf(t *testing.T, a *agent.Agent) []byte {
	t.Helper()
	s, err := agent.HomeOf(a).Sealing()
	require.NoError(t, err)
	return s.PublicKeys()[0].Key
}

// threeDevices returns a device, a tablet with the key, and a phone without it.
func threeDevices(t *testing.T) (a, tablet, phone *agent.Agent, joined agent.JoinedBook) {
	hub := served(t, nil)
	a = opened(t)
	join(t, a, addrs(t, hub)...)
	tablet, _ = joinedBy(t, a, true, false)
	phone, joined = joinedBy(t, a, false, false)
	syncAll(t, agent.SyncOptions{}, a, tablet, phone)
	return a, tablet, phone, joined
}

// renewSealing replaces the keys for messages of a device, under a clock that is ahead by lead.
func renewSealing(t *testing.T, a *agent.Agent, lead time.Duration) []byte {
	t.Helper()
	_, err := agent.HomeOf(a).RenewSealing(time.Now().Add(lead), time.Time{}, 0)
	require.NoError(t, err)
	return sealingOf(t, a)
}

// The keys that a removed device has are in no card that another device publishes, although a
// folder, which carries no keys, told it of the removal.
func TestADeviceThatLearnsOfARemovalReplacesItsKeysForMessages(t *testing.T) {
	a, tablet, phone, joined := threeDevices(t)
	stolen := sealingOf(t, phone)
	_, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, tablet)
	_, err = tablet.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	require.NotEqual(t, stolen, card(t, tablet).Sealing[0].Key)

	replaced := sealingOf(t, tablet)
	_, err = tablet.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	require.Equal(t, replaced, sealingOf(t, tablet), "they are replaced once")
	add(t, a, "z", newKey(t).Pointer())
	syncTries(t, a, tablet)
	require.Equal(t, sealingOf(t, a), sealingOf(t, tablet))
	require.NotEqual(t, stolen, sealingOf(t, a))
}

// Keys that a stolen device hands over to one device alone, before its removal or after it, and
// dated as late as is accepted, are current on no device that knows of the removal.
func TestKeysThatARemovedDeviceHandedOverAreFormerOnes(t *testing.T) {
	for name, late := range map[string]bool{"before the removal": false, "after it": true} {
		for _, lead := range []time.Duration{10 * time.Minute, 23 * time.Hour} {
			a, tablet, phone, joined := threeDevices(t)
			var stolen []byte
			handOver := func() {
				stolen = renewSealing(t, phone, lead)
				add(t, phone, "x", newKey(t).Pointer())
				syncTries(t, tablet, phone)
			}
			if !late {
				handOver()
			}
			_, err := a.RemoveDevice(joined.Device)
			require.NoError(t, err)
			if late {
				handOver()
			}
			add(t, a, "z", newKey(t).Pointer())
			agent.SetPatience(a, 0)
			for range 3 { // after each exchange
				for _, one := range []*agent.Agent{a, tablet} {
					_, _ = one.Sync(t.Context(), agent.SyncOptions{})
					require.NotEqual(t, stolen, sealingOf(t, a), "%s %s", name, lead)
				}
			}
			require.NotEqual(t, stolen, sealingOf(t, tablet), "%s %s", name, lead)
			require.Equal(t, sealingOf(t, a), sealingOf(t, tablet), "%s %s", name, lead)
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
			require.NoError(t, err)
			require.NotEqual(t, stolen, card(t, a).Sealing[0].Key, "%s %s", name, lead)
		}
	}
}

// A device that joins after a removal replaces nothing: it has keys that were replaced.
func TestADeviceThatJoinsAfterARemovalKeepsTheKeysForMessages(t *testing.T) {
	a, tablet, _, joined := threeDevices(t)
	_, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	current := sealingOf(t, a)
	syncTries(t, a, tablet)
	late, _ := joinedBy(t, a, false, false)
	syncTries(t, a, tablet, late)
	for _, one := range []*agent.Agent{a, tablet, late} {
		require.Equal(t, current, sealingOf(t, one))
	}
}

// In a session each side sends its keys before it learns of a removal: those that the other one
// sent so are former ones.
func TestKeysSentBeforeTheirDeviceLearntOfARemovalAreFormerOnes(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, joined := joinedBy(t, a, false, false)
	renewSealing(t, phone, 23*time.Hour)
	_, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	current := sealingOf(t, a)
	file, err := agent.HomeOf(phone).SealingFile()
	require.NoError(t, err)
	require.NoError(t, agent.MergeSealing(a, joined.Device, file))
	require.Equal(t, current, sealingOf(t, a))
}
