package home

import (
	"bytes"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/frames"
	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
)

// The documentation lists every file of the table, and Create makes those that it says.
func TestTheTableListsEveryFile(t *testing.T) {
	h := create(t, CreateOptions{})
	formats, err := os.ReadFile("../docs/formats.md")
	require.NoError(t, err)
	known := map[string]bool{}
	for _, f := range table() {
		known[f.name] = true
		require.Contains(t, string(formats), "`"+f.name, f.name)
		if f.need > optional {
			_, err := os.Lstat(h.path(f.name))
			require.NoError(t, err)
		}
	}
	for _, name := range files(t, h.Dir) {
		require.True(t, known[name], name)
	}
}

// CheckFiles reports a wrong kind, permissions for others, and content that cannot be
// read, of each file of the table; and it changes nothing.
func TestEachFileIsChecked(t *testing.T) {
	for _, f := range table() {
		h := create(t, CreateOptions{})
		require.NoError(t, os.RemoveAll(h.path(f.name)))
		if f.kind == fs.ModeDir {
			require.NoError(t, os.WriteFile(h.path(f.name), nil, 0o600))
		} else {
			require.NoError(t, os.Mkdir(h.path(f.name), 0o700))
		}
		require.Len(t, h.CheckFiles(), 1, f.name)
		require.ErrorContains(t, h.CheckFiles()[0], f.name)
		require.ErrorContains(t, h.CheckFiles()[0], "is not "+durable.KindText(f.kind))
		if f.kind != 0 {
			continue
		}
		h = create(t, CreateOptions{})
		garbage := []byte("\x01 garbage")
		if runtime.GOOS != "windows" {
			require.NoError(t, os.WriteFile(h.path(f.name), garbage, 0o600))
			require.NoError(t, os.Chmod(h.path(f.name), 0o644))
			require.ErrorContains(t, h.CheckFiles()[0], "can be read by others", f.name)
			require.NoError(t, os.Chmod(h.path(f.name), 0o600))
		}
		require.NoError(t, os.WriteFile(h.path(f.name), garbage, 0o600))
		checked := f.check != nil && !f.apart && f.name != oldMessagesFile // what is left of an older version is moved
		require.Equal(t, checked, len(h.CheckFiles()) == 1, "%s: %v", f.name, h.CheckFiles())
		require.Equal(t, garbage, read(t, h.path(f.name)))
		if f.check != nil && f.apart {
			require.Error(t, f.check(h), f.name)
		}
	}
	if runtime.GOOS == "windows" {
		return
	}
	dir, err := os.MkdirTemp("", "home") // short enough for a socket
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	h, err := Create(filepath.Join(dir, "h"), CreateOptions{})
	require.NoError(t, err)
	l, err := net.Listen("unix", h.path(socketFile))
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, os.Chmod(h.path(socketFile), 0o600))
	require.Empty(t, h.CheckFiles())
	require.NoError(t, os.Chmod(h.path(socketFile), 0o666))
	require.Len(t, h.CheckFiles(), 1)
}

// A home of another user is reported.
func TestFilesOfAnotherUserAreReported(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS == "windows" {
		t.Skip("root alone gives files away")
	}
	h := create(t, CreateOptions{})
	require.NoError(t, os.Chown(h.path(sealingFile), 65534, -1))
	require.NoError(t, os.Chown(h.Dir, 65534, -1))
	problems := h.CheckFiles()
	require.Len(t, problems, 2)
	for i, name := range []string{h.Dir, h.path(sealingFile)} {
		require.ErrorContains(t, problems[i], name)
		require.ErrorContains(t, problems[i], "belongs to another user")
	}
}

// When a file is missing, Open, Book, Create and CheckFiles name it and what stands.
// None of them creates it or advises to remove what is there.
func TestAMissingFileIsNamed(t *testing.T) {
	for _, missing := range []string{identityFile, deviceFile, ledgerFile, peerFile, recordsDir} {
		h := create(t, CreateOptions{})
		require.NoError(t, os.RemoveAll(h.path(missing)))
		before := files(t, h.Dir)
		check := func(err error) {
			t.Helper()
			var lacks *IncompleteError
			require.ErrorAs(t, err, &lacks)
			require.Equal(t, []string{missing}, lacks.Missing)
			for _, name := range before {
				require.Contains(t, err.Error(), name)
			}
			require.Contains(t, err.Error(), missing)
			require.NotContains(t, err.Error(), "remove")
			require.Contains(t, lacks.Next(), "put "+missing+" back")
		}
		check(h.Missing())
		require.Len(t, h.CheckFiles(), 1)
		require.ErrorContains(t, h.CheckFiles()[0], missing)
		vitals := []string{identityFile, deviceFile, ledgerFile}
		_, err := Create(h.Dir, CreateOptions{})
		if slices.Contains(vitals, missing) {
			check(err)
		}
		if missing == identityFile {
			require.ErrorIs(t, err, fs.ErrExist)
		} else {
			require.ErrorIs(t, err, ErrExists)
		}
		_, err = Open(h.Dir)
		if missing == identityFile {
			check(err)
			require.ErrorIs(t, err, ErrNoHome)
		} else {
			require.NoError(t, err)
		}
		_, err = Inspect(h.Dir)
		require.NoError(t, err)
		if missing == deviceFile || missing == ledgerFile {
			_, err = h.Book(petname.Options{})
			check(err)
		}
		if missing == peerFile {
			_, err = h.PeerKey()
			check(err)
		}
		require.Equal(t, before, files(t, h.Dir))
	}
	_, err := Inspect(t.TempDir())
	require.ErrorIs(t, err, ErrNoHome)
	music := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(music, recordsDir), 0o700))
	_, err = Open(music)
	require.NotErrorAs(t, err, new(*IncompleteError), "a folder of that name alone is of no home")
}

