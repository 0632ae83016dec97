package name

import (
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer"
)

// RFC 8266, §3, table 1: nicknames, and what they are compared as.
func TestRFC8266Examples(t *testing.T) {
	for _, test := range []struct{ nickname, compared string }{
		{"Foo", "foo"},
		{"foo", "foo"},
		{"Foo Bar", "foo bar"},
		{"foo bar", "foo bar"},
		{"\u03a3", "\u03c3"}, // capital sigma
		{"\u03c3", "\u03c3"}, // small sigma
		{"\u03c2", "\u03c2"}, // final sigma
		{"\u265a", "\u265a"}, // black chess king
		{"Richard \u2163", "richard iv"},
	} {
		n, err := Parse(test.nickname)
		require.NoError(t, err)
		require.Equal(t, test.compared, n.Key())
		require.Equal(t, test.nickname, n.String(), "the spelling stays")
	}
}

func TestNamesThatAreTheSame(t *testing.T) {
	for _, same := range [][]string{
		{"Swan of Avon", "  Swan  of   Avon   ", "swan\u00a0of\u3000avon", "SWAN\u2003OF AVON"}, // RFC 8266, §2.1
		{"Å", "å", "\u212b", "A\u030a"},
		{"ﬀ", "ff", "FF"},
		{"ａｌｉｃｅ", "Alice"},
		{"한글", norm.NFD.String("한글")},
	} {
		for _, s := range same {
			require.Equal(t, mustName(same[0]).Key(), mustName(s).Key(), s)
		}
	}
	for _, differ := range [][2]string{{"alice", "alicе"}, {"ß", "ss"}, {"\u03c3", "\u03c2"}, {"a b", "ab"}, {"o", "ö"}, {"1", "l"}} {
		require.NotEqual(t, mustName(differ[0]).Key(), mustName(differ[1]).Key(), "%q", differ)
	}
}

func TestNamesInManyScripts(t *testing.T) {
	names := []string{
		"Ünal Çelik", "Алиса", "Αλίκη", "აlისა", "Ալիս", "אליס", "أليس", "آلیس", "अनीता", "ক্ষ", "ਸਿੰਘ", "મીરા", "நிலா", "సీత", "ಗೀತಾ", "മീര",
		"สมชาย", "ລາວ", "བོད", "မြန်မာ", "ខ្មែរ", "አበበ", "ᏣᎳᎩ", "爱丽丝", "愛麗絲", "アリス", "ありす", "앨리스", "ᠮᠣᠩᠭᠣᠯ",
		"O'Brien", "J. R. \"Bob\" Dobbs", "a@b.example", "🐙", "x=1;y", "rm -rf", "1", "'t Hooft", "Nguyễn Văn Ánh", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
	}
	scripts := map[string]bool{}
	for _, s := range names {
		n, err := Parse(s)
		require.NoErrorf(t, err, "%q", s)
		require.Equal(t, s, n.String())
		require.NotEmpty(t, n.Key())
		for script, table := range unicode.Scripts {
			if strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(table, r) }) {
				scripts[script] = true
			}
		}
	}
	require.Greater(t, len(scripts), 20, "scripts that are tried")
}

// pasted are the forms in which pointers come along.
func pasted(t *testing.T) []string {
	p := pointerOf("a")
	did := "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
	_, err := pointer.Parse(did)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(base58(p.Bytes()), "12D3KooW"))
	return []string{
		p.String(), strings.ToUpper(p.String()), did,
		"f01720024" + hex.EncodeToString(p.Bytes()[2:]), "F01720024" + strings.ToUpper(hex.EncodeToString(p.Bytes()[2:])),
		base58(p.Bytes()), "z" + base58(append([]byte{1, 0x72}, p.Bytes()...)),
		"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKPbdG",
		"ipns://" + p.String(), "/ipns/" + p.String(),
	}
}

func base58(b []byte) string {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	var out []byte
	rest, base, digit := new(big.Int).SetBytes(b), big.NewInt(58), new(big.Int)
	for rest.Sign() > 0 {
		rest.DivMod(rest, base, digit)
		out = append(out, digits[digit.Int64()])
	}
	for i := 0; i < len(b) && b[i] == 0; i++ {
		out = append(out, '1')
	}
	slices.Reverse(out)
	return string(out)
}

