package exchange

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// three returns Alice, who has Bob and Carol in her book, and Bob and Carol, who have her.
func three(t testing.TB) (alice, bob, carol *person) {
	c := newClock()
	network := &dht.Memory{Now: c.Now}
	alice, bob, carol = newPerson(t, c, network, "alice"), newPerson(t, c, network, "bob"), newPerson(t, c, network, "carol")
	alice.knows(t, bob, carol)
	bob.knows(t, alice)
	carol.knows(t, alice)
	return alice, bob, carol
}

// introduces returns an introduction of about to another, signed by p.
func (p *person) introduces(t testing.TB, about, to *person) introduce.Statement {
	t.Helper()
	s, err := introduce.Introduction{To: pointerOf(to.name), About: pointerOf(about.name), Next: about.next(), Suggested: about.name,
		Expires: p.clock.now.Add(IntroductionLifetime)}.Sign(p.key, nil, p.clock.now)
	require.NoError(t, err)
	return s
}

func TestAnIntroductionReachesARecipientThatWasOffline(t *testing.T) {
	alice, bob, carol := three(t)
	sent, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	require.Equal(t, Stored, sent)
	alice.clock.now = alice.clock.now.Add(3 * 24 * time.Hour)

	report := carol.fetch(t)
	require.Len(t, report.Fresh, 1)
	s := report.Fresh[0]
	require.Equal(t, pointerOf("bob"), s.Pointer)
	require.Equal(t, pointerOf("alice"), s.By)
	require.Equal(t, "drop", s.Channel)
	require.Equal(t, bob.next(), s.Next)
	require.Equal(t, []petname.Suggestion{s}, carol.inbox(t))

	require.Empty(t, alice.fetch(t).Waiting, "it was acknowledged")
	carol.reopen(t)
	require.Empty(t, carol.fetch(t).Fresh, "exactly once")
	require.Empty(t, bob.fetch(t).Fresh)
}

// A message that does not fit into the record beside those before it is not called stored,
// and arrives when these are acknowledged. The recipient receives what is called stored.
func TestAMessageThatTheRecordDoesNotHoldIsNotStored(t *testing.T) {
	ctx := context.Background()
	alice, _, carol := three(t)
	introduction := func(n int) introduce.Statement {
		alice.clock.now = alice.clock.now.Add(time.Second)
		s, err := introduce.Introduction{To: pointerOf("carol"), About: pointerOf(fmt.Sprint("f", n)), Expires: alice.clock.now.Add(IntroductionLifetime)}.Sign(alice.key, nil, alice.clock.now)
		require.NoError(t, err)
		return s
	}
	var stored, queued int
	for queued < 3 {
		sent, err := alice.Send(ctx, alice.key, pointerOf("carol"), introduction(stored+queued))
		require.NoError(t, err)
		if sent == Stored {
			require.Zero(t, queued, "messages are stored in order")
			stored++
			continue
		}
		require.Equal(t, Behind, sent)
		queued++
	}
	require.Positive(t, stored)
	alice.edit(t, func(local *ledger.View) error {
		b, err := message{Kind: kindStatement, Body: introduction(stored + queued).Bytes()}.encode()
		require.NoError(t, err)
		return enqueue(local, pointerOf("carol"), b)
	})
	queued++
	sent, err := alice.flushOutboxes(ctx, alice.key, pointerOf("carol"))
	require.NoError(t, err)
	require.Equal(t, Behind, sent)
	report := Report{Waiting: map[pointer.Pointer]int{}}
	alice.flushAllOutboxes(ctx, alice.key, &report)
	require.Empty(t, report.Errs)

	require.Len(t, carol.fetch(t).Fresh, stored)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): queued}, alice.fetch(t).Waiting)
	require.Len(t, carol.fetch(t).Fresh, queued)
}

func TestALockedHomeFetchesAndAcknowledgesLater(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	report, err := carol.Sync(context.Background(), nil)
	require.NoError(t, err)
	require.Len(t, report.Fresh, 1)
	require.Len(t, alice.fetch(t).Waiting, 1)
	require.Empty(t, carol.fetch(t).Fresh)
	require.Empty(t, alice.fetch(t).Waiting)
}

