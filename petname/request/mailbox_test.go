package request

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

var (
	ctx = context.Background()
	now = time.Date(2026, 3, 1, 13, 0, 0, 0, time.UTC) // in the middle of an epoch
)

func pointerOf(name string) pointer.Pointer {
	seed := sha256.Sum256([]byte("postage test " + name))
	k, err := pointer.NewKey(bytes.NewReader(seed[:]))
	if err != nil {
		panic(err)
	}
	return k.Pointer()
}

// owner is a pointer with a request mailbox.
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

func memoryStore(at *time.Time) *dht.Memory { return &dht.Memory{Now: func() time.Time { return *at }} }

func message(text string) Message { return Message{Stamp: []byte("stamp"), Statement: []byte(text)} }

func (o owner) send(t testing.TB, store dht.Store, text string, at time.Time) {
	t.Helper()
	receipt, err := Send(ctx, store, o.pointer, o.sealing, message(text), at)
	require.NoError(t, err)
	require.Equal(t, 1, receipt.Stored)
}

func (o owner) fetch(t testing.TB, store dht.Store, at time.Time) []string {
	t.Helper()
	messages, err := Fetch(ctx, store, o.pointer, o.keys, at)
	require.NoError(t, err)
	texts := []string{}
	for _, m := range messages {
		require.Equal(t, "stamp", string(m.Stamp))
		texts = append(texts, string(m.Statement))
	}
	return texts
}

func TestMessageIsFoundByItsOwnerForAsLongAsStampsAreValid(t *testing.T) {
	at := now
	store := memoryStore(&at)
	alice, bob := newOwner(t, "alice"), newOwner(t, "bob")
	alice.send(t, store, "hello", now)
	require.Equal(t, []string{"hello"}, alice.fetch(t, store, now))
	require.Empty(t, bob.fetch(t, store, now))
	// With the pointer, but without the keys.
	messages, err := Fetch(ctx, store, alice.pointer, bob.keys, now)
	require.NoError(t, err)
	require.Empty(t, messages)
	for _, then := range []struct {
		after time.Duration
		found int
	}{{2*time.Hour + 59*time.Minute, 1}, {3 * time.Hour, 0}, {4 * time.Hour, 0}} {
		at = now.Add(then.after)
		require.Len(t, alice.fetch(t, store, at), then.found, then.after)
	}
}

func TestSendersDoNotReplaceEachOtherWhileASlotIsFree(t *testing.T) {
	at := now
	store := memoryStore(&at)
	alice := newOwner(t, "alice")
	var want []string
	for i := range Slots {
		text := fmt.Sprint("message ", i)
		alice.send(t, store, text, at)
		want = append(want, text)
	}
	require.ElementsMatch(t, want, alice.fetch(t, store, at))
	alice.send(t, store, "one more", at)
	got := alice.fetch(t, store, at)
	require.Len(t, got, Slots, "one was replaced")
	require.Contains(t, got, "one more")
	// The next epoch has slots of its own.
	at = at.Add(EpochLength)
	alice.send(t, store, "later", at)
	require.Len(t, alice.fetch(t, store, at), Slots+1)
}

