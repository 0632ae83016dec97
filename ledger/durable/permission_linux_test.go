package durable_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
)

// A folder that may be passed through, but not read, cannot be synced: that is
// no error. The home of a user can lie in one.
func TestAFolderThatMayNotBeReadIsNoError(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o300))
	opened, synced := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if os.Geteuid() == 0 { // which may read everything
			if err := syscall.Setfsuid(65534); err != nil {
				opened <- err
				synced <- err
				return
			}
		}
		_, err := os.ReadDir(dir)
		opened <- err
		synced <- durable.OS{}.SyncDir(dir)
	}()
	require.ErrorIs(t, <-opened, os.ErrPermission)
	require.NoError(t, <-synced)
}
