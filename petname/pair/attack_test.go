package pair

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// afterRecords is a time at which all records of a test have expired.
func (m *codeScenario) afterRecords() time.Time { return m.clock.now().Add(time.Hour) }

// An attacker that knows the slot can replace every message. Both sides end; a side that
// pairs has paired with the other honest side; and if the attacker replaced a message
// before it was read, neither pairs.
func TestReplacedRecordNeverPairsWrong(t *testing.T) {
	forged := func(m *codeScenario) []byte {
		return encode(wireFailure{Kind: kindFailure, Acceptance: make([]byte, hashSize)})
	}
	for name, attack := range map[string]func(t *testing.T, m *codeScenario){
		"the offer, with garbage": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxOffer), []byte("x"), 9, m.afterRecords())
		},
		"the offer, with an offer of one's own": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			mallory, err := InviteByCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-zoo-zoo"), (&usedCodes{}).markUsed)
			require.NoError(t, err)
			require.NoError(t, mallory.joinSlot(m.slot))
			share := mallory.message()
			putMessage(t, m.store, m.slot.mailbox(mailboxOffer), encode(wireOffer{Kind: kindOffer, Share: share.share, Commit: share.data}), 9, m.afterRecords())
		},
		"the offer, with the neutral element": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxOffer), encode(wireOffer{Kind: kindOffer, Share: make([]byte, 32), Commit: make([]byte, 32)}), 9, m.afterRecords())
		},
		"the acceptance, with garbage": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), []byte("x"), 9, m.afterRecords())
		},
		"the acceptance, with nothing": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), nil, 9, m.afterRecords())
		},
		"the acceptance, with a guess": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			wrong := guess(t, m, "zoo-zoo")
			m.stepInvitee(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), wrong, 9, m.afterRecords())
		},
		"the acceptance, with the neutral element": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), encode(wireAcceptance{
				Kind: kindAcceptance, Share: make([]byte, 32), Commit: make([]byte, 32), Tag: make([]byte, 64), Sealed: []byte{},
			}), 9, m.afterRecords())
		},
		"the acceptance, with its tag on other words sealed": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			w, err := parseAcceptance(m.invitee.acceptance)
			require.NoError(t, err)
			w.Sealed[len(w.Sealed)-1] ^= 1
			putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), encode(w), 9, m.afterRecords())
		},
		"the answer, with a failure for another": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxAnswer), forged(m), 9, m.afterRecords())
		},
		"the answer, with garbage": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			putMessage(t, m.store, m.slot.mailbox(mailboxAnswer), []byte("x"), 9, m.afterRecords())
		},
		"the answer, with the acceptance reflected": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			m.stepInvitee(t)
			w, err := parseAcceptance(m.invitee.acceptance)
			require.NoError(t, err)
			putMessage(t, m.store, m.slot.mailbox(mailboxAnswer), encode(wireAnswer{Kind: kindAnswer, Acceptance: acceptanceHash(m.invitee.acceptance), Tag: w.Tag, Sealed: w.Sealed}), 9, m.afterRecords())
		},
		"the acceptance, with the offer reflected": func(t *testing.T, m *codeScenario) {
			m.stepInviter(t)
			share := m.inviter.message()
			putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), encode(wireAcceptance{
				Kind: kindAcceptance, Share: share.share, Commit: share.data, Tag: make([]byte, 64), Sealed: []byte{},
			}), 9, m.afterRecords())
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newCodeScenario(t, theCode, theCode)
			attack(t, m)
			m.runToEnd(t)
			require.Nil(t, m.inviterOutcome.event.Paired)
			require.Nil(t, m.inviteeOutcome.event.Paired)
			require.Error(t, m.inviterOutcome.err)
			require.Error(t, m.inviteeOutcome.err)
		})
	}
}