// A power cut after any operation of a rotation leaves files of the table alone, once
// left-overs are removed; and a journal that is damaged is reported.
func TestTheFilesOfAnInterruptedRotationAreOfTheTable(t *testing.T) {
	before, recovery := rotating(t)
	known, journals, temporary := map[string]bool{}, 0, 0
	for _, f := range table() {
		known[f.name] = true
	}
	for disk := range durabletest.Crashes() {
		h := crashHome(t, before)
		r, err := h.Rotate(RotateOptions{Passphrase: "horse", Next: recovery, Recovery: filepath.Join(t.TempDir(), "after.key"), WorkFactor: fast})
		require.NoError(t, err)
		r.home.files = disk
		_ = r.Commit(nil) // cut off
		disk.Crash()
		for _, name := range files(t, h.Dir) {
			if strings.HasPrefix(name, tempPrefix(journalFile)) {
				temporary++
			}
		}
		require.NoError(t, h.sweep())
		for _, name := range files(t, h.Dir) {
			require.True(t, known[name], "%s: %s", disk, name)
			if name == journalFile {
				journals++
			}
		}
	}
	require.NotZero(t, journals)
	require.NotZero(t, temporary)

	h := create(t, CreateOptions{})
	require.NoError(t, os.WriteFile(h.path(journalFile), []byte(journalMagic+"\n"), 0o600))
	problems := h.CheckFiles()
	require.Len(t, problems, 1)
	require.ErrorContains(t, problems[0], "journal of a rotation")
	require.ErrorContains(t, problems[0], h.path(journalFile))
}

// Opening the book removes the temporary files of every file of the home, also those of
// older versions, and no file that a person may have made.
func TestLeftOversOfEveryFileAreRemoved(t *testing.T) {
	h := create(t, CreateOptions{})
	whole := files(t, h.Dir)
	stay := []string{".identity.key-20261129", ".sealing.key-20261129", ".keep-notes", "sealing.key-123456789", ".keep-20261129"}
	left := []string{".keep-2345678", ".keep-4123456789", ".dht-1", ".sealing.key-4123456789", ".config.toml-123456789",
		durable.TempName(".keep-"), durable.TempName(".dht-")}
	for _, f := range table() {
		left = append(left, durable.TempName(tempPrefix(f.name)))
	}
	for _, name := range slices.Concat(stay, left) {
		require.NoError(t, os.WriteFile(h.path(name), []byte("secret"), 0o600))
	}
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.NoError(t, book.Close())
	require.ElementsMatch(t, slices.Concat(whole, stay), files(t, h.Dir))
}

// The file of the node is read to its end: a flipped bit, a cut or an empty file is
// reported, with the advice that nothing of it is needed; and it is not changed.
func TestTheFileOfTheNodeIsChecked(t *testing.T) {
	h := create(t, CreateOptions{})
	one := append(make([]byte, frames.Head), "n of a network"...)
	frames.Seal(one)
	whole := slices.Concat(one, one, one)
	write := func(b []byte) { require.NoError(t, os.WriteFile(h.path(nodeFile), b, 0o600)) }
	write(whole)
	require.Empty(t, h.CheckFiles())
	for at := range whole {
		b := bytes.Clone(whole)
		b[at] ^= 4
		write(b)
		require.Len(t, h.CheckFiles(), 1, at)
		if at%len(one) != 0 {
			write(whole[:at])
			require.Len(t, h.CheckFiles(), 1, at)
		}
	}
	write(nil)
	var damaged *NodeFileError
	require.ErrorAs(t, h.CheckFiles()[0], &damaged)
	require.ErrorContains(t, damaged, h.path(nodeFile))
	require.Contains(t, damaged.Next(), "remove the file while no node runs")
	require.Empty(t, read(t, h.path(nodeFile)))
}
