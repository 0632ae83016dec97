package name

import (
	"crypto/sha256"
	"slices"
	"strings"
	"unicode"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/norm"
)

// confusables is the data of UTS #39, §4.
type confusables interface {
	// Version is the version of confusables.txt.
	Version() string
	// Prototype returns the character that r is mistaken for; "" for r itself.
	Prototype(r rune) string
}

// ConfusablesVersion is the version of the Unicode data on confusable
// characters (UTS #39) for looks.
const ConfusablesVersion = "16.0.0"

// publishedData is the data in go.mau.fi/util. Compared with version 17.0.0 it
// lacks 210 characters and has other prototypes for 39.
type publishedData struct{}

func (publishedData) Version() string         { return ConfusablesVersion }
func (publishedData) Prototype(r rune) string { return confusable.GetReplacement(r) }

// A Look is one way in which a text can be read: its skeleton (UTS #39, §4)
// without marks and spaces, and the marks on each of its characters.
type Look struct {
	skeleton string
	gaps     []gap    // the spaces, in order
	marks    []string // the marks of each character, up to the last one with marks
	pairs    string   // for each character the pair that it stands for: see lookBuilder.pair
	capital  bool     // the name is typed with a capital at the start
	paired   bool     // a pair of letters after the start is read as one
}

// equal reports whether the looks have the same skeleton, marks and pairs.
func (l Look) equal(o Look) bool {
	return l.skeleton == o.skeleton && slices.Equal(l.gaps, o.gaps) && slices.Equal(l.marks, o.marks) && l.pairs == o.pairs && l.paired == o.paired
}

// Row returns a digest of the skeleton: 12 bytes, equal for looks that differ
// in marks and spaces only.
func (l Look) Row() []byte {
	sum := sha256.Sum256([]byte(l.skeleton))
	return sum[:12]
}

// matches reports whether the looks are equal, or one is the other with marks
// added: "José" and "Jose" match, "Hà" and "Hạ" do not. "Anne" and "Arne" match
// "Ame", but not each other, and not "ame": with another capital the difference
// of the pair is seen. Names that differ by spaces match, but for the space
// before or after a number: see [gap].
func (l Look) matches(o Look) bool {
	if (l.paired || o.paired) && l.capital != o.capital {
		return false
	}
	return l.skeleton == o.skeleton && agreeOnNumbers(l.gaps, o.gaps) && agree(l.pairs, o.pairs) && (within(l.marks, o.marks) || within(o.marks, l.marks))
}

// within reports whether each character has at least the marks in many that it has in few.
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

// Alike reports whether two texts could be mistaken for each other: one look of
// each match.
func Alike(a, b []Look) bool {
	return slices.ContainsFunc(a, func(l Look) bool { return slices.ContainsFunc(b, l.matches) })
}

// Looks returns the ways in which a name can be read: as typed, in lower case,
// in upper case, and for text from right to left in paragraphs of both
// directions. All three cases are needed: "paypaI" looks like "paypal" only as
// typed, "Marк" with a Cyrillic к like "Mark" only in upper case. For most
// names the three are equal.
func Looks(n Name) []Look { return looksBy(publishedData{}, n, false) }

// LooksOfNew is [Looks] for a new name: a number in it may be meant to be read
// as a word. Numbers in existing names are read as numbers only.
func LooksOfNew(n Name) []Look { return looksBy(publishedData{}, n, true) }

