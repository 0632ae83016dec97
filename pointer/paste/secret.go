package paste

import (
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// secrets matches a private key in a text without white space and backslashes, of which
// all dashes are hyphens: the armor of PEM, OpenSSH, PGP and SSH2; keys of age and of
// Petnames; the file of PuTTY; the private members of a JSON Web Key (RFC 7518 §6); and
// the start of the content of OpenSSH, PKCS #8 (Ed25519) and libp2p in base64.
var secrets = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i:-(?:BEGIN|END)[A-Z0-9]*PRIVATEKEY|PRIVATEKEY(?:BLOCK)?----|[A-Z0-9]+-(?:SECRET|SEALING)-KEY-|PuTTY-User-Key-File-)` +
		`|["'](?:d|p|q|dp|dq|qi|k)["']:["'][A-Za-z0-9_-]{16}` +
		`|b3BlbnNzaC1rZXktdjE|MC4CAQAwBQYDK2VwBCIEI|CAESQ[A-Za-z0-9+/]{80}`)
})

// HasSecret reports whether a text has, at any place, a private key in a form that is
// known, also with what other programs add to it. No error quotes such a text.
func HasSecret(s string) bool {
	compact := func(r rune) rune {
		switch {
		case unicode.IsSpace(r), r == '\\', r == 0: // of UTF-16
			return -1
		case unicode.Is(unicode.Pd, r):
			return '-'
		}
		return r
	}
	if secrets().MatchString(strings.Map(compact, s)) {
		return true
	}
	lines := string(Lines([]byte(s)))
	return lines != s && secrets().MatchString(strings.Map(compact, lines))
}
