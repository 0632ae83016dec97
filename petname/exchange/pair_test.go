package exchange

import (
	"cmp"
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// two returns two persons that do not know each other, on one network. Their clocks are the
// bubble's.
func two(t testing.TB) (alice, bob *person) {
	c := &clock{}
	network := &dht.Memory{}
	alice, bob = newPerson(t, c, network, "alice"), newPerson(t, c, network, "bob")
	return alice, bob
}

func TestPairingByCodeSuggestsEachToTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(10 * time.Minute)}, Code: true})
		require.NoError(t, err)
		done := make(chan petname.Suggestion)
		go func() {
			s, err := alice.Wait(ctx, invited.ID)
			require.NoError(t, err)
			done <- s
		}()
		s, err := bob.Pair(ctx, bob.key, invited.Code.Secret())
		require.NoError(t, err)
		require.Equal(t, petname.Paired, s.Kind)
		require.Equal(t, pointerOf("alice"), s.Pointer)
		require.Equal(t, alice.next(), s.Next)
		s = <-done
		require.Equal(t, petname.Paired, s.Kind)
		require.Equal(t, pointerOf("bob"), s.Pointer)
		require.Equal(t, bob.next(), s.Next)
		require.Len(t, alice.inbox(t), 1)
		require.Len(t, bob.inbox(t), 1)
		n, err := alice.book.Count()
		require.NoError(t, err)
		require.Zero(t, n, "it adds no contact")
	})
}

func TestAWrongCodeIsVoidAndReportedToBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(10 * time.Minute)}, Code: true})
		require.NoError(t, err)
		failed := make(chan error)
		go func() {
			_, err := alice.Wait(ctx, invited.ID)
			failed <- err
		}()
		right := invited.Code.Secret()
		wrong := invited.Code.String()[:len(invited.Code.String())-len("…")] + "zoo-zoo"
		_, err = bob.Pair(ctx, bob.key, wrong)
		require.ErrorIs(t, err, pair.ErrWrongCode)
		require.ErrorIs(t, <-failed, pair.ErrWrongCode)
		bob.reopen(t)
		_, err = bob.Pair(ctx, bob.key, right)
		require.ErrorIs(t, err, pair.ErrOccupied, "a code has one try, also after a restart")
		require.Empty(t, alice.inbox(t))
		require.Empty(t, bob.inbox(t))
	})
}

// The network has lost all data, so that only the mark on disk shows that the code was used.
// Both sides refuse the code after a restart.
func TestAUsedCodeIsRefusedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(10 * time.Minute)}, Code: true})
		require.NoError(t, err)
		failed := make(chan error)
		go func() {
			_, err := alice.Wait(ctx, invited.ID)
			failed <- err
		}()
		wrong := invited.Code.String()[:len(invited.Code.String())-len("…")] + "zoo-zoo"
		_, err = bob.Pair(ctx, bob.key, wrong)
		require.ErrorIs(t, err, pair.ErrWrongCode)
		require.ErrorIs(t, <-failed, pair.ErrWrongCode)

		// Bob reads a network that contains only an offer of Mallory.
		empty, left := &dht.Memory{}, new(atomic.Int32)
		left.Store(100)
		mallory := newPerson(t, alice.clock, empty, "mallory")
		forgetful := func(context.Context, string, time.Time) error { return nil }
		offer, err := pair.InviteByCode(mallory.side(t), invited.Code, forgetful)
		require.NoError(t, err)
		_, err = offer.Step(ctx, empty, time.Now())
		require.NoError(t, err)
		bob.network = limitedStore{empty, left}
		bob.reopen(t)
		_, err = bob.Pair(ctx, bob.key, invited.Code.Secret())
		require.ErrorIs(t, err, pair.ErrCodeUsed)
		require.EqualValues(t, 100, left.Load(), "and Bob puts nothing")

		// Alice reads another network, with an invitee that has the right words.
		empty = &dht.Memory{}
		alice.network = empty
		alice.reopen(t)
		again, err := pair.InviteByCode(alice.side(t), invited.Code, alice.markCodeUsed)
		require.NoError(t, err)
		_, err = again.Step(ctx, empty, time.Now())
		require.NoError(t, err)
		invitee, err := pair.AcceptCode(mallory.side(t), invited.Code, forgetful)
		require.NoError(t, err)
		_, err = invitee.Step(ctx, empty, time.Now())
		require.NoError(t, err)
		_, err = again.Step(ctx, empty, time.Now())
		require.ErrorIs(t, err, pair.ErrCodeUsed)
		_, err = invitee.Step(ctx, empty, time.Now())
		require.ErrorIs(t, err, pair.ErrWrongCode)
	})
}

