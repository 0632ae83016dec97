package exchange

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// stolen returns a copy of the home of p, with its key and its sealing keys, in the hands of a
// thief that p's contacts do not know of.
func (p *person) stolen(t *testing.T, contacts ...*person) *person {
	t.Helper()
	thief := newPerson(t, p.clock, &dht.Memory{Now: p.clock.Now}, p.name)
	thief.network, thief.sealing, thief.difficulty = p.network, p.sealing, &cheap
	thief.knows(t, contacts...)
	thief.open()
	return thief
}

// rotatesAfterTheft rotates the key and the sealing keys of p. The last card has the earlier
// sealing keys, as those of older versions have.
func (p *person) rotatesAfterTheft(t *testing.T) (to pointer.Pointer) {
	t.Helper()
	_, to, chain := p.rotates(t)
	after, err := pointer.Commit(testKey(p.name + "'s third").Public())
	require.NoError(t, err)
	p.sealing = newPerson(t, p.clock, &dht.Memory{Now: p.clock.Now}, "another").sealing
	p.publishes(t, p.key, 5, pointer.Card{Nickname: p.name, Next: after, Succession: chain})
	p.difficulty = &cheap
	p.reopen(t)
	p.clock.now = p.clock.now.Add(2 * time.Minute) // cached cards have expired
	return to
}

