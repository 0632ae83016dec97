package exchange

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Data that an Exchange stores is durable when the call returns: it is in the file of the book,
// which syncs (see package ledger).
func TestStoredDataIsInTheFileOfTheBook(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	b, err := os.ReadFile(alice.ledger) // as a kill leaves it
	require.NoError(t, err)
	copied := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(copied, b, 0o600))
	alice.ledger = copied
	alice.reopen(t)
	require.Equal(t, map[pointer.Pointer]int{pointerOf("carol"): 1}, alice.fetch(t).Waiting)
	for err := range alice.book.Ledger().Verify(t.Context()) {
		require.NoError(t, err)
	}
	entries, err := os.ReadDir(filepath.Dir(copied))
	require.NoError(t, err)
	require.Len(t, entries, 1, "there is no other file")
}

// A message has one encoding. Another encoding is refused, whatever it
// contains.
func TestAnotherEncodingOfAMessageIsRefused(t *testing.T) {
	alice, bob, carol := three(t)
	good, err := message{Kind: kindStatement, Body: alice.introduces(t, bob, carol).Bytes()}.encode()
	require.NoError(t, err)
	require.Equal(t, []byte{0x82, 1, 0x59}, good[:3])
	for why, bad := range map[string][]byte{
		"a head in two bytes":    append([]byte{0x98, 2}, good[1:]...),
		"a kind in two bytes":    append([]byte{0x82, 0x18}, good[1:]...),
		"a length in five bytes": append([]byte{0x82, 1, 0x5a, 0, 0}, good[3:]...),
		"an open end":            append(append([]byte{0x9f}, good[1:]...), 0xff),
		"one more":               append(append([]byte{0x83}, good[1:]...), 0),
		"a tag":                  append([]byte{0xc6}, good...),
		"more behind it":         append(bytes.Clone(good), 0),
	} {
		var report Report
		stop, err := carol.handle(context.Background(), pointerOf("alice"), drop.Message{Bytes: bad}, &report)
		require.ErrorContains(t, err, "message", why)
		require.False(t, stop, "it delays nothing")
		require.Empty(t, carol.inbox(t), why)
	}
	for n, fits := range map[int]bool{drop.MaxMessage: true, drop.MaxMessage + 1: false} {
		b, err := message{Kind: kindMutual, Body: make([]byte, n-5)}.encode()
		require.NoError(t, err)
		require.Len(t, b, n)
		_, err = decodeMessage(b)
		require.Equal(t, fits, err == nil, n)
	}
	_, err = carol.handle(context.Background(), pointerOf("alice"), drop.Message{Bytes: good}, &Report{})
	require.NoError(t, err)
	require.Len(t, carol.inbox(t), 1)
}

// If the book cannot store a message, for example because the disk is full, the message is not
// acknowledged, and is delivered again.
func TestAMessageThatTheBookCannotStoreIsDeliveredAgain(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.offers(t, bob, carol)
	c, err := carol.openChannel(ctx, carol.key, pointerOf("alice"))
	require.NoError(t, err)
	require.NoError(t, carol.book.Close())
	var report Report
	polled, err := carol.poll(ctx, pointerOf("alice"), c, &report)
	require.NoError(t, err)
	require.Len(t, polled.Messages, 2)
	require.Len(t, report.Refused, 1, "all behind it waits, too")
	carol.reopen(t)
	require.NoError(t, carol.saveChannel(c))

	carol.reopen(t)
	require.Len(t, carol.fetch(t).Fresh, 2)
	require.NotContains(t, alice.fetch(t).Waiting, pointerOf("carol"))
}

