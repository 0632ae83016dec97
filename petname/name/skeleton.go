package name

import (
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"unicode"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/norm"
)

// confusables is the data of UTS #39, §4: what looks like what.
type confusables interface {
	// Version is the version of confusables.txt.
	Version() string
	// Prototype is what a character is taken for; "" for itself.
	Prototype(r rune) string
}

// ConfusablesVersion is the version of the Unicode data on confusable characters
// (UTS #39) that looks are made with.
const ConfusablesVersion = "16.0.0"

// published is the data as go.mau.fi/util has it; its file was compared with
// version 17.0.0, which has 210 more characters and other prototypes for 39.
type published struct{}

func (published) Version() string         { return ConfusablesVersion }
func (published) Prototype(r rune) string { return confusable.GetReplacement(r) }

// A Look is one way in which a text is seen: its skeleton (UTS #39, §4) without
// marks, and the marks on each of its characters.
type Look struct {
	skeleton string
	marks    []string // those of each character, as far as any has some
}

func (l Look) equal(o Look) bool { return l.skeleton == o.skeleton && slices.Equal(l.marks, o.marks) }

// Row returns a digest of the skeleton: 12 bytes, equal for looks whose marks alone
// differ.
func (l Look) Row() []byte {
	sum := sha256.Sum256([]byte(l.skeleton))
	return sum[:12]
}

// like reports whether one look is the other with marks added: "José" and
// "Jose" are taken for each other, "Hà" and "Hạ" are two names.
func (l Look) like(o Look) bool {
	return l.skeleton == o.skeleton && (within(l.marks, o.marks) || within(o.marks, l.marks))
}

func within(few, many []string) bool {
	for i, marks := range few {
		if marks == "" {
			continue
		}
		if i >= len(many) || strings.ContainsFunc(marks, func(m rune) bool { return !strings.ContainsRune(many[i], m) }) {
			return false
		}
	}
	return true
}

// Alike reports whether two texts could be taken for each other: they have a look in
// common, or looks of which one is the other with marks added.
func Alike(a, b []Look) bool {
	return slices.ContainsFunc(a, func(l Look) bool { return slices.ContainsFunc(b, l.like) })
}

// Looks returns the ways in which a name is seen: as typed, in lower case, in upper
// case, and where it has text from right to left, in paragraphs of both
// directions. Two cases aren't enough: "paypaI" looks like "paypal" as typed
// alone, "Marк" with a Cyrillic к like "Mark" in upper case alone. Most names
// look the same in all three.
func Looks(n Name) []Look { return looksBy(published{}, n, false) }

// LooksOfNew is [Looks] for a name that is about to enter the book: a number in it
// may be meant to be read as a word. In names that are in the book, numbers are
// numbers.
func LooksOfNew(n Name) []Look { return looksBy(published{}, n, true) }

func looksBy(data confusables, n Name, numbers bool) []Look {
	text, lower := trimEnds(n.text), trimEnds(n.key)
	forms := []string{
		strings.ReplaceAll(readDigits(text, 'b', false), "cl", "d"), // "Clara" looks little like "Dara"
		readDigits(lower, 'b', false), strings.ToUpper(readDigits(lower, 'b', false)),
	}
	if s := sharpS(text); s != text {
		forms = append(forms, readDigits(s, 'b', false))
	}
	if strings.Contains(lower, "6") {
		forms = append(forms, readDigits(lower, 'g', false))
	}
	if numbers {
		forms = append(forms, readDigits(lower, 'b', true), strings.ToUpper(readDigits(lower, 'b', true)))
	}
	var found []Look
	for i, s := range forms {
		if slices.Contains(forms[:i], s) {
			continue
		}
		for _, cells := range trimmings(data, trimCells(data, cellsOf(s))) {
			orders := [][]cell{cells}
			if turns(s) {
				orders = [][]cell{visual(cells, false), visual(cells, true)}
			}
			for _, order := range orders {
				if l := seen(data, order); !slices.ContainsFunc(found, l.equal) {
					found = append(found, l)
				}
			}
		}
	}
	return found
}

