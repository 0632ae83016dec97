package petname

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
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
	require.NoError(t, b.RenameDevice(all[0].ID, "laptop"))
	syncBooks(t, books...)
	for _, book := range books {
		all, err := book.Devices()
		require.NoError(t, err)
		require.Equal(t, []string{"laptop", "Ana's phone (old)"}, []string{all[0].Name, all[1].Name})
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
