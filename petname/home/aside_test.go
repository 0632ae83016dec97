package home

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
)

// damagedKeys returns a home in which damaged sealing keys were set aside twice, and the time of
// the second.
func damagedKeys(t *testing.T) (Home, time.Time) {
	t.Helper()
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	now := first.Made
	for range 2 {
		require.NoError(t, os.WriteFile(h.path(sealingFile), read(t, h.path(sealingFile))[:60], 0o600))
		now = now.Add(24 * time.Hour)
		_, err = h.NewKey(sealingFile, now)
		require.NoError(t, err)
	}
	require.Contains(t, files(t, h.Dir), sealingFile+".damaged-2")
	return h, now
}

// Sealing keys that were set aside are erased 30 days after they were replaced: with the former
// keys that replaced them, or if the keys after them are never replaced, by their own date. No
// other file is removed, and nothing is erased under a clock that is ahead of the book.
func TestDamagedSealingKeysAreErased(t *testing.T) {
	for renewed, name := range []string{"no renewal", "renewals"} {
		t.Run(name, func(t *testing.T) {
			h, at := damagedKeys(t)
			notes := []string{"sealing.key.damaged-notes", "sealing.key.damaged-02", "sealing.key.damagedx", "peer.key.damaged", "sealing.key.backup"}
			for _, name := range notes {
				require.NoError(t, os.WriteFile(h.path(name), []byte("a person's"), 0o600))
			}
			if renewed == 1 {
				for i := range 5 {
					_, err := h.RenewSealing(at.Add(time.Duration(i+1)*24*time.Hour), time.Time{}, 0)
					require.NoError(t, err)
				}
				at = at.Add(24 * time.Hour) // the first renewal
			}
			erased := func() bool {
				names := files(t, h.Dir)
				require.Subset(t, names, notes)
				first, second := false, false
				for _, name := range names {
					first = first || name == sealingFile+".damaged"
					second = second || name == sealingFile+".damaged-2"
				}
				require.Equal(t, first, second)
				return !first
			}
			_, err := h.EraseSealing(at.Add(SealingRetention-time.Second), time.Time{})
			require.NoError(t, err)
			require.False(t, erased())
			_, err = h.EraseSealing(at.AddDate(5, 0, 0), at) // the clock is ahead
			require.NoError(t, err)
			require.False(t, erased())
			_, err = h.EraseSealing(at.Add(SealingRetention), time.Time{})
			require.NoError(t, err)
			require.True(t, erased())
		})
	}
}

// Keys whose replacement has no plausible date are not erased.
func TestDamagedSealingKeysOfAnUnknownDateStay(t *testing.T) {
	h, at := damagedKeys(t)
	s, err := h.Sealing()
	require.NoError(t, err)
	for _, made := range []time.Time{{}, time.Unix(0, 0).UTC()} {
		s.Made = made
		require.NoError(t, h.eraseDamaged(s, at.AddDate(1, 0, 0)))
		require.Contains(t, files(t, h.Dir), sealingFile+".damaged")
	}
}

// CheckFiles checks every file that was set aside, also those with a number, and SetAside states
// what it is; none of them is a problem otherwise.
func TestFilesThatWereSetAsideAreChecked(t *testing.T) {
	h := create(t, CreateOptions{})
	require.Empty(t, h.SetAside())
	for i, name := range []string{"sealing.key.damaged", "sealing.key.damaged-2", "sealing.key.damaged-17", "peer.key.damaged", "peer.key.damaged-3", "dht.db.damaged", "dht.db.other", "post.db.damaged.4"} {
		h := create(t, CreateOptions{})
		require.NoError(t, os.WriteFile(h.path(name), []byte("secret"), 0o600))
		require.Empty(t, h.CheckFiles())
		if name != "post.db.damaged.4" { // package agent reports it as a problem
			require.Len(t, h.SetAside(), 1)
			require.Contains(t, h.SetAside()[0], h.path(name), i)
			require.Contains(t, h.SetAside()[0], "remove it")
			require.NotContains(t, h.SetAside()[0], "secret")
		}
		if runtime.GOOS != "windows" {
			require.NoError(t, os.Chmod(h.path(name), 0o640))
			require.Len(t, h.CheckFiles(), 1, name)
			require.ErrorContains(t, h.CheckFiles()[0], name)
			require.ErrorContains(t, h.CheckFiles()[0], "can be read by others")
		}
		require.NoError(t, os.Remove(h.path(name)))
		require.NoError(t, os.Mkdir(h.path(name), 0o700))
		require.Len(t, h.CheckFiles(), 1, name)
	}
	require.NoError(t, os.WriteFile(h.path("sealing.key.damaged-17 "), nil, 0o644))
	require.Empty(t, h.CheckFiles(), "a file of another name")
	book, err := h.Book(petname.Options{})
	require.NoError(t, err)
	require.NoError(t, book.Close())
}
