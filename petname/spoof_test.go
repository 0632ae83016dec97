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

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/bidi"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
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
	case name.PathSign(n.String()) != "":
		return "path"
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
	names = sample(names, lawtest.Size(21, 7))
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
		t.Logf("%-36s %6d attacks, %7.3f%% detected: %5d refused, %5d the same, %5d alike, %5d mixed, %5d paths, %4d passed %q", class, n,
			rate, how["refused"], how["the same"], how["alike"], how["mixed"], how["path"], how["PASSED"], passed[:min(len(passed), 6)])
		require.GreaterOrEqual(t, rate, 99.5, class) // the overall rate does not show the failures of a class with few attacks
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
	t.Logf("detected %d of %d attacks on %d names in %d scripts: %.3f%% (goal: 99.99%%); %.3f%% when each class counts the same",
		detected, total, len(names), scripts, rate, rates/float64(classes))
	require.GreaterOrEqual(t, rate, 99.99)

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
			if name.PathSign(text) != "" {
				like = append(like, "a path")
			}
			if like != nil {
				warned[text] = like
			}
			for _, l := range name.Looks(n) {
				bySkeleton[string(l.Row())] = append(bySkeleton[string(l.Row())], n)
			}
		}
		rate := 100 * float64(len(warned)) / float64(len(list.names))
		t.Logf("%d %s: %d warned of, %.3f%% (goal: 0.08%%), over %d pairs: %v", len(list.names), list.what, len(warned), rate, len(list.names)*(len(list.names)-1)/2, warned)
		require.LessOrEqual(t, rate, 0.08, list.what)
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
				case "alike", "mixed", "path":
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
