package pair

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/paste"
)

// samples are one valid message of each kind, from real runs.
type samples struct {
	identity, transcriptCode, transcriptLink                   []byte
	offer, acceptance, answer, failure, proof                  []byte
	invitation, state, linkAcceptance, linkAnswer, answerProof []byte
	link, compact                                              string
}

func newSamples(t require.TestingT) samples {
	var s samples
	var err error
	s.identity, err = newSelf(t, 1, "Alice").Identity.encode()
	require.NoError(t, err)

	m := newCodeScenario(t, theCode, theCode)
	m.runToEnd(t)
	m.requirePaired(t)
	s.transcriptCode = m.inviterOutcome.event.Paired.Transcript
	s.offer, s.acceptance, s.answer = m.inviter.offer, m.invitee.acceptance, m.inviter.answer
	s.failure = encode(wireFailure{Kind: kindFailure, Acceptance: acceptanceHash(s.acceptance)})
	s.proof = encode(m.invitee.ownProof)

	p := newLinkScenario(t, Terms{Uses: 2, Purpose: "lunch"})
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	o := p.runToEnd(t, x)
	s.transcriptLink = o[0].event.Paired.Transcript
	s.invitation, s.state = p.inviter.invitation.signed, p.disk.state
	s.linkAcceptance = x.message
	s.linkAnswer, _ = fetchMessage(t, p.store, p.inviter.invitation.answerMailbox(x.message), p.clock.now())
	w, err := parseLinkAnswer(s.linkAnswer)
	require.NoError(t, err)
	s.answerProof, err = unseal(x.session.key(roleInviter), w.Sealed)
	require.NoError(t, err)
	s.link, s.compact = compactInvitation(t).Link(), compactInvitation(t).Compact()
	return s
}

// requireSame requires that accepted bytes re-encode to the same bytes.
func requireSame(t *testing.T, in []byte, err error, again []byte) {
	t.Helper()
	if err == nil {
		require.True(t, bytes.Equal(in, again), "%x\n%x", in, again)
	}
}

func FuzzIdentity(f *testing.F) {
	f.Add(newSamples(f).identity)
	f.Fuzz(func(t *testing.T, b []byte) {
		id, err := parseIdentity(b)
		if err != nil {
			require.Zero(t, id.Pointer)
			return
		}
		again, err := id.encode()
		require.NoError(t, err)
		requireSame(t, b, nil, again)
	})
}

// FuzzMessages decodes any bytes as every message: a mailbox can hold any bytes.
func FuzzMessages(f *testing.F) {
	s := newSamples(f)
	for _, b := range [][]byte{s.offer, s.acceptance, s.answer, s.failure, s.proof, s.linkAcceptance, s.linkAnswer, s.answerProof} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		offer, err := parseOffer(b)
		requireSame(t, b, err, encode(wireOffer{Kind: kindOffer, Share: offer.share, Commit: offer.data}))
		acceptance, err := parseAcceptance(b)
		requireSame(t, b, err, encode(acceptance))
		answer, err := parseAnswer(b)
		if err == nil && answer.Kind == kindFailure {
			requireSame(t, b, err, encode(wireFailure{Kind: kindFailure, Acceptance: answer.Acceptance}))
		} else {
			requireSame(t, b, err, encode(answer))
		}
		proof, err := parseProof(b)
		requireSame(t, b, err, encode(proof))
		linkTake, err := parseLinkAcceptance(b)
		requireSame(t, b, err, encode(linkTake))
		linkProof, err := parseLinkProof(b)
		requireSame(t, b, err, encode(linkProof))
		linkAnswer, err := parseLinkAnswer(b)
		requireSame(t, b, err, encode(linkAnswer))
		takenProof, err := parseAnswerProof(b)
		requireSame(t, b, err, encode(takenProof))
	})
}

