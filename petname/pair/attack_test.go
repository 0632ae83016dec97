package pair

import (
	"bytes"
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// far is past every record of a test.
func (m *meeting) far() time.Time { return m.clock.now().Add(time.Hour) }

// Whoever knows the slot can write over every message. Both sides end; each
// that pairs has paired with the other; and with what is not theirs in a box
// before it is read, neither pairs.
func TestWritingOverARecordNeverPairsWrong(t *testing.T) {
	forged := func(m *meeting) []byte { return encode(wireFailure{Kind: kindFailure, Take: make([]byte, hashSize)}) }
	for name, attack := range map[string]func(t *testing.T, m *meeting){
		"the offer, with garbage": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			plant(t, m.store, m.slot.box(boxOffer), []byte("x"), 9, m.far())
		},
		"the offer, with an offer of one's own": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			mallory, err := OfferCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-zoo-zoo"), (&notes{}).burn)
			require.NoError(t, err)
			require.NoError(t, mallory.enter(m.slot))
			said := mallory.says()
			plant(t, m.store, m.slot.box(boxOffer), encode(wireOffer{Kind: kindOffer, Share: said.share, Commit: said.data}), 9, m.far())
		},
		"the offer, with the neutral element": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			plant(t, m.store, m.slot.box(boxOffer), encode(wireOffer{Kind: kindOffer, Share: make([]byte, 32), Commit: make([]byte, 32)}), 9, m.far())
		},
		"the take, with garbage": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			plant(t, m.store, m.slot.box(boxTake), []byte("x"), 9, m.far())
		},
		"the take, with nothing": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			plant(t, m.store, m.slot.box(boxTake), nil, 9, m.far())
		},
		"the take, with a guess": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			wrong := guess(t, m, "zoo-zoo")
			m.stepTake(t)
			plant(t, m.store, m.slot.box(boxTake), wrong, 9, m.far())
		},
		"the take, with the neutral element": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			plant(t, m.store, m.slot.box(boxTake), encode(wireTake{
				Kind: kindTake, Share: make([]byte, 32), Commit: make([]byte, 32), Tag: make([]byte, 64), Sealed: []byte{},
			}), 9, m.far())
		},
		"the take, with its tag on other words sealed": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			w, err := parseTake(m.take.take)
			require.NoError(t, err)
			w.Sealed[len(w.Sealed)-1] ^= 1
			plant(t, m.store, m.slot.box(boxTake), encode(w), 9, m.far())
		},
		"the answer, with a failure for another": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			plant(t, m.store, m.slot.box(boxAnswer), forged(m), 9, m.far())
		},
		"the answer, with garbage": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			plant(t, m.store, m.slot.box(boxAnswer), []byte("x"), 9, m.far())
		},
		"the answer, with the take played back": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			m.stepTake(t)
			w, err := parseTake(m.take.take)
			require.NoError(t, err)
			plant(t, m.store, m.slot.box(boxAnswer), encode(wireAnswer{Kind: kindAnswer, Take: takeHash(m.take.take), Tag: w.Tag, Sealed: w.Sealed}), 9, m.far())
		},
		"the take, with the offer played back": func(t *testing.T, m *meeting) {
			m.stepOffer(t)
			said := m.offer.says()
			plant(t, m.store, m.slot.box(boxTake), encode(wireTake{
				Kind: kindTake, Share: said.share, Commit: said.data, Tag: make([]byte, 64), Sealed: []byte{},
			}), 9, m.far())
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMeeting(t, theCode, theCode)
			attack(t, m)
			m.settle(t)
			require.Nil(t, m.offerOutcome.event.Paired)
			require.Nil(t, m.takeOutcome.event.Paired)
			require.Error(t, m.offerOutcome.err)
			require.Error(t, m.takeOutcome.err)
		})
	}
}