// A network that replays, exchanges, changes and drops messages, in any order of steps.
func TestHostileNetworkNeverPairsWrong(t *testing.T) {
	mailboxes := []string{mailboxOffer, mailboxAcceptance, mailboxAnswer}
	lawtest.Check(t, 40, func(t *rapid.T) {
		m := newCodeScenario(t, theCode, rapid.SampledFrom([]string{theCode, "742-tunnel-zoo-zoo"}).Draw(t, "heard"))
		var seen [][]byte
		for sequence := range uint64(rapid.IntRange(0, 12).Draw(t, "moves")) {
			switch rapid.IntRange(0, 4).Draw(t, "move") {
			case 0:
				m.stepInviter(t)
			case 1:
				m.stepInvitee(t)
			case 2:
				for _, name := range mailboxes {
					if message, ok := fetchMessage(t, m.store, m.slot.mailbox(name), m.clock.now()); ok {
						seen = append(seen, message)
					}
				}
			case 3:
				if len(seen) > 0 {
					message := slices.Clone(rapid.SampledFrom(seen).Draw(t, "replayed"))
					if len(message) > 0 && rapid.Bool().Draw(t, "change") {
						message[rapid.IntRange(0, len(message)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
					}
					putMessage(t, m.store, m.slot.mailbox(rapid.SampledFrom(mailboxes).Draw(t, "mailbox")), message, 10+sequence, m.afterRecords())
				}
			case 4:
				m.clock.after(time.Minute)
			}
		}
		m.runToEnd(t)
		m.requireNoWrongPairing(t)
		if m.inviterOutcome.event.Paired != nil && m.inviteeOutcome.event.Paired != nil {
			m.requirePaired(t)
		}
	})
}

// newInsider returns an invitee of m's offer that knows the code and lies about the rest:
// the caller forges its proof.
func newInsider(t *testing.T, m *codeScenario, self Self) *CodeInvitee {
	t.Helper()
	x, err := AcceptCode(self, mustCode(t, theCode), (&usedCodes{}).markUsed)
	require.NoError(t, err)
	return x
}

// sendForged puts the acceptance of the insider, with a forged proof, and returns the
// result of the inviter.
func sendForged(t *testing.T, m *codeScenario, x *CodeInvitee, forge func(s session) wireProof) outcome {
	t.Helper()
	ok, err := x.acceptOffer(context.Background(), m.store, m.clock.now())
	require.NoError(t, err)
	require.True(t, ok)
	w, err := parseAcceptance(x.acceptance)
	require.NoError(t, err)
	w.Sealed = seal(x.session.key(roleInvitee), encode(forge(x.session)))
	putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), encode(w), 1, m.afterRecords())
	return m.stepInviter(t)
}