// FuzzMailboxes puts the same untrusted bytes into every mailbox before honest sides start:
// they end with an error, and no side pairs.
func FuzzMailboxes(f *testing.F) {
	s := newSamples(f)
	for _, b := range [][]byte{nil, s.offer, s.acceptance, s.answer, s.failure, s.linkAcceptance, s.linkAnswer} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxMessage {
			return
		}
		m := newCodeScenario(t, theCode, theCode)
		m.alice.Random = newRandom(200) // the seeds are messages of the usual stream's session
		var err error
		m.inviter, err = InviteByCode(m.alice, mustCode(t, theCode), m.aliceMarks.markUsed)
		require.NoError(t, err)
		m.stepInviter(t)
		putMessage(t, m.store, m.slot.mailbox(mailboxAcceptance), b, 9, m.afterRecords())
		require.Error(t, m.stepInviter(t).err)
		require.True(t, m.inviterOutcome.ended())

		m = newCodeScenario(t, theCode, theCode)
		putMessage(t, m.store, m.slot.mailbox(mailboxOffer), b, 9, m.afterRecords())
		m.stepInvitee(t)
		putMessage(t, m.store, m.slot.mailbox(mailboxAnswer), b, 9, m.afterRecords())
		m.stepInvitee(t)
		require.Nil(t, m.inviteeOutcome.event.Paired)

		p := newLinkScenario(t, Terms{})
		for _, mailbox := range p.inviter.invitation.acceptanceMailboxes() {
			putMessage(t, p.store, mailbox, b, 9, p.clock.now().Add(time.Minute))
		}
		_, err = p.inviter.Step(context.Background(), p.store, p.clock.now())
		require.NoError(t, err)
		require.Empty(t, p.inviter.Invitees())
	})
}

// A number in two bytes where one suffices, after the first head or the first key.
func TestOtherEncodingsAreRefused(t *testing.T) {
	s := newSamples(t)
	for name, c := range map[string]struct {
		good  []byte
		at    int
		parse func([]byte) error
	}{
		"offer":           {s.offer, 1, func(b []byte) error { _, err := parseOffer(b); return err }},
		"take":            {s.acceptance, 1, func(b []byte) error { _, err := parseAcceptance(b); return err }},
		"answer":          {s.answer, 1, func(b []byte) error { _, err := parseAnswer(b); return err }},
		"failure":         {s.failure, 1, func(b []byte) error { _, err := parseAnswer(b); return err }},
		"link acceptance": {s.linkAcceptance, 1, func(b []byte) error { _, err := parseLinkAcceptance(b); return err }},
		"link answer":     {s.linkAnswer, 1, func(b []byte) error { _, err := parseLinkAnswer(b); return err }},
		"answer proof":    {s.answerProof, 1, func(b []byte) error { _, err := parseAnswerProof(b); return err }},
		"identity":        {s.identity, 2, func(b []byte) error { _, err := parseIdentity(b); return err }},
		"invitation":      {s.invitation, 3, func(b []byte) error { _, err := openInvitation(b); return err }},
		"state":           {s.state, 2, func(b []byte) error { _, err := parseState(b); return err }},
	} {
		require.NoError(t, c.parse(c.good), name)
		require.Less(t, c.good[c.at], byte(24), name)
		long := bytes.Join([][]byte{c.good[:c.at], {0x18}, c.good[c.at:]}, nil)
		err := c.parse(long)
		require.Error(t, err, name)
		if name != "failure" { // it is then decoded as an answer
			require.ErrorIs(t, err, canonical.ErrNotCanonical, name)
		}
		require.Error(t, c.parse(append(bytes.Clone(c.good), 0)), name)
	}
}

func FuzzTranscript(f *testing.F) {
	s := newSamples(f)
	f.Add(s.transcriptCode)
	f.Add(s.transcriptLink)
	f.Fuzz(func(t *testing.T, b []byte) {
		transcript, err := ParseTranscript(b)
		if err != nil {
			require.Zero(t, transcript.Channel)
			return
		}
		var w wireTranscript
		require.NoError(t, decode(b, maxTranscript, &w))
		requireSame(t, b, nil, encode(w))
	})
}

func FuzzInvitation(f *testing.F) {
	f.Add(newSamples(f).invitation)
	f.Fuzz(func(t *testing.T, b []byte) {
		inv, err := openInvitation(b)
		if err != nil {
			require.Nil(t, inv.signed)
			return
		}
		again, err := ParseTicket(inv.Link(), time.Unix(0, 0).Add(-time.Second))
		require.NoError(t, err)
		requireSame(t, b, nil, again.Invitation.signed)
	})
}

