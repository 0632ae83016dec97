package pointer

import (
	"fmt"

	"github.com/ipfs/boxo/ipns"
)

// Malformed says why bytes are a record of nobody, whichever pointer they are
// held against; nil when only a pointer can tell, and then it takes [Open].
func Malformed(b []byte) error {
	if len(b) > MaxRecord {
		return fmt.Errorf("record of %d bytes: over %d", len(b), MaxRecord)
	}
	rec, err := ipns.UnmarshalRecord(b)
	if err != nil {
		return fmt.Errorf("not a record: %w", err)
	}
	if _, err := rec.Validity(); err != nil {
		return fmt.Errorf("not a record: %w", err)
	}
	return nil
}
