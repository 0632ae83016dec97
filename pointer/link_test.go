package pointer

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/lawtest"
	"github.com/petnames-go/petnames/pointer/paste"
)

// testLink has every parameter.
func testLink() Link {
	return Link{Pointer: testKey(1).Pointer(), Next: testCommitment(testKey(2)), Nickname: "Ann & Ü=?#%+"}
}

// summed puts the right checksum behind a link made by hand.
func summed(covered string) string {
	return covered + string(linkSeparator(covered)) + "s=" + linkSum(covered)
}

// Worked out by another program (Python's hashlib and urllib) from Link's
// comment alone.
func TestLinkKeepsItsWireFormat(t *testing.T) {
	require.Equal(t, "petname:k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu4?s=cfcea9a9",
		Link{Pointer: testKey(1).Pointer()}.String())
	require.Equal(t, "petname:k51qzi5uqu5djmw2yvf8kk5cdjc1ddc00o4d5sjwi6f79xzcay9j3gkddw5uu4?c=kmufkns29b861xslpq2zsng9vhtrtfxbgtwtuz0jo7c5wcy4z2c19&n=Ann+%26+%C3%9C%3D%3F%23%25%2B&s=f47cb249",
		testLink().String())
}

func TestLinkParsesToWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Link{Pointer: testKey(rapid.Byte().Draw(t, "key")).Pointer(), Nickname: rapid.StringN(0, 64, 64).Draw(t, "nickname")}
		if rapid.Bool().Draw(t, "next") {
			l.Next = testCommitment(testKey(rapid.Byte().Draw(t, "next key")))
		}
		space := rapid.SampledFrom([]string{"", " ", "\n", "\t\r\n"})
		got, err := ParseLink(space.Draw(t, "before") + l.String() + space.Draw(t, "behind"))
		require.NoError(t, err)
		require.Equal(t, l, got)
	})
}

func TestLinkOfABarePointerIsRead(t *testing.T) {
	p := testKey(1).Pointer()
	for name, s := range spellings(t, p) {
		got, err := ParseLink(s)
		require.NoError(t, err, name)
		require.Equal(t, Link{Pointer: p}, got)
	}
	l, err := ParseLink("alice")
	require.ErrorContains(t, err, `"alice"`)
	require.Zero(t, l)
}

// The checksum has 32 bits, so one change in four thousand million would slip
// by; of these some 60,000 none does, and every position is tried. What other programs
// add to a link changes nothing: the link is read as it was.
func TestEverySingleChangeOfALinkIsRefused(t *testing.T) {
	unknown := summed(strings.TrimSuffix(Link{Pointer: testKey(3).Pointer()}.String()[:len(linkScheme)+62], "?") + "?x=1")
	_, err := ParseLink(unknown)
	require.NoError(t, err)
	tried := 0
	for _, s := range []string{testLink().String(), Link{Pointer: testKey(1).Pointer()}.String(), unknown} {
		want, err := ParseLink(s)
		require.NoError(t, err)
		refuse := func(changed, how string, at int) {
			l, err := ParseLink(changed)
			token := paste.Token(changed)
			if n := len(linkScheme); len(token) > n {
				token = strings.ToLower(token[:n]) + token[n:]
			}
			if err == nil && l == want && token == s {
				return // the same link, with white space, quotes or a capital letter in its scheme
			}
			tried++
			if err == nil {
				t.Fatalf("%s at %d is accepted: %q gives %v", how, at, changed, l)
			}
		}
		var alphabet []string
		for c := ' ' - 1; c <= '~'+1; c++ {
			alphabet = append(alphabet, string(c))
		}
		alphabet = append(alphabet, "\x00", "\n", "\xff", "é", "\u212a")
		every := lawtest.Size(8, 1)
		for at := range len(s) + 1 {
			for i, c := range alphabet {
				if (at+i)%every > 0 {
					continue
				}
				refuse(s[:at]+c+s[at:], "insertion", at)
				if at < len(s) {
					refuse(s[:at]+c+s[at+1:], "substitution", at)
				}
			}
			if at == len(s) {
				break
			}
			refuse(s[:at]+s[at+1:], "deletion", at)
			if at > 0 {
				refuse(s[:at], "cut", at)
			}
			for other := at + 1; other < len(s); other += 1 + at%every {
				refuse(s[:at]+s[other:other+1]+s[at+1:other]+s[at:at+1]+s[other+1:], "transposition", at)
			}
		}
	}
	require.Greater(t, tried, lawtest.Size(10_000, 60_000))
}

