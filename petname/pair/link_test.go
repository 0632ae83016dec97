package pair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// savedStates is a SaveState in memory.
type savedStates struct {
	state    []byte
	accepted []Paired
	log      *[]string
	fail     error
}

func (d *savedStates) save(_ context.Context, state []byte, accepted *Paired) error {
	if d.fail != nil {
		return d.fail
	}
	d.state = state
	if accepted != nil {
		d.accepted = append(d.accepted, *accepted)
	}
	if d.log != nil {
		*d.log = append(*d.log, "save")
	}
	return nil
}

// linkScenario is an inviter with an invitation, and the network.
type linkScenario struct {
	clock   *clock
	store   *loggingStore
	log     []string
	alice   Self
	disk    savedStates
	inviter *Inviter
}

func newLinkScenario(t require.TestingT, terms Terms) *linkScenario {
	p := &linkScenario{clock: newClock(), alice: newSelf(t, 1, "Alice")}
	p.store = &loggingStore{Store: &dht.Memory{Now: p.clock.now}, log: &p.log}
	p.disk.log = &p.log
	if terms.Expires.IsZero() {
		terms.Expires = start.Add(10 * time.Minute)
	}
	var err error
	p.inviter, err = Invite(context.Background(), p.alice, terms, p.disk.save)
	require.NoError(t, err)
	p.store.names = map[pointer.Pointer]string{}
	inv := p.inviter.Invitation()
	p.store.names[invitationMailbox(inv.secret).key.Pointer()] = "invitation"
	for n, b := range inv.acceptanceMailboxes() {
		p.store.names[b.key.Pointer()] = fmt.Sprint("take ", n)
	}
	return p
}

func (p *linkScenario) stepInviter(t require.TestingT) outcome {
	event, err := p.inviter.Step(context.Background(), p.store, p.clock.now())
	return outcome{event, err}
}

func (p *linkScenario) resume(t require.TestingT) {
	var err error
	p.inviter, err = ResumeInviter(p.alice, p.disk.state, p.disk.save)
	require.NoError(t, err)
}

// accept returns an invitee of the invitation in text.
func (p *linkScenario) accept(t require.TestingT, self Self, text string) *Invitee {
	ticket, err := ParseTicket(text, p.clock.now())
	require.NoError(t, err)
	x, err := AcceptTicket(self, ticket)
	require.NoError(t, err)
	return x
}

func (p *linkScenario) stepInvitee(t require.TestingT, x *Invitee) outcome {
	event, err := x.Step(context.Background(), p.store, p.clock.now())
	return outcome{event, err}
}

// runToEnd steps all sides until the invitees have ended.
func (p *linkScenario) runToEnd(t require.TestingT, invitees ...*Invitee) []outcome {
	outcomes := make([]outcome, len(invitees))
	for range 100 {
		p.stepInviter(t)
		ended := true
		for i, x := range invitees {
			outcomes[i] = p.stepInvitee(t, x)
			ended = ended && outcomes[i].ended()
		}
		if ended {
			return outcomes
		}
		p.clock.after(15 * time.Second)
	}
	require.Fail(t, "it never ends")
	return nil
}

func requireReason(t require.TestingT, reason Reason, o outcome) {
	var refused *RefusedError
	require.ErrorAs(t, o.err, &refused)
	require.Equal(t, reason, refused.Reason)
	require.True(t, Final(o.err))
}

func TestInvitationPairsByLinkAndByCompactForm(t *testing.T) {
	for name, text := range map[string]func(Invitation) string{"link": Invitation.Link, "compact": Invitation.Compact} {
		for _, first := range []string{"inviter", "taker"} {
			p := newLinkScenario(t, Terms{Purpose: "lunch"})
			bob := newSelf(t, 2, "Bob")
			x := p.accept(t, bob, text(p.inviter.Invitation()))
			if first == "taker" {
				require.False(t, p.stepInvitee(t, x).ended(), name)
			}
			o := p.runToEnd(t, x)[0]
			require.NoError(t, o.err)
			require.Equal(t, p.alice.Identity, o.event.Paired.Peer)
			require.Equal(t, ChannelLink, o.event.Paired.Channel)
			require.Len(t, p.disk.accepted, 1)
			require.Equal(t, bob.Identity, p.disk.accepted[0].Peer)
			require.Equal(t, o.event.Paired.Transcript, p.disk.accepted[0].Transcript, "both keep one evidence")
			transcript, err := ParseTranscript(o.event.Paired.Transcript)
			require.NoError(t, err)
			require.Equal(t, Transcript{ChannelLink, p.alice.Identity, bob.Identity}, transcript)
			inv, ok := x.Invitation()
			require.True(t, ok)
			require.Equal(t, "lunch", inv.Purpose)
			require.Zero(t, p.inviter.UsesLeft())
			require.Equal(t, []pointer.Pointer{bob.Identity.Pointer}, p.inviter.Invitees())
			require.Equal(t, o, p.stepInvitee(t, x), "the outcome stays")
		}
	}
}

