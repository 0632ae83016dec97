package petname

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Rendering is a text as its reader sees it.
type Rendering struct {
	Text    string
	Unnamed []pointer.Pointer // those that Text shows by their short forms: [Unrender] needs them
}

// Render turns a text from the wire, which has pointers and links in it, into
// what I read: with my petnames. A pointer, in any form that [pointer.ParseLink]
// takes and that has no signs but - and _ inside, becomes a mention:
//
//	@alice   @"Bob W"                 whom I have a petname for
//	@"~Bob W" k51…sxel2r   @k51…sxel2r   whom I have none for, or several, and myself: never a bare name
//
// What the sender wrote itself can't pass for a mention: an @ of his that could
// start one shows as \@, an arrow right behind a mention as \⇒ (it would read as
// an edge name), and the text is cleaned as by [Clean], line ends kept
// and its length not bounded. The sender's own petnames are not on the wire, so
// that each reader sees their own, and sees a new one at once after a renaming.
//
// Of a link only the pointer, and where nothing better is known the nickname, is
// used; on the way back it is the pointer that its owner is at now. A path below a pointer and a link that doesn't verify stay as they are.
func Render(text string, b *Book) (Rendering, error) {
	var r Rendering
	var out strings.Builder
	text = atSigns.Replace(name.Scrub(text, true))
	at := 0
	for _, m := range mentions(text) {
		writeLiteral(&out, text, at, m.start)
		shown, named, err := b.mention(m.link, text[m.end:])
		if err != nil {
			return Rendering{}, err
		}
		if !named && !slices.Contains(r.Unnamed, m.link.Pointer) {
			r.Unnamed = append(r.Unnamed, m.link.Pointer)
		}
		out.WriteString(strings.Repeat(`\`, backslashes(text[:m.start])) + shown)
		at = m.end
	}
	writeLiteral(&out, text, at, len(text))
	r.Text = out.String()
	return r, nil
}

// Unrender turns what I typed or saw into what goes on the wire: mentions become
// pointers, and words without the @ never do. \@ is an @ that mentions nobody, and
// \⇒ an arrow.
// unnamed are the pointers that short forms in the text may mean beside my own.
//
// A mention of nobody in the book is an error, ErrNotFound, rather than a
// message in which a mistyped name goes out as text; one in conflict is a
// [*ConflictError].
func Unrender(text string, b *Book, unnamed ...pointer.Pointer) (string, error) {
	var out []byte
	for i := 0; i < len(text); {
		if arrow := pathMark(text[i:]); arrow != "" {
			k := backslashes(text[:i])
			out = append(out[:len(out)-k+k/2], arrow...)
			i += len(arrow)
			continue
		}
		if text[i] != '@' || !boundary(text[:i]) {
			out = append(out, text[i])
			i++
			continue
		}
		k := backslashes(text[:i])
		out = out[:len(out)-k+k/2]
		form := mentionForm().FindStringSubmatch(text[i:])
		if k%2 == 1 || form == nil {
			out = append(out, '@')
			i++
			continue
		}
		p, err := b.mentioned(form, unnamed)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name.Quote(form[0]), err)
		}
		out = append(out, p.String()...)
		i += len(form[0])
	}
	return string(out), nil
}

// atSigns are an @ in other widths, which reads as the one of a mention.
var atSigns = strings.NewReplacer("\uff20", "@", "\ufe6b", "@")

// mentionForm is a mention: a nickname and the pointer's short form, a name in
// quotation marks, or a name of letters and digits.
var mentionForm = lazily(`^@(?:(?:"~[^"]*" )?([0-9a-z]{3}…[0-9a-z]{6})|"((?:[^"\\~]|\\.)(?:[^"\\]|\\.)*)"|([\p{L}\p{N}][\p{L}\p{M}\p{N}_\x{200c}\x{200d}]*))`)

var plainName = lazily(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_\x{200c}\x{200d}]*$`)

var (
	quoteName   = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	unquoteName = lazily(`\\(.)`)
)

// lazily returns a regular expression that is compiled at its first use.
func lazily(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

// mention is how a pointer shows, and whether by a petname.
func (b *Book) mention(l pointer.Link, rest string) (string, bool, error) {
	c, err := b.ByPointer(l.Pointer)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", false, err
	}
	// A name that these tables don't know can't be typed.
	if n := c.Name; !n.IsZero() && !strings.HasPrefix(n.Key(), "\x00") {
		next, _ := utf8.DecodeRuneInString(rest)
		if plainName().MatchString(n.String()) && (rest == "" || next != '…' && !plainName().MatchString("x"+string(next))) {
			return "@" + n.String(), true, nil
		}
		return `@"` + quoteName.Replace(n.String()) + `"`, true, nil
	}
	nickname := l.Nickname
	if c.Nickname != "" {
		nickname = c.Nickname
	}
	if b.isOwn(l.Pointer) {
		if nickname, err = b.Nickname(); err != nil {
			return "", false, err
		}
	}
	return "@" + name.Nickname{Text: nickname, Pointer: l.Pointer}.String(), false, nil
}

// mentioned is whom a mention means.
func (b *Book) mentioned(form []string, unnamed []pointer.Pointer) (pointer.Pointer, error) {
	if short := form[1]; short != "" {
		var found []pointer.Pointer
		for _, p := range append(slices.Clone(unnamed), b.Identity()) {
			if p.Short() == short && !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
		if len(found) != 1 {
			return pointer.Pointer{}, fmt.Errorf("paste the whole pointer: %w", ErrNotFound)
		}
		return found[0], nil
	}
	text := form[3]
	if form[2] != "" {
		text = unquoteName().ReplaceAllString(form[2], "$1")
	}
	n, err := name.Parse(text)
	if err != nil {
		return pointer.Pointer{}, err
	}
	return b.Lookup(n)
}

// writeLiteral writes text[from:to], which mentions nobody. Whether an @ could
// start a mention goes by what stands before it on the screen, where a pointer
// may have ended in a quotation mark.
func writeLiteral(out *strings.Builder, text string, from, to int) {
	for i := from; i < to; i++ {
		if pathMark(text[i:to]) != "" {
			out.WriteString(strings.Repeat(`\`, backslashes(text[from:i])))
			if from > 0 && strings.TrimSpace(strings.TrimRight(text[from:i], `\`)) == "" {
				out.WriteByte('\\')
			}
		}
		if text[i] == '@' && boundary(out.String()) {
			out.WriteString(strings.Repeat(`\`, backslashes(text[:i])))
			if next, _ := utf8.DecodeRuneInString(text[i+1:]); i+1 < to && !unicode.IsSpace(next) {
				out.WriteByte('\\')
			}
		}
		out.WriteByte(text[i])
	}
}

// pathMark is the arrow that a text starts with; empty: none.
func pathMark(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	if !strings.ContainsRune(name.PathMarks, r) {
		return ""
	}
	return text[:n]
}

func backslashes(before string) int { return len(before) - len(strings.TrimRight(before, `\`)) }

// boundary reports whether a mention may start behind a text: not inside a word
// or a mail address.
func boundary(before string) bool {
	before = strings.TrimRight(before, `\`)
	r, _ := utf8.DecodeLastRuneInString(before)
	return before == "" || !unicode.In(r, unicode.L, unicode.M, unicode.N) && !strings.ContainsRune("_.%+-\u200c\u200d", r)
}

// found is where a pointer is in a text.
type textPointer struct {
	start, end int
	link       pointer.Link
}

// pointerText is what may be a pointer in some form, or a link.
var pointerText = lazily(`(?i)(?:petname:|ipns://|/ipns/|did:key:)?[0-9a-z_-]{40,}(?:\?[0-9a-z%+&=._~*-]*)?`)

// mentions finds the pointers and links in a text.
func mentions(text string) []textPointer {
	var all []textPointer
	for _, at := range pointerText().FindAllStringIndex(text, -1) {
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		if !boundary(text[:at[0]]) || at[0] > 0 && strings.ContainsRune("/:=?&#", before) {
			continue
		}
		end := at[1]
		if tail := strings.TrimRight(text[at[0]:end], "?.&=_~*-+%"); !strings.Contains(tail, "?") || len(tail) == end-at[0] {
			end = at[0] + len(tail) // the end of a sentence
		}
		l, err := pointer.ParseLink(text[at[0]:end])
		next, _ := utf8.DecodeRuneInString(text[end:])
		if err != nil || end < len(text) && (strings.ContainsRune("/_%=&#-@", next) || unicode.In(next, unicode.L, unicode.M, unicode.N) || dotted(text[end:])) {
			continue
		}
		all = append(all, textPointer{at[0], end, l})
	}
	return all
}

// dotted reports whether a text goes on as a host name does.
func dotted(rest string) bool {
	after, is := strings.CutPrefix(rest, ".")
	r, _ := utf8.DecodeRuneInString(after)
	return is && after != "" && unicode.In(r, unicode.L, unicode.N)
}
