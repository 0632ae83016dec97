package petname

import (
	"crypto/ed25519"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
)

// keyHolders returns the devices that hold the identity key according to a book, by their place
// in the order of ids, and those of them that are not confirmed.
func keyHolders(t *testing.T, b *Book, ids []ledger.DeviceID) (holders, unconfirmed []int) {
	all, err := b.Devices()
	require.NoError(t, err)
	for i, id := range ids {
		for _, d := range all {
			if d.ID == id && d.IdentityKey {
				holders = append(holders, i)
			}
			if d.ID == id && d.Unconfirmed && !d.Removed {
				unconfirmed = append(unconfirmed, i)
			}
		}
	}
	return holders, unconfirmed
}

func deviceIDs(books []*Book) (ids []ledger.DeviceID) {
	for _, b := range books {
		ids = append(ids, b.Ledger().Device())
	}
	return ids
}

func stateKey(t *testing.T, by *Book, about ledger.DeviceID, held bool) {
	require.NoError(t, by.stateDevice(wireDevice{Device: about[:], Key: keyStatement(held)}))
}

// A device without the identity key does not become a holder by what it states, about itself or
// by devices that state so about each other, and takes the key from no other device.
func TestNoDeviceMakesItselfAHolderOfTheKey(t *testing.T) {
	books := testDevices(t, 4) // no device was admitted with the key
	ids := deviceIDs(books)
	stateKey(t, books[0], ids[1], true)
	syncBooks(t, books...)
	require.NoError(t, books[2].StateOwnKey(true))
	stateKey(t, books[2], ids[3], true)
	stateKey(t, books[3], ids[2], true)
	stateKey(t, books[2], ids[0], false)
	stateKey(t, books[2], ids[1], false)
	syncBooks(t, books...)
	for _, b := range books {
		holders, unconfirmed := keyHolders(t, b, ids)
		require.Equal(t, []int{0, 1}, holders)
		require.Empty(t, unconfirmed)
	}
	// A holder can deny, until it is removed.
	stateKey(t, books[1], ids[0], false)
	syncBooks(t, books...)
	holders, _ := keyHolders(t, books[2], ids)
	require.Equal(t, []int{1}, holders)
	require.NoError(t, books[0].RemoveDevice(testKey("me"), ids[1]))
	syncBooks(t, books[0], books[2], books[3])
	holders, _ = keyHolders(t, books[2], ids)
	require.Equal(t, []int{0, 1}, holders, "a removed device keeps the key")
	// A device knows when it has lost its own.
	require.NoError(t, books[0].StateOwnKey(false))
	holders, _ = keyHolders(t, books[0], ids)
	require.Equal(t, []int{1}, holders)
}

// A device that only a removed one admitted with the key is not confirmed, nor are those that it
// admitted, until the owner confirms it.
func TestADeviceThatARemovedOneAdmittedIsNotConfirmed(t *testing.T) {
	books := testDevices(t, 4)
	ids := deviceIDs(books)
	stateKey(t, books[0], ids[1], true) // the stolen device
	syncBooks(t, books...)
	stateKey(t, books[1], ids[2], true)
	syncBooks(t, books...)
	stateKey(t, books[2], ids[3], true)
	stateKey(t, books[2], ids[1], true)
	syncBooks(t, books...)
	_, unconfirmed := keyHolders(t, books[0], ids)
	require.Empty(t, unconfirmed)
	require.ErrorIs(t, books[0].ConfirmDevice(testKey("me"), ids[2]), ErrConfirmed)
	require.NoError(t, books[0].RemoveDevice(testKey("me"), ids[1]))
	syncBooks(t, books[0], books[2], books[3])
	holders, unconfirmed := keyHolders(t, books[0], ids)
	require.Equal(t, []int{0, 1, 2, 3}, holders)
	require.Equal(t, []int{2, 3}, unconfirmed)
	require.ErrorIs(t, books[0].ConfirmDevice(testKey("me"), ids[1]), ErrDeviceRemoved)
	require.ErrorIs(t, books[0].ConfirmDevice(testKey("me"), ledger.DeviceID{1}), ErrNotFound)
	require.Error(t, books[0].ConfirmDevice(nil, ids[3]))
	require.NoError(t, books[0].ConfirmDevice(testKey("me"), ids[3]))
	_, unconfirmed = keyHolders(t, books[0], ids)
	require.Equal(t, []int{2}, unconfirmed)
	require.NoError(t, books[0].ConfirmDevice(testKey("me"), ids[2]))
	syncBooks(t, books[0], books[2], books[3])

	// The device that created the book was replaced: this one needs no statement, and confirms
	// the others.
	require.NoError(t, books[2].RemoveDevice(testKey("me"), ids[0]))
	_, unconfirmed = keyHolders(t, books[2], ids)
	require.Empty(t, unconfirmed, "this device stated so of the other one")
	syncBooks(t, books[2], books[3])
	_, unconfirmed = keyHolders(t, books[3], ids)
	require.Equal(t, []int{2}, unconfirmed)
}

// The devices that hold the key are the same on all devices, whatever order the statements came
// in, also of devices that do not hold it.
func TestLawTheHoldersOfTheKeyAreAFunctionOfTheEntries(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		books := testDevices(t, 4)
		ids := deviceIDs(books)
		for range 25 {
			i, j := r.IntN(4), r.IntN(4)
			switch r.IntN(5) {
			case 0:
				syncBooks(t, books[i], books[j])
			case 1:
				_ = books[i].AdmitDevice(testKey("me"), ed25519.PublicKey(ids[j][:]), "device", r.IntN(2) == 0)
			default:
				stateKey(t, books[i], ids[j], r.IntN(3) > 0)
			}
		}
		syncBooks(t, books...)
		want, _ := keyHolders(t, books[0], ids)
		for _, b := range books[1:] {
			got, _ := keyHolders(t, b, ids)
			require.Equal(t, want, got, "seed %d", seed)
		}
	}
}
