package drop

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// golden reads hexadecimal with comments.
func golden(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	require.NoError(t, err)
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	require.NoError(t, err)
	return b
}

func cborOf(t testing.TB, v any) []byte {
	t.Helper()
	mode, err := cbor.CoreDetEncOptions().EncMode()
	require.NoError(t, err)
	b, err := mode.Marshal(v)
	require.NoError(t, err)
	return b
}

// documented is the first message of alice to bob at start, computed from the
// package's documentation without the package's code.
type documented struct {
	record  ed25519.PrivateKey
	at      []byte
	channel [32]byte
	streams [2][32]byte // alice's and bob's, in their initial state
}

func newDocumented(t testing.TB, alice, bob person) documented {
	t.Helper()
	x25519 := func(p person) *ecdh.PrivateKey {
		b, err := p.sealing[0].Bytes()
		require.NoError(t, err)
		key, err := ecdh.X25519().NewPrivateKey(b)
		require.NoError(t, err)
		return key
	}
	a, b := alice.key.Pointer().Bytes(), bob.key.Pointer().Bytes()
	own, other := x25519(alice), x25519(bob)
	secret, err := other.ECDH(own.PublicKey())
	require.NoError(t, err)
	epoch := start.Unix() / (7 * 24 * 3600)
	info := cborOf(t, []any{a, b, own.PublicKey().Bytes(), other.PublicKey().Bytes(), epoch})
	seed, err := hkdf.Key(sha256.New, secret, []byte("petnames/drop/record/v1"), string(info), 32)
	require.NoError(t, err)
	d := documented{record: ed25519.NewKeyFromSeed(seed)}
	d.at = append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, d.record.Public().(ed25519.PublicKey)...)
	both := [][]byte{a, b}
	if bytes.Compare(a, b) > 0 {
		both = [][]byte{b, a}
	}
	d.channel = sha256.Sum256(append([]byte("petnames/drop/channel/v1\x00"), cborOf(t, both)...))
	for i, from := range [][]byte{a, b} {
		d.streams[i] = sha256.Sum256(append(append([]byte("petnames/drop/stream/v1\x00"), d.channel[:]...), from...))
	}
	return d
}

// next returns the chain after one more message.
func chained(chain [32]byte, counter uint64, message string) [32]byte {
	b := binary.BigEndian.AppendUint64(append([]byte("petnames/drop/message/v1\x00"), chain[:]...), counter)
	return sha256.Sum256(append(b, message...))
}

// batch returns the signed batch with two payloads and no acknowledgement.
func (d documented) batch(t testing.TB, alice, bob person, messages ...string) []byte {
	t.Helper()
	sent := make([]any, len(messages))
	for i, m := range messages {
		sent[i] = []byte(m)
	}
	batch := cborOf(t, []any{1, alice.key.Pointer().Bytes(), bob.key.Pointer().Bytes(), d.channel[:], d.at, start.UnixMilli(), start.UnixMilli(),
		[]any{0, d.streams[0][:]}, sent, []any{0, d.streams[1][:]}})
	sum := sha256.Sum256(batch)
	signature, err := alice.key.Sign(nil, append([]byte("petnames/drop/letter/v1\x00"), sum[:]...), crypto.Hash(0))
	require.NoError(t, err)
	return cborOf(t, []any{signature, batch})
}

func TestBatchIsAsDocumented(t *testing.T) {
	alice, bob, a, b := pair(t)
	d := newDocumented(t, alice, bob)
	mustSend(t, a, "one", "two")
	a.State()
	rec, err := a.Outgoing(start)
	require.NoError(t, err)
	require.Equal(t, d.at, rec.Pointer().Bytes())
	require.Equal(t, uint64(start.UnixMilli()), rec.Sequence())
	require.Equal(t, time.Unix((start.Unix()/(7*24*3600)+2)*7*24*3600, 0).UTC(), rec.Expires())
	sealed, err := openPayload(b.local.sealing, rec.Pointer(), rec.Sequence(), rec.Payload())
	require.NoError(t, err)
	require.Equal(t, hex.EncodeToString(d.batch(t, alice, bob, "one", "two")), hex.EncodeToString(sealed))

	result := deliver(t, b, rec, start)
	require.Equal(t, []string{"one", "two"}, texts(result.Messages))
	chain := d.streams[0]
	for i, m := range []string{"one", "two"} {
		chain = chained(chain, uint64(i+1), m)
		require.Equal(t, chain, result.Messages[i].ID)
	}
}

