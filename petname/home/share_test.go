package home

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// Devices that exchange their sealing keys come to the same ones, in any order, and open
// what was sealed to any of them.
func TestSealingKeysOfDevicesConverge(t *testing.T) {
	a, b := create(t, CreateOptions{}), create(t, CreateOptions{})
	now := time.Now()
	for range 3 {
		_, err := a.RenewSealing(now, time.Time{}, 0)
		require.NoError(t, err)
		now = now.Add(time.Hour)
	}
	all := map[string]bool{}
	for _, h := range []Home{a, b} {
		s, err := h.Sealing()
		require.NoError(t, err)
		for _, k := range s.PrivateKeys() {
			all[string(k.PublicKey().Bytes())] = true
		}
	}
	fromA, err := a.SealingFile()
	require.NoError(t, err)
	fromB, err := b.SealingFile()
	require.NoError(t, err)
	changed, err := a.MergeSealing(fromB, now)
	require.NoError(t, err)
	require.True(t, changed)
	changed, err = b.MergeSealing(fromA, now)
	require.NoError(t, err)
	require.True(t, changed)
	mergedA, err := a.SealingFile()
	require.NoError(t, err)
	mergedB, err := b.SealingFile()
	require.NoError(t, err)
	require.Equal(t, string(mergedA), string(mergedB))
	s, err := a.Sealing()
	require.NoError(t, err)
	require.Len(t, s.PrivateKeys(), len(all))
	changed, err = a.MergeSealing(mergedB, now)
	require.NoError(t, err)
	require.False(t, changed)

	// Keys of the far future, and what are none, change nothing.
	ahead := create(t, CreateOptions{})
	_, err = ahead.RenewSealing(now.Add(48*time.Hour), time.Time{}, 0)
	require.NoError(t, err)
	file, err := ahead.SealingFile()
	require.NoError(t, err)
	for _, bad := range [][]byte{file, nil, fromB[:len(fromB)/2], bytes.Repeat([]byte("a"), maxKeyFile+1)} {
		_, err := a.MergeSealing(bad, now)
		require.Error(t, err)
	}
	again, err := a.SealingFile()
	require.NoError(t, err)
	require.Equal(t, mergedA, again)
}

// A device follows the rotation of another one, with the key or without it, and follows
// nothing else.
func TestADeviceAdoptsTheIdentityAfterARotation(t *testing.T) {
	rotated := func(t *testing.T, h Home) Identity {
		r, err := h.Rotate(RotateOptions{})
		require.NoError(t, err)
		last, err := pointer.Sign(r.Old, pointer.Fields{Sequence: pointer.MaxSequence, Expires: LastExpiry(time.Now(), time.Time{}), Card: &pointer.Card{Successor: r.New.Pointer(), Succession: r.Succession}})
		require.NoError(t, err)
		require.NoError(t, r.Commit(last.Bytes()))
		id, err := h.Identity()
		require.NoError(t, err)
		return id
	}
	handed := func(t *testing.T, id Identity, key bool) []byte {
		b, err := id.Handover("", key)
		require.NoError(t, err)
		return b
	}
	for _, withKey := range []bool{true, false} {
		h := create(t, CreateOptions{})
		first, err := h.Identity()
		require.NoError(t, err)
		other := Home{Dir: t.TempDir()}
		require.NoError(t, other.replace(identityFile, handed(t, first, withKey)))
		_, changed, err := other.AdoptIdentity(handed(t, first, false))
		require.NoError(t, err)
		require.False(t, changed, "a key is not replaced by its lack")

		rotated(t, h)
		third := rotated(t, h)
		for name, bad := range map[string][]byte{
			"another identity": handed(t, mustIdentity(t, create(t, CreateOptions{})), true),
			"a fork":           handed(t, forked(t, first), true),
			"its own file":     read(t, h.path(identityFile)),
		} {
			_, changed, err := other.AdoptIdentity(bad)
			require.Error(t, err, name)
			require.False(t, changed, name)
		}
		id, changed, err := other.AdoptIdentity(handed(t, third, withKey))
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, third.Pointer, id.Pointer)
		require.Equal(t, third.Next, id.Next)
		require.Equal(t, !withKey, id.KeyElsewhere)
		_, changed, err = other.AdoptIdentity(handed(t, third, true))
		require.NoError(t, err)
		require.Equal(t, !withKey, changed, "the key after the header")
		_, changed, err = other.AdoptIdentity(handed(t, first, true))
		require.ErrorIs(t, err, ErrNoSuccessor)
		require.False(t, changed)
	}
}

func mustIdentity(t *testing.T, h Home) Identity {
	id, err := h.Identity()
	require.NoError(t, err)
	return id
}

// forked returns an identity that a thief of the current key made, without the next one.
func forked(t *testing.T, of Identity) Identity {
	key, err := of.Key("")
	require.NoError(t, err)
	next, err := pointer.NewKey(nil)
	require.NoError(t, err)
	after, err := pointer.NewKey(nil)
	require.NoError(t, err)
	commitment, err := pointer.Commit(after.Public())
	require.NoError(t, err)
	step, err := pointer.Succeed(of.Pointer, next, commitment, key)
	require.NoError(t, err)
	b, err := secrets{current: next, next: after, succession: append(of.Succession, step)}.format()
	require.NoError(t, err)
	id, err := parseIdentity(b)
	require.NoError(t, err)
	return id
}
