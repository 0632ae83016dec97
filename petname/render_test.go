package petname

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// chatBook has alice, Bob W, J. R. "Bob" Dobbs and دانیال; a removed carol, and
// one name in conflict with itself on two devices is in another test.
func chatBook(t testing.TB) *Book {
	b := newTestBook(t)
	for seed, name := range map[string]string{"a": "alice", "b": "Bob W", "j": `J. R. "Bob" Dobbs`, "d": "دانیال", "c": "carol"} {
		_, err := b.Add(mustName(name), pointer.Link{Pointer: pointerOf(seed), Nickname: "nick " + seed}, Source{Lookalike: true})
		require.NoError(t, err)
	}
	_, err := b.Remove(pointerOf("c"))
	require.NoError(t, err)
	require.NoError(t, b.SetNickname("Myself"))
	return b
}

func TestRender(t *testing.T) {
	b := chatBook(t)
	a, stranger := pointerOf("a"), pointerOf("x")
	named := pointer.Link{Pointer: stranger, Nickname: `Al" k51…eve`, Next: commitment("x")}
	for wire, screen := range map[string]string{
		"":                        "",
		"ask " + a.String() + ".": "ask @alice.",
		a.String() + "," + pointerOf("b").String():      `@alice,@"Bob W"`,
		"(" + strings.ToUpper(a.String()) + ")?":        "(@alice)?",
		"ipns://" + a.String() + " /ipns/" + a.String(): "@alice @alice",
		a.String() + "的":                                a.String() + "的", // no word boundary: nothing is guessed
		"ipns://" + a.String() + "/file":                "ipns://" + a.String() + "/file",
		"https://" + a.String() + ".ipns.example":       "https://" + a.String() + ".ipns.example",
		pointerOf("j").String():                         `@"J. R. \"Bob\" Dobbs"`,
		stranger.String():                               "@" + stranger.Short(),
		named.String() + "!":                            `@"~Al' k51…eve" ` + stranger.Short() + "!",
		named.String() + "0":                            named.String() + "0", // mistyped
		pointerOf("c").String():                         `@"~nick c" ` + pointerOf("c").Short(),
		pointerOf("me").String():                        `@"~Myself" ` + pointerOf("me").Short(),
		"@alice says \\@alice, a@b.example @ 5":         `\@alice says \\\@alice, a@b.example @ 5`,
		`@"~Bob W" k51…sxel2r`:                          `\@"~Bob W" k51…sxel2r`,
		"one\r\ntwo\x1b[2J\u202e\n@alice":               "one \ntwo[2J\n\\@alice",
		"@" + a.String() + " \\" + a.String():           `@@alice \\@alice`,
		`@"` + a.String() + `"`:                         `\@"@alice"`,
		a.String() + "\u0627":                           a.String() + "\u0627",
		"\uff20alice, \ufe6balice":                      `\@alice, \@alice`,
	} {
		r, err := Render(wire, b)
		require.NoError(t, err)
		require.Equal(t, screen, r.Text, "%q", wire)
	}
	// what is typed
	for typed, wire := range map[string]string{
		"hi @alice, and alice": "hi " + a.String() + ", and alice",
		"@ALICE":               a.String(),
		`(@"bob  w")`:          "(" + pointerOf("b").String() + ")",
		"@دانیال!":             pointerOf("d").String() + "!",
		"me@alice \\@alice @ ": "me@alice @alice @ ",
		`\\@alice`:             `\` + a.String(),
	} {
		got, err := Unrender(typed, b)
		require.NoError(t, err)
		require.Equal(t, wire, got, "%q", typed)
	}
	for _, typed := range []string{"@nobody", `@"No Body"`, "@carol", "@" + stranger.Short(), `@"~alice" ` + pointerOf("a").Short()} {
		_, err := Unrender(typed, b)
		require.ErrorIs(t, err, ErrNotFound, typed)
	}
}

// Renaming changes how everything old is shown, at once.
func TestRenamingShowsAtOnce(t *testing.T) {
	b := chatBook(t)
	old := "from " + pointerOf("a").String() + " to " + pointerOf("b").String()
	before := must(Render(old, b))
	require.Equal(t, `from @alice to @"Bob W"`, before.Text)
	must(b.Rename(pointerOf("a"), mustName("Bob Wonder"), Source{}))
	must(b.Remove(pointerOf("b")))
	require.Equal(t, `from @"Bob Wonder" to @"~nick b" `+pointerOf("b").Short(), must(Render(old, b)).Text)
	require.Equal(t, old, must(Unrender(must(Render(old, b)).Text, b, pointerOf("b"))))
	// A name of two contacts on two devices resolves to neither until the
	// conflict is resolved.
	one, two := nameConflict(t)
	for _, book := range []*Book{one, two} {
		r := must(Render(pointerOf("b").String(), book))
		require.Equal(t, "@"+pointerOf("b").Short(), r.Text)
		_, err := Unrender("@bob", book)
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict)
	}
}

// The attack: a sender continues after a pointer in the form of an edge name.
// The reader sees that the arrow is the sender's text.
func TestNoTextBehindAMentionIsAnEdgeName(t *testing.T) {
	b := chatBook(t)
	for text, shown := range map[string]string{
		pointerOf("a").String() + " ⇒ bob":     `@alice \⇒ bob`,
		pointerOf("a").String() + "⇒bob":       `@alice\⇒bob`,
		pointerOf("a").String() + ` \⟹ bob`:    `@alice \\\⟹ bob`,
		pointerOf("a").String() + " and a ⇒ b": `@alice and a ⇒ b`,
		"a ⇒ b":                                "a ⇒ b",
		`a \⇒ b`:                               `a \\⇒ b`,
	} {
		r, err := Render(text, b)
		require.NoError(t, err)
		require.Equal(t, shown, r.Text)
		back, err := Unrender(r.Text, b)
		require.NoError(t, err)
		require.Equal(t, text, back)
	}
}

// What is rendered goes back to what it was, and nothing that a sender writes
// shows as a mention that it didn't make by a pointer.
func TestRenderAndBack(t *testing.T) {
	b := chatBook(t)
	pieces := []string{"@", `\`, `"`, "~", " ", "\n", "alice", "@alice", `@"Bob W"`, `@"~x" k51…abcdef`, "me@x.example", ".", "(", ")", "⇒", "⟹", "…", "…abcdef", "é", "ア", "k51", "/", "?", "=", "-", "_", "\u0301x", "دانیال"}
	for _, seed := range []string{"a", "b", "c", "d", "j", "x", "y", "me"} {
		p := pointerOf(seed).String()
		pieces = append(pieces, p, " "+p+" ", " "+p) // those between spaces are sure to be mentions
	}
	seen := map[int]int{}
	rapid.Check(t, func(rt *rapid.T) {
		wire := name.Scrub(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(rt, "pieces"), ""), true)
		r, err := Render(wire, b)
		require.NoError(rt, err)
		back, err := Unrender(r.Text, b, r.Unnamed...)
		require.NoError(rt, err)
		require.Equal(rt, wire, back, "%q", r.Text)
		seen[len(mentions(wire))]++
		// and a second reading is of the first one's text, not of its mentions
		again, err := Render(r.Text, b)
		require.NoError(rt, err)
		require.Empty(rt, mentionsOf(again.Text, mentions(r.Text)))
	})
	require.Greater(t, len(seen), 2, "%v", seen)
}

// mentionsOf are the mentions in a screen text, when the text that it shows has
// none.
func mentionsOf(screen string, real []textPointer) (shown []string) {
	if len(real) > 0 {
		return nil
	}
	for i := range screen {
		if screen[i] == '@' && boundary(screen[:i]) && backslashes(screen[:i])%2 == 0 && mentionForm().MatchString(screen[i:]) {
			shown = append(shown, screen[i:])
		}
	}
	return shown
}

func FuzzRender(f *testing.F) {
	b := chatBook(f)
	for _, s := range []string{"hi", "@alice " + pointerOf("a").String(), `\\@"x\"y"`, link("x").String() + "?", "\xff@\x1b", "petname:" + pointerOf("b").String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, wire string) {
		r, err := Render(wire, b)
		require.NoError(t, err)
		require.Equal(t, r.Text, name.Scrub(r.Text, true), "what is shown is clean")
		if back, err := Unrender(r.Text, b, r.Unnamed...); err == nil {
			again, err := Render(back, b)
			require.NoError(t, err)
			require.Equal(t, len(mentions(name.Scrub(wire, true))), len(mentions(back)), "%q %q", back, again.Text)
		} else {
			t.Fatalf("%q: %v", r.Text, err)
		}
	})
}