func TestRefusedNames(t *testing.T) {
	type refused struct{ text, why string }
	for _, looks := range []string{
		`"~Bob W" k51…sxel2r`, "~alice", "“Bob”", "«Bob»", "alice ⇒ bob", "alice╱bob", "alice⟋bob", "bob\ufffd", "k51…sxel2r", "K51…sxel2r",
		pointerOf("a").String() + ".",
	} {
		_, err := Parse(looks)
		require.Error(t, err, "%q reads as another kind of name", looks)
	}
	tests := []refused{
		{"", "empty"}, {" ", "empty"}, {"\u3000\u2002", "empty"}, {"a\tb", "control"}, {"alice\n", "control"},
		{"alice/bob", "slash"}, {"/", "slash"}, {"a\u2044b", "slash"}, {"a\u2215b", "slash"}, {"a\u29f8b", "slash"}, {"a／b", "slash"},
		{"petname:k51", "link"}, {"PetName:anything at all", "link"}, {"ｐetname：x", "link"},
		{"-x", "flag"}, {"--json", "flag"}, {" -", "flag"},
		{"a\x00b", "control"}, {"a\x1b[31mb", "control"}, {"\x7f", "control"}, {"a\u0085b\u009b", "control"}, {"a\u2028b\u200e", "control"},
		{"a\u202eb", "control"}, {"a\u2066b", "control"}, {"a\u200fb", "control"}, {"a\u061cb", "control"}, // bidi
		{"a\u200bb", "control|invisible"}, {"a\u2060b", "control|invisible"}, {"\ufeffa", "control|invisible"}, {"a\u00adb", "control|invisible"},
		{"a\u034fb", "invisible"}, {"\u3164", "invisible"}, {"\uffa0", "invisible"}, {"\u115f", "invisible"}, {"a\ufe0f", "invisible"}, {"❤\ufe0f\ufe0f", "invisible"}, {"a\U000e0100", "invisible"}, {"\u2800", "invisible"},
		{"a\U000e0061b", "control|invisible"}, {"a\U000e0001", "control|invisible"}, // tags
		{"a\u200db", "RFC 8266"}, {"a\u200cb", "RFC 8266"}, {"\u200d", "RFC 8266|empty"}, // joiners where no script wants them
		{"a\U0003fffdb", "unassigned"}, {"\u0378", "unassigned"}, {"\ufdd0", "invisible"}, {"\U0010ffff", "invisible"},
		{"\ue000", "control"}, // private use
		{"\u0301", "combining"}, {"\u0338alice", "combining"}, {" \u20e3x", "combining"},
		{strings.Repeat("a", MaxLen+1), "over 128"}, {strings.Repeat("é", MaxLen/2) + "x", "over 128"},
		{strings.Repeat("\u0958", MaxLen/3), "normal form"}, // two code points each in normal form C
		{"\xff", "UTF-8"}, {"a\xc3", "UTF-8"}, {"\xed\xa0\x80", "UTF-8"}, {"\xc0\xaf", "UTF-8"},
	}
	for _, form := range pasted(t) {
		tests = append(tests, refused{form, "pointer|slash"}, refused{" " + form + "\u00a0", "pointer|slash"})
		if !strings.Contains(form, "/") && len(form) < MaxLen/3 {
			tests = append(tests, refused{strings.Map(func(r rune) rune { return r - '!' + '！' }, form), "pointer"})
		}
	}
	for _, test := range tests {
		n, err := Parse(test.text)
		var bad *Error
		require.ErrorAsf(t, err, &bad, "%q", test.text)
		require.Equal(t, test.text, bad.Text)
		require.True(t, n.IsZero())
		require.Truef(t, slices.ContainsFunc(strings.Split(test.why, "|"), func(why string) bool { return strings.Contains(bad.Reason, why) }), "%q: %s", test.text, bad.Reason)
		require.Equal(t, err.Error(), Clean(err.Error()), "the error is fit to be shown")
		require.Less(t, len(err.Error()), 800)
	}
}

// A link is a name in none of its spellings.
func TestNoLinkIsAName(t *testing.T) {
	next, err := pointer.Commit(testKey("next x").Public())
	require.NoError(t, err)
	l := pointer.Link{Pointer: pointerOf("a"), Next: next, Nickname: "Al"}
	for _, s := range []string{l.String(), strings.ToUpper(l.String()), pointer.Link{Pointer: pointerOf("a")}.String()} {
		_, err := Parse(s)
		require.Error(t, err, s)
	}
}

// What is drawn as nothing is in no name, whatever its category; and no name
// starts as a nickname or a remark is shown, in any script's marks.
func TestNoNameIsBlankOrStartsAsAnotherLook(t *testing.T) {
	for _, s := range []string{
		"alice\U0001d159", "al\ufffcice", "alice\U00013441",
		"\u275d~Bob W\u275e k51", "''~Bob W''", "\u02bc\u2019Bob", "\u3003Bob", "\u2053Bob", "\u301cBob", "\u2033Bob",
		"\uff08no name\uff09", "\u2768no name\u2769", "\u207dme", "\u2985this is you", "\ufe59no name",
	} {
		_, err := Parse(s)
		require.Error(t, err, "%q", s)
	}
	for _, s := range []string{"'t Hooft", "\u2019t Hooft", "[work] Bob", "Bob (work)", "O''Neil", "\u201aBob"} {
		_, err := Parse(s)
		require.NoError(t, err, "%q", s)
	}
	require.Equal(t, "alice", Clean("al\U0001d159ice\ufffc"))
}

// A text of the ledger that only these Unicode tables refuse is a name, and one with
// a misplaced joiner is none by any tables.
func TestOnlyTextsWithoutJoinersAreNamesByOtherTables(t *testing.T) {
	for s, want := range map[string]bool{
		"a\u0378":  true, // unassigned
		"a\u200db": false, "a\u0378\u200db": false, "\u0645\u06cc\u200c\u062e\u0378": false,
	} {
		_, err := Parse(s)
		require.Error(t, err, "%q", s)
		require.Equal(t, want, IsName(s), "%q", s)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"alice", "Σίσυφος", "ﷺ", "\u0958", "Å", "a\u0301", "\u00a8", "한글", "\U000e0061", strings.Repeat("ﷺ", 42), "ΑΣ ΑΣΑ", "İstanbul"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Parse(s)
		if err != nil {
			require.True(t, n.IsZero())
			return
		}
		require.True(t, IsName(s))
		require.Equal(t, n, Recorded(s))
		require.True(t, utf8.ValidString(n.String()))
		require.LessOrEqual(t, len(n.String()), MaxLen)
		require.Equal(t, n.String(), Clean(n.String()), "what is shown is clean")
		again, err := Parse(n.String())
		require.NoError(t, err, "a name is a name when typed again")
		require.Equal(t, n, again)
		key, err := Key(n.Key())
		require.NoError(t, err)
		require.Equal(t, n.Key(), key, "the key is stable")
		require.NotContains(t, n.String(), "/")
		_, err = pointer.Parse(n.String())
		require.Error(t, err)
	})
}
