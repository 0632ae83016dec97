package request

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// VerifyRate is the maximum number of stamps in a second, and in one burst, for
	// which a [Verifier] computes hashes.
	VerifyRate = 10

	maxCached = 1 << 13 // stamps in each cache
)

var (
	// ErrWrongEpoch is returned for a stamp of an epoch other than this one and the
	// previous one. A stamp of a later epoch is valid in that epoch.
	ErrWrongEpoch = errors.New("stamp is of another epoch")

	// ErrStampUsed is returned when a stamp was accepted for the challenge before.
	ErrStampUsed = errors.New("stamp was used before")

	// ErrBusy is returned when the rate or the cache is exhausted. The solutions of
	// the stamp were not hashed; it can be verified later.
	ErrBusy = errors.New("too many stamps to verify: try again later")
)

// Verifier verifies stamps. It is safe for concurrent use.
type Verifier struct {
	now  func() time.Time
	hash hashFunc

	mu        sync.Mutex // held while a stamp is hashed: one at a time
	busyUntil time.Time  // when all tokens are available again: see allow
	accepted  map[[sha256.Size]byte]uint64
	rejected  map[[sha256.Size]byte]uint64
	prunedAt  uint64 // the epoch in which both caches were last pruned
	hashes    uint64
}

// NewVerifier returns a Verifier with empty caches. A nil now means time.Now.
func NewVerifier(now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	return &Verifier{now: func() time.Time { return now().Round(0) }, hash: argon2id, accepted: map[[32]byte]uint64{}, rejected: map[[32]byte]uint64{}}
}

// Hashes returns the number of hashes that were computed so far.
func (v *Verifier) Hashes() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hashes
}

// Verify verifies that a stamp satisfies a challenge and a difficulty, and accepts each
// challenge once in an epoch: from then on it returns [ErrStampUsed]. [ErrInvalidStamp]
// is final; after [ErrWrongEpoch] and [ErrBusy] the stamp may be verified again later.
// Solutions beyond those that the difficulty requires are ignored.
func (v *Verifier) Verify(stamp []byte, c Challenge, difficulty Difficulty) error {
	difficulty = difficulty.WithDefaults()
	if err := difficulty.check(); err != nil {
		return err
	}
	// 1. The encoding, and the number of solutions.
	w, err := decodeStamp(stamp)
	if err != nil {
		return err
	}
	if len(w.Solutions) < difficulty.Solutions {
		return fmt.Errorf("%w: it has %d solutions, and %d are required", ErrInvalidStamp, len(w.Solutions), difficulty.Solutions)
	}
	w.Solutions = w.Solutions[:difficulty.Solutions] // further ones are not verified, and must not make a different stamp
	// 2. The epoch.
	now := v.now()
	if current := EpochAt(now); w.Epoch != current && w.Epoch+1 != current {
		return fmt.Errorf("%w: of %s", ErrWrongEpoch, time.Unix(int64(min(w.Epoch, 1<<40)*uint64(EpochLength/time.Second)), 0).UTC().Format(time.RFC3339))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// 3. The caches. The salt identifies the challenge and the epoch.
	salt := c.salt(w.Epoch)
	id, err := v.cacheKey(salt, w, difficulty)
	if err != nil {
		return err
	}
	v.dropExpired(EpochAt(now))
	if _, used := v.accepted[salt]; used {
		return ErrStampUsed
	}
	if _, rejected := v.rejected[id]; rejected {
		return fmt.Errorf("%w: it was rejected before", ErrInvalidStamp)
	}
	if len(v.accepted) >= maxCached {
		return ErrBusy // an accepted stamp must be remembered
	}
	// 4. The rate. No hash is computed before this.
	if !v.allow(now) {
		return ErrBusy
	}
	for index, solution := range w.Solutions {
		v.hashes++
		if leadingZeros(v.hash(salt, index, solution)) < difficulty.Bits {
			if len(v.rejected) >= maxCached {
				clear(v.rejected) // an invalid stamp is hashed again at worst
			}
			v.rejected[id] = w.Epoch
			return fmt.Errorf("%w: solution %d of %d is wrong", ErrInvalidStamp, index+1, len(w.Solutions))
		}
	}
	v.accepted[salt] = w.Epoch
	return nil
}

// cacheKey returns a hash that identifies a stamp and the difficulty that it is held to.
func (v *Verifier) cacheKey(salt [32]byte, w wireStamp, difficulty Difficulty) ([32]byte, error) {
	b, err := canonical.Marshal([]any{salt[:], w.Solutions, difficulty.Bits})
	return sha256.Sum256(b), err
}

// dropExpired removes the stamps that are no longer valid in the current epoch.
func (v *Verifier) dropExpired(current uint64) {
	if current == v.prunedAt {
		return
	}
	v.prunedAt = current
	for _, cache := range []map[[32]byte]uint64{v.accepted, v.rejected} {
		for id, epoch := range cache {
			if epoch != current && epoch+1 != current {
				delete(cache, id)
			}
		}
	}
}

// allow uses a token, and returns false if there is none. VerifyRate tokens are added in
// a second, up to VerifyRate. After the clock was set back, all tokens are available.
func (v *Verifier) allow(now time.Time) bool {
	const interval, burst = time.Second / VerifyRate, time.Second
	if v.busyUntil.Before(now) || v.busyUntil.After(now.Add(burst)) {
		v.busyUntil = now
	}
	if v.busyUntil.Add(interval).After(now.Add(burst)) {
		return false
	}
	v.busyUntil = v.busyUntil.Add(interval)
	return true
}
