package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/agent"
)

// rejoinsWithoutKey joins the home in a folder again by an invitation without the identity key.
func rejoinsWithoutKey(t *testing.T, by *agent.Agent, dir string) (*agent.Agent, agent.JoinedBook, error) {
	t.Helper()
	invited, err := by.InviteDevice(t.Context(), agent.DeviceTerms{Awaited: true})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := by.AwaitDevice(t.Context(), invited.ID)
		done <- err
	}()
	a, joined, err := agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: invited.Link, Again: true}, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, <-done)
	return a, joined, err
}

// A home with the identity key does not join again as a device without it: the list of devices, and
// with it the advice after a removal, would be wrong. The refusal changes nothing in the home, and
// names the device that was admitted.
func TestAHomeWithTheKeyJoinsAgainAsNoDeviceWithoutIt(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	x, old := joinedBy(t, a, true, false)
	add(t, x, "bob", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, x)
	_, err := a.RemoveDevice(old.Device)
	require.NoError(t, err)
	add(t, x, "late", newKey(t).Pointer())
	require.NoError(t, x.Close())
	files := map[string][]byte{"identity.key": nil, "device.key": nil, "ledger.db": nil}
	for name := range files {
		files[name], err = os.ReadFile(filepath.Join(x.Dir(), name))
		require.NoError(t, err)
	}
	_, _, err = rejoinsWithoutKey(t, a, x.Dir())
	var refused *agent.KeyHereError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, refused.Device.String())
	require.NoDirExists(t, filepath.Join(x.Dir(), ".rejoining"))
	for name, content := range files {
		now, err := os.ReadFile(filepath.Join(x.Dir(), name))
		require.NoError(t, err)
		require.Equal(t, content, now, name)
	}
	d, err := a.RemoveDevice(refused.Device)
	require.NoError(t, err)
	require.False(t, d.IdentityKey)

	y, joined, _ := again(t, a, x.Dir(), nil)
	require.True(t, joined.WithKey)
	require.Equal(t, 1, joined.Again.Entered)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, y)
	require.True(t, deviceIn(t, a, joined.Device).IdentityKey)
}

// A device without the key joins again without it, and a home whose key another device has rotated
// joins without the new one: it has none then.
func TestAHomeWithARetiredKeyJoinsAgainWithoutAKey(t *testing.T) {
	for _, withKey := range []bool{false, true} {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		x, old := joinedBy(t, a, withKey, false)
		require.NoError(t, x.Close())
		_, err := a.RemoveDevice(old.Device)
		require.NoError(t, err)
		if withKey {
			_, err = a.Rotate(t.Context(), agent.Rotation{})
			require.NoError(t, err)
		}
		y, joined, err := rejoinsWithoutKey(t, a, x.Dir())
		require.NoError(t, err)
		defer y.Close()
		require.False(t, joined.WithKey)
		require.Equal(t, a.Pointer(), joined.Pointer)
		require.False(t, deviceIn(t, y, joined.Device).IdentityKey)
		require.True(t, check(y, t, "identity").OK)
	}
}

// deviceIn returns a device by its ID.
func deviceIn(t *testing.T, a *agent.Agent, id ledger.DeviceID) agent.Device {
	t.Helper()
	all, err := a.Devices()
	require.NoError(t, err)
	for _, d := range all {
		if d.ID == id {
			return d
		}
	}
	require.Fail(t, "no such device")
	return agent.Device{}
}

// An identity key that was put into the home of a device without it is named by the check.
func TestAKeyThatTheListOfDevicesDoesNotShowIsNamed(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	x, joined := joinedBy(t, a, false, false)
	require.True(t, check(x, t, "identity").OK)
	require.True(t, check(a, t, "identity").OK)
	key, err := os.ReadFile(filepath.Join(a.Dir(), "identity.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(x.Dir(), "identity.key"), key, 0o600))
	found := check(x, t, "identity")
	require.False(t, found.OK)
	require.Contains(t, found.Detail, joined.Device.String())
}
