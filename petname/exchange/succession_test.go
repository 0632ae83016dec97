package exchange

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// rotates rotates the key of p: it publishes a last card of the earlier key, and a first card
// of the next.
func (p *person) rotates(t testing.TB) (from, to pointer.Pointer, chain []pointer.Succession) {
	t.Helper()
	next := testKey(p.name + "'s next")
	after, err := pointer.Commit(testKey(p.name + "'s third").Public())
	require.NoError(t, err)
	step, err := pointer.Succeed(pointerOf(p.name), next, after, p.key)
	require.NoError(t, err)
	chain = []pointer.Succession{step}
	p.chain = append(p.chain, step)
	require.NoError(t, p.book.SetOwnSuccession(p.chain, p.chainNext()))
	to, err = pointer.FromPublicKey(next.Public())
	require.NoError(t, err)
	p.publishes(t, p.key, 1, pointer.Card{Nickname: p.name, Next: p.next(), Successor: to})
	p.publishes(t, next, 0, pointer.Card{Nickname: p.name, Next: after, Succession: chain})
	p.key = next
	return pointerOf(p.name), to, chain
}

// learnsRotation advances the contact other in the book of p to the current key of
// other, by the card of that key.
func (p *person) learnsRotation(t testing.TB, other *person) {
	t.Helper()
	advance(t, p.book, &dht.Resolver{Stores: []dht.Store{other.network}, Now: p.clock.Now}, other.key)
}

// advance advances a contact to a key, by the succession in the card of the key.
func advance(t testing.TB, book *petname.Book, records petname.Records, key ed25519.PrivateKey) {
	t.Helper()
	to, err := pointer.FromPublicKey(key.Public())
	require.NoError(t, err)
	_, err = book.Resolve(context.Background(), records, to.String(), dht.LevelFresh)
	require.NoError(t, err)
	c, err := book.ByPointer(to)
	require.NoError(t, err)
	require.Equal(t, to, c.Pointer)
}

// publishes puts a card of a key into the network, with the current sealing keys.
func (p *person) publishes(t testing.TB, key ed25519.PrivateKey, later uint64, card pointer.Card) {
	t.Helper()
	for _, k := range p.sealing {
		card.Sealing = append(card.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	r, err := pointer.Sign(key, pointer.Fields{Sequence: uint64(p.clock.Now().Unix()) + later, Expires: p.clock.Now().AddDate(0, 3, 0), TTL: time.Minute, Card: &card})
	require.NoError(t, err)
	_, err = p.network.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

func TestChannelsContinueAfterARotation(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	for _, sent := range []struct {
		by, about, to *person
	}{{carol, bob, alice}, {alice, bob, carol}} { // both have sent to each other
		_, err := sent.by.Send(ctx, sent.by.key, pointerOf(sent.to.name), sent.by.introduces(t, sent.about, sent.to))
		require.NoError(t, err)
	}
	require.Len(t, alice.fetch(t).Fresh, 1)
	carol.fetch(t)
	_, err := carol.Send(ctx, carol.key, pointerOf("alice"), carol.introduces(t, bob, alice))
	require.NoError(t, err)

	alice.rotates(t)
	require.Len(t, alice.fetch(t).Fresh, 1, "sent to the earlier key")
	require.Empty(t, alice.fetch(t).Fresh, "once")
	alice.reopen(t)
	require.Empty(t, alice.fetch(t).Fresh, "once, also after a restart")

	carol.learnsRotation(t, alice)
	report := carol.fetch(t)
	require.Len(t, report.Waiting, 1, "the earlier key cannot acknowledge it: it is sent to the next key")
	require.Empty(t, alice.fetch(t).Fresh, "which has received it before")
	require.Empty(t, carol.fetch(t).Waiting)

	_, err = alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	require.Len(t, carol.fetch(t).Fresh, 1)

	alice.clock.now = alice.clock.now.Add(formerRetention + time.Hour)
	alice.fetch(t)
	former, err := alice.formerChannels()
	require.NoError(t, err)
	require.Empty(t, former)
}

func TestUnreadMessagesOfAnEarlierKeyAreReported(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.rotates(t)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): 1}, alice.fetch(t).Waiting)
	alice.clock.now = alice.clock.now.Add(formerRetention + time.Hour)
	report, err := alice.Sync(context.Background(), alice.key)
	require.NoError(t, err)
	require.Len(t, report.Errs, 1)
	require.ErrorContains(t, report.Errs[0], "send them again")
	require.Empty(t, alice.fetch(t).Waiting)
}

