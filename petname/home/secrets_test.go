package home

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/paste"
)

// Each file with a private key is known as one, so that no error quotes it, also line by line.
func TestFilesWithPrivateKeysAreKnownAsSecrets(t *testing.T) {
	h := create(t, CreateOptions{})
	files, err := filepath.Glob(h.path("*.key"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.True(t, paste.HasSecret(string(b)), file)
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, "#") {
				require.True(t, paste.HasSecret(line), "%s: %s", file, line)
			}
		}
	}
}
