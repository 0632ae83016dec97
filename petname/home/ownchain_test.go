package home

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// thief is a device of the book that a thief has, with the identity key.
type thief struct {
	book *petname.Book
	key  *pointer.Key
}

// newThief admits a device to the book of h, which is open.
func newThief(t *testing.T, h Home, book *petname.Book) *thief {
	t.Helper()
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key("secret")
	require.NoError(t, err)
	device, err := pointer.NewKey(nil)
	require.NoError(t, err)
	require.NoError(t, book.AdmitDevice(key, device.Public().(ed25519.PublicKey), "phone", true))
	b, err := petname.Join(filepath.Join(t.TempDir(), "phone.db"), book.Ledger().Identity(), device, slices.Values(missing(t, book)), petname.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return &thief{b, key}
}

// removes removes a device by the last of three keys of its own, to which it signs the steps, and
// returns all entries that it has.
func (th *thief) removes(t *testing.T, id ledger.DeviceID) [][]byte {
	t.Helper()
	var steps []pointer.Succession
	from := th.key
	for range 3 {
		next, err := pointer.NewKey(nil)
		require.NoError(t, err)
		c, err := pointer.Commit(next.Public())
		require.NoError(t, err)
		s, err := pointer.Succeed(from.Pointer(), next, c, from)
		require.NoError(t, err)
		steps, from = append(steps, s), next
	}
	require.NoError(t, th.book.Ledger().Follow(ledger.Followed{Steps: steps}))
	require.NoError(t, th.book.Ledger().RemoveDevice(from, id, steps...))
	return missing(t, th.book)
}

func merge(t *testing.T, book *petname.Book, entries [][]byte) {
	t.Helper()
	if _, err := book.Ledger().Merge(slices.Values(entries)); err != nil && !errors.Is(err, ledger.ErrRefused) {
		require.NoError(t, err)
	}
}

func isRemoved(t *testing.T, book *petname.Book, id ledger.DeviceID) bool {
	t.Helper()
	all, err := book.Devices()
	require.NoError(t, err)
	i := slices.IndexFunc(all, func(d petname.Device) bool { return d.ID == id })
	return i >= 0 && all[i].Removed
}

// The attack: a thief of the key removes a device of the owner by a chain of its own keys. No home
// removes it, locked or not, and also not while its identity key is damaged: the book has what it
// followed. A book of an older version, in which the removal counted, is settled when it is opened.
func TestAHomeFollowsNoChainOfAThief(t *testing.T) {
	for name, o := range map[string]CreateOptions{
		"open": {}, "locked": {Passphrase: "secret"}, "next key elsewhere": {Passphrase: "secret", Recovery: filepath.Join(t.TempDir(), "recovery")}} {
		t.Run(name, func(t *testing.T) {
			h := create(t, o)
			device, err := h.deviceKey()
			require.NoError(t, err)
			id, err := h.Identity()
			require.NoError(t, err)
			key, err := id.Key("secret")
			require.NoError(t, err)
			created, err := petname.Open(h.path(ledgerFile), device, petname.Options{}) // follows what Create set
			require.NoError(t, err)
			merge(t, created, newThief(t, h, created).removes(t, created.Ledger().Device()))
			require.False(t, isRemoved(t, created, created.Ledger().Device()))
			require.NoError(t, created.Close())
			require.NoError(t, os.Remove(h.path(ledgerFile)))
			older, err := petname.Create(h.path(ledgerFile), key, device, petname.Options{}) // follows nothing
			require.NoError(t, err)
			own := older.Ledger().Device()
			entries := newThief(t, h, older).removes(t, own)
			merge(t, older, entries)
			require.True(t, isRemoved(t, older, own))
			require.NoError(t, older.Close())

			book, err := h.Book(petname.Options{})
			require.NoError(t, err)
			require.False(t, isRemoved(t, book, own))
			require.NoError(t, book.SetNickname("Ana"))
			other := newThief(t, h, book)
			require.NoError(t, book.Close())

			good := read(t, h.path(identityFile))
			require.NoError(t, os.WriteFile(h.path(identityFile), []byte("damaged"), 0o600))
			book, err = h.Book(petname.Options{})
			require.NoError(t, err)
			merge(t, book, other.removes(t, own))
			require.False(t, isRemoved(t, book, own))
			require.NoError(t, book.Close())
			require.NoError(t, os.WriteFile(h.path(identityFile), good, 0o600))

			r, err := h.Rotate(RotateOptions{Passphrase: "secret", WorkFactor: fast, Next: o.Recovery, Recovery: later(o.Recovery)})
			require.NoError(t, err)
			require.NoError(t, r.Commit(nil))
			book, err = h.Book(petname.Options{}) // as after a crash behind the rotation
			require.NoError(t, err)
			defer book.Close()
			require.NoError(t, book.RemoveDevice(r.New, other.book.Ledger().Device()))
			merge(t, book, entries)
			require.False(t, isRemoved(t, book, own))
			require.True(t, isRemoved(t, book, other.book.Ledger().Device()))
			for err := range book.Ledger().Verify(t.Context()) {
				require.NoError(t, err)
			}
		})
	}
}

func later(file string) string {
	if file == "" {
		return ""
	}
	return file + ".later"
}

// The attack: a device joins, or joins again, from entries that have the thief's removal of the
// device that admits it.
func TestADeviceThatJoinsAHomeFollowsNoChainOfAThief(t *testing.T) {
	for _, withKey := range []bool{true, false} {
		h := create(t, CreateOptions{})
		dir := filepath.Join(t.TempDir(), "tablet")
		provisional, err := BeginJoin(dir)
		require.NoError(t, err)
		in := handed(t, h, provisional, "", withKey)
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		own := book.Ledger().Device()
		merge(t, book, newThief(t, h, book).removes(t, own))
		require.NoError(t, book.Update(func(b *petname.Book, _ *ledger.View) error {
			for i := range 300 { // more than is stored of a removed device
				if err := b.SetNickname(fmt.Sprint("Ana ", i)); err != nil {
					return err
				}
			}
			return nil
		}))
		in.Entries = slices.Values(missing(t, book))
		in.Complete = func(b *petname.Book) error {
			require.False(t, isRemoved(t, b, own), "before the home exists")
			nickname, err := b.Nickname()
			require.Equal(t, "Ana 299", nickname)
			return err
		}
		joined, err := FinishJoin(dir, in)
		require.NoError(t, err)
		tablet, err := joined.Book(petname.Options{})
		require.NoError(t, err)
		require.False(t, isRemoved(t, tablet, own))
		require.NoError(t, tablet.Close())

		again, err := h.BeginRejoin()
		require.NoError(t, err)
		device, err := again.DeviceKey()
		require.NoError(t, err)
		id, err := h.Identity()
		require.NoError(t, err)
		key, err := id.Key("")
		require.NoError(t, err)
		require.NoError(t, book.Ledger().AdmitDevice(key, device.Public().(ed25519.PublicKey), "new"))
		fresh, err := h.NewBook(book, petname.Options{})
		require.NoError(t, err)
		require.False(t, isRemoved(t, fresh, own))
		require.Len(t, fresh.Ledger().Devices(), 4)
		require.NoError(t, fresh.Close())
		require.NoError(t, book.Close())
	}
}

// The book of a recovered home was created by a later key: steps are judged from that one on.
func TestTheBookOfARecoveredHomeFollowsItsOwnKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "recovery")
	create(t, CreateOptions{Passphrase: "secret", Recovery: file})
	h, _, err := Recover(filepath.Join(t.TempDir(), "home"), RecoverOptions{File: file, Passphrase: "secret", WorkFactor: fast})
	require.NoError(t, err)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	own := book.Ledger().Device()
	th := newThief(t, h, book)
	merge(t, book, th.removes(t, own))
	require.False(t, isRemoved(t, book, own))
	r, err := h.Rotate(RotateOptions{Passphrase: "secret", WorkFactor: fast, Next: file + ".next", Recovery: file + ".third"})
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	require.NoError(t, book.SetOwnSuccession(r.Succession, r.Next))
	require.NoError(t, book.RemoveDevice(r.New, th.book.Ledger().Device()))
	require.False(t, isRemoved(t, book, own))
	require.True(t, isRemoved(t, book, th.book.Ledger().Device()))
	require.NoError(t, book.Close())
}
