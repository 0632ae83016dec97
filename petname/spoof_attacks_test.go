package petname

import (
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"

	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/runenames"
)

// An attack makes texts that are meant to be taken for a name; none where it has
// no hold on that name.
type attack struct {
	class string
	make  func(name string, r *rand.Rand) []string
}

// doubles are the characters of each prototype in the data.
func doubles() map[string][]rune {
	all := make(map[string][]rune)
	for r := rune('!'); r < 0x20000; r++ {
		if !unicode.IsGraphic(r) {
			continue
		}
		to := confusable.GetReplacement(r)
		if to == "" {
			to = string(r)
		}
		all[to] = append(all[to], r)
	}
	maps.DeleteFunc(all, func(_ string, rs []rune) bool { return len(rs) < 2 })
	return all
}

// lookalikesByHand are letters that people take for one another, written down
// without the data: it doesn't have all of them.
var lookalikesByHand = map[rune]string{
	'a': "аαɑ", 'b': "Ьƅ", 'c': "сϲ", 'd': "ԁɗ", 'e': "еҽ", 'g': "ɡց", 'h': "һհ", 'i': "іıɩ1l", 'j': "јϳ", 'k': "кκĸ", 'l': "ӏ1IΙ|", 'm': "м", 'n': "пո",
	'o': "оοօ0", 'p': "рρ", 'q': "ԛգ", 'r': "гᴦ", 's': "ѕꜱ5", 't': "тτ", 'u': "υս", 'v': "νѵ", 'w': "ѡա", 'x': "хχ", 'y': "уγ", 'z': "ᴢ2", 'ß': "Bβ",
	'A': "АΑ", 'B': "ВΒ8", 'C': "СϹ", 'E': "ЕΕ", 'H': "НΗ", 'I': "ІΙl1", 'J': "Ј", 'K': "КΚ", 'M': "МΜ", 'N': "Ν", 'O': "ОΟ0", 'P': "РΡ", 'S': "Ѕ5", 'T': "ТΤ", 'X': "ХΧ", 'Y': "УΥ", 'Z': "Ζ2",
	'а': "aɑ", 'е': "e", 'о': "oο", 'р': "pρ", 'с': "c", 'у': "y", 'х': "x", 'і': "i", 'А': "AΑ", 'В': "B", 'Е': "E", 'К': "K", 'М': "M", 'Н': "H", 'О': "O0", 'Р': "P", 'С': "C", 'Т': "T",
	'α': "aа", 'ο': "oо", 'ν': "v", 'ρ': "pр", 'Α': "AА", 'Ε': "E", 'Κ': "K", 'Ν': "N", 'Ο': "O", 'Χ': "X",
	'ا': "اﺍ١", 'ی': "يى", 'ي': "یى", 'ک': "ك", 'ו': "ון", 'ס': "ם", '〇': "○", 'ロ': "口", '口': "ロ", 'ニ': "二", '二': "ニ", 'カ': "力", '力': "カ", 'タ': "夕", 'エ': "工", 'ハ': "八", 'へ': "ヘ", 'り': "リ", 'ー': "一",
}

// leet has digits for letters, and similar signs.
var leet = map[rune]string{'o': "0", 'O': "0", 'l': "1", 'i': "1", 'I': "1", 's': "5", 'S': "5", 'z': "2", 'Z': "2", 'e': "3", 'E': "3", 'a': "4", 'A': "4", 'b': "6", 'B': "8", 'g': "9", 't': "7", 'T': "7"}

// signs has the signs that are written for letters.
var signs = map[rune]string{'a': "@", 'A': "@∀", 'B': "₿", 'c': "¢©", 'C': "©", 'e': "€", 'E': "€∃", 'i': "!¡", 'I': "!", 'l': "!", 'L': "£", 'o': "°¤", 'O': "¤", 'r': "®", 's': "$", 'S': "$§", 't': "+", 'y': "¥", 'Y': "¥"}

// hanTwins differ in hardly a stroke, or are the forms of one character in two
// countries.
var hanTwins = []string{"日曰", "千干于", "未末", "土士", "己已巳", "人入", "戊戌戍", "市巿", "冶治", "侯候", "户戶戸", "吴吳呉", "黄黃", "内內", "真眞", "高髙", "青靑", "崎﨑"}

// hanComponents differ in one component with the same outline, written down
// without the table of package name.
var hanComponents = strings.Fields("明朋 杨扬 楊揚 冷泠 冲沖 准淮 侍待 住往 仿彷 折析 技枝 抗杭 推椎 扎札 摸模 拍柏 挑桃 捡检 拧柠 祖袒 狼狠 今令 薄簿 藉籍 著箸 蓝篮 藍籃 潭谭 洋详 淳谆 洵询 时肘 厦廈 迁迂 呜鸣 抵柢 余佘 沈沉 裴斐 孟盂")

