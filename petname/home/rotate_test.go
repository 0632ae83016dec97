package home

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// A verifier that pinned any one of the commitments of a home can verify its
// succession chain, after any number of rotations.
func TestTheFirstCommitmentProvesTheChain(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Identity()
	require.NoError(t, err)
	left := h.path("." + identityFile + "-ABCDEFGHIJKLMNOPQRSTUVWXYZ") // left by an interrupted rotation
	require.NoError(t, os.WriteFile(left, []byte("keys"), 0o600))
	for range 3 {
		before := read(t, h.path(identityFile))
		r, err := h.Rotate(RotateOptions{})
		require.NoError(t, err)
		require.Equal(t, before, read(t, h.path(identityFile)), "nothing changes before the commit")
		require.NoError(t, r.Commit(nil))
	}
	id, err := h.Identity()
	require.NoError(t, err)
	require.Equal(t, first.Pointer, id.First())
	at, next, err := pointer.Follow(first.Pointer, first.Next, id.Succession)
	require.NoError(t, err)
	require.Equal(t, id.Pointer, at)
	require.Equal(t, id.Next, next)
	key, err := id.Key("")
	require.NoError(t, err)
	require.Equal(t, id.Pointer, key.Pointer())
	require.Empty(t, h.CheckFiles())
	require.NoFileExists(t, left)
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.Equal(t, id.Pointer, book.Identity())
	require.NoError(t, book.Close())
}

// A refused rotation changes nothing in the home, and writes no recovery file.
func TestRefusedRotationsChangeNothing(t *testing.T) {
	dir := t.TempDir()
	recovery, fresh, strangers := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key"), filepath.Join(dir, "stranger.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: recovery})
	create(t, CreateOptions{Passphrase: "horse", Recovery: strangers})
	damaged := filepath.Join(dir, "damaged.key")
	require.NoError(t, os.WriteFile(damaged, read(t, recovery)[:300], 0o600))
	before := read(t, h.path(identityFile))
	for name, c := range map[string]struct {
		turn RotateOptions
		want error // nil: any
	}{
		"no passphrase":           {RotateOptions{Next: recovery, Recovery: fresh}, ErrLocked},
		"a wrong one":             {RotateOptions{Passphrase: "cow", Next: recovery, Recovery: fresh}, ErrPassphrase},
		"no recovery file":        {RotateOptions{Passphrase: "horse", Recovery: fresh}, ErrNextElsewhere},
		"none for the next":       {RotateOptions{Passphrase: "horse", Next: recovery}, ErrNextElsewhere},
		"somebody else's":         {RotateOptions{Passphrase: "horse", Next: strangers, Recovery: fresh}, ErrNextWrong},
		"a damaged one":           {RotateOptions{Passphrase: "horse", Next: damaged, Recovery: fresh}, nil},
		"one that isn't there":    {RotateOptions{Passphrase: "horse", Next: dir + "/none", Recovery: fresh}, os.ErrNotExist},
		"another file":            {RotateOptions{Passphrase: "horse", Next: h.path(identityFile), Recovery: fresh}, nil},
		"onto the old one":        {RotateOptions{Passphrase: "horse", Next: recovery, Recovery: recovery}, os.ErrExist},
		"into the home":           {RotateOptions{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(h.Dir, "r.key")}, ErrRecoveryInHome},
		"into a folder not there": {RotateOptions{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(dir, "a", "b")}, nil},
	} {
		c.turn.WorkFactor = fast
		r, err := h.Rotate(c.turn)
		if err == nil {
			err = r.Commit(nil)
		}
		require.Error(t, err, name)
		var medium *RecoveryFileError
		if require.Equal(t, name == "into a folder not there", errors.As(err, &medium), name); medium != nil {
			require.Equal(t, c.turn.Recovery, medium.Path)
			require.ErrorIs(t, err, os.ErrNotExist)
		}
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
		}
		require.Equal(t, before, read(t, h.path(identityFile)), name)
		require.NoFileExists(t, fresh, name)
	}

	turn := RotateOptions{Passphrase: "horse", Next: recovery, Recovery: fresh, WorkFactor: fast}
	r, err := h.Rotate(turn)
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	turn.Recovery = filepath.Join(dir, "n3.key")
	_, err = h.Rotate(turn)
	require.ErrorIs(t, err, ErrNextWrong, "a key that was used is no next one")
	turn.Next = fresh
	r, err = h.Rotate(turn)
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	id, err := h.Identity()
	require.NoError(t, err)
	require.Len(t, id.Succession, 2)
	require.True(t, id.Locked && id.NextElsewhere)
}

// If another file takes the name of the recovery file while a rotation is being
// prepared, that file stays and the rotation fails. Otherwise the key after the
// next would be lost.
func TestARotationOverwritesNoFileCreatedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	next, fresh := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: next})
	before := read(t, h.path(identityFile))
	r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: next, Recovery: fresh, WorkFactor: fast})
	require.NoError(t, err)
	require.NoFileExists(t, fresh, "nothing changes before the commit")
	require.NoError(t, os.WriteFile(fresh, []byte("mine"), 0o600))
	require.ErrorIs(t, r.Commit(nil), os.ErrExist)
	require.Equal(t, "mine", string(read(t, fresh)))
	require.Equal(t, before, read(t, h.path(identityFile)))
}

