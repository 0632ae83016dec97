package main

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
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
			require.Equal(t, line+"\nnext\n", unwrapped(t, line+"\nnext\n", shown), "nothing is lost")
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

// No row starts with the mark behind a pointer, which is whole.
func TestTheMarkBehindAPointerStaysWithIt(t *testing.T) {
	key := hostileKey(t, "rows").Pointer().String()
	for _, mark := range []string{".", ",", ":", ";", ")"} {
		var b strings.Builder
		require.NoError(t, writeRows(&b, "use the home of "+key+mark+" if there is one\n", 50))
		require.Contains(t, b.String(), key+mark+"\n      | if", mark)
	}
}

// unwrapped joins the rows of a text again: what was shown in place of a break is its mark
// alone, but for the spaces at which a row was broken.
func unwrapped(t *testing.T, text, shown string) string {
	t.Helper()
	rows := strings.Split(strings.ReplaceAll(shown, "\n"+fieldMark, "\n"+continuationMark), "\n"+continuationMark)
	joined := ""
	for i, row := range rows {
		if i < len(rows)-1 {
			require.NotRegexp(t, " $", row, "a row that is broken ends with no space")
		}
		joined += row
		for i < len(rows)-1 && strings.HasPrefix(text[min(len(joined), len(text)):], " ") {
			joined += " "
		}
	}
	return joined
}

// The further rows of a field are in the column of its value, and a date stays whole.
func TestAFieldIsWrappedInItsColumn(t *testing.T) {
	const line = "  received by   message, 2026-11-29 21:39:15, valid until 2026-12-29 21:39:15\n"
	var b strings.Builder
	require.NoError(t, writeRows(&b, line, 50))
	require.Equal(t, "  received by   message, 2026-11-29 21:39:15,\n              | valid until 2026-12-29 21:39:15\n", b.String())
	for wide := minColumns; wide < 90; wide++ {
		for _, text := range []string{line, "bob  \"~Bob W\" k51…oy92gc  link, 30 Nov 2026\n", "bob  k51…oy92gc  link, 3 Nov 2026\n"} {
			b.Reset()
			require.NoError(t, writeRows(&b, text, wide))
			for _, date := range []string{"2026-11-29 21:39:15", "2026-12-29 21:39:15", "30 Nov 2026", "3 Nov 2026"} {
				if strings.Contains(text, date) && len(continuationMark)+len(date)+1 <= wide {
					require.Contains(t, b.String(), date, "%d columns", wide)
				}
			}
			require.NotContains(t, b.String(), " \n")
		}
	}
}

// A value to copy is whole on a line of its own, however narrow the terminal is.
func TestAValueToCopyIsWholeAtAnyWidth(t *testing.T) {
	key := hostileKey(t, "copied").Pointer().String()
	var invitation strings.Builder
	w := bufio.NewWriter(&invitation)
	printInvitation(w, invited{Code: "742-tunnel-orbit-candy", Link: "petname-invite:" + strings.Repeat("A", 300)})
	require.NoError(t, w.Flush())
	_, code, _ := strings.Cut(invitation.String(), "\n")
	code, _, _ = strings.Cut(code, "\n")
	for _, line := range []string{
		key, "    " + key, "petname:" + key,
		"  /ip4/127.0.0.1/tcp/41377/p2p/12D3KooWJYjJxbCqfkkCBFgpDgU2NpqB2EJFvPQWHguwby7YW3Gb",
		"  /ip6/fe80::1%25eth0/udp/4001/quic-v1/p2p/12D3KooWJYjJxbCqfkkCBFgpDgU2NpqB2EJFvPQWHguwby7YW3Gb",
		"  http://127.0.0.1:37229", "  https://router.example/petnames",
		firstPath, "    " + firstPath + "/docs/index.html",
		code, "  petname --home 'my home' share NAME --as LABEL --public",
	} {
		for wide := minColumns; wide < 130; wide++ {
			var b strings.Builder
			require.NoError(t, writeRows(&b, line+"\n", wide))
			require.Contains(t, "\n"+b.String(), "\n"+line+"\n", "%d columns", wide)
		}
	}
	require.Equal(t, "  petname pair 742-tunnel-orbit-candy", code)
	for _, form := range pointer.Forms() {
		text, err := hostileKey(t, "copied").Pointer().As(form)
		require.NoError(t, err)
		for wide := minColumns; wide < 130; wide++ {
			var b strings.Builder
			require.NoError(t, writeRows(&b, text+"\n", wide))
			require.Equal(t, text+"\n", b.String(), "%d columns", wide)
		}
		var b strings.Builder
		require.NoError(t, writeRows(&b, text+" "+strings.Repeat("x", 90)+"\n", minColumns))
		require.Contains(t, b.String(), continuationMark, "with text behind it")
	}
}