// arrowSigns are the symbols that are called an arrow or a harpoon, without
// pictures of other things, and arrows of several characters.
var arrowSigns = sync.OnceValue(func() (all []string) {
	for r := rune(0x80); r < 0x20000; r++ {
		if what := runenames.Name(r); unicode.Is(unicode.S, r) && (strings.Contains(what, "ARROW") || strings.Contains(what, "HARPOON")) &&
			!slices.ContainsFunc([]string{"APL", "EMPTY SET", "ANGLE", "INTEGRAL", "CIRCLE", "DIAMOND", "BOW AND", "HEART", "ENVELOPE", "PHONE", "TWISTED", "ABOVE", "ELECTRIC", "BARS", "SIGNWRITING", "BETWEEN", "PHAISTOS"},
				func(other string) bool { return strings.Contains(what, other) }) {
			all = append(all, string(r))
		}
	}
	return append(all, "➡\ufe0f", "▶", "►", "->", "=>", "-->", "==>", "~>", "－＞", "—>", "─➤", "-›")
})

// pathSigns are signs that are no arrows and read as one between names.
var pathSigns = []string{">", "»", "›", "≫", "⟩", "⟫", "〉", "》", "≻", "⋙", "⊳", "＞", "﹥", ">>", "˃"}

// respaced are the texts with another space, or without one that has no number beside it.
func respaced(n string) (out []string) {
	digit := func(r rune) bool { return unicode.IsDigit(r) }
	runes := []rune(n)
	for i := 1; i < len(runes); i++ {
		switch before, after := runes[:i], runes[i:]; {
		case runes[i] == ' ' && !digit(runes[i-1]) && !digit(runes[i+1]):
			out = append(out, string(before)+string(runes[i+1:]))
		case runes[i] != ' ' && runes[i-1] != ' ' && !digit(runes[i]) && !digit(runes[i-1]) && !unicode.Is(unicode.M, runes[i]):
			out = append(out, string(before)+" "+string(after))
		}
	}
	return out
}

// latinLetters are the small letters with a name such as "LATIN LETTER SMALL
// CAPITAL B" and "LATIN SMALL LETTER R WITH FISHHOOK", for each plain letter.
func latinLetters(pattern string) map[rune]string {
	form := regexp.MustCompile(pattern)
	all := make(map[rune]string)
	for r := rune(0x80); r < 0x20000; r++ {
		if m := form.FindStringSubmatch(runenames.Name(r)); m != nil && unicode.IsGraphic(r) && norm.NFD.String(string(r)) == string(r) {
			letter := unicode.ToLower(rune(m[1][0]))
			all[letter] += string(r)
			all[unicode.ToUpper(letter)] += string(r)
		}
	}
	return all
}

// drawings are signs in their forms as text and as emoji, heavy and light.
var drawings = []string{"❤♥♡💙", "★☆⭐", "☀☼", "☺🙂", "✓✔✅", "●⚫🔴", "☎📞", "✉📧", "✗✘❌", "🅰ⓐ"}

func swap(name string, r *rand.Rand, table map[rune]string, most int) []string {
	runes := []rune(name)
	done := 0
	for _, i := range r.Perm(len(runes)) {
		with := []rune(table[runes[i]])
		if len(with) > 0 && done < most {
			runes[i] = with[r.IntN(len(with))]
			done++
		}
	}
	if done == 0 || string(runes) == name {
		return nil
	}
	return []string{string(runes)}
}

func insert(name string, r *rand.Rand, what string) string {
	runes := []rune(name)
	at := 1 + r.IntN(len(runes))
	return string(runes[:at]) + what + string(runes[at:])
}

