package ledger

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Two copies have written as a device: one removed a stolen device and admitted another one, and the
// other wrote something else, as a restored backup does. What a removal after the entry of the
// other copy changes is known before it is signed, and the stolen device stays removed on all
// devices, in any order of the entries, unless it is to count again.
func TestAChoiceOfABranchKeepsRemovals(t *testing.T) {
	for i := range 8 { // the hashes of the removals decide whether the device can count again
		restored := i%2 == 1
		a, _ := newBook(t)
		b, c, d := join(t, a, "two"), join(t, a, "three"), join(t, a, "four")
		_, err := d.Append([]byte("k=before"))
		require.NoError(t, err)
		exchange(t, a, b, c, d)
		first, err := b.Append(fmt.Appendf(nil, "j=%d", i)) // its entry 1
		require.NoError(t, err)
		require.NoError(t, b.RemoveDevice(identity, d.Device()))
		require.NoError(t, b.AdmitDevice(identity, publicKey("five"), "five"))
		exchange(t, a, b, c)
		merges(t, c, smallerThan(a.Book(), "two", Entry{}, 1, first[0].clock, first[0].hash))
		_, err = d.Append([]byte("k=late"))
		require.NoError(t, err)
		removed := func(l *Ledger) (all []string) {
			for _, d := range l.Devices() {
				if d.Removed {
					all = append(all, d.Name)
				}
			}
			return all
		}
		require.Equal(t, []string{"four"}, removed(c), "a fork undoes no removal")
		branches, err := c.Branches(b.Device())
		require.NoError(t, err)
		require.Len(t, branches, 2)
		keep, other := branches[0], branches[1]
		if !keep.Counts() {
			keep, other = other, keep
		}
		was := dump(t, c)
		effect, err := c.EffectOfRemoval(keep.Head)
		require.NoError(t, err)
		require.Equal(t, RemovalEffect{Restored: []DeviceID{d.Device()}, Unadmitted: []DeviceID{deviceID("five")}}, effect)
		none, err := c.EffectOfRemoval(other.Head)
		require.NoError(t, err)
		require.Empty(t, none)
		require.Equal(t, was, dump(t, c), "nothing changes")
		require.Equal(t, []string{"four"}, removed(c))
		var restore []DeviceID
		if restored {
			restore = effect.Restored
		}
		kept, err := c.RemoveDeviceKeeping(identity, keep.Head, restore)
		require.NoError(t, err)
		merges(t, a, missing(t, d, a.Heads())...)
		exchange(t, a, c)
		for _, l := range []*Ledger{a, c} {
			if restored {
				require.Empty(t, kept)
				if len(removed(c)) == 1 {
					require.Equal(t, []string{"two"}, removed(l))
					require.Equal(t, []string{"late"}, get(t, l, "k"))
				}
				continue
			}
			require.Equal(t, effect.Restored, kept)
			require.ElementsMatch(t, []string{"two", "four"}, removed(l))
			require.Equal(t, []string{"before"}, get(t, l, "k"), "its end is the same")
		}
	}
}

// A thief of a device removes the device of the owner: that one removes the thief's after the owner's
// last entry, and counts again itself, if the hashes of the removals are so.
func TestADeviceThatABranchRemovedRemovesIt(t *testing.T) {
	for i := 0; ; i++ {
		a, _ := newBook(t)
		b, c := join(t, a, "two"), join(t, a, "three")
		e, err := b.Append(fmt.Appendf(nil, "j=%d", i))
		require.NoError(t, err)
		exchange(t, a, b, c)
		require.NoError(t, b.RemoveDevice(identity, c.Device()))
		exchange(t, a, b, c)
		kept, err := c.RemoveDeviceKeeping(identity, Head{b.Device(), 1, e[0].hash}, nil)
		if i < 50 && errors.Is(err, ErrRefused) {
			continue
		}
		require.NoError(t, err)
		require.Empty(t, kept)
		for _, d := range c.Devices() {
			require.Equal(t, d.ID == b.Device(), d.Removed, d.Name)
		}
		return
	}
}
