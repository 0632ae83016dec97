package name

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/petnames-go/petnames/pointer"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// The three kinds of name, in each style, are as they were looked at and found
// good in testdata/looks.golden; -update writes it anew. Escapes and isolates
// are spelt out there.
func TestLooksAreGolden(t *testing.T) {
	p := pointerOf("a")
	var got strings.Builder
	for _, style := range []struct {
		name  string
		style Style
	}{{"plain", Plain}, {"terminal", Terminal}, {"colour", Colour}} {
		got.WriteString("# " + style.name + "\n")
		for _, n := range []struct {
			what string
			name Shown
		}{
			{"petname", mustName("alice")},
			{"petname, right to left", mustName("דנה כהן")},
			{"petname with a number", mustName("Bob 2")},
			{"edge name", mustName("alice").Edge("bob")},
			{"edge name, longer", mustName("alice").Edge("bob", "carol ⇒ dave", "a/b", `"~Eve"`)},
			{"edge name, right to left", mustName("דנה").Edge("נועם 12", "x")},
			{"edge name of a pointer", Nickname{Pointer: p}.Edge("bob")},
			{"nickname", Nickname{"Bob W", p}},
			{"nickname, right to left", Nickname{"محمد (7)", p}},
			{"nickname, hostile", Nickname{"\x1b[2Jalice ⇒ bob\" k51…abcdef (you)\n~.2", p}},
			{"nickname, none", Nickname{"\u200b", p}},
		} {
			shown := style.style.Show(n.name)
			got.WriteString(n.what + ": " + strings.NewReplacer("\x1b", "<esc>", firstStrongIsolate, "<fsi>", popIsolate, "<pdi>").Replace(shown) + "\n")
			require.NotContains(t, shown, "\n")
		}
		got.WriteString("other text: " + strings.ReplaceAll(style.style.Text("see /ipfs/x (\u202enow\x1b), alice ⇒ bob \"~Eve\" v.2"), "\x1b", "<esc>") + "\n\n")
	}
	file := filepath.Join("testdata", "looks.golden")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got.String())
}

// No name has the look of one of another kind, whatever it says: without
// colour, and when it is read aloud by what stands before it.
func FuzzLooksAreDistinct(f *testing.F) {
	for _, s := range []string{"alice", "alice ⇒ bob", `"~Bob W" k51…sxel2r`, "k51…sxel2r", "(no name)", "~x", "“~Bob”", "me ⇒ bob", "=> ⇒", "ＫＫ⇛x"} {
		f.Add(s)
	}
	p := pointerOf("a")
	f.Fuzz(func(t *testing.T, s string) {
		nickname := Plain.Show(Nickname{s, p})
		edge := Plain.Show(mustName("alice").Edge(s))
		require.True(t, nickname == p.Short() || strings.HasPrefix(nickname, `"~`) && strings.HasSuffix(nickname, `" `+p.Short()), nickname)
		require.NotContains(t, nickname, "⇒")
		require.True(t, strings.HasPrefix(edge, "alice ⇒ "), edge)
		require.Equal(t, 1, strings.Count(edge, "⇒"))
		require.NotContains(t, edge, `"`)
		n, err := Parse(s)
		if err != nil {
			return
		}
		shown := Plain.Show(n)
		require.NotContains(t, shown, "⇒")
		require.False(t, strings.HasPrefix(shown, `"`) || strings.HasPrefix(shown, "~") || strings.HasPrefix(shown, "("), shown)
		require.NotEqual(t, p.Short(), shown)
		for _, style := range []Style{Plain, Terminal, Colour} {
			bare := strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "", firstStrongIsolate, "", popIsolate, "").Replace(style.Show(n))
			require.Equal(t, shown, bare, "styles differ in colour and isolates alone")
		}
	})
}

func TestReadsAs(t *testing.T) {
	p := pointerOf("a")
	for text, want := range map[string]string{
		"alice": "", "Bob W": "", "J. R.": "", "Dr. Who": "", "Bob.": "", "v1.2": "", "3.14": "", "O'Neil": "", "1984": "", "Anna-Maria": "", "deadbeef": "", "Müller & Söhne": "", "bob.2": "", "": "", "李明": "", "e.g.": "", "½ Bob": "", "Bob ⅓": "", "Ann ℅ Bob": "", "℀": "",
		p.String(): "pointer", strings.ToUpper(p.String()): "pointer", p.Short(): "pointer", pointer.Link{Pointer: p}.String(): "pointer", "petname:anything": "pointer", "did:web:x": "pointer", "12D3KooWabc": "pointer", "k51…": "pointer", "Qm…abcdef": "pointer", "k51qzi5uqu5d": "pointer",
		"alice/bob": "path", "a／b": "path", "alice ⇒ bob": "path", `C:\Users`: "path", "C：＼Users": "path", "a﹨b": "path", "1⁄2 Bob": "path", "½/Bob": "path", "a∕b": "path", "https://bob.example": "path", "~/x": "path",
		"bob.example": "domain", "www.bob.co.uk": "domain", "bob@bob.example": "domain", "ＢＯＢ．ｅｘａｍｐｌｅ": "domain", "пример.рф": "domain", "xn--80ak6aa92e.example": "domain", "192.0.2.7": "domain", "192.0.2.7:80": "domain", "bob.example:8080": "domain", "例え。テスト": "domain", "bob.xn--p1ai": "domain",
		"SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8": "fingerprint", "3AA5 C343 71FE 0C3B": "fingerprint", "16:27:ac:a5:76:28:2d:36": "fingerprint", "0x1f98431c8ad98523631a": "fingerprint",
		p.Words().String():        "fingerprint",
		"27-nurse-detail-jealous": "code", "device-742-tunnel-orbit-candy": "code", "742 Tunnel Orbit Candy": "code", "742_tunn_orbi_cand": "code",
		"27 nurses in detail": "", "27-nurse-detail": "", "2700-tunnel-orbit-candy": "", "bob-nurse-detail-jealous": "",
	} {
		require.Equal(t, want, ReadsAs(text), "%q", text)
	}
	require.Equal(t, "1\u20442 bob", mustName("½ Bob").Key(), "a name of its own, which nothing marks")
}