func TestAFullInboxLeavesTheRestWithItsSender(t *testing.T) {
	alice, _, carol := three(t)
	for i := range petname.MaxInboxFrom + 5 {
		b, err := introduce.Introduction{To: pointerOf("carol"), About: pointerOf(string(rune('A' + i))), Suggested: "x",
			Expires: alice.clock.now.Add(IntroductionLifetime)}.Sign(alice.key, nil, alice.clock.now)
		require.NoError(t, err)
		_, err = alice.Send(context.Background(), alice.key, pointerOf("carol"), b)
		require.NoError(t, err)
	}
	for range 5 { // as many as the records need
		carol.fetch(t)
		alice.fetch(t)
	}
	require.Len(t, carol.inbox(t), petname.MaxInboxFrom)
	require.Equal(t, 5, alice.fetch(t).Waiting[pointerOf("carol")])
	for _, s := range carol.inbox(t) {
		_, err := carol.book.Decline(s.ID, false)
		require.NoError(t, err)
	}
	carol.fetch(t)
	require.Len(t, carol.inbox(t), 5, "nothing is dropped")
	require.Empty(t, alice.fetch(t).Waiting)
}

// A message of a contact that cannot be accepted is refused, and delays none of those after it.
func TestARefusedMessageDelaysNothing(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	send := func(m message) {
		_, err := alice.sendMessage(ctx, alice.key, pointerOf("carol"), m)
		require.NoError(t, err)
	}
	send(message{Kind: kindStatement, Body: []byte("garbage")})
	send(message{Kind: 200, Body: []byte("of a later version")})
	send(message{Kind: kindStatement, Body: alice.introduces(t, carol, bob).Bytes()}) // to another recipient
	send(message{Kind: kindStatement, Body: bob.introduces(t, alice, carol).Bytes()}) // by an unknown sender
	itself, err := introduce.Introduction{To: pointerOf("carol"), About: pointerOf("alice"), Expires: alice.clock.now.Add(IntroductionLifetime)}.Sign(alice.key, nil, alice.clock.now)
	require.NoError(t, err)
	send(message{Kind: kindStatement, Body: itself.Bytes()})
	send(message{Kind: kindStatement, Body: alice.introduces(t, bob, carol).Bytes()})
	report := carol.fetch(t)
	require.Len(t, report.Refused, 5)
	require.Len(t, report.Fresh, 1)
	require.Empty(t, alice.fetch(t).Waiting)
}

// Attack: a contact relays statements of another contact with a changed signature. They are
// refused on receipt, and nothing is written.
func TestAForgedStatementIsRefusedOnReceipt(t *testing.T) {
	alice, bob, carol := three(t)
	introduction := alice.introduces(t, bob, carol)
	retraction, err := introduce.Retraction{To: pointerOf("carol"), ID: introduce.ID{1}}.Sign(alice.key, alice.clock.now)
	require.NoError(t, err)
	edges, err := introduce.Edges{To: pointerOf("carol"), Version: 1}.Sign(alice.key, alice.clock.now)
	require.NoError(t, err)
	entries := carol.book.Ledger().Heads()
	for _, s := range []introduce.Statement{introduction, retraction, edges} {
		forged := s.Bytes()
		forged[len(forged)-1] ^= 1
		var report Report
		b, err := message{Kind: kindStatement, Body: forged}.encode()
		require.NoError(t, err)
		stop, err := carol.handle(context.Background(), pointerOf("alice"), drop.Message{Bytes: b}, &report)
		require.ErrorIs(t, err, introduce.ErrInvalid)
		require.False(t, stop, "it delays none of those after it")
		require.Empty(t, report.Fresh)
	}
	require.Equal(t, entries, carol.book.Ledger().Heads())
	_, err = alice.Send(context.Background(), alice.key, pointerOf("carol"), introduce.Statement{})
	require.ErrorIs(t, err, introduce.ErrInvalid)
	require.ErrorIs(t, alice.RecordIntroduction(retraction), introduce.ErrInvalid)
}

// An expired introduction cannot be retracted: its recipient no longer has it.
func TestAnExpiredIntroductionIsNotRetracted(t *testing.T) {
	alice, bob, carol := three(t)
	require.NoError(t, alice.RecordIntroduction(alice.introduces(t, bob, carol)))
	alice.clock.now = alice.clock.now.Add(IntroductionLifetime)
	_, _, err := alice.Retract(context.Background(), alice.key, pointerOf("carol"), pointerOf("bob"))
	require.ErrorIs(t, err, petname.ErrNotFound)
}

