package republish

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

// unsavedRepublisher returns a republisher of a file, with a state that differs from the file's.
func unsavedRepublisher(path string, churn float64, log *slog.Logger) *Republisher {
	k := New(Config{Contacts: &book{}, Home: &dht.Memory{}, Path: path, Logger: log})
	k.churn, k.dirty = churn, true
	return k
}

// A power cut after any operation of a save leaves the whole old state or the
// whole new one, and the new one if the save reported no error. The next republisher
// removes the left-overs.
func TestAPowerCutLeavesTheOldStateOrTheNew(t *testing.T) {
	for disk := range durabletest.Crashes() {
		dir := t.TempDir()
		path := filepath.Join(dir, "keep.json")
		require.NoError(t, (state{Version: stateVersion, Churn: 0.25}).write(&durabletest.Disk{}, path))
		other := filepath.Join(dir, ".other.json-1") // the file of another republisher
		require.NoError(t, os.WriteFile(other, nil, 0o600))
		var log bytes.Buffer
		k := unsavedRepublisher(path, 0.125, slog.New(slog.NewTextHandler(&log, nil)))
		k.config.files = disk
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

// When any operation of a save fails, the republisher logs the error and repeats the
// save the next time. The old state stays unless the new one is in place.
func TestASaveThatFailedIsRepeated(t *testing.T) {
	for disk := range durabletest.Faults() {
		dir := t.TempDir()
		path := filepath.Join(dir, "keep.json")
		require.NoError(t, (state{Version: stateVersion, Churn: 0.25}).write(&durabletest.Disk{}, path))
		var log bytes.Buffer
		k := unsavedRepublisher(path, 0.125, slog.New(slog.NewTextHandler(&log, nil)))
		k.config.files = disk
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
		k.save() // nothing has changed since the last save
		s, err = readState(path)
		require.NoError(t, err)
		require.InDelta(t, 0.125, s.Churn, 0, disk)
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, files, 1)
		before := disk.String()
		k.save()
		require.Equal(t, before, disk.String(), "the saved state is not saved again")
	}
}

// A left-over that cannot be removed is logged, and the state is read.
func TestUnremovableTemporaryFileIsIgnored(t *testing.T) {
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