// A thief of a home reads nothing that is sent after its owner has rotated the key: each first
// message goes to the new key, whichever way it takes.
func TestTheFirstMessageAfterARotationGoesToTheNewKey(t *testing.T) {
	ctx := context.Background()
	for what, send := range map[string]func(t *testing.T, alice, bob, carol *person) (received func() int){
		"introduce": func(t *testing.T, alice, bob, carol *person) func() int {
			sent, err := alice.Send(ctx, alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
			require.NoError(t, err)
			require.Equal(t, Stored, sent)
			return func() int { return len(bob.inbox(t)) }
		},
		"denial": func(t *testing.T, alice, bob, carol *person) func() int {
			subject, err := introduce.OpenSubject(bob.introduces(t, carol, alice).Bytes())
			require.NoError(t, err)
			signed, err := introduce.Deny(subject, alice.key, alice.clock.now)
			require.NoError(t, err)
			_, err = alice.Send(ctx, alice.key, pointerOf("bob"), signed)
			require.NoError(t, err)
			return func() int {
				denials, err := bob.TakeDenials()
				require.NoError(t, err)
				return len(denials)
			}
		},
		"share": func(t *testing.T, alice, bob, carol *person) func() int {
			label, err := name.Parse("carol")
			require.NoError(t, err)
			_, err = alice.book.ShareWith(pointerOf("bob"), pointerOf("carol"), label)
			require.NoError(t, err)
			sent, err := alice.ShareWith(ctx, alice.key, pointerOf("bob"))
			require.NoError(t, err)
			require.Equal(t, Stored, sent)
			return func() int {
				shared, err := bob.book.EdgesFrom(pointerOf("alice"))
				require.NoError(t, err)
				return len(shared.Edges)
			}
		},
		"introduce both": func(t *testing.T, alice, bob, carol *person) func() int {
			_, sent, err := alice.IntroduceBoth(ctx, alice.key, mutual.Party{Pointer: pointerOf("carol"), Suggested: "carol"}, mutual.Party{Pointer: pointerOf("bob"), Suggested: "bob"}, time.Time{})
			require.NoError(t, err)
			require.Equal(t, Stored, sent)
			return func() int { return len(bob.inbox(t)) }
		},
		"outbox of a sync": func(t *testing.T, alice, bob, carol *person) func() int {
			b, err := message{Kind: kindStatement, Body: alice.introduces(t, carol, bob).Bytes()}.encode()
			require.NoError(t, err)
			alice.edit(t, func(local *ledger.View) error { return enqueue(local, pointerOf("bob"), b) })
			report := alice.fetch(t)
			require.Len(t, report.Waiting, 1)
			return func() int { return len(bob.inbox(t)) }
		},
		"outbox of a channel": func(t *testing.T, alice, bob, carol *person) func() int {
			b, err := message{Kind: kindStatement, Body: alice.introduces(t, carol, bob).Bytes()}.encode()
			require.NoError(t, err)
			alice.edit(t, func(local *ledger.View) error { return enqueue(local, pointerOf("bob"), b) })
			_, waiting, err := alice.flushOutbox(ctx, alice.key, pointerOf("bob"))
			require.NoError(t, err)
			require.Equal(t, 1, waiting)
			return func() int { return len(bob.inbox(t)) }
		},
		"contact request": func(t *testing.T, alice, bob, carol *person) func() int {
			made, err := alice.SendRequest(ctx, alice.key, Request{To: pointerOf("bob"), Difficulty: cheap})
			require.NoError(t, err)
			require.NotEqual(t, pointerOf("bob"), made.Introduction.To)
			return func() int { return len(bob.inbox(t)) }
		},
	} {
		t.Run(what, func(t *testing.T) {
			alice, bob, carol := three(t)
			thief := bob.stolen(t, alice)
			if what == "contact request" {
				_, err := bob.book.Remove(pointerOf("alice"))
				require.NoError(t, err)
				_, err = thief.book.Remove(pointerOf("alice"))
				require.NoError(t, err)
			}
			bob.rotatesAfterTheft(t)
			received := send(t, alice, bob, carol)
			thief.fetch(t)
			require.Empty(t, thief.inbox(t))
			denials, err := thief.TakeDenials()
			require.NoError(t, err)
			require.Empty(t, denials)
			shared, err := thief.book.EdgesFrom(pointerOf("alice"))
			require.NoError(t, err)
			require.Empty(t, shared.Edges)
			bob.fetch(t)
			require.Equal(t, 1, received(), "at once, without a sync of the sender")
		})
	}
}

// A message that waits for the earlier key, unread, is not put there again.
func TestUnreadMessagesAreNotPutAgainForAnEarlierKey(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	store := &countedPuts{Store: alice.network}
	alice.network = store
	alice.open()
	_, err := alice.Send(ctx, alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	old := alice.channelRecord(t, bob)
	bob.rotatesAfterTheft(t)
	alice.clock.now = alice.clock.now.Add(13 * time.Hour) // unacknowledged messages are due again
	store.at = nil
	alice.fetch(t)
	require.NotEmpty(t, store.at)
	require.NotContains(t, store.at, old)
	require.Len(t, bob.fetch(t).Fresh, 1)
}

// countedPuts records the pointers of the records that are put.
type countedPuts struct {
	dht.Store
	at []pointer.Pointer
}

func (c *countedPuts) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	c.at = append(c.at, p)
	return c.Store.Put(ctx, p, record)
}

// channelRecord returns the pointer of the record that p last put for another person.
func (p *person) channelRecord(t *testing.T, other *person) pointer.Pointer {
	t.Helper()
	c, err := p.openChannel(context.Background(), p.key, pointerOf(other.name))
	require.NoError(t, err)
	out, err := c.Outgoing(p.clock.Now())
	require.NoError(t, err)
	return out.Pointer()
}

// The keys of a card that names a successor are not used, neither those in the card nor those
// of a pairing, also if no commitment proves the successor.
func TestNothingIsSealedToACardThatNamesASuccessor(t *testing.T) {
	ctx := context.Background()
	for _, inCard := range []bool{true, false} {
		c := newClock()
		network := &dht.Memory{Now: c.Now}
		alice, bob := newPerson(t, c, network, "alice"), newPerson(t, c, network, "bob")
		known, err := bob.identity(ctx)
		require.NoError(t, err)
		require.NoError(t, alice.putKnown(pointerOf("bob"), known.Details))
		keys := bob.sealing
		if !inCard {
			bob.sealing = nil
		}
		bob.publishes(t, bob.key, 1, pointer.Card{Next: bob.next(), Successor: pointerOf("mallory")})
		bob.sealing = keys
		_, err = alice.SendRequest(ctx, alice.key, Request{To: pointerOf("bob"), Difficulty: cheap})
		var moved *MovedError
		require.ErrorAs(t, err, &moved)
		require.Equal(t, MovedError{Pointer: pointerOf("bob"), Successor: pointerOf("mallory")}, *moved)
		_, err = alice.Send(ctx, alice.key, pointerOf("bob"), alice.introduces(t, newPerson(t, c, network, "carol"), bob))
		require.ErrorAs(t, err, &moved)
		require.False(t, moved.Proven)
		require.False(t, alice.hasChannel(pointerOf("bob")))
	}
}

// A contact request that waits to be sent again ends when its recipient rotates.
func TestAContactRequestEndsWhenItsRecipientRotates(t *testing.T) {
	alice, bob, _ := three(t)
	_, err := bob.book.Remove(pointerOf("alice"))
	require.NoError(t, err)
	_, err = alice.SendRequest(context.Background(), alice.key, Request{To: pointerOf("bob"), Difficulty: cheap})
	require.NoError(t, err)
	thief := bob.stolen(t)
	to := bob.rotatesAfterTheft(t)
	alice.clock.now = alice.clock.now.Add(5 * time.Hour) // the request before has expired
	report, err := alice.Sync(context.Background(), alice.key)
	require.NoError(t, err)
	require.Zero(t, report.Requests)
	var moved *MovedError
	require.ErrorAs(t, errors.Join(report.Errs...), &moved)
	require.Equal(t, to, moved.Successor)
	thief.fetch(t)
	require.Empty(t, thief.inbox(t))
	require.Empty(t, alice.fetch(t).Errs)
}

// Both keys rotate: the channel of the owner's earlier key with the party's earlier key is
// neither read nor written, and ends.
func TestAFormerChannelWithAnEarlierKeyEnds(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	alice.rotates(t)
	alice.fetch(t)
	bob.rotatesAfterTheft(t)
	alice.learnsRotation(t, bob)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("bob"): 1}, alice.fetch(t).Waiting)
	alice.clock.now = alice.clock.now.Add(formerRetention + time.Hour)
	report, err := alice.Sync(context.Background(), alice.key)
	require.NoError(t, err)
	require.ErrorContains(t, errors.Join(report.Errs...), "send them again")
	former, err := alice.formerChannels()
	require.NoError(t, err)
	require.Empty(t, former)
}

// No message is sent to a contact whose moves contradict each other.
func TestNothingIsSentToAnEarlierKeyInContradiction(t *testing.T) {
	alice, bob, carol := three(t)
	from, _ := alice.forks(t, bob)
	_, err := alice.Send(context.Background(), alice.key, from, alice.introduces(t, carol, bob))
	require.True(t, errors.As(err, new(*petname.DuplicityError)) || errors.As(err, new(*petname.ContradictionError)), "%v", err)
	require.False(t, alice.hasChannel(from))
}