func TestUnreadMessagesFollowAContactToItsNextKey(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	signed := alice.introduces(t, bob, carol)
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), signed)
	require.NoError(t, err)
	carol.sealing = newPerson(t, alice.clock, alice.network, "dave").sealing // she cannot find it any more
	_, to, _ := carol.rotates(t)
	carol.reopen(t)
	alice.learnsRotation(t, carol)
	require.Equal(t, map[pointer.Pointer]int{to: 1}, alice.fetch(t).Waiting)
	require.Len(t, carol.fetch(t).Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)

	found, _, err := alice.Retract(ctx, alice.key, to, pointerOf("bob"))
	require.NoError(t, err)
	require.Len(t, found, 1, "it is the same contact")
	carol.fetch(t)
	require.Empty(t, carol.inbox(t))
}

// No call of Resolve is needed.
func TestASyncFindsTheRotationOfAContact(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	_, to, _ := carol.rotates(t)                           // before her first Sync
	alice.clock.now = alice.clock.now.Add(2 * time.Minute) // cached cards have expired
	alice.fetch(t)
	require.Equal(t, map[pointer.Pointer]int{to: 1}, alice.fetch(t).Waiting)
	require.Len(t, carol.fetch(t).Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)
	c, err := alice.book.ByPointer(pointerOf("carol"))
	require.NoError(t, err)
	require.Equal(t, to, c.Pointer)
}

// An invitation is signed by a key. After a rotation it cannot be answered, and Sync reports
// it, in the same process and after a restart.
func TestAnInvitationOfAnEarlierKeyIsVoidAndReported(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := newClock()
		network := &dht.Memory{Now: c.Now}
		alice := newPerson(t, c, network, "alice")
		_, err := alice.Invite(context.Background(), alice.key, Terms{Terms: pair.Terms{Expires: c.now.Add(time.Hour)}})
		require.NoError(t, err)
		alice.rotates(t)
		if restart {
			alice.reopen(t)
		}
		report, err := alice.Sync(context.Background(), alice.key)
		require.NoError(t, err)
		require.ErrorIs(t, errors.Join(report.Errs...), ErrOldInvitation)
		require.False(t, alice.HasInvitations())
		require.Empty(t, alice.fetch(t).Fresh)
	}
}

