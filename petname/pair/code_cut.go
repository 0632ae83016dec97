package pair

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// ErrCut is returned for a text with a code that can be a part of the one that was meant.
var ErrCut = errors.New("may be cut off or folded: paste all of it, alone and in one line")

// isCut reports whether a code can be a part of the code that was meant: it was cut off, or
// a program that folds lines broke its number or its last word. 110 words of the list begin
// with another word of it, so that such a part can be a code as well.
func isCut(s string, c Code) bool {
	text := htmlTags().ReplaceAllString(strings.ToLower(string(paste.Lines([]byte(s)))), " ")
	numbered := len(listNumber().FindAllString(text, codeLength)) >= codeLength-1
	parts := textParts().FindAllStringIndex(text, -1)
	part := func(i int) string {
		if i < 0 || i >= len(parts) {
			return ""
		}
		return text[parts[i][0]:parts[i][1]]
	}
	isWord := func(i int, want uint16) bool {
		n, ok := pointer.FindWord(part(i))
		return ok && n == int(want)
	}
	// next returns the first part after i that is not the number of a list.
	next := func(i int) int {
		for i++; numbered && isDigits(part(i)); i++ {
		}
		return i
	}
	for i := range parts {
		number := strings.TrimLeft(part(i), "nor°º№")
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n == uint64(c.number) && isWord(next(i), c.first) && !numbered && isDigits(part(i-1)) {
			if joined, err := strconv.ParseUint(part(i-1)+number, 10, 64); err == nil && joined <= maxNumber {
				return true
			}
		}
		if last := next(i); isWord(i, c.secret[0]) && isWord(last, c.secret[1]) {
			behind := text[parts[last][1]:]
			if omission().MatchString(behind) {
				return true
			}
			n, ok := pointer.FindWord(part(last) + textParts().FindString(behind))
			if ok && n != int(c.secret[1]) {
				return true
			}
		}
	}
	return false
}

// isDigits reports whether a text consists of digits.
func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// textParts matches the parts of a text: letters and digits.
var textParts = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[\p{L}\p{M}\p{N}]+`) })

// htmlTags matches the tags of HTML, and no words in angle brackets.
var htmlTags = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`</?[a-z][a-z0-9]*(?:\s[^<>]*=[^<>]*)?\s*/?>`)
})

// omission matches the signs of an omission at the start of a text, after spaces and marks.
var omission = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[^\p{L}\p{M}\p{N}]*(?:…|\.\s?\.\s?\.)`) })
