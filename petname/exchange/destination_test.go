package exchange

import (
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// thief is a person with the key of another one, which names the thief's own key as its
// successor.
func newThief(t testing.TB, of *person, others ...*person) *person {
	t.Helper()
	thief := newPerson(t, of.clock, of.network, "thief")
	thief.knows(t, others...)
	return thief
}

// believes makes the owner believe that the key of a thief is the successor of a contact's, and
// returns the function that undoes it.
func (p *person) believes(t testing.TB, victim, thief *person) (undo func()) {
	t.Helper()
	return p.believesIn(t, func() *petname.Book { return p.book }, victim, thief)
}

// believesIn is believes in a book of the owner.
func (p *person) believesIn(t testing.TB, book func() *petname.Book, victim, thief *person) (undo func()) {
	t.Helper()
	before, err := book().Find(victim.name)
	require.NoError(t, err)
	next, err := pointer.Commit(thief.key.Public())
	require.NoError(t, err)
	var stolen ed25519.PrivateKey
	for _, of := range []string{"bob", "carol"} {
		if pointerOf(of) == before.Pointer {
			stolen = testKey(of)
		}
	}
	step, err := pointer.Succeed(before.Pointer, thief.key, pointer.Commitment{}, stolen)
	require.NoError(t, err)
	n, err := name.Parse(victim.name)
	require.NoError(t, err)
	_, err = book().Add(n, pointer.Link{Pointer: before.Pointer, Next: next}, petname.Source{ReplacePin: true})
	require.NoError(t, err)
	p.clock.now = p.clock.now.Add(time.Second)
	thief.publishes(t, thief.key, 1, pointer.Card{Succession: []pointer.Succession{step}})
	to := pointerOf(thief.name)
	network := &dht.Resolver{Stores: []dht.Store{thief.network}, Now: p.clock.Now}
	_, err = book().Resolve(t.Context(), network, to.String(), dht.LevelFresh)
	require.NoError(t, err)
	c, err := book().Find(victim.name)
	require.NoError(t, err)
	require.Equal(t, to, c.Pointer)
	return func() {
		t.Helper()
		for range 10 {
			_, err := book().Undo()
			require.NoError(t, err)
			if c, err := book().Find(victim.name); err == nil && c.Pointer == before.Pointer {
				return
			}
		}
		require.Fail(t, "not undone")
	}
}

// queues puts an introduction of about to another person into the outbox, as a session does.
func (p *person) queues(t testing.TB, about, to *person) {
	t.Helper()
	c, err := p.book.Find(to.name)
	require.NoError(t, err)
	b, err := message{Kind: kindStatement, Body: p.introduces(t, about, to).Bytes()}.encode()
	require.NoError(t, err)
	require.NoError(t, p.update(func(tx tx) error { return enqueueFor(tx.local, c.Pointer, c.ID, b) }))
}

// adds adds a person to the book under a name.
func (p *person) adds(t testing.TB, as string, who *person) {
	t.Helper()
	n, err := name.Parse(as)
	require.NoError(t, err)
	_, err = p.book.Add(n, pointer.Link{Pointer: pointerOf(who.name)}, petname.Source{})
	require.NoError(t, err)
}

// forgets removes the contacts from the rows, as in those of an older version.
func forgets(local *ledger.View) error {
	for row, err := range local.Scan(tableRecipients, nil) {
		if err == nil {
			err = local.Delete(tableRecipients, row.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// The attack: a thief of Bob's key names its own key as the successor, and the owner believes
// it for a while. What followed and was not sent comes back when that is undone, in order and
// under the right keys; nothing of it is sent to the thief, even if its key is a contact then.
func TestMessagesComeBackFromASuccessorThatIsUndone(t *testing.T) {
	for _, known := range []string{"no contact", "a contact", "rows of an older version"} {
		t.Run(known, func(t *testing.T) {
			alice, bob, carol := three(t)
			thief := newThief(t, bob, alice)
			_, err := alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
			require.NoError(t, err)
			require.Len(t, bob.fetch(t).Fresh, 1)
			require.Empty(t, alice.fetch(t).Waiting, "the channel has a position")
			alice.queues(t, thief, bob)
			undo := alice.believes(t, bob, thief)
			at, err := alice.followSuccession(pointerOf("bob"))
			require.NoError(t, err)
			require.Equal(t, pointerOf("thief"), at)
			require.Len(t, alice.rows(t, tableOutbox, pointerOf("thief").Bytes()), 1)
			undo()
			switch known {
			case "a contact":
				alice.adds(t, "mallory", thief)
			case "rows of an older version":
				alice.edit(t, forgets)
			}
			alice.clock.now = alice.clock.now.Add(5 * time.Minute)
			alice.reopen(t)
			report := alice.fetch(t)
			require.Equal(t, map[pointer.Pointer]int{pointerOf("bob"): 1}, report.Waiting)
			require.Empty(t, alice.rows(t, tableOutbox, nil))
			require.Empty(t, thief.fetch(t).Fresh)
			got := bob.fetch(t)
			require.Len(t, got.Fresh, 1)
			require.Zero(t, got.Lost, "the channel continues where it was")
			require.Empty(t, alice.fetch(t).Waiting)
			require.Empty(t, thief.fetch(t).Fresh)
			require.Empty(t, Check(alice.book))
		})
	}
}

// Messages that are in the channel with the thief come back as well: the thief may have what was
// sent before the undo, and gets nothing that is sent later.
func TestMessagesInTheChannelOfAThiefComeBack(t *testing.T) {
	alice, bob, carol := three(t)
	thief := newThief(t, bob, alice)
	_, err := alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	undo := alice.believes(t, bob, thief)
	alice.fetch(t)
	alice.fetch(t)
	require.Len(t, alice.rows(t, tableQueue, pointerOf("thief").Bytes()), 1)
	undo()
	alice.adds(t, "mallory", thief)
	_, err = alice.Send(t.Context(), alice.key, pointerOf("thief"), alice.introduces(t, carol, thief))
	require.NoError(t, err)
	alice.queues(t, thief, bob)
	for range 2 {
		alice.fetch(t)
	}
	require.Len(t, bob.fetch(t).Fresh, 2)
	fresh := thief.fetch(t).Fresh
	require.Len(t, fresh, 1, "the one to mallory")
	alice.fetch(t)
	require.Empty(t, alice.fetch(t).Waiting)
}

// What the contact sent before counts neither as lost nor as new when it comes back.
func TestAChannelContinuesWhenItsContactComesBack(t *testing.T) {
	alice, bob, carol := three(t)
	thief := newThief(t, bob, alice)
	for range 2 {
		_, err := bob.Send(t.Context(), bob.key, pointerOf("alice"), bob.introduces(t, carol, alice))
		require.NoError(t, err)
		require.Len(t, alice.fetch(t).Fresh, 1)
		require.Empty(t, bob.fetch(t).Waiting)
	}
	undo := alice.believes(t, bob, thief)
	alice.fetch(t)
	require.False(t, alice.hasChannel(pointerOf("bob")))
	undo()
	alice.clock.now = alice.clock.now.Add(5 * time.Minute)
	_, err := bob.Send(t.Context(), bob.key, pointerOf("alice"), bob.introduces(t, carol, alice))
	require.NoError(t, err)
	report := alice.fetch(t)
	require.Zero(t, report.Lost)
	require.Len(t, report.Fresh, 1)
	require.Empty(t, bob.fetch(t).Waiting)
}

// The attack: a contact moves to the key of another one that was removed, as with a retired key
// that was stolen. The messages to the removed contact are not sent to it.
func TestMessagesToARemovedContactFollowNoOtherContact(t *testing.T) {
	alice, bob, carol := three(t)
	alice.queues(t, carol, bob)
	_, err := alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	_, err = alice.book.Remove(pointerOf("bob"))
	require.NoError(t, err)
	alice.believes(t, carol, bob)
	thief := newThief(t, bob, alice)
	for i := range 4 {
		if i == 2 {
			alice.believes(t, carol, thief)
		}
		alice.clock.now = alice.clock.now.Add(5 * time.Minute)
		alice.fetch(t)
		require.Empty(t, alice.rows(t, tableQueue, nil))
		require.Len(t, alice.rows(t, tableOutbox, pointerOf("bob").Bytes()), 2)
		held, err := alice.Held()
		require.NoError(t, err)
		require.Equal(t, []Held{{ID: pointerOf("bob"), Pointer: pointerOf("bob"), Messages: 2, Reason: HeldRemoved}}, held)
	}
	require.Empty(t, thief.fetch(t).Fresh)
}

// An answer to the offer of a thief is not sent to the contact, which has no such session.
func TestAnAnswerToAThiefsOfferIsNotSentToTheContact(t *testing.T) {
	alice, bob, carol := three(t)
	thief := newThief(t, bob, alice, carol)
	undo := alice.believes(t, bob, thief)
	thief.offers(t, alice, carol)
	alice.fetch(t)
	offers := alice.inbox(t)
	require.Len(t, offers, 1)
	_, err := alice.answerOffer(offers[0].ID, func(v *mutual.Invitee) ([]mutual.Outgoing, error) { return v.Decline(), nil },
		func(*petname.Book) error { return nil })
	require.NoError(t, err)
	undo()
	alice.clock.now = alice.clock.now.Add(5 * time.Minute)
	for range 2 {
		alice.fetch(t)
		require.Empty(t, bob.fetch(t).Refused)
	}
	held, err := alice.Held()
	require.NoError(t, err)
	require.Equal(t, []Held{{ID: pointerOf("bob"), Pointer: pointerOf("bob"), Messages: 1, Reason: HeldMistaken}}, held)
	alice.clock.now = alice.clock.now.Add(IntroductionLifetime)
	alice.fetch(t)
	held, err = alice.Held()
	require.NoError(t, err)
	require.Empty(t, held, "the session is over")
}

// The same after two successors, and when the acts are those of another device of the owner.
func TestMessagesComeBackOverSeveralMovesAndDevices(t *testing.T) {
	alice, bob, carol := three(t)
	device := alice.device(t)
	sync := func(from, to *petname.Book) {
		_, err := to.Ledger().Merge(slices.Values(lacks(t, from, to.Ledger().Heads())))
		require.NoError(t, err)
	}
	thief := newThief(t, bob, alice)
	alice.queues(t, carol, bob)
	for range 3 {
		undo := alice.believesIn(t, func() *petname.Book { return device }, bob, thief)
		sync(device, alice.book)
		at, err := alice.followSuccession(pointerOf("bob"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("thief"), at)
		require.Empty(t, alice.rows(t, tableOutbox, pointerOf("bob").Bytes()))
		undo()
		sync(device, alice.book)
		at, err = alice.followSuccession(pointerOf("thief"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("bob"), at)
		require.Len(t, alice.rows(t, tableOutbox, pointerOf("bob").Bytes()), 1)
		alice.clock.now = alice.clock.now.Add(time.Minute)
	}
	alice.clock.now = alice.clock.now.Add(5 * time.Minute)
	alice.fetch(t)
	require.Len(t, bob.fetch(t).Fresh, 1)
	require.Empty(t, thief.fetch(t).Fresh)

	require.Empty(t, alice.fetch(t).Waiting)
	alice.queues(t, thief, bob)
	_, next, _ := bob.rotates(t) // to his real successor
	alice.clock.now = alice.clock.now.Add(5 * time.Minute)
	alice.fetch(t)
	require.Equal(t, map[pointer.Pointer]int{next: 1}, alice.fetch(t).Waiting)
	require.Len(t, bob.fetch(t).Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)
	require.Empty(t, thief.fetch(t).Fresh)
}

// Edges that were sent to a thief are sent again to the contact.
func TestSharedEdgesAreSentAgainAfterAnUndo(t *testing.T) {
	for _, fetched := range []bool{false, true} {
		alice, bob, _ := three(t)
		thief := newThief(t, bob, alice)
		undo := alice.believes(t, bob, thief)
		c, err := alice.book.Find("bob")
		require.NoError(t, err)
		shareCarol := func() {
			n, err := petname.CheckLabel("choir")
			require.NoError(t, err)
			_, err = alice.book.ShareWith(pointerOf("bob"), pointerOf("carol"), n)
			require.NoError(t, err)
		}
		shareCarol()
		_, err = alice.ShareWith(t.Context(), alice.key, c.Pointer)
		require.NoError(t, err)
		if fetched {
			thief.fetch(t)
			require.Empty(t, alice.fetch(t).Waiting)
		}
		undo()
		// The edges themselves were undone, too, if they came later.
		if edges, err := petname.PublishableEdges(alice.book.EdgesWith(c.ID)); err != nil || len(edges) == 0 {
			shareCarol()
		}
		alice.clock.now = alice.clock.now.Add(5 * time.Minute)
		for range 3 {
			alice.fetch(t)
			bob.fetch(t)
		}
		require.NotEmpty(t, bob.reads(t, pointerOf("alice")))
		held, err := alice.Held()
		require.NoError(t, err)
		require.Empty(t, held)
	}
}

// What was signed for a mistaken key is neither sent to the contact, which would refuse it, nor
// lost: it is listed until the owner drops it.
func TestWhatWasSignedForAMistakenKeyIsListed(t *testing.T) {
	alice, bob, carol := three(t)
	thief := newThief(t, bob, alice)
	undo := alice.believes(t, bob, thief)
	_, err := alice.Send(t.Context(), alice.key, pointerOf("thief"), alice.introduces(t, carol, thief))
	require.NoError(t, err)
	alice.queues(t, thief, bob)
	undo()
	alice.clock.now = alice.clock.now.Add(5 * time.Minute)
	for range 2 {
		alice.fetch(t)
		require.Empty(t, bob.fetch(t).Refused)
	}
	held, err := alice.Held()
	require.NoError(t, err)
	require.Equal(t, []Held{{ID: pointerOf("bob"), Pointer: pointerOf("bob"), Messages: 1, Reason: HeldMistaken}}, held)
	n, err := alice.DropHeld(pointerOf("bob"))
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Empty(t, alice.rows(t, tableOutbox, nil))
	require.Empty(t, alice.rows(t, tableRecipients, nil)[1:], "that of the channel alone")
	_, err = alice.DropHeld(pointerOf("bob"))
	require.ErrorIs(t, err, petname.ErrNotFound)
	require.Len(t, bob.inbox(t), 1)
}

// Messages to a contact that was removed, or whose addition was undone, are listed, and are sent
// to no other contact; they are sent when it is added again.
func TestMessagesToARemovedContactAreListed(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(t.Context(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	alice.queues(t, carol, bob)
	held, err := alice.Held()
	require.NoError(t, err)
	require.Empty(t, held)
	_, err = alice.book.Remove(pointerOf("bob"))
	require.NoError(t, err)
	newKey := newPerson(t, alice.clock, alice.network, "bob's new key")
	alice.adds(t, "bob", newKey) // rm bob; add bob NEWLINK
	newKey.knows(t, alice)
	for range 2 {
		alice.fetch(t)
		held, err = alice.Held()
		require.NoError(t, err)
		require.Equal(t, []Held{{ID: pointerOf("bob"), Pointer: pointerOf("bob"), Messages: 2, Reason: HeldRemoved}}, held)
		require.Empty(t, newKey.fetch(t).Fresh)
		alice.reopen(t)
	}
	alice.adds(t, "old bob", bob)
	held, err = alice.Held()
	require.NoError(t, err)
	require.Empty(t, held)
	alice.fetch(t)
	require.Len(t, bob.fetch(t).Fresh, 2)
	require.Empty(t, alice.fetch(t).Waiting)
}

// A drop deletes what is held for one contact, and nothing else; the channel is of use later.
func TestADropDeletesOnlyWhatIsHeld(t *testing.T) {
	alice, bob, carol := three(t)
	for _, to := range []*person{bob, carol} {
		about := map[*person]*person{bob: carol, carol: bob}[to]
		_, err := alice.Send(t.Context(), alice.key, pointerOf(to.name), alice.introduces(t, about, to))
		require.NoError(t, err)
		alice.queues(t, about, to)
	}
	_, err := alice.DropHeld(pointerOf("bob"))
	require.ErrorIs(t, err, petname.ErrNotFound, "it can be sent")
	_, err = alice.book.Remove(pointerOf("bob"))
	require.NoError(t, err)
	n, err := alice.DropHeld(pointerOf("bob"))
	require.NoError(t, err)
	require.Equal(t, 2, n)
	require.Empty(t, alice.rows(t, tableQueue, pointerOf("bob").Bytes()))
	require.Len(t, slices.Concat(alice.rows(t, tableQueue, nil), alice.rows(t, tableOutbox, nil)), 2)
	require.Empty(t, Check(alice.book))
	alice.adds(t, "bob", bob)
	alice.queues(t, carol, bob)
	alice.fetch(t)
	require.NotEmpty(t, bob.fetch(t).Fresh)
	require.Empty(t, Check(alice.book))
}

// No answer to an offer is sent to an introducer that is no contact any more.
func TestNoAnswerIsSentToAnIntroducerThatIsNoContact(t *testing.T) {
	alice, bob, carol := three(t)
	bob.offers(t, alice, carol)
	alice.fetch(t)
	offers := alice.inbox(t)
	require.Len(t, offers, 1)
	_, err := alice.book.Remove(pointerOf("bob"))
	require.NoError(t, err)
	_, sent, err := alice.DeclineMutual(t.Context(), alice.key, offers[0].ID)
	require.Equal(t, Queued, sent)
	require.ErrorIs(t, err, petname.ErrNotFound)
	held, err := alice.Held()
	require.NoError(t, err)
	require.Len(t, held, 1)
}

// Whatever the owner does with two contacts and a thief, no message to one is sent to another,
// none is lost, and each arrives once when the contacts are as they were.
func TestLawMessagesStayWithTheirContact(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 13))
		alice, bob, carol := three(t)
		thief := newThief(t, bob, alice)
		var undo func()
		queued, believed := 0, false
		for range 12 {
			switch random.IntN(7) {
			case 0, 1:
				if c, err := alice.book.Find("bob"); err == nil && !c.Name.IsZero() {
					alice.queues(t, carol, bob) // signed for his own key
					queued++
				}
			case 2:
				if c, err := alice.book.Find("bob"); err == nil && undo == nil && c.Pointer == pointerOf("bob") {
					undo, believed = alice.believes(t, bob, thief), true
				}
			case 3:
				if undo != nil {
					undo()
					undo = nil
				}
			case 4:
				for _, p := range []pointer.Pointer{pointerOf("bob"), pointerOf("thief")} {
					_, err := alice.followSuccession(p)
					require.NoError(t, err)
				}
			case 5:
				if undo == nil { // while nothing follows to the thief
					alice.clock.now = alice.clock.now.Add(3 * time.Minute)
					alice.fetch(t)
				}
			case 6:
				alice.reopen(t)
			}
			rows := len(alice.rows(t, tableOutbox, nil)) + len(alice.rows(t, tableQueue, nil))
			require.LessOrEqual(t, rows, queued)
			require.GreaterOrEqual(t, rows+len(bob.inbox(t)), queued)
		}
		if undo != nil {
			undo()
		}
		if believed {
			alice.adds(t, "mallory", thief)
		}
		alice.clock.now = alice.clock.now.Add(5 * time.Minute)
		for range 3 {
			alice.fetch(t)
			bob.fetch(t)
		}
		require.Empty(t, alice.fetch(t).Waiting, seed)
		require.Empty(t, thief.fetch(t).Fresh, seed)
		require.Len(t, bob.inbox(t), queued, "seed %d", seed)
		require.Empty(t, Check(alice.book))
	}
}
