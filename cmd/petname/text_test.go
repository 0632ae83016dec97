package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
)

// A path that is copied off the screen is the path that was published, or
// visibly quoted: nothing is dropped in silence.
func TestAContentPathIsShownAsItIsOrQuoted(t *testing.T) {
	for value, shown := range map[string]string{
		"/ipfs/bafkqaaa":            "/ipfs/bafkqaaa",
		"/ipfs/bafkqaaa/résumé.pdf": "/ipfs/bafkqaaa/résumé.pdf",
		"/ipfs/bafkqaaa/a\x1b[2Jb":  `"/ipfs/bafkqaaa/a\x1b[2Jb"`,
		"petname:k51":               `"petname:k51"`, // no path: a link could be added by mistake
		"  petname pair 1-a-b-c":    `"\x20\x20petname pair 1-a-b-c"`,
		"/ipfs/bafkqaaa/a\u202egpj": `"/ipfs/bafkqaaa/a\u202egpj"`,
		"/ipfs/bafkqaaa/a\nb":       `"/ipfs/bafkqaaa/a\nb"`,
		"/ipfs/bafkqaaa/my file":    "/ipfs/bafkqaaa/my file",
		"/ipfs/bafkqaaa/x   k51":    `"/ipfs/bafkqaaa/x\x20\x20 k51"`, // padded to the end of a row
		"/ipfs/bafkqaaa/my ~file.1": `"/ipfs/bafkqaaa/my ~file.1"`,
		"/ipfs/bafkqaaa/~me/v.2":    "/ipfs/bafkqaaa/~me/v.2",
		"/ipfs/bafkqaaa/my file.2":  "/ipfs/bafkqaaa/my file.2",
		"/ipfs/x\" k51…abcdef ⇒ y":  `"/ipfs/x\" k51\u2026abcdef \u21d2 y"`,
		"/ipfs/a\xffb\ufffd":        `"/ipfs/a\xffb\ufffd"`,
		"/ipfs/zero\u200bw":         `"/ipfs/zero\u200bw"`,
	} {
		require.Equal(t, shown, contentPath(value))
	}
	long := contentPath("/ipfs/z" + strings.Repeat("\u0335", 5<<10))
	require.Less(t, len(long), maxPath+100)
	require.True(t, strings.HasPrefix(long, `"/ipfs/z\u0335`) && strings.HasSuffix(long, `\u0335…" (10247 bytes: --json prints them)`), long)
}

// The text about the source of an answer counts the peers that were asked.
func TestTheSourceOfAnAnswer(t *testing.T) {
	for want, out := range map[string]resolved{
		"network, fresh: 1 of 1 peer answered, 1 agree":                                                         {Source: "network", Freshness: "fresh", Asked: 1, Answered: 1, Agreed: 1},
		"cache: no peer was asked":                                                                              {Source: "cache"},
		"cache: no peer could be asked; too old to be used without asking":                                      {Source: "cache", Stale: true},
		"cache: 3 of 5 peers answered, none with this record or a newer one; too old to be used without asking": {Source: "cache", Stale: true, Asked: 5, Answered: 3},
		"home, offline: no peer was asked; too old to be used without asking":                                   {Source: "home", Freshness: "offline", Stale: true},
	} {
		require.Equal(t, want, source(out))
	}
}

// Only the whole line "yes" confirms.
func TestOnlyALineOfYesIsAYes(t *testing.T) {
	require.True(t, readYes(strings.NewReader("yes\n")))
	require.True(t, readYes(strings.NewReader(" yes\r\n")))
	for _, answer := range []string{"", "\n", "y\n", "no\n", "\nyes\n", "yes", "yes yes\n", "YES\n", "ye\x04s\n", "yes" + strings.Repeat(" ", 200) + "\n"} {
		require.False(t, readYes(strings.NewReader(answer)), "%q", answer)
	}
}

// Text from other parties in a line for people contains no mark of a name. A link that
// is to be copied is unchanged.
func TestTextOfOthersInOurLinesHasNoMarks(t *testing.T) {
	known := fact{Kind: `"~Bob W" k51…sxel2r ⇒ x.2`, By: "me", Channel: "api"}
	c := contact{Name: "alice", Provenance: []fact{known},
		Card: &contactCard{Value: "/ipfs/bafkqaaa/~a.1", Links: []string{`x "~Bob W" k51…sxel2r`, "web https://a.example/~alice/v1.2"}}}
	require.Contains(t, contactLine(name.Plain, c), "'-Bob W' k51…sxel2r > x·2, ")
	var out strings.Builder
	(&app{stdout: &out}).printContact(&out, c)
	require.Contains(t, out.String(), "  link          x '-Bob W' k51…sxel2r\n")
	require.Contains(t, out.String(), "  link          web https://a.example/~alice/v1.2\n")
	require.Contains(t, out.String(), "  points to\n    /ipfs/bafkqaaa/~a.1\n")
	require.Contains(t, entryText(name.Plain, entry{Op: "name", Name: "alice", Kind: known.Kind}), "('-Bob W' k51…sxel2r > x·2)")
}

// A former name with a comma in it is one name, and is not read as two.
func TestOneNameIsNotShownAsTwo(t *testing.T) {
	pointer := "k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr"
	one := entryText(name.Plain, entry{Op: "remove", Was: []string{"alice, bob"}, Pointer: pointer})
	two := entryText(name.Plain, entry{Op: "remove", Was: []string{"alice", "bob"}, Pointer: pointer})
	require.Equal(t, "removed alice, bob (k51…kjpnnr)", one)
	require.Equal(t, "removed alice / bob (k51…kjpnnr)", two)
	for _, fake := range []string{"alice / bob", "alice ／ bob", "alice ⁄ bob", "alice ∕ bob", "alice ╱ bob"} {
		_, err := name.Parse(fake)
		require.Error(t, err, "a name reads as two: %q", fake)
	}
}

// After "--" every word is an argument, even if it looks like a flag. An error
// about such a command line is text. An error about any other command line with
// --json is an object.
func TestAnArgumentIsNoFlag(t *testing.T) {
	for _, c := range []struct {
		args []string
		json bool
	}{
		{[]string{"list", "--", "--json"}, false},
		{[]string{"list", "--json", "--", "x"}, true},
		{[]string{"list", "--bogus", "--json"}, true},
		{[]string{"list", "--bogus"}, false},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, run(t.Context(), c.args, strings.NewReader(""), &stdout, &stderr), c.args)
		require.Empty(t, stdout.String(), c.args)
		require.Equal(t, c.json, strings.HasPrefix(stderr.String(), `{"v":1,"error":`), "%v: %s", c.args, &stderr)
	}
}

// A link in an object is unchanged, so that it can be copied. Characters that a
// terminal would interpret or hide are escaped.
func TestALinkInAnObjectIsAsItIs(t *testing.T) {
	b, err := marshal(map[string]string{"link": "petname:k51?a=b&c=<d>\x1b\u202e\U000e0001"})
	require.NoError(t, err)
	require.Equal(t, `{"link":"petname:k51?a=b&c=<d>\u001b\u202e\udb40\udc01"}`, string(b))
}
