package pointer

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The 128-bit English vectors of BIP-39: trezor/python-mnemonic, vectors.json,
// at commit 0ec16bc5ed96746e3d68e74672a7381b52e425e4.
var bip39Vectors = []struct{ entropy, words string }{
	{"00000000000000000000000000000000", "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"},
	{"7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f", "legal winner thank year wave sausage worth useful legal winner thank yellow"},
	{"80808080808080808080808080808080", "letter advice cage absurd amount doctor acoustic avoid letter advice cage above"},
	{"ffffffffffffffffffffffffffffffff", "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"},
	{"7dce4ed2284c9134d026608ab684c05c", "lava include region explain simple omit dog slot melt reflect copy reward"},
	{"5baf069620eff15c71dd97c9a6ee328f", "forum join pitch dove yellow purchase shuffle real situate danger million bunker"},
	{"63deb1e7f0c3de56f4ab43c9d2ae6c86", "glow void ketchup thunder digital clock sport half six nice open artefact"},
	{"00641669f095b433a304ed0f953f28eb", "about camera omit thrive forget border metal oval auto prepare sketch stomach"},
}

func TestWordListIsTheEnglishOneOfBIP39(t *testing.T) {
	sum := sha256.Sum256([]byte(wordsEnglish))
	require.Equal(t, "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda", hex.EncodeToString(sum[:]))
	list := wordList()
	require.Len(t, list, 2048)
	require.True(t, slices.IsSorted(list), "ParseWords searches it")
	prefixes := map[string]bool{}
	for _, word := range list {
		prefix := word[:min(len(word), wordsUnique)]
		require.False(t, prefixes[prefix], word)
		prefixes[prefix] = true
	}
}

func TestEveryWordIsFoundByItsNumberAndBack(t *testing.T) {
	for n, word := range wordList() {
		require.Equal(t, word, Word(n))
		for cut := min(len(word), wordsUnique); cut <= len(word); cut++ {
			got, ok := FindWord(word[:cut])
			require.True(t, ok, word[:cut])
			require.Equal(t, n, got)
		}
	}
	for _, s := range []string{"", "ab", "abandons", "Abandon", "zzzz", "ab and"} {
		n, ok := FindWord(s)
		require.False(t, ok, s)
		require.Zero(t, n)
	}
	require.Equal(t, Word(2047), Word(-1), "any number is one of a word")
}

func TestWordsAreBIP39Mnemonics(t *testing.T) {
	for _, v := range bip39Vectors {
		w := wordsOf([wordsEntropy]byte(unhex(t, v.entropy)))
		require.Equal(t, v.words, w.String())
		parsed, err := ParseWords(v.words)
		require.NoError(t, err)
		require.Equal(t, w, parsed)
	}
}

// The way from a pointer to its words is part of the wire format, too: two
// people compare them with programs of two versions.
func TestWordsOfAPointerStayTheSame(t *testing.T) {
	p := testKey(1).Pointer()
	sum := sha256.Sum256(append([]byte("petnames/words/v1\x00"), p.Bytes()...))
	require.Equal(t, wordsOf([16]byte(sum[:16])), p.Words())
	require.Equal(t, "stadium parent hover sell island pause resource giraffe flee peanut drip anchor", p.Words().String())
	require.NotEqual(t, p.Words(), testKey(2).Pointer().Words())
}

func TestWordsAreReadHoweverTheyAreTyped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := testKey(rapid.Byte().Draw(t, "key")).Pointer().Words()
		var typed strings.Builder
		space := rapid.SampledFrom([]string{" ", "\n", "\t ", "\u00a0"})
		for _, word := range strings.Fields(w.String()) {
			if len(word) > wordsUnique {
				word = word[:rapid.IntRange(wordsUnique, len(word)).Draw(t, "letters")]
			}
			switch rapid.IntRange(0, 2).Draw(t, "case") {
			case 0:
				word = strings.ToUpper(word)
			case 1:
				word = strings.ToUpper(word[:1]) + word[1:]
			}
			typed.WriteString(word + space.Draw(t, "space"))
		}
		got, err := ParseWords(typed.String())
		require.NoError(t, err)
		require.Equal(t, w, got)
	})
}

// All 12 × 2047 ways to get one word wrong.
func TestOneWrongWordIsMostlyRefusedAndNeverFits(t *testing.T) {
	p := testKey(1).Pointer()
	words := strings.Fields(p.Words().String())
	tried, accepted := 0, 0
	for at := range words {
		for _, wrong := range wordList() {
			if wrong == words[at] {
				continue
			}
			changed := slices.Clone(words)
			changed[at] = wrong
			tried++
			w, err := ParseWords(strings.Join(changed, " "))
			if err != nil {
				require.ErrorContains(t, err, "checksum")
				continue
			}
			accepted++
			require.NotEqual(t, p.Words(), w)
		}
	}
	require.Equal(t, 12*2047, tried)
	require.InEpsilon(t, tried/16, accepted, 0.1, "the checksum has 4 bits")
}

func TestWhatIsNotTwelveWordsOfTheListIsRefused(t *testing.T) {
	good := testKey(1).Pointer().Words().String()
	first, rest, _ := strings.Cut(good, " ")
	for why, s := range map[string]string{
		"nothing":             "",
		"eleven":              rest,
		"thirteen":            good + " " + first,
		"unknown word":        "petname " + rest,
		"three letters":       first[:3] + " " + rest,
		"letters too many":    first + "s " + rest,
		"zero words":          Words{}.String(),
		"zero words, spelled": strings.TrimSpace(strings.Repeat("abandon ", 12)),
		"huge":                strings.Repeat(good+" ", 1000),
		"NULs":                strings.Repeat("\x00 ", 12),
		"after the last":      "zzzz " + rest,
		"other order":         rest + " " + first,
	} {
		w, err := ParseWords(s)
		require.Error(t, err, why)
		require.Zero(t, w, why)
		require.Less(t, len(err.Error()), 1000, why)
	}
	_, err := ParseWords(first[:3] + " " + rest)
	require.ErrorContains(t, err, "is not in the BIP-39 English list", "three letters tell no word")
	_, err = ParseWords("petname " + rest)
	require.ErrorContains(t, err, `word 1, "petname"`)
}

func TestZeroWordsFitNoPointer(t *testing.T) {
	require.Equal(t, "(no words)", Words{}.String())
	require.Equal(t, Words{}, Pointer{}.Words())
	_, err := ParseWords(strings.TrimSpace(strings.Repeat("abandon ", 12)))
	require.Error(t, err, "its checksum doesn't hold, so no pointer has it")
	require.NotPanics(t, func() { _ = Words{1: 65535}.String() })
}

func FuzzParseWords(f *testing.F) {
	for _, v := range bip39Vectors {
		f.Add(v.words)
	}
	f.Add("zoo Zoo ZOO zoo zoo zoo zoo zoo zoo zoo zoo wron")
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWords(s)
		if err != nil {
			require.Zero(t, w)
			return
		}
		again, err := ParseWords(w.String())
		require.NoError(t, err)
		require.Equal(t, w, again)
		require.NotEqual(t, Words{}, w)
	})
}
