package home

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// handedBy returns the form of the identity of a home for another device.
func handedBy(t *testing.T, h Home, passphrase string, withKey bool) []byte {
	b, err := mustIdentity(t, h).Handover(passphrase, withKey)
	require.NoError(t, err)
	return b
}

// otherDevice returns a home that has nothing but an identity key.
func otherDevice(t *testing.T, file []byte) Home {
	h := Home{Dir: t.TempDir()}
	require.NoError(t, h.replace(identityFile, file))
	return h
}

func rotateHome(t *testing.T, h Home, passphrase string) {
	r, err := h.Rotate(RotateOptions{Passphrase: passphrase, WorkFactor: 10})
	require.NoError(t, err)
	last, err := pointer.Sign(r.Old, pointer.Fields{Sequence: pointer.MaxSequence, Expires: LastExpiry(time.Now(), time.Time{}), Card: &pointer.Card{Next: r.OldNext, Successor: r.New.Pointer(), Succession: r.Succession}})
	require.NoError(t, err)
	require.NoError(t, r.Commit(last.Bytes()))
}

// withNext returns a file with another commitment in its header.
func withNext(t *testing.T, h Home, file []byte) []byte {
	other, err := pointer.NewKey(nil)
	require.NoError(t, err)
	next, err := pointer.Commit(other.Public())
	require.NoError(t, err)
	out := bytes.ReplaceAll(file, []byte(mustIdentity(t, h).Next.String()), []byte(next.String()))
	require.NotEqual(t, file, out)
	return out
}

// lockedNothing returns a locked file with the header of another one, and no key in it.
func lockedNothing(t *testing.T, file []byte) []byte {
	header, _, found := bytes.Cut(file, []byte("-----BEGIN"))
	require.True(t, found)
	locked, err := encrypt([]byte("nothing\n"), "of a thief", 10)
	require.NoError(t, err)
	return append(bytes.Clone(header), locked...)
}

// A home that has its current and its next key loses neither to a file that does not prove to
// contain the next one, of a thief with a copy of the home.
func TestAnAdoptedIdentityTakesNoKeyThatTheHomeHas(t *testing.T) {
	h := create(t, CreateOptions{})
	id := mustIdentity(t, h)
	key, next, err := id.keys("")
	require.NoError(t, err)
	evil, err := pointer.NewKey(nil)
	require.NoError(t, err)
	commitment, err := pointer.Commit(evil.Public())
	require.NoError(t, err)
	step, err := pointer.Succeed(id.Pointer, next, commitment, key)
	require.NoError(t, err)
	for name, s := range map[string]secrets{
		"locked":          {passphrase: "the thief's", workFactor: 10},
		"without the key": {keyless: true},
	} {
		s.current, s.committed, s.nextElsewhere, s.succession = next, commitment, true, []pointer.Succession{step}
		file, err := s.format()
		require.NoError(t, err)
		before := read(t, h.path(identityFile))
		_, changed, err := h.AdoptIdentity(file)
		require.ErrorIs(t, err, ErrHoldsNext, name)
		require.False(t, changed)
		require.Equal(t, before, read(t, h.path(identityFile)))
		require.Contains(t, string(before), next.Secret())
		// By an invitation of the owner it is a rotation like any other, and the keys stay.
		invited := otherDevice(t, before)
		_, changed, err = invited.AdoptInvited(file)
		require.NoError(t, err)
		require.True(t, changed)
	}
}

// The commitment in a file has to be that of its last step, or that of the home for the same
// pointer.
func TestAnAdoptedIdentityHasTheCommitmentOfItsLastStep(t *testing.T) {
	h := create(t, CreateOptions{Passphrase: "secret", WorkFactor: 10})
	first := handedBy(t, h, "secret", false)
	keyless := otherDevice(t, first)
	_, _, err := keyless.AdoptIdentity(withNext(t, h, handedBy(t, h, "secret", true)))
	require.ErrorIs(t, err, ErrNoSuccessor)
	rotateHome(t, h, "secret")
	_, _, err = keyless.AdoptIdentity(withNext(t, h, handedBy(t, h, "secret", true)))
	require.ErrorIs(t, err, ErrNoSuccessor)
	require.Equal(t, first, read(t, keyless.path(identityFile)))
}

