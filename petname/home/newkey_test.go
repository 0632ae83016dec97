package home

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
	"github.com/petnames-go/petnames/petname"
)

// A damaged or missing sealing.key or peer.key is made anew, and what was there is kept aside,
// under another name each time. No other file changes, and the home is whole afterwards.
func TestALostKeyIsMadeAnew(t *testing.T) {
	for file, read1 := range map[string]func(h Home) error{
		sealingFile: func(h Home) error { _, err := h.Sealing(); return err },
		peerFile:    func(h Home) error { _, err := h.PeerKey(); return err },
	} {
		h := create(t, CreateOptions{})
		before := map[string][]byte{}
		for _, name := range []string{identityFile, deviceFile, ledgerFile, sealingFile, peerFile} {
			before[name] = read(t, h.path(name))
		}
		for i, aside := range []string{".damaged", ".damaged-2", ".damaged-3"} {
			damage := before[file][:len(before[file])-20+i]
			require.NoError(t, os.WriteFile(h.path(file), damage, 0o600))
			require.Equal(t, []string{file}, h.LostKeys())
			if i == 0 {
				require.Equal(t, file, LostKey(read1(h)))
			}
			at, err := h.NewKey(file, time.Now())
			require.NoError(t, err)
			require.Equal(t, h.path(file)+aside, at)
			require.Equal(t, damage, read(t, at))
			require.NoError(t, read1(h))
			require.Empty(t, h.CheckFiles())
			require.Empty(t, h.LostKeys())
			require.NotContains(t, string(read(t, h.path(file))), string(damage[:200]))
		}
		require.NoError(t, os.Remove(h.path(file)))
		require.Equal(t, []string{file}, h.LostKeys())
		at, err := h.NewKey(file, time.Now())
		require.NoError(t, err)
		require.Empty(t, at)
		require.NoError(t, read1(h))
		require.NoError(t, os.Remove(h.path(file)))
		require.NoError(t, os.Mkdir(h.path(file), 0o700))
		_, err = h.NewKey(file, time.Now())
		require.NoError(t, err)
		require.NoError(t, read1(h))
		for name, b := range before {
			if name != file {
				require.Equal(t, b, read(t, h.path(name)), name)
			}
		}
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		require.NoError(t, book.Close())
		_, err = h.Rotate(RotateOptions{})
		require.NoError(t, err)
	}
}

// A key that can be read is not replaced, nor one that may not be read, nor any other file,
// whatever is wrong with it.
func TestOnlyALostKeyIsMadeAnew(t *testing.T) {
	h := create(t, CreateOptions{})
	for _, file := range []string{sealingFile, peerFile} {
		b := read(t, h.path(file))
		_, err := h.NewKey(file, time.Now())
		require.ErrorIs(t, err, ErrKeyWhole)
		require.Equal(t, b, read(t, h.path(file)))
	}
	for _, file := range []string{identityFile, deviceFile, ledgerFile, recordsDir, configFile, journalFile, "", "../x", "/etc/passwd", "./sealing.key"} {
		if file == identityFile || file == deviceFile {
			require.NoError(t, os.WriteFile(h.path(file), []byte("garbage"), 0o600))
		}
		before := files(t, h.Dir)
		_, err := h.NewKey(file, time.Now())
		require.ErrorIs(t, err, ErrNotRenewable, file)
		require.Equal(t, before, files(t, h.Dir))
	}
	require.Equal(t, "garbage", string(read(t, h.path(identityFile))))
	require.Empty(t, h.LostKeys())
	require.Empty(t, LostKey(h.damaged(identityFile, os.ErrInvalid)))
	require.Empty(t, LostKey(&FileError{Path: h.path(sealingFile), Err: os.ErrInvalid, step: stepLink}), "a link to a whole file")
	require.Empty(t, LostKey(&IncompleteError{Missing: []string{peerFile, deviceFile}}))
}

// A power cut or a full disk while a key is made anew loses no file: the former content is under
// one of the two names, and the key can be made again.
func TestAFaultWhileAKeyIsMadeLosesNoFile(t *testing.T) {
	damage := []byte("damaged")
	check := func(disk *durabletest.Disk, crash bool) {
		h := crashHome(t, map[string][]byte{sealingFile: damage})
		h.files = disk
		_, err := h.NewKey(sealingFile, time.Now())
		if crash {
			disk.Crash()
		}
		h.files = &durabletest.Disk{}
		require.NoError(t, h.sweep())
		if _, rerr := h.readSealing(); rerr != nil {
			require.Error(t, err, disk)
			_, err = h.NewKey(sealingFile, time.Now())
			require.NoError(t, err, disk)
		}
		require.Equal(t, damage, read(t, h.path(sealingFile)+".damaged"), disk)
		require.ElementsMatch(t, []string{sealingFile, sealingFile + ".damaged"}, files(t, h.Dir), disk)
	}
	for disk := range durabletest.Crashes() {
		check(disk, true)
	}
	for disk := range durabletest.Faults() {
		check(disk, false)
	}
}