// The number of introductions that can be retracted is bounded: the oldest are
// removed first.
func TestRememberedIntroductionsAreBounded(t *testing.T) {
	alice, bob, carol := three(t)
	introduction := func(at time.Time) introduce.Introduction {
		alice.clock.now = at
		signed := alice.introduces(t, bob, carol)
		require.NoError(t, alice.RecordIntroduction(signed))
		i, is := signed.Introduction()
		require.True(t, is)
		return i
	}
	start := alice.clock.now
	oldest, second := introduction(start), introduction(start.Add(time.Second))
	alice.edit(t, func(local *ledger.View) error {
		for i := range maxIntroductions - 2 {
			if err := local.Put(tableIntroductions, introductionKey(introduce.Introduction{Made: start.Add(time.Minute), ID: introduce.ID{byte(i), byte(i >> 8)}}), []byte("x")); err != nil {
				return err
			}
		}
		return nil
	})
	last := introduction(start.Add(time.Hour))
	b, err := alice.getRow(tableIntroductions, introductionKey(last))
	require.NoError(t, err)
	signed, err := introduce.Open(b)
	require.NoError(t, err)
	require.NoError(t, alice.RecordIntroduction(signed), "one that is remembered displaces none")
	n, err := alice.countRows(tableIntroductions)
	require.NoError(t, err)
	require.Equal(t, maxIntroductions, n)
	for i, there := range map[*introduce.Introduction]bool{&oldest: false, &second: true, &last: true} {
		b, err := alice.getRow(tableIntroductions, introductionKey(*i))
		require.NoError(t, err)
		require.Equal(t, there, b != nil)
	}
}

// fill stores n sessions with Alice as introducer in p: sessions that she
// started if p is Alice, or else sessions that she offered to p and p declined.
func (p *person) fill(t testing.TB, alice *person, n int) {
	t.Helper()
	for i := range n {
		s, out, err := mutual.Start(p.clock.now, rand.Reader, alice.key, mutual.Party{Pointer: pointerOf("bob"), Suggested: "x"},
			mutual.Party{Pointer: pointerOf(fmt.Sprint("other ", i)), Suggested: "y"}, p.clock.now.Add(IntroductionLifetime))
		require.NoError(t, err)
		if p == alice {
			require.NoError(t, p.saveIntroducer(s, nil))
			continue
		}
		v, err := mutual.Receive(p.clock.now, pointerOf(p.name), pointerOf("alice"), out[0].Bytes)
		require.NoError(t, err)
		v.Decline()
		require.NoError(t, p.saveInvitee(inviteeSession{Invitee: v, concluded: true}, nil))
	}
}

func TestStartedIntroductionsAreBounded(t *testing.T) {
	alice, bob, carol := three(t)
	alice.fill(t, alice, maxStarted-1)
	m := alice.offers(t, bob, carol)
	parties := [2]mutual.Party{{Pointer: pointerOf("bob")}, {Pointer: pointerOf("carol")}}
	_, _, err := alice.IntroduceBoth(context.Background(), alice.key, parties[0], parties[1], time.Time{})
	require.ErrorIs(t, err, ErrTooManySessions)
	_, _, err = alice.WithdrawMutual(context.Background(), alice.key, m.Session)
	require.NoError(t, err)
	alice.offers(t, bob, carol)
}

// Sessions are remembered until their end, even after they are over, so that
// they cannot be replayed. Their number is bounded for each introducer.
func TestRememberedOffersAreBounded(t *testing.T) {
	alice, bob, _ := three(t)
	bob.fill(t, alice, maxRemembered-1)
	for _, accepted := range []bool{true, false} {
		_, out, err := mutual.Start(bob.clock.now, rand.Reader, alice.key, mutual.Party{Pointer: pointerOf("bob"), Suggested: "x"},
			mutual.Party{Pointer: pointerOf("carol"), Suggested: "y"}, bob.clock.now.Add(IntroductionLifetime))
		require.NoError(t, err)
		stop, err := bob.handleMutual(pointerOf("alice"), out[0].Bytes, &Report{})
		require.False(t, stop)
		if accepted {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, ErrTooManySessions)
		}
	}
	all, err := bob.Mutuals()
	require.NoError(t, err)
	require.Len(t, all, maxRemembered)
	require.Len(t, bob.inbox(t), 1)
}

