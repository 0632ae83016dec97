package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable/durabletest"
)

// A power cut after any operation of writing a record or a statement to a file
// leaves the old content or the whole new file, and the new file after a nil
// error. A fault is reported and leaves the old content.
func TestAWrittenFileSurvivesAPowerCut(t *testing.T) {
	for disk := range durabletest.Crashes() {
		name := filepath.Join(t.TempDir(), "a.record")
		require.NoError(t, os.WriteFile(name, []byte("what was there"), 0o600))
		err := writeFileOn(disk, name, []byte("record"))
		disk.Crash()
		b, rerr := os.ReadFile(name)
		require.NoError(t, rerr, disk)
		if err == nil {
			require.Equal(t, "record", string(b), disk)
		} else {
			require.Contains(t, []string{"what was there", "record"}, string(b), disk)
		}
	}
	for disk := range durabletest.Faults() {
		dir := t.TempDir()
		name := filepath.Join(dir, "a.record")
		require.NoError(t, os.WriteFile(name, []byte("what was there"), 0o600))
		err := writeFileOn(disk, name, []byte("record"))
		b, rerr := os.ReadFile(name)
		require.NoError(t, rerr)
		switch disk.Failed() {
		case "":
			require.NoError(t, err)
			continue
		case "syncdir":
		default:
			require.Equal(t, "what was there", string(b), disk)
		}
		require.ErrorIs(t, err, syscall.ENOSPC, disk)
		entries, rerr := os.ReadDir(dir)
		require.NoError(t, rerr)
		require.Len(t, entries, 1, disk)
	}
}
