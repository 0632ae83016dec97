package durable_test

import (
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger/durable"
)

// A folder with search permission but without read permission cannot be synced.
// This is not an error: a user's home can lie in such a folder.
func TestAFolderThatMayNotBeReadIsNoError(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o300))
	opened, synced := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if os.Geteuid() == 0 { // root may read every folder
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
