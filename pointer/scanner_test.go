package pointer

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scannedForms returns an address as mail scanners write it.
func scannedForms(address string) map[string]string {
	v2 := strings.NewReplacer("-", "-2D", "_", "-5F", "/", "_", "%", "-").Replace(strings.ReplaceAll(url.QueryEscape(address), "%2F", "/"))
	v3, replaced := strings.ReplaceAll(address, "+", "*"), strings.Repeat("+", strings.Count(address, "+"))
	encoded := base64.RawURLEncoding.EncodeToString([]byte(replaced))
	return map[string]string{
		"safe links": "https://eur01.safelinks.protection.outlook.com/?url=" + url.QueryEscape(address) + "&data=05%7C01%7Ca%40b.c&sdata=Zz%3D&reserved=0",
		"version 1":  "https://urldefense.proofpoint.com/v1/url?u=" + url.QueryEscape(address) + "&k=x&r=y&s=0123abcd",
		"version 2":  "https://urldefense.proofpoint.com/v2/url?u=" + v2 + "&d=DwMFaQ&c=a&r=b&m=c&s=0123abcd&e=",
		"version 3":  "https://urldefense.com/v3/__" + v3 + "__;" + encoded + "!!abc!def$",
		"of old":     "https://urldefense.proofpoint.com/v3/__" + v3 + "__;" + encoded + "!!abc!def$",
	}
}

// Mail scanners replace addresses. A link in one is read, and so is a pointer at a gateway if
// nothing is behind it. Anything else is refused with what it is, and how to get the link.
func TestAddressesOfMailScannersAreReadOrNamed(t *testing.T) {
	l := testLink()
	l.Nickname = "Ana M"
	key, other := l.Pointer.String(), testKey(3).Pointer().String()
	for address, want := range map[string]Link{
		l.String():                               l,
		Link{Pointer: l.Pointer}.String():        {Pointer: l.Pointer},
		"https://ipfs.io/ipns/" + key:            {Pointer: l.Pointer},
		"https://ipfs.io/ipns/" + key + "/":      {Pointer: l.Pointer},
		"https://" + key + ".ipns.dweb.link/":    {Pointer: l.Pointer},
		"http://" + key + ".ipns.localhost:8080": {Pointer: l.Pointer},
	} {
		for form, scanned := range scannedForms(address) {
			for _, text := range []string{scanned, "My link: " + scanned + "\n-- \nAna", "<" + scanned + ">", scanned + " " + address} {
				got, err := ParseLink(text)
				require.NoError(t, err, "%s: %q", form, text)
				require.Equal(t, want, got, "%s: %q", form, text)
			}
			_, err := ParseLink(scanned + " " + other)
			require.Error(t, err, "%s: another key beside it", form)
			_, err = ParseLink(scanned + " " + testKey(3).Pointer().Words().String())
			require.ErrorAs(t, err, new(*WordsError), form)
		}
	}
	for _, address := range []string{
		"https://example.org/", "https://ipfs.io/ipns/" + key + "/a", "https://" + key + ".ipns.dweb.link/a", "https://ipfs.io/ipns/" + key + "?x=1",
		l.String()[:len(l.String())-1], "https://ipfs.io/ipns/" + key[:len(key)-1], "",
	} {
		for form, scanned := range scannedForms(address) {
			_, err := ParseLink(scanned)
			require.ErrorContains(t, err, "mail scanner", "%s: %q", form, scanned)
		}
	}
	damaged := strings.Replace(scannedForms(l.String())["version 3"], "__;Kw", "__;", 1)
	_, err := ParseLink(damaged)
	require.ErrorContains(t, err, "mail scanner")

	signed := "\nAna, https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fexample.org&data=1"
	got, err := ParseLink(l.String() + signed)
	require.NoError(t, err, "an address that is not of a link changes nothing")
	require.Equal(t, l, got)
}
