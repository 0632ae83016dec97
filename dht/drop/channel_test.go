package drop

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
)

func TestMessagesArriveWithoutBothOnline(t *testing.T) {
	_, _, a, b := pair(t)
	now := start
	store := memory(&now)
	mustSend(t, a, "one", "two")
	require.True(t, a.Due(now))
	put(t, a, store, now)
	require.False(t, a.Due(now))

	now = now.Add(40 * time.Hour)
	require.False(t, b.Due(now))
	require.Equal(t, []string{"one", "two"}, pollAndProcess(t, b, store, now))
	mustSend(t, b, "three")
	put(t, b, store, now)

	now = now.Add(40 * time.Hour)
	require.True(t, a.Due(now), "not acknowledged, as far as it knows")
	require.Equal(t, 2, a.Waiting())
	result := poll(t, a, store, now)
	require.Equal(t, []string{"three"}, texts(result.Messages))
	require.Zero(t, a.Waiting())
	require.Equal(t, start.Add(40*time.Hour), result.Written)
	require.False(t, a.Due(now), "before it is processed, nothing is acknowledged")
	require.NoError(t, a.Done(result.Messages[0]))
	require.True(t, a.Due(now))
	put(t, a, store, now)
	require.Empty(t, pollAndProcess(t, b, store, now))
	require.Zero(t, b.Waiting())
	require.False(t, b.Due(now.Add(100*24*time.Hour)), "all is said")
}

func TestMessageIsRepeatedUntilDone(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	store := memory(&now)
	mustSend(t, a, "one", "two", "three")
	put(t, a, store, now)
	first := poll(t, b, store, now)
	require.Equal(t, first, poll(t, b, store, now))
	clear(first.Messages[0].Bytes)
	require.Equal(t, "one", string(poll(t, b, store, now).Messages[0].Bytes), "it is the caller's copy")
	require.NoError(t, b.Done(first.Messages[1]), "with all before it")
	require.Error(t, b.Done(first.Messages[0]), "it is done")
	require.Error(t, b.Done(Message{Counter: 3}), "another one of that number")
	saved := b.State()
	require.NoError(t, b.Done(first.Messages[2]))
	// A crash before the state was stored.
	b = mustOpen(t, bob, alice, saved)
	again := poll(t, b, store, now)
	require.Equal(t, first.Messages[2:], again.Messages, "with the same ID")
	require.Zero(t, again.Lost)
}

func TestMessagesThatDoNotFitWaitInOrder(t *testing.T) {
	_, _, a, b := pair(t)
	now := start
	store := memory(&now)
	var sent, got []string
	for i := range 9 {
		m := strings.Repeat(fmt.Sprint(i), MaxMessage/2+i)
		sent = append(sent, m)
		mustSend(t, a, m)
	}
	mustSend(t, a, "short") // would fit, but stays in order
	sent = append(sent, "short")
	rounds := 0
	for a.Waiting() > 0 {
		require.Less(t, rounds, 20)
		require.True(t, a.Due(now))
		put(t, a, store, now)
		require.False(t, a.Due(now))
		got = append(got, pollAndProcess(t, b, store, now)...)
		put(t, b, store, now)
		pollAndProcess(t, a, store, now)
		now = now.Add(time.Minute)
		rounds++
	}
	require.Equal(t, sent, got)
	require.Equal(t, 5, rounds, "two of them fit into one record")
}

func TestQueueIsBounded(t *testing.T) {
	_, _, a, _ := pair(t)
	require.ErrorContains(t, a.Send(nil), "0 bytes")
	require.ErrorContains(t, a.Send(make([]byte, MaxMessage+1)), "8193 bytes")
	require.Zero(t, a.Waiting())
	for range MaxQueue {
		mustSend(t, a, "m")
	}
	require.ErrorContains(t, a.Send([]byte("m")), "not acknowledged yet")
	require.Equal(t, MaxQueue, a.Waiting())

	_, _, a, _ = pair(t)
	for range MaxQueueBytes / MaxMessage {
		require.NoError(t, a.Send(make([]byte, MaxMessage)))
	}
	require.Error(t, a.Send([]byte{1}))
	require.Equal(t, MaxQueueBytes/MaxMessage, a.Waiting())
}

