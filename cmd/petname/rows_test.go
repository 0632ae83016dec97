package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// No padding has a row of the screen begin as a line of ours does, however wide
// the terminal is; nothing is lost, and pointers stay whole to be copied.
func TestRowsOfForeignTextAreMarked(t *testing.T) {
	key := hostileKey(t, "rows").Pointer().String()
	link := "petname:" + key
	for _, line := range []string{
		"  link          home http://x" + strings.Repeat(" ", 51) + `alice  "~Alice L" k51…abcdef  paired, 3 Mar 2026`,
		"  points to     /ipfs/bafkqaaa/" + strings.Repeat("漢", 40) + "bob",
		"  points to     /ipfs/bafkqaaa/" + strings.Repeat(".", 200) + "bob",
		"\x1b[33m\"~" + strings.Repeat("e\u0301", 64) + "\" k51…abcdef\x1b[0m",
		"שלום " + strings.Repeat("נועם ", 30),
		"  pointer       " + key,
		"k" + strings.Repeat("k51", 80),
		"",
	} {
		for wide := minColumns; wide < 130; wide++ {
			var b strings.Builder
			require.NoError(t, writeRows(&b, line+"\nnext\n", wide))
			shown := b.String()
			require.Equal(t, line+"\nnext\n", strings.ReplaceAll(shown, "\n"+continuationMark, ""), "nothing is lost")
			for _, row := range strings.Split(strings.ReplaceAll(shown, key, ""), "\n") {
				require.LessOrEqual(t, width(row), wide, "%q", row)
			}
			require.Equal(t, strings.Contains(line, key), strings.Contains(shown, key))
		}
	}
	var b strings.Builder
	require.NoError(t, writeRows(&b, link+"\n", minColumns))
	require.Equal(t, link+"\n", b.String())
	b.Reset()
	require.NoError(t, writeRows(&b, strings.Repeat("x", 500), 0))
	require.Equal(t, strings.Repeat("x", 500), b.String())
}