// A store learns neither the content nor the length of a message.
func TestRecordShowsNothing(t *testing.T) {
	at := now
	alice := newOwner(t, "alice")
	for _, text := range []string{"x", string(bytes.Repeat([]byte("hello "), MaxStatement/6))} {
		store := memoryStore(&at)
		alice.send(t, store, text, now)
		seen := 0
		for n := range Slots {
			for a, err := range store.Get(ctx, slotOf(alice.pointer, EpochAt(now), n).key.Pointer()) {
				require.NoError(t, err)
				if a.Record == nil {
					continue
				}
				rec, err := pointer.Open(slotOf(alice.pointer, EpochAt(now), n).key.Pointer(), a.Record, now)
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

// putPayload puts a record with any payload into a slot.
func putPayload(t testing.TB, store dht.Store, owner pointer.Pointer, at time.Time, n int, sequence uint64, payload []byte) {
	t.Helper()
	epoch := EpochAt(at)
	p := slotOf(owner, epoch, n)
	rec, err := pointer.Sign(p.key, pointer.Fields{Sequence: sequence, Expires: expiryOf(epoch), TTL: recordTTL, Payload: payload})
	require.NoError(t, err)
	_, err = store.Put(ctx, p.key.Pointer(), rec.Bytes())
	require.NoError(t, err)
}

func TestInvalidRecordsAreSkippedAndReplaced(t *testing.T) {
	at := now
	store := memoryStore(&at)
	alice := newOwner(t, "alice")
	for n := range Slots {
		putPayload(t, store, alice.pointer, now, n, uint64(now.Add(time.Hour).UnixMilli()), bytes.Repeat([]byte{byte(n)}, payloadSize-n))
	}
	require.Empty(t, alice.fetch(t, store, now))
	alice.send(t, store, "hello", now)
	require.Equal(t, []string{"hello"}, alice.fetch(t, store, now))
}

// Blocking a mailbox takes a few puts in each epoch.
func TestHighestSequenceBlocksTheMailboxForOneEpoch(t *testing.T) {
	at := now
	store := memoryStore(&at)
	alice := newOwner(t, "alice")
	for n := range Slots - 1 {
		putPayload(t, store, alice.pointer, now, n, pointer.MaxSequence, []byte("blocked"))
	}
	alice.send(t, store, "in the last slot", now)
	require.Equal(t, []string{"in the last slot"}, alice.fetch(t, store, now))
	putPayload(t, store, alice.pointer, now, Slots-1, pointer.MaxSequence, []byte("blocked"))
	_, err := Send(ctx, store, alice.pointer, alice.sealing, message("hello"), now)
	require.ErrorIs(t, err, ErrBlocked)
	require.Empty(t, alice.fetch(t, store, now))
	at = now.Add(EpochLength)
	alice.send(t, store, "hello", at)
	require.Equal(t, []string{"hello"}, alice.fetch(t, store, at))
}

// A message that was copied from its slot to another slot, owner or epoch, or
// whose sequence was changed, cannot be opened.
func TestMessageCannotBeMoved(t *testing.T) {
	at := now
	store := memoryStore(&at)
	alice := newOwner(t, "alice")
	hash := sha256.Sum256([]byte("hello"))
	first := int(hash[0]) % Slots
	alice.send(t, store, "hello", now)
	records, err := newestRecords(ctx, store, slotOf(alice.pointer, EpochAt(now), first).key.Pointer(), now)
	require.NoError(t, err)
	require.Len(t, records, 1)
	taken := records[0]

	other := memoryStore(&at)
	putPayload(t, other, alice.pointer, now, (first+1)%Slots, taken.Sequence(), taken.Payload())
	putPayload(t, other, alice.pointer, now, first, taken.Sequence()+1, taken.Payload())
	putPayload(t, other, alice.pointer, now.Add(-EpochLength), first, taken.Sequence(), taken.Payload())
	require.Empty(t, alice.fetch(t, other, now))
	putPayload(t, other, alice.pointer, now.Add(-EpochLength), first, taken.Sequence()+1, taken.Payload())
	require.Empty(t, alice.fetch(t, other, now))

	every := 61 // bytes of the payload between two changes
	if lawtest.Long() {
		every = 1
	}
	for i := 0; i < payloadSize; i += every { // a changed byte is refused, too
		b := taken.Payload()
		b[i] ^= 1
		_, err := seal.Open(alice.keys, sealInfo(taken.Pointer()), sealExtra(taken.Sequence()), b)
		require.Error(t, err, i)
	}
}

// flood is a store that yields answers without end.
type flood struct{ answers int }

func (f *flood) Get(_ context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		for i := 0; ; i++ {
			f.answers++
			if !yield(dht.Answer{Record: []byte(fmt.Sprint("garbage ", i))}, nil) {
				return
			}
		}
	}
}

func (f *flood) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func TestAnswersOfAStoreAreBounded(t *testing.T) {
	store := &flood{}
	_, err := newestRecords(ctx, store, pointerOf("alice"), now)
	require.NoError(t, err)
	require.LessOrEqual(t, store.answers, maxAnswers+1)
}

func TestUnreachableStoreIsAnError(t *testing.T) {
	alice := newOwner(t, "alice")
	_, err := Fetch(ctx, dht.MultiStore{failing{}}, alice.pointer, alice.keys, now)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	_, err = Send(ctx, failing{}, alice.pointer, alice.sealing, message("hello"), now)
	require.ErrorIs(t, err, dht.ErrUnreachable)
}

type failing struct{}

func (failing) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, dht.ErrUnreachable) }
}

