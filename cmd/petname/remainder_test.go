package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// What is behind a pointer in a content path, a URI or a URL is read as publish reads it, and
// refused with status 2 if it could lead elsewhere.
func TestThePathBehindAPointer(t *testing.T) {
	p := pasteKey(t, 'a').Pointer()
	key := p.String()
	for text, rest := range map[string]string{
		key: "", "alice/bob": "", "/ipns/" + key: "", "/ipns/" + key + "/": "", "ipns://" + key + "/": "",
		"https://ipfs.io/ipns/" + key + "?a=b": "", "https://" + key + ".ipns.dweb.link/#x": "", "did:key:" + key: "",
		"/ip4/127.0.0.1/tcp/1/p2p/" + key: "", pointer.Link{Pointer: p}.String(): "", "\"/ipns/" + key + "\".": "",
		"/ipns/" + key + "/a": "/a", "/ipns/" + key + "/a/b/": "/a/b", "dnslink=/ipns/" + key + "/a": "/a", "\"/ipns/" + key + "/a\"": "/a",
		"ipns://" + key + "/a%3Fb": "/a?b", "IPNS://" + key + "/a": "/a", "https://ipfs.io/ipns/" + key + "/a?filename=b": "/a",
		"https://" + key + ".ipns.dweb.link/a": "/a", "/ipns/" + key + "/ipfs/x": "/ipfs/x",
	} {
		got, err := remainderOf(text)
		require.NoError(t, err, text)
		require.Equal(t, rest, got, text)
	}
	for _, text := range []string{
		"/ipns/" + key + "/..", "/ipns/" + key + "/a/../b", "/ipns/" + key + "/./a", "/ipns/" + key + "//a", "/ipns/" + key + "/a//",
		"/ipns/" + key + "/a?b", "/ipns/" + key + "/a#b", "ipns://" + key + "/a?b", "ipns://" + key + "/a#b", "ipns://" + key + "/%2e%2e",
		"https://ipfs.io/ipns/" + key + "/a?b=c", "https://ipfs.io/ipns/" + key + "/a#b", "https://" + key + ".ipns.dweb.link/a/%2E%2E/b",
		"/ipns/" + key + "/a\nb", "/ipns/" + key + "/a\x1b",
	} {
		_, err := remainderOf(text)
		require.Error(t, err, text)
		require.Equal(t, exitUsage, classify(err).Exit, text)
	}
}

// The value of a record is of another party: the path that is behind the pointer is added to a
// content path alone.
func TestAPathIsNotAddedToAHostileValue(t *testing.T) {
	for value, want := range map[string]string{"/ipfs/C": "/ipfs/C/a", "/ipfs/C/": "/ipfs/C/a", "/ipns/x/y": "/ipns/x/y/a"} {
		got, err := withRemainder(value, "/a")
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, value := range []string{"", "https://example.org", "ipfs/C", "/ipfs/C/..", "/ipns/x/./y", "/"} {
		_, err := withRemainder(value, "/a")
		require.Error(t, err, value)
	}
}

// What follows a pointer is its path or is refused: a path is not dropped because the text was
// folded, has a space, or has other words before it.
func TestNoPathBehindAPointerIsDropped(t *testing.T) {
	p := pasteKey(t, 'a').Pointer().String()
	pkarr, err := pasteKey(t, 'a').Pointer().As(pointer.FormPkarr)
	require.NoError(t, err)
	for text, rest := range map[string]string{
		"pk:" + pkarr: "", "did:dht:" + pkarr + "#0": "",
		"petname resolve /ipns/" + p + "/x": "/x", "my folder: ipns://" + p + "/x": "/x", "Petnames: https://" + p + ".ipns.dweb.link/x": "/x", "ipns://" + p + "%2Fx": "/x",
		"petname resolve /ipns/" + p: "", "see /ipns/" + p + ". Regards": "", `<a href="/ipns/` + p + `">site</a>`: "", "> /ipns/" + p + "/\n> ": "", "ipns://" + p + "\u2026": "",
		"(/ipns/" + p + "/) or so": "", "'/ipns/" + p + "'": "", "/ipns/alice/x": "",
	} {
		got, err := remainderOf(text)
		require.NoError(t, err, "%q", text)
		require.Equal(t, rest, got, "%q", text)
	}
	for _, text := range []string{
		"https://dweb.link/ipns/" + p + "/\ndir/file", "ipns://" + p + "/\nx", "/ipns/" + p + "\n/x", "> /ipns/" + p + "/\n> dir", "/ipns/" + p + "/ dir", "/ipns/" + p + " /dir",
		"petname resolve /ipns/" + p + "/a b", "petname resolve /ipns/" + p + "/\nx", "petname resolve /ipns/" + p + "\n/x", "/ipns/" + p + "\ndir", "https://" + p + ".ipns.dweb.link\n/x", "https://" + p + ".ipns.dweb.link/\nx",
		"/ipns/" + p + "/\u2026", "/ipns/" + p + "/...", "/ipns/" + p + "\"/x", "/ipns/" + p + "<wbr>/x", "/ipns/" + p + "/<wbr>x", "/ipns/" + p + "/(\n2)", "ipns:" + p + "/\nx", "dnslink=/ipns/" + p + "/\nx",
		"/ipns/" + p + "/\r\nx", "/ipns/" + p + "/\u200b\nx", "/ipns/" + p + "\uff0fx y", "/ipns/" + p + "/Gr\xfc", "ipns://" + p + "/Gr%FC", "pk:" + pkarr + "/x", "pk:" + pkarr + "\n/x", "did:dht:" + pkarr + "/x",
	} {
		got, err := remainderOf(text)
		if err == nil { // as it was typed
			require.NotEmpty(t, got, "%q", text)
			require.Equal(t, "/ipns/"+p+got, text)
			continue
		}
		require.Equal(t, exitUsage, classify(err).Exit, text)
	}
}
