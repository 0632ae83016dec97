package pointer

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/petnames-go/petnames/pointer/paste"
)

// The English list of BIP-39, bip-0039/english.txt, sorted, 2048 words, each
// known by its first four letters.
//
//go:embed words_english.txt
var wordsEnglish string

var wordList = sync.OnceValue(func() []string { return strings.Fields(wordsEnglish) })

const (
	wordsDomain  = "petnames/words/v1\x00"
	wordsCount   = 12
	wordsEntropy = 16 // bytes
	wordsUnique  = 4  // letters that distinguish a word of the list
)

// Words are twelve words for reading a pointer aloud and comparing it: BIP-39's
// mnemonic (with its checksum of 4 bits) of the first 128 bits of the sha2-256
// of "petnames/words/v1\0" ‖ multihash. They identify a pointer and cannot be
// converted back to one. Words are comparable. The zero value, which has an
// invalid checksum, matches no pointer.
type Words [wordsCount]uint16

// Words returns the pointer's twelve words; the zero Words for the zero
// pointer.
func (p Pointer) Words() Words {
	if p.IsZero() {
		return Words{}
	}
	sum := digest(wordsDomain, []byte(p.multihash))
	return wordsOf([wordsEntropy]byte(sum[:wordsEntropy]))
}

// wordsOf returns BIP-39's mnemonic: the bits of the entropy and of its
// checksum, eleven for each word.
func wordsOf(entropy [wordsEntropy]byte) Words {
	var w Words
	for i := range w {
		for bit := i * 11; bit < i*11+11; bit++ {
			w[i] = w[i]<<1 | bitOf(entropy, bit)
		}
	}
	return w
}

// bitOf returns a bit of the entropy, or of the checksum that follows it.
func bitOf(entropy [wordsEntropy]byte, bit int) uint16 {
	source := entropy[:]
	if bit >= wordsEntropy*8 {
		sum := sha256.Sum256(source)
		source, bit = sum[:], bit-wordsEntropy*8
	}
	return uint16(source[bit/8]>>(7-bit%8)) & 1
}

// ParseWords reads twelve words, in any case, with white space, commas or hyphens
// between them, with their numbers in a list, and behind a label that ends with a colon,
// each word cut to its first four letters or more. It ignores what other programs add to them: see
// package paste. A word that is not in the list is an error, and so is a wrong checksum. The
// checksum detects 15 of 16 wrong words; comparison with the pointer's own words detects the rest.
func ParseWords(s string) (Words, error) {
	if isSecret(s) {
		return Words{}, fmt.Errorf("words: %w", errSecret)
	}
	if len(s) > maxLink {
		return Words{}, fmt.Errorf("words %s: are too long", quote(s))
	}
	text := strings.ToLower(paste.Digits(paste.Words(s)))
	fields := splitWords(text)
	if _, labelled, ok := strings.Cut(text, ":"); ok && len(fields) != wordsCount {
		if rest := splitWords(labelled); len(rest) == wordsCount {
			fields = rest
		}
	}
	if len(fields) != wordsCount {
		return Words{}, fmt.Errorf("words %s: are %d, and %d are needed", quote(s), len(fields), wordsCount)
	}
	var w Words
	for i, field := range fields {
		index, found := FindWord(field)
		if !found {
			return Words{}, fmt.Errorf("word %d, %s, is not in the BIP-39 English list: ask to have it read again", i+1, quote(field))
		}
		w[i] = uint16(index)
	}
	if !w.isValid() {
		return Words{}, fmt.Errorf("words %s: the checksum is wrong, so at least one word is: have them read again", quote(s))
	}
	return w, nil
}

// isValid reports whether the checksum of the words is right.
func (w Words) isValid() bool {
	var entropy [wordsEntropy]byte
	for bit := range wordsEntropy * 8 { // 11 bits a word, the highest first; the last 4 are the checksum
		entropy[bit/8] |= byte(w[bit/11]>>(10-bit%11)&1) << (7 - bit%8)
	}
	return wordsOf(entropy) == w
}

// splitWords returns the words of a text, without the numbers of a list.
func splitWords(text string) (words []string) {
	for field := range strings.FieldsFuncSeq(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune(",;.:()", r)
	}) {
		if word := strings.TrimLeft(field, "0123456789"); word != "" {
			words = append(words, word)
		}
	}
	return words
}

// FindWord returns the number, from 0 to 2047, of a word of the BIP-39 English
// list in lower case, cut to its first four letters or more.
func FindWord(s string) (int, bool) {
	index, found := slices.BinarySearch(wordList(), s)
	if !found && len(s) >= wordsUnique && index < len(wordList()) && strings.HasPrefix(wordList()[index], s) {
		found = true
	}
	if !found {
		return 0, false
	}
	return index, true
}

// Word returns the word of the BIP-39 English list with a number from 0 to
// 2047; only the low 11 bits of n are used.
func Word(n int) string { return wordList()[n&2047] }

// String returns the words in lower case, separated by single spaces; "(no
// words)" for the zero value.
func (w Words) String() string {
	if w == (Words{}) {
		return "(no words)"
	}
	words := make([]string, len(w))
	for i, n := range w {
		words[i] = Word(int(n))
	}
	return strings.Join(words, " ")
}
