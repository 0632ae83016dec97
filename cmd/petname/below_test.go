package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// A value to copy that a mark of the sentence follows, or that does not fit, is whole on a
// line of its own at the end of the message, and in a short form in the sentence.
func TestAValueInASentenceIsCopiedBelowIt(t *testing.T) {
	p := hostileKey(t, "sentence").Pointer()
	key := p.String()
	next, err := pointer.Commit(hostileKey(t, "next").Public())
	require.NoError(t, err)
	const peer = "12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	long := strings.Repeat("long ", 20)
	for _, c := range []struct {
		message, short string
		values         []string
	}{
		{"petname: " + key + ": not in the book", "petname: " + p.Short() + ": not in the book", []string{key}},
		{"is in use for " + key + ", which", "is in use for " + p.Short() + ", which", []string{key}},
		{"(" + key + ")", "(" + p.Short() + ")", []string{key}},
		{key + " and " + key + ".", p.Short() + " and " + p.Short() + ".", []string{key}},
		{"states " + next.String() + ": x", "states " + next.String()[:3] + "…" + next.String()[len(next.String())-6:] + ": x", []string{next.String()}},
		{"peer " + peer + ": x", "peer 12D3Koo…d7LqKC: x", []string{peer}},
		{"router http://127.0.0.1:8080: is no router", "router http://127.0.0.1:8080/…: is no router", []string{"http://127.0.0.1:8080"}},
		{"router https://r.example/a/b, x", "router https://r.example/…, x", []string{"https://r.example/a/b"}},
		{"peer /ip4/127.0.0.1/tcp/1/p2p/" + peer + ": x", "peer /ip4/127.0.0.1/tcp/1/p2p/12D3Koo…d7LqKC: x", []string{"/ip4/127.0.0.1/tcp/1/p2p/" + peer}},
		{"peer /ip4/127.0.0.1/udp/1/quic-v1/p2p/" + peer + ": x", "peer /ip4/127.0.0.1/udp/1/…/p2p/12D3Koo…d7LqKC: x", []string{"/ip4/127.0.0.1/udp/1/quic-v1/p2p/" + peer}},
		{"at /ip4/127.0.0.1/udp/1/quic-v1: x", "at /ip4/127.0.0.1/udp/1/…: x", []string{"/ip4/127.0.0.1/udp/1/quic-v1"}},
		{"one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as " + long, "one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as " + long, nil},
		{long + key + " x", long + p.Short() + " x", []string{key}}, // would not be on one line
		{key, key, nil},
		{"use " + key + " here", "use " + key + " here", nil},
		{`link "` + key + `": x`, `link "` + key + `": x`, nil}, // entered, or of another party
		{`says "see http://evil.example: ` + key + `: x", ` + long, `says "see http://evil.example: ` + key + `: x", ` + long, nil},
		{`says "\"` + key + `: x"`, `says "\"` + key + `: x"`, nil},
		{"x" + key + ": y", "x" + key + ": y", nil},
		{"k" + strings.Repeat("z", 61) + ": x", "k" + strings.Repeat("z", 61) + ": x", nil}, // no key
	} {
		short, values := copiedBelow(c.message, 80)
		require.Equal(t, c.short, short)
		require.Equal(t, c.values, values, c.message)
		short, values = copiedBelow(c.message, 0)
		require.Equal(t, c.message, short, "no terminal")
		require.Empty(t, values)
	}
}

// A next step stays as it is at any width: what it names can be typed.
func TestANextStepStaysWhole(t *testing.T) {
	for _, next := range []string{
		"one looks like http://127.0.0.1:8080, as petname node --http prints it",
		"use the home of " + hostileKey(t, "home").Pointer().String() + "; then",
	} {
		var b strings.Builder
		a := &app{stderr: &b}
		a.writeNext(next, minColumns)
		for word := range strings.FieldsSeq(next) {
			require.Contains(t, b.String(), word)
		}
		require.NotContains(t, b.String(), "…")
	}
}

func parsed(t *testing.T, text string) pointer.Pointer {
	t.Helper()
	p, err := pointer.Parse(text)
	require.NoError(t, err)
	return p
}

// The pointer of a public label, and those of a conflict, are whole on a line of their own
// at any width.
func TestPointersOfLabelsAndConflictsStandAlone(t *testing.T) {
	key, other := hostileKey(t, "label").Pointer().String(), hostileKey(t, "conflict").Pointer().String()
	c := contact{Name: "ana", Pointer: key, Card: &contactCard{Value: firstPath, Edges: map[string]string{"bob": key}},
		Conflict: &contactConflict{Names: []string{"ana"}, Pointers: []string{other, key}}}
	var text strings.Builder
	printCard(&text, name.Plain, c)
	printConflict(&text, name.Plain, c)
	for wide := minColumns; wide < 130; wide++ {
		var b strings.Builder
		require.NoError(t, writeRows(&b, pointersBelow(text.String(), wide), wide))
		alone := 0
		for row := range strings.SplitSeq(b.String(), "\n") {
			if row = strings.TrimSpace(row); row == key || row == other {
				alone++
			}
		}
		require.Equal(t, 3, alone, "%d columns:\n%s", wide, &b)
	}
}

// The steps of an advice stand in their order, each sentence before its commands.
func TestTheStepsOfAnAdviceStandInOrder(t *testing.T) {
	var stderr bytes.Buffer
	a := &app{stderr: &stderr}
	a.writeNext("if it is in use, there:\n  petname device join --again CODE\nif not, here:\npetname device add\nthen there:\n  petname device join CODE", 80)
	require.Equal(t, "try: if it is in use, there:\n  petname device join --again CODE\nif not, here:\n  petname device add\nthen there:\n  petname device join CODE\n", stderr.String())
}
