package name

import (
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
	"pgregory.net/rapid"
)

// publishedEmoji returns each sequence of Unicode's emoji-test.txt, in all the
// forms of that file: with all of its selectors, with some, and with none.
func publishedEmoji(t *testing.T) []string {
	b, err := os.ReadFile("testdata/emoji.txt")
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(b), "\n")
	all := strings.Fields(list)
	require.Len(t, all, 5225)
	return all
}

var selectors = strings.NewReplacer("\ufe0f", "", "\ufe0e", "")

// Each emoji that a phone types is a name and stays whole on the screen, alone
// and in a word; with and without its selectors it is the same name. An emoji of
// later Unicode tables than those of this program is a name in a ledger.
func TestEveryEmojiIsAName(t *testing.T) {
	names, later := 0, 0
	for i, e := range publishedEmoji(t) {
		for j, text := range []string{e, "Bob " + e, e + "Bob" + e} {
			if i%3 != j && !lawtest.Long() {
				continue
			}
			if strings.ContainsFunc(e, func(r rune) bool { return unicode.Is(unicode.Cn, r) }) {
				require.True(t, IsName(text), "%+q", text)
				require.Contains(t, Recorded(text).String(), "\\u{")
				later++
				continue
			}
			n, err := Parse(text)
			if strings.HasPrefix(text, "〰") {
				require.Error(t, err, "it starts as a nickname does")
				continue
			}
			require.NoError(t, err, "%+q", text)
			plain := mustName(selectors.Replace(text))
			require.Equal(t, plain, n, "%+q", text)
			require.Equal(t, n, mustName(n.String()))
			require.Equal(t, n, Recorded(text))
			require.Equal(t, text, Clean(text), "%+q", text)
			require.Equal(t, n.String(), Clean(n.String()))
			require.True(t, Alike(LooksOf(text), Looks(plain)))
			nickname, _ := OfNickname(text)
			require.Equal(t, n.Key(), nickname.Key())
			names++
		}
	}
	t.Logf("%d names, %d of later tables", names, later)
	require.Greater(t, names, lawtest.Size(5000, 15000))
}

// Phones add a selector also to an emoji that Unicode lists without one: the name is the
// same, and the selector is neither in it nor on the screen.
func TestASelectorBehindAnEmojiIsDropped(t *testing.T) {
	single := 0
	for _, e := range publishedEmoji(t) {
		runes := []rune(e)
		if len(runes) != 1 && !(len(runes) == 2 && skinTone(runes[1])) || strings.HasPrefix(e, "〰") || skinTone(runes[0]) {
			continue
		}
		plain, err := Parse(e)
		if err != nil {
			continue // of later tables
		}
		single++
		n, err := Parse(e + "\ufe0f")
		require.NoError(t, err, "%+q", e)
		require.Equal(t, plain, n)
		for _, text := range []string{"Bob " + e + "\ufe0f", e + "\ufe0fBob", e + "\ufe0f" + e + "\ufe0f"} {
			n, err := Parse(text)
			require.NoError(t, err, "%+q", text)
			require.Equal(t, mustName(selectors.Replace(text)), n)
			key, err := Key(text)
			require.NoError(t, err)
			require.Equal(t, n.Key(), key)
			require.Equal(t, n, mustName(Clean(text)), "a nickname")
		}
	}
	require.Greater(t, single, 1900)
}

// Different emoji are different names, except for those that differ in the
// joiners between the same parts.
func TestDifferentEmojiAreDifferentNames(t *testing.T) {
	seen := map[string]string{}
	for _, e := range publishedEmoji(t) {
		key, err := Key(e)
		if err != nil {
			continue
		}
		parts := strings.ReplaceAll(selectors.Replace(e), "\u200d", "")
		if other, found := seen[key]; found {
			require.Equal(t, other, parts, "%+q", e)
		}
		seen[key] = parts
	}
	require.NotEqual(t, mustName("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f").Key(), mustName("🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f").Key(), "England, Scotland")
	require.NotEqual(t, mustName("👍").Key(), mustName("👍🏽").Key())
	require.NotEqual(t, mustName("1️⃣").Key(), mustName("1").Key())
	require.Equal(t, mustName("👩\u200d💻").Key(), mustName("👩💻").Key(), "as older versions cleaned it")
}

