package home

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// A power cut after any operation of Create leaves a whole home or none. After
// a nil error it leaves a whole home, and its folder and the folders above it
// are durable. If a home with a recovery file exists, the recovery file is
// whole too.
func TestAPowerCutInCreateLeavesAWholeHomeOrNone(t *testing.T) {
	homes, n := 0, 0
	for disk := range durabletest.Crashes() {
		// Each operation tries one or two of the five ways to lose unsynced data.
		if n++; n%3 != 0 && !lawtest.Long() {
			continue
		}
		root := t.TempDir()
		dir, recovery := filepath.Join(root, "a", "home"), filepath.Join(root, "next.key")
		_, err := createOn(disk, dir, CreateOptions{Passphrase: "horse", Recovery: recovery, WorkFactor: fast})
		disk.Crash()
		h, rerr := Open(dir)
		if rerr != nil {
			require.ErrorIs(t, rerr, ErrNoHome, disk)
			require.Error(t, err, disk)
			continue
		}
		if homes++; err == nil {
			for _, name := range []string{recovery, dir, h.path(identityFile), h.path(deviceFile), h.path(peerFile), h.path(sealingFile), h.path(recordsDir)} {
				require.True(t, disk.Wrote(name), name)
			}
		}
		require.Empty(t, h.CheckFiles(), disk)
		id, rerr := h.Identity()
		require.NoError(t, rerr, disk)
		key, rerr := id.Key("horse")
		require.NoError(t, rerr, disk)
		require.Equal(t, id.Pointer, key.Pointer())
		next, rerr := readRecovery(recovery, "horse")
		require.NoError(t, rerr, disk)
		require.True(t, id.Next.Opens(next.next.Public()))
		_, rerr = h.Sealing()
		require.NoError(t, rerr, disk)
		_, rerr = h.PeerKey()
		require.NoError(t, rerr, disk)
	}
	require.NotZero(t, homes)
}

// When any operation of Create fails, Create returns the error and leaves
// nothing of the home, of the folders above it, or of the recovery file.
func TestCreateReportsEachFault(t *testing.T) {
	for disk := range durabletest.Faults() {
		root := t.TempDir()
		_, err := createOn(disk, filepath.Join(root, "a", "home"), CreateOptions{Passphrase: "horse", Recovery: filepath.Join(root, "next.key"), WorkFactor: fast})
		if disk.Failed() == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		require.Empty(t, files(t, root), disk)
	}
}

// A Create that is refused removes no file, whatever its name.
func TestARefusedCreateRemovesNothing(t *testing.T) {
	h := create(t, CreateOptions{})
	names := []string{"ledger.db.bak", "ledger.db.new-1", ".identity.key-1", "identity.key.part"}
	for _, name := range names {
		require.NoError(t, os.WriteFile(h.path(name), []byte("mine"), 0o600))
	}
	before := files(t, h.Dir)
	_, err := Create(h.Dir, CreateOptions{})
	require.ErrorIs(t, err, ErrExists)
	require.Equal(t, before, files(t, h.Dir))
	require.NoError(t, os.Remove(h.path(identityFile)))
	before = files(t, h.Dir)
	_, err = Create(h.Dir, CreateOptions{})
	require.ErrorContains(t, err, "cut short")
	require.Equal(t, before, files(t, h.Dir))
}

// crashHome is a home with only the given files.
func crashHome(t *testing.T, files map[string][]byte) Home {
	t.Helper()
	h := Home{Dir: t.TempDir()}
	for name, b := range files {
		require.NoError(t, os.WriteFile(h.path(name), b, 0o600))
	}
	return h
}