func attacks() []attack {
	all := doubles()
	table := make(map[rune]string)
	for to, rs := range all {
		for _, from := range rs {
			for _, other := range rs {
				if other != from {
					table[from] += string(other)
				}
			}
		}
		_ = to
	}
	marks := []string{"\u0300", "\u0301", "\u0307", "\u0308", "\u030d", "\u0323", "\u0332", "\u0335", "\u0338", "\u0345", "\u0489", "\u20dd", "\u0315", "\u0324"}
	invisible := []string{"\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u034f", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\ufe0f", "\ufe00", "\U000e0061", "\U000e0100", "\u180e", "\u061c", "\u2061", "\u17b4"}
	each := func(name string, r *rand.Rand, whats []string) (out []string) {
		for _, what := range whats {
			out = append(out, insert(name, r, what))
		}
		return out
	}
	smallCapitals := latinLetters("^LATIN LETTER SMALL CAPITAL ([A-Z])$")
	phonetic := latinLetters("^LATIN (?:SMALL LETTER|LETTER SMALL CAPITAL) ([A-Z]) WITH [A-Z -]*(?:HOOK|TAIL|CURL|LEG|BELT|STROKE|LOOP|TILDE|CROSSED|SWASH)")
	return []attack{
		{"one small capital", func(n string, r *rand.Rand) []string { return swap(n, r, smallCapitals, 1) }},
		{"small capitals", func(n string, r *rand.Rand) []string { return swap(n, r, smallCapitals, 99) }},
		{"one phonetic letter", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, phonetic, 1), swap(n, r, phonetic, 1))
		}},
		{"phonetic letters", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, phonetic, 3), swap(n, r, phonetic, 99))
		}},
		{"ß, ss and B", func(n string, r *rand.Rand) (out []string) {
			words := strings.Fields(n)
			for i, word := range words {
				for _, p := range [][2]string{{"ß", "ss"}, {"ss", "ß"}, {"ß", "B"}, {"ß", "ẞ"}, {"B", "ß"}, {"b", "ß"}} {
					if at := strings.Index(word, p[0]); at == 0 || at > 0 && (p[1] != "ß" || p[0] == "ss" || at+len(p[0]) < len(word)) {
						out = append(out, strings.Join(slices.Concat(words[:i], []string{strings.Replace(word, p[0], p[1], 1)}, words[i+1:]), " "))
					}
				}
			}
			return out
		}},
		{"letters for letters: nn m uu w ri n", func(n string, r *rand.Rand) (out []string) {
			for _, p := range [][2]string{{"m", "nn"}, {"nn", "m"}, {"w", "uu"}, {"uu", "w"}, {"n", "ri"}, {"ri", "n"}} {
				if strings.Contains(n, p[0]) {
					out = append(out, strings.Replace(n, p[0], p[1], 1), strings.ReplaceAll(n, p[0], p[1]))
				}
			}
			return out
		}},
		{"an arrow between two names", func(n string, r *rand.Rand) (out []string) {
			for range 3 {
				arrow := arrowSigns()[r.IntN(len(arrowSigns()))]
				out = append(out, n+" "+arrow+" bob", n+arrow+"bob", "bob "+arrow+" "+n)
			}
			return out
		}},
		{"a sign between two names", func(n string, r *rand.Rand) (out []string) {
			for _, sign := range pathSigns {
				out = append(out, n+" "+sign+" bob", n+sign+"bob", "bob "+sign+" "+n)
			}
			return out
		}},
		{"spaces", func(n string, r *rand.Rand) []string { return respaced(n) }},
		{"check marks", func(n string, r *rand.Rand) (out []string) {
			for _, mark := range []string{"✓", "✔", "☑", "☑\ufe0f", "✅", "🗸", "√"} {
				out = append(out, n+mark, n+" "+mark, mark+" "+n)
			}
			return out
		}},
		{"one confusable of the data", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, table, 1), swap(n, r, table, 1))
		}},
		{"several confusables of the data", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, table, 3), swap(n, r, table, 99))
		}},
		{"one look-alike by hand", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, lookalikesByHand, 1), swap(n, r, lookalikesByHand, 1))
		}},
		{"several look-alikes by hand", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, lookalikesByHand, 3), swap(n, r, lookalikesByHand, 99))
		}},
		{"letters for letters: rn m vv w cl d", func(n string, r *rand.Rand) (out []string) {
			for _, p := range [][2]string{{"m", "rn"}, {"rn", "m"}, {"w", "vv"}, {"W", "VV"}, {"d", "cl"}, {"cl", "d"}} {
				if strings.Contains(n, p[0]) {
					out = append(out, strings.Replace(n, p[0], p[1], 1))
				}
			}
			return out
		}},
		{"case", func(n string, r *rand.Rand) []string { return []string{strings.ToUpper(n), strings.ToLower(n)} }},
		{"width", func(n string, r *rand.Rand) []string {
			wide := strings.Map(func(c rune) rune {
				switch {
				case c > ' ' && c < 0x7f:
					return c - '!' + '！'
				case c == ' ':
					return '\u3000'
				}
				return c
			}, n)
			return []string{wide, strings.ReplaceAll(n, " ", "  ")}
		}},
		{"invisible insertion", func(n string, r *rand.Rand) []string { return each(n, r, invisible) }},
		{"bidi controls", func(n string, r *rand.Rand) []string {
			back := []rune(n)
			slices.Reverse(back)
			return []string{"\u202e" + string(back) + "\u202c", "\u202e" + string(back), "\u2067" + n + "\u2069", n + "\u200f", "\u202d" + n}
		}},
		{"combining marks", func(n string, r *rand.Rand) []string { return each(n, r, marks) }},
		{"one digit for a letter", func(n string, r *rand.Rand) []string { return swap(n, r, leet, 1) }},
		{"digits for letters", func(n string, r *rand.Rand) []string { return slices.Concat(swap(n, r, leet, 2), swap(n, r, leet, 99)) }},
		{"one sign for a letter", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, signs, 1), swap(n, r, signs, 1))
		}},
		{"signs for letters", func(n string, r *rand.Rand) []string {
			return slices.Concat(swap(n, r, signs, 2), swap(n, r, signs, 99))
		}},
		{"signs at the ends", func(n string, r *rand.Rand) []string {
			return []string{n + "'", n + "!", n + "\u2019", n + "\u02bc", n + "`", n + "?", n + " !", "@" + n, "*" + n + "*", "#" + n, n + "\u2026", n + "\"", "'" + n + "!.", n + "\u2757"}
		}},
		{"punctuation at the ends", func(n string, r *rand.Rand) []string {
			return []string{n + ".", n + " .", n + ",", "_" + n, n + "\u00b7"}
		}},
	}
}

