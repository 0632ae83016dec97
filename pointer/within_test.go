package pointer

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link is read out of the texts in which people receive it.
func TestLinkWithinATextIsRead(t *testing.T) {
	for _, want := range []Link{testLink(), {Pointer: testKey(1).Pointer()}, {Pointer: testKey(1).Pointer(), Next: testCommitment(testKey(2)), Nickname: "ann"}} {
		l := want.String()
		bare := strings.TrimPrefix(l, linkScheme)
		for _, text := range []string{
			"PETNAME:" + bare,
			"petname://" + bare,
			"PETNAME://" + strings.Replace(bare, "?", "/?", 1),
			l + " " + l,
			l + "\n" + l + "\n",
			l + "\n-- \nAna",
			l + "\n--\nAna\nSent from a phone (1/2)",
			"My link: " + l,
			"my petname:" + l,
			"Meine Adresse:\r\n\r\n" + l + ".\r\n\r\nGrüße, Ana",
			"[x](" + l + ")",
			"[" + l + "](" + l + ")",
			"<" + l + ">, ok?",
			`<a href="` + l + `">x</a>`,
			"<a href='" + strings.ReplaceAll(l, "&", "&amp;") + "'>x</a>",
			"‚" + l + "‘ und so",
			"> See " + l + "\n> thanks",
			"Here:\n" + l[:60] + "\n" + l[60:] + "\nAna",
			"add ana '" + l + "'",
			`{"link":"` + strings.ReplaceAll(l, "&", `\u0026`) + `"}`,
			strings.NewReplacer("?", `\?`, "&", `\&`, "=", `\=`).Replace(l),
			url.QueryEscape(l),
			url.PathEscape(l),
			"see " + url.QueryEscape(url.QueryEscape(l)) + " there",
			linkScheme + url.QueryEscape(bare),
			"https://go.example/?to=" + url.QueryEscape(l),
			"https://www.google.com/url?q=" + url.QueryEscape(l) + "&sa=D&source=editors&ust=17",
			"https://eur02.safelinks.protection.outlook.com/?url=" + url.QueryEscape(l) + "&amp;data=05%7C01%7C&amp;sdata=x%3D&amp;reserved=0",
			"https://l.facebook.com/l.php?h=AT0&u=" + url.PathEscape(url.QueryEscape(l)) + "#x",
			"See https://www.google.com/url?q=" + url.QueryEscape(l) + "&sa=D and " + l,
			"key " + want.Pointer.String() + "\nlink " + l,
			strings.Join(strings.Split(l, ""), "\u00ad") + " \u200b\n\u2060-- \nAna",
		} {
			got, err := ParseLink(text)
			require.NoError(t, err, "%q", text)
			require.Equal(t, want, got, "%q", text)
		}
	}
	lower := Link{Pointer: testKey(1).Pointer(), Next: testCommitment(testKey(2)), Nickname: "ané"}
	got, err := ParseLink(strings.ToUpper(lower.String()))
	require.NoError(t, err)
	require.Equal(t, lower, got)
}

// A link can follow a picture, and a letter of a script that is written without spaces.
func TestALinkBesideASignThatIsNotOfASCIIIsRead(t *testing.T) {
	l := testLink()
	for _, before := range []string{"👉", "👉🏽", "➡\ufe0f", "—", "≫", "我的链接", "リンク", "링크", "ลิงก์", "链接："} {
		for _, text := range []string{before + l.String(), l.String() + before, before + l.String() + before + "x"} {
			got, err := ParseLink(text)
			require.NoError(t, err, text)
			require.Equal(t, l, got)
		}
	}
}

// What is appended to links for tracking, and by browsers, is behind the checksum.
func TestTrackingBehindALinkIsIgnored(t *testing.T) {
	l := testLink()
	for _, behind := range []string{"&utm_source=mail", "&utm_source=mail&utm_medium=x", "&fbclid=IwAR0_-x", "#:~:text=hello%20there", "&amp;gclid=1", "&utm_source=mail#:~:text=a"} {
		for _, text := range []string{l.String() + behind, "see <" + l.String() + behind + ">.", url.QueryEscape(l.String() + strings.ReplaceAll(behind, "&amp;", "&"))} {
			got, err := ParseLink(text)
			require.NoError(t, err, text)
			require.Equal(t, l, got, text)
		}
	}
}