// side returns the Self of a person that pairs step by step.
func (p *person) side(t testing.TB) pair.Self {
	t.Helper()
	self, err := p.self(context.Background(), p.key)
	require.NoError(t, err)
	return self
}

func TestTheMarkOfAUsedCodeIsStoredUntilItExpires(t *testing.T) {
	ctx := context.Background()
	alice, _ := unknownSender(t)
	end := alice.clock.now.Add(24 * time.Hour)
	require.NoError(t, alice.markCodeUsed(ctx, "taker 1-zoo", end))
	require.NoError(t, alice.markCodeUsed(ctx, "inviter 1-zoo", end), "each side has its own mark")
	for _, at := range []time.Time{alice.clock.now, end.Add(-time.Hour), end} {
		alice.clock.now = at
		alice.reopen(t)
		require.ErrorIs(t, alice.markCodeUsed(ctx, "taker 1-zoo", at.Add(24*time.Hour)), pair.ErrCodeUsed)
	}
	alice.clock.now = end.Add(2 * time.Second)
	require.NoError(t, alice.markCodeUsed(ctx, "taker 1-zoo", alice.clock.now.Add(time.Hour)))
	n, err := alice.countRows(tableUsedCodes)
	require.NoError(t, err)
	require.Equal(t, 1, n, "an expired mark is removed")
}

func TestPendingInvitationsAreBounded(t *testing.T) {
	alice, _ := unknownSender(t)
	terms := Terms{Terms: pair.Terms{Expires: alice.clock.now.Add(time.Hour)}}
	_, err := alice.Invite(context.Background(), alice.key, terms)
	require.NoError(t, err)
	for i := range maxInvitations - 1 {
		require.NoError(t, alice.putRow(tableInvitations, []byte{byte(i)}, []byte("state")))
	}
	_, err = alice.Invite(context.Background(), alice.key, terms)
	require.ErrorContains(t, err, "64 invitations are pending")
	require.NoError(t, alice.deleteInvitation("\x00"))
	_, err = alice.Invite(context.Background(), alice.key, terms)
	require.NoError(t, err)
}

// A node steps its invitations, and may find a result before Wait does.
func TestWaitReturnsAResultThatAnotherStepFound(t *testing.T) {
	for _, right := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			alice, bob := two(t)
			ctx := context.Background()
			invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(time.Hour)}, Code: true})
			require.NoError(t, err)
			code := invited.Code.Secret()
			if !right {
				code = invited.Code.String()[:len(invited.Code.String())-len("…")] + "zoo-zoo"
			}
			done := make(chan error)
			go func() {
				_, err := bob.Pair(ctx, bob.key, code)
				done <- err
			}()
			var seen error
			for alice.pending(codeID(invited.ID)) != nil {
				<-time.After(defaultPollInterval)
				_, err := alice.StepInvitations(ctx, alice.key)
				seen = cmp.Or(seen, err)
			}
			soon, end := context.WithTimeout(ctx, time.Minute)
			defer end()
			s, err := alice.Wait(soon, invited.ID)
			if right {
				require.NoError(t, <-done)
				require.NoError(t, err)
				require.NoError(t, seen)
				require.Equal(t, petname.Paired, s.Kind)
				require.Equal(t, pointerOf("bob"), s.Pointer)
				return
			}
			require.ErrorIs(t, <-done, pair.ErrWrongCode)
			require.ErrorIs(t, err, pair.ErrWrongCode)
			require.ErrorIs(t, seen, pair.ErrWrongCode, "StepInvitations returns it as well")
		})
	}
}