// reordered are pairs that stand alike on the screen in another order: a name
// from right to left with a number, in paragraphs of each direction.
func reordered(n string) [][2]string {
	if !rightToLeft(n) || strings.ContainsRune(n, ' ') {
		return nil
	}
	return [][2]string{{n + " 12", "12 " + n}, {"7 " + n, n + " 7"}, {"Bob " + n + " 12", "Bob 12 " + n}, {n + " (3)", "(3) " + n}}
}

// twinned are pairs of names that differ in a Han character and its twin.
func twinned(n string) (pairs [][2]string) {
	runes := []rune(n)
	if len(runes) > 3 || !unicode.Is(unicode.Han, runes[0]) {
		return nil
	}
	for _, group := range slices.Concat(hanTwins, hanComponents) {
		for a := range []rune(group) {
			for b := range []rune(group) {
				if a != b {
					one, other := string([]rune(group)[a]), string([]rune(group)[b])
					pairs = append(pairs, [2]string{one + n, other + n}, [2]string{n + one, n + other})
				}
			}
		}
	}
	return pairs
}

// redrawn are pairs of names that differ in the form of an emoji behind them.
func redrawn(n string) (pairs [][2]string) {
	if strings.Contains(n, " ") {
		return nil
	}
	for _, group := range drawings {
		forms := []rune(group)
		for _, other := range forms[1:] {
			pairs = append(pairs, [2]string{n + " " + string(forms[0]), n + " " + string(other)})
		}
	}
	for _, e := range [][2]string{
		{"❤", "❤\ufe0f"}, {"❤\ufe0f", "❤"}, {"❤\ufe0f", "❤\ufe0e"}, {"1\ufe0f\u20e3", "1\u20e3"}, {"👩\u200d💻", "👩💻"}, {"👩\u200d💻", "👩🏽\u200d💻"}, {"👩💻", "👩\u200d💻"},
		{"🏳\ufe0f\u200d🌈", "🏳\u200d🌈"}, {"🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🏴"}, {"🇩🇪", "DE"}, {"👍", "👍🏿"},
	} {
		pairs = append(pairs, [2]string{n + " " + e[0], n + " " + e[1]})
	}
	return pairs
}

// leftAlone are classes of attacks that are not reported, on purpose, because
// they would report more honest names than attacks. They are not part of the
// rate.
func leftAlone(n string) map[string][]string {
	all := make(map[string][]string)
	for class, pairs := range map[string][]string{
		"two letters for one":              {"k", "lc", "q", "cj", "h", "ln", "u", "ii", "g", "cj"},
		"a letter more or less":            {"ll", "lll", "nn", "n", "ss", "s"},
		"Han with a stroke more":           {"大", "太", "王", "玉", "木", "本", "李", "季"},
		"one letter for its neighbour":     {"e", "c", "v", "y", "h", "b", "u", "v"},
		"ß for b, as in Groß and Grob":     {"b", "ß"},
		"another mark: Hà and Hạ":          {"à", "ạ", "ö", "ó", "ü", "ú"},
		"Hebrew and Arabic of like shapes": {"ר", "ד", "ה", "ח", "ب", "ت", "ح", "خ"},
	} {
		for pair := range slices.Chunk(pairs, 2) {
			if strings.Contains(n, pair[0]) {
				all[class] = append(all[class], strings.Replace(n, pair[0], pair[1], 1))
			}
		}
	}
	return all
}
