package introduce

import (
	"encoding/pem"
	"fmt"
)

// armorType is the type of the PEM blocks.
const armorType = "PETNAMES STATEMENT"

// maxArmored bounds a text that statements are looked for in, in bytes.
const maxArmored = 64 << 10

// maxArmoredBlocks bounds the statements in one text.
const maxArmoredBlocks = 8

// Armor writes signed statements as text: PEM blocks, for a file or a mail.
func Armor(signed ...[]byte) []byte {
	var out []byte
	for _, b := range signed {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: armorType, Bytes: b})...)
	}
	return out
}

// Dearmor returns the statements in a text, with other text around them, such as
// that of a mail. They are not verified: see [Open]. A text without any is an error.
func Dearmor(text []byte) ([][]byte, error) {
	if len(text) > maxArmored {
		return nil, invalid("a text of %d bytes, over %d", len(text), maxArmored)
	}
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
	if len(found) == 0 {
		return nil, fmt.Errorf("no %q block in it, or a damaged one: %w", armorType, ErrInvalid)
	}
	return found, nil
}