// A stored record is readable in every later version.
func TestStoredRecordIsRead(t *testing.T) {
	alice, bob, _, b := pair(t)
	d := newDocumented(t, alice, bob)
	at, err := pointer.FromBytes(d.at)
	require.NoError(t, err)
	rec, err := pointer.Open(at, golden(t, "record.hex"), start)
	require.NoError(t, err)
	result := deliver(t, b, rec, start)
	require.Equal(t, []string{"one", "two"}, texts(result.Messages))
	require.Equal(t, start, result.Written)
	require.Zero(t, result.Refused)
	require.Zero(t, result.Lost)
}

// A stored state is readable in every later version: a channel with one message
// under way, one acknowledged, one received, and a party with a new key.
func TestStoredStateIsRead(t *testing.T) {
	alice, bob, a, b := pair(t)
	store := newArchive()
	mustSend(t, a, "one")
	exchange(t, a, b, store, start)
	mustSend(t, b, "answer")
	put(t, b, store, start.Add(time.Second))
	require.Equal(t, []string{"answer"}, pollAndProcess(t, a, store, start.Add(time.Second)))
	mustSend(t, a, "two")
	put(t, a, store, start.Add(time.Minute))
	require.NoError(t, a.Rekey(bob.renewed(t, 22).party()))
	stored := golden(t, "state.hex")
	require.Equal(t, hex.EncodeToString(stored), hex.EncodeToString(a.State()))
	again, err := Open(alice.self(), bob.renewed(t, 22).party(), stored)
	require.NoError(t, err)
	require.Equal(t, stored, again.State())
	require.Equal(t, 1, again.Waiting())
	owner, err := Owner(stored)
	require.NoError(t, err)
	require.Equal(t, alice.key.Pointer(), owner)
	parts, err := Split(stored)
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("two")}, parts.Queue)
	require.Equal(t, uint64(2), parts.First)
	require.Equal(t, parts, a.Parts())
	joined, err := parts.Join()
	require.NoError(t, err)
	require.Equal(t, stored, joined)
	require.Less(t, len(parts.Head), 1024)
	owner, err = Owner(parts.Head)
	require.NoError(t, err)
	require.Equal(t, alice.key.Pointer(), owner)
	for name, wrong := range map[string]Parts{
		"a message too many before": {Head: parts.Head, First: parts.First - 1, Queue: [][]byte{[]byte("one"), []byte("two")}},
		"messages behind a gap":     {Head: parts.Head, First: parts.First + 1, Queue: parts.Queue},
		"messages in the head":      {Head: stored, First: parts.First, Queue: parts.Queue},
		"no head":                   {First: parts.First, Queue: parts.Queue},
	} {
		_, err := wrong.Join()
		require.Error(t, err, name)
	}
}

// Each of these states differs in one field from a valid one.
func TestMalformedStatesAreRefused(t *testing.T) {
	alice, bob, a, _ := pair(t)
	mustSend(t, a, "one")
	good, err := decodeState(a.State())
	require.NoError(t, err)
	open := func(s state) error {
		_, err := Open(alice.self(), bob.party(), cborOf(t, s))
		return err
	}
	require.NoError(t, open(good))
	for name, change := range map[string]func(*state){
		"version 0":                    func(s *state) { s.Version = 0 },
		"version 2":                    func(s *state) { s.Version = 2 },
		"another's":                    func(s *state) { s.Self = bob.key.Pointer().Bytes() },
		"of another channel":           func(s *state) { s.Channel[31] ^= 1 },
		"an X25519 key cut":            func(s *state) { s.PartyKey = s.PartyKey[:31] },
		"no X25519 key":                func(s *state) { s.PartyKey = nil },
		"an X25519 key before, cut":    func(s *state) { s.PreviousKey = s.PartyKey[:31] },
		"an X25519 key before, empty":  func(s *state) { s.PreviousKey = []byte{} },
		"acknowledged over the limit":  func(s *state) { s.Base.Counter = maxCounter + 1 },
		"processed over the limit":     func(s *state) { s.Processed.Counter = maxCounter + 1 },
		"a sequence over the limit":    func(s *state) { s.LastRecord.Sequence = pointer.MaxSequence + 1 },
		"no queue":                     func(s *state) { s.Queue = nil },
		"no last record":               func(s *state) { s.LastRecord.At = nil },
		"no record put":                func(s *state) { s.LastPut.At = nil },
		"1001 messages":                func(s *state) { s.Queue = slicesOf(MaxQueue + 1) },
		"a message of no bytes":        func(s *state) { s.Queue = [][]byte{{}} },
		"a message of nothing":         func(s *state) { s.Queue = [][]byte{nil} },
		"a message of 8193 bytes":      func(s *state) { s.Queue = [][]byte{make([]byte, MaxMessage+1)} },
		"messages of 1 MiB and a byte": func(s *state) { s.Queue = append(megabyte(), []byte{1}) },
	} {
		s := good
		change(&s)
		require.Error(t, open(s), name)
		_, err := Split(cborOf(t, s))
		if name != "another's" && name != "of another channel" && !strings.HasPrefix(name, "an X25519") && name != "no X25519 key" {
			require.Error(t, err, name)
		}
	}
	for name, change := range map[string]func(*state){
		"acknowledged up to the limit": func(s *state) { s.Base.Counter = maxCounter },
		"the highest sequence":         func(s *state) { s.LastRecord.Sequence = pointer.MaxSequence },
		"1000 messages":                func(s *state) { s.Queue = slicesOf(MaxQueue) },
		"messages of 1 MiB":            func(s *state) { s.Queue = megabyte() },
		"a key before":                 func(s *state) { s.PreviousKey = alice.party().Sealing[0].Key },
	} {
		s := good
		change(&s)
		require.NoError(t, open(s), name)
	}
	// These differ only in their encoding.
	b := a.State()
	for name, b := range map[string][]byte{
		"the length in two bytes": append([]byte{0x98, b[0] & 31}, b[1:]...),
		"the version in two":      append([]byte{b[0], 0x18, 1}, b[2:]...),
		"an indefinite list":      append(append([]byte{0x9f}, b[1:]...), 0xff),
		"a field more":            append(append([]byte{b[0] + 1}, b[1:]...), 0xf6),
		"a field less":            append([]byte{b[0] - 1}, b[1:len(b)-1]...),
		"tagged":                  append([]byte{0xd9, 0xd9, 0xf7}, b...),
		"a byte behind it":        append(bytes.Clone(b), 0),
	} {
		_, err := Open(alice.self(), bob.party(), b)
		require.Error(t, err, name)
		_, err = Owner(b)
		require.Error(t, err, name)
	}
}

