// Package postage makes who writes to a stranger pay for it with work: a stamp
// takes some seconds of a processor to make, and some milliseconds to check.
//
//	on := Letter{To: them, From: me, Message: sha256.Sum256(message)}
//	stamp, err := Make(ctx, on, Price{}, time.Now(), nil)
//	…
//	v := NewVerifier(nil)
//	err := v.Verify(stamp, on, Price{})
//
// # The work
//
// A stamp is the answers to some puzzles. Puzzle i is answered by the number
// whose hash begins with as many zero bits as the price says:
//
//	challenge = sha2-256("petnames/postage/v1\0" ‖ canonical CBOR [to, from, message, seed])
//	hash      = Argon2id(password: i (4 bytes) ‖ number (8 bytes), salt: challenge,
//	                     3 passes, 1 MiB, 1 lane, 32 bytes)          (RFC 9106)
//	seed      = seconds since 1970 / 7200
//	stamp     = canonical CBOR [1, seed, [+ number: uint]]           (RFC 8949, §4.2.1)
//
// Several puzzles instead of a harder one make the time that a stamp takes less
// a matter of luck.
//
// # What holds
//
//   - A stamp pays for one message, from one to one, during its two hours and
//     the two after, and an answer for one puzzle: none can be shared out, moved
//     or kept for later.
//   - Garbage costs a verifier next to nothing: what is too long, of another
//     form or time, short of puzzles, or known, is refused before anything is
//     hashed. What is hashed is at most [VerifyRate] stamps a second, one at a time,
//     in one MiB; a stamp that is wrong costs one hash for nearly all.
//   - What a verifier remembers is bounded. When it is full of stamps that are
//     good, further ones have to wait: it forgets none while it could be used
//     again.
//
// # What doesn't
//
//   - Seeds can be told in advance: who wants to may work now for stamps of next
//     month, and use them then. What that can fill has to be bounded otherwise.
//   - Processors differ, and other people's can be had for nothing. Work slows a
//     flood down; it doesn't say who is honest.
package request

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// The default price: 1024 hashes are to be expected for a stamp, and 8 for
// checking it.
const (
	DefaultSolutions = 8
	DefaultBits      = 7
)

// MaxSolutions bounds the puzzles of a stamp, MaxBits how hard one is.
const (
	MaxSolutions = 64
	MaxBits      = 32
)

// EpochLength is how long a seed is that of the time; stamps are good during theirs,
// and the next.
const EpochLength = 2 * time.Hour

// Difficulty is what a stamp has to be worth.
type Difficulty struct {
	Solutions int // 1 to MaxSolutions; 0: DefaultSolutions
	Bits      int // zero bits that the hash of an answer begins with, 1 to MaxBits; 0: DefaultBits
}

// OrDefault fills in the defaults.
func (p Difficulty) WithDefaults() Difficulty {
	return Difficulty{cmp.Or(p.Solutions, DefaultSolutions), cmp.Or(p.Bits, DefaultBits)}
}

func (p Difficulty) check() error {
	if p.Solutions < 1 || p.Solutions > MaxSolutions || p.Bits < 1 || p.Bits > MaxBits {
		return fmt.Errorf("price of %d puzzles of %d bits: at most %d and %d", p.Solutions, p.Bits, MaxSolutions, MaxBits)
	}
	return nil
}

// Challenge is what a stamp pays for.
type Challenge struct {
	To        pointer.Pointer
	From      pointer.Pointer
	Statement [sha256.Size]byte // its hash
}

// challenge is what the puzzles of a letter are made of, at a time.
func (l Challenge) salt(epoch uint64) [sha256.Size]byte {
	b, err := canonical.Marshal([]any{l.To.Bytes(), l.From.Bytes(), l.Statement[:], epoch})
	if err != nil {
		panic(err) // unreachable: bytes and a number
	}
	return sha256.Sum256(append([]byte("petnames/postage/v1\x00"), b...))
}

// EpochAt numbers the seed of a time.
func EpochAt(now time.Time) uint64 {
	return uint64(max(now.Unix(), 0)) / uint64(EpochLength/time.Second)
}
