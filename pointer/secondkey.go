package pointer

import (
	"errors"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer/paste"
)

// errSecondKey is returned for a text with more than one key: which of them is meant is
// not for the parser to decide.
var errSecondKey = errors.New("has more than one key: paste the one that is meant, alone")

// hasSecondKey reports whether a text that was read as p has a key beside that of p.
// The same key in a second PEM block, or in a block or JSON beside a link, counts as well.
func hasSecondKey(s string, p Pointer) bool {
	s = string(paste.Lines([]byte(s)))
	if len(linksWithin(s)) > 0 && (strings.Contains(s, pemBegin) || strings.Contains(s, `"kty"`)) {
		return true
	}
	blocks := strings.Count(s, pemBegin)
	if trimmed := strings.TrimSpace(s); strings.HasPrefix(trimmed, pemBegin) {
		blocks--
		_, s, _ = strings.Cut(trimmed, "-----END ") // the lines of the block are no keys
	}
	if blocks > 0 || !strings.HasPrefix(strings.TrimSpace(s), "{") && strings.Contains(s, `"kty"`) {
		return true
	}
	for _, field := range strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || r == ',' || r == ';' }) {
		field = paste.Token(field)
		if strings.HasPrefix(field, sshBlob) && len(field) > 2*len(sshBlob) {
			if other, err := parseSSH(sshKind + " " + field); err != nil || other != p {
				return true
			}
		}
		if link, err := parseLink(field); err == nil && link.Pointer != p {
			return true
		}
		if other, err := parse(field); err == nil && other != p {
			return true
		}
	}
	for _, key := range keyForm().FindAllString(norm.NFKC.String(s), -1) {
		if other, err := parse(key); err == nil && other != p {
			return true
		}
	}
	return false
}

// keyForm matches a canonical pointer or a peer ID of an Ed25519 key, wherever it stands in a text.
var keyForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`k51qzi5uqu5d[0-9a-z]{50}|K51QZI5UQU5D[0-9A-Z]{50}|12D3KooW[1-9A-HJ-NP-Za-km-z]{44}`)
})
