package home

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of config.toml, before the TOML library parses it: the library recurses into
// what is nested, and takes minutes for 64 KiB of it.
const (
	maxNesting   = 8       // [ and { within one another
	maxDots      = 8       // in one key or number
	maxTOMLToken = 4 << 10 // bytes of a string, or of text without spaces
)

// checkTOML returns an error for a text that is nested too deeply or has a part that is
// too long. Other errors are left to the parser.
func checkTOML(text string) error {
	depth, dots, token := 0, 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'':
			length := stringLength(text[i:])
			if length > maxTOMLToken {
				return fmt.Errorf("a string of over %d bytes", maxTOMLToken)
			}
			i += length - 1
			continue
		case '#':
			if end := strings.IndexByte(text[i:], '\n'); end > 0 {
				i += end - 1
			} else {
				i = len(text)
			}
			continue
		case '[', '{':
			if depth++; depth > maxNesting {
				return fmt.Errorf("is nested over %d levels deep", maxNesting)
			}
			dots, token = 0, 0
		case ']', '}':
			depth = max(0, depth-1)
			dots, token = 0, 0
		case '=', ',', '\n':
			dots, token = 0, 0
		case ' ', '\t', '\r':
			token = 0
		case '.':
			if dots++; dots > maxDots {
				return fmt.Errorf("a key of over %d parts", maxDots+1)
			}
		default:
			if token++; token > maxTOMLToken {
				return errors.New("a word of over 4096 bytes")
			}
		}
	}
	return nil
}

// stringLength returns the length of the TOML string at the start of a text, with its
// quotes. One that does not end is as long as its line, or, in three quotes, as the
// text.
func stringLength(text string) int {
	quote := text[:1]
	multiline := strings.HasPrefix(text, strings.Repeat(quote, 3))
	if multiline {
		quote = text[:3]
	}
	for i := len(quote); i < len(text); i++ {
		switch {
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote)
		case text[i] == '\n' && !multiline:
			return i
		case text[i] == '\\' && quote[0] == '"':
			i++
		}
	}
	return len(text)
}