func TestInsiderPairsUnderItsOwnIdentityOnly(t *testing.T) {
	mallory, carol := newSelf(t, 9, "Mallory"), newSelf(t, 3, "Carol")
	carolSays, err := carol.Identity.encode()
	require.NoError(t, err)
	malloryAs := func(id Identity) Self { return Self{Key: mallory.Key, Identity: id, Random: mallory.Random} }

	t.Run("honest, it pairs", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, mallory)
		o := sendForged(t, m, x, func(session) wireProof { return x.ownProof })
		require.NoError(t, o.err)
		require.Equal(t, mallory.Identity, o.event.Paired.Peer)
	})
	t.Run("another's identity, committed to from the start", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, mallory)
		x.identity = carolSays
		o := sendForged(t, m, x, func(s session) wireProof {
			_, sig, err := s.sealProof(mallory, roleInvitee, carolSays, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: carolSays, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("another's identity and signature out of a session of its own", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, mallory)
		x.identity = carolSays
		o := sendForged(t, m, x, func(s session) wireProof {
			other := s
			other.id = bytes.Repeat([]byte{7}, 64)
			_, sig, err := other.sealProof(carol, roleInvitee, carolSays, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: carolSays, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("another identity than it committed to", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, mallory)
		o := sendForged(t, m, x, func(s session) wireProof {
			// Carol herself signs: she would be bound to Mallory's commitment.
			_, sig, err := s.sealProof(carol, roleInvitee, carolSays, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: carolSays, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("a signature made for the other role", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, mallory)
		o := sendForged(t, m, x, func(s session) wireProof {
			_, sig, err := s.sealProof(mallory, roleInviter, x.identity, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: x.identity, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("a signature over another slot", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, mallory)
		o := sendForged(t, m, x, func(s session) wireProof {
			s.slot.period++
			_, sig, err := s.sealProof(mallory, roleInvitee, x.identity, x.blind)
			require.NoError(t, err)
			return wireProof{Identity: x.identity, Blind: x.blind, Signature: sig}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("the inviter's own identity", func(t *testing.T) {
		m := newCodeScenario(t, theCode, theCode)
		m.stepInviter(t)
		x := newInsider(t, m, malloryAs(mallory.Identity))
		x.self = m.alice // a stolen key, or one identity on both sides
		x.identity = m.inviter.identity
		o := sendForged(t, m, x, func(s session) wireProof { return x.ownProof })
		require.ErrorIs(t, o.err, ErrSelf)
	})
}

// An attacker that knows the code, between two honest sides, forwards the proof of each to
// the other: an unknown key share. The sessions differ, so the signatures do not verify,
// and the invitee does not pair with Alice.
func TestUnknownKeyShareIsRefused(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	// Mallory's own offer, to Bob, in another network.
	toBob := newCodeScenario(t, theCode, theCode)
	mallory := newSelf(t, 9, "Mallory")
	var err error
	toBob.inviter, err = InviteByCode(mallory, mustCode(t, theCode), (&usedCodes{}).markUsed)
	require.NoError(t, err)
	toBob.stepInviter(t)
	toBob.stepInvitee(t)
	bobs, err := parseAcceptance(toBob.invitee.acceptance)
	require.NoError(t, err)
	s, err := newSession(m.slot, toBob.inviter.cpace, cpaceMessage{bobs.Share, bobs.Commit}, toBob.inviter.message(), cpaceMessage{bobs.Share, bobs.Commit})
	require.NoError(t, err)
	_, bobsProof, err := s.openProof(roleInvitee, bobs.Tag, bobs.Sealed)
	require.NoError(t, err, "Mallory reads the proof of Bob")

	// 1. To Alice, as Bob: with Bob's commitment and proof, in Mallory's session.
	x := newInsider(t, m, mallory)
	x.identity, x.blind = bobsProof.Identity, bobsProof.Blind
	o := sendForged(t, m, x, func(session) wireProof { return bobsProof })
	require.ErrorIs(t, o.err, ErrTampered)

	// 2. To Bob, as Alice: no message of hers in a session with Mallory is valid in
	// Bob's session.
	alices := newCodeScenario(t, theCode, theCode)
	alices.stepInviter(t)
	y := newInsider(t, alices, mallory)
	sendForged(t, alices, y, func(session) wireProof { return y.ownProof })
	answer, ok := fetchMessage(t, alices.store, m.slot.mailbox(mailboxAnswer), m.clock.now())
	require.True(t, ok)
	w, err := parseAnswer(answer)
	require.NoError(t, err)
	_, alicesProof, err := y.session.openProof(roleInviter, w.Tag, w.Sealed)
	require.NoError(t, err)
	putMessage(t, toBob.store, m.slot.mailbox(mailboxAnswer), encode(wireAnswer{
		Kind: kindAnswer, Acceptance: acceptanceHash(toBob.invitee.acceptance), Tag: s.tag(roleInviter),
		Sealed: seal(s.key(roleInviter), encode(alicesProof)),
	}), 1, m.afterRecords())
	require.ErrorIs(t, toBob.stepInvitee(t).err, ErrTampered)
}

// An attacker can test one guess with the tag of an invitee: without the scalar, the tag
// is wrong for every other pair of words.
func TestSessionWithoutTheWordsHasAnotherKey(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	mallory, err := InviteByCode(newSelf(t, 9, "Mallory"), mustCode(t, "742-tunnel-zoo-zoo"), (&usedCodes{}).markUsed)
	require.NoError(t, err)
	_, err = mallory.Step(context.Background(), m.store, m.clock.now())
	require.NoError(t, err)
	m.stepInvitee(t)
	message, ok := fetchMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), m.clock.now())
	require.True(t, ok)
	w, err := parseAcceptance(message)
	require.NoError(t, err)
	bob := cpaceMessage{w.Share, w.Commit}
	for _, words := range []string{"zoo-zoo", "orbit-candy"} {
		side := mallory.cpace // its scalar fits the generator of its guess alone
		if words == "orbit-candy" {
			late := *mallory
			late.code = mustCode(t, theCode)
			require.NoError(t, late.joinSlot(m.slot))
			side.scalar = late.cpace.scalar
		}
		s, err := newSession(m.slot, side, bob, mallory.message(), bob)
		require.NoError(t, err)
		_, _, err = s.openProof(roleInvitee, w.Tag, w.Sealed)
		require.ErrorIs(t, err, errConfirmation, words)
	}
}

func TestMessagesDoNotContainIdentities(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	var err error
	m.alice, m.bob = newSelf(t, 1, "Alice Longname"), newSelf(t, 2, "Bob Longname") // no ciphertext contains these names by chance
	m.inviter, err = InviteByCode(m.alice, mustCode(t, theCode), m.aliceMarks.markUsed)
	require.NoError(t, err)
	m.invitee, err = AcceptCode(m.bob, mustCode(t, theCode), m.bobMarks.markUsed)
	require.NoError(t, err)
	m.runToEnd(t)
	m.requirePaired(t)
	for _, name := range []string{mailboxOffer, mailboxAcceptance, mailboxAnswer} {
		message, ok := fetchMessage(t, m.store, m.slot.mailbox(name), start)
		require.True(t, ok)
		for _, self := range []Self{m.alice, m.bob} {
			require.NotContains(t, string(message), self.Identity.Nickname)
			require.NotContains(t, string(message), string(self.Identity.Pointer.Bytes()[6:]))
			require.NotContains(t, string(message), string(self.Identity.Addresses[0]))
		}
	}
}

// Another invitee was faster, so the answer is to its acceptance.
func TestAnswerToAnotherInviteeIsRefused(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	m.stepInvitee(t)
	other := acceptanceHash([]byte("another"))
	for _, answer := range [][]byte{
		encode(wireFailure{Kind: kindFailure, Acceptance: other}),
		encode(wireAnswer{Kind: kindAnswer, Acceptance: other, Tag: make([]byte, tagSize), Sealed: []byte("x")}),
	} {
		acceptance := *m.invitee
		_, err := acceptance.verifyAnswer(answer)
		require.ErrorIs(t, err, ErrOccupied)
	}
	acceptance := *m.invitee
	_, err := acceptance.verifyAnswer(encode(wireFailure{Kind: kindFailure, Acceptance: acceptanceHash(acceptance.acceptance)}))
	require.ErrorIs(t, err, ErrWrongCode)
}

func TestReplacedOfferEndsAtOnce(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	putMessage(t, m.store, m.slot.mailbox(mailboxOffer), []byte("x"), 9, m.afterRecords())
	require.ErrorIs(t, m.stepInviter(t).err, ErrOccupied)
	require.True(t, m.inviterOutcome.ended())
}

func TestReflectedMessageIsRefused(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.stepInviter(t)
	m.stepInvitee(t)
	a, b := m.inviter.message(), m.invitee.message()
	for why, peer := range map[string]cpaceMessage{"all of it": a, "the share": {a.share, b.data}, "the commitment": {b.share, a.data}} {
		_, err := newSession(m.slot, m.inviter.cpace, peer, a, peer)
		require.ErrorContains(t, err, "reflected", why)
	}
	_, err := newSession(m.slot, m.inviter.cpace, b, a, b)
	require.NoError(t, err)
}
