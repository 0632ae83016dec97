package drop

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// Several devices of the recipient read one stream and acknowledge, each with a state of its
// own: acknowledgements differ, arrive in any order, and are lost. Each message is processed by
// a device, by none twice, and by all in the order in which it was sent; the queue of the sender
// moves forward alone.
func TestSeveralReceiversLoseNothing(t *testing.T) {
	lawtest.Check(t, 30, func(t *rapid.T) {
		alice, bob := newPerson(t, 1, 11), newPerson(t, 2, 12)
		m := &model{store: newArchive(), now: start}
		sender := &side{self: alice, other: bob, channel: mustOpen(t, alice, bob, nil), ids: map[[32]byte]bool{}}
		m.sides[0] = sender
		sender.save()
		var receivers []*side
		for range 3 {
			r := &side{self: bob, other: alice, channel: mustOpen(t, bob, alice, nil), ids: map[[32]byte]bool{}}
			r.save()
			receivers = append(receivers, r)
		}
		check := func() {
			for _, r := range receivers {
				at := 0
				for _, text := range r.processed {
					next := slices.Index(sender.sent[at:], text)
					require.GreaterOrEqual(t, next, 0, "in the order sent, and once")
					at += next + 1
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			m.sides[1] = rapid.SampledFrom(receivers).Draw(t, "receiver")
			base := sender.channel.base.Counter
			m.stepOf(t, sender)
			require.GreaterOrEqual(t, sender.channel.base.Counter, min(base, decodeBase(t, sender.saved)), "it moves forward")
			check()
		}
		m.store.serve = nil
		for round := 0; sender.channel.Waiting() > 0; round++ {
			require.Less(t, round, 100)
			for _, s := range append(slices.Clone(receivers), sender) {
				m.now = m.now.Add(repeatAfter)
				for _, message := range m.pollOne(t, s).Messages {
					s.process(message)
					require.NoError(t, s.channel.Done(message))
				}
				s.save()
				if s.channel.Due(m.now) {
					put(t, s.channel, m.store, m.now)
					s.save()
				}
			}
		}
		check()
		for _, text := range sender.sent {
			require.True(t, slices.ContainsFunc(receivers, func(r *side) bool { return slices.Contains(r.processed, text) }), "%.20q was acknowledged and processed by none", text)
		}
	})
}

// decodeBase returns the number of the last acknowledged message in a state.
func decodeBase(t tb, b []byte) uint64 {
	s, err := decodeState(b)
	require.NoError(t, err)
	return s.Base.Counter
}

// A device of the recipient that did not process a message puts no record for it, once the
// sender shows that another device acknowledged it.
func TestAnAcknowledgementThatTheSenderHasIsNotRepeated(t *testing.T) {
	alice, bob, a, first := pair(t)
	second := mustOpen(t, bob, alice, nil)
	store, now := newArchive(), start
	mustSend(t, a, "one")
	require.Equal(t, []string{"one"}, exchange(t, a, first, store, now))
	mustSend(t, a, "two")
	put(t, a, store, now)
	require.Equal(t, []string{"two"}, pollAndProcess(t, second, store, now))
	require.True(t, second.Due(now) && second.Acknowledges())
	require.Empty(t, pollAndProcess(t, second, store, now))
	require.True(t, second.Due(now) && second.Acknowledges(), "until it is put")
	require.Equal(t, []string{"two"}, pollAndProcess(t, first, store, now))
	put(t, first, store, now)
	require.False(t, first.Acknowledges())
	poll(t, a, store, now)
	mustSend(t, a, "three")
	put(t, a, store, now)
	poll(t, second, store, now)
	require.False(t, second.Due(now) || second.Acknowledges(), "the sender has the acknowledgement of two")
	require.Equal(t, []string{"three"}, pollAndProcess(t, second, store, now))
	require.True(t, second.Due(now) && second.Acknowledges())
}
