package main

import (
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Only an error about the new recovery file, beside the old one, is answered with another place
// for it: not one about the folder of the new home.
func TestAnErrorBesideTheRecoveryFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	at := func(path string) *fs.PathError { return &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission} }
	require.True(t, besideFile(at(filepath.Join(dir, "stick", "x.key.next")), "stick/x.key"))
	require.True(t, besideFile(at("stick/x.key.next"), filepath.Join(dir, "stick", "x.key")))
	require.False(t, besideFile(at(filepath.Join(dir, "home", "identity.key")), "stick/x.key"))
	require.False(t, besideFile(nil, "stick/x.key"))
}
