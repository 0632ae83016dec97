package main

import (
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// A terminal breaks a long line where it is full. Whoever pads his text to that
// column would have a row begin with what he likes: another contact's line, or
// another field. So lines are broken here, and each further row begins with a
// mark that no line of ours begins with.
const continuationMark = "      | "

// minColumns is the narrowest terminal that rows are made for.
const minColumns = 20

// columns is how wide a stream's terminal is; 0 where it is none.
func terminalWidth(stream any) int {
	f, ok := stream.(*os.File)
	if !ok || !isTerminal(stream) {
		return 0
	}
	wide, _, err := term.GetSize(int(f.Fd()))
	if err != nil || wide < minColumns {
		return 0
	}
	return wide
}

// rows writes text with its lines broken to rows of so many columns; 0 leaves
// them as they are.
func writeRows(w io.Writer, text string, wide int) error {
	if wide > 0 {
		var b strings.Builder
		for line := range strings.SplitAfterSeq(text, "\n") {
			wrapLine(&b, line, wide)
		}
		text = b.String()
	}
	_, err := io.WriteString(w, text)
	return err
}

// broken is one line in rows. Pointers, a line that is nothing but a link, and
// the command that takes an invitation stay whole: they are to be copied.
func wrapLine(b *strings.Builder, line string, wide int) {
	if isCopied(strings.TrimSuffix(line, "\n")) {
		b.WriteString(line)
		return
	}
	at, fresh := 0, true // fresh: a word begins
	more := func() {
		b.WriteString("\n" + continuationMark)
		at = len(continuationMark)
	}
	for i := 0; i < len(line); {
		if fresh && at > len(continuationMark) {
			if n := width(firstWord(line[i:])); at+n > wide && len(continuationMark)+n <= wide {
				more()
			}
		}
		end := i + unbreakable(line[i:])
		n := width(line[i:end])
		if at+n > wide && n <= 2 && n > 0 {
			more()
		}
		b.WriteString(line[i:end])
		at, i, fresh = at+n, end, line[i] == ' '
	}
}

// copied reports whether a line is nothing but a link, or takes an invitation.
func isCopied(line string) bool {
	if link, is := strings.CutPrefix(line, "  petname pair "); is {
		_, err := pair.ParseTicket(link, time.Time{})
		return err == nil
	}
	_, err := pointer.ParseLink(line)
	return err == nil
}

// word is what stands before the next space.
func firstWord(s string) string {
	end := strings.IndexAny(s, " \n")
	if end < 0 {
		return s
	}
	return s[:end]
}

// unit is the length of what isn't broken: an escape of ours, a pointer, or a
// character with its marks.
func unbreakable(s string) int {
	if rest, is := strings.CutPrefix(s, "\x1b["); is {
		return 3 + strings.IndexByte(rest, 'm')
	}
	if s[0] == 'k' || s[0] == 'K' {
		word := s
		if end := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || !unicode.In(r, unicode.L, unicode.N) }); end >= 0 {
			word = s[:end]
		}
		if _, err := pointer.Parse(word); err == nil {
			return len(word)
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if !unicode.In(r, unicode.M, unicode.Cf) {
			break
		}
		n += size
	}
	return n
}

// width is how many columns a text takes at most: terminals don't agree.
func width(s string) (n int) {
	for i := 0; i < len(s); {
		if s[i] == '\x1b' {
			i += unbreakable(s[i:])
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch i += size; {
		case r == '\n' || unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		case r < utf8.RuneSelf:
			n++
		default:
			n += 2
		}
	}
	return n
}
