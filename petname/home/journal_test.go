package home

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

// rotating returns the files of a home with sealing keys, and its recovery file.
func rotating(t *testing.T) (before map[string][]byte, recovery string) {
	recovery = filepath.Join(t.TempDir(), "next.key")
	h := create(t, CreateOptions{Passphrase: "horse", Recovery: recovery})
	return map[string][]byte{identityFile: read(t, h.path(identityFile)), sealingFile: read(t, h.path(sealingFile))}, recovery
}

// A power cut after any operation of a rotation leaves one that is undone or finished
// when the home is next used. If the identity has changed, the sealing keys are replaced
// as well, and the recovery file is whole. If it has not, neither is, and a repeated
// rotation succeeds under the same names. Finishing can be cut off, too.
func TestAPowerCutInARotationIsFinishedOrUndone(t *testing.T) {
	before, recovery := rotating(t)
	old, err := parseSealing(string(before[sealingFile]))
	require.NoError(t, err)
	finished, undone := 0, 0
	for disk := range durabletest.Crashes() {
		h := crashHome(t, before)
		fresh := filepath.Join(t.TempDir(), "after.key")
		options := RotateOptions{Passphrase: "horse", Next: recovery, Recovery: fresh, WorkFactor: fast}
		r, err := h.Rotate(options)
		require.NoError(t, err)
		r.home.files = disk
		err = r.Commit(nil)
		disk.Crash()
		id, rerr := h.Identity()
		require.NoError(t, rerr, disk)
		_, rerr = os.Lstat(h.path(journalFile))
		journaled := rerr == nil
		require.True(t, err != nil || !journaled, disk)
		i, rerr := h.FinishRotation(time.Now(), time.Time{})
		require.NoError(t, rerr, disk)
		require.Equal(t, journaled, i != nil, disk)
		s, rerr := h.Sealing()
		require.NoError(t, rerr, disk)
		if id.Pointer == r.Old.Pointer() {
			undone++
			require.True(t, i == nil || !i.Finished && i.Left == "", disk)
			require.Equal(t, keyTexts(t, old), keyTexts(t, s), disk)
			require.NoFileExists(t, fresh, disk)
			r, rerr = h.Rotate(options)
			require.NoError(t, rerr, disk)
			require.NoError(t, r.Commit(nil), disk)
			continue
		}
		finished++
		if i != nil {
			require.Equal(t, &Interrupted{From: r.Old.Pointer(), To: r.New.Pointer(), Finished: true}, i)
			require.Contains(t, i.String(), r.Old.Pointer().String()+" to "+r.New.Pointer().String()+" was interrupted and has been finished")
		}
		require.NotEqual(t, keyTexts(t, old)[:2], keyTexts(t, s)[:2], disk)
		require.Equal(t, keyTexts(t, old), keyTexts(t, s)[2:], "messages to the old keys can still be read, and the keys are replaced once")
		_, rerr = readRecovery(fresh, "horse")
		require.NoError(t, rerr, disk)
		require.NoError(t, h.sweep())
		require.Equal(t, []string{identityFile, sealingFile}, files(t, h.Dir), disk)
		again, rerr := h.FinishRotation(time.Now(), time.Time{})
		require.NoError(t, rerr)
		require.Nil(t, again, "it is reported once")
	}
	require.NotZero(t, finished)
	require.NotZero(t, undone)
}

// When an operation of a rotation fails, the error states whether the identity has
// changed, and what is left to do is done the next time.
func TestAFaultInARotationStatesWhatHasChanged(t *testing.T) {
	before, recovery := rotating(t)
	unfinished := 0
	for disk := range durabletest.Faults() {
		h := crashHome(t, before)
		fresh := filepath.Join(t.TempDir(), "after.key")
		r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: recovery, Recovery: fresh, WorkFactor: fast})
		require.NoError(t, err)
		r.home.files = disk
		err = r.Commit(nil)
		changed := !bytes.Equal(before[identityFile], read(t, h.path(identityFile)))
		var begun *UnfinishedError
		require.Equal(t, err != nil && changed, errors.As(err, &begun), disk)
		if disk.Failed() != "" {
			require.ErrorIs(t, err, syscall.ENOSPC, disk)
		}
		if changed && err != nil {
			unfinished++
			require.Equal(t, r.New.Pointer(), begun.New)
			require.ErrorContains(t, err, "the pointer is now "+r.New.Pointer().String())
			require.FileExists(t, fresh)
		}
		if !changed {
			require.NoFileExists(t, fresh)
			require.NoFileExists(t, h.path(journalFile), "nothing is left to do")
			require.Equal(t, before[sealingFile], read(t, h.path(sealingFile)))
			continue
		}
		_, err = h.FinishRotation(time.Now(), time.Time{})
		require.NoError(t, err)
		require.NotEqual(t, before[sealingFile], read(t, h.path(sealingFile)), disk)
		require.NoFileExists(t, h.path(journalFile))
	}
	require.NotZero(t, unfinished)
}

