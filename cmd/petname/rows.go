package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
)

// A terminal wraps a long line at its last column. With text padded to that column, an
// attacker could choose the content of the next row, such as the line of another
// contact or another field. Therefore lines are wrapped here, and each further row
// starts with a mark that no line of the command starts with.
const continuationMark = "      | "

// minColumns is the smallest terminal width for which lines are wrapped.
const minColumns = 20

// terminalWidth returns the number of columns of a terminal, or 0 for other streams
// and for terminals narrower than minColumns.
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

// writeRows writes text with lines wrapped to rows of wide columns. 0 disables
// wrapping.
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

// wholeFields are the labels of fields with a pointer or a commitment. No other party
// chooses their values.
var wholeFields = []string{"pointer", "succeeds", "before", "about", "next key", "introducer", "recipient", "key", "DENIED BY", "", "  of", "  next key", "  DENIED KEY", "  REPLACED"}

// pointersBelow moves a pointer or commitment that does not fit beside its label to a
// line of its own, so that it can be copied: see printCopied.
func pointersBelow(text string, wide int) string {
	var b strings.Builder
	for line := range strings.SplitAfterSeq(text, "\n") {
		for _, label := range wholeFields {
			value, is := strings.CutPrefix(line, fmt.Sprintf("  %-12s  ", label))
			if !is || wide == 0 || width(line) <= wide || !isWhole(strings.TrimSuffix(value, "\n")) {
				continue
			}
			if line = "    " + value; label != "" {
				line = fmt.Sprintf("  %s\n    %s", label, value)
			}
			break
		}
		b.WriteString(line)
	}
	return b.String()
}

// isWhole reports whether a word is a pointer or a commitment, which is not broken.
func isWhole(word string) bool {
	_, err := pointer.Parse(word)
	if err != nil {
		_, err = pointer.ParseCommitment(word)
	}
	return err == nil
}

// wrapLine writes one line as rows. It does not break pointers and what [isCopied]. The
// spaces at which a row is broken are left out.
func wrapLine(b *strings.Builder, line string, wide int) {
	if uri := wholeURI(strings.TrimSpace(line)); uri != "" && width(strings.TrimSuffix(line, "\n")) > wide {
		fmt.Fprintf(b, "%s%s\n%s(the path as a URI: it is one line)\n", line[:len(line)-len(strings.TrimLeft(line, " "))], uri, continuationMark)
		return
	}
	if text := strings.TrimSuffix(line, "\n"); isCopied(text) {
		b.WriteString(line)
		if isWholePath(strings.TrimLeft(text, " ")) && width(text) > wide {
			fmt.Fprintf(b, "%s(this path is one line)\n", continuationMark)
		}
		return
	}
	mark := continuationMark
	if isField(line) && wide >= len(fieldMark)+minColumns {
		mark = fieldMark
	}
	var row []byte
	written := b.Len()
	at, fresh := 0, true // fresh: a word starts
	more := func() {
		b.Write(append(bytes.TrimRight(row, " "), '\n'))
		row = append(row[:0], mark...)
		at = len(mark)
	}
	for i := 0; i < len(line); {
		if b.Len() > written && len(row) == len(mark) && line[i] == ' ' {
			i++
			continue
		}
		if fresh && at > len(mark) {
			if n := width(firstWord(line[i:])); at+n > wide && len(mark)+n <= wide {
				more()
			}
		}
		end := i + unbreakable(line[i:])
		n := width(line[i:end])
		if at+n > wide && n <= 2 && n > 0 {
			more()
			continue
		}
		row = append(row, line[i:end]...)
		at, i, fresh = at+n, end, line[i] == ' '
	}
	b.Write(row)
}

// fieldMark is the continuationMark of a field: the further rows of its value are in the
// column of the value. No line of the command starts with it: where there is no label, the
// value follows on more spaces.
const fieldMark = "              | "