func TestALinkIsAcceptedWhileTheInviterIsOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		alice, bob := two(t)
		ctx := context.Background()
		invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(24 * time.Hour), Purpose: "choir"}})
		require.NoError(t, err)
		link := invited.Link.Link()
		alice.reopen(t) // offline, and online again
		done := make(chan petname.Suggestion)
		go func() {
			s, err := bob.Pair(ctx, bob.key, link)
			require.NoError(t, err)
			done <- s
		}()
		var report Report
		for len(report.Fresh) == 0 {
			<-time.After(defaultPollInterval)
			report, err = alice.Sync(ctx, alice.key)
			require.NoError(t, err)
		}
		require.Len(t, report.Fresh, 1)
		require.Equal(t, petname.Invited, report.Fresh[0].Kind)
		s := <-done
		require.Equal(t, pointerOf("alice"), s.Pointer)
		require.Equal(t, "choir", s.Note, "the purpose of the invitation")

		alice.reopen(t)
		_, err = alice.Sync(ctx, alice.key)
		require.NoError(t, err)
		waiting := alice.inbox(t)
		require.Len(t, waiting, 1)
		n, err := name.Parse("bob")
		require.NoError(t, err)
		c, err := alice.book.Accept(waiting[0].ID, n, petname.Acceptance{})
		require.NoError(t, err)
		require.Equal(t, "paired", c.Provenance[0].Kind)
		require.Equal(t, "link", c.Provenance[0].Channel)

		// A second invitee is refused.
		carol := newPerson(t, alice.clock, alice.network, "carol")
		waits, end := context.WithCancel(ctx)
		defer end()
		go func() { _, _ = alice.Wait(waits, invited.ID) }()
		_, err = carol.Pair(ctx, carol.key, link)
		require.ErrorAs(t, err, new(*pair.RefusedError))
		require.Len(t, alice.inbox(t), 0)
	})
}

// limitedStore is a network that accepts a number of records, and is unreachable for Put then.
type limitedStore struct {
	dht.Store
	left *atomic.Int32
}

func (c limitedStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if c.left.Add(-1) < 0 {
		return dht.Receipt{}, dht.ErrUnreachable
	}
	return c.Store.Put(ctx, p, record)
}

// As soon as one side has the addresses of the other, it needs no network to answer.
func TestAnAnswerIsSentDirectlyToAReachablePeer(t *testing.T) {
	for _, byCode := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			alice, bob := two(t)
			ctx := context.Background()
			bob.at = [][]byte{[]byte("where bob is")}
			alice.c.Direct = func(at [][]byte) dht.Store {
				require.Equal(t, bob.at, at)
				return bob.Mailbox()
			}
			left := new(atomic.Int32)
			left.Store(2) // the invitation, and the offer of the code
			alice.c.Store = limitedStore{alice.network, left}
			invited, err := alice.Invite(ctx, alice.key, Terms{Terms: pair.Terms{Expires: time.Now().Add(10 * time.Minute)}, Code: true})
			require.NoError(t, err)
			require.Zero(t, left.Load())
			text := invited.Link.Link()
			if byCode {
				text = invited.Code.Secret()
			}
			done := make(chan petname.Suggestion)
			go func() {
				s, err := alice.Wait(ctx, invited.ID)
				require.NoError(t, err)
				done <- s
			}()
			s, err := bob.Pair(ctx, bob.key, text)
			require.NoError(t, err)
			require.Equal(t, pointerOf("alice"), s.Pointer)
			s = <-done
			require.Equal(t, pointerOf("bob"), s.Pointer)
		})
	}
}

// A paired party can be sent to without a card in the network.
func TestAPairedPartyNeedsNoCardToReceive(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.suggestPaired(pair.Paired{Peer: pair.Identity{Pointer: pointerOf("dave"), Details: pointer.Details{Sealing: identityOf(carol).Sealing}}, Channel: pair.ChannelCode, Transcript: []byte("t")}, petname.Paired, "")
	require.NoError(t, err)
	keys, _, err := alice.contactDetails(context.Background(), pointerOf("dave"))
	require.NoError(t, err)
	require.Equal(t, identityOf(carol).Sealing, keys)
	_, _, err = alice.contactDetails(context.Background(), pointerOf("nobody"))
	require.ErrorIs(t, err, dht.ErrNotFound)
	_ = bob
}

// The error for a malformed text explains a link if the text has a colon, or else a code.
func TestMalformedTextIsExplainedAsALinkOrACode(t *testing.T) {
	alice, _ := unknownSender(t)
	const asCode = "it looks like 742-tunnel-orbit-candy"
	_, err := alice.Pair(context.Background(), alice.key, "742-tunnel-orbit")
	require.ErrorIs(t, err, ErrMalformed)
	require.ErrorContains(t, err, asCode)
	_, err = alice.Pair(context.Background(), alice.key, "petname-invite:garbage")
	require.ErrorIs(t, err, ErrMalformed)
	require.NotContains(t, err.Error(), asCode)
}

// paired returns the result of a pairing with p.
func paired(p *person) pair.Paired {
	return pair.Paired{Peer: identityOf(p), Channel: pair.ChannelCode, Transcript: []byte("transcript with " + p.name)}
}

func identityOf(p *person) pair.Identity {
	id, err := p.identity(context.Background())
	if err != nil {
		panic(err)
	}
	return id
}
