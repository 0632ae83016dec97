package postage

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// ErrInvalid: a stamp that is none, or doesn't pay for the letter that it is on.
var ErrInvalid = errors.New("stamp does not pay for the letter")

// MaxStamp bounds a stamp, in bytes.
const MaxStamp = 1 + 1 + 9 + 2 + 9*MaxPuzzles

const stampVersion = 1

// Argon2id's parameters.
const (
	passes = 3
	memory = 1 << 10 // KiB
	lanes  = 1
	length = 32 // bytes
)

type wireStamp struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Seed    uint64
	Answers []uint64
}

// decode reads a stamp, in the one encoding that it has.
func decode(b []byte) (wireStamp, error) {
	var w wireStamp
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{Size: MaxStamp, Elements: MaxPuzzles}); err != nil {
		return wireStamp{}, fmt.Errorf("%w: it %v", ErrInvalid, err)
	}
	if w.Version != stampVersion || len(w.Answers) == 0 || len(w.Answers) > MaxPuzzles {
		return wireStamp{}, fmt.Errorf("%w: it is of version %d, with %d answers", ErrInvalid, w.Version, len(w.Answers))
	}
	return w, nil
}

// hashFunc is the hash of an answer to a puzzle.
type hashFunc func(challenge [32]byte, puzzle int, answer uint64) [length]byte

func hash(challenge [32]byte, puzzle int, answer uint64) [length]byte {
	password := binary.BigEndian.AppendUint32(nil, uint32(puzzle))
	password = binary.BigEndian.AppendUint64(password, answer)
	return [length]byte(argon2.IDKey(password, challenge[:], passes, memory, lanes, length))
}

// zeroes counts the zero bits that a hash begins with, as far as they count.
func zeroes(h [length]byte) int { return bits.LeadingZeros64(binary.BigEndian.Uint64(h[:])) }

// Progress is told how many of a stamp's puzzles are answered, after each.
type Progress func(answered, of int)

// Make does the work for a letter, on one processor, and gives the stamp. A nil
// progress is told nothing. Make stops with the context: beside its error is the
// stamp as far as it got, nil or for [Resume].
func Make(ctx context.Context, on Letter, price Price, now time.Time, progress Progress) ([]byte, error) {
	return Resume(ctx, nil, on, price, now, progress)
}

// Resume is Make that goes on with a stamp for the same letter which Make or
// Resume began. What was begun for another seed is begun anew.
func Resume(ctx context.Context, begun []byte, on Letter, price Price, now time.Time, progress Progress) ([]byte, error) {
	return makeStamp(ctx, begun, on, price, SeedAt(now), progress, hash)
}

func makeStamp(ctx context.Context, begun []byte, on Letter, price Price, seed uint64, progress Progress, hash hashFunc) ([]byte, error) {
	price = price.OrDefault()
	if err := price.check(); err != nil {
		return nil, err
	}
	challenge := on.challenge(seed)
	w := wireStamp{Version: stampVersion, Seed: seed, Answers: []uint64{}}
	if old, err := decode(begun); err == nil && old.Seed == seed {
		w.Answers = old.Answers[:min(len(old.Answers), price.Puzzles)]
	}
	for puzzle := len(w.Answers); puzzle < price.Puzzles; puzzle++ {
		answer := uint64(0)
		for zeroes(hash(challenge, puzzle, answer)) < price.Bits {
			if err := ctx.Err(); err != nil {
				return w.partial(), err
			}
			answer++
		}
		w.Answers = append(w.Answers, answer)
		if progress != nil {
			progress(puzzle+1, price.Puzzles)
		}
	}
	return canonical.Marshal(w)
}

// partial is a stamp that isn't ready; nil: nothing was answered yet.
func (w wireStamp) partial() []byte {
	if len(w.Answers) == 0 {
		return nil
	}
	b, err := canonical.Marshal(w)
	if err != nil {
		return nil // unreachable: numbers
	}
	return b
}