// sharpS reads a B behind a small letter as ß: "weiB". Not ß as a b, since Groß
// and Grob, Strauß and Straub are names of people.
func sharpS(s string) string {
	var b strings.Builder
	small := false
	for _, r := range s {
		if r == 'B' && small {
			r = 'ß'
		}
		b.WriteRune(r)
		small = unicode.IsLower(r)
	}
	return b.String()
}

// LooksOf is [Looks] for a text that need not be a name: a nickname.
func LooksOf(text string) []Look {
	key, err := Key(text)
	if err != nil {
		key = strings.ToLower(text)
	}
	return Looks(Name{text, key})
}

// trimEnds takes off what is hardly seen before and behind a name. What stands
// for a letter at times, such as the apostrophe for yod, stays: see trimmings.
func trimEnds(s string) string {
	if t := strings.Trim(s, hardlySeen); t != "" {
		return t
	}
	return s
}

const hardlySeen = " .,:;·-_"

// trimCells takes off what looks like what [trimEnds] does: a comma of another
// sort, a bullet, a hyphen. Letters stay, and the digits and signs of scripts
// that look so: they are letters to those who read them.
func trimCells(data confusables, cells []cell) []cell {
	faint := func(c cell) bool {
		return c.base >= 0x80 && unicode.In(c.base, unicode.P, unicode.S, unicode.Lm) && unicode.Is(unicode.Common, c.base) &&
			(strings.Trim(skeletal(data, string(c.base)), hardlySeen) == "" || strings.ContainsRune("•‧∙⋅˙ˌˍ¸⸱‚", c.base)) || c.base < 0x80 && strings.ContainsRune(hardlySeen, c.base)
	}
	start, end := 0, len(cells)
	for start < end && faint(cells[start]) {
		start++
	}
	for start < end && faint(cells[end-1]) {
		end--
	}
	if start == end {
		return cells
	}
	return cells[start:end]
}

// trimmings are the cells, and the cells without [endSigns] before, behind, and
// on both sides of them.
func trimmings(data confusables, cells []cell) [][]cell {
	sign := func(c cell) bool {
		if strings.ContainsRune(endSigns, c.base) {
			return true
		}
		like := data.Prototype(c.base)
		return like != "" && unicode.In(c.base, unicode.P, unicode.S, unicode.Lm) && unicode.Is(unicode.Common, c.base) && strings.Trim(like, endSigns) == ""
	}
	start, end := 0, len(cells)
	for start < end && sign(cells[start]) {
		start++
	}
	for start < end && sign(cells[end-1]) {
		end--
	}
	all := [][]cell{cells}
	if start == end {
		return all
	}
	if start > 0 {
		all = append(all, trimCells(data, cells[start:]))
	}
	if end < len(cells) {
		all = append(all, trimCells(data, cells[:end]))
	}
	if start > 0 && end < len(cells) {
		all = append(all, trimCells(data, cells[start:end]))
	}
	return all
}

// digitLetter returns the letter that a digit beside letters is read as, which
// UTS #39 leaves open. What it states (0 and O, 1 and l) goes by the data. The
// digit stays as a mark, so that "name6" is like "nameb" and not like "name8".
func digitLetter(r rune) (letter rune, is bool) {
	switch r {
	case '0':
		return 'o', true
	case '2':
		return 'z', true
	case '3':
		return 'e', true
	case '4':
		return 'a', true
	case '5':
		return 's', true
	case '7':
		return 't', true
	case '8':
		return 'b', true
	case '9':
		return 'g', true
	}
	return 0, false
}