// journaled returns a home with the journal of a rotation that has not changed the
// identity, and the rotation.
func journaled(t *testing.T) (Home, *Rotation) {
	before, recovery := rotating(t)
	h := crashHome(t, before)
	r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(t.TempDir(), "after.key"), WorkFactor: fast})
	require.NoError(t, err)
	require.NoError(t, r.formatRecovery(nil))
	_, err = r.writeJournal()
	require.NoError(t, err)
	return h, r
}

// Undoing a rotation sets the recovery file that it wrote aside, also in part, and no
// other file with that name. Its content stays: this home may be a snapshot of one that
// went on. A file on a medium that is not there is named.
func TestUndoingSetsOnlyTheRotationsRecoveryFileAside(t *testing.T) {
	for name, c := range map[string]struct {
		write func(r *Rotation) []byte
		gone  bool
	}{
		"whole":           {func(r *Rotation) []byte { return r.recovery }, true},
		"empty":           {func(*Rotation) []byte { return nil }, true},
		"in part":         {func(r *Rotation) []byte { return r.recovery[:40] }, true},
		"torn":            {func(r *Rotation) []byte { return append(bytes.Clone(r.recovery[:200]), make([]byte, 99)...) }, true},
		"of zeros":        {func(*Rotation) []byte { return make([]byte, 99) }, true},
		"another file":    {func(*Rotation) []byte { return []byte("mine") }, false},
		"another's":       {func(r *Rotation) []byte { return bytes.Replace(r.recovery, []byte("k51"), []byte("k50"), 1) }, false},
		"an identity key": {func(*Rotation) []byte { return []byte(identityMagic) }, false},
	} {
		h, r := journaled(t)
		require.NoError(t, os.WriteFile(r.recoveryPath, c.write(r), 0o600))
		i, err := h.FinishRotation(time.Now(), time.Time{})
		require.NoError(t, err, name)
		want := &Interrupted{From: r.Old.Pointer(), To: r.New.Pointer()}
		if c.gone {
			want.Aside = r.recoveryPath + ".undone"
			b, err := os.ReadFile(want.Aside)
			require.NoError(t, err, name)
			require.Equal(t, string(c.write(r)), string(b), name)
		}
		require.Equal(t, want, i)
		_, err = os.Lstat(r.recoveryPath)
		require.Equal(t, c.gone, os.IsNotExist(err), name)
	}
	h, r := journaled(t)
	require.NoError(t, os.Remove(filepath.Dir(r.recoveryPath)))
	i, err := h.FinishRotation(time.Now(), time.Time{})
	require.NoError(t, err)
	require.Equal(t, r.recoveryPath, i.Left)
	require.Contains(t, i.String(), r.recoveryPath)
}

// A journal that is damaged is named, and nothing is removed by it. A journal of another
// identity, after the identity key was replaced by hand, changes nothing.
func TestADamagedJournalChangesNothing(t *testing.T) {
	h, r := journaled(t)
	whole := read(t, h.path(journalFile))
	require.NoError(t, os.WriteFile(r.recoveryPath, r.recovery, 0o600))
	lines := bytes.SplitAfter(whole, []byte("\n"))
	for i := range lines[:6] {
		damaged := bytes.Join(append(append([][]byte{}, lines[:i]...), append([][]byte{[]byte("# x\n")}, lines[i+1:]...)...), nil)
		require.NoError(t, os.WriteFile(h.path(journalFile), damaged, 0o600))
		_, err := h.FinishRotation(time.Now(), time.Time{})
		require.ErrorContains(t, err, "journal of a rotation", "line %d", i+1)
	}
	require.FileExists(t, r.recoveryPath)
	other := create(t, CreateOptions{})
	require.NoError(t, os.WriteFile(h.path(journalFile), whole, 0o600))
	require.NoError(t, os.WriteFile(h.path(identityFile), read(t, other.path(identityFile)), 0o600))
	before := read(t, h.path(sealingFile))
	i, err := h.FinishRotation(time.Now(), time.Time{})
	require.NoError(t, err)
	require.Nil(t, i)
	require.Equal(t, before, read(t, h.path(sealingFile)))
	require.FileExists(t, r.recoveryPath)
	require.NoFileExists(t, h.path(journalFile))
}