func megabyte() (queue [][]byte) {
	for range MaxQueueBytes / MaxMessage {
		queue = append(queue, make([]byte, MaxMessage))
	}
	return queue
}

// Each of these messages is correctly signed by alice and in its place, and
// breaks one bound or the canonical encoding.
func TestBatchesOverTheirBoundsAreRefused(t *testing.T) {
	alice, bob, _, _ := pair(t)
	l, _, rec := openedFrom(t, alice, bob)
	key := recordKeyOf(t, alice, bob, start)
	resigned := func(batch []byte) signed {
		signature, err := alice.key.Sign(nil, signedBytes(batch), crypto.Hash(0))
		require.NoError(t, err)
		return signed{Signature: signature, Batch: batch}
	}
	come := func(s signed) PollResult {
		return deliver(t, mustOpen(t, bob, alice, nil), forge(t, key, bob, s, rec.Sequence(), start), start)
	}
	for name, change := range map[string]func(*batch){
		"of version 0":              func(l *batch) { l.Version = 0 },
		"of version 2":              func(l *batch) { l.Version = 2 },
		"a base over the limit":     func(l *batch) { l.Base.Counter = maxCounter + 1 },
		"an ack over the limit":     func(l *batch) { l.Ack.Counter = maxCounter + 1 },
		"no list of messages":       func(l *batch) { l.Messages = nil },
		"1001 messages":             func(l *batch) { l.Messages = slicesOf(MaxQueue + 1) },
		"an empty message":          func(l *batch) { l.Messages = append(l.Messages, []byte{}) },
		"a message of 8193 bytes":   func(l *batch) { l.Messages = [][]byte{make([]byte, MaxMessage+1)} },
		"a message of 8192 is fine": func(l *batch) { l.Messages = [][]byte{make([]byte, MaxMessage)} },
		"1000 messages are fine":    func(l *batch) { l.Messages = slicesOf(MaxQueue) },
		"the limits are fine":       func(l *batch) { l.Base.Counter, l.Ack.Counter = maxCounter, maxCounter },
	} {
		changed := l
		change(&changed)
		result := come(resigned(cborOf(t, changed)))
		if strings.HasSuffix(name, "fine") {
			require.Zero(t, result.Refused, name)
			require.NotEmpty(t, result.Messages, name)
			continue
		}
		require.Equal(t, 1, result.Refused, name)
		require.Empty(t, result.Messages, name)
	}
	b := cborOf(t, l)
	require.Zero(t, come(resigned(b)).Refused)
	for name, spelling := range map[string][]byte{
		"the length in two bytes": append([]byte{0x98, b[0] & 31}, b[1:]...),
		"the version in two":      append([]byte{b[0], 0x18, 1}, b[2:]...),
		"an indefinite list":      append(append([]byte{0x9f}, b[1:]...), 0xff),
		"a field more":            append(append([]byte{b[0] + 1}, b[1:]...), 0xf6),
		"tagged":                  append([]byte{0xd9, 0xd9, 0xf7}, b...),
		"a byte behind it":        append(bytes.Clone(b), 0),
		"cut by a byte":           b[:len(b)-1],
	} {
		require.Equal(t, 1, come(resigned(spelling)).Refused, name)
	}
	for name, change := range map[string]func(*signed){
		"a signature of 63 bytes": func(s *signed) { s.Signature = s.Signature[:63] },
		"a signature of 65 bytes": func(s *signed) { s.Signature = append(bytes.Clone(s.Signature), 0) },
		"no signature":            func(s *signed) { s.Signature = nil },
	} {
		s := resigned(b)
		change(&s)
		require.Equal(t, 1, come(s).Refused, name)
	}
}