// readDigits reads the digits of words that have letters of a script with such
// shapes, or of all words, 6 as the letter given.
func readDigits(s string, six rune, all bool) string {
	if !strings.ContainsAny(s, "023456789") {
		return s
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if !all && !strings.ContainsFunc(word, func(r rune) bool { return unicode.In(r, unicode.Latin, unicode.Cyrillic, unicode.Greek) }) {
			continue
		}
		var b strings.Builder
		for _, r := range word {
			letter, is := digitLetter(r)
			switch {
			case r == '0':
				b.WriteRune(letter)
			case is:
				b.WriteString(string(letter) + string(digitMark+r))
			case r == '6':
				b.WriteString(string(six) + string(digitMark+r))
			default:
				b.WriteRune(r)
			}
		}
		words[i] = b.String()
	}
	return strings.Join(words, " ")
}

// digitMark and a digit is the mark of it: a character of private use, which no
// name has.
const digitMark = '\ue000'

func isDigitMark(r rune) bool { return r >= digitMark+'0' && r <= digitMark+'9' }

// cellsOf takes a text apart. What shows as nothing goes, and so do enclosing
// marks and the vowel points of Arabic, Hebrew and Syriac.
func cellsOf(s string) []cell {
	cells := make([]cell, 0, len(s))
	for _, r := range norm.NFC.String(s) {
		last := len(cells) - 1
		switch {
		case r < 0x80:
			cells = append(cells, cell{base: r})
		case isDigitMark(r):
			if last >= 0 {
				cells[last].marks += string(r)
			}
		case ignorable(r), skinTone(r), unicode.Is(unicode.Me, r), r >= 0x064b && r <= 0x065f, r == 0x0670:
		case !unicode.Is(unicode.Mn, r):
			cells = append(cells, cell{base: r})
		case unicode.In(r, unicode.Arabic, unicode.Hebrew, unicode.Syriac):
		case last >= 0:
			cells[last].marks += string(r)
		default:
			cells = append(cells, cell{base: r})
		}
	}
	return cells
}

// ignorable reports whether r shows as nothing: the default ignorable code
// points, joiners among them.
func ignorable(r rune) bool { return blank(r) || unicode.Is(unicode.Cf, r) }

// instead returns what replaces a character that UTS #39 holds apart and readers
// don't, or that is in the data the one prototype of a letter with a mark, while
// skeletons are made of letters and marks apart.
func instead(r rune) (other string, is bool) {
	switch r {
	case 'ة':
		return "o\u0308", true
	case 'ɲ':
		return "n\u0326", true
	case 'ƫ':
		return "t\u0326", true
	case 'ꭑ':
		return "m\u0323", true
	case 'リ':
		return "り", true
	case 'ヘ':
		return "へ", true
	case '\u030b':
		return "\u0308", true
	case '\u030a':
		return "\u0307", true
	}
	return "", false
}

