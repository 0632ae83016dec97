package pointer

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/petnames-go/petnames/pointer/paste"
)

// WordsError is returned for a text with a link or a pointer, and twelve words beside it that are
// those of another key: one of the two was changed, and nothing in the text shows which.
type WordsError struct {
	Pointer Pointer // in the text
	Words   Words   // in the text, of another pointer
}

func (e *WordsError) Error() string {
	return fmt.Sprintf("the words beside it, %q, are not those of %s, which are %q: one of the two was changed; ask the owner for both over another channel",
		e.Words, e.Pointer, e.Pointer.Words())
}

// checkWordsBeside returns a [*WordsError] if a text that was read as p has twelve words with a
// right checksum that are not those of p. Fewer words of the list in a row are prose, and so are
// twelve with a wrong checksum.
func checkWordsBeside(s string, p Pointer) error {
	want := p.Words()
	for _, run := range wordRuns(s) {
		for len(run) >= wordsCount { // the words of p first: others can be valid across their border
			at, right := -1, false
			for i := 0; i+wordsCount <= len(run) && !right; i++ {
				if w := Words(run[i : i+wordsCount]); w == want {
					at, right = i, true
				}
			}
			before := run
			if right {
				before = run[:at]
			}
			for i := 0; i+wordsCount <= len(before); i++ {
				if w := Words(before[i : i+wordsCount]); w.isValid() {
					return &WordsError{Pointer: p, Words: w}
				}
			}
			if !right {
				break
			}
			run = run[at+wordsCount:]
		}
	}
	return nil
}

// wordRuns returns the numbers of the words of each run of twelve words or more of the list of
// BIP-39 in a text. Signs, digits and the marks of HTML can be between them.
func wordRuns(s string) (runs [][]uint16) {
	text := htmlMarks().ReplaceAllString(strings.ToLower(string(paste.Lines([]byte(s)))), " ")
	var run []uint16
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if index, found := FindWord(field); found {
			run = append(run, uint16(index))
			continue
		}
		if len(run) >= wordsCount {
			runs = append(runs, run)
		}
		run = nil
	}
	if len(run) >= wordsCount {
		runs = append(runs, run)
	}
	return runs
}

// htmlMarks matches the marks of HTML.
var htmlMarks = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`<[^<>]*>`) })
