package request

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The default difficulty: a stamp takes 1024 hashes on average, and 8 to verify.
const (
	DefaultSolutions = 8
	DefaultBits      = 7
)

// MaxSolutions bounds the solutions of a stamp, MaxBits the zero bits of each.
const (
	MaxSolutions = 64
	MaxBits      = 32
)

// EpochLength is the length of an epoch. A stamp is valid in its epoch and the next one.
const EpochLength = 2 * time.Hour

// Difficulty is the proof of work that a stamp must contain.
type Difficulty struct {
	Solutions int // 1 to MaxSolutions; 0: DefaultSolutions
	Bits      int // zero bits at the start of the hash of a solution, 1 to MaxBits; 0: DefaultBits
}

// WithDefaults returns the difficulty with the defaults in place of zeros.
func (d Difficulty) WithDefaults() Difficulty {
	return Difficulty{cmp.Or(d.Solutions, DefaultSolutions), cmp.Or(d.Bits, DefaultBits)}
}

// check returns an error for a difficulty out of bounds. Zeros are out of bounds.
func (d Difficulty) check() error {
	if d.Solutions < 1 || d.Solutions > MaxSolutions || d.Bits < 1 || d.Bits > MaxBits {
		return fmt.Errorf("difficulty of %d solutions of %d bits: at most %d and %d", d.Solutions, d.Bits, MaxSolutions, MaxBits)
	}
	return nil
}

// Challenge is the message that a stamp is computed for.
type Challenge struct {
	To        pointer.Pointer
	From      pointer.Pointer
	Statement [sha256.Size]byte // the hash of the signed statement
}

// salt returns the Argon2id salt of a challenge in an epoch.
func (c Challenge) salt(epoch uint64) [sha256.Size]byte {
	b, err := canonical.Marshal([]any{c.To.Bytes(), c.From.Bytes(), c.Statement[:], epoch})
	if err != nil {
		panic(err) // unreachable: bytes and a number
	}
	return sha256.Sum256(append([]byte("petnames/postage/v1\x00"), b...))
}

// EpochAt returns the number of the epoch of a time.
func EpochAt(now time.Time) uint64 {
	return uint64(max(now.Unix(), 0)) / uint64(EpochLength/time.Second)
}
