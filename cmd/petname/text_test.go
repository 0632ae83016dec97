package main

import (
	"strings"
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
		"/ipfs/bafkqaaa/my file":     "/ipfs/bafkqaaa/my file",
		"/ipfs/bafkqaaa/x   k51":     `"/ipfs/bafkqaaa/x\x20\x20 k51"`, // padded to the end of a row
		"/ipfs/bafkqaaa/zero\u200bw": `"/ipfs/bafkqaaa/zero\u200bw"`,
	} {
		require.Equal(t, shown, contentPath(value))
	}
}

// Nothing but a whole line that says so is a yes.
func TestOnlyALineOfYesIsAYes(t *testing.T) {
	require.True(t, yes(strings.NewReader("yes\n")))
	require.True(t, yes(strings.NewReader(" yes\r\n")))
	for _, answer := range []string{"", "\n", "y\n", "no\n", "\nyes\n", "yes", "yes yes\n", "YES\n", "ye\x04s\n", "yes" + strings.Repeat(" ", 200) + "\n"} {
		require.False(t, yes(strings.NewReader(answer)), "%q", answer)
	}
}