// looksBy returns the looks of a name by the data. With numbers, it also reads digits as
// letters in words without letters: see LooksOfNew.
func looksBy(data confusables, n Name, numbers bool) []Look {
	text, lower := trimEnds(n.text), trimEnds(n.key)
	if marked := markInitials(text); marked != text && strings.EqualFold(text, lower) {
		text, lower = marked, strings.ToLower(marked)
	}
	forms := []string{
		strings.ReplaceAll(readDigits(text, 'b', false), "cl", "d"), // "Clara" looks little like "Dara"
		readDigits(lower, 'b', false), strings.ToUpper(readDigits(lower, 'b', false)),
	}
	if s := sharpS(text); s != text {
		forms = append(forms, readDigits(s, 'b', false))
	}
	for _, s := range sharpSForms(text) {
		forms = append(forms, readDigits(s, 'b', false))
	}
	if s := secondReadings().Replace(lower); s != lower {
		forms = append(forms, readDigits(s, 'b', false))
	}
	if strings.Contains(lower, "6") {
		forms = append(forms, readDigits(lower, 'g', false))
	}
	if numbers {
		forms = append(forms, readDigits(lower, 'b', true), strings.ToUpper(readDigits(lower, 'b', true)))
	}
	unpaired := len(forms)
	for _, s := range pairForms(lower) {
		forms = append(forms, readDigits(s, 'b', false))
	}
	capital := unicode.IsUpper(firstRune(text))
	var found []Look
	for i, s := range forms {
		if slices.Contains(forms[:i], s) {
			continue
		}
		for _, cells := range trimVariants(data, trimCells(data, cellsOf(s))) {
			orders := [][]cell{cells}
			if hasRTL(s) {
				orders = [][]cell{visualOrder(cells, false), visualOrder(cells, true)}
			}
			for _, order := range orders {
				l := lookOf(data, order)
				l.capital, l.paired = capital, i >= unpaired && strings.HasPrefix(l.pairs, " ")
				if !slices.ContainsFunc(found, l.equal) {
					found = append(found, l)
				}
			}
		}
	}
	return found
}

// LooksOf is [Looks] for a text that need not be a name: a nickname.
func LooksOf(text string) []Look {
	key, err := Key(text)
	if err != nil {
		key = strings.ToLower(text)
	}
	return Looks(Name{text, key})
}

// trimEnds removes characters at both ends of a name that readers hardly
// notice. Characters that can stand for a letter, such as the apostrophe for
// yod, stay: see trimVariants.
func trimEnds(s string) string {
	if t := strings.Trim(s, hardlySeen); t != "" {
		return t
	}
	return s
}

const hardlySeen = " .,:;·-_"

// trimCells removes cells that look like what [trimEnds] removes: another
// comma, a bullet, a hyphen. Letters stay, and so do digits and signs of
// scripts that look so, because their readers see letters.
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