// The recovery file exists before the identity changes, and has the key to
// which the new identity commits. It stays if the state of the rotation cannot
// be determined.
func TestTheRecoveryFileIsWrittenBeforeTheIdentityChanges(t *testing.T) {
	dir := t.TempDir()
	next, fresh := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: next})
	r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: next, Recovery: fresh, WorkFactor: fast})
	require.NoError(t, err)
	// The identity can no longer be replaced or read: a folder is in its place.
	require.NoError(t, os.Remove(h.path(identityFile)))
	require.NoError(t, os.Mkdir(h.path(identityFile), 0o700))
	require.ErrorContains(t, r.Commit(nil), "identity key")
	after, err := readRecovery(fresh, "horse")
	require.NoError(t, err)
	require.True(t, r.Next.Opens(after.next.Public()))
	require.DirExists(t, h.path(identityFile))
}

// An identity key is damaged if its succession is not signed or leads to another
// pointer: a forged succession must not make that pointer the owner's.
func TestAForgedSuccessionIsNoIdentity(t *testing.T) {
	h, other := create(t, CreateOptions{}), create(t, CreateOptions{})
	for _, home := range []Home{h, other} {
		r, err := home.Rotate(RotateOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Commit(nil))
	}
	line := func(h Home) string {
		id, err := h.Identity()
		require.NoError(t, err)
		b, err := secrets{current: keyOf(t, h), next: keyOf(t, h), succession: id.Succession}.format()
		require.NoError(t, err)
		return string(b)
	}
	id, err := other.Identity()
	require.NoError(t, err)
	mixed, err := secrets{current: keyOf(t, h), next: keyOf(t, other), succession: id.Succession}.format()
	require.NoError(t, err)
	_, err = parseIdentity(mixed)
	require.ErrorContains(t, err, "damaged")
	_, err = parseIdentity([]byte(line(h)))
	require.NoError(t, err)
	id.Succession[0].NewSignature = make([]byte, 64)
	unsigned, err := secrets{current: keyOf(t, other), next: keyOf(t, h), succession: id.Succession}.format()
	require.NoError(t, err)
	_, err = parseIdentity(unsigned)
	require.ErrorContains(t, err, "damaged")
}

// A passphrase that is given only for the recovery file does not lock an
// unlocked identity. The last record is stored beside the new key.
func TestARotationDoesNotLockAnUnlockedIdentity(t *testing.T) {
	h := create(t, CreateOptions{})
	file := filepath.Join(t.TempDir(), "next.key")
	r, err := h.Rotate(RotateOptions{Passphrase: "horse", Recovery: file, WorkFactor: fast})
	require.NoError(t, err)
	require.NoError(t, r.Commit([]byte("the last record")))
	id, err := h.Identity()
	require.NoError(t, err)
	require.False(t, id.Locked)
	require.True(t, id.NextElsewhere)
	require.Equal(t, "the last record", string(id.Last))
	require.Equal(t, r.New.Pointer(), keyOf(t, h).Pointer())
	next, err := readRecovery(file, "horse")
	require.NoError(t, err)
	require.True(t, id.Next.Opens(next.next.Public()))
}

// Reading an identity verifies both signatures of each step of the succession,
// not only of the last step.
func TestEveryStepOfASuccessionIsVerified(t *testing.T) {
	h := create(t, CreateOptions{})
	for range 2 {
		r, err := h.Rotate(RotateOptions{})
		require.NoError(t, err)
		require.NoError(t, r.Commit(nil))
	}
	id, err := h.Identity()
	require.NoError(t, err)
	require.Len(t, id.Succession, 2)
	key := keyOf(t, h)
	for i := range id.Succession {
		for _, old := range []bool{false, true} {
			chain := slices.Clone(id.Succession)
			signature := &chain[i].NewSignature
			if old {
				signature = &chain[i].OldSignature
			}
			*signature = slices.Clone(*signature)
			(*signature)[0] ^= 1
			b, err := secrets{current: key, next: key, succession: chain}.format()
			require.NoError(t, err)
			_, err = parseIdentity(b)
			require.ErrorContains(t, err, "damaged", "step %d", i)
		}
	}
}

// A recovery file of another version is reported as such, and its key is not
// used.
func TestARecoveryFileOfAnotherVersionIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "next.key")
	create(t, CreateOptions{Passphrase: "horse", Recovery: name})
	b := read(t, name)
	_, err := readRecovery(name, "horse")
	require.NoError(t, err)
	other := bytes.Replace(b, []byte("# petname recovery 2\n"), []byte("# petname recovery 3\n"), 1)
	require.NotEqual(t, b, other)
	require.NoError(t, os.WriteFile(name, other, 0o600))
	_, err = readRecovery(name, "horse")
	require.ErrorContains(t, err, "not one of this version")
}

// A succession of the maximum length is kept. The next rotation is refused
// before it creates anything.
func TestASuccessionHasABound(t *testing.T) {
	h := create(t, CreateOptions{})
	key := func() *pointer.Key {
		k, err := pointer.NewKey(nil)
		require.NoError(t, err)
		return k
	}
	keys := []*pointer.Key{key()}
	var chain []pointer.Succession
	for len(chain) < pointer.MaxKept {
		next, after := key(), key()
		commitment, err := pointer.Commit(after.Public())
		require.NoError(t, err)
		old := keys[len(keys)-1]
		step, err := pointer.Succeed(old.Pointer(), next, commitment, old)
		require.NoError(t, err)
		keys, chain = append(keys, next), append(chain, step)
	}
	for _, length := range []int{pointer.MaxKept - 1, pointer.MaxKept} {
		b, err := secrets{current: keys[length], next: key(), succession: chain[:length]}.format()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(h.path(identityFile), b, 0o600))
		_, err = h.Rotate(RotateOptions{})
		if length < pointer.MaxKept {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "begin a new identity")
		}
	}
}

func keyOf(t *testing.T, h Home) *pointer.Key {
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	return key
}
