package petname

import (
	"crypto/sha256"
	"slices"
	"strings"
	once "sync" // "sync" is what the tests call bringing devices together
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

// published is the data as go.mau.fi/util has it; its file was compared with
// version 17.0.0, which has 210 more characters and other prototypes for 39.
type published struct{}

func (published) Version() string         { return "16.0.0" }
func (published) Prototype(r rune) string { return confusable.GetReplacement(r) }

// A look is one way in which a text is seen: its skeleton (UTS #39, §4) without
// marks, and the marks on each of its characters.
type look struct {
	skeleton string
	marks    []string // nil: none at all
}

// row is the start of the rows of the table of looks.
func (l look) row() []byte {
	sum := sha256.Sum256([]byte(l.skeleton))
	return sum[:12]
}

// like reports whether one look is the other with marks added: "José" and
// "Jose" are taken for each other, "Hà" and "Hạ" are two names.
func (l look) like(o look) bool {
	return l.skeleton == o.skeleton && (within(l.marks, o.marks) || within(o.marks, l.marks))
}

func within(few, many []string) bool {
	for i, marks := range few {
		if marks == "" {
			continue
		}
		if many == nil || strings.ContainsFunc(marks, func(m rune) bool { return !strings.ContainsRune(many[i], m) }) {
			return false
		}
	}
	return true
}

func alike(a, b []look) bool {
	return slices.ContainsFunc(a, func(l look) bool { return slices.ContainsFunc(b, l.like) })
}

// looks are the ways in which a name is seen: as typed, in lower case, in upper
// case, and where it has text from right to left, in paragraphs of both
// directions. Two cases aren't enough: "paypaI" looks like "paypal" as typed
// alone, "syb1l" like "sybil" in upper case alone.
func looks(n Name) []look { return looksBy(published{}, n) }

func looksBy(data confusables, n Name) []look {
	text, lower := trimEnds(n.text), trimEnds(n.key)
	var found []look
	var done []string
	for form, s := range []string{text, lower, strings.ToUpper(lower)} {
		cells := cellsOf(digitsAs(s, form))
		orders := [][]cell{cells}
		if turns(s) {
			orders = [][]cell{visual(cells, false), visual(cells, true)}
		}
		for _, order := range orders {
			if w := written(order); !slices.Contains(done, w) {
				done = append(done, w)
				found = append(found, seen(data, order, form))
			}
		}
	}
	return found
}

// looksOf is looks for a text that need not be a name: a nickname.
func looksOf(text string) []look {
	key, err := compareKey(text)
	if err != nil {
		key = strings.ToLower(text)
	}
	return looks(Name{text, key})
}

// trimEnds takes off what is hardly seen before and behind a name.
func trimEnds(s string) string {
	if t := strings.Trim(s, " .,:;'`´’‘·-_"); t != "" {
		return t
	}
	return s
}

const (
	formTyped = iota
	formLower
	formUpper
)

// digits are what UTS #39 doesn't say: digits beside letters are read as
// letters of their shape. What it does say (0 and O, 1 and l) goes by the data.
var digits = [...]*strings.Replacer{
	formTyped: strings.NewReplacer("5", "S", "8", "B", "6", "b", "9", "g"),
	formLower: strings.NewReplacer("5", "s", "8", "b", "2", "z", "3", "e", "4", "a", "7", "t", "6", "b", "9", "g"),
	formUpper: strings.NewReplacer("5", "S", "8", "B", "2", "Z", "3", "E", "4", "A", "7", "T", "6", "G", "9", "Q"),
}

// digitsAs reads the digits of words that have a letter of a script with digits
// in such shapes: "Bob 5" stays.
func digitsAs(s string, form int) string {
	if !strings.ContainsAny(s, "23456789") {
		return s
	}
	words := strings.Split(s, " ")
	for i, word := range words {
		if strings.ContainsFunc(word, func(r rune) bool { return unicode.In(r, unicode.Latin, unicode.Cyrillic, unicode.Greek) }) {
			words[i] = digits[form].Replace(word)
		}
	}
	return strings.Join(words, " ")
}

// cellsOf takes a text apart. What shows as nothing goes, and so do marks that
// the writing can do without: those that no letter comes with in normal form C,
// and the vowel points of Arabic, Hebrew and Syriac.
func cellsOf(s string) []cell {
	var cells []cell
	for _, r := range norm.NFC.String(s) {
		switch {
		case ignorable(r):
		case !unicode.In(r, unicode.Mn, unicode.Me):
			cells = append(cells, cell{base: r})
		case unicode.In(r, unicode.Me, unicode.Inherited, unicode.Common, unicode.Arabic, unicode.Hebrew, unicode.Syriac):
		case len(cells) > 0:
			cells[len(cells)-1].marks += string(r)
		default:
			cells = append(cells, cell{base: r})
		}
	}
	return cells
}

// ignorable reports whether r shows as nothing: the default ignorable code
// points, joiners among them.
func ignorable(r rune) bool { return blank(r) || unicode.Is(unicode.Cf, r) }

func written(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		b.WriteRune(c.base)
		b.WriteString(c.marks)
	}
	return b.String()
}

// seen is the look of cells in their visual order: UTS #39's internalSkeleton,
// the marks of alphabets set apart.
func seen(data confusables, cells []cell, form int) look {
	var mapped strings.Builder
	for _, r := range norm.NFD.String(written(cells)) {
		if to := data.Prototype(r); to != "" {
			mapped.WriteString(to)
		} else {
			mapped.WriteRune(r)
		}
	}
	var bases []rune
	var marks []string
	marked := false
	for _, r := range norm.NFD.String(mapped.String()) {
		last := len(bases) - 1
		if last >= 0 && unicode.In(r, unicode.Mn, unicode.Me) && unicode.In(bases[last], unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic, unicode.Common) {
			marks[last] += string(r)
			marked = true
			continue
		}
		bases, marks = append(bases, r), append(marks, "")
	}
	bases, marks = own(bases, marks, form)
	l := look{skeleton: string(bases)}
	if marked {
		l.marks = marks
	}
	return l
}

// pairs of letters that are read as one and that UTS #39 is silent on. (It has
// rn and m.) In the spelling as typed alone: "Clara" is no "Dara".
var pairs = []struct {
	two  [2]rune
	one  rune
	only int // in this form; -1: in all
}{
	{[2]rune{'v', 'v'}, 'w', -1}, {[2]rune{'V', 'V'}, 'W', -1}, {[2]rune{'c', 'l'}, 'd', formTyped},
}

func own(bases []rune, marks []string, form int) ([]rune, []string) {
	for _, p := range pairs {
		if p.only >= 0 && p.only != form {
			continue
		}
		for i := 0; i+1 < len(bases); i++ {
			if bases[i] == p.two[0] && bases[i+1] == p.two[1] {
				bases[i] = p.one
				marks[i] += marks[i+1]
				bases, marks = slices.Delete(bases, i+1, i+2), slices.Delete(marks, i+1, i+2)
			}
		}
	}
	return bases, marks
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
var reservedLooks = once.OnceValue(func() map[string][]reservedLook {
	found := make(map[string][]reservedLook)
	for _, word := range reserved {
		for _, l := range looksOf(word) {
			found[l.skeleton] = append(found[l.skeleton], reservedLook{word, l})
		}
	}
	return found
})

type reservedLook struct {
	word string
	look look
}

// reservedFor is the reserved word that looks are taken for; "" for none.
func reservedFor(ls []look) string {
	for _, l := range ls {
		for _, r := range reservedLooks()[l.skeleton] {
			if r.look.like(l) {
				return r.word
			}
		}
	}
	return ""
}