// trimVariants returns the cells, and the cells without [endSigns] at the
// start, at the end, and at both.
func trimVariants(data confusables, cells []cell) [][]cell {
	sign := func(c cell) bool {
		if strings.ContainsRune(endSigns, c.base) {
			return true
		}
		prototype := data.Prototype(c.base)
		return prototype != "" && unicode.In(c.base, unicode.P, unicode.S, unicode.Lm) && unicode.Is(unicode.Common, c.base) && strings.Trim(prototype, endSigns) == ""
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

// digitLetter returns the letter that a digit beside letters is read as, where
// UTS #39 has none. For what it has (0 and O, 1 and l) the data is used. The
// digit becomes a mark, so that "name6" is like "nameb" and not like "name8".
func digitLetter(r rune) (letter rune, ok bool) {
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

// readDigits replaces digits by letters, in words with letters of a script that
// has such shapes, or with all in all words. six is the letter for 6.
func readDigits(s string, six rune, all bool) string {
	if !strings.ContainsFunc(s, unicode.IsDigit) {
		return s
	}
	words := strings.Split(s, " ")
	typed := slices.Clone(words)
	for i, word := range words {
		if !all && !strings.ContainsFunc(word, func(r rune) bool { return unicode.In(r, unicode.Latin, unicode.Cyrillic, unicode.Greek) }) {
			continue
		}
		var b strings.Builder
		for _, r := range word {
			letter, ok := digitLetter(r)
			switch {
			case r == '0':
				b.WriteRune(letter)
			case ok:
				b.WriteString(string(letter) + string(digitMark+r))
			case r == '6':
				b.WriteString(string(six) + string(digitMark+r))
			default:
				b.WriteRune(r)
			}
		}
		words[i] = b.String()
	}
	return joinWords(words, typed)
}

// digitMark, followed by a digit, is the mark of a digit read as a letter. It
// is a private-use character, which no name has.
const digitMark = '\ue000'

// isDigitMark reports whether r is the mark of a digit that is read as a letter.
func isDigitMark(r rune) bool { return r >= digitMark+'0' && r <= digitMark+'9' }

// cellsOf splits a text into cells. It drops invisible characters, enclosing
// marks and the vowel points of Arabic, Hebrew and Syriac.
func cellsOf(s string) []cell {
	cells := make([]cell, 0, len(s))
	for _, r := range norm.NFC.String(s) {
		last := len(cells) - 1
		switch {
		case r < 0x80:
			cells = append(cells, cell{base: r})
		case isDigitMark(r), isPairMark(r), r == numberMark:
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

// ignorable reports whether r is invisible: the default ignorable code points,
// including joiners.
func ignorable(r rune) bool { return isBlank(r) || unicode.Is(unicode.Cf, r) }

// substitute returns the replacement of a character that UTS #39 distinguishes
// and readers do not, or that is in the data the prototype of a letter with a
// mark, while skeletons have letters and marks apart.
func substitute(r rune) (other string, ok bool) {
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

// prototype returns the characters that r is mistaken for, r itself if there are none.
// This program's own data takes precedence.
func prototype(data confusables, r rune) string {
	if other, ok := ownPrototypes()[r]; ok {
		r = other
	}
	mapped := data.Prototype(r)
	switch {
	case r == 'п':
		mapped = "n" // in words of Cyrillic letters that all look Latin; the data has π
	case mapped == "":
		mapped = string(r)
	}
	if len(mapped) < 2 {
		return mapped
	}
	var b strings.Builder
	for _, r := range mapped {
		if other, ok := substitute(r); ok {
			b.WriteString(other)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// skeletal applies the data to a text once, and converts it to lower case.
func skeletal(data confusables, s string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(s) {
		b.WriteString(prototype(data, r))
	}
	return norm.NFD.String(strings.ToLower(b.String()))
}

// lookOf returns the look of cells in visual order: UTS #39's internalSkeleton,
// then lower case with i and l as one letter, and the same again. So texts with
// equal skeletons have equal looks, and others may too. Marks on letters of
// alphabets are separated, and so are characters that the data replaces by such
// marks, and marks that are not part of the letter in normal form C. Vowel
// signs stay in their places.
func lookOf(data confusables, cells []cell) Look {
	l := &lookBuilder{bases: make([]rune, 0, len(cells))}
	for _, c := range cells {
		if c.base == ' ' {
			l.gap(c.marks != "")
			continue
		}
		if r, plain := plainLetter(c); plain {
			if last := len(l.bases) - 1; r == 'n' && last >= 0 && l.bases[last] == 'r' {
				l.pair(last, 'r') // two letters, unlike m
			}
			l.bases = append(l.bases, r)
			continue
		}
		text, freeMarks := string(c.base), ""
		for _, m := range c.marks {
			if isPairMark(m) {
				l.pair(len(l.bases), byte(m-pairMark))
			} else if isDigitMark(m) || unicode.In(m, unicode.Inherited, unicode.Common) {
				freeMarks += string(m)
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
		if freeMarks != "" {
			for _, r := range skeletal(data, freeMarks) {
				l.mark(r)
			}
		}
	}
	l.joinVV()
	return Look{skeleton: string(l.bases), gaps: l.gaps, marks: l.marks, pairs: string(l.pairs)}
}

// alphabetic reports whether marks on the letter are separate from it in a look.
func alphabetic(r rune) bool {
	return unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Common)
}

// lookBuilder builds a Look.
type lookBuilder struct {
	bases []rune
	gaps  []gap
	marks []string
	pairs []byte
}

// mark adds a mark to the last character.
func (l *lookBuilder) mark(m rune) {
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
func (l *lookBuilder) joinVV() {
	for i := 0; i+1 < len(l.bases); i++ {
		if l.bases[i] != 'v' || l.bases[i+1] != 'v' {
			continue
		}
		l.bases[i] = 'w'
		l.bases = slices.Delete(l.bases, i+1, i+2)
		l.joinGaps(i + 1)
		if len(l.marks) > i+1 {
			l.marks[i] += l.marks[i+1]
			l.marks = slices.Delete(l.marks, i+1, i+2)
		}
		if len(l.pairs) > i+1 {
			l.pairs = slices.Delete(l.pairs, i+1, i+2)
		}
	}
}

// plainLetter returns the look of the most frequent letters.
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