// A power cut after any operation of a change of the settings leaves the old
// settings or the new ones, and the new ones after a nil error.
func TestAPowerCutLeavesTheOldSettingsOrTheNew(t *testing.T) {
	old, newer := Config{Network: "lan"}, Config{Network: "ipfs", RequestSolutions: 1}
	for disk := range durabletest.Crashes() {
		h := crashHome(t, map[string][]byte{configFile: []byte("network = \"lan\"\n")})
		h.files = disk
		err := h.SetConfig(newer)
		disk.Crash()
		c, rerr := h.Config()
		require.NoError(t, rerr, disk)
		if err == nil {
			require.Equal(t, newer, withoutEmpty(c), disk)
		} else {
			require.Contains(t, []Config{old, newer}, withoutEmpty(c), disk)
		}
		h.files = nil
		require.NoError(t, h.sweep())
		require.Equal(t, []string{configFile}, files(t, h.Dir), disk)
	}
	for disk := range durabletest.Faults() {
		h := crashHome(t, map[string][]byte{configFile: []byte("network = \"lan\"\n")})
		h.files = disk
		err := h.SetConfig(newer)
		require.Equal(t, disk.Failed() != "", err != nil, disk)
		c, rerr := h.Config()
		require.NoError(t, rerr)
		if err != nil && disk.Failed() != "syncdir" {
			require.ErrorIs(t, err, syscall.ENOSPC)
			require.Equal(t, old, withoutEmpty(c), disk)
		}
		require.Equal(t, []string{configFile}, files(t, h.Dir), disk)
	}
}

// withoutEmpty makes empty lists comparable.
func withoutEmpty(c Config) Config {
	if len(c.Bootstrap)+len(c.Routers) == 0 {
		c.Bootstrap, c.Routers = nil, nil
	}
	return c
}

// A power cut after any operation of a renewal leaves the old sealing keys, or
// the old and the new ones. Keys that a caller received, and may have
// published, are stored. The same holds for a home that had no sealing keys.
func TestAPowerCutLosesNoSealingKey(t *testing.T) {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b, err := newSealing(made)
	require.NoError(t, err)
	old, err := parseSealing(string(b))
	require.NoError(t, err)
	for name, had := range map[string]map[string][]byte{"renewed": {sealingFile: b}, "first": {}} {
		for disk := range durabletest.Crashes() {
			h := crashHome(t, had)
			h.files = disk
			var got Sealing
			if name == "first" {
				got, err = h.Sealing()
			} else {
				got, err = h.RenewSealing(made.Add(time.Hour), time.Time{}, 0)
			}
			disk.Crash()
			h.files = &durabletest.Disk{}
			require.NoError(t, h.sweep())
			if _, ok := had[sealingFile]; !ok && err != nil {
				require.Subset(t, []string{sealingFile}, files(t, h.Dir), disk)
			} else {
				require.Equal(t, []string{sealingFile}, files(t, h.Dir), disk)
			}
			s, rerr := h.Sealing()
			require.NoError(t, rerr, disk)
			if name == "renewed" {
				require.Contains(t, keyTexts(t, s), keyTexts(t, old)[0], disk)
			}
			if err == nil {
				require.Equal(t, keyTexts(t, got), keyTexts(t, s), disk)
			}
		}
	}
}

func keyTexts(t *testing.T, s Sealing) []string {
	t.Helper()
	var all []string
	for _, key := range s.PrivateKeys() {
		b, err := key.Bytes()
		require.NoError(t, err)
		all = append(all, string(b))
	}
	return all
}

