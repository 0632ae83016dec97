//go:build unix

package socket

import "syscall"

func setUmask(mask int) (old int) { return syscall.Umask(mask) }