func TestSendCopiesTheMessage(t *testing.T) {
	_, _, a, b := pair(t)
	now := start
	store := memory(&now)
	m := []byte("mine")
	require.NoError(t, a.Send(m))
	clear(m)
	put(t, a, store, now)
	require.Equal(t, []string{"mine"}, pollAndProcess(t, b, store, now))
}

func TestLockedIdentityReadsAndDoesNotWrite(t *testing.T) {
	alice, bob, a, _ := pair(t)
	now := start
	store := memory(&now)
	mustSend(t, a, "one")
	put(t, a, store, now)
	self := bob.self()
	self.Signer = nil
	b, err := Open(self, alice.party(), nil)
	require.NoError(t, err)
	require.Equal(t, []string{"one"}, pollAndProcess(t, b, store, now))
	saved := b.State()
	_, err = b.Put(ctx, store, now)
	require.ErrorIs(t, err, errLocked)
	b = mustOpen(t, bob, alice, saved)
	require.True(t, b.Due(now), "once it is unlocked, it is acknowledged")
}

func TestPollReportsErrorsOfTheStore(t *testing.T) {
	_, _, a, b := pair(t)
	now := start
	_, err := b.Poll(ctx, failing{}, now)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	store := memory(&now)
	mustSend(t, a, "one")
	put(t, a, store, now)
	poll(t, b, store, now)
	result, err := b.Poll(ctx, failing{}, now)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.Equal(t, []string{"one"}, texts(result.Messages), "what was read before stands beside the error")
}

func TestOnlyTheCurrentAndPreviousEpochArePolled(t *testing.T) {
	epoch, err := epochOf(start)
	require.NoError(t, err)
	first := time.Unix(int64(epoch*uint64(Epoch/time.Second)), 0)
	for name, c := range map[string]struct {
		wait time.Duration
		want []string
	}{
		"at once":                           {0, []string{"one"}},
		"at the last moment of the epoch":   {Epoch - 1, []string{"one"}},
		"at the first of the next":          {Epoch, []string{"one"}},
		"at the last moment of the next":    {2*Epoch - 1, []string{"one"}},
		"and then not: the sender put anew": {2 * Epoch, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, a, b := pair(t)
			now := first
			store := memory(&now)
			mustSend(t, a, "one")
			put(t, a, store, now)
			now = now.Add(c.wait)
			require.Equal(t, c.want, pollAndProcess(t, b, store, now))
			if c.want == nil {
				require.True(t, a.Due(now))
				put(t, a, store, now)
				require.Equal(t, []string{"one"}, pollAndProcess(t, b, store, now))
			}
		})
	}
}

// A sender whose clock runs ahead, and whose state is then lost with the clock
// set right, is received again.
func TestSequenceSurvivesALostStateAndAClockSetBack(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start.Add(48 * time.Hour)
	store := memory(&now)
	mustSend(t, a, "early")
	put(t, a, store, now)
	require.Equal(t, []string{"early"}, pollAndProcess(t, b, store, now))

	now = start
	a = mustOpen(t, alice, bob, nil)
	mustSend(t, a, "late")
	put(t, a, store, now)
	put(t, b, store, now)
	pollAndProcess(t, a, store, now) // learns the position of the other
	put(t, a, store, now)
	require.Equal(t, []string{"late"}, pollAndProcess(t, b, store, now))
}

// A very high sequence of a sender counts only in its epoch. The message of the
// next epoch is newer, and its acknowledgements are accepted.
func TestALaterEpochIsNewerWhateverTheSequence(t *testing.T) {
	_, _, a, b := pair(t)
	store, now := newArchive(), start
	key, _, err := a.outboundKey(now)
	require.NoError(t, err)
	a.lastRecord = recordSequence{At: key.Pointer().Bytes(), Sequence: 1 << 50}
	mustSend(t, a, "one")
	put(t, a, store, now)
	require.Equal(t, []string{"one"}, pollAndProcess(t, b, store, now))
	require.Equal(t, uint64(1<<50+1), b.newest.Sequence)

	now = now.Add(Epoch)
	mustSend(t, b, "answer")
	put(t, b, store, now)
	require.Equal(t, []string{"answer"}, pollAndProcess(t, a, store, now))
	mustSend(t, a, "two")
	put(t, a, store, now)
	require.Equal(t, []string{"two"}, pollAndProcess(t, b, store, now), "the record of the previous epoch is available, too")
	require.Zero(t, b.Waiting())
	require.Equal(t, uint64(now.UnixMilli()), b.newest.Sequence)
}