func (failing) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, dht.ErrUnreachable
}

func TestMessageOverItsBoundsIsNotSent(t *testing.T) {
	at := now
	store := memoryStore(&at)
	alice := newOwner(t, "alice")
	full := Message{Stamp: make([]byte, MaxStamp), Statement: make([]byte, MaxStatement)}
	_, err := Send(ctx, store, alice.pointer, alice.sealing, full, now)
	require.NoError(t, err)
	for _, m := range []Message{{}, {Stamp: []byte("x")}, {Statement: []byte("x")},
		{Stamp: make([]byte, MaxStamp+1), Statement: []byte("x")}, {Stamp: []byte("x"), Statement: make([]byte, MaxStatement+1)}} {
		_, err := Send(ctx, store, alice.pointer, alice.sealing, m, now)
		require.ErrorContains(t, err, "fit")
	}
	_, err = Send(ctx, store, alice.pointer, nil, message("x"), now)
	require.ErrorContains(t, err, "no key")
}

// All payloads have the same size. A payload of another size is ignored, even
// if it is sealed to the owner.
func TestPayloadOfAnotherSizeIsIgnored(t *testing.T) {
	at := now
	alice := newOwner(t, "alice")
	key, err := seal.SelectKey(alice.sealing)
	require.NoError(t, err)
	plain, err := message("hello").encode()
	require.NoError(t, err)
	for size, found := range map[int]int{payloadSize: 1, payloadSize - 1: 0, payloadSize / 2: 0, payloadSize + 1: 0} {
		store := memoryStore(&at)
		p := slotOf(alice.pointer, EpochAt(now), 0).key.Pointer()
		payload, err := seal.Seal(key, sealInfo(p), sealExtra(7), []int{size}, plain)
		require.NoError(t, err)
		putPayload(t, store, alice.pointer, now, 0, 7, payload)
		require.Len(t, alice.fetch(t, store, now), found, size)
	}
}

// A message has one encoding and one version, and it is within its bounds.
func TestMessageHasOneEncoding(t *testing.T) {
	good, err := message("hello").encode()
	require.NoError(t, err)
	require.Equal(t, append([]byte{0x83, 1, 0x45}, "stamp\x45hello"...), good)
	_, err = decodeMessage(good)
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
		"a long stamp":          encoded(t, make([]byte, MaxStamp+1), []byte("x")),
		"a long statement":      encoded(t, []byte("x"), make([]byte, MaxStatement+1)),
	} {
		_, err := decodeMessage(bad)
		require.Error(t, err, why)
	}
	_, err = decodeMessage(encoded(t, make([]byte, MaxStamp), make([]byte, MaxStatement)))
	require.NoError(t, err)
}

func encoded(t testing.TB, stamp, statement []byte) []byte {
	t.Helper()
	b, err := canonical.Marshal(wireMessage{Version: messageVersion, Stamp: stamp, Statement: statement})
	require.NoError(t, err)
	return b
}

func FuzzMessage(f *testing.F) {
	good, err := message("hello").encode()
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{0x83, 1, 0x41, 1, 0x41, 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil {
			return
		}
		again, err := m.encode()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func TestCardStatesTheRequiredSolutions(t *testing.T) {
	for advertised, want := range map[int]int{0: DefaultSolutions, 1: 1, MaxSolutions: MaxSolutions} {
		solutions, accepts := RequiredSolutions(pointer.Card{Links: []pointer.CardLink{{Rel: "other", Target: "3"}, CardLink(advertised)}})
		require.True(t, accepts)
		require.Equal(t, want, solutions)
	}
	// A card cannot demand any amount of work from a sender.
	for _, target := range []string{"", "0", "-1", "65", "1000000000000000000000", "08", "+8", "8 ", "eight"} {
		_, accepts := RequiredSolutions(pointer.Card{Links: []pointer.CardLink{{Rel: cardRel, Target: target}}})
		require.False(t, accepts, target)
	}
	_, accepts := RequiredSolutions(pointer.Card{})
	require.False(t, accepts)
}