// A network that replays, swaps, changes and drops messages as it likes, in
// any order of steps.
func TestAHostileNetworkNeverPairsWrong(t *testing.T) {
	quickly(t, 40)
	boxes := []string{boxOffer, boxTake, boxAnswer}
	rapid.Check(t, func(t *rapid.T) {
		m := newMeeting(t, theCode, rapid.SampledFrom([]string{theCode, "742-tunnel-zoo-zoo"}).Draw(t, "heard"))
		var seen [][]byte
		for sequence := range uint64(rapid.IntRange(0, 12).Draw(t, "moves")) {
			switch rapid.IntRange(0, 4).Draw(t, "move") {
			case 0:
				m.stepOffer(t)
			case 1:
				m.stepTake(t)
			case 2:
				for _, name := range boxes {
					if message, ok := peek(t, m.store, m.slot.box(name), m.clock.now()); ok {
						seen = append(seen, message)
					}
				}
			case 3:
				if len(seen) > 0 {
					message := slices.Clone(rapid.SampledFrom(seen).Draw(t, "replayed"))
					if len(message) > 0 && rapid.Bool().Draw(t, "change") {
						message[rapid.IntRange(0, len(message)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
					}
					plant(t, m.store, m.slot.box(rapid.SampledFrom(boxes).Draw(t, "box")), message, 10+sequence, m.far())
				}
			case 4:
				m.clock.after(time.Minute)
			}
		}
		m.settle(t)
		m.requireNobodyWrong(t)
		if m.offerOutcome.event.Paired != nil && m.takeOutcome.event.Paired != nil {
			m.requirePaired(t)
		}
	})
}

// insider is somebody who knows the code, and lies about the rest: it plays
// the taker of m's offer, and says what the caller makes of its session.
func insider(t *testing.T, m *meeting, self Self) *CodeTake {
	t.Helper()
	x, err := TakeCode(self, mustCode(t, theCode), (&notes{}).burn)
	require.NoError(t, err)
	return x
}

// leave puts the insider's take, with the proof that lie makes, before the
// inviter.
func leave(t *testing.T, m *meeting, x *CodeTake, lie func(s session) wireProof) outcome {
	t.Helper()
	ok, err := x.accept(context.Background(), m.store, m.clock.now())
	require.NoError(t, err)
	require.True(t, ok)
	w, err := parseTake(x.take)
	require.NoError(t, err)
	w.Sealed = seal(x.session.key(roleTaker), encode(lie(x.session)))
	plant(t, m.store, m.slot.box(boxTake), encode(w), 1, m.far())
	return m.stepOffer(t)
}

func TestAnInsiderPairsUnderItsOwnIdentityAlone(t *testing.T) {
	mallory, carol := newSelf(t, 9, "Mallory"), newSelf(t, 3, "Carol")
	carolSays, err := carol.Identity.encode()
	require.NoError(t, err)
	malloryAs := func(id Identity) Self { return Self{Key: mallory.Key, Identity: id, Random: mallory.Random} }

	t.Run("honest, it pairs", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, mallory)
		o := leave(t, m, x, func(session) wireProof { return x.own })
		require.NoError(t, o.err)
		require.Equal(t, mallory.Identity, o.event.Paired.Them)
	})
	t.Run("another's identity, committed to from the start", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, mallory)
		x.identity = carolSays
		o := leave(t, m, x, func(s session) wireProof {
			_, sig, err := s.prove(mallory, roleTaker, carolSays, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: carolSays, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("another's identity and signature out of a session of its own", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, mallory)
		x.identity = carolSays
		o := leave(t, m, x, func(s session) wireProof {
			other := s
			other.id = bytes.Repeat([]byte{7}, 64)
			_, sig, err := other.prove(carol, roleTaker, carolSays, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: carolSays, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("another identity than it committed to", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, mallory)
		o := leave(t, m, x, func(s session) wireProof {
			// Carol herself signs: she would be misbound to what Mallory committed to.
			_, sig, err := s.prove(carol, roleTaker, carolSays, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: carolSays, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("a signature made for the other role", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, mallory)
		o := leave(t, m, x, func(s session) wireProof {
			_, sig, err := s.prove(mallory, roleInviter, x.identity, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: x.identity, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("a signature over another slot", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, mallory)
		o := leave(t, m, x, func(s session) wireProof {
			s.slot.bucket++
			_, sig, err := s.prove(mallory, roleTaker, x.identity, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: x.identity, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("the inviter's own identity", func(t *testing.T) {
		m := newMeeting(t, theCode, theCode)
		m.stepOffer(t)
		x := insider(t, m, malloryAs(mallory.Identity))
		x.self = m.alice // a stolen key, or one person at both ends
		x.identity = m.offer.identity
		o := leave(t, m, x, func(s session) wireProof { return x.own })
		require.ErrorIs(t, o.err, ErrSelf)
	})
}

// Somebody who knows the code stands between two honest people, and gives each
// the other's proof: an unknown key share. The sessions differ, so the
// signatures don't fit, and the taker is not told that it has paired with Alice.
func TestAnInsiderBetweenTwoCanNotLendIdentities(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	m.stepOffer(t)
	// Mallory's own offer, to Bob, in another network.
	toBob := newMeeting(t, theCode, theCode)
	mallory := newSelf(t, 9, "Mallory")
	var err error
	toBob.offer, err = OfferCode(mallory, mustCode(t, theCode), (&notes{}).burn)
	require.NoError(t, err)
	toBob.stepOffer(t)
	toBob.stepTake(t)
	bobs, err := parseTake(toBob.take.take)
	require.NoError(t, err)
	s, err := newSession(m.slot, toBob.offer.cpace, spoken{bobs.Share, bobs.Commit}, toBob.offer.says(), spoken{bobs.Share, bobs.Commit})
	require.NoError(t, err)
	_, bobsProof, err := s.check(roleTaker, bobs.Tag, bobs.Sealed)
	require.NoError(t, err, "Mallory reads what Bob says")

	// 1. To Alice, as Bob: with Bob's commitment and proof, in Mallory's session.
	x := insider(t, m, mallory)
	x.identity, x.blind = bobsProof.Identity, bobsProof.Blind
	o := leave(t, m, x, func(session) wireProof { return bobsProof })
	require.ErrorIs(t, o.err, ErrTampered)

	// 2. To Bob, as Alice: she says nothing in a session with Mallory that would
	// fit Bob's.
	alices := newMeeting(t, theCode, theCode)
	alices.stepOffer(t)
	y := insider(t, alices, mallory)
	leave(t, alices, y, func(session) wireProof { return y.own })
	answer, ok := peek(t, alices.store, m.slot.box(boxAnswer), m.clock.now())
	require.True(t, ok)
	w, err := parseAnswer(answer)
	require.NoError(t, err)
	_, alicesProof, err := y.session.check(roleInviter, w.Tag, w.Sealed)
	require.NoError(t, err)
	plant(t, toBob.store, m.slot.box(boxAnswer), encode(wireAnswer{
		Kind: kindAnswer, Take: takeHash(toBob.take.take), Tag: s.tag(roleInviter),
		Sealed: seal(s.key(roleInviter), encode(alicesProof)),
	}), 1, m.far())
	require.ErrorIs(t, toBob.stepTake(t).err, ErrTampered)
}

// The tag that a taker shows tests one guess and no more: it is wrong under
// every other pair of words, for whoever has not the scalar to those words.
func TestAStrangersSessionHasNoKeyInCommon(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	mallory, err := OfferCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-zoo-zoo"), (&notes{}).burn)
	require.NoError(t, err)
	_, err = mallory.Step(context.Background(), m.store, m.clock.now())
	require.NoError(t, err)
	m.stepTake(t)
	message, ok := peek(t, m.store, m.slot.box(boxTake), m.clock.now())
	require.True(t, ok)
	w, err := parseTake(message)
	require.NoError(t, err)
	bob := spoken{w.Share, w.Commit}
	for _, words := range []string{"zoo-zoo", "orbit-candy"} {
		side := mallory.cpace // its scalar fits the generator of its guess alone
		if words == "orbit-candy" {
			late := *mallory
			late.code = mustCode(t, theCode)
			require.NoError(t, late.enter(m.slot))
			side.scalar = late.cpace.scalar
		}
		s, err := newSession(m.slot, side, bob, mallory.says(), bob)
		require.NoError(t, err)
		_, _, err = s.check(roleTaker, w.Tag, w.Sealed)
		require.ErrorIs(t, err, errGuess, words)
	}
}

func TestNoPartOfAMessageTellsWhoPairs(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	var err error
	m.alice, m.bob = newSelf(t, 1, "Alice Longname"), newSelf(t, 2, "Bob Longname") // names that no ciphertext contains by chance
	m.offer, err = OfferCode(m.alice, mustCode(t, theCode), m.aliceNotes.burn)
	require.NoError(t, err)
	m.take, err = TakeCode(m.bob, mustCode(t, theCode), m.bobNotes.burn)
	require.NoError(t, err)
	m.settle(t)
	m.requirePaired(t)
	for _, name := range []string{boxOffer, boxTake, boxAnswer} {
		message, ok := peek(t, m.store, m.slot.box(name), start)
		require.True(t, ok)
		for _, self := range []Self{m.alice, m.bob} {
			require.NotContains(t, string(message), self.Identity.Nickname)
			require.NotContains(t, string(message), string(self.Identity.Pointer.Bytes()[6:]))
			require.NotContains(t, string(message), string(self.Identity.Addresses[0]))
		}
	}
}

// Somebody else's take was quicker, so that the answer is to that.
func TestAnAnswerToAnotherIsNotOnesOwn(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	m.stepOffer(t)
	m.stepTake(t)
	other := takeHash([]byte("another"))
	for _, answer := range [][]byte{
		encode(wireFailure{Kind: kindFailure, Take: other}),
		encode(wireAnswer{Kind: kindAnswer, Take: other, Tag: make([]byte, tagSize), Sealed: []byte("x")}),
	} {
		take := *m.take
		_, err := take.conclude(answer)
		require.ErrorIs(t, err, ErrOccupied)
	}
	take := *m.take
	_, err := take.conclude(encode(wireFailure{Kind: kindFailure, Take: takeHash(take.take)}))
	require.ErrorIs(t, err, ErrWrongCode)
}

func TestAnOfferThatIsWrittenOverEndsAtOnce(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	m.stepOffer(t)
	plant(t, m.store, m.slot.box(boxOffer), []byte("x"), 9, m.far())
	require.ErrorIs(t, m.stepOffer(t).err, ErrOccupied)
	require.True(t, m.offerOutcome.over())
}

func TestAMessagePlayedBackIsNoPeer(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	m.stepOffer(t)
	m.stepTake(t)
	a, b := m.offer.says(), m.take.says()
	for why, peer := range map[string]spoken{"all of it": a, "the share": {a.share, b.data}, "the commitment": {b.share, a.data}} {
		_, err := newSession(m.slot, m.offer.cpace, peer, a, peer)
		require.ErrorContains(t, err, "played back", why)
	}
	_, err := newSession(m.slot, m.offer.cpace, b, a, b)
	require.NoError(t, err)
}

func TestATranscriptWithOneselfIsNone(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	m.settle(t)
	var w wireTranscript
	require.NoError(t, decode(m.takeOutcome.event.Paired.Transcript, maxTranscript, &w))
	w.Taker = w.Inviter
	session := sidOutput(spoken{w.Shares[0], commit(w.Blinds[0], w.Inviter)}, spoken{w.Shares[1], commit(w.Blinds[1], w.Taker)})
	for n, role := range []string{roleInviter, roleTaker} {
		var err error
		w.Sigs[n], err = m.alice.sign(domainCode, codeStatement{Role: role, Slot: m.slot.id(), Session: session})
		require.NoError(t, err)
	}
	_, err := ParseTranscript(encode(w))
	require.ErrorContains(t, err, "with itself")
}

func TestATranscriptThatWasChangedIsNone(t *testing.T) {
	m := newMeeting(t, theCode, theCode)
	m.settle(t)
	requireFirm(t, m.takeOutcome.event.Paired.Transcript)
}

// requireFirm flips bits all through a transcript.
func requireFirm(t *testing.T, good []byte) {
	t.Helper()
	_, err := ParseTranscript(good)
	require.NoError(t, err)
	zeroes := make([]byte, 32)
	for at := range good {
		if bytes.HasPrefix(good[at:], zeroes) && at%64 != 0 && os.Getenv("PETNAME_TEST_LONG") != "1" {
			continue // in the middle of a sealing key
		}
		bad := slices.Clone(good)
		bad[at] ^= 1 << (at % 8)
		_, err := ParseTranscript(bad)
		require.Error(t, err, at)
	}
	var w wireTranscript
	require.NoError(t, decode(good, maxTranscript, &w))
	foreign := map[string]func(w *wireTranscript){ // no signature covers these fields
		"an invitation": func(w *wireTranscript) { w.Invitation = []byte{1} },
		"an ephemeral":  func(w *wireTranscript) { w.Ephemeral = []byte{1} },
		"a nonce":       func(w *wireTranscript) { w.Nonce = []byte{1} },
		"three shares":  func(w *wireTranscript) { w.Shares = [][]byte{w.Shares[0], w.Shares[1], {1}} },
		"three blinds":  func(w *wireTranscript) { w.Blinds = [][]byte{w.Blinds[0], w.Blinds[1], {1}} },
	}
	if w.Channel == ChannelLink {
		foreign = map[string]func(w *wireTranscript){
			"a place":  func(w *wireTranscript) { w.Place = "1-zoo" },
			"a bucket": func(w *wireTranscript) { w.Bucket = 1 },
			"shares":   func(w *wireTranscript) { w.Shares = [][]byte{{1}, {2}} },
			"blinds":   func(w *wireTranscript) { w.Blinds = [][]byte{{1}, {2}} },
		}
	}
	foreign["three signatures"] = func(w *wireTranscript) { w.Sigs = [][]byte{w.Sigs[0], w.Sigs[1], {1}} }
	for why, change := range foreign {
		bad := w
		change(&bad)
		_, err := ParseTranscript(encode(bad))
		require.Error(t, err, why)
	}
	for why, change := range map[string]func(w *wireTranscript){
		"the two swapped":    func(w *wireTranscript) { w.Inviter, w.Taker = w.Taker, w.Inviter },
		"signatures swapped": func(w *wireTranscript) { w.Sigs = [][]byte{w.Sigs[1], w.Sigs[0]} },
		"one signature":      func(w *wireTranscript) { w.Sigs = w.Sigs[:1] },
		"with itself":        func(w *wireTranscript) { w.Taker = w.Inviter },
		"another channel": func(w *wireTranscript) {
			w.Channel = map[string]string{ChannelCode: ChannelLink, ChannelLink: ChannelCode}[w.Channel]
		},
		"an unknown channel":   func(w *wireTranscript) { w.Channel = "mail" },
		"the other's fields":   func(w *wireTranscript) { w.Nonce, w.Place = []byte{1}, "1-zoo" },
		"shares of a stranger": func(w *wireTranscript) { w.Shares, w.Ephemeral = [][]byte{{1}, {2}}, []byte{3} },
	} {
		bad := w
		change(&bad)
		_, err := ParseTranscript(encode(bad))
		require.Error(t, err, why)
	}
}
