package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// What people copy from a browser or from other IPFS software names a content path.
func TestContentPathsAreReadInEachForm(t *testing.T) {
	const (
		v0   = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWKSPTM"
		v1   = "bafkqabtgn5wgizls"
		peer = "12D3KooWJHxrK8rW5yDLLwh7rEvtjMKk9eZftY6q3dkPj18PeiwQ"
		key  = "k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr"
	)
	p, err := pointer.Parse(key)
	require.NoError(t, err)
	didKey, err := p.As(pointer.FormDIDKey)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"/ipfs/" + v1:                           "/ipfs/" + v1,
		"/ipfs/" + v1 + "/a%20b?":               "/ipfs/" + v1 + "/a%20b?", // a path has no escapes
		"ipfs://" + v1:                          "/ipfs/" + v1,
		"ipfs://" + v1 + "/":                    "/ipfs/" + v1 + "/",
		"ipfs:" + v1:                            "/ipfs/" + v1,
		"IPFS://" + v0 + "/a/b":                 "/ipfs/" + v0 + "/a/b", // of v0 the case counts
		"ipfs://" + v1 + "/a%20b":               "/ipfs/" + v1 + "/a b",
		"ipns://docs.example.org":               "/ipns/docs.example.org",
		"ipns://" + key + "/x":                  "/ipns/" + key + "/x",
		v0:                                      "/ipfs/" + v0,
		v1 + "/a":                               "/ipfs/" + v1 + "/a",
		key:                                     "/ipns/" + key,
		peer:                                    "/ipns/" + peer,
		"/ipns/" + peer + "/a":                  "/ipns/" + peer + "/a",
		"https://ipfs.io/ipfs/" + v1 + "/a%20b": "/ipfs/" + v1 + "/a b",
		"https://ipfs.io/ipfs/" + v1 + "/a?filename=b.txt&download=true": "/ipfs/" + v1 + "/a",
		"https://" + v1 + ".ipfs.gateway.example/a%20b":                  "/ipfs/" + v1 + "/a b",
		didKey: "/ipns/" + key, "<" + didKey + ">.": "/ipns/" + key,
		"https://" + v1 + ".ipfs.dweb.link/ipfs/" + v0:  "/ipfs/" + v1 + "/ipfs/" + v0, // as such a gateway serves it
		"https://" + key + ".ipns.dweb.link/ipfs/" + v0: "/ipns/" + key + "/ipfs/" + v0,
		"https://www.ipfs.io/ipfs/" + v1:                "/ipfs/" + v1,
		"https://" + key + ".ipns.gateway.example":      "/ipns/" + key,
		v1 + ".":                        "/ipfs/" + v1, // as pasted
		"<ipfs://" + v1 + ">":           "/ipfs/" + v1,
		"\u201c/ipns/" + key + "\u201d": "/ipns/" + key,

		"[site](ipfs://" + v1 + "/a)":         "/ipfs/" + v1 + "/a",
		`<a href="/ipfs/` + v1 + `">site</a>`: "/ipfs/" + v1,
		"My site: /ipfs/" + v1 + ".":          "/ipfs/" + v1,
		"added " + v1 + " index.html":         "/ipfs/" + v1, // of Kubo's add
		v1 + " " + v1:                         "/ipfs/" + v1,
		"My link: " + pointer.Link{Pointer: pasteKey(t, 'a').Pointer()}.String(): "/ipns/" + pasteKey(t, 'a').Pointer().String(),
	} {
		got, err := parsePath(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	// What is added to a name is dropped or refused, and never signed.
	for _, text := range []string{"/ipns/" + key + ">", "/ipns/ " + key, "ipns://" + key + "\u2026", "/ipns/" + key + "..", "/ipns/" + key + "."} {
		if got, err := parsePath(text); err == nil {
			require.Equal(t, "/ipns/"+key, got, text)
		}
	}
	for _, text := range []string{"", "ipfs://" + v1 + "?a=b", "ipns://" + key + "#a", "ipfs://" + v1 + "/100%",
		"ipld://" + v1, "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a", "https://a--b.ipns.gateway.example/x", "https://nothing.ipfs.gateway.example/x",
		"https://ipfs.io/ipfs/" + v1 + "?format=raw", "nonsense", "https://example.org", "https://example.org/ipfs/" + v1 + "?a=b",
		"/ipns/" + key[:len(key)-1] + " /ipfs/" + v1, v0 + " " + v1, "https://ipfs.io/ipfs/" + v1 + "/a b?c=d",
		"/ipns/cleo", "ipns://" + key[:len(key)-1], "/ipns/a..b", "/ipns/-a.b"} {
		_, err := parsePath(text)
		require.Error(t, err, text)
		require.Equal(t, exitUsage, classify(err).Exit)
	}
}

// What is signed is the path that was given: with its spaces, and without those around it.
// One whose end is in doubt is refused.
func TestNoOtherPathIsSigned(t *testing.T) {
	const root = "/ipfs/bafkqabtgn5wgizls"
	for text, want := range map[string]string{
		`"` + root + `/My Photos"`:                 root + "/My Photos",
		"\u201c" + root + "/My Photos\u201d.":      root + "/My Photos",
		"„" + root + "/My Photos“":                 root + "/My Photos",
		"<ipfs:/" + root[5:] + "/My Photos>":       root + "/My Photos",
		" \t" + root + "/My Photos \n":             root + "/My Photos",
		"\ufeff" + root + "/My Photos\u200b\u200f": root + "/My Photos",
		root + "/a\u200d \u180e":                   root + "/a",
		`"` + root + `/My Photos (2)"`:             root + "/My Photos (2)",
		`"` + root + `/it's"`:                      root + "/it's",
		root + "/❤\ufe0f":                          root + "/❤\ufe0f",
		root + "/a'":                               root + "/a'",
		`"` + root + "/❤\ufe0f\"":                  root + "/❤\ufe0f",
		`"` + root + "/ａ&amp;b\"":                  root + "/ａ&amp;b",
		"**" + root + "/a**":                       root + "/a",
		"'" + root + "/It’s (here)', ":             root + "/It’s (here)",
		"> " + root[:14] + "\n> " + root[14:]:      root,
		root[:14] + "\r\n" + root[14:] + "/a b":    root + "/a b",
		"Photos at (" + root + "/a)":               root + "/a",
		"Photos at " + root + "/a":                 root + "/a",
		"petname publish " + root:                  root,
		"petname publish '" + root + "/a'":         root + "/a",
	} {
		got, err := parsePath(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	for _, text := range []string{
		"Photos at " + root + "/My Holiday", "petname publish " + root + "/a b", "it's at " + root + "/it's", "at " + root + "/Photos(2)", "at " + root + "/f()", "at (" + root + "/f())",
		"at " + root + "/a\"b", "at " + root + "/a'", "at " + root + "/My\nHoliday", root + "/My\nHoliday", root + "/My \nHoliday", "\"" + root + "/My\n> Holiday\"", root + "/a\x00", "ipfs:/" + root[5:] + "/%0a",
		"at <" + root + "/My Holiday> now", "at " + root + "/Hello!", root + "/a\n" + root + "/a", "at " + root + "/\u2019tis",
		"at " + root + "/ａ", "at " + root + "/❤\ufe0f", "at " + root + "/a&amp;b", "> \"" + root + "/ａ\"",
	} {
		got, err := parsePath(text)
		require.Error(t, err, "%q: %q", text, got)
		require.Equal(t, exitUsage, classify(err).Exit)
	}
}

// What is signed has the bytes and the path of the text: no path behind a pointer is dropped, no
// byte is replaced, and no part leads elsewhere.
func TestNoPathIsSignedThatIsNotTheText(t *testing.T) {
	const c = "/ipfs/bafkqabtgn5wgizls"
	p := pasteKey(t, 'a').Pointer()
	key := "/ipns/" + p.String()
	link := pointer.Link{Pointer: p}.String()
	pkarr, err := p.As(pointer.FormPkarr)
	require.NoError(t, err)
	for text, want := range map[string]string{
		"Petnames folder: " + key + "/x": key + "/x", "petname publish " + key + "/x": key + "/x", "petname publish " + key: key, "My petname: " + link + ".": key,
		c + "/..a/.b/...": c + "/..a/.b/...", "ipfs:/" + c[5:] + "/Gr%C3%BC": c + "/Grü", c + "/a�": c + "/a�",
	} {
		got, err := parsePath(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, want, got, "%q", text)
	}
	for _, text := range []string{
		"ipfs:/" + c[5:] + "/Gr%FC", c + "/Grp\xfc", c[6:] + "/\xfc", "see " + c + "/\xfc", "https://ipfs.io" + c + "/%FC", "\"" + c + "/\xfc\"",
		c + "/%2e%2e/x", c + "/.%2E/x", key + "/%2e/x", "new:" + c + " old: /ipfs/bafkqabtgn5wgizmm", "👉" + c + " not /ipfs/bafkqabtgn5wgizmm", "👉" + c + " " + link, "new:bafkqablnn53gkza old " + c, "new=bafkqablnn53gkza old " + c, "👉bafkqablnn53gkza (old: " + c + ")", "链接bafkqablnn53gkza 旧 " + c, "bafkqablnn53gkza.ipfs.dweb.link old " + c,
		"👉https://bafkqablnn53gkza.ipfs.dweb.link old " + c, "ipfs ://bafkqablnn53gkza not " + c, "⁄ipfs⁄bafkqablnn53gkza old " + c, "Petname:" + link[8:] + " not " + c, "x/ipns/docs.example.org " + c,
		c + "/../bafkqabtgn5wgizls", "ipfs:/" + c[5:] + "/..%2Fbafkqabtgn5wgizls", key + "/../x", key + "/./x", c + "/..", c[6:] + "/../x", "https://ipfs.io" + c + "/../x", "https://ipfs.io" + c + "/%2e%2e/x", "see " + c + "/../x", "'" + c + "/..'", c + "/a/..\n",
		"pk:" + pkarr + "/x", "see pk:" + pkarr + "/x", "did:dht:" + pkarr + "/x",
		"petname publish " + key + "\n/x", "see " + c + "\n/x", "see " + c + " /x", "petname publish " + key + "/ x", link + " " + c, "petname publish " + link + " or " + c + "/x", link + " /x", link + "/x", "Petnames folder: " + key + "/x y",
	} {
		got, err := parsePath(text)
		require.Error(t, err, "%q: %q", text, got)
		require.Equal(t, exitUsage, classify(err).Exit)
	}
}
