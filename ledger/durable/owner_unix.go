//go:build unix

package durable

import (
	"io/fs"
	"os"
	"syscall"
)

// OwnedByUser reports whether the effective user of this process owns a file.
func OwnedByUser(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

// Links returns the number of names of a file: hard links, itself included.
func Links(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 1
}
