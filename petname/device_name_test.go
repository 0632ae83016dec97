package petname

import (
	"crypto/ed25519"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
)

// stateName appends a statement about a device without the checks of RenameDevice, as a hostile
// device does.
func stateName(t *testing.T, b *Book, device ledger.DeviceID, text string) {
	t.Helper()
	require.NoError(t, b.update(func(tx *ledger.Tx) error {
		return appendAct(tx, act{Op: opDevice, Device: &wireDevice{Device: device[:], Name: text}})
	}))
}

// deviceNames returns the names of the devices in their order, which is the same on all.
func deviceNames(t *testing.T, books ...*Book) (names []string) {
	t.Helper()
	for i, b := range books {
		all, err := b.Devices()
		require.NoError(t, err)
		one := make(map[ledger.DeviceID]string)
		for _, d := range all {
			one[d.ID] = d.Name
		}
		var mine []string
		for _, b := range books {
			mine = append(mine, one[b.Ledger().Device()])
		}
		if i > 0 {
			require.Equal(t, names, mine, "every device shows the same names")
		}
		names = mine
	}
	return names
}

// A device without the identity key that states names of other devices changes none of them, in
// whatever order and however often it states them, and when an honest statement came before.
func TestADeviceWithoutTheKeyRenamesNoOther(t *testing.T) {
	books := testDevices(t, 3)
	laptop, phone, tablet := books[0], books[1], books[2]
	id := func(b *Book) ledger.DeviceID { return b.Ledger().Device() }
	require.ErrorIs(t, phone.RenameDevice(id(tablet), "phone"), ErrNotHolder)
	stateName(t, phone, id(tablet), "phone")
	stateName(t, phone, id(phone), "tab")
	stateName(t, phone, id(laptop), "stolen")
	syncBooks(t, books...)
	require.Equal(t, []string{"one", "tab", "three"}, deviceNames(t, books...), "its own name is its own")

	require.NoError(t, laptop.RenameDevice(id(phone), "phone"))
	stateName(t, tablet, id(tablet), "tab")
	syncBooks(t, books...)
	require.Equal(t, []string{"one", "phone", "tab"}, deviceNames(t, books...))
	stateName(t, phone, id(tablet), "phone") // it saw the honest one
	syncBooks(t, books...)
	require.Equal(t, []string{"one", "phone", "tab"}, deviceNames(t, books...))
	stateName(t, phone, id(phone), "tab") // RenameDevice refuses it
	syncBooks(t, books...)
	require.Equal(t, []string{"one", "tab", "tab"}, deviceNames(t, books...))
	all, err := laptop.Devices()
	require.NoError(t, err)
	for i, admitted := range []string{"one", "two", "three"} {
		require.Equal(t, admitted, all[i].AdmittedAs, "the name that the identity signed")
	}
	for _, b := range books {
		before := dump(t, b)
		require.NoError(t, b.Ledger().Rebuild())
		require.Equal(t, before, dump(t, b))
	}
}

// What a device stated before it received the key counts when it has it, on every device and in
// any order of entries: the name depends on the entries alone.
func TestNamesOfDevicesDependOnTheEntriesAlone(t *testing.T) {
	books := testDevices(t, 3)
	laptop, phone, tablet := books[0], books[1], books[2]
	one, two, three := laptop.Ledger().Device(), phone.Ledger().Device(), tablet.Ledger().Device()
	stateName(t, phone, three, "by the phone")
	pull(t, laptop, phone)
	require.NoError(t, laptop.AdmitDevice(testKey("me"), ed25519.PublicKey(two[:]), "two", true))
	require.NoError(t, laptop.RenameDevice(one, "laptop"))
	stateName(t, tablet, one, "by the tablet")
	pull(t, tablet, laptop)
	pull(t, phone, laptop)
	syncBooks(t, books...)
	require.Equal(t, []string{"laptop", "two", "by the phone"}, deviceNames(t, books...))

	// Concurrent statements: one of them, the same on all. Then the one that saw both.
	require.NoError(t, laptop.RenameDevice(three, "a"))
	require.NoError(t, phone.RenameDevice(three, "b"))
	require.NoError(t, tablet.RenameDevice(three, "c"))
	syncBooks(t, books...)
	require.Contains(t, []string{"a", "b", "c"}, deviceNames(t, books...)[2])
	require.NoError(t, tablet.RenameDevice(three, "d"))
	syncBooks(t, books...)
	require.Equal(t, "d", deviceNames(t, books...)[2])
}

