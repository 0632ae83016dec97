package name

import (
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"testing"

	"github.com/petnames-go/petnames/pointer"
	"github.com/stretchr/testify/require"
)

func testKey(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte("petname test " + seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func pointerOf(seed string) pointer.Pointer {
	p, err := pointer.FromPublicKey(testKey(seed).Public())
	if err != nil {
		panic(err)
	}
	return p
}

func mustName(s string) Name {
	n, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return n
}

// The seeds of the fuzz targets are there: an empty corpus would test nothing.
func TestFuzzCorpusIsThere(t *testing.T) {
	for _, target := range []string{"FuzzParse", "FuzzClean"} {
		files, err := os.ReadDir("testdata/fuzz/" + target)
		require.NoError(t, err)
		require.NotEmpty(t, files)
	}
}