// Selectors, joiners and tags are invisible: outside of a published sequence they
// are in no name and not in clean text, so that they carry nothing.
func TestEmojiHaveNoInvisiblePayload(t *testing.T) {
	tags := func(s string) (tags string) {
		for _, r := range s {
			tags += string(tagBase + r)
		}
		return tags
	}
	for text, clean := range map[string]string{
		"a\ufe0f": "a", "1\ufe0f": "1", "漢\ufe0f": "漢", "🐙\ufe0e": "🐙", "🐙\ufe0f\ufe0f": "🐙", "🐙\ufe0f\u200d": "🐙", "🐙 \ufe0f": "🐙", "🏽\ufe0f": "🏽", "♪\ufe0f": "♪", "❤\ufe0f\ufe0f": "❤\ufe0f", "❤\ufe0f\ufe0e": "❤\ufe0f", "❤\ufe00": "❤", "\ufe0f❤": "❤", "❤\U000e0101": "❤",
		"🐙\u200d🐙": "🐙🐙", "👩\u200d🐙": "👩🐙", "👩\u200d\u200d💻": "👩💻", "\u200d👩": "👩", "👩\u200d": "👩", "👩\u200d💻\u200d👩": "👩\u200d💻👩", "a\u200d❤": "a❤", "👩\u200c💻": "👩💻",
		"👩\ufe0f\u200d💻": "👩💻", "👨\u200d❤\ufe0e\u200d👨": "👨❤\ufe0e👨",
		"🏴" + tags("gbeng"): "🏴", "🏴" + tags("usca") + "\U000e007f": "🏴", "🏴" + tags("gbengx") + "\U000e007f": "🏴", "🏴" + tags("secret: 42") + "\U000e007f": "🏴", "🐙" + tags("gbeng") + "\U000e007f": "🐙",
		"🏴" + tags("gbeng") + "\U000e007f" + tags("x"): "🏴" + tags("gbeng") + "\U000e007f", tags("gbeng"): "",
		"a\u20e3": "a", "1\u20e3\u20e3": "1\u20e3", "1\ufe0f\u20e3\ufe0f": "1\ufe0f\u20e3", "12\u20dd": "12",
		"🏽\u200d♂": "🏽♂", "👩🏽🏽\u200d💻": "👩🏽🏽💻",
	} {
		require.Equal(t, clean, Clean(text), "%+q", text)
		_, err := Parse(text)
		require.Error(t, err, "%+q", text)
	}
}

// Any mixture of the parts of emoji has a clean form that is stable, has only
// published sequences, and has no invisible character outside of them.
func TestCleanKeepsOnlyPublishedEmoji(t *testing.T) {
	published := map[string]bool{}
	for _, e := range publishedEmoji(t) {
		published[selectors.Replace(e)] = true
	}
	parts := []rune("ab1#👩👨👧🧑❤💋💻♀♂🏴🏳🌈🐙🏽🏿🇩🇪é\u0301\ufe0f\ufe0f\ufe0e\u200d\u200d\u200d\u20e3\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f")
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom(parts)).Draw(t, "text")
		clean := Clean(text)
		require.Equal(t, clean, Clean(clean))
		for rest := clean; rest != ""; {
			n := emojiSequence(rest)
			if n == 0 {
				r := firstRune(rest)
				require.False(t, isBlank(r) || r == joiner || r == keycap, "%+q of %+q", clean, text)
				n = len(string(r))
			} else {
				require.True(t, published[selectors.Replace(rest[:n])], "%+q", rest[:n])
			}
			rest = rest[n:]
		}
		if n, err := Parse(text); err == nil {
			require.Equal(t, n, mustName(clean))
			require.Equal(t, n.Key(), mustName(n.Key()).Key())
		}
	})
}

// A sequence that later emoji data may have is a name in a ledger: it stays
// readable, equal to no other name, until this program knows it.
func TestUnknownEmojiInALedgerAreNames(t *testing.T) {
	for text, want := range map[string]bool{
		"Bob 🐙\u200d🔥": true, "🏴\U000e0075\U000e0073\U000e0063\U000e0061\U000e007f": true, "\U0001faff\u200d🔥": true,
		"a\u200d🔥": false, "🐙\u200da": false, "🐙\u200d": false, "\u202e🐙\u200d🔥": false, "🐙\u200d🔥 a\u200db": false, "🐙\U000e0061\U000e007f": false, "🏴\U000e0020\U000e0061\U000e007f": false,
	} {
		_, err := Parse(text)
		require.Error(t, err, "%+q", text)
		require.Equal(t, want, IsName(text), "%+q", text)
		if want {
			n := Recorded(text)
			require.Equal(t, n.String(), Clean(n.String()), "what is shown has nothing invisible")
			require.NotEqual(t, n.Key(), Recorded("Bob 🐙🔥").Key())
		}
	}
}
