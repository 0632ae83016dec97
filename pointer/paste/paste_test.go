package paste

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What is read from another program is read again as it is, and has no characters that
// are not seen. The forms that links, codes and statements come in are tested with their
// parsers, in cmd/petname.
func FuzzToken(f *testing.F) {
	for _, s := range []string{"<petname:k51q?n=%3D&amp;s=0011>.", "> \u200b\ufeffa=3Db=\r\n> c", "\uff30\uff45", "« 742-tunnel »", "#12\u00a03", "\"_~*a*~_\"", "\xff\xfe", "> a=3Db=\f", "a=3D3Db=", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := Token(s)
		require.Equal(t, Words(s), Words(Words(s)))
		require.NotContains(t, token, " ")
		require.NotContains(t, token, "\u200b")
		Words(s)
		Lines([]byte(s))
		Foreign(s)
		Number(s)
	})
}

// A mail that was saved whole is read, too: its headers are not quoted-printable, its text is.
func TestAMailWithHeadersIsDecoded(t *testing.T) {
	const mail = "From: ana\r\nContent-Type: text/plain; charset=utf-8\r\ncontent-transfer-encoding: Quoted-Printable\r\n\r\npetname:k51q?c=3Dkm=\r\nuf&n=3Dx\r\n"
	require.Contains(t, string(Lines([]byte(mail))), "\npetname:k51q?c=kmuf&n=x\n")
	require.Equal(t, "petname:k51q?a=b", Token("petname:k51q?a=&#8203;b"))
}
