package ledger

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The owner removes a stolen device that has the identity key, and rotates then. The thief, which
// has the old key, removes the owner's device at the same time: it is out on all devices, although
// each of the removals was signed by the old key.
func TestARemovedDeviceWithTheOldKeyDoesNotComeBackAfterARotation(t *testing.T) {
	later, steps := succeeded(t)
	for i := range 6 { // the hashes of the entries decide between removals by one key
		a, _ := newBook(t)
		b, c := join(t, a, "two"), join(t, a, "three")
		_, err := b.Append(fmt.Appendf(nil, "k=%d", i))
		require.NoError(t, err)
		exchange(t, a, b, c)
		require.NoError(t, a.RemoveDevice(identity, b.Device()))
		renewed, err := a.RenewRemovals(later, []DeviceID{b.Device()}, steps...)
		require.NoError(t, err)
		require.Equal(t, []DeviceID{b.Device()}, renewed)
		require.NoError(t, b.RemoveDevice(identity, a.Device()))
		_, err = b.Append([]byte("late=1"))
		require.NoError(t, err)
		merges(t, c, missing(t, b, c.Heads())...)
		merges(t, a, missing(t, b, a.Heads())...)
		exchange(t, a, b, c)
		for _, l := range []*Ledger{a, b, c} {
			for _, d := range l.Devices() {
				require.Equal(t, d.ID == b.Device(), d.Removed, "%d %s", i, d.Name)
			}
			require.Equal(t, []string{fmt.Sprint(i)}, get(t, l, "k")) // before its end
			require.Empty(t, get(t, l, "late"))
		}
	}
}

// Removals are signed again once, and by a later key alone.
func TestRemovalsAreSignedAgainOnce(t *testing.T) {
	later, steps := succeeded(t)
	a, _ := newBook(t)
	b, c := join(t, a, "two"), join(t, a, "three")
	renew := func(n int) (all []DeviceID) {
		before := len(a.Heads())
		all, err := a.RenewRemovals(later, []DeviceID{b.Device(), c.Device()}, steps[:n]...)
		require.NoError(t, err)
		require.Len(t, a.Heads(), before)
		return all
	}
	require.Empty(t, renew(2), "there is none")
	exchange(t, a, b, c)
	require.NoError(t, a.RemoveDevice(identity, b.Device()))
	require.NoError(t, a.RemoveDevice(later, c.Device(), steps...))
	_, err := a.RenewRemovals(identity, []DeviceID{b.Device(), c.Device()})
	require.NoError(t, err)
	none, err := a.RenewRemovals(later, []DeviceID{c.Device()}, steps...)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Equal(t, []DeviceID{b.Device()}, renew(2))
	require.Empty(t, renew(2))
	all, err := a.Statements()
	require.NoError(t, err)
	removals := 0
	for _, s := range all {
		if s.Kind == KindRemove {
			removals++
		}
	}
	require.Equal(t, 3, removals)
	_, err = a.RenewRemovals(testKey("other"), []DeviceID{b.Device(), c.Device()}, append(steps[:1:1], steps[0])...)
	require.NoError(t, err, "nothing is to be signed")
}