// Contacts that never sent a message are polled in rotation, a bounded number at a time, also
// across restarts.
func TestQuietContactsArePolledInRotation(t *testing.T) {
	alice, bob, carol := three(t)
	_, err := alice.Send(context.Background(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	const quiet = maxQuiet + maxQuiet/2
	for i := range quiet - 1 { // and Carol
		n, err := name.Parse(fmt.Sprint("quiet ", i))
		require.NoError(t, err)
		_, err = alice.book.Add(n, pointer.Link{Pointer: pointerOf(fmt.Sprint("quiet ", i))}, petname.Source{})
		require.NoError(t, err)
	}
	asked := make(map[pointer.Pointer]int)
	const rounds = 6
	for range rounds {
		parties, err := alice.partiesToPoll(new(Report))
		require.NoError(t, err)
		require.Len(t, parties, 1+maxQuiet)
		for _, p := range parties {
			asked[p]++
		}
		alice.reopen(t)
	}
	require.Equal(t, rounds, asked[pointerOf("bob")], "Bob sent a message, and is queried each time")
	delete(asked, pointerOf("bob"))
	require.Len(t, asked, quiet)
	for p, n := range asked {
		require.Equal(t, rounds*maxQuiet/quiet, n, p)
	}
}

// Messages for which a channel has no room stay in the outbox, in order, and
// are sent when there is room.
func TestMessagesOverTheRoomOfAChannelStayInTheOutbox(t *testing.T) {
	alice, bob, _ := three(t)
	body := make([]byte, drop.MaxMessage-8)
	const fit, all = drop.MaxQueueBytes / drop.MaxMessage, drop.MaxQueueBytes/drop.MaxMessage + 3
	alice.edit(t, func(local *ledger.View) error {
		for i := range all {
			body[0] = byte(i)
			b, err := message{Kind: kindMutual, Body: body}.encode()
			if err != nil {
				return err
			}
			if err := enqueue(local, pointerOf(bob.name), b); err != nil {
				return err
			}
		}
		return nil
	})
	_, waiting, err := alice.flushOutbox(context.Background(), alice.key, pointerOf("bob"))
	require.Error(t, err)
	require.GreaterOrEqual(t, waiting, fit)
	var firsts []byte
	outbox := alice.rows(t, tableOutbox, nil)
	require.Len(t, outbox, all-waiting)
	for _, b := range append(alice.rows(t, tableQueue, pointerOf("bob").Bytes()), outbox...) {
		m, err := decodeMessage(b)
		require.NoError(t, err)
		firsts = append(firsts, m.Body[0])
	}
	require.Len(t, firsts, all, "none is lost, and none is there twice")
	require.IsIncreasing(t, firsts)
}

// A channel without room still acknowledges, and renews its record: the other
// party could never make room otherwise.
func TestAFullChannelIsRenewed(t *testing.T) {
	alice, bob, _ := three(t)
	ctx, body := t.Context(), make([]byte, drop.MaxMessage-8)
	alice.edit(t, func(local *ledger.View) error {
		for i := range drop.MaxQueueBytes/drop.MaxMessage + 3 {
			body[0] = byte(i)
			b, err := message{Kind: 200, Body: body}.encode()
			if err != nil {
				return err
			}
			if err := enqueue(local, pointerOf("bob"), b); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := bob.sendMessage(ctx, bob.key, pointerOf("alice"), message{Kind: 200, Body: body})
	require.NoError(t, err)
	report, err := alice.Sync(ctx, alice.key)
	require.NoError(t, err)
	require.NotEmpty(t, report.Errs, "there is no room")
	require.Empty(t, bob.fetch(t).Waiting, "and yet it acknowledges")
	for range 400 { // until the other has fetched all
		if _, err = alice.Sync(ctx, alice.key); err == nil && len(alice.rows(t, tableOutbox, nil)) == 0 {
			break
		}
		bob.fetch(t)
	}
	require.Empty(t, alice.rows(t, tableOutbox, nil))
}
