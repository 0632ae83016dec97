package pair

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

func TestForwardedInvitationWithRecipientIsRefused(t *testing.T) {
	bob, mallory := newSelf(t, 2, "Bob"), newSelf(t, 9, "Mallory")
	p := newLinkScenario(t, Terms{For: bob.Identity.Pointer})
	link := p.inviter.Invitation().Link()
	// 1. An honest program does not send an acceptance.
	requireReason(t, ReasonOtherRecipient, p.stepInvitee(t, p.accept(t, mallory, link)))
	require.NotContains(t, p.log, "put take 0")
	// 2. A dishonest one is refused by the inviter.
	x := p.accept(t, mallory, link)
	require.NoError(t, x.newAcceptance(*x.ticket.Invitation))
	requireReason(t, ReasonOtherRecipient, p.runToEnd(t, x)[0])
	// 3. The recipient can still accept it.
	require.NotNil(t, p.runToEnd(t, p.accept(t, bob, link))[0].event.Paired)
	require.Len(t, p.disk.accepted, 1)
}

func TestAcceptedEventNamesTheInvitee(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	x := p.accept(t, newSelf(t, 9, "Mallory"), p.inviter.Invitation().Link())
	require.NotNil(t, p.runToEnd(t, x)[0].event.Paired)
	require.Equal(t, "Mallory", p.disk.accepted[0].Peer.Nickname, "for the inviter to see, and to confirm or not")
}

