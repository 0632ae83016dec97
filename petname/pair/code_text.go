package pair

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// ParseCode parses a code as it is typed: in any case, separated by spaces, hyphens or
// underscores, with the digits of any script, each word whole or abbreviated to its first
// four letters or more, and without what other programs add to it: see package paste. Its
// parts may be numbered. It may follow words without digits; one with hyphens may be
// anywhere in a text, such as a command. Two codes that differ are refused, and so is one
// that can be a part of another: "…" follows it, or its number or its last word is another
// one together with what is beside it. The errors contain the number or the first word if
// that is invalid, and no other input.
func ParseCode(s string) (Code, error) {
	c, err := parseCode(s)
	if err != nil {
		return Code{}, fmt.Errorf("code: %w; it looks like 742-tunnel-orbit-candy", err)
	}
	return c, nil
}

var errTwoCodes = errors.New("has more than one code: paste the one that is meant, alone")

func parseCode(s string) (Code, error) {
	if len(s) > maxCodeText {
		return Code{}, fmt.Errorf("is %d bytes long", len(s))
	}
	s = paste.Digits(s)
	c, err := codeOf(codeParts(paste.Words(s)))
	if err != nil {
		within, werr := codeWithin(s)
		switch {
		case errors.Is(werr, errTwoCodes), werr == nil && hasOtherCode(s, within):
			return Code{}, errTwoCodes
		case werr != nil:
			return Code{}, err
		}
		c = within
	}
	if isCut(s, c) {
		return Code{}, ErrCut
	}
	return c, nil
}

// hasOtherCode reports whether a text has another code than c, in any spelling: a number
// and three parts, at least two of which are words of the list. A mistyped one counts, as
// the text can mean that one.
func hasOtherCode(s string, c Code) bool {
	text := strings.ToLower(paste.Words(s))
	for _, text := range []string{text, listNumber().ReplaceAllString(text, " ")} {
		parts := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		for i, part := range parts {
			if strings.Trim(part, "0123456789") != "" {
				continue
			}
			after := parts[i+1 : min(i+codeLength, len(parts))]
			other, err := codeOf(parts[i : i+1+len(after)])
			if err == nil {
				device := i > 0 && parts[i-1] == deviceWord
				if other.device = device && c.device; other != c {
					return true
				}
				continue
			}
			words := 0
			for _, word := range after {
				if _, ok := pointer.FindWord(word); ok {
					words++
				} else if strings.ContainsAny(word, "0123456789") { // of a list
					words = 0
					break
				}
			}
			if words >= codeLength-2 {
				return true
			}
		}
	}
	return false
}

// codeWithin returns the only code within a text: written with hyphens, or else the last
// parts of it, after words without digits.
func codeWithin(s string) (Code, error) {
	var found Code
	for _, field := range paste.Fields(s) {
		for field := range strings.FieldsFuncSeq(field, func(r rune) bool { return r == ':' || r == '=' }) {
			c, err := codeOf(codeParts(field))
			switch {
			case err != nil:
			case !found.IsZero() && c != found:
				return Code{}, errTwoCodes
			default:
				found = c
			}
		}
	}
	if !found.IsZero() {
		return found, nil
	}
	parts := codeParts(paste.Words(listNumber().ReplaceAllString(s, " ")))
	before := max(0, len(parts)-codeLength)
	if before > 0 && parts[before-1] == deviceWord {
		before--
	}
	if strings.ContainsAny(strings.Join(parts[:before], ""), "0123456789") {
		return Code{}, errors.New("has more than one number")
	}
	return codeOf(parts[before:])
}

// listNumber matches the number of a part in a list, such as "1)" and "2. ".
var listNumber = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:^|\s)[0-9]{1,2}[.):]\s*`) })

// codeParts returns the parts of a text between spaces, hyphens, underscores, commas and full
// stops before a word, in lower case, the first without a number sign.
func codeParts(text string) []string {
	text = dotBeforeWord().ReplaceAllString(strings.ToLower(text), "$1 $2")
	parts := strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || r == '_' || r == ',' || r == '\u2212' // minus
	})
	for i := range min(1, len(parts)) {
		parts[i] = numberSign().ReplaceAllString(parts[i], "$1")
	}
	return parts
}

var dotBeforeWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`([0-9a-z])\.([a-z])`) })

var numberSign = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:#|№|n[or°º]\.?)([0-9]+)$`) })

// codeOf returns the code with the given parts.
func codeOf(parts []string) (Code, error) {
	device := len(parts) == codeLength+1 && parts[0] == deviceWord
	if device {
		parts = parts[1:]
	}
	if len(parts) > 0 && strings.Trim(strings.Join(parts, ""), "0123456789") == "" {
		return Code{}, errors.New("is a number without its three words")
	}
	if len(parts) != codeLength {
		return Code{}, fmt.Errorf("has %d parts, not a number and three words", len(parts))
	}
	if strings.Trim(parts[0], "0123456789") != "" {
		return Code{}, errors.New("does not begin with a number") // the input may be the secret
	}
	number, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil || number < 1 || number > maxNumber {
		return Code{}, fmt.Errorf("number %q is not from 1 to %d", parts[0], maxNumber)
	}
	var words [codeLength - 1]uint16
	for i, part := range parts[1:] {
		n, ok := pointer.FindWord(part)
		switch {
		case !ok && i == 0:
			return Code{}, fmt.Errorf("word 1, %q, is not in the BIP-39 English list", part)
		case !ok:
			return Code{}, fmt.Errorf("word %d is not in the BIP-39 English list", i+1)
		}
		words[i] = uint16(n)
	}
	return Code{uint16(number), words[0], [2]uint16{words[1], words[2]}, device}, nil
}
