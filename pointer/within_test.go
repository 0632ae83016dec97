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

// Of two links that differ, or of one that is damaged beside another text, none is taken.
func TestTextWithADamagedOrASecondLinkIsRefused(t *testing.T) {
	l := testLink().String()
	other := Link{Pointer: testKey(3).Pointer()}.String()
	bare := Link{Pointer: testKey(1).Pointer()}.String()
	damaged := l[:len(l)-1] + "8"
	for _, text := range []string{
		l + " " + other,
		"[" + other + "](" + l + ")",
		"[" + url.QueryEscape(other) + "](" + l + ")",
		l + " or " + bare, // without the commitment
		l + "\n" + testKey(3).Pointer().String(),
		testKey(3).Pointer().String() + " is now " + l,
	} {
		_, err := ParseLink(text)
		require.ErrorContains(t, err, "more than one key", "%q", text)
	}
	for _, text := range []string{
		"My link: " + damaged,
		"[x](" + damaged + ")",
		l + " " + damaged,
		damaged + " " + l,
		"My link: " + l[:len(l)-1] + "\n-- \nAna",
		"My link: " + l + "7",
		"My link: " + l + "7 ",
		"My link: " + l + "&x=1",
		url.QueryEscape(damaged),
		strings.ToUpper(l), // its nickname had small letters
		"Petname:" + l[len(linkScheme):],
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
