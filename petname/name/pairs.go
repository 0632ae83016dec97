package name

import (
	"strings"
	"unicode"
)

// Two letters that are read as one. UTS #39 has rn and m, and the skeleton of a
// text has w for vv; these pairs, each with the letter, are read in a form of
// their own, because names have them in their own right too. Pairs are read in
// lower case only, where they are drawn alike.
var pairs = []string{"nn m", "uu w", "ri n"}

// pairMark, plus a letter, is the mark of a letter that stands for a pair. It is
// a private-use character, which no name has.
const pairMark = '\ue100'

func isPairMark(r rune) bool { return r > pairMark && r < pairMark+0x80 }

// pairForms returns the forms of a text in lower case with the letters that its
// pairs are read as, one form for each pair.
func pairForms(lower string) (forms []string) {
	for _, p := range pairs {
		if two, one, _ := strings.Cut(p, " "); strings.Contains(lower, two) {
			forms = append(forms, strings.ReplaceAll(lower, two, one+string(pairMark+rune(two[1]))))
		}
	}
	return forms
}

// pair records that the character with an index stands for a pair, or starts one:
// the second letter of one of pairs, or r for the letters rn, which look like an m but not like
// the pair that looks like an m.
func (l *lookBuilder) pair(index int, letter byte) {
	for len(l.pairs) <= index {
		l.pairs = append(l.pairs, ' ')
	}
	l.pairs[index] = letter
}

// agree reports whether no character stands for different pairs in two looks.
func agree(a, b string) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] && a[i] != ' ' && b[i] != ' ' {
			return false
		}
	}
	return true
}

// sharpS reads a B after a lower-case letter as ß, as in "weiB".
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

// sharpSForms returns the forms of a text with ß read as ss, and as b where German
// has no ß: not at the end of a word, because Groß and Grob, Strauß and Straub are
// different names, unless the word starts with ß or is in upper case.
func sharpSForms(s string) []string {
	text := strings.ReplaceAll(sharpS(s), "ẞ", "ß")
	if !strings.Contains(text, "ß") {
		return nil
	}
	words := strings.Split(text, " ")
	for i, word := range words {
		letters := []rune(word)
		for j, r := range letters {
			if r == 'ß' && (j < len(letters)-1 || strings.HasPrefix(word, "ß") || unicode.IsUpper(letters[j-1])) {
				letters[j] = 'b'
			}
		}
		words[i] = string(letters)
	}
	return []string{strings.ToLower(strings.ReplaceAll(text, "ß", "ss")), strings.ToLower(strings.Join(words, " "))}
}

// namesWithI are names that start with a capital I and a vowel. Elsewhere that I
// is read as an l: "Iaura" looks like "Laura", but "Ian" does not look like "Lan".
const namesWithI = " Ian Iain Ianthe Iago Iona Ione Ioan Ioana Ioannis Iosif Iolanda Iolo Iulia Iulian Ieva Iestyn "

// markInitials adds marks to the initials of words that are spelt as namesWithI,
// and to capital Ls, so that they agree with an l but not with each other.
func markInitials(text string) string {
	if !strings.ContainsAny(text, "IL") {
		return text
	}
	words := strings.Split(text, " ")
	for i, word := range words {
		if strings.HasPrefix(word, "L") || strings.HasPrefix(word, "I") && strings.Contains(namesWithI, " "+word+" ") {
			words[i] = word[:1] + string(pairMark+rune(word[0])) + word[1:]
		}
	}
	return strings.Join(words, " ")
}