// A pointer that does not fit beside its label is on a line of its own. Other fields,
// which another party may choose, do not move to a line of their own.
func TestAPointerIsNotBrokenBesideItsLabel(t *testing.T) {
	key := hostileKey(t, "below").Pointer().String()
	const wide = 16 + 62
	for _, label := range wholeFields {
		if label == "" {
			continue
		}
		line := fmt.Sprintf("  %-12s  %s\n", label, key)
		require.Equal(t, "a\n"+line+"b", pointersBelow("a\n"+line+"b", wide))
		require.Equal(t, "a\n  "+label+"\n    "+key+"\nb", pointersBelow("a\n"+line+"b", wide-1))
		require.Equal(t, "  "+label+"\n    "+key+"\n", pointersBelow(line, minColumns))
		require.Equal(t, line, pointersBelow(line, 0), "no terminal")
	}
	below := fmt.Sprintf("  %-12s  %s\n", "", key)
	require.Equal(t, "    "+key+"\n", pointersBelow(below, wide-1))
	for _, line := range []string{"  note          " + key + "\n", "  pointer       " + key + " alice\n", "  pointer       x\n", "pointer       " + key + "\n"} {
		require.Equal(t, line, pointersBelow(line, minColumns))
	}
}

// A commitment is whole at every width, as a pointer is: beside its label if it fits,
// and otherwise below it.
func TestACommitmentIsNotBroken(t *testing.T) {
	c, err := pointer.Commit(hostileKey(t, "next").Public())
	require.NoError(t, err)
	var text strings.Builder
	w := bufio.NewWriter(&text)
	printField(w, "next key", c.String())
	printEvidence(w, name.Plain, evidence{Next: c.String(), Entry: "x"})
	(&app{stdout: &text}).printPins(w, contact{Contradictions: []pinContradiction{{Pointer: "p", Claims: []pinClaim{{Next: c.String(), Pin: "claimed"}}}}})
	require.NoError(t, w.Flush())
	// In the text of another party it is wrapped: its hash could be chosen so that the
	// row after it reads as a line of the command.
	hostile := "  note          see " + c.String()
	for wide := minColumns; wide < 130; wide++ {
		var rows strings.Builder
		require.NoError(t, writeRows(&rows, pointersBelow(hostile, wide), wide))
		for row := range strings.SplitSeq(rows.String(), "\n") {
			require.LessOrEqual(t, width(row), wide)
		}
		var b strings.Builder
		require.NoError(t, writeRows(&b, pointersBelow(text.String(), wide), wide))
		require.Equal(t, 3, strings.Count(b.String(), c.String()), "%d columns: %s", wide, &b)
		if wide < width("  next key      "+c.String()) {
			require.Equal(t, 3, strings.Count(b.String(), "\n    "+c.String()+"\n"), "%d columns: %s", wide, &b)
		}
	}
}

// A content path of another party that is broken by the terminal is followed by a row
// with the mark, so that no line of ours follows the row that the path ends in. A value
// that is not a plain path is wrapped with marks: it could have a row look like a link,
// an address or a field.
func TestAPathOfAnotherPartyIsMarked(t *testing.T) {
	for wide := minColumns; wide < 130; wide++ {
		for _, indent := range []string{"", "    "} {
			path := indent + "/ipfs/bafkqaaa/" + strings.Repeat(".", wide-15-len(indent)) + "alice"
			var b strings.Builder
			require.NoError(t, writeRows(&b, path+"\n  record  sequence 1\n", wide))
			require.True(t, strings.HasPrefix(b.String(), path+"\n"+continuationMark), b.String())
			fits := path[:wide]
			b.Reset()
			require.NoError(t, writeRows(&b, fits+"\n  record\n", wide))
			require.Equal(t, fits+"\n  record\n", b.String())
		}
		fill := strings.Repeat("x", wide)
		for _, value := range []string{
			"/ipfs/" + fill + "petname:k51", "/ipfs/" + fill + "?c=1", "/ipfs/" + fill + " alice", "/ipns/" + fill + "é", "/ipfs/" + strings.Repeat("x", maxWholePath),
			"/ip4/127.0.0.1/tcp/1/p2p/" + fill, "http://" + fill, "https://" + fill, "petname:" + fill, "petname pair " + fill, fill, "/ipfs" + fill,
		} {
			for _, indent := range []string{"", "    "} {
				var b strings.Builder
				require.NoError(t, writeRows(&b, indent+value+"\n", wide))
				for _, row := range strings.Split(b.String(), "\n") {
					require.LessOrEqual(t, width(row), wide, "%q", row)
				}
			}
		}
	}
}

// A content path with a percent sign stands whole, and one with spaces as a URI that is read
// as the path.
func TestContentPathsToCopyStandWhole(t *testing.T) {
	const root = "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
	for path, want := range map[string]string{root + "/100%25%": root + "/100%25%", root + "/a b%20c": "ipfs://" + root[len("/ipfs/"):] + "/a%20b%2520c",
		root + "/漢字/é(1)": "ipfs://" + root[len("/ipfs/"):] + "/%E6%BC%A2%E5%AD%97/%C3%A9%281%29", root + "/petname:k51?c=1#": "ipfs://" + root[len("/ipfs/"):] + "/petname%3Ak51%3Fc%3D1%23"} {
		var b strings.Builder
		wrapLine(&b, "    "+path+"\n", 50)
		lines := strings.Split(b.String(), "\n")
		require.Equal(t, "    "+want, lines[0])
		require.True(t, strings.HasPrefix(lines[1], continuationMark))
		got, err := parsePath(want)
		require.NoError(t, err)
		require.Equal(t, path, got)
	}
	var b strings.Builder
	link := pointer.Link{Pointer: pasteKey(t, 'a').Pointer()}.String()
	wrapLine(&b, "petname:x\""+link+")"+strings.Repeat("x", 60)+"\n", 50) // a link in the text of another is not to copy
	require.Contains(t, b.String(), "\n"+continuationMark)
}
