package doorstep

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"iter"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/petname/postage"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC) // in the middle of a seed's time
)

func pointerOf(name string) pointer.Pointer {
	seed := sha256.Sum256([]byte("doorstep test " + name))
	k, err := pointer.NewKey(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err)
	}
	return k.Pointer()
}

// owner is somebody with a door.
type owner struct {
	pointer pointer.Pointer
	keys    []hpke.PrivateKey
	sealing []pointer.SealingKey
}

func newOwner(t testing.TB, name string) owner {
	o := owner{pointer: pointerOf(name)}
	for _, kem := range []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()} {
		k, err := kem.GenerateKey()
		require.NoError(t, err)
		o.keys = append(o.keys, k)
		o.sealing = append(o.sealing, pointer.SealingKey{KEM: kem.ID(), Key: k.PublicKey().Bytes()})
	}
	return o
}

func memory(at *time.Time) *dht.Memory { return &dht.Memory{Now: func() time.Time { return *at }} }

func letter(text string) Letter { return Letter{Stamp: []byte("stamp"), Statement: []byte(text)} }

func (o owner) leave(t testing.TB, store dht.Store, text string, at time.Time) {
	t.Helper()
	receipt, err := Leave(ctx, store, o.pointer, o.sealing, letter(text), at)
	require.NoError(t, err)
	require.Equal(t, 1, receipt.Stored)
}

func (o owner) look(t testing.TB, store dht.Store, at time.Time) []string {
	t.Helper()
	letters, err := Look(ctx, store, o.pointer, o.keys, at)
	require.NoError(t, err)
	texts := []string{}
	for _, l := range letters {
		require.Equal(t, "stamp", string(l.Stamp))
		texts = append(texts, string(l.Statement))
	}
	return texts
}

func TestALetterIsFoundByItsOwnerForAsLongAsStampsAreGood(t *testing.T) {
	at := now
	store := memory(&at)
	alice, bob := newOwner(t, "alice"), newOwner(t, "bob")
	alice.leave(t, store, "hello", now)
	require.Equal(t, []string{"hello"}, alice.look(t, store, now))
	require.Empty(t, bob.look(t, store, now))
	// Somebody with the pointer, and without the keys.
	letters, err := Look(ctx, store, alice.pointer, bob.keys, now)
	require.NoError(t, err)
	require.Empty(t, letters)
	for _, then := range []struct {
		after time.Duration
		found int
	}{{2*time.Hour + 59*time.Minute, 1}, {3 * time.Hour, 0}, {4 * time.Hour, 0}} {
		at = now.Add(then.after)
		require.Len(t, alice.look(t, store, at), then.found, then.after)
	}
}

func TestStrangersDontWriteOverEachOtherWhileThereIsRoom(t *testing.T) {
	at := now
	store := memory(&at)
	alice := newOwner(t, "alice")
	var want []string
	for i := range Places {
		text := fmt.Sprint("letter ", i)
		alice.leave(t, store, text, at)
		want = append(want, text)
	}
	require.ElementsMatch(t, want, alice.look(t, store, at))
	alice.leave(t, store, "one more", at)
	got := alice.look(t, store, at)
	require.Len(t, got, Places, "one had to give way")
	require.Contains(t, got, "one more")
	// And the next two hours have places of their own.
	at = at.Add(postage.Seed)
	alice.leave(t, store, "later", at)
	require.Len(t, alice.look(t, store, at), Places+1)
}

// The store sees neither who wrote what, nor how much.
func TestALetterShowsNothing(t *testing.T) {
	at := now
	alice := newOwner(t, "alice")
	for _, text := range []string{"x", string(bytes.Repeat([]byte("hello "), MaxStatement/6))} {
		store := memory(&at)
		alice.leave(t, store, text, now)
		seen := 0
		for n := range Places {
			for a, err := range store.Get(ctx, placeOf(alice.pointer, postage.SeedAt(now), n).key.Pointer()) {
				require.NoError(t, err)
				if a.Record == nil {
					continue
				}
				rec, err := pointer.Open(placeOf(alice.pointer, postage.SeedAt(now), n).key.Pointer(), a.Record, now)
				require.NoError(t, err)
				require.Len(t, rec.Payload(), payloadSize)
				require.NotContains(t, string(a.Record), "hello")
				require.NotContains(t, string(a.Record), string(alice.pointer.Bytes()))
				seen++
			}
		}
		require.Equal(t, 1, seen)
	}
}

