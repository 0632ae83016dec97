package drop

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// batchSeeds returns sealed contents, the valid ones first.
func batchSeeds(t tb) [][]byte {
	alice, bob, a, _ := pair(t)
	var seeds [][]byte
	for _, messages := range [][][]byte{{}, {[]byte("one")}, {[]byte("one"), make([]byte, MaxMessage)}} {
		l := batch{
			Version: batchVersion, From: alice.key.Pointer().Bytes(), To: bob.key.Pointer().Bytes(), Channel: a.id,
			At: bob.key.Pointer().Bytes(), Sequence: 1, Made: start.UnixMilli(), Base: a.base, Messages: messages, Ack: position{Counter: maxCounter},
		}
		b, err := l.sign(alice.key)
		require.NoError(t, err)
		seeds = append(seeds, b)
	}
	for _, change := range []func(*batch){
		func(l *batch) { l.Version = 2 }, func(l *batch) { l.Messages = nil }, func(l *batch) { l.Messages = [][]byte{{}} },
		func(l *batch) { l.Messages = [][]byte{make([]byte, MaxMessage+1)} }, func(l *batch) { l.Base.Counter = maxCounter + 1 },
		func(l *batch) { l.Messages = slicesOf(MaxQueue + 1) },
	} {
		l := batch{Version: batchVersion, Messages: [][]byte{{1}}}
		change(&l)
		b, err := l.sign(alice.key)
		require.NoError(t, err)
		seeds = append(seeds, b)
	}
	return append(seeds, nil, []byte{0x80}, []byte{0x82, 0x40, 0x40}, seeds[0][:len(seeds[0])-1])
}

func slicesOf(n int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = []byte{1}
	}
	return all
}

func checkBatch(t tb, b []byte) bool {
	l, s, err := decodeBatch(b)
	if err != nil {
		require.Less(t, len(err.Error()), 300)
		return false
	}
	require.NotNil(t, l.Messages)
	require.LessOrEqual(t, len(l.Messages), MaxQueue)
	inner, err := canonical.Marshal(l)
	require.NoError(t, err)
	again, err := canonical.Marshal(signed{Signature: s.Signature, Batch: inner})
	require.NoError(t, err)
	require.True(t, bytes.Equal(b, again), "what is accepted encodes to the same bytes")
	return true
}

func FuzzLetter(f *testing.F) {
	for _, b := range batchSeeds(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkBatch(t, b) })
}

func stateSeeds(t tb) [][]byte {
	alice, bob, a, b := pair(t)
	seeds := [][]byte{a.State()}
	store := newArchive()
	mustSend(t, a, "one", "two")
	put(t, a, store, start)
	seeds = append(seeds, a.State())
	pollAndProcess(t, b, store, start)
	put(t, b, store, start.Add(time.Hour))
	seeds = append(seeds, b.State())
	require.NoError(t, b.Rekey(alice.renewed(t, 21).party()))
	_ = bob
	seeds = append(seeds, b.State())
	return append(seeds, nil, []byte{0x80}, seeds[0][1:], append(bytes.Clone(seeds[1]), 0))
}

func checkState(t tb, b []byte) bool {
	s, err := decodeState(b)
	if err != nil {
		require.Less(t, len(err.Error()), 300)
		return false
	}
	again, err := canonical.Marshal(s)
	require.NoError(t, err)
	require.True(t, bytes.Equal(b, again), "what is accepted encodes to the same bytes")
	return true
}

func FuzzState(f *testing.F) {
	for _, b := range stateSeeds(f) {
		f.Add(b)
	}
	alice, bob := newPerson(f, 1, 11), newPerson(f, 2, 12)
	f.Fuzz(func(t *testing.T, b []byte) {
		accepted := checkState(t, b)
		c, err := Open(alice.self(), bob.party(), b)
		if err != nil || b == nil {
			return
		}
		require.True(t, accepted)
		s, _ := decodeState(b)
		if bytes.Equal(s.PartyKey, c.remote.x25519.Bytes()) {
			require.True(t, bytes.Equal(b, c.State()), "and State returns the state that was opened")
		}
		c.Due(start)
		c.State()
		_, _ = c.Outgoing(start)
	})
}

// FuzzPayload opens records that only the other party can put.
func FuzzPayload(f *testing.F) {
	alice, bob, a, _ := pair(f)
	mustSend(f, a, "one")
	a.State()
	rec, err := a.Outgoing(start)
	require.NoError(f, err)
	f.Add(rec.Payload(), uint64(1))
	f.Add(rec.Payload(), rec.Sequence())
	f.Add([]byte{1, 0, 0x20}, uint64(1))
	f.Add([]byte{}, uint64(1))
	key, _, err := a.outboundKey(start)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, payload []byte, sequence uint64) {
		forged, err := pointer.Sign(key, pointer.Fields{Sequence: sequence, Expires: start.Add(Epoch), Payload: payload})
		if err != nil {
			return
		}
		b := mustOpen(t, bob, alice, nil)
		l, err := b.openRecord(forged)
		if err != nil {
			require.False(t, bytes.Equal(payload, rec.Payload()) && sequence == rec.Sequence())
			return
		}
		// A worker of the fuzzer receives seeds that another process sealed.
		require.Equal(t, rec.Sequence(), sequence)
		require.Equal(t, [][]byte{[]byte("one")}, l.Messages)
	})
}

func TestFuzzSeedsAreAcceptedAndRefused(t *testing.T) {
	for name, c := range map[string]struct {
		seeds [][]byte
		check func(tb, []byte) bool
		want  int
	}{
		"batches": {batchSeeds(t), checkBatch, 3}, "states": {stateSeeds(t), checkState, 4},
	} {
		accepted := 0
		for i, b := range c.seeds {
			if c.check(t, b) {
				require.Less(t, i, c.want, "%s: the good ones come first", name)
				accepted++
			}
		}
		require.Equal(t, c.want, accepted, name)
		require.Greater(t, len(c.seeds), c.want, name)
	}
}
