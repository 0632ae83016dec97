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

// Rendering is a text in the form that its reader sees.
type Rendering struct {
	Text string
	// the pointers that Text shows in their short form: arguments for [Unrender]
	Unnamed []pointer.Pointer
}

// Render converts a text from the wire, with pointers and links in it, to the
// text that the owner reads, with petnames. A pointer, in any form that
// [pointer.ParseLink] reads and that has no other signs inside than - and _,
// becomes a mention:
//
//	@alice   @"Bob W"                    a contact with a petname
//	@"~Bob W" k51…sxel2r   @k51…sxel2r   a pointer without a petname or with several, and the
//	                                     owner's own
//
// The sender's own text cannot read as a mention: an @ that could start one is
// written as \@, and an arrow right behind a mention as \⇒, because it would
// read as an edge name. The text is cleaned as by [name.Scrub]: line ends stay,
// and the length is not bounded. The sender's petnames are not on the wire, so
// each reader sees the reader's own, and sees a new one at once after a
// renaming.
//
// Of a link only the pointer is used, and the nickname if the book has none.
// [Unrender] writes the current pointer of the contact. A path below a pointer,
// and a link that does not verify, are not changed.
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

// Unrender converts a text that the owner typed or saw to the text for the
// wire: mentions become pointers. Words without an @ stay as they are. \@ is an
// @ without a mention, and \⇒ an arrow. unnamed are the pointers that short
// forms in the text may mean, beside the owner's own.
//
// A mention without a contact is an error, ErrNotFound, so that no mistyped
// name is sent as text. The error is a [*ConflictError] for a mention in
// conflict.
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

// atSigns replaces the @ of other widths, which reads as that of a mention.
var atSigns = strings.NewReplacer("\uff20", "@", "\ufe6b", "@")

// mentionForm matches a mention: a nickname and the short form of a pointer, a
// quoted name, or a name of letters and digits.
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

// mention returns the mention of a pointer, and reports whether it is by a
// petname.
func (b *Book) mention(l pointer.Link, rest string) (string, bool, error) {
	c, _, err := b.byLink(l)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", false, err
	}
	// A name that these Unicode tables do not know cannot be typed.
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
	if b.IsOwn(l.Pointer) {
		if nickname, err = b.Nickname(); err != nil {
			return "", false, err
		}
	}
	return "@" + name.Nickname{Text: nickname, Pointer: l.Pointer}.String(), false, nil
}

// mentioned returns the pointer of a mention.
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
	n, err := name.ParseKnown(text)
	if err != nil {
		return pointer.Pointer{}, err
	}
	return b.Lookup(n)
}

// writeLiteral writes text[from:to], which has no mentions. Whether an @ could
// start a mention depends on the text before it in the output, where a pointer
// may have become a quotation mark.
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

// pathMark returns the arrow at the start of a text; empty: none.
func pathMark(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	if !strings.ContainsRune(name.PathMarks, r) {
		return ""
	}
	return text[:n]
}

func backslashes(before string) int { return len(before) - len(strings.TrimRight(before, `\`)) }

// boundary reports whether a mention may follow a text: not inside a word or an
// e-mail address.
func boundary(before string) bool {
	before = strings.TrimRight(before, `\`)
	r, _ := utf8.DecodeLastRuneInString(before)
	return before == "" || !unicode.In(r, unicode.L, unicode.M, unicode.N) && !strings.ContainsRune("_.%+-\u200c\u200d", r)
}

// textPointer is a pointer or link in a text.
type textPointer struct {
	start, end int
	link       pointer.Link
}

// pointerText matches what may be a pointer in some form, or a link.
var pointerText = lazily(`(?i)(?:petname:|ipns://|/ipns/|did:key:)?[0-9a-z_-]{40,}(?:\?[0-9a-z%+&=._~*-]*)?`)

// mentions returns the pointers and links in a text.
func mentions(text string) []textPointer {
	var all []textPointer
	for _, at := range pointerText().FindAllStringIndex(text, -1) {
		before, _ := utf8.DecodeLastRuneInString(text[:at[0]])
		if !boundary(text[:at[0]]) || at[0] > 0 && strings.ContainsRune("/:=?&#", before) {
			continue
		}
		end := at[1]
		if tail := strings.TrimRight(text[at[0]:end], "?.&=_~*-+%"); !strings.Contains(tail, "?") || len(tail) == end-at[0] {
			end = at[0] + len(tail) // punctuation at the end of a sentence
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

// dotted reports whether a text continues as a host name does.
func dotted(rest string) bool {
	after, is := strings.CutPrefix(rest, ".")
	r, _ := utf8.DecodeRuneInString(after)
	return is && after != "" && unicode.In(r, unicode.L, unicode.N)
}