// squat puts a record of anybody's making at a place.
func squat(t testing.TB, store dht.Store, owner pointer.Pointer, at time.Time, n int, sequence uint64, payload []byte) {
	t.Helper()
	seed := postage.SeedAt(at)
	p := placeOf(owner, seed, n)
	rec, err := pointer.Sign(p.key, pointer.Fields{Sequence: sequence, Expires: end(seed), TTL: recordTTL, Payload: payload})
	require.NoError(t, err)
	_, err = store.Put(ctx, p.key.Pointer(), rec.Bytes())
	require.NoError(t, err)
}

func TestGarbageOnTheDoorstepIsPassedOverAndWrittenOver(t *testing.T) {
	at := now
	store := memory(&at)
	alice := newOwner(t, "alice")
	for n := range Places {
		squat(t, store, alice.pointer, now, n, uint64(now.Add(time.Hour).UnixMilli()), bytes.Repeat([]byte{byte(n)}, payloadSize-n))
	}
	require.Empty(t, alice.look(t, store, now))
	alice.leave(t, store, "hello", now)
	require.Equal(t, []string{"hello"}, alice.look(t, store, now))
}

// The price of shutting a door: a few puts, every two hours.
func TestADoorIsShutForTwoHoursByTheHighestSequence(t *testing.T) {
	at := now
	store := memory(&at)
	alice := newOwner(t, "alice")
	for n := range Places - 1 {
		squat(t, store, alice.pointer, now, n, pointer.MaxSequence, []byte("shut"))
	}
	alice.leave(t, store, "by the last place", now)
	require.Equal(t, []string{"by the last place"}, alice.look(t, store, now))
	squat(t, store, alice.pointer, now, Places-1, pointer.MaxSequence, []byte("shut"))
	_, err := Leave(ctx, store, alice.pointer, alice.sealing, letter("hello"), now)
	require.ErrorIs(t, err, ErrShut)
	require.Empty(t, alice.look(t, store, now))
	at = now.Add(postage.Seed)
	alice.leave(t, store, "hello", at)
	require.Equal(t, []string{"hello"}, alice.look(t, store, at))
}

// Who takes a letter up from one place, and has the places' keys as everybody
// does, can't lay it into another, of another person or time.
func TestALetterCannotBeMoved(t *testing.T) {
	at := now
	store := memory(&at)
	alice := newOwner(t, "alice")
	hash := sha256.Sum256([]byte("hello"))
	first := int(hash[0]) % Places
	alice.leave(t, store, "hello", now)
	records, err := newest(ctx, store, placeOf(alice.pointer, postage.SeedAt(now), first).key.Pointer(), now)
	require.NoError(t, err)
	require.Len(t, records, 1)
	taken := records[0]

	other := memory(&at)
	squat(t, other, alice.pointer, now, (first+1)%Places, taken.Sequence(), taken.Payload())
	squat(t, other, alice.pointer, now, first, taken.Sequence()+1, taken.Payload())
	squat(t, other, alice.pointer, now.Add(-postage.Seed), first, taken.Sequence(), taken.Payload())
	require.Empty(t, alice.look(t, other, now))
	squat(t, other, alice.pointer, now.Add(-postage.Seed), first, taken.Sequence()+1, taken.Payload())
	require.Empty(t, alice.look(t, other, now))

	every := 61 // bytes of the payload: the step reaches each part of it
	if os.Getenv("PETNAME_TEST_LONG") == "1" {
		every = 1
	}
	for i := 0; i < payloadSize; i += every { // a changed byte is refused, too
		b := taken.Payload()
		b[i] ^= 1
		_, err := seal.Open(alice.keys, sealInfo(taken.Pointer()), sealExtra(taken.Sequence()), b)
		require.Error(t, err, i)
	}
}

// flood answers without end.
type flood struct{ asked int }

func (f *flood) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		for i := 0; ; i++ {
			f.asked++
			if !yield(dht.Answer{Record: []byte(fmt.Sprint("garbage ", i))}, nil) {
				return
			}
		}
	}
}

func (f *flood) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func TestAStoreThatFloodsIsLeft(t *testing.T) {
	store := &flood{}
	_, err := newest(ctx, store, pointerOf("alice"), now)
	require.NoError(t, err)
	require.LessOrEqual(t, store.asked, maxAnswers+1)
}

func TestAStoreThatCannotBeAskedIsAnError(t *testing.T) {
	alice := newOwner(t, "alice")
	_, err := Look(ctx, dht.MultiStore{failing{}}, alice.pointer, alice.keys, now)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	_, err = Leave(ctx, failing{}, alice.pointer, alice.sealing, letter("hello"), now)
	require.ErrorIs(t, err, dht.ErrUnreachable)
}

type failing struct{}

func (failing) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, dht.ErrUnreachable) }
}

