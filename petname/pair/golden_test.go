package pair

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

// With fixed keys, randomness and a fixed clock, the evidence of a pairing is
// the same in every version of this program, including each signed statement
// and each hash.
func TestFormatIsFixed(t *testing.T) {
	m := newCodeScenario(t, theCode, theCode)
	m.runToEnd(t)
	m.requirePaired(t)
	p := newLinkScenario(t, Terms{Uses: 2, Purpose: "lunch"})
	o := p.runToEnd(t, p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link()))
	identity, err := m.alice.Identity.encode()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		b    []byte
		hash string
	}{
		"identity":                 {identity, "f72efd65fffdf88368282e5f0773700e"},
		"offer":                    {m.inviter.offer, "e9156381df4263942e0433fef1a0dff6"},
		"evidence of a code":       {m.inviteeOutcome.event.Paired.Transcript, "47178064066b2542613b5776ec837351"},
		"invitation":               {p.inviter.invitation.signed, "c51571f968d28a3f638775e80d63dce2"},
		"state":                    {p.disk.state, "543adeb8b0cb06c3341c1588bdab1b94"},
		"evidence of a link":       {o[0].event.Paired.Transcript, "cdd38af648d14c0a9b589e4ecd8df685"},
		"a mailbox of the code":    {m.slot.mailboxKey(mailboxAnswer).Pointer().Bytes(), "686fb034eea19fc3e13c15c739f8971b"},
		"a mailbox of the link":    {p.inviter.invitation.acceptanceMailboxes()[1].key.Pointer().Bytes(), "404e96946b145907c1e47eb69cc551b3"},
		"the invitation's mailbox": {invitationMailbox(p.inviter.invitation.secret).key.Pointer().Bytes(), "76a55c11cbfb5e7793e52de456c05bf7"},
		"the card's key":           {invitationKey(p.inviter.invitation.secret), "7d36cd7011e0e818226786b68a417dd7"},
		"the code's seal":          {m.invitee.session.key(roleInvitee), "0675d55eeecad7518b584c143f94a0ea"},
		"the inviter's seal":       {m.invitee.session.key(roleInviter), "6f6376c9fd76019c90abcb9d9e3205d6"},
		"the code's tag":           {m.invitee.session.tag(roleInvitee), "db417bc490ad9437b7b290af66387aee"},
		"the box of an answer":     {p.inviter.invitation.answerMailbox([]byte("take")).key.Pointer().Bytes(), "cfd49f531d1ca088151870feeb8b372d"},
	} {
		sum := sha256.Sum256(c.b)
		require.Equal(t, c.hash, hex.EncodeToString(sum[:16]), name)
	}
}

// Both signatures of a pairing cover every part that the documentation lists: a
// changed part makes another statement.
func TestEachPartOfAStatementIsSigned(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	require.NoError(t, x.newAcceptance(*x.ticket.Invitation))
	s := x.session
	acceptance := s.acceptanceStatement(x.identity, x.ownProof.Nonce)
	back := s.answerStatement(x.ownProof, 0, p.inviter.identity)
	other := newLinkScenario(t, Terms{Purpose: "another"})
	for part, of := range map[string]any{
		"invitation": linkSession{other.inviter.invitation, s.ephemeral, s.shared}.acceptanceStatement(x.identity, x.ownProof.Nonce),
		"ephemeral":  linkSession{s.invitation, []byte("another"), s.shared}.acceptanceStatement(x.identity, x.ownProof.Nonce),
		"nonce":      s.acceptanceStatement(x.identity, []byte("another")),
		"taker":      s.acceptanceStatement(p.inviter.identity, x.ownProof.Nonce),
	} {
		require.NotEqual(t, encode(acceptance), encode(of), part)
	}
	changed := x.ownProof
	changed.Signature = []byte("another")
	for part, of := range map[string]any{
		"the statement of the invitee": linkSession{other.inviter.invitation, s.ephemeral, s.shared}.answerStatement(x.ownProof, 0, p.inviter.identity),
		"its signature":                s.answerStatement(changed, 0, p.inviter.identity),
		"inviter":                      s.answerStatement(x.ownProof, 0, x.identity),
	} {
		require.NotEqual(t, encode(back), encode(of), part)
	}
	refusal := func(why Reason) []byte { return encode(s.answerStatement(x.ownProof, why, nil)) }
	require.NotEqual(t, refusal(ReasonUsed), refusal(ReasonExpired), "status")
	require.NotEqual(t, refusal(0), refusal(ReasonUsed), "status")
}