// An acknowledgement covers the last processed message. It does not cover
// messages that were only read, or processed after the state was stored.
func TestOnlyProcessedMessagesAreAcknowledged(t *testing.T) {
	alice, bob, a, b := pair(t)
	store := newArchive()
	acknowledged := func() position {
		t.Helper()
		rec, err := b.Outgoing(start)
		require.NoError(t, err)
		l, err := mustOpen(t, alice, bob, nil).openRecord(rec)
		require.NoError(t, err)
		return l.Ack
	}
	mustSend(t, a, "one", "two", "three")
	put(t, a, store, start)
	result := poll(t, b, store, start)
	require.Len(t, result.Messages, 3)
	b.State()
	require.Equal(t, firstPosition(b.id, alice.key.Pointer()), acknowledged(), "read, and not processed")
	put(t, b, store, start)
	poll(t, a, store, start)
	require.Equal(t, 3, a.Waiting())

	require.NoError(t, b.Done(result.Messages[0])) // the processing of the second message fails
	_, err := b.Outgoing(start)
	require.ErrorIs(t, err, errUnsaved, "nor what is processed and not yet durable")
	saved := b.State()
	require.Equal(t, position{Counter: 1, Chain: result.Messages[0].ID}, acknowledged())
	put(t, b, store, start.Add(time.Second))
	poll(t, a, store, start.Add(time.Second))
	require.Equal(t, 2, a.Waiting())
	require.Equal(t, result.Messages[1:], poll(t, b, store, start.Add(time.Second)).Messages, "it is delivered again")

	// The message is processed, but a crash before the state is stored loses
	// that.
	require.NoError(t, b.Done(result.Messages[2]))
	b = mustOpen(t, bob, alice, saved)
	require.Equal(t, position{Counter: 1, Chain: result.Messages[0].ID}, acknowledged())
	put(t, a, store, start.Add(time.Minute))
	require.Equal(t, []string{"two", "three"}, texts(poll(t, b, store, start.Add(time.Minute)).Messages))
	put(t, b, store, start.Add(time.Minute))
	poll(t, a, store, start.Add(time.Minute))
	require.Equal(t, 2, a.Waiting())
}

// If there are more keys than the bound, the keys that were replaced first are
// dropped, for each kind separately. Messages to the oldest kept key are still
// found.
func TestOldestRetainedKeysAreUsed(t *testing.T) {
	alice, _, _, _ := pair(t)
	var people []person // bob, with his keys from the newest to the oldest
	bob := newPerson(t, 2, 100)
	people = append(people, bob)
	for i := range byte(maxKeys) {
		people = append([]person{newPerson(t, 2, 101+i)}, people...)
	}
	self := bob.self()
	self.Sealing = nil
	for _, p := range people {
		self.Sealing = append(self.Sealing, p.sealing...)
	}
	for age, p := range people {
		for name, keys := range map[string]int{"hybrid": 2, "X25519": 1} {
			to := p
			to.sealing = to.sealing[:keys]
			a := mustOpen(t, alice, to, nil)
			store := newArchive()
			mustSend(t, a, "hello")
			put(t, a, store, start)
			b, err := Open(self, alice.party(), nil)
			require.NoError(t, err)
			result := poll(t, b, store, start)
			require.Zero(t, result.Refused)
			if age < maxKeys {
				require.Equal(t, []string{"hello"}, texts(result.Messages), "%s key number %d", name, age)
			} else {
				require.Empty(t, result.Messages, "%s key number %d", name, age)
			}
		}
	}
	// New messages are sealed to the current key.
	b, err := Open(self, alice.party(), nil)
	require.NoError(t, err)
	mustSend(t, b, "hello")
	store := newArchive()
	put(t, b, store, start)
	require.Equal(t, []string{"hello"}, pollAndProcess(t, mustOpen(t, alice, people[0], nil), store, start))
}

// A channel refuses to send before its message numbers could overflow.
func TestMessagesAreNotNumberedPastTheLimit(t *testing.T) {
	_, _, a, _ := pair(t)
	a.base.Counter = maxCounter - MaxQueue
	require.NoError(t, a.Send([]byte("last")))
	a.base.Counter++
	require.ErrorContains(t, a.Send([]byte("over")), "limit")
	require.Equal(t, 1, a.Waiting())
}
