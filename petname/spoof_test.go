package petname

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.mau.fi/util/confusable"
	"golang.org/x/text/unicode/bidi"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// honestNames are those of testdata/names.txt, and how many scripts they are in.
func honestNames(t *testing.T) (names []string, scripts int) {
	f, err := os.Open("testdata/names.txt")
	require.NoError(t, err)
	defer f.Close()
	seen := map[string]bool{}
	var script string
	var given []string
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		kind, list, _ := strings.Cut(lines.Text(), ": ")
		switch kind {
		case "script":
			script, _, _ = strings.Cut(list, " (")
			seen[script] = true
		case "given":
			given = strings.Fields(list)
			names = append(names, given...)
		case "family":
			for _, family := range strings.Fields(list) {
				for _, g := range given {
					switch script {
					case "Han", "Hiragana and Katakana", "Hangul":
						names = append(names, family+g)
					default:
						names = append(names, g+" "+family)
					}
				}
			}
		}
	}
	require.NoError(t, lines.Err())
	return slices.Compact(slices.Sorted(slices.Values(names))), len(seen)
}

func ordinaryWords(t *testing.T) (words []string) {
	b, err := os.ReadFile("testdata/words.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			words = append(words, strings.Fields(line)...)
		}
	}
	slices.Sort(words)
	return slices.CompactFunc(words, func(a, b string) bool { return mustName(a).Key() == mustName(b).Key() })
}

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
	return []attack{
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
	for _, group := range hanTwins {
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
	return append(pairs, [2]string{n + " 👍", n + " 👍🏿"})
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

// target is a name under attack, with its looks.
type target struct {
	name.Name
	looks []name.Look
}

func targetOf(n name.Name) target { return target{n, name.Looks(n)} }

// caught returns the outcome for a text that imitates a name: refused as no
// name or as an equal name, reported as a look-alike, reported for its scripts
// alone, or accepted.
func caught(victim target, text string) string {
	n, err := name.Parse(text)
	if err != nil {
		return "refused"
	}
	if n.Key() == victim.Key() {
		return "the same"
	}
	switch mine := name.LooksOfNew(n); {
	case name.Alike(mine, victim.looks), name.ReservedFor(mine) != "":
		return "alike"
	case name.MixedScripts(n.String()) != nil:
		return "mixed"
	}
	return "PASSED"
}

// Spoofed names are reported, and honest ones are not. For each attack the test
// logs how many were refused, equal, reported as similar or for mixing scripts,
// and which were accepted.
func TestSpoof(t *testing.T) {
	names, scripts := honestNames(t)
	require.GreaterOrEqual(t, len(names), 2000)
	require.GreaterOrEqual(t, scripts, 10)
	names = sample(names, 7)
	r := rand.New(rand.NewPCG(4, 39))
	total, detected, classes, rates := 0, 0, 0, 0.0
	report := func(class string, how map[string]int, passed []string) {
		n := 0
		for _, count := range how {
			n += count
		}
		rate := 100 * float64(n-how["PASSED"]) / float64(n)
		total, detected = total+n, detected+n-how["PASSED"]
		classes, rates = classes+1, rates+rate
		require.Positive(t, n, class)
		require.GreaterOrEqual(t, rate, 99.5, class) // the overall rate does not show the failures of a class with few attacks
		t.Logf("%-36s %6d attacks, %7.3f%% detected: %5d refused, %5d the same, %5d alike, %5d mixed, %4d passed %q", class, n,
			rate, how["refused"], how["the same"], how["alike"], how["mixed"], how["PASSED"], passed[:min(len(passed), 6)])
	}
	for _, a := range attacks() {
		how, passed := map[string]int{}, []string(nil)
		for _, name := range names {
			victim := targetOf(mustName(name))
			for _, text := range a.make(name, r) {
				if text == name {
					continue
				}
				result := caught(victim, text)
				if how[result]++; result == "PASSED" {
					passed = append(passed, name+" "+text)
				}
			}
		}
		report(a.class, how, passed)
	}
	for _, a := range []struct {
		class string
		make  func(name string) [][2]string
	}{{"another order on the screen", reordered}, {"Han twins", twinned}, {"emoji in another form", redrawn}} {
		how, passed := map[string]int{}, []string(nil)
		for _, honest := range names {
			for _, pair := range a.make(honest) {
				victim, err := name.Parse(pair[0])
				require.NoError(t, err)
				result := caught(targetOf(victim), pair[1])
				if how[result]++; result == "PASSED" {
					passed = append(passed, fmt.Sprint(pair))
				}
			}
		}
		report(a.class, how, passed)
	}
	rate := 100 * float64(detected) / float64(total)
	t.Logf("detected %d of %d attacks on %d names in %d scripts: %.3f%% (goal: 99.5%%); %.3f%% when each class counts the same",
		detected, total, len(names), scripts, rate, rates/float64(classes))
	require.GreaterOrEqual(t, rate, 99.5)

	type alone struct {
		all, passed int
		example     string
	}
	classesAlone := map[string]*alone{}
	for _, name := range names {
		victim := targetOf(mustName(name))
		for class, texts := range leftAlone(name) {
			if classesAlone[class] == nil {
				classesAlone[class] = &alone{}
			}
			for _, text := range texts {
				c := classesAlone[class]
				if c.all++; caught(victim, text) == "PASSED" {
					c.passed++
					c.example = name + " " + text
				}
			}
		}
	}
	for _, class := range slices.Sorted(maps.Keys(classesAlone)) {
		c := classesAlone[class]
		t.Logf("not told of, on purpose: %-34s %5d of %5d passed, such as %q", class, c.passed, c.all, c.example)
	}
}

// Each honest name is tried as a new one beside all the others.
func TestSpoofFalseAlarms(t *testing.T) {
	names, _ := honestNames(t)
	var numbered []string // as people tell several of a name apart, and machines
	for i, name := range names {
		if i%40 == 0 {
			for n := range 30 {
				numbered = append(numbered, fmt.Sprint(name, n), fmt.Sprint(name, " ", n), fmt.Sprintf("%s.%02d", strings.ToLower(name), n))
			}
		}
	}
	for _, list := range []struct {
		what  string
		names []string
	}{{"names", names}, {"numbered names", numbered}, {"words", ordinaryWords(t)}, {"names and words", slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(names), ordinaryWords(t)...))))}} {
		bySkeleton := make(map[string][]name.Name)
		warned, pairs := map[string][]string{}, 0
		for _, text := range list.names {
			n, mine := mustName(text), []name.Look(nil)
			mine = name.LooksOfNew(n)
			var like []string
			for _, l := range mine {
				for _, other := range bySkeleton[string(l.Row())] {
					if other.Key() != n.Key() && name.Alike(mine, name.Looks(other)) && !slices.Contains(like, other.String()) {
						like = append(like, other.String())
						pairs++
					}
				}
			}
			if word := name.ReservedFor(mine); word != "" {
				like = append(like, "the word "+word)
			}
			if name.MixedScripts(n.String()) != nil {
				like = append(like, "mixed scripts")
			}
			if like != nil {
				warned[text] = like
			}
			for _, l := range name.Looks(n) {
				bySkeleton[string(l.Row())] = append(bySkeleton[string(l.Row())], n)
			}
		}
		rate := 100 * float64(len(warned)) / float64(len(list.names))
		t.Logf("%d %s: %d warned of, %.3f%% (goal: 0.1%%), over %d pairs: %v", len(list.names), list.what, len(warned), rate, len(list.names)*(len(list.names)-1)/2, warned)
		require.LessOrEqual(t, rate, 0.1, list.what)
	}
}

