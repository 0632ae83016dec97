package pointer

import "fmt"

// Malformed returns an error for bytes that are not a valid record for any
// pointer. It returns nil if that depends on the pointer: then [Open] decides.
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