func prototype(data confusables, r rune) string {
	if other, is := ours()[r]; is {
		r = other
	}
	to := data.Prototype(r)
	switch {
	case r == 'п':
		to = "n" // in words of Cyrillic letters that all look Latin; the data has π
	case to == "":
		to = string(r)
	}
	if len(to) < 2 {
		return to
	}
	var b strings.Builder
	for _, r := range to {
		if other, is := instead(r); is {
			b.WriteString(other)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// skeletal is one pass of the data over a text, in lower case.
func skeletal(data confusables, s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(s) {
		b.WriteString(prototype(data, r))
	}
	return norm.NFD.String(strings.ToLower(b.String()))
}

// seen is the look of cells in their visual order: UTS #39's internalSkeleton,
// then in lower case, with i and l as one, and that again. So it is the same for
// all whose skeletons are, and for more. Marks on letters of alphabets are set
// apart, and so are those that the data takes for such marks, and all that a
// letter doesn't come with in normal form C; vowel signs stay in their places.
func seen(data confusables, cells []cell) Look {
	l := &sight{bases: make([]rune, 0, len(cells))}
	for _, c := range cells {
		if r, plain := plainLetter(c); plain {
			l.bases = append(l.bases, r)
			continue
		}
		text, loose := string(c.base), ""
		for _, m := range c.marks {
			if isDigitMark(m) || unicode.In(m, unicode.Inherited, unicode.Common) {
				loose += string(m)
			} else {
				text += string(m)
			}
		}
		start := len(l.bases)
		for _, r := range skeletal(data, skeletal(data, text)) {
			if r == 'i' {
				r = 'l'
			}
			if len(l.bases) > start && unicode.In(r, unicode.Mn, unicode.Me) && (unicode.Is(unicode.Inherited, r) || alphabetic(l.bases[len(l.bases)-1])) {
				l.mark(r)
			} else {
				l.bases = append(l.bases, r)
			}
		}
		if loose != "" {
			for _, r := range skeletal(data, loose) {
				l.mark(r)
			}
		}
	}
	l.joinVV()
	return Look{string(l.bases), l.marks}
}

func alphabetic(r rune) bool {
	return unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Common)
}

// sight is a look in the making.
type sight struct {
	bases []rune
	marks []string
}

func (l *sight) mark(m rune) {
	last := len(l.bases) - 1
	if last < 0 {
		return
	}
	if m == '\u0300' && (l.bases[last] == 'и' || l.bases[last] == 'ᴎ') {
		m = '\u0306' // ѝ and й
	}
	for len(l.marks) <= last {
		l.marks = append(l.marks, "")
	}
	l.marks[last] += string(m)
}

// joinVV reads vv as w.
func (l *sight) joinVV() {
	for i := 0; i+1 < len(l.bases); i++ {
		if l.bases[i] != 'v' || l.bases[i+1] != 'v' {
			continue
		}
		l.bases[i] = 'w'
		l.bases = slices.Delete(l.bases, i+1, i+2)
		if len(l.marks) > i+1 {
			l.marks[i] += l.marks[i+1]
			l.marks = slices.Delete(l.marks, i+1, i+2)
		}
	}
}

// plainLetter is the look of the letters that most names are made of.
func plainLetter(c cell) (rune, bool) {
	r := c.base
	switch {
	case c.marks != "" || r >= 0x80:
		return 0, false
	case r >= 'A' && r <= 'Z':
		r += 'a' - 'A'
	}
	switch {
	case r == 'i', r == '1':
		return 'l', true
	case r == '0':
		return 'o', true
	case r == 'm', r != ' ' && (r < '2' || r > '9') && (r < 'a' || r > 'z'):
		return 0, false
	}
	return r, true
}

// reserved are words that stand for a person without being a name, or that the
// program uses of itself: whoever is called so could be taken for the user.
var reserved = []string{
	"me", "myself", "you", "yourself", "self", "this is you", "no name", "nobody", "everybody", "everyone", "anyone", "unknown",
	"petname", "system", "admin", "administrator", "root", "support", "security",
	"ich", "du selbst", "moi", "moi-même", "toi", "yo mismo", "tú", "eu mesmo", "io stesso", "я", "ты", "вы", "я сам", "εγώ", "εσύ", "ben kendim", "sen",
	"我", "你", "您", "自己", "我自己", "私", "あなた", "自分", "나", "너", "당신", "أنا", "أنت", "نفسي", "אני", "אתה", "मैं", "तुम", "आप", "ฉัน", "คุณ", "tôi", "bạn", "saya", "anda",
}

// reservedLooks are the looks of the reserved words, by skeleton.
var reservedLooks = sync.OnceValue(func() map[string][]reservedLook {
	found := make(map[string][]reservedLook)
	for _, word := range reserved {
		for _, l := range LooksOf(word) {
			found[l.skeleton] = append(found[l.skeleton], reservedLook{word, l})
		}
	}
	return found
})

type reservedLook struct {
	word string
	Look Look
}

// ReservedFor returns the reserved word that could be read in looks; "" for none.
func ReservedFor(ls []Look) string {
	for _, l := range ls {
		for _, r := range reservedLooks()[l.skeleton] {
			if r.Look.like(l) {
				return r.word
			}
		}
	}
	return ""
}
