package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A path that is copied off the screen is the path that was published, or
// visibly quoted: nothing is dropped in silence.
func TestAContentPathIsShownAsItIsOrQuoted(t *testing.T) {
	for value, shown := range map[string]string{
		"/ipfs/bafkqaaa":             "/ipfs/bafkqaaa",
		"/ipfs/bafkqaaa/résumé.pdf":  "/ipfs/bafkqaaa/résumé.pdf",
		"/ipfs/bafkqaaa/a\x1b[2Jb":   `"/ipfs/bafkqaaa/a\x1b[2Jb"`,
		"/ipfs/bafkqaaa/a\u202egpj":  `"/ipfs/bafkqaaa/a\u202egpj"`,
		"/ipfs/bafkqaaa/a\nb":        `"/ipfs/bafkqaaa/a\nb"`,
		"/ipfs/bafkqaaa/zero\u200bw": `"/ipfs/bafkqaaa/zero\u200bw"`,
	} {
		require.Equal(t, shown, contentPath(value))
	}
}