func TestUseIsSavedBeforeTheAnswerIsSent(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	p.stepInviter(t)
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	p.stepInvitee(t, x)
	require.Equal(t, []string{"save", "put invitation", "put take 0"}, p.log)
	// 1. While it cannot be saved, no answer is sent, and no use is counted.
	p.disk.fail = errors.New("the disk is full")
	puts := p.store.puts
	o := p.stepInviter(t)
	require.ErrorIs(t, o.err, p.disk.fail)
	require.False(t, o.ended())
	require.Equal(t, puts, p.store.puts)
	require.Equal(t, 1, p.inviter.UsesLeft())
	// 2. Then, in this order.
	p.disk.fail = nil
	o = p.stepInviter(t)
	require.NoError(t, o.err)
	require.Equal(t, "Bob", o.event.Accepted.Peer.Nickname)
	require.Equal(t, []string{"save", "put invitation", "put take 0", "save", "put "}, p.log)
	require.Equal(t, outcome{}, p.stepInviter(t), "and once")
	require.NoError(t, p.stepInvitee(t, x).err)
}

func TestSecondUseReceivesARefusal(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	link := p.inviter.Invitation().Link()
	o := p.runToEnd(t, p.accept(t, newSelf(t, 2, "Bob"), link))
	require.NotNil(t, o[0].event.Paired)
	for seed := range byte(3) { // they replace each other's message in the last mailbox
		requireReason(t, ReasonUsed, p.runToEnd(t, p.accept(t, newSelf(t, 10+seed, "Late"), link))[0])
	}
	require.Len(t, p.disk.accepted, 1)
}

func TestConcurrentInviteesExceedNoUses(t *testing.T) {
	race := func(t require.TestingT, uses, many int, steps func() []int) {
		p := newLinkScenario(t, Terms{Uses: uses})
		link := p.inviter.Invitation().Link()
		var invitees []*Invitee
		for n := range many {
			invitees = append(invitees, p.accept(t, newSelf(t, byte(2+n), "T"), link))
		}
		for _, n := range steps() {
			p.stepInvitee(t, invitees[n])
		}
		paired := 0
		for _, o := range p.runToEnd(t, invitees...) {
			if o.event.Paired != nil {
				paired++
				continue
			}
			requireReason(t, ReasonUsed, o)
		}
		require.Equal(t, min(uses, len(invitees)), paired)
		require.Len(t, p.disk.accepted, paired)
	}
	for uses := 1; uses <= 2; uses++ {
		race(t, uses, uses+1, func() []int { return nil }) // all invitees step in parallel
	}
	lawtest.Check(t, 15, func(t *rapid.T) {
		uses, many := rapid.IntRange(1, 3).Draw(t, "uses"), rapid.IntRange(1, 5).Draw(t, "takers")
		race(t, uses, many, func() []int {
			return rapid.SliceOfN(rapid.IntRange(0, many-1), 0, 10).Draw(t, "steps")
		})
	})
}

func TestLateUseReceivesARefusal(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	inv := p.inviter.Invitation()
	x := p.accept(t, newSelf(t, 2, "Bob"), inv.Link())
	p.stepInvitee(t, x) // sent in time, and read too late: the inviter decides
	p.clock.at = inv.Expires
	requireReason(t, ReasonExpired, p.runToEnd(t, x)[0])
	require.Empty(t, p.disk.accepted)

	// The invitee's own clock shows it as well.
	_, err := ParseTicket(inv.Link(), p.clock.now())
	var expired *ExpiredError
	require.ErrorAs(t, err, &expired)
	require.ErrorIs(t, err, ErrExpired)
	require.Equal(t, inv.ID(), expired.Invitation.ID())
	late := p.accept(t, newSelf(t, 3, "Carol"), inv.Compact())
	require.ErrorIs(t, p.stepInvitee(t, late).err, ErrExpired)

	p.clock.after(gracePeriod)
	o := p.stepInviter(t)
	require.ErrorIs(t, o.err, ErrExpired)
	require.True(t, o.ended())
}

// After the end of an invitation, an invitee still waits for the grace period in which the
// inviter answers.
func TestInviteeWaitsForTheGracePeriod(t *testing.T) {
	for _, answered := range []bool{true, false} {
		p := newLinkScenario(t, Terms{})
		inv := p.inviter.Invitation()
		x := p.accept(t, newSelf(t, 2, "Bob"), inv.Link())
		p.stepInvitee(t, x)
		p.clock.at = inv.Expires.Add(gracePeriod - time.Second)
		require.False(t, p.stepInvitee(t, x).ended())
		if answered {
			p.stepInviter(t)
			requireReason(t, ReasonExpired, p.stepInvitee(t, x))
			continue
		}
		p.clock.after(time.Second)
		require.ErrorIs(t, p.stepInvitee(t, x).err, ErrTimeout)
	}
}

// newerStore is a network with a newer record that it does not yield. It refuses older
// records.
type newerStore struct {
	dht.Store
	sequence uint64
}

func (a newerStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	r, err := pointer.Open(p, record, start)
	if err != nil || r.Sequence() < a.sequence {
		return dht.Receipt{}, errors.Join(err, dht.ErrOlder)
	}
	return a.Store.Put(ctx, p, record)
}

