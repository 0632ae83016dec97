package name

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A gap is a space in a look. Readers overlook whether there is one: 李明 and 李 明,
// "mary ann" and "maryann". A number is apart: "bob 2" and "bob2" are told apart as the
// names of two accounts are.
type gap struct {
	at     int  // index of the character after it
	number bool // beside a digit
}

// agreeOnNumbers reports whether each space beside a number in one look is a space in
// the other one.
func agreeOnNumbers(a, b []gap) bool { return hasNumberGaps(a, b) && hasNumberGaps(b, a) }

// hasNumberGaps reports whether all has a space for each one of some beside a number.
func hasNumberGaps(all, some []gap) bool {
	for _, g := range some {
		if g.number && !slices.ContainsFunc(all, func(o gap) bool { return o.at == g.at }) {
			return false
		}
	}
	return true
}

// numberMark is the mark of a space beside a digit, which can be read as a letter later.
// It is a private-use character, which no name has.
const numberMark = '\ue200'

// joinWords joins words with spaces, and marks those beside a digit of the typed words.
func joinWords(words, typed []string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte(' ')
			last, _ := utf8.DecodeLastRuneInString(typed[i-1])
			if unicode.IsDigit(last) || unicode.IsDigit(firstRune(typed[i])) {
				b.WriteRune(numberMark)
			}
		}
		b.WriteString(word)
	}
	return b.String()
}

// gap adds a space after the characters so far.
func (l *lookBuilder) gap(number bool) {
	at := len(l.bases)
	if last := len(l.gaps) - 1; last >= 0 && l.gaps[last].at == at {
		l.gaps[last].number = l.gaps[last].number || number
		return
	}
	l.gaps = append(l.gaps, gap{at, number})
}

// joinGaps updates the spaces after the character with an index was joined to the one
// before it.
func (l *lookBuilder) joinGaps(index int) {
	l.gaps = slices.DeleteFunc(l.gaps, func(g gap) bool { return g.at == index })
	for i := range l.gaps {
		if l.gaps[i].at > index {
			l.gaps[i].at--
		}
	}
}