// FuzzInvitationBody fuzzes the body under a signature, which a fuzzer cannot make.
func FuzzInvitationBody(f *testing.F) {
	var w wireSigned
	require.NoError(f, decode(newSamples(f).invitation, maxInvitation, &w))
	f.Add(encode(w.Body))
	alice := newSelf(f, 1, "Alice")
	f.Fuzz(func(t *testing.T, b []byte) {
		var body wireInvitation
		if decode(b, maxInvitation, &body) != nil {
			return
		}
		if _, err := body.check(); err != nil {
			return
		}
		sig, err := alice.sign(domainInvite, body)
		require.NoError(t, err)
		signed := encode(wireSigned{Body: body, Signature: sig})
		inv, err := openInvitation(signed)
		if len(signed) <= maxInvitation && bytes.Equal(body.Inviter, alice.Identity.Pointer.Bytes()) {
			require.NoError(t, err)
			require.Equal(t, signed, inv.signed)
			_ = inv.Compact()
		} else {
			require.Error(t, err)
		}
	})
}

func FuzzParseTicket(f *testing.F) {
	s := newSamples(f)
	f.Add(s.link)
	f.Add(s.compact)
	f.Add(compactPrefix + "1")
	f.Fuzz(func(t *testing.T, text string) {
		ticket, err := ParseTicket(text, start)
		if err != nil {
			require.Zero(t, ticket.Inviter)
			return
		}
		if ticket.Invitation != nil {
			require.Equal(t, ticket.Invitation.Link(), paste.Token(text))
			return
		}
		inv := Invitation{Inviter: ticket.Inviter, Addresses: ticket.Addresses, secret: ticket.secret}
		rest, ok := strings.CutPrefix(paste.Token(text), inv.Compact())
		require.True(t, ok)
		require.False(t, rest != "" && isBase36(rune(rest[0])), "text that is not of it may follow")
	})
}

func FuzzState(f *testing.F) {
	f.Add(newSamples(f).state)
	alice := newSelf(f, 1, "Alice")
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ResumeInviter(alice, b, (&savedStates{}).save)
		if err != nil {
			require.Nil(t, o)
			return
		}
		requireSame(t, b, nil, o.State())
	})
}

func TestChangedStateIsRefused(t *testing.T) {
	good := newSamples(t).state
	s, err := parseState(good)
	require.NoError(t, err)
	require.Len(t, s.invitees, 1)
	change := func(why string, f func(w *wireState)) {
		var w wireState
		require.NoError(t, decode(good, maxState, &w))
		f(&w)
		_, err := parseState(encode(w))
		require.Error(t, err, why)
	}
	change("another private key", func(w *wireState) { w.Private = bytes.Repeat([]byte{1}, 32) })
	change("a short private key", func(w *wireState) { w.Private = w.Private[:31] })
	change("more invitees than uses", func(w *wireState) {
		w.Invitees = append(w.Invitees, newKey(t, 3).Pointer().Bytes(), newKey(t, 4).Pointer().Bytes())
	})
	change("one invitee twice", func(w *wireState) { w.Invitees = append(w.Invitees, w.Invitees[0]) })
	change("the inviter", func(w *wireState) { w.Invitees = append(w.Invitees, s.invitation.Inviter.Bytes()) })
	change("another version", func(w *wireState) { w.Version = 2 })
	p := newLinkScenario(t, Terms{Uses: 2, For: newKey(t, 2).Pointer()})
	for seed, fits := range map[byte]bool{2: true, 3: false} {
		var w wireState
		require.NoError(t, decode(p.inviter.State(), maxState, &w))
		w.Invitees = [][]byte{newKey(t, seed).Pointer().Bytes()}
		_, err := parseState(encode(w))
		require.Equal(t, fits, err == nil, "for another recipient")
	}
	for cut := range good {
		_, err := parseState(good[:cut])
		require.Error(t, err, cut)
	}
}