// isField reports whether a line is that of [printField].
func isField(line string) bool {
	const value = len(fieldMark)
	return len(line) > value && strings.HasPrefix(line, "  ") && line[value-2:value] == "  " && line[value] != ' ' &&
		strings.IndexFunc(line[:value], func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// isCopied reports whether a line is a value to copy and nothing else: a link, the id of a
// device, a hash, a content path, a key in a form of --as, after four spaces a commitment, or after
// two spaces a command, an address of a node or the URL of a router. The terminal breaks such a
// line, and not this package, so that the copy has no line feed and no mark. The value of a record,
// which another party chooses, is never after two spaces.
func isCopied(line string) bool {
	value := strings.TrimLeft(line, " ")
	indent := len(line) - len(value)
	if indent == 0 && isForm(value) {
		return true
	}
	if indent == 2 && strings.HasPrefix(value, "petname ") {
		return true // no field has this label
	}
	if strings.Contains(value, " ") {
		return false
	}
	switch {
	case isIdentifier(value):
		return true
	case strings.HasPrefix(value, "petname:"):
		link, err := pointer.ParseLink(value)
		return err == nil && link.String() == value // with nothing around it
	case isWholePath(value):
		return true
	case indent == 4 && strings.HasPrefix(value, "k"):
		_, err := pointer.ParseCommitment(value)
		return err == nil
	}
	return indent == 2 && (strings.HasPrefix(value, "/") || strings.HasPrefix(value, "http"))
}

// isIdentifier reports whether a value is the id of a device, or a hash.
func isIdentifier(value string) bool {
	var id ledger.DeviceID
	hash, err := hex.DecodeString(value)
	return id.UnmarshalText([]byte(value)) == nil || err == nil && len(hash) == len(ledger.Hash{}) && hex.EncodeToString(hash) == value
}

// isForm reports whether a line is a key in a form of another system, and nothing else.
func isForm(line string) bool {
	p, err := pointer.Parse(line)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(pointer.Forms(), func(form pointer.Form) bool {
		text, err := p.As(form)
		return err == nil && text == line
	})
}

// isWholePath reports whether a value is a content path that is not wrapped. Another
// party chooses it, and with its length the column at which a terminal breaks it.
// Therefore it has no character of a link, an address, a mark or a field, and is
// followed by a row with the mark if it is broken.
func isWholePath(value string) bool {
	other := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '%' || strings.ContainsRune("/._-", r))
	}
	return len(value) <= maxWholePath && (strings.HasPrefix(value, "/ipfs/") || strings.HasPrefix(value, "/ipns/")) &&
		strings.IndexFunc(value, other) < 0
}

// wholeURI returns the URI of a content path with spaces, letters of any script or other
// signs, which is in one piece, has only what [isWholePath] allows behind its scheme, and is
// read as the path is; "" for other values.
func wholeURI(value string) string {
	if len(value) > maxWholePath || isWholePath(value) || !strings.HasPrefix(value, "/ipfs/") && !strings.HasPrefix(value, "/ipns/") {
		return ""
	}
	if _, err := pathOf(value); err != nil {
		return "" // text that only begins as a path
	}
	scheme, rest, _ := strings.Cut(value[1:], "/")
	var uri strings.Builder
	for _, c := range []byte(rest) {
		if isWholePath("/ipfs/"+string(rune(c))) && c != '%' {
			uri.WriteByte(c)
		} else {
			fmt.Fprintf(&uri, "%%%02X", c)
		}
	}
	return scheme + "://" + uri.String()
}

// maxWholePath is the maximum length of a content path that is not wrapped.
const maxWholePath = 512

// firstWord returns the text before the first space or line feed. A date is one word with
// its time, or with its month and year.
func firstWord(s string) string {
	start := 0
	for _, layout := range []string{time.DateTime, "2 Jan 2006", "02 Jan 2006"} {
		if len(s) >= len(layout) {
			if _, err := time.Parse(layout, s[:len(layout)]); err == nil {
				start = len(layout)
			}
		}
	}
	end := strings.IndexAny(s[start:], " \n")
	if end < 0 {
		return s
	}
	return s[:start+end]
}

// unbreakable returns the length in bytes of the first part that must not be broken:
// an escape sequence, a pointer or a peer ID with the mark behind it, or a character with
// its combining marks.
func unbreakable(s string) int {
	if rest, is := strings.CutPrefix(s, "\x1b["); is {
		return len("\x1b[") + strings.IndexByte(rest, 'm') + 1 // m ends it
	}
	if s[0] == 'k' || s[0] == 'K' || strings.HasPrefix(s, "12D3Koo") {
		word := s
		if end := strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf || !unicode.In(r, unicode.L, unicode.N) }); end >= 0 {
			word = s[:end]
		}
		if _, err := pointer.Parse(word); err == nil {
			n := len(word)
			if n < len(s) && strings.IndexByte(".,:;)", s[n]) >= 0 { // no row starts with it
				n++
			}
			return n
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

// width returns the maximum number of columns of a text: it differs between terminals.
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
