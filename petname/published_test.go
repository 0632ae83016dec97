package petname

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// A device without the identity key states publications with any sequence: none of them is what
// the owner has published, and the owner's next sequence is free, with or without its removal.
func TestADeviceWithoutTheKeyStatesNoPublication(t *testing.T) {
	books := testDevices(t, 3)
	laptop, phone, desk := books[0], books[1], books[2]
	own := Published{Value: "/ipfs/bafkqaaa", Sequence: 3}
	require.NoError(t, laptop.ReserveSequence(own))
	id := desk.Ledger().Device()
	require.NoError(t, laptop.AdmitDevice(testKey("me"), ed25519.PublicKey(id[:]), "desk", true))
	syncBooks(t, books...)
	require.NoError(t, phone.ReserveSequence(Published{Value: "/ipfs/evil", Sequence: 9}))
	require.NoError(t, phone.ReserveSequence(Published{Value: "/ipfs/evil", Sequence: pointer.MaxSequence}))
	syncBooks(t, books...)
	for _, b := range []*Book{laptop, desk} {
		p, err := b.Published()
		require.NoError(t, err)
		require.Equal(t, own, p)
	}
	require.NoError(t, desk.ReserveSequence(Published{Value: "/ipfs/next", Sequence: 4}))
	syncBooks(t, books...)
	p, err := laptop.Published()
	require.NoError(t, err)
	require.Equal(t, uint64(4), p.Sequence, "of each device with the key")
	require.ErrorAs(t, laptop.ReserveSequence(Published{Value: "/ipfs/other", Sequence: 4}), new(*SequenceError))
	require.NoError(t, laptop.RemoveDevice(testKey("me"), phone.Ledger().Device()))
	require.NoError(t, laptop.ReserveSequence(Published{Value: "/ipfs/own", Sequence: 5}))
	require.NoError(t, laptop.Ledger().Rebuild())
	p, err = laptop.Published()
	require.NoError(t, err)
	require.Equal(t, Published{Value: "/ipfs/own", Sequence: 5}, p)
}

// mergeRefused merges what from has, without what the ledger refuses.
func mergeRefused(t *testing.T, b, from *Book) {
	t.Helper()
	if _, _, err := b.Ledger().MergePart(slices.Values(missing(t, from, b.Ledger().Heads()))); err != nil {
		require.ErrorIs(t, err, ledger.ErrRefused)
	}
}

// What a removed device with the identity key states after its removal counts for nothing.
func TestARemovedDeviceStatesNoPublication(t *testing.T) {
	books := testDevices(t, 3)
	laptop, phone, desk := books[0], books[1], books[2]
	id := phone.Ledger().Device()
	require.NoError(t, laptop.AdmitDevice(testKey("me"), ed25519.PublicKey(id[:]), "phone", true))
	pull(t, phone, laptop)
	require.NoError(t, phone.ReserveSequence(Published{Value: "/ipfs/before", Sequence: 2}))
	pull(t, laptop, phone)
	require.NoError(t, laptop.RemoveDevice(testKey("me"), id))
	require.NoError(t, phone.ReserveSequence(Published{Value: "/ipfs/evil", Sequence: pointer.MaxSequence}))
	pull(t, desk, phone) // before the removal reaches it
	mergeRefused(t, laptop, desk)
	mergeRefused(t, desk, laptop)
	for _, b := range []*Book{laptop, desk} {
		p, err := b.Published()
		require.NoError(t, err)
		require.Equal(t, Published{Value: "/ipfs/before", Sequence: 2}, p)
	}
}
