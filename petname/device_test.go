package petname

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// The names of devices, and whether they hold the identity key, are the same on every
// device, and need no key of the identity to change.
func TestDevicesAreNamedAndKnown(t *testing.T) {
	books := testDevices(t, 2)
	a, b := books[0], books[1]
	all, err := a.Devices()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.True(t, all[0].This && all[0].IdentityKey)
	for _, d := range all {
		require.False(t, d.Admitted.IsZero())
		require.True(t, d.RemovedAt.IsZero())
	}
	require.False(t, all[1].This || all[1].IdentityKey)

	phone := all[1].ID
	require.NoError(t, a.AdmitDevice(testKey("me"), ed25519.PublicKey(phone[:]), " Ana's phone (old) ", true))
	entries := a.Ledger().Devices()[0].Head
	require.NoError(t, a.AdmitDevice(testKey("me"), ed25519.PublicKey(phone[:]), "Ana's phone (old)", true), "a repetition")
	require.Equal(t, entries, a.Ledger().Devices()[0].Head, "writes nothing")
	require.ErrorIs(t, b.RenameDevice(all[0].ID, "laptop"), ErrNotHolder)
	pull(t, b, a)
	require.NoError(t, b.RenameDevice(all[0].ID, "laptop"), "it has the key")
	syncBooks(t, books...)
	for _, book := range books {
		all, err := book.Devices()
		require.NoError(t, err)
		require.Equal(t, []string{"laptop", "Ana's phone [old]"}, []string{all[0].Name, all[1].Name})
		require.True(t, all[0].IdentityKey && all[1].IdentityKey)
	}

	for _, text := range []string{"", " ", "\u202e", strings.Repeat("x", MaxDeviceName+1)} {
		require.Error(t, a.RenameDevice(phone, text), "%q", text)
	}
	require.ErrorIs(t, a.RenameDevice(ledger.DeviceID{1}, "nobody"), ErrNotFound)

	require.NoError(t, a.RemoveDevice(testKey("me"), phone))
	require.ErrorIs(t, a.AdmitDevice(testKey("me"), ed25519.PublicKey(phone[:]), "again", true), ErrDeviceRemoved)
	all, err = a.Devices()
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(all, func(d Device) bool { return d.ID == phone && d.Removed && !d.RemovedAt.IsZero() }))
}

// A card lists the devices that can sign, without the first one, and the same on every device.
func TestTagsOfDevicesAreThoseThatCanSign(t *testing.T) {
	books := testDevices(t, 4)
	tags := func() (tags []pointer.DeviceTag) {
		syncBooks(t, books...)
		tags, err := books[0].DeviceTags()
		require.NoError(t, err)
		for _, b := range books[1:] {
			same, err := b.DeviceTags()
			require.NoError(t, err)
			require.Equal(t, tags, same)
		}
		_, err = pointer.Card{Devices: tags}.Encode()
		require.NoError(t, err)
		return tags
	}
	require.Empty(t, tags(), "none of them holds the key")
	all := books[0].Ledger().Devices()
	for _, d := range all[1:3] {
		require.NoError(t, books[0].AdmitDevice(testKey("me"), ed25519.PublicKey(d.ID[:]), "phone", true))
	}
	require.ElementsMatch(t, []pointer.DeviceTag{DeviceTag(all[1].ID), DeviceTag(all[2].ID)}, tags())
	require.NoError(t, books[0].RemoveDevice(testKey("me"), all[1].ID))
	require.Equal(t, []pointer.DeviceTag{DeviceTag(all[2].ID)}, tags())
	require.NoError(t, books[2].RemoveDevice(testKey("me"), all[0].ID))
	require.Equal(t, []pointer.DeviceTag{DeviceTag(all[2].ID)}, tags(), "the other one is not the first device now")
	senders, err := books[2].Senders()
	require.NoError(t, err)
	require.Equal(t, []Sender{{all[2].ID, DeviceTag(all[2].ID), false}}, senders)
	require.Equal(t, "28dda4af5efe0633", DeviceTag(ledger.DeviceID{1, 2, 3}).String(), "contacts poll what it leads to: it does not change")
}

// No card lists more devices than contacts poll.
func TestTagsOfManyDevicesAreBounded(t *testing.T) {
	b := newTestBook(t)
	for i := range pointer.MaxDevices + 3 {
		key := testKey("device " + string(rune('a'+i)))
		require.NoError(t, b.AdmitDevice(testKey("me"), key.Public().(ed25519.PublicKey), "device", true))
	}
	tags, err := b.DeviceTags()
	require.NoError(t, err)
	_, err = pointer.Card{Devices: tags}.Encode()
	require.NoError(t, err)
	require.Len(t, tags, pointer.MaxDevices)
}