// Of two links that differ, or of one that is damaged beside another text, none is taken.
func TestTextWithADamagedOrASecondLinkIsRefused(t *testing.T) {
	l := testLink().String()
	other := Link{Pointer: testKey(3).Pointer()}.String()
	bare := Link{Pointer: testKey(1).Pointer()}.String()
	damaged := l[:len(l)-1] + "8"
	for _, text := range []string{
		l + " " + other,
		"👉" + l + "  my old one was " + other,
		"x" + l + " " + other,
		"http://" + l + " " + other,
		l + " x" + other,
		"Petname:" + other[len(linkScheme):] + "  (my old one was " + l + ")",
		"👉" + testKey(3).Pointer().String() + " old " + l,
		"new:" + testKey(3).Pointer().String() + " " + l,
		"链接" + testKey(3).Pointer().String() + " 旧 " + l,
		"x" + testKey(3).Pointer().String() + " " + l,
		testKey(3).Pointer().String() + ".ipns.dweb.link old " + l,
		"𝗽𝗲𝘁𝗻𝗮𝗺𝗲:" + other[len(linkScheme):] + " old " + l,
		"petname :" + other[len(linkScheme):] + " (old: " + l + ")",
		"petname∶" + other[len(linkScheme):] + " (old: " + l + ")",
		strings.Repeat(l+" ", 17) + other,
		"[" + other + "](" + l + ")",
		"[" + url.QueryEscape(other) + "](" + l + ")",
		l + " or " + bare, // without the commitment
		l + "\n" + testKey(3).Pointer().String(),
		"https://www.google.com/url?q=" + url.QueryEscape(l) + "&u=" + url.QueryEscape(other),
		testKey(3).Pointer().String() + " is now " + l,
	} {
		_, err := ParseLink(text)
		require.ErrorContains(t, err, "more than one key", "%q", text)
	}
	for _, text := range []string{
		"My link: " + damaged,
		"👉" + damaged + " " + l,
		"x" + damaged + " " + l,
		"x" + l,
		"[x](" + damaged + ")",
		l + " " + damaged,
		damaged + " " + l,
		"My link: " + l[:len(l)-1] + "\n-- \nAna",
		"My link: " + l + "7",
		"My link: " + l + "7 ",
		"My link: " + l + "&x=1",
		damaged + "&utm_source=mail",
		l + "7&utm_source=mail",
		l + "&utm_source=" + url.QueryEscape(damaged),
		url.QueryEscape(damaged),
		"https://www.google.com/url?q=" + url.QueryEscape(damaged) + "&sa=D",
		"https://www.google.com/url?q=" + url.QueryEscape(l) + "7&sa=D",
		"https://www.google.com/url?q=" + url.QueryEscape(l[:len(l)-1]) + "&s=" + l[len(l)-8:],
		"https://www.google.com/url?q=" + l + "&sa=D", // its ampersands are those of the URL
		strings.ToUpper(l), // its nickname had small letters
		"https://example.org/" + l,
	} {
		_, err := ParseLink(text)
		require.Error(t, err, "%q", text)
	}
}

// A bare key is read out of a text that has nothing else as long as a key.
func TestBareKeyWithinATextIsRead(t *testing.T) {
	p := testKey(1).Pointer()
	key, other := p.String(), testKey(3).Pointer().String()
	for _, text := range []string{
		"My pointer: " + key, key + " " + key, key + "\n-- \nAna", "[me](" + key + ")", "[me](https://gateway.example/ipns/" + key + "/a).",
		"ana\n  pointer       " + key + "\n  next key      " + testCommitment(testKey(2)).String() + "\n  points to\n    /ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e/a",
		"<a href=\"ipns://" + key + "\">me</a>", key + ", " + spellings(t, p)["did:key"],
	} {
		got, err := ParseLink(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, Link{Pointer: p}, got, "%q", text)
	}
	for _, text := range []string{
		key + " " + other,
		"My pointer: " + key + "\nnot " + other[:len(other)-1],
		"My pointer: " + key[:len(key)-1],
		"  pointer  " + key + "\n  points to  /ipns/" + other,
		"  pointer  " + key + "\n  next key  " + testCommitment(testKey(2)).String()[:50],
		"  pointer  " + key + "\n  points to  /ipfs/" + other,
		"My pointer: " + fullWidthText(key),
		"see https://example.org/a/very/long/page/without/a/key and " + key,
	} {
		_, err := ParseLink(text)
		require.Error(t, err, "%q", text)
	}
}

func fullWidthText(s string) string {
	return strings.Map(func(r rune) rune { return r - '!' + 0xff01 }, s)
}
