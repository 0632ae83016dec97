package name

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

// cell is one position on the screen: a character and its marks.
type cell struct {
	base  rune
	marks string
}

// visualOrder returns cells in their order on the screen, from left to right,
// for a paragraph of these cells with that direction: the reordering of UTS
// #39's bidiSkeleton, by the rules of UAX #9 for text without controls and line
// ends. A mirrored character is replaced by the other one of its pair. x/text's
// Paragraph is not usable here: it returns runs without their levels, and
// always detects the direction of the paragraph.
func visualOrder(cells []cell, rtl bool) []cell {
	levels := bidiLevels(cells, rtl)
	out := slices.Clone(cells)
	for i, level := range levels {
		if level%2 == 1 {
			out[i].base = mirror(out[i].base)
		}
	}
	// L2: reverse the runs of each level, from the highest down to the lowest
	// odd one.
	for level := byte(2); level > 0; level-- {
		for i := 0; i < len(out); i++ {
			start := i
			for i < len(out) && levels[i] >= level {
				i++
			}
			slices.Reverse(out[start:i])
			slices.Reverse(levels[start:i])
		}
	}
	return out
}

// hasRTL reports whether any character can make text run from right to left.
func hasRTL(s string) bool {
	for _, r := range s {
		if r < 0x590 {
			continue
		}
		switch class(r) {
		case bidi.R, bidi.AL, bidi.AN:
			return true
		}
	}
	return false
}

// class returns the bidirectional class of a character (UAX #9, §3.2).
func class(r rune) bidi.Class {
	p, _ := bidi.LookupRune(r)
	return p.Class()
}

// bidiLevels returns the embedding levels: 0 or 1 with numbers of level 2. sos is the
// type before the first character (UAX #9, X10).
func bidiLevels(cells []cell, rtl bool) []byte {
	base, sos := byte(0), bidi.L
	if rtl {
		base, sos = 1, bidi.R
	}
	types := make([]bidi.Class, len(cells))
	for i, c := range cells {
		if types[i] = class(c.base); types[i] == bidi.NSM { // a mark without a base character (W1)
			types[i] = sos
		}
	}
	weakTypes(types, sos)
	bracketTypes(cells, types, sos)
	neutralTypes(types, sos)
	levels := make([]byte, len(types))
	for i, t := range types { // I1, I2
		levels[i] = base
		switch {
		case base == 0 && t == bidi.R, base == 1 && t != bidi.R:
			levels[i]++
		case base == 0 && (t == bidi.AN || t == bidi.EN):
			levels[i] += 2
		}
	}
	return levels
}

// weakTypes resolves numbers and the characters between them: W2 to W7.
func weakTypes(types []bidi.Class, sos bidi.Class) {
	strong := sos
	for i, t := range types { // W2
		switch t {
		case bidi.L, bidi.R, bidi.AL:
			strong = t
		case bidi.EN:
			if strong == bidi.AL {
				types[i] = bidi.AN
			}
		}
	}
	for i, t := range types { // W3
		if t == bidi.AL {
			types[i] = bidi.R
		}
	}
	for i := 1; i+1 < len(types); i++ { // W4
		before, after := types[i-1], types[i+1]
		if before == after && (before == bidi.EN && (types[i] == bidi.ES || types[i] == bidi.CS) || before == bidi.AN && types[i] == bidi.CS) {
			types[i] = before
		}
	}
	for i := 0; i < len(types); i++ { // W5
		start := i
		for i < len(types) && types[i] == bidi.ET {
			i++
		}
		if start > 0 && types[start-1] == bidi.EN || i < len(types) && types[i] == bidi.EN {
			for j := start; j < i; j++ {
				types[j] = bidi.EN
			}
		}
	}
	strong = sos
	for i, t := range types { // W6, W7
		switch t {
		case bidi.ES, bidi.ET, bidi.CS:
			types[i] = bidi.ON
		case bidi.L, bidi.R:
			strong = t
		case bidi.EN:
			if strong == bidi.L {
				types[i] = bidi.L
			}
		}
	}
}

// strongDirection returns the direction of a resolved type for the neutral
// characters around it: numbers count as right-to-left.
func strongDirection(t bidi.Class) (bidi.Class, bool) {
	switch t {
	case bidi.L:
		return bidi.L, true
	case bidi.R, bidi.EN, bidi.AN:
		return bidi.R, true
	}
	return 0, false
}

