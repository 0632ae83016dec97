package postage

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// Rate is how many stamps are hashed for in a second, at most; so many at
	// once after a rest.
	Rate = 10

	maxSeen = 1 << 13 // stamps of each sort that are remembered
)

var (
	// ErrSeed: a stamp that was made for another time. It may be good in a
	// while, if the sender's clock is ahead.
	ErrSeed = errors.New("stamp is of another time")

	// ErrSeen: a stamp for the same letter was good already.
	ErrSeen = errors.New("stamp was used before")

	// ErrBusy: there is no time to check a stamp. Try it again in a while.
	ErrBusy = errors.New("too many stamps to check: later")
)

// Verifier checks stamps. It is safe for concurrent use.
type Verifier struct {
	now  func() time.Time
	hash hashFunc

	mu     sync.Mutex // while it hashes, too: one at a time
	until  time.Time  // when the tokens that were taken will be back: see take
	good   map[[sha256.Size]byte]uint64
	bad    map[[sha256.Size]byte]uint64
	pruned uint64 // the seed for which both were swept
	hashes uint64
}

// NewVerifier gives one that remembers nothing yet. A nil now means time.Now.
func NewVerifier(now func() time.Time) *Verifier {
	if now == nil {
		now = time.Now
	}
	return &Verifier{now: now, hash: hash, good: map[[32]byte]uint64{}, bad: map[[32]byte]uint64{}}
}

// Hashes is how many hashes were computed so far.
func (v *Verifier) Hashes() uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hashes
}

// Verify checks whether a stamp pays the price for a letter, once: what is good
// is [ErrSeen] from then on. Else [ErrInvalid], which is final, [ErrSeed] or
// [ErrBusy], which may change. A stamp with more answers than the price asks for
// is held to as many.
func (v *Verifier) Verify(stamp []byte, on Letter, price Price) error {
	price = price.OrDefault()
	if err := price.check(); err != nil {
		return err
	}
	// 1. Its form, and how many answers it claims.
	w, err := decode(stamp)
	if err != nil {
		return err
	}
	if len(w.Answers) < price.Puzzles {
		return fmt.Errorf("%w: it has %d answers, and %d are asked for", ErrInvalid, len(w.Answers), price.Puzzles)
	}
	w.Answers = w.Answers[:price.Puzzles] // the rest proves nothing, and must make no new stamp
	// 2. Its time.
	now := v.now()
	if at := SeedAt(now); w.Seed != at && w.Seed+1 != at {
		return fmt.Errorf("%w: of %s", ErrSeed, time.Unix(int64(min(w.Seed, 1<<40)*uint64(Seed/time.Second)), 0).UTC().Format(time.RFC3339))
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	// 3. Whether it is known. What it is on stands in the challenge.
	challenge := on.challenge(w.Seed)
	id, err := v.id(challenge, w, price)
	if err != nil {
		return err
	}
	v.forget(SeedAt(now))
	if _, known := v.good[challenge]; known {
		return ErrSeen
	}
	if _, known := v.bad[id]; known {
		return fmt.Errorf("%w: nor did it before", ErrInvalid)
	}
	if len(v.good) >= maxSeen {
		return ErrBusy // what can't be remembered can't be accepted
	}
	// 4. The rate. Only now is anything hashed.
	if !v.take(now) {
		return ErrBusy
	}
	for puzzle, answer := range w.Answers {
		v.hashes++
		if zeroes(v.hash(challenge, puzzle, answer)) < price.Bits {
			if len(v.bad) >= maxSeen {
				clear(v.bad) // at worst one is hashed again
			}
			v.bad[id] = w.Seed
			return fmt.Errorf("%w: answer %d of %d is wrong", ErrInvalid, puzzle+1, len(w.Answers))
		}
	}
	v.good[challenge] = w.Seed
	return nil
}

// id tells a stamp and what is asked of it from all others.
func (v *Verifier) id(challenge [32]byte, w wireStamp, price Price) ([32]byte, error) {
	b, err := canonical.Marshal([]any{challenge[:], w.Answers, price.Bits})
	return sha256.Sum256(b), err
}

// forget drops what can't be used any more: its time is over.
func (v *Verifier) forget(at uint64) {
	if at == v.pruned {
		return
	}
	v.pruned = at
	for _, seen := range []map[[32]byte]uint64{v.good, v.bad} {
		for id, seed := range seen {
			if seed != at && seed+1 != at {
				delete(seen, id)
			}
		}
	}
}

// take takes a token, if there is one: Rate come back in a second, up to Rate.
// When the clock has jumped back it begins anew.
func (v *Verifier) take(now time.Time) bool {
	const each, all = time.Second / Rate, time.Second
	if v.until.Before(now) || v.until.After(now.Add(all)) {
		v.until = now
	}
	if v.until.Add(each).After(now.Add(all)) {
		return false
	}
	v.until = v.until.Add(each)
	return true
}