func TestOpenRefuses(t *testing.T) {
	alice, bob, a, _ := pair(t)
	carol := newPerson(t, 3, 13)
	mustSend(t, a, "one")
	state := a.State()
	none := bob.party()
	none.Sealing = none.Sealing[1:]
	broken := bob.party()
	broken.Sealing[1].Key = broken.Sealing[1].Key[1:]
	short := bob.party()
	short.Sealing[0].Key = short.Sealing[0].Key[1:]
	mine := bob.party()
	mine.Sealing = alice.party().Sealing
	wrong := alice.self()
	wrong.Signer = bob.key
	keyless := alice.self()
	keyless.Sealing = keyless.Sealing[1:]
	for name, c := range map[string]struct {
		self  Self
		party Party
		state []byte
	}{
		"no pointer":                    {Self{Sealing: alice.sealing}, bob.party(), nil},
		"no party":                      {alice.self(), Party{Sealing: none.Sealing}, nil},
		"oneself":                       {alice.self(), alice.party(), nil},
		"oneself, by other keys":        {alice.self(), newPerson(t, 1, 99).party(), nil},
		"a party without an X25519 key": {alice.self(), none, nil},
		"a malformed hybrid key":        {alice.self(), broken, nil},
		"a malformed X25519 key":        {alice.self(), short, nil},
		"my own key as the party's":     {alice.self(), mine, nil},
		"another's signer":              {wrong, bob.party(), nil},
		"no X25519 key":                 {keyless, bob.party(), nil},
		"the state of another channel":  {alice.self(), carol.party(), state},
		"the other side's state":        {bob.self(), alice.party(), state},
		"half a state":                  {alice.self(), bob.party(), state[:len(state)/2]},
		"an empty state":                {alice.self(), bob.party(), []byte{}},
		"a state with a tail":           {alice.self(), bob.party(), append(bytes.Clone(state), 0)},
	} {
		_, err := Open(c.self, c.party, c.state)
		require.Error(t, err, name)
	}
	_, err := Open(alice.self(), bob.party(), state)
	require.NoError(t, err)
}

func TestTimesBefore1970AreRefused(t *testing.T) {
	_, _, a, _ := pair(t)
	mustSend(t, a, "one")
	a.State()
	before := time.Unix(-1, 0)
	_, err := a.Put(ctx, newArchive(), before)
	require.Error(t, err)
	_, err = a.Poll(ctx, newArchive(), before)
	require.Error(t, err)
	polled, err := polledPointers(a, time.Unix(1, 0))
	require.NoError(t, err)
	require.Len(t, polled, 1, "the first epoch has none before it")
}

// The records of a party whose clock is one or two epochs ahead are not polled, and Ahead returns
// the date of the newest one. One that another party signed is not taken for it.
func TestAheadShowsTheClockOfAParty(t *testing.T) {
	alice, bob, a, b := pair(t)
	now := start
	store := memory(&now)
	made, err := b.Ahead(ctx, store, now)
	require.NoError(t, err)
	require.Zero(t, made)
	mustSend(t, a, "one")
	for _, epochs := range []time.Duration{1, 2} {
		put(t, a, store, now.Add(epochs*Epoch))
		require.Empty(t, poll(t, b, store, now).Messages)
		made, err = b.Ahead(ctx, store, now)
		require.NoError(t, err)
		require.Equal(t, now.Add(epochs*Epoch), made)
	}
	put(t, a, store, now)
	require.Equal(t, []string{"one"}, texts(poll(t, b, store, now).Messages))
	require.Zero(t, func() time.Time { made, _ := b.Ahead(ctx, store, now.Add(2*Epoch)); return made }())

	// A thief of Bob's X25519 key writes in the place of Alice's record, and cannot sign it.
	thief := person{key: newPerson(t, 9, 9).key, sealing: alice.sealing}
	forged := mustOpen(t, thief, bob, nil)
	mustSend(t, forged, "forged")
	forged.self.Pointer, forged.id = alice.key.Pointer(), a.id
	forged.State()
	other := memory(&now)
	_, err = forged.Put(ctx, other, now.Add(Epoch))
	require.NoError(t, err)
	made, err = b.Ahead(ctx, other, now)
	require.NoError(t, err)
	require.Zero(t, made)
}