func (failing) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func TestWhatDoesntFitIsNotLeft(t *testing.T) {
	at := now
	store := memory(&at)
	alice := newOwner(t, "alice")
	full := Letter{Stamp: make([]byte, postage.MaxStamp), Statement: make([]byte, MaxStatement)}
	_, err := Leave(ctx, store, alice.pointer, alice.sealing, full, now)
	require.NoError(t, err)
	for _, l := range []Letter{{}, {Stamp: []byte("x")}, {Statement: []byte("x")},
		{Stamp: make([]byte, postage.MaxStamp+1), Statement: []byte("x")}, {Stamp: []byte("x"), Statement: make([]byte, MaxStatement+1)}} {
		_, err := Leave(ctx, store, alice.pointer, alice.sealing, l, now)
		require.ErrorContains(t, err, "fit")
	}
	_, err = Leave(ctx, store, alice.pointer, nil, letter("x"), now)
	require.ErrorContains(t, err, "no key")
}

// All messages have the same size. A message of another size is ignored, even
// if it is sealed to the owner.
func TestAMessageOfAnotherSizeIsIgnored(t *testing.T) {
	at := now
	alice := newOwner(t, "alice")
	key, err := seal.SelectKey(alice.sealing)
	require.NoError(t, err)
	plain, err := letter("hello").encode()
	require.NoError(t, err)
	for size, found := range map[int]int{payloadSize: 1, payloadSize - 1: 0, payloadSize / 2: 0, payloadSize + 1: 0} {
		store := memory(&at)
		p := placeOf(alice.pointer, postage.SeedAt(now), 0).key.Pointer()
		payload, err := seal.Seal(key, sealInfo(p), sealExtra(7), []int{size}, plain)
		require.NoError(t, err)
		squat(t, store, alice.pointer, now, 0, 7, payload)
		require.Len(t, alice.look(t, store, now), found, size)
	}
}

// A message has one encoding and one version, and it is within its bounds.
func TestAnotherEncodingOfAMessageIsRefused(t *testing.T) {
	good, err := letter("hello").encode()
	require.NoError(t, err)
	require.Equal(t, append([]byte{0x83, 1, 0x45}, "stamp\x45hello"...), good)
	_, err = decodeLetter(good)
	require.NoError(t, err)
	for why, bad := range map[string][]byte{
		"a head in two bytes":   append([]byte{0x98, 3}, good[1:]...),
		"a number in two bytes": append([]byte{0x83, 0x18}, good[1:]...),
		"a length in two bytes": append([]byte{0x83, 1, 0x58, 5}, good[3:]...),
		"an open end":           append(append([]byte{0x9f}, good[1:]...), 0xff),
		"one more":              append(append([]byte{0x84}, good[1:]...), 0),
		"a tag":                 append([]byte{0xc6}, good...),
		"more behind it":        append(bytes.Clone(good), 0),
		"another version":       append([]byte{0x83, 2}, good[2:]...),
		"no stamp":              append([]byte{0x83, 1, 0x40}, good[8:]...),
		"no statement":          append(bytes.Clone(good[:8]), 0x40),
		"a long stamp":          encoded(t, make([]byte, postage.MaxStamp+1), []byte("x")),
		"a long statement":      encoded(t, []byte("x"), make([]byte, MaxStatement+1)),
	} {
		_, err := decodeLetter(bad)
		require.Error(t, err, why)
	}
	_, err = decodeLetter(encoded(t, make([]byte, postage.MaxStamp), make([]byte, MaxStatement)))
	require.NoError(t, err)
}

func encoded(t testing.TB, stamp, statement []byte) []byte {
	t.Helper()
	b, err := canonical.Marshal(wireLetter{Version: letterVersion, Stamp: stamp, Statement: statement})
	require.NoError(t, err)
	return b
}

func FuzzLetter(f *testing.F) {
	good, err := letter("hello").encode()
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{0x83, 1, 0x41, 1, 0x41, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLetter(b)
		if err != nil {
			return
		}
		again, err := l.encode()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func TestACardSaysWhatADoorstepAsksFor(t *testing.T) {
	for asked, said := range map[int]int{0: postage.DefaultPuzzles, 1: 1, postage.MaxPuzzles: postage.MaxPuzzles} {
		puzzles, open := Asks(pointer.Card{Links: []pointer.CardLink{{Rel: "other", Target: "3"}, Link(asked)}})
		require.True(t, open)
		require.Equal(t, said, puzzles)
	}
	// A card is its owner's to fill, and my processor isn't.
	for _, target := range []string{"", "0", "-1", "65", "1000000000000000000000", "08", "+8", "8 ", "eight"} {
		_, open := Asks(pointer.Card{Links: []pointer.CardLink{{Rel: rel, Target: target}}})
		require.False(t, open, target)
	}
	_, open := Asks(pointer.Card{})
	require.False(t, open)
}
