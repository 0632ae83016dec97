package introduce

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/petnames-go/petnames/pointer/paste"
)

// armorType is the type of the PEM blocks.
const armorType = "PETNAMES STATEMENT"

// maxArmored bounds a text that statements are looked for in, in bytes.
const maxArmored = 64 << 10

// maxArmoredBlocks bounds the statements in one text.
const maxArmoredBlocks = 8

// copied matches a block in a text that passed through other programs.
var copied = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?s)\p{Pd}+\s*BEGIN ` + armorType + `\s*\p{Pd}+(.*?)\p{Pd}+\s*END ` + armorType + `\s*\p{Pd}+`)
})

// begins matches the first line of a block in such a text.
var begins = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\p{Pd}+\s*BEGIN ` + armorType + `\s*\p{Pd}+`)
})

// Armor writes signed statements as text: PEM blocks, for a file or a mail.
func Armor(signed ...[]byte) []byte {
	var out []byte
	for _, b := range signed {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: armorType, Bytes: b})...)
	}
	return out
}

// Dearmor returns the statements in a text, with other text around them, such as
// that of a mail, and without what mail programs add to them: see package paste. They are not
// verified: see [Open]. A text without any is an error, and so is one with a damaged block.
func Dearmor(text []byte) ([][]byte, error) {
	if len(text) > maxArmored {
		return nil, invalid("a text of %d bytes, over %d", len(text), maxArmored)
	}
	found, err := dearmor(text)
	if err != nil {
		return nil, err
	}
	lines := paste.Lines(text)
	begun := len(begins().FindAllIndex(lines, maxArmoredBlocks+1))
	if begun > maxArmoredBlocks {
		return nil, invalid("over %d statements", maxArmoredBlocks)
	}
	if begun > len(found) { // some were copied, or are damaged
		if copied := dearmorCopied(lines); len(copied) > len(found) {
			found = copied
		}
	}
	switch {
	case len(found) == 0:
		return nil, fmt.Errorf("no %q block in it, or a damaged one: %w", armorType, ErrInvalid)
	case begun > len(found):
		return nil, fmt.Errorf("%d of the %d %q blocks in it are damaged: %w", begun-len(found), begun, armorType, ErrInvalid)
	}
	return found, nil
}

// dearmorCopied returns the statements in the lines of a text that passed through other programs:
// they may be indented, folded or joined, and the hyphens replaced by dashes.
func dearmorCopied(lines []byte) (found [][]byte) {
	for _, block := range copied().FindAllSubmatch(lines, maxArmoredBlocks+1) {
		// A single padding character before a line break reads as a soft one of quoted-printable.
		encoded := strings.TrimRight(strings.Join(strings.Fields(string(block[1])), ""), "=")
		if b, err := base64.RawStdEncoding.Strict().DecodeString(encoded); err == nil && len(b) > 0 {
			found = append(found, b)
		}
	}
	return found
}

// dearmor returns the statements in a text as it is; none is no error.
func dearmor(text []byte) ([][]byte, error) {
	var found [][]byte
	for rest := text; len(rest) > 0; {
		block, after := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = after
		if block.Type != armorType {
			continue
		}
		if len(block.Headers) > 0 {
			return nil, invalid("a block with headers")
		}
		if found = append(found, block.Bytes); len(found) > maxArmoredBlocks {
			return nil, invalid("over %d statements", maxArmoredBlocks)
		}
	}
	return found, nil
}