// What a locked file replaced stays until that is unlocked, and a true file may replace a false
// one; a verified one is replaced by none.
func TestALockedIdentityIsReplacedUntilItIsUnlocked(t *testing.T) {
	for _, withKey := range []bool{true, false} {
		h := create(t, CreateOptions{Passphrase: "secret", WorkFactor: 10})
		held := handedBy(t, h, "secret", withKey)
		d := otherDevice(t, held)
		rotateHome(t, h, "secret")
		good := handedBy(t, h, "secret", true)
		bad := lockedNothing(t, good)

		id, changed, err := d.AdoptIdentity(bad)
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, mustIdentity(t, h).Pointer, id.Pointer, "the header is verified")
		_, err = id.Key("secret")
		require.Error(t, err)
		replaced := string(read(t, d.path(replacedFile)))
		require.Contains(t, replaced, string(held))
		_, changed, err = d.AdoptIdentity(bad)
		require.NoError(t, err)
		require.False(t, changed, "the same one")
		_, changed, err = d.AdoptIdentity(handedBy(t, h, "secret", false))
		require.NoError(t, err)
		require.False(t, changed, "one without the key")

		id, changed, err = d.AdoptIdentity(good)
		require.NoError(t, err)
		require.True(t, changed)
		require.Contains(t, string(read(t, d.path(replacedFile))), string(held), "not the false one")
		require.NoError(t, d.IdentityUnlocked(mustIdentity(t, h)))
		require.FileExists(t, d.path(replacedFile), "another identity was unlocked")
		_, err = id.Key("secret")
		require.NoError(t, err)
		require.NoError(t, d.IdentityUnlocked(id))
		require.NoFileExists(t, d.path(replacedFile))
		_, changed, err = d.AdoptIdentity(bad)
		require.NoError(t, err)
		require.False(t, changed)
		require.Equal(t, good, read(t, d.path(identityFile)))
		require.NoError(t, d.IdentityUnlocked(id))
	}
}

// A file beside another identity key than the one that it names does not count: a crash, or
// a later rotation, left it.
func TestAFormerIdentityBesideAnotherOneDoesNotCount(t *testing.T) {
	h := create(t, CreateOptions{Passphrase: "secret", WorkFactor: 10})
	d := otherDevice(t, handedBy(t, h, "secret", true))
	rotateHome(t, h, "secret")
	good := handedBy(t, h, "secret", true)
	_, _, err := d.AdoptIdentity(good)
	require.NoError(t, err)
	again, err := mustIdentity(t, h).Handover("secret", true)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.path(identityFile), again, 0o600))
	_, changed, err := d.AdoptIdentity(lockedNothing(t, good))
	require.NoError(t, err)
	require.False(t, changed)
}

// The forms in which an editor or a transfer leaves identity.key of a device without the key are
// handed over in the form that was signed, and read in either.
func TestFormsOfAnIdentityWithoutTheKeyAreHandedOver(t *testing.T) {
	h := create(t, CreateOptions{})
	b := handedBy(t, h, "", false)
	for name, form := range map[string][]byte{
		"CRLF":           bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")),
		"BOM":            append([]byte("\xef\xbb\xbf"), b...),
		"no end of line": bytes.TrimSuffix(b, []byte("\n")),
	} {
		d := otherDevice(t, form)
		require.True(t, mustIdentity(t, d).KeyElsewhere, name)
		file, err := d.IdentityFile()
		require.NoError(t, err)
		id, err := ParseHandover(file)
		require.NoError(t, err, name)
		require.Equal(t, mustIdentity(t, h).Pointer, id.Pointer)
	}
}
