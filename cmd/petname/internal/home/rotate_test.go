package home

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// The chain of a home's keys can be followed by whoever pinned any one of its
// commitments, however often the key has gone on.
func TestRotationsMakeAChainThatTheFirstCommitmentProves(t *testing.T) {
	h := create(t, Plan{})
	first, err := h.Identity()
	require.NoError(t, err)
	left := h.path("." + identityFile + "-123") // by one that was cut short
	require.NoError(t, os.WriteFile(left, []byte("keys"), 0o600))
	for range 3 {
		before := read(t, h.path(identityFile))
		r, err := h.Rotate(Turn{})
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
	require.Empty(t, h.Ready())
	require.NoFileExists(t, left)
	book, err := h.Book(0)
	require.NoError(t, err)
	require.Equal(t, id.Pointer, book.Identity())
	require.NoError(t, book.Close())
}

// A turn that can't be leaves the home, and the place of the recovery file, as
// they were.
func TestTurnsThatAreRefusedChangeNothing(t *testing.T) {
	dir := t.TempDir()
	recovery, fresh, strangers := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key"), filepath.Join(dir, "stranger.key")
	h := create(t, Plan{Passphrase: "horse", Recovery: recovery})
	create(t, Plan{Passphrase: "horse", Recovery: strangers})
	damaged := filepath.Join(dir, "damaged.key")
	require.NoError(t, os.WriteFile(damaged, read(t, recovery)[:300], 0o600))
	before := read(t, h.path(identityFile))
	for name, c := range map[string]struct {
		turn Turn
		want error // nil: any
	}{
		"no passphrase":           {Turn{Next: recovery, Recovery: fresh}, ErrLocked},
		"a wrong one":             {Turn{Passphrase: "cow", Next: recovery, Recovery: fresh}, ErrPassphrase},
		"no recovery file":        {Turn{Passphrase: "horse", Recovery: fresh}, ErrNextElsewhere},
		"none for the next":       {Turn{Passphrase: "horse", Next: recovery}, ErrNextElsewhere},
		"somebody else's":         {Turn{Passphrase: "horse", Next: strangers, Recovery: fresh}, ErrNextWrong},
		"a damaged one":           {Turn{Passphrase: "horse", Next: damaged, Recovery: fresh}, nil},
		"one that isn't there":    {Turn{Passphrase: "horse", Next: dir + "/none", Recovery: fresh}, os.ErrNotExist},
		"another file":            {Turn{Passphrase: "horse", Next: h.path(identityFile), Recovery: fresh}, nil},
		"onto the old one":        {Turn{Passphrase: "horse", Next: recovery, Recovery: recovery}, os.ErrExist},
		"into the home":           {Turn{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(h.Dir, "r.key")}, ErrInside},
		"into a folder not there": {Turn{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(dir, "a", "b")}, nil},
	} {
		c.turn.WorkFactor = fast
		r, err := h.Rotate(c.turn)
		if err == nil {
			err = r.Commit(nil)
		}
		require.Error(t, err, name)
		if c.want != nil {
			require.ErrorIs(t, err, c.want, name)
		}
		require.Equal(t, before, read(t, h.path(identityFile)), name)
		require.NoFileExists(t, fresh, name)
	}

	turn := Turn{Passphrase: "horse", Next: recovery, Recovery: fresh, WorkFactor: fast}
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
	require.True(t, id.Locked && id.Elsewhere)
}

// A file that came to the place of the recovery file while the turn was being
// prepared stays, and the turn isn't made: the key after the next would be lost.
func TestATurnOverwritesNoFileThatCameMeanwhile(t *testing.T) {
	dir := t.TempDir()
	next, fresh := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key")
	h := create(t, Plan{Passphrase: "horse", Recovery: next})
	before := read(t, h.path(identityFile))
	r, err := h.Rotate(Turn{Passphrase: "horse", Next: next, Recovery: fresh, WorkFactor: fast})
	require.NoError(t, err)
	require.NoFileExists(t, fresh, "nothing changes before the commit")
	require.NoError(t, os.WriteFile(fresh, []byte("mine"), 0o600))
	require.ErrorIs(t, r.Commit(nil), os.ErrExist)
	require.Equal(t, "mine", string(read(t, fresh)))
	require.Equal(t, before, read(t, h.path(identityFile)))
}

// The recovery file is there before the identity changes, with the key that the new
// one commits to; and stays when nobody can tell whether the turn was made.
func TestTheRecoveryFileIsThereBeforeTheIdentityChanges(t *testing.T) {
	dir := t.TempDir()
	next, fresh := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key")
	h := create(t, Plan{Passphrase: "horse", Recovery: next})
	r, err := h.Rotate(Turn{Passphrase: "horse", Next: next, Recovery: fresh, WorkFactor: fast})
	require.NoError(t, err)
	// The identity can't be replaced any more, nor read: a folder is in its place.
	require.NoError(t, os.Remove(h.path(identityFile)))
	require.NoError(t, os.Mkdir(h.path(identityFile), 0o700))
	require.ErrorContains(t, r.Commit(nil), "identity key")
	after, err := readRecovery(fresh, "horse")
	require.NoError(t, err)
	require.True(t, r.Next.Opens(after.Public()))
	require.DirExists(t, h.path(identityFile))
}

// A turn that could not be made takes its recovery file away again: another one
// would be refused there, and the key in it is committed to by nobody.
func TestATurnThatIsNotMadeLeavesNoRecoveryFile(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("needs a folder that its owner can't write to")
	}
	dir := t.TempDir()
	next, fresh := filepath.Join(dir, "next.key"), filepath.Join(dir, "n2.key")
	h := create(t, Plan{Passphrase: "horse", Recovery: next})
	before := read(t, h.path(identityFile))
	r, err := h.Rotate(Turn{Passphrase: "horse", Next: next, Recovery: fresh, WorkFactor: fast})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(h.Dir, 0o500))
	t.Cleanup(func() { _ = os.Chmod(h.Dir, 0o700) })
	require.ErrorIs(t, r.Commit(nil), os.ErrPermission)
	require.NoFileExists(t, fresh)
	require.Equal(t, before, read(t, h.path(identityFile)))
}

// An identity key that tells of a succession which isn't signed, or leads
// elsewhere, is damaged: it must not make a stranger's pointer mine.
func TestAForgedSuccessionIsNoIdentity(t *testing.T) {
	h, other := create(t, Plan{}), create(t, Plan{})
	for _, home := range []Home{h, other} {
		r, err := home.Rotate(Turn{})
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

func keyOf(t *testing.T, h Home) *pointer.Key {
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	return key
}