// bracketTypes sets one direction for both brackets of a pair: N0.
func bracketTypes(cells []cell, types []bidi.Class, embedding bidi.Class) {
	type pair struct{ open, shut int }
	var pairs []pair
	var stack []int
	for i, c := range cells {
		p, _ := bidi.LookupRune(c.base)
		if !p.IsBracket() || types[i] != bidi.ON {
			continue
		}
		if p.IsOpeningBracket() {
			if stack = append(stack, i); len(stack) > 63 {
				return
			}
			continue
		}
		for j := len(stack) - 1; j >= 0; j-- {
			if mirror(cells[stack[j]].base) == c.base {
				pairs, stack = append(pairs, pair{stack[j], i}), stack[:j]
				break
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return a.open - b.open })
	for _, p := range pairs {
		same, other := false, false
		for _, t := range types[p.open+1 : p.shut] {
			if d, strong := strongDirection(t); strong {
				same, other = same || d == embedding, other || d != embedding
			}
		}
		to := embedding
		if !same {
			if !other {
				continue
			}
			for i := p.open - 1; i >= 0; i-- {
				if d, strong := strongDirection(types[i]); strong {
					to = d
					break
				}
			}
		}
		types[p.open], types[p.shut] = to, to
	}
}

// neutralTypes sets the direction of neutral characters: that of both sides if
// they agree, otherwise the paragraph's: N1, N2.
func neutralTypes(types []bidi.Class, embedding bidi.Class) {
	before := embedding
	for i := 0; i < len(types); i++ {
		if d, strong := strongDirection(types[i]); strong {
			before = d
			continue
		}
		start, after := i, embedding
		for ; i < len(types); i++ {
			if d, strong := strongDirection(types[i]); strong {
				after = d
				break
			}
		}
		to := embedding
		if before == after {
			to = before
		}
		for j := start; j < i; j++ {
			types[j] = to
		}
		i--
	}
}

// mirrored has the pairs of BidiMirroring.txt (Unicode 14.0.0), opening and
// closing.
const mirrored = "()<>[]{}«»༺༻༼༽᚛᚜‹›⁅⁆⁽⁾₍₎∈∋∉∌∊∍∕⧵∟⯾∠⦣∡⦛∢⦠∤⫮∼∽≃⋍≅≌≒≓≔≕≤≥≦≧≨≩≪≫" +
	"≮≯≰≱≲≳≴≵≶≷≸≹≺≻≼≽≾≿⊀⊁⊂⊃⊄⊅⊆⊇⊈⊉⊊⊋⊏⊐⊑⊒⊘⦸⊢⊣⊦⫞⊨⫤⊩⫣⊫⫥⊰⊱⊲⊳⊴⊵⊶⊷⊸⟜⋉⋊⋋⋌" +
	"⋐⋑⋖⋗⋘⋙⋚⋛⋜⋝⋞⋟⋠⋡⋢⋣⋤⋥⋦⋧⋨⋩⋪⋫⋬⋭⋰⋱⋲⋺⋳⋻⋴⋼⋶⋽⋷⋾⌈⌉⌊⌋〈〉❨❩❪❫❬❭❮❯❰❱❲❳❴❵⟃⟄" +
	"⟅⟆⟈⟉⟋⟍⟕⟖⟝⟞⟢⟣⟤⟥⟦⟧⟨⟩⟪⟫⟬⟭⟮⟯⦃⦄⦅⦆⦇⦈⦉⦊⦋⦌⦍⦐⦎⦏⦑⦒⦓⦔⦕⦖⦗⦘⦤⦥⦨⦩⦪⦫⦬⦭⦮⦯⧀⧁⧄⧅" +
	"⧏⧐⧑⧒⧔⧕⧘⧙⧚⧛⧨⧩⧸⧹⧼⧽⨫⨬⨭⨮⨴⨵⨼⨽⩤⩥⩹⩺⩻⩼⩽⩾⩿⪀⪁⪂⪃⪄⪅⪆⪇⪈⪉⪊⪋⪌⪍⪎⪏⪐⪑⪒⪓⪔⪕⪖⪗⪘⪙⪚" +
	"⪛⪜⪝⪞⪟⪠⪡⪢⪦⪧⪨⪩⪪⪫⪬⪭⪯⪰⪱⪲⪳⪴⪵⪶⪷⪸⪹⪺⪻⪼⪽⪾⪿⫀⫁⫂⫃⫄⫅⫆⫇⫈⫉⫊⫋⫌⫍⫎⫏⫐⫑⫒⫓⫔⫕⫖⫬⫭⫷⫸" +
	"⫹⫺⸂⸃⸄⸅⸉⸊⸌⸍⸜⸝⸠⸡⸢⸣⸤⸥⸦⸧⸨⸩⹕⹖⹗⹘⹙⹚⹛⹜〈〉《》「」『』【】〔〕〖〗〘〙〚〛﹙﹚﹛﹜﹝﹞﹤﹥（）＜＞" +
	"［］｛｝｟｠｢｣"

// mirror returns the other character of a mirrored pair, or r itself.
func mirror(r rune) rune {
	if r == ' ' || unicode.IsLetter(r) {
		return r
	}
	at := strings.IndexRune(mirrored, r)
	if at < 0 {
		return r
	}
	other, _ := utf8.DecodeRuneInString(mirrored[at+utf8.RuneLen(r):])
	if utf8.RuneCountInString(mirrored[:at])%2 == 1 {
		other, _ = utf8.DecodeLastRuneInString(mirrored[:at])
	}
	return other
}
