package pointer

import "fmt"

// Malformed says why bytes are a record of nobody, whichever pointer they are
// held against; nil when only a pointer can tell, and then it takes [Open].
func Malformed(b []byte) error {
	_, _, card, err := parseRecord(b)
	if err == nil && card != nil {
		_, err = ParseCard(card)
	}
	if err != nil {
		return fmt.Errorf("not a record: %w", err)
	}
	return nil
}
