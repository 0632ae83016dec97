package name

import (
	"regexp"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/petnames-go/petnames/pointer"
)

// Each form is compiled at its first use.
var (
	domainForm = lazily(`^(?:[^\s@/]+@)?(?:[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}_-]*)[.。．｡])+(?:\p{L}[\p{L}\p{M}]+|xn--[a-zA-Z0-9-]+)\.?(?::[0-9]+)?$|^(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?::[0-9]+)?$`)
	// Hex digits, alone or in groups; letters and digits of a hash or a key in one run.
	fingerprintForm = lazily(`^(?:0x|[A-Za-z0-9]{2,10}:)?[0-9A-Fa-f]{2,}(?:[ :-]?[0-9A-Fa-f]{2,})*$|^(?:[A-Za-z0-9+=]{2,10}[:-])?[A-Za-z0-9+=_-]{24,}$`)
	pointerForm     = lazily(`(?i)^(?:k51|12d3koo|qm|z6mk|b[a-z]f?)[a-z0-9]{0,60}(?:…|\.\.\.?)|^(?:k51|12d3koo)[a-z0-9]{3,}`)
)

// lazily returns a function that compiles the expression at its first call.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// ReadsAs returns what a name could be mistaken for: "pointer", "path",
// "domain", "code" or "fingerprint"; "" for none of them. Callers that display such a
// name add a remark. Petnames cannot be pointers or paths, because Parse
// refuses them. The slash in a fraction or a sign (½, ℅) does not make a path.
func ReadsAs(text string) string {
	written := Clean(text)
	text = strings.TrimSpace(Clean(norm.NFKC.String(text)))
	fold := strings.ToLower(text)
	_, pointerErr := pointer.Parse(strings.TrimRight(text, ".,;:!?"))
	_, wordsErr := pointer.ParseWords(text)
	mixed := strings.ContainsAny(text, "0123456789") && strings.ContainsAny(fold, "abcdefghijklmnopqrstuvwxyz")
	switch {
	case pointerErr == nil, strings.HasPrefix(fold, "petname:"), strings.HasPrefix(fold, "did:"), strings.HasPrefix(fold, "ipns:"), pointerForm().MatchString(text):
		return "pointer"
	case strings.ContainsAny(written, slashes+"\\\uff3c\ufe68"+PathMarks), arrowBetweenWords(written) != "":
		return "path"
	case domainForm().MatchString(text):
		return "domain"
	case isCode(fold):
		return "code"
	case wordsErr == nil, len(text) >= 8 && fingerprintForm().MatchString(text) && mixed:
		return "fingerprint"
	}
	return ""
}

// isCode reports whether a text in lower case has the form of a code for pairing, in which each
// word is one of the list: see package pair.
func isCode(text string) bool {
	parts := strings.FieldsFunc(strings.TrimPrefix(text, "device-"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("_,.", r)
	})
	if len(parts) != 4 || len(parts[0]) > 3 || strings.Trim(parts[0], "0123456789") != "" {
		return false
	}
	for _, part := range parts[1:] {
		if _, ok := pointer.FindWord(part); !ok {
			return false
		}
	}
	return true
}