// Every holder of the invitation can write into its mailboxes.
func TestHoldersOfTheSecretCanOnlyDisturb(t *testing.T) {
	bob, mallory := newSelf(t, 2, "Bob"), newSelf(t, 9, "Mallory")
	inviterLies := func(t *testing.T, p *linkScenario, x *Invitee, forge func(s linkSession, own wireLinkProof) wireAnswerProof) outcome {
		t.Helper()
		p.stepInvitee(t, x)
		s := x.session // only its two sides know it; the test passes it to the attacker
		putMessage(t, p.store, p.inviter.invitation.answerMailbox(x.message),
			encode(wireLinkAnswer{Kind: kindLinkAnswer, Sealed: seal(s.key(roleInviter), encode(forge(s, x.ownProof)))}), 5, p.clock.now().Add(time.Hour))
		return p.stepInvitee(t, x)
	}
	sign := func(t *testing.T, self Self, st answerStatement) []byte {
		sig, err := self.sign(domainLink, st)
		require.NoError(t, err)
		return sig
	}
	identityOf := func(t *testing.T, self Self) []byte {
		b, err := self.Identity.encode()
		require.NoError(t, err)
		return b
	}
	t.Run("a no that the inviter didn't sign", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		o := inviterLies(t, p, p.accept(t, bob, p.inviter.Invitation().Link()), func(s linkSession, own wireLinkProof) wireAnswerProof {
			return wireAnswerProof{Status: ReasonUsed, Signature: sign(t, mallory, s.answerStatement(own, ReasonUsed, nil))}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("an acceptance by another inviter", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		o := inviterLies(t, p, p.accept(t, bob, p.inviter.Invitation().Link()), func(s linkSession, own wireLinkProof) wireAnswerProof {
			id := identityOf(t, mallory)
			return wireAnswerProof{Identity: id, Signature: sign(t, mallory, s.answerStatement(own, 0, id))}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("the inviter's key over another's identity", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		o := inviterLies(t, p, p.accept(t, bob, p.inviter.Invitation().Link()), func(s linkSession, own wireLinkProof) wireAnswerProof {
			id := identityOf(t, mallory)
			return wireAnswerProof{Identity: id, Signature: sign(t, p.alice, s.answerStatement(own, 0, id))}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("a yes to another's message", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		o := inviterLies(t, p, p.accept(t, bob, p.inviter.Invitation().Link()), func(s linkSession, own wireLinkProof) wireAnswerProof {
			own.Nonce = make([]byte, nonceSize)
			id := identityOf(t, p.alice)
			return wireAnswerProof{Identity: id, Signature: sign(t, p.alice, s.answerStatement(own, 0, id))}
		})
		require.ErrorIs(t, o.err, ErrTampered)
	})
	t.Run("the invitee's own message reflected", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		x := p.accept(t, bob, p.inviter.Invitation().Link())
		p.stepInvitee(t, x)
		w, err := parseLinkAcceptance(x.message)
		require.NoError(t, err)
		putMessage(t, p.store, p.inviter.invitation.answerMailbox(x.message), encode(wireLinkAnswer{Kind: kindLinkAnswer, Sealed: w.Sealed}), 5, p.clock.now().Add(time.Hour))
		require.ErrorIs(t, p.stepInvitee(t, x).err, ErrTampered)
	})
	t.Run("garbage for an answer", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		x := p.accept(t, bob, p.inviter.Invitation().Link())
		p.stepInvitee(t, x)
		putMessage(t, p.store, p.inviter.invitation.answerMailbox(x.message), []byte("x"), 5, p.clock.now().Add(time.Hour))
		require.ErrorIs(t, p.stepInvitee(t, x).err, ErrTampered)
	})
	t.Run("an acceptance with another's identity", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		x := p.accept(t, mallory, p.inviter.Invitation().Link())
		require.NoError(t, x.newAcceptance(*x.ticket.Invitation))
		own := x.ownProof
		own.Identity = identityOf(t, bob)
		forged, err := mallory.sign(domainLink, x.session.acceptanceStatement(own.Identity, own.Nonce))
		require.NoError(t, err)
		for _, sig := range [][]byte{own.Signature, forged, nil} {
			own.Signature = sig
			x.message = encode(wireLinkAcceptance{Kind: kindLinkAcceptance, Ephemeral: x.session.ephemeral, Sealed: seal(x.session.key(roleInvitee), encode(own))})
			r, err := p.inviter.newReply(context.Background(), p.clock.now(), x.message)
			require.NoError(t, err)
			require.Nil(t, r)
		}
		require.Equal(t, 1, p.inviter.UsesLeft())
	})
	t.Run("another's acceptance, of an invitation of Mallory's", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		trap, err := Invite(context.Background(), mallory, Terms{Expires: start.Add(time.Hour)}, (&savedStates{}).save)
		require.NoError(t, err)
		x := p.accept(t, bob, trap.Invitation().Link())
		require.NoError(t, x.newAcceptance(*x.ticket.Invitation))
		// Mallory opens it, and seals it for Alice with an ephemeral key of her own.
		y := p.accept(t, mallory, p.inviter.Invitation().Link())
		require.NoError(t, y.newAcceptance(*y.ticket.Invitation))
		message := encode(wireLinkAcceptance{Kind: kindLinkAcceptance, Ephemeral: y.session.ephemeral, Sealed: seal(y.session.key(roleInvitee), encode(x.ownProof))})
		r, err := p.inviter.newReply(context.Background(), p.clock.now(), message)
		require.NoError(t, err)
		require.Nil(t, r)
	})
	t.Run("an acceptance under the inviter's own key", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		ticket, err := ParseTicket(p.inviter.Invitation().Link(), p.clock.now())
		require.NoError(t, err)
		x := &Invitee{self: p.alice, identity: p.inviter.identity, ticket: ticket}
		require.NoError(t, x.newAcceptance(*ticket.Invitation))
		r, err := p.inviter.newReply(context.Background(), p.clock.now(), x.message)
		require.NoError(t, err, "it delays nothing")
		require.Nil(t, r)
		require.Equal(t, 1, p.inviter.UsesLeft())
	})
	t.Run("an acceptance replayed, which is one use", func(t *testing.T) {
		p := newLinkScenario(t, Terms{Uses: 3})
		x := p.accept(t, bob, p.inviter.Invitation().Link())
		require.NotNil(t, p.runToEnd(t, x)[0].event.Paired)
		for _, b := range p.inviter.invitation.acceptanceMailboxes()[1:] {
			putMessage(t, p.store, b, x.message, 1, p.clock.now().Add(time.Hour))
		}
		require.Equal(t, outcome{}, p.stepInviter(t))
		require.Equal(t, 2, p.inviter.UsesLeft())
	})
	t.Run("mailboxes full of garbage", func(t *testing.T) {
		p := newLinkScenario(t, Terms{Uses: 2})
		for n, b := range p.inviter.invitation.acceptanceMailboxes() {
			putMessage(t, p.store, b, []byte{byte(n)}, uint64(100+n), p.clock.now().Add(time.Hour))
		}
		require.NotNil(t, p.runToEnd(t, p.accept(t, bob, p.inviter.Invitation().Link()))[0].event.Paired, "the last is written over")
	})
	t.Run("a mailbox at its highest sequence", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		for _, b := range p.inviter.invitation.acceptanceMailboxes() {
			putMessage(t, p.store, b, []byte("x"), pointer.MaxSequence, p.clock.now().Add(time.Hour))
		}
		require.ErrorIs(t, p.runToEnd(t, p.accept(t, bob, p.inviter.Invitation().Link()))[0].err, ErrTampered)
	})
	t.Run("an ephemeral key of low order", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		r, err := p.inviter.newReply(context.Background(), p.clock.now(), encode(wireLinkAcceptance{Kind: kindLinkAcceptance, Ephemeral: make([]byte, 32), Sealed: []byte("x")}))
		require.NoError(t, err)
		require.Nil(t, r)
	})
	t.Run("the whole invitation, replaced by one of Mallory's", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		inv := p.inviter.Invitation()
		trap, err := Invite(context.Background(), mallory, Terms{Expires: start.Add(time.Hour)}, (&savedStates{}).save)
		require.NoError(t, err)
		other, err := Invite(context.Background(), p.alice, Terms{Expires: start.Add(time.Hour)}, (&savedStates{}).save)
		require.NoError(t, err)
		for _, signed := range [][]byte{trap.invitation.signed, other.invitation.signed, []byte("x")} {
			p.store.Store = &dht.Memory{Now: p.clock.now}
			putMessage(t, p.store, invitationMailbox(inv.secret), seal(invitationKey(inv.secret), signed), 9, p.clock.now().Add(time.Hour))
			require.ErrorIs(t, p.stepInvitee(t, p.accept(t, bob, inv.Compact())).err, ErrTampered)
		}
	})
}

