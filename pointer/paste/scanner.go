package paste

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// scanners matches the addresses that mail scanners write in the place of an address: those of
// Proofpoint's URL Defense, of which version 3 has its text between two underscores and the
// characters that it replaced behind it, and of Outlook's Safe Links.
var scanners = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)\bhttps?://(?:urldefense(?:\.proofpoint)?\.com/(?:v1/url\?|v2/url\?|v3/__)|[a-z0-9.-]+\.safelinks\.protection\.outlook\.com/)[^\s<>"'|)\]]*`)
})

// Unscan returns a text in which an address that a mail scanner wrote is replaced by the one that
// is in it, if use reports true for that one. found reports whether the text has an address of
// a scanner at all.
func Unscan(s string, use func(address string) bool) (text string, found bool) {
	lower := strings.ToLower(s)
	if !strings.Contains(lower, "urldefense") && !strings.Contains(lower, "safelinks") {
		return s, false
	}
	text = scanners().ReplaceAllStringFunc(clean(s), func(address string) string {
		found = true
		if inner := scanned(address); inner != "" && use(inner) {
			return inner
		}
		return address
	})
	if !found {
		return s, false
	}
	return text, true
}

// scanned returns the address within one of a mail scanner; "" if it is damaged.
func scanned(address string) string {
	if at := strings.Index(address, "/v3/__"); at >= 0 {
		return scannedV3(address[at+len("/v3/__"):])
	}
	_, query, _ := strings.Cut(address, "?")
	name := "url"
	if strings.Contains(query, "u=") && !strings.Contains(strings.ToLower(address), "safelinks") {
		name = "u"
	}
	for parameter := range strings.SplitSeq(query, "&") {
		value, ok := strings.CutPrefix(parameter, name+"=")
		if !ok {
			continue
		}
		if name == "u" && strings.Contains(address, "/v2/") {
			value = strings.NewReplacer("-", "%", "_", "/").Replace(value)
		}
		inner, err := url.QueryUnescape(value)
		if err != nil {
			return ""
		}
		return inner
	}
	return ""
}

// scannedV3 returns the address in the rest of one of URL Defense, version 3. A star in it is the
// next of the characters in base64 behind it, and two stars and a letter are a run of them, of
// two for A.
func scannedV3(rest string) string {
	const runs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.LastIndex(rest, "__;")
	if at < 0 {
		return ""
	}
	encoded, _, ok := strings.Cut(rest[at+len("__;"):], "!")
	replaced, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if !ok || err != nil {
		return ""
	}
	left := []rune(string(replaced))
	var b strings.Builder
	for text := rest[:at]; text != ""; {
		star := strings.IndexByte(text, '*')
		if star < 0 {
			b.WriteString(text)
			break
		}
		b.WriteString(text[:star])
		n := 1
		if text = text[star+1:]; len(text) > 1 && text[0] == '*' {
			n, text = strings.IndexByte(runs, text[1])+2, text[2:]
		}
		if n < 1 || n > len(left) {
			return ""
		}
		b.WriteString(string(left[:n]))
		left = left[n:]
	}
	if len(left) > 0 {
		return ""
	}
	return b.String()
}