func TestUnknownParametersAreIgnoredUnderTheChecksum(t *testing.T) {
	l := testLink()
	covered, _, _ := strings.Cut(l.String(), "&s=")
	with := summed(covered + "&x=1&later=%00")
	got, err := ParseLink(with)
	require.NoError(t, err)
	require.Equal(t, l, got)
	for _, changed := range []string{
		strings.Replace(with, "x=1", "x=2", 1),
		strings.Replace(with, "&x=1", "", 1),
		l.String() + "&x=1",
	} {
		_, err := ParseLink(changed)
		require.ErrorIs(t, err, errLinkSum, changed)
	}
}

func TestLinksWithTheRightChecksumAreRefusedFor(t *testing.T) {
	p := testKey(1).Pointer()
	base := linkScheme + p.String()
	c := testCommitment(testKey(2)).String()
	for why, covered := range map[string]string{
		"c twice":                         base + "?c=" + c + "&c=" + c,
		"n twice":                         base + "?n=a&n=b",
		"n twice, once in percent":        base + "?n=a&%6e=b",
		"unknown twice":                   base + "?x=a&x=b",
		"s twice":                         base + "?s=00000000",
		"an earlier right s":              summed(base),
		"bad percent":                     base + "?n=%zz",
		"semicolon":                       base + "?n=a;b",
		"nickname of 65 bytes":            base + "?n=" + strings.Repeat("a", 65),
		"nickname not UTF-8":              base + "?n=%ff",
		"empty commitment":                base + "?c=",
		"commitment cut":                  base + "?c=" + c[:len(c)-1],
		"commitment in upper case":        base + "?c=" + strings.ToUpper(c),
		"commitment that shows a key":     base + "?c=" + inBase36(t, p.Bytes()),
		"no pointer":                      linkScheme,
		"no pointer, with parameters":     linkScheme + "?n=a",
		"zero pointer":                    linkScheme + "(no pointer)",
		"pointer cut":                     base[:40],
		"pointer in upper case":           linkScheme + strings.ToUpper(p.String()),
		"pointer as peer ID":              linkScheme + spellings(t, p)["peer ID"],
		"pointer as did":                  linkScheme + spellings(t, p)["did:key"],
		"pointer as path":                 linkScheme + "/ipns/" + p.String(),
		"slashes":                         linkScheme + "//" + p.String(),
		"link in a link":                  linkScheme + base,
		"scheme in upper case":            strings.ToUpper(linkScheme) + p.String(),
		"over 2048 bytes":                 base + "?x=" + strings.Repeat("a", maxLink),
		"white space before the checksum": base + " ",
	} {
		l, err := ParseLink(summed(covered))
		require.Error(t, err, why)
		require.Zero(t, l, why)
		require.Less(t, len(err.Error()), 1000, why)
	}
}

func TestLinkOverItsBoundsIsStillReadable(t *testing.T) {
	for _, nickname := range []string{strings.Repeat("a", 65), "\xff"} {
		l := Link{Pointer: testKey(1).Pointer(), Nickname: nickname}
		got, err := ParseLink(l.String())
		require.NoError(t, err)
		require.Equal(t, Link{Pointer: l.Pointer}, got)
	}
}

func FuzzParseLink(f *testing.F) {
	f.Add(testLink().String(), false)
	f.Add(Link{Pointer: testKey(1).Pointer()}.String(), false)
	for _, query := range []string{"", "?n=Ann", "?x=1&n=Ann", "?c=" + testLink().Next.String(), "?n=" + url.QueryEscape("Ü &")} {
		f.Add(linkScheme+testKey(1).Pointer().String()+query, true)
	}
	f.Fuzz(func(t *testing.T, s string, sum bool) {
		if sum {
			s = summed(s)
		}
		l, err := ParseLink(s)
		if err != nil {
			require.Zero(t, l)
			require.Less(t, len(err.Error()), 2000)
			return
		}
		again, err := ParseLink(l.String())
		require.NoError(t, err)
		require.Equal(t, l, again)
	})
}

// A phone capitalises the first letter of a line, and a QR code all of them. The checksum decides.
func TestALinkWithCapitalLettersIsRead(t *testing.T) {
	l := testLink()
	rest := l.String()[len(linkScheme):]
	for _, scheme := range []string{"Petname:", "PETNAME:", "PetName:"} {
		for _, text := range []string{scheme + rest, "My link:\n" + scheme + rest + "\n", "(" + scheme + rest + ")"} {
			got, err := ParseLink(text)
			require.NoError(t, err, "%q", text)
			require.Equal(t, l, got)
		}
		_, err := ParseLink(scheme + rest[:len(rest)-1])
		require.ErrorContains(t, err, "checksum")
	}
	plain := Link{Pointer: l.Pointer, Next: l.Next}
	got, err := ParseLink(strings.ToUpper(plain.String()))
	require.NoError(t, err)
	require.Equal(t, plain, got)
	_, err = ParseLink(strings.ToUpper(l.String()))
	require.ErrorContains(t, err, "in capital letters")
}