// A power cut after any operation of a rotation leaves the old identity or the
// new one. With the new identity, the recovery file has the key after it. The
// next rotation removes the keys that an interrupted rotation left.
func TestAPowerCutInARotationLosesNoKey(t *testing.T) {
	dir := t.TempDir()
	recovery := filepath.Join(dir, "next.key")
	first := create(t, CreateOptions{Passphrase: "horse", Recovery: recovery})
	identity := read(t, first.path(identityFile))
	before, err := first.Identity()
	require.NoError(t, err)
	olds, news := 0, 0
	for disk := range durabletest.Crashes() {
		h := crashHome(t, map[string][]byte{identityFile: identity})
		fresh := filepath.Join(t.TempDir(), "after.key")
		r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: recovery, Recovery: fresh, WorkFactor: fast})
		require.NoError(t, err)
		r.home.files = disk
		err = r.Commit([]byte("last"))
		disk.Crash()
		id, rerr := h.Identity()
		require.NoError(t, rerr, disk)
		if id.Pointer == before.Pointer {
			olds++
			require.Error(t, err, disk)
			require.Equal(t, identity, read(t, h.path(identityFile)))
		} else {
			news++
			require.True(t, disk.Wrote(fresh))
			require.Equal(t, r.New.Pointer(), id.Pointer)
			require.Equal(t, []byte("last"), id.Last)
			after, rerr := readRecovery(fresh, "horse")
			require.NoError(t, rerr, disk)
			require.True(t, id.Next.Opens(after.next.Public()), disk)
			_, rerr = id.Key("horse")
			require.NoError(t, rerr, disk)
		}
		h.files = &durabletest.Disk{}
		require.NoError(t, h.sweep())
		_, rerr = h.FinishRotation(time.Now(), time.Time{})
		require.NoError(t, rerr, disk)
		require.Equal(t, []string{identityFile}, files(t, h.Dir), disk)
	}
	require.NotZero(t, olds)
	require.NotZero(t, news)
}

// When any operation of a rotation fails, the error is returned. The recovery
// file exists if and only if the new identity is in place.
func TestARotationReportsEachFault(t *testing.T) {
	recovery := filepath.Join(t.TempDir(), "next.key")
	first := create(t, CreateOptions{Passphrase: "horse", Recovery: recovery})
	identity := read(t, first.path(identityFile))
	for disk := range durabletest.Faults() {
		h := crashHome(t, map[string][]byte{identityFile: identity, ".identity.key-1": []byte("keys")})
		dir := t.TempDir()
		fresh := filepath.Join(dir, "after.key")
		r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: recovery, Recovery: fresh, WorkFactor: fast})
		require.NoError(t, err)
		r.home.files = disk
		err = r.Commit(nil)
		changed := !bytes.Equal(identity, read(t, h.path(identityFile)))
		if disk.Failed() == "" {
			require.NoError(t, err)
			require.True(t, changed)
			continue
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		if changed {
			require.Equal(t, []string{"after.key"}, files(t, dir), disk)
		} else {
			require.Empty(t, files(t, dir), disk)
		}
	}
}

// The process that opens the book, and holds its lock, removes the files that a
// crash left of a change, including files of keys.
func TestOpeningTheBookRemovesLeftOvers(t *testing.T) {
	h := create(t, CreateOptions{})
	whole := files(t, h.Dir)
	left := []string{
		".config.toml-ABCDEFGHIJKLMNOPQRSTUVWXYZ", ".identity.key-ABCDEFGHIJKLMNOPQRSTUVWXYZ", ".sealing.key-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
	}
	for _, name := range append(left, ".identity.key-20261129", ".identity.keys") {
		require.NoError(t, os.WriteFile(h.path(name), []byte("keys"), 0o600))
	}
	for disk := range durabletest.Faults() {
		h.files = disk
		book, err := h.Book(petname.Options{})
		if disk.Failed() != "" {
			require.ErrorIs(t, err, syscall.ENOSPC, "one that cannot be removed is reported")
			continue
		}
		require.NoError(t, err)
		require.ElementsMatch(t, append(whole, ".identity.key-20261129", ".identity.keys"), files(t, h.Dir))

		require.NoError(t, os.WriteFile(h.path(left[0]), nil, 0o600)) // another process may be writing it
		_, err = h.Book(petname.Options{})
		require.Error(t, err, "it is in use")
		require.FileExists(t, h.path(left[0]))
		require.NoError(t, book.Close())
		require.NoError(t, os.Remove(h.path(left[0])))
	}
}
