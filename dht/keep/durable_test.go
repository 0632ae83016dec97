package keep

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

// saves is a keeper of a file, with a state that is not the file's.
func saves(path string, churn float64, log *slog.Logger) *Keeper {
	k := New(Config{Contacts: &book{}, Home: &dht.Memory{}, Path: path, Logger: log})
	k.churn, k.dirty = churn, true
	return k
}

// A power cut after any operation of a save leaves the old state or the new
// one, whole, and after a save that reported no error the new one. The next
// keeper removes what else is left.
func TestAPowerCutLeavesTheOldStateOrTheNew(t *testing.T) {
	for disk := range durabletest.Crashes() {
		dir := t.TempDir()
		path := filepath.Join(dir, "keep.json")
		require.NoError(t, (state{Version: stateVersion, Churn: 0.25}).write(&durabletest.Disk{}, path))
		other := filepath.Join(dir, ".other.json-1") // another keeper's
		require.NoError(t, os.WriteFile(other, nil, 0o600))
		var log bytes.Buffer
		k := saves(path, 0.125, slog.New(slog.NewTextHandler(&log, nil)))
		k.c.files = disk
		k.save()
		disk.Crash()

		New(Config{Contacts: &book{}, Home: &dht.Memory{}, Path: path})
		s, err := readState(path)
		require.NoError(t, err, disk)
		if log.Len() == 0 {
			require.InDelta(t, 0.125, s.Churn, 0, disk)
		} else {
			require.Contains(t, []float64{0.25, 0.125}, s.Churn, disk)
		}
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, files, 2, disk)
		require.FileExists(t, other)
	}
}

// A save that fails, whatever operation it is that does, is logged, leaves the
// old state unless the new one is in place, and is tried again by the next one.
func TestASaveThatFailedIsRepeated(t *testing.T) {
	for disk := range durabletest.Faults() {
		dir := t.TempDir()
		path := filepath.Join(dir, "keep.json")
		require.NoError(t, (state{Version: stateVersion, Churn: 0.25}).write(&durabletest.Disk{}, path))
		var log bytes.Buffer
		k := saves(path, 0.125, slog.New(slog.NewTextHandler(&log, nil)))
		k.c.files = disk
		k.save()
		s, err := readState(path)
		require.NoError(t, err)
		switch disk.Failed() {
		case "":
			require.Empty(t, log.String())
		case "syncdir":
			require.Contains(t, log.String(), "not saved")
		default:
			require.Contains(t, log.String(), "not saved", disk)
			require.InDelta(t, 0.25, s.Churn, 0, disk)
		}
		k.save() // nothing has changed since
		s, err = readState(path)
		require.NoError(t, err)
		require.InDelta(t, 0.125, s.Churn, 0, disk)
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, files, 1)
		before := disk.String()
		k.save()
		require.Equal(t, before, disk.String(), "what is saved is not saved again")
	}
}

// A left-over that cannot be removed is logged, and the state is read.
func TestALeftOverThatStaysDoesNoHarm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keep.json")
	require.NoError(t, (state{Version: stateVersion, Churn: 0.25}).write(&durabletest.Disk{}, path))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), ".keep.json-ABCDEFGHIJKLMNOPQRSTUVWXYZ"), nil, 0o600))
	for disk := range durabletest.Faults() {
		var log bytes.Buffer
		k := New(Config{Contacts: &book{}, Home: &dht.Memory{}, Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil)), files: disk})
		require.Equal(t, disk.Failed() != "", log.Len() > 0)
		require.InDelta(t, min(max(0.25, minChurn), maxChurn), k.churn, 0)
	}
}