// No device gets the name of another one, or one that looks alike or stands for the other one's id,
// by the owner's act; the name of a removed device is free. Two that got one name on two devices are
// shown as such on both.
func TestADeviceGetsNoNameOfAnotherOne(t *testing.T) {
	books := testDevices(t, 3)
	laptop, phone, tablet := books[0], books[1], books[2]
	id := func(b *Book) ledger.DeviceID { return b.Ledger().Device() }
	same := func(b *Book) (all []bool) {
		devices, err := b.Devices()
		require.NoError(t, err)
		for _, d := range devices {
			all = append(all, d.SameName)
		}
		return all
	}
	require.NoError(t, laptop.RenameDevice(id(laptop), "laptop 1"))
	for text, taken := range map[string]bool{"three": true, " THREE ": true, "thr\u0435e": false, id(tablet).String()[:8]: false, id(tablet).String(): false} {
		for _, device := range []ledger.DeviceID{id(phone), {}} {
			var refused *DeviceNameError
			require.ErrorAs(t, laptop.CheckDeviceName(device, text), &refused, "%q", text)
			require.Equal(t, id(tablet), refused.Other.ID)
			require.Equal(t, taken, refused.Taken(), "%q", text)
			require.Contains(t, refused.Error(), "another device of yours")
		}
		require.ErrorAs(t, laptop.RenameDevice(id(phone), text), new(*DeviceNameError), "%q", text)
	}
	require.ErrorAs(t, laptop.RenameDevice(id(phone), "laptop l"), new(*DeviceNameError))
	require.NoError(t, laptop.RenameDevice(id(phone), "laptop 2"))
	require.NoError(t, laptop.RenameDevice(id(laptop), "Laptop 1"), "its own name")
	require.Equal(t, []bool{false, false, false}, same(laptop))
	syncBooks(t, books...)

	require.NoError(t, phone.RenameDevice(id(phone), "desk"))
	require.NoError(t, tablet.RenameDevice(id(tablet), "d\u0435sk"))
	require.Equal(t, []bool{false, false, false}, same(tablet))
	syncBooks(t, books...)
	for _, b := range books {
		require.Equal(t, []bool{false, true, true}, same(b))
	}
	require.NoError(t, laptop.RemoveDevice(testKey("me"), id(tablet)))
	require.Equal(t, []bool{false, false, false}, same(laptop))
	require.NoError(t, laptop.RenameDevice(id(laptop), "d\u0435sk top"))
	require.NoError(t, laptop.CheckDeviceName(ledger.DeviceID{}, "three"))
}

// No device states a remark of the lists, such as "(this device)", in its name: the owner gets an
// error for it, and in a name that another device states it is shown in brackets, beside the mark
// that the name is like that of another device.
func TestADeviceNameHasNoRemarkOfTheLists(t *testing.T) {
	for _, text := range []string{"one (this device)", "one (REMOVED)", "one \uff08this device\uff09", "one (deadbeef)", "one \u207dthis device\u207e"} {
		books := testDevices(t, 3)
		laptop, phone := books[0], books[1]
		id := phone.Ledger().Device()
		var refused *name.Error
		require.ErrorAs(t, phone.RenameDevice(id, text), &refused, "%q", text)
		require.ErrorContains(t, refused, "parenthesis")
		require.ErrorAs(t, laptop.CheckDeviceName(ledger.DeviceID{}, text), &refused)
		stateName(t, phone, id, text)
		tablet := testKey("tablet").Public().(ed25519.PublicKey)
		require.NoError(t, laptop.AdmitDevice(testKey("me"), tablet, text, false), "a name that the new device chose")
		syncBooks(t, books...)
		for _, b := range books {
			all, err := b.Devices()
			require.NoError(t, err)
			require.Len(t, all, 4)
			for _, d := range all {
				require.Equal(t, name.Unparenthesized(d.Name), d.Name)
				require.Equal(t, name.Unparenthesized(d.AdmittedAs), d.AdmittedAs)
				require.Equal(t, d.Name != "three", d.SameName, "%q", d.Name)
			}
			require.Equal(t, all[1].Name, all[3].Name)
			require.Regexp(t, `^one \[.*\]$`, all[1].Name)
		}
	}
	require.True(t, DeviceNamesAlike("vm", "VM [this device]"))
	require.False(t, DeviceNamesAlike("laptop [work]", "laptop [home]"))
}
