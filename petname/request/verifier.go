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
	// VerifyRate is how many stamps are hashed for in a second, at most; so many at
	// once after a rest.
	VerifyRate = 10

	maxCached = 1 << 13 // stamps of each sort that are remembered
)

var (
	// ErrWrongEpoch: a stamp that was made for another time. It may be good in a
	// while, if the sender's clock is ahead.
	ErrWrongEpoch = errors.New("stamp is of another time")

	// ErrStampUsed: a stamp for the same letter was good already.
	ErrStampUsed = errors.New("stamp was used before")

	// ErrBusy: there is no time to check a stamp. Try it again in a while.
	ErrBusy = errors.New("too many stamps to check: later")
)

// Verifier checks stamps. It is safe for concurrent use.
type Verifier struct {
	now  func() time.Time
	hash hashFunc

	mu        sync.Mutex // while it hashes, too: one at a time
	busyUntil time.Time  // when the tokens that were taken will be back: see take
	accepted  map[[sha256.Size]byte]uint64
	rejected  map[[sha256.Size]byte]uint64
	prunedAt  uint64 // the seed for which both were swept
	hashes    uint64
}

// NewVerifier gives one that remembers nothing yet. A nil now means time.Now.
func NewVerifier(now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	return &Verifier{now: now, hash: argon2id, accepted: map[[32]byte]uint64{}, rejected: map[[32]byte]uint64{}}
}

// Hashes is how many hashes were computed so far.
func (v *Verifier) Hashes() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hashes
}

// Verify checks whether a stamp pays the price for a letter, once: what is good
// is [ErrStampUsed] from then on. Else [ErrInvalidStamp], which is final, [ErrWrongEpoch] or
// [ErrBusy], which may change. A stamp with more answers than the price asks for
// is held to as many.
func (v *Verifier) Verify(stamp []byte, c Challenge, difficulty Difficulty) error {
	difficulty = difficulty.WithDefaults()
	if err := difficulty.check(); err != nil {
		return err
	}
	// 1. Its form, and how many answers it claims.
	w, err := decodeStamp(stamp)
	if err != nil {
		return err
	}
	if len(w.Solutions) < difficulty.Solutions {
		return fmt.Errorf("%w: it has %d answers, and %d are asked for", ErrInvalidStamp, len(w.Solutions), difficulty.Solutions)
	}
	w.Solutions = w.Solutions[:difficulty.Solutions] // the rest proves nothing, and must make no new stamp
	// 2. Its time.
	now := v.now()
	if at := EpochAt(now); w.Epoch != at && w.Epoch+1 != at {
		return fmt.Errorf("%w: of %s", ErrWrongEpoch, time.Unix(int64(min(w.Epoch, 1<<40)*uint64(EpochLength/time.Second)), 0).UTC().Format(time.RFC3339))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// 3. Whether it is known. What it is on stands in the challenge.
	salt := c.salt(w.Epoch)
	id, err := v.cacheKey(salt, w, difficulty)
	if err != nil {
		return err
	}
	v.dropExpired(EpochAt(now))
	if _, known := v.accepted[salt]; known {
		return ErrStampUsed
	}
	if _, known := v.rejected[id]; known {
		return fmt.Errorf("%w: nor did it before", ErrInvalidStamp)
	}
	if len(v.accepted) >= maxCached {
		return ErrBusy // what can't be remembered can't be accepted
	}
	// 4. The rate. Only now is anything hashed.
	if !v.allow(now) {
		return ErrBusy
	}
	for index, solution := range w.Solutions {
		v.hashes++
		if leadingZeros(v.hash(salt, index, solution)) < difficulty.Bits {
			if len(v.rejected) >= maxCached {
				clear(v.rejected) // at worst one is hashed again
			}
			v.rejected[id] = w.Epoch
			return fmt.Errorf("%w: answer %d of %d is wrong", ErrInvalidStamp, index+1, len(w.Solutions))
		}
	}
	v.accepted[salt] = w.Epoch
	return nil
}

// id tells a stamp and what is asked of it from all others.
func (v *Verifier) cacheKey(salt [32]byte, w wireStamp, difficulty Difficulty) ([32]byte, error) {
	b, err := canonical.Marshal([]any{salt[:], w.Solutions, difficulty.Bits})
	return sha256.Sum256(b), err
}

// forget drops what can't be used any more: its time is over.
func (v *Verifier) dropExpired(at uint64) {
	if at == v.prunedAt {
		return
	}
	v.prunedAt = at
	for _, seen := range []map[[32]byte]uint64{v.accepted, v.rejected} {
		for id, epoch := range seen {
			if epoch != at && epoch+1 != at {
				delete(seen, id)
			}
		}
	}
}

// take takes a token, if there is one: Rate come back in a second, up to Rate.
// When the clock has jumped back it begins anew.
func (v *Verifier) allow(now time.Time) bool {
	const each, all = time.Second / VerifyRate, time.Second
	if v.busyUntil.Before(now) || v.busyUntil.After(now.Add(all)) {
		v.busyUntil = now
	}
	if v.busyUntil.Add(each).After(now.Add(all)) {
		return false
	}
	v.busyUntil = v.busyUntil.Add(each)
	return true
}
