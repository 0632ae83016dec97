package request

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

// ErrInvalidStamp is returned for bytes that are no stamp, and for a stamp that does
// not satisfy the challenge and the difficulty.
var ErrInvalidStamp = errors.New("stamp does not verify")

// MaxStamp bounds a stamp, in bytes.
const MaxStamp = 1 + 1 + 9 + 2 + 9*MaxSolutions

const stampVersion = 1

// Parameters of Argon2id.
const (
	argonPasses = 3
	argonMemory = 1 << 10 // KiB
	argonLanes  = 1
	argonSize   = 32 // bytes
)

// wireStamp is the encoding of a stamp.
type wireStamp struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Epoch     uint64
	Solutions []uint64
}

// decodeStamp decodes a stamp. Other encodings than the canonical one are errors.
func decodeStamp(b []byte) (wireStamp, error) {
	var w wireStamp
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{Size: MaxStamp, Elements: MaxSolutions}); err != nil {
		return wireStamp{}, fmt.Errorf("%w: it %v", ErrInvalidStamp, err)
	}
	if w.Version != stampVersion || len(w.Solutions) == 0 || len(w.Solutions) > MaxSolutions {
		return wireStamp{}, fmt.Errorf("%w: it is of version %d, with %d solutions", ErrInvalidStamp, w.Version, len(w.Solutions))
	}
	return w, nil
}

// hashFunc is the hash of a solution at an index; argon2id, or a faster one in tests.
type hashFunc func(salt [32]byte, index int, solution uint64) [argonSize]byte

// argon2id returns the Argon2id hash of a solution at an index.
func argon2id(salt [32]byte, index int, solution uint64) [argonSize]byte {
	password := binary.BigEndian.AppendUint32(nil, uint32(index))
	password = binary.BigEndian.AppendUint64(password, solution)
	return [argonSize]byte(argon2.IDKey(password, salt[:], argonPasses, argonMemory, argonLanes, argonSize))
}

// leadingZeros counts the leading zero bits of a hash, up to 64.
func leadingZeros(h [argonSize]byte) int { return bits.LeadingZeros64(binary.BigEndian.Uint64(h[:])) }

// Progress is called after each solution, with the number of solutions that were
// found and the number that are required.
type Progress func(solved, of int)

// MakeStamp computes a stamp for a challenge, in the epoch of now, on one processor.
// progress may be nil. When ctx is done, MakeStamp returns its error and the partial
// stamp for [ResumeStamp], which is nil if it has no solution yet.
func MakeStamp(ctx context.Context, c Challenge, difficulty Difficulty, now time.Time, progress Progress) ([]byte, error) {
	return ResumeStamp(ctx, nil, c, difficulty, now, progress)
}

// ResumeStamp is MakeStamp that continues a partial stamp for the same challenge. It
// starts again if the partial stamp is of another epoch.
func ResumeStamp(ctx context.Context, partial []byte, c Challenge, difficulty Difficulty, now time.Time, progress Progress) ([]byte, error) {
	return computeStamp(ctx, partial, c, difficulty, EpochAt(now), progress, argon2id)
}

// computeStamp is ResumeStamp for an epoch, with the hash function as an argument.
func computeStamp(ctx context.Context, partial []byte, c Challenge, difficulty Difficulty, epoch uint64, progress Progress, hash hashFunc) ([]byte, error) {
	difficulty = difficulty.WithDefaults()
	if err := difficulty.check(); err != nil {
		return nil, err
	}
	salt := c.salt(epoch)
	w := wireStamp{Version: stampVersion, Epoch: epoch, Solutions: []uint64{}}
	if old, err := decodeStamp(partial); err == nil && old.Epoch == epoch {
		w.Solutions = old.Solutions[:min(len(old.Solutions), difficulty.Solutions)]
	}
	for index := len(w.Solutions); index < difficulty.Solutions; index++ {
		solution := uint64(0)
		for leadingZeros(hash(salt, index, solution)) < difficulty.Bits {
			if err := ctx.Err(); err != nil {
				return w.encodePartial(), err
			}
			solution++
		}
		w.Solutions = append(w.Solutions, solution)
		if progress != nil {
			progress(index+1, difficulty.Solutions)
		}
	}
	return canonical.Marshal(w)
}

// encodePartial returns an incomplete stamp; nil if it has no solution yet.
func (w wireStamp) encodePartial() []byte {
	if len(w.Solutions) == 0 {
		return nil
	}
	b, err := canonical.Marshal(w)
	if err != nil {
		return nil // unreachable: numbers
	}
	return b
}