func TestInviteeExceedsTheSequenceOfAHiddenRecord(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	p.stepInviter(t)
	network := p.store.Store
	p.store.Store = newerStore{network, 3}
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	for range 3 {
		require.False(t, p.stepInvitee(t, x).ended())
	}
	p.store.Store = network
	require.NotNil(t, p.runToEnd(t, x)[0].event.Paired)
	f, ok, err := p.inviter.invitation.acceptanceMailboxes()[0].fetch(context.Background(), network, p.clock.now())
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 3, f.sequence)
}

func TestInviterIsResumedAfterARestart(t *testing.T) {
	bob := newSelf(t, 2, "Bob")
	t.Run("before any acceptance", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		x := p.accept(t, bob, p.inviter.Invitation().Link())
		p.stepInvitee(t, x)
		p.resume(t)
		require.NotNil(t, p.runToEnd(t, x)[0].event.Paired)
	})
	t.Run("between the save and the answer", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		x := p.accept(t, bob, p.inviter.Invitation().Link())
		p.stepInviter(t)
		p.stepInvitee(t, x)
		r, err := p.inviter.newReply(context.Background(), p.clock.now(), x.message)
		require.NoError(t, err)
		require.NotNil(t, r.event.Accepted)
		p.resume(t)
		require.Zero(t, p.inviter.UsesLeft())
		require.NotNil(t, p.runToEnd(t, x)[0].event.Paired)
		require.Len(t, p.disk.accepted, 1, "one use")
		requireReason(t, ReasonUsed, p.runToEnd(t, p.accept(t, newSelf(t, 3, "Carol"), p.inviter.Invitation().Link()))[0])
	})
	t.Run("of the invitee, which counts once", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		link := p.inviter.Invitation().Link()
		require.NotNil(t, p.runToEnd(t, p.accept(t, bob, link))[0].event.Paired)
		again := bob
		again.Random = newRandom(123)
		require.NotNil(t, p.runToEnd(t, p.accept(t, again, link))[0].event.Paired)
		require.Len(t, p.disk.accepted, 1)
	})
	t.Run("withdrawn", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		p.disk.fail = errors.New("the disk is full")
		require.ErrorIs(t, p.inviter.Withdraw(context.Background()), p.disk.fail)
		require.Equal(t, 1, p.inviter.UsesLeft())
		p.disk.fail = nil
		require.NoError(t, p.inviter.Withdraw(context.Background()))
		p.resume(t)
		require.Zero(t, p.inviter.UsesLeft())
		requireReason(t, ReasonWithdrawn, p.runToEnd(t, p.accept(t, bob, p.inviter.Invitation().Link()))[0])
	})
	t.Run("as another identity", func(t *testing.T) {
		p := newLinkScenario(t, Terms{})
		_, err := ResumeInviter(bob, p.disk.state, p.disk.save)
		require.Error(t, err)
	})
}

func TestInvitationIsRepublished(t *testing.T) {
	p := newLinkScenario(t, Terms{Expires: start.Add(72 * time.Hour)})
	p.stepInviter(t)
	for range 3 {
		p.store.Store = &dht.Memory{Now: p.clock.now}
		p.clock.after(republishInterval)
		require.NoError(t, p.stepInviter(t).err)
		_, ok := fetchMessage(t, p.store, invitationMailbox(p.inviter.invitation.secret), p.clock.now())
		require.True(t, ok)
	}
}

func TestChangedTranscriptOfAnInvitationIsRefused(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	o := p.runToEnd(t, p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link()))
	requireAllPartsSigned(t, o[0].event.Paired.Transcript)
	inv := p.inviter.Invitation()
	require.False(t, bytes.Contains(o[0].event.Paired.Transcript, inv.secret[:]), "evidence can be shown")
}

func TestBothSidesRetryAnUnreachableNetwork(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Compact())
	away := func() {
		p.store.broken = dht.ErrUnreachable
		for _, o := range []outcome{p.stepInviter(t), p.stepInvitee(t, x)} {
			require.ErrorIs(t, o.err, dht.ErrUnreachable)
			require.False(t, o.ended())
		}
		p.store.broken = nil
	}
	away()
	p.stepInviter(t)
	away()
	p.stepInvitee(t, x)
	away()
	require.NotNil(t, p.runToEnd(t, x)[0].event.Paired)
}

func TestInviteeWithoutAnAnswerTimesOut(t *testing.T) {
	p := newLinkScenario(t, Terms{})
	x := p.accept(t, newSelf(t, 2, "Bob"), p.inviter.Invitation().Link())
	y := p.accept(t, newSelf(t, 3, "Carol"), p.inviter.Invitation().Compact())
	for !p.clock.now().After(start.Add(30 * time.Minute)) {
		p.stepInvitee(t, x)
		p.stepInvitee(t, y)
		p.clock.after(time.Minute)
	}
	require.ErrorIs(t, p.stepInvitee(t, x).err, ErrTimeout)
	require.ErrorIs(t, p.stepInvitee(t, y).err, ErrTimeout)
}