// A book does what caught returns.
func TestSpoofInABook(t *testing.T) {
	names, _ := honestNames(t)
	r := rand.New(rand.NewPCG(1, 2))
	b := newTestBook(t)
	var namings []Naming
	for i := range 40 {
		namings = append(namings, Naming{mustName(names[i*len(names)/40]), pointer.Link{Pointer: pointerOf(fmt.Sprint("honest ", i))}, Source{}})
	}
	require.NoError(t, addAll(b, namings))
	tried := map[string]int{}
	for _, a := range attacks() {
		for _, n := range namings {
			texts := a.make(n.Name.String(), r)
			for _, text := range texts[:min(2, len(texts))] {
				want := caught(targetOf(n.Name), text)
				tried[want]++
				fake, err := name.Parse(text)
				if want == "refused" {
					require.Error(t, err)
					continue
				}
				_, err = b.Add(fake, pointer.Link{Pointer: pointerOf("sly")}, Source{})
				var taken *TakenError
				var like *LookalikeError
				switch want {
				case "the same":
					require.True(t, errors.As(err, &taken), "%q for %q: %v", text, n.Name, err)
				case "alike", "mixed":
					require.True(t, errors.As(err, &like), "%q for %q: %v", text, n.Name, err)
				default:
					if err == nil {
						must(b.Undo())
					}
				}
			}
		}
	}
	for _, how := range []string{"refused", "the same", "alike"} {
		require.Positive(t, tried[how], how)
	}
}

// rightToLeft reports whether a text has a letter of a script that is written
// from right to left.
func rightToLeft(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL
	})
}