// device returns the book of the same person on another device.
func (p *person) device(t testing.TB) *petname.Book {
	t.Helper()
	name := p.name + "'s other device"
	file := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, p.book.Ledger().AdmitDevice(p.key, testKey(name).Public().(ed25519.PublicKey), "other"))
	b, err := petname.Join(file, p.book.Identity(), testKey(name), slices.Values(lacks(t, p.book, nil)), petname.Options{Now: p.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

func lacks(t testing.TB, b *petname.Book, heads []ledger.Head) (entries [][]byte) {
	t.Helper()
	for e, err := range b.Ledger().Missing(heads) {
		require.NoError(t, err)
		entries = append(entries, e)
	}
	return entries
}

// forks rotates the key of other, and passes another succession by the same two
// keys to another device of p. After a merge p has both successions.
func (p *person) forks(t testing.TB, other *person) (from, to pointer.Pointer) {
	t.Helper()
	device := p.device(t)
	from, to, _ = other.rotates(t)
	after, err := pointer.Commit(testKey("a thief's").Public())
	require.NoError(t, err)
	second, err := pointer.Succeed(from, testKey(other.name+"'s next"), after, testKey(other.name))
	require.NoError(t, err)
	p.learnsRotation(t, other)
	card := pointer.Card{Next: after, Succession: []pointer.Succession{second}}
	r, err := pointer.Sign(other.key, pointer.Fields{Sequence: 1, Expires: p.clock.Now().AddDate(0, 3, 0), Card: &card})
	require.NoError(t, err)
	network := &dht.Memory{Now: p.clock.Now}
	_, err = network.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
	advance(t, device, &dht.Resolver{Stores: []dht.Store{network}, Now: p.clock.Now}, other.key)
	_, err = p.book.Ledger().Merge(slices.Values(lacks(t, device, p.book.Ledger().Heads())))
	require.NoError(t, err)
	c, err := p.book.ByPointer(from)
	require.NoError(t, err)
	require.True(t, len(c.Contradictions) > 0)
	require.Equal(t, to, c.Pointer)
	return from, to
}

// With two successions on record the owner of the next key is unknown. Queued
// messages for the contact stay queued, and no messages are accepted from
// either key.
func TestUnderDuplicityNothingIsSentToOrAcceptedFromTheNextKey(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	byTheOld := carol.introduces(t, bob, alice)
	_, err = carol.Send(ctx, carol.key, pointerOf("alice"), byTheOld)
	require.NoError(t, err)
	from, to := alice.forks(t, carol)
	alice.clock.now = alice.clock.now.Add(13 * time.Hour) // unacknowledged messages are due again
	carol.reopen(t)
	_, err = carol.Send(ctx, carol.key, pointerOf("alice"), carol.introduces(t, bob, alice))
	require.NoError(t, err)
	for range 2 {
		report, err := alice.Sync(ctx, alice.key)
		require.NoError(t, err)
		require.Empty(t, report.Fresh)
		require.Equal(t, map[pointer.Pointer]int{from: 1}, report.Waiting)
		require.False(t, alice.hasChannel(to))
		alice.reopen(t)
	}
	require.Empty(t, alice.inbox(t))
	report, err := carol.Sync(ctx, carol.key)
	require.NoError(t, err)
	require.Equal(t, 2, report.Waiting[pointerOf("alice")], "no message is acknowledged before the owner has settled it")
	parties, err := alice.partiesToPoll(new(Report))
	require.NoError(t, err)
	require.NotContains(t, parties, to)
}

// No messages are received from or sent to a removed contact, or its next key.
// If the contact is added again, the channel continues.
func TestARemovedContactIsNeitherReadNorWrittenTo(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	_, err = carol.Send(ctx, carol.key, pointerOf("alice"), carol.introduces(t, bob, alice))
	require.NoError(t, err)
	_, err = alice.book.Remove(pointerOf("carol"))
	require.NoError(t, err)
	alice.clock.now = alice.clock.now.Add(13 * time.Hour) // unacknowledged messages are due again
	left := new(atomic.Int32)
	left.Store(100)
	alice.network = limitedStore{alice.network, left}
	alice.reopen(t)
	report := alice.fetch(t)
	require.Equal(t, 1, report.Polled, "Bob alone")
	require.Empty(t, report.Fresh)
	require.EqualValues(t, 100, left.Load(), "nothing is put")
	require.Empty(t, alice.inbox(t))
	require.Equal(t, 1, carol.fetch(t).Waiting[pointerOf("alice")])

	alice.knows(t, carol)
	require.Len(t, alice.fetch(t).Fresh, 1)
	require.Empty(t, carol.fetch(t).Waiting)
	require.Empty(t, alice.fetch(t).Waiting, "she has already processed it")
}

func TestMessagesForARemovedContactDoNotFollowItsKey(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	from, to, _ := carol.rotates(t)
	alice.learnsRotation(t, carol)
	_, err = alice.book.Remove(to)
	require.NoError(t, err)
	alice.fetch(t)
	require.True(t, alice.hasChannel(from), "it remains under the old key")
	require.False(t, alice.hasChannel(to))
	waiting, err := alice.outboxRecipients()
	require.NoError(t, err)
	require.Empty(t, waiting)
}

// A thief may have an earlier key of a contact. Statements that it signs are
// refused on every channel, and delay nothing.
func TestStatementsOfAnEarlierKeyAreRefused(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	old := carol.introduces(t, bob, alice)
	_, offer, err := mutual.Start(alice.clock.now, rand.Reader, carol.key, mutual.Party{Pointer: pointerOf("alice"), Suggested: "x"},
		mutual.Party{Pointer: pointerOf("bob"), Suggested: "y"}, alice.clock.now.Add(IntroductionLifetime))
	require.NoError(t, err)
	_, to, _ := carol.rotates(t)
	alice.learnsRotation(t, carol)
	alice.fetch(t)
	for _, m := range []message{{Kind: kindStatement, Body: old.Bytes()}, {Kind: kindMutual, Body: offer[0].Bytes}, {Kind: kindStatement, Body: carol.introduces(t, bob, alice).Bytes()}} {
		_, err = carol.sendMessage(ctx, carol.key, pointerOf("alice"), m)
		require.NoError(t, err)
	}
	alice.clock.now = alice.clock.now.Add(time.Minute)
	report := alice.fetch(t)
	require.Len(t, report.Refused, 2)
	require.Equal(t, to, report.Refused[0].By)
	require.ErrorIs(t, report.Refused[0].Err, petname.ErrUnknownSender)
	require.ErrorIs(t, report.Refused[1].Err, mutual.ErrOtherSession)
	require.Len(t, report.Fresh, 1, "a statement of the new key is accepted")
	require.Equal(t, to, report.Fresh[0].By)
	all, err := alice.Mutuals()
	require.NoError(t, err)
	require.Empty(t, all)
}

// sameRecord finds one record, whatever was published since.
type sameRecord struct{ dht.Result }

func (s sameRecord) Best(context.Context, pointer.Pointer, dht.Level) (dht.Result, error) {
	return s.Result, nil
}

// The channels of an earlier key are read for two epochs. In this time,
// messages from a contact that does not know of the next key are found there.
func TestAFormerChannelIsReadForTwoEpochs(t *testing.T) {
	for after, found := range map[time.Duration]int{2*drop.Epoch - time.Hour: 1, 2*drop.Epoch + time.Hour: 0} {
		alice, bob, carol := three(t)
		ctx := context.Background()
		_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
		require.NoError(t, err)
		carol.fetch(t)
		require.Empty(t, alice.fetch(t).Waiting)
		hidden, err := carol.c.Records.Best(ctx, pointerOf("alice"), dht.LevelAny)
		require.NoError(t, err)
		carol.c.Records = sameRecord{hidden} // the network hides her rotation from Carol
		alice.rotates(t)
		alice.fetch(t)
		alice.clock.now = alice.clock.now.Add(after)
		alice.fetch(t) // the last look-up, if the epochs are over
		_, err = carol.Send(ctx, carol.key, pointerOf("alice"), carol.introduces(t, bob, alice))
		require.NoError(t, err)
		require.Len(t, alice.fetch(t).Fresh, found, after)
	}
}

// A channel is retired once, and its time does not start again.
func TestAChannelIsRetiredOnce(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.rotates(t)
	var first []formerChannel
	for range 2 {
		_, err := alice.openChannel(ctx, alice.key, pointerOf("carol"))
		require.NoError(t, err)
		require.False(t, alice.hasChannel(pointerOf("carol")))
		all, err := alice.formerChannels()
		require.NoError(t, err)
		require.Len(t, all, 1)
		if first == nil {
			first = all
		}
		require.Equal(t, first, all)
		alice.clock.now = alice.clock.now.Add(time.Hour)
	}
}

// Messages in the outbox follow the contact to its next key, after the messages
// that were sent before. No messages remain for the earlier key.
func TestQueuedMessagesFollowOnceAndInOrder(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.edit(t, func(local *ledger.View) error {
		return errors.Join(enqueue(local, pointerOf("carol"), []byte("second")), enqueue(local, pointerOf("carol"), []byte("third")), enqueue(local, pointerOf("bob"), []byte("bob's")))
	})
	from, to, _ := carol.rotates(t)
	alice.learnsRotation(t, carol)
	for range 2 {
		at, err := alice.followSuccession(from)
		require.NoError(t, err)
		require.Equal(t, to, at)
		require.False(t, alice.hasChannel(from))
		require.Empty(t, alice.rows(t, tableQueue, from.Bytes()))
		require.Empty(t, alice.rows(t, tableOutbox, from.Bytes()))
		require.Len(t, alice.rows(t, tableOutbox, pointerOf("bob").Bytes()), 1)
		waiting := alice.rows(t, tableOutbox, to.Bytes())
		require.Len(t, waiting, 3)
		require.Equal(t, [][]byte{[]byte("second"), []byte("third")}, waiting[1:])
	}
}
