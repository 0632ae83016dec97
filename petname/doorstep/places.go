package doorstep

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/petname/postage"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Places is how many letters a doorstep has room for at a time: each is a
// look-up whenever its owner looks.
const Places = 4

const (
	// maxAnswers bounds what is taken from a store for one place, maxVerified
	// how many different records of these are verified, and maxOpened how many
	// of the newest are unsealed.
	maxAnswers  = 512
	maxVerified = 16
	maxOpened   = 2

	recordTTL = time.Minute
)

// ErrShut: all places are taken by records that nothing can be put over.
var ErrShut = errors.New("somebody has blocked their doorstep: try again in some hours, or ask for an invitation by another way")

// place is one of a doorstep.
type place struct{ key *pointer.Key }

func placeOf(owner pointer.Pointer, seed uint64, n int) place {
	info, err := canonical.Marshal([]any{seed, n})
	if err != nil {
		panic(err) // unreachable: two numbers
	}
	b, err := hkdf.Key(sha256.New, owner.Bytes(), []byte("petnames/doorstep/v1"), string(info), ed25519.SeedSize)
	if err != nil {
		panic(err) // unreachable: the length is a fixed one
	}
	key, err := pointer.NewKey(bytes.NewReader(b))
	if err != nil {
		panic(err) // unreachable: any 32 bytes are a key's
	}
	return place{key}
}

func sealInfo(at pointer.Pointer) []byte {
	return append([]byte("petnames/doorstep/seal/v1\x00"), at.Bytes()...)
}

func sealExtra(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// end is when the records of a seed end: with the last moment at which their
// stamps are good.
func end(seed uint64) time.Time {
	return time.Unix(int64((seed+2)*uint64(postage.Seed/time.Second)), 0).UTC()
}

// Leave puts a letter onto somebody's doorstep, with the seed of now, for which
// its stamp has to be. Errors are the store's, or [ErrShut].
func Leave(ctx context.Context, store dht.Store, to pointer.Pointer, sealing []pointer.SealingKey, l Letter, now time.Time) (dht.Receipt, error) {
	fail := func(err error) (dht.Receipt, error) {
		return dht.Receipt{}, fmt.Errorf("letter to %s: %w", to, err)
	}
	plain, err := l.encode()
	if err != nil {
		return fail(err)
	}
	key, err := seal.SelectKey(sealing)
	if err != nil {
		return fail(err)
	}
	seed := postage.SeedAt(now)
	at, sequence, err := choose(ctx, store, to, seed, l, now)
	if err != nil {
		return fail(err)
	}
	p := at.key.Pointer()
	payload, err := seal.Seal(key, sealInfo(p), sealExtra(sequence), []int{payloadSize}, plain)
	if err != nil {
		return fail(err)
	}
	rec, err := pointer.Sign(at.key, pointer.Fields{Sequence: sequence, Expires: end(seed), TTL: recordTTL, Payload: payload})
	if err != nil {
		return fail(err)
	}
	receipt, err := store.Put(ctx, p, rec.Bytes())
	if err != nil {
		return receipt, fmt.Errorf("letter to %s: %w", to, err)
	}
	return receipt, nil
}

// choose takes the first free place from the one that the statement's hash
// says, or else the first of them that can be written over.
func choose(ctx context.Context, store dht.Store, to pointer.Pointer, seed uint64, l Letter, now time.Time) (place, uint64, error) {
	hash := sha256.Sum256(l.Statement)
	var places [Places]place
	for i := range places {
		places[i] = placeOf(to, seed, (int(hash[0])+i)%Places)
	}
	taken, err := lookAt(ctx, store, places[:], now)
	if err != nil {
		return place{}, 0, err
	}
	sequence := uint64(max(now.UnixMilli(), 0))
	for i, records := range taken {
		if len(records) == 0 {
			return places[i], sequence, nil
		}
	}
	for i, records := range taken {
		if newest := records[0].Sequence(); newest < pointer.MaxSequence {
			return places[i], max(sequence, newest+1), nil
		}
	}
	return place{}, 0, ErrShut
}

// lookAt gives the newest records at each place. An error is the store's, and
// comes only when nothing at all did.
func lookAt(ctx context.Context, store dht.Store, places []place, now time.Time) ([][]pointer.Record, error) {
	records, errs := make([][]pointer.Record, len(places)), make([]error, len(places))
	var wg sync.WaitGroup
	for i, at := range places {
		wg.Go(func() { records[i], errs[i] = newest(ctx, store, at.key.Pointer(), now) })
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i, found := range records {
		if len(found) > 0 || errs[i] == nil {
			return records, nil
		}
	}
	return records, errors.Join(errs...)
}

// newest gives the newest records under a pointer that verify, at most maxOpened.
func newest(ctx context.Context, store dht.Store, p pointer.Pointer, now time.Time) ([]pointer.Record, error) {
	return dht.Newest(ctx, store, p, now, dht.Bounds{Answers: maxAnswers, Verified: maxVerified, Returned: maxOpened})
}

// Look gives the letters on my doorstep that are sealed to one of the keys, at
// most 2 of each place. All that is in them is hostile: see the package's doc.
// An error is the store's, and comes only when nothing could be looked at.
func Look(ctx context.Context, store dht.Store, me pointer.Pointer, keys []hpke.PrivateKey, now time.Time) ([]Letter, error) {
	seed := postage.SeedAt(now)
	seeds := []uint64{seed}
	if seed > 0 {
		seeds = append(seeds, seed-1)
	}
	var places []place
	for _, seed := range seeds {
		for n := range Places {
			places = append(places, placeOf(me, seed, n))
		}
	}
	found, err := lookAt(ctx, store, places, now)
	if err != nil {
		return nil, fmt.Errorf("my doorstep: %w", err)
	}
	var letters []Letter
	for _, records := range found {
		for _, rec := range records {
			l, err := open(keys, rec)
			if err != nil || slices.ContainsFunc(letters, func(o Letter) bool { return bytes.Equal(o.Statement, l.Statement) && bytes.Equal(o.Stamp, l.Stamp) }) {
				continue // anybody can leave anything there
			}
			letters = append(letters, l)
		}
	}
	return letters, nil
}

func open(keys []hpke.PrivateKey, rec pointer.Record) (Letter, error) {
	payload := rec.Payload()
	if len(payload) != payloadSize {
		return Letter{}, fmt.Errorf("letter of %d bytes, not %d", len(payload), payloadSize)
	}
	b, err := seal.Open(keys, sealInfo(rec.Pointer()), sealExtra(rec.Sequence()), payload)
	if err != nil {
		return Letter{}, err
	}
	return decodeLetter(b)
}