func TestSharedNamesAreReadByTheirAudienceAlone(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	label, err := name.Parse("bobby")
	require.NoError(t, err)
	_, err = alice.book.ShareWith(pointerOf("carol"), pointerOf("bob"), label)
	require.NoError(t, err)
	_, err = alice.ShareWith(ctx, alice.key, pointerOf("carol"))
	require.NoError(t, err)
	carol.fetch(t)
	bob.fetch(t)
	resolve := func(p *person) (pointer.Pointer, error) {
		r, err := p.book.Resolve(ctx, p.c.Records, "alice/bobby", dht.LevelAny)
		if err != nil {
			return pointer.Pointer{}, err
		}
		return r.Last().Pointer, nil
	}
	resolved, err := resolve(carol)
	require.NoError(t, err)
	require.Equal(t, pointerOf("bob"), resolved)
	_, err = resolve(bob)
	require.ErrorIs(t, err, petname.ErrNotFound)

	alice.clock.now = alice.clock.now.Add(time.Hour)
	_, err = alice.book.UnshareWith(pointerOf("carol"), label)
	require.NoError(t, err)
	_, err = alice.ShareWith(ctx, alice.key, pointerOf("carol"))
	require.NoError(t, err)
	carol.fetch(t)
	_, err = resolve(carol)
	require.ErrorIs(t, err, petname.ErrNotFound)
}

// An owner that has paired, and never published, can share names.
func TestASharedNameNeedsNoRecordOfItsOwner(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	label, err := name.Parse("bobby")
	require.NoError(t, err)
	_, err = alice.book.ShareWith(pointerOf("carol"), pointerOf("bob"), label)
	require.NoError(t, err)
	_, err = alice.ShareWith(ctx, alice.key, pointerOf("carol"))
	require.NoError(t, err)
	carol.fetch(t)
	bobs := &dht.Memory{Now: alice.clock.Now}
	bob.network = bobs
	bob.publish(t)
	r, err := carol.book.Resolve(ctx, &dht.Resolver{Stores: []dht.Store{bobs}, Now: alice.clock.Now}, "alice/bobby", dht.LevelAny)
	require.NoError(t, err)
	require.Equal(t, pointerOf("bob"), r.Last().Pointer)
	require.Len(t, r.Hops, 2)
	require.True(t, r.Hops[0].PrivateEdge)
	_, err = carol.book.Resolve(ctx, &dht.Resolver{Stores: []dht.Store{bobs}, Now: alice.clock.Now}, "alice/other", dht.LevelAny)
	require.ErrorIs(t, err, dht.ErrNotFound)
}

// A contact that sends statements without end fills neither the book nor the disk.
func TestDailyStatementsOfAContactAreBounded(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	retract := func(n int) {
		for i := range n {
			signed, err := introduce.Retraction{To: pointerOf("carol"), ID: introduce.ID{byte(i), byte(i >> 8), byte(alice.clock.now.Day())}}.Sign(alice.key, alice.clock.now)
			require.NoError(t, err)
			_, err = alice.Send(ctx, alice.key, pointerOf("carol"), signed)
			require.NoError(t, err)
		}
	}
	entries := func() (n uint64) {
		for _, h := range carol.book.Ledger().Heads() {
			n += h.Number
		}
		return n
	}
	carol.fetch(t) // learns the cards of the contacts
	before := entries()
	retract(maxDailyMessages + 20)
	for range 12 {
		carol.fetch(t)
		alice.fetch(t)
	}
	require.Equal(t, uint64(maxDailyMessages), entries()-before)
	require.Equal(t, 20, alice.fetch(t).Waiting[pointerOf("carol")], "the rest stays with its sender")
	alice.clock.now = alice.clock.now.Add(24 * time.Hour)
	for range 12 {
		carol.fetch(t)
		alice.fetch(t)
	}
	require.Equal(t, uint64(maxDailyMessages+20), entries()-before)
	require.Empty(t, alice.fetch(t).Waiting)
	_ = bob
}

// A contact that never published is no error in a report.
func TestAContactWithoutACardIsSkipped(t *testing.T) {
	alice, _, _ := three(t)
	n, err := name.Parse("dave")
	require.NoError(t, err)
	_, err = alice.book.Add(n, pointer.Link{Pointer: pointerOf("dave")}, petname.Source{})
	require.NoError(t, err)
	alice.fetch(t)
}