// A holder of the compact form has the secret, and can therefore replace the invitation in
// the network. An invitation of its own with the same secret is refused: it is valid
// except for the inviter.
func TestInvitationOfAnotherInviterWithTheSameSecretIsRefused(t *testing.T) {
	bob, mallory := newSelf(t, 2, "Bob"), newSelf(t, 9, "Mallory")
	p := newLinkScenario(t, Terms{})
	inv := p.inviter.Invitation()
	var w wireSigned
	require.NoError(t, decode(inv.signed, maxInvitation, &w))
	w.Body.Inviter = mallory.Identity.Pointer.Bytes()
	var err error
	w.Signature, err = mallory.sign(domainInvite, w.Body)
	require.NoError(t, err)
	trap, err := openInvitation(encode(w))
	require.NoError(t, err, "it is an invitation like any other")
	require.Equal(t, inv.secret, trap.secret)
	putMessage(t, p.store, invitationMailbox(inv.secret), seal(invitationKey(inv.secret), trap.signed), 9, p.clock.now().Add(time.Hour))
	x := p.accept(t, bob, inv.Compact())
	require.ErrorIs(t, p.stepInvitee(t, x).err, ErrTampered)
	_, fetched := x.Invitation()
	require.False(t, fetched)
}

// Another holder of the invitation learns that it was accepted, and not the invitee.
func TestOtherHoldersCannotReadTheInvitee(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	inv := p.inviter.Invitation()
	bob := newSelf(t, 2, "Bob Longname") // no ciphertext contains this name by chance
	p.alice.Identity.Nickname = "Alice Longname"
	p.resume(t)
	x := p.accept(t, bob, inv.Link())
	p.runToEnd(t, x)
	acceptance, ok := fetchMessage(t, p.store, inv.acceptanceMailboxes()[0], p.clock.now())
	require.True(t, ok)
	w, err := parseLinkAcceptance(acceptance)
	require.NoError(t, err)
	eve := p.accept(t, newSelf(t, 9, "Eve"), inv.Link())
	require.NoError(t, eve.newAcceptance(*eve.ticket.Invitation))
	s := eve.session
	s.ephemeral = w.Ephemeral
	_, _, err = s.openAcceptance(w.Sealed)
	require.Error(t, err)
	answer, ok := fetchMessage(t, p.store, inv.answerMailbox(acceptance), p.clock.now())
	require.True(t, ok)
	for _, message := range [][]byte{acceptance, answer} {
		require.NotContains(t, string(message), "Longname")
		require.NotContains(t, string(message), string(bob.Identity.Pointer.Bytes()[6:]))
	}
}

func TestRepeatedAnswerIsSealedAgain(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	require.NoError(t, x.newAcceptance(*x.ticket.Invitation))
	first, err := p.inviter.newReply(context.Background(), p.clock.now(), x.message)
	require.NoError(t, err)
	p.alice.Identity.Addresses = [][]byte{{4, 203, 0, 113, 9, 6, 0, 80}} // a new address
	p.resume(t)
	second, err := p.inviter.newReply(context.Background(), p.clock.now(), x.message)
	require.NoError(t, err)
	a, err := parseLinkAnswer(first.message)
	require.NoError(t, err)
	b, err := parseLinkAnswer(second.message)
	require.NoError(t, err)
	require.NotEqual(t, a.Sealed[:12], b.Sealed[:12], "one key and one nonce for two messages would show both")
}
