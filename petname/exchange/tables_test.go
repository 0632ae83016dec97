package exchange

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// afterKill returns p as it is after a kill of the process and a restart.
func (p *person) afterKill(t *testing.T) *person {
	t.Helper()
	b, err := os.ReadFile(p.ledger)
	require.NoError(t, err)
	again := *p
	again.ledger = filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(again.ledger, b, 0o600))
	again.book, err = petname.Open(again.ledger, testKey(p.name+"'s device"), petname.Options{Now: p.clock.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.book.Close()) })
	again.open()
	return &again
}

// A message that is received is in the inbox and counted as received by its
// channel in one commit, and acknowledged only after it.
func TestReceivedAndInTheBookAreOneCommit(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	alice.offers(t, bob, carol)
	for range 2 {
		c, err := carol.openChannel(ctx, carol.key, pointerOf("alice"))
		require.NoError(t, err)
		c.rows.queue = strings.Repeat("q", 65) // no table can have this name: the channel cannot be stored
		var report Report
		polled, err := carol.poll(ctx, pointerOf("alice"), c, &report)
		require.NoError(t, err)
		require.Len(t, polled.Messages, 2)
		require.Len(t, report.Refused, 1)
		require.Empty(t, report.Fresh)
		require.Empty(t, carol.inbox(t), "without the channel, the book has changed neither")
		_, err = c.Put(ctx, c.store, carol.clock.now)
		require.ErrorContains(t, err, "State", "nothing is acknowledged that is not stored")
		require.Empty(t, carol.rows(t, tableMessageCounts, nil))
	}
	c, err := carol.openChannel(ctx, carol.key, pointerOf("alice"))
	require.NoError(t, err)
	polled, err := c.Poll(ctx, c.store, carol.clock.now)
	require.NoError(t, err)
	for i, m := range polled.Messages {
		require.Len(t, carol.afterKill(t).inbox(t), i)
		var report Report
		stop, err := carol.receiveOne(pointerOf("alice"), c, m, &report)
		require.NoError(t, err)
		require.False(t, stop)
		require.Len(t, report.Fresh, 1)

		again := carol.afterKill(t)
		require.Len(t, again.inbox(t), i+1)
		l, err := again.openChannel(ctx, carol.key, pointerOf("alice"))
		require.NoError(t, err)
		left, err := l.Poll(ctx, l.store, carol.clock.now)
		require.NoError(t, err)
		require.Len(t, left.Messages, len(polled.Messages)-i-1, "messages in the inbox are not received again")
	}
	require.Contains(t, alice.fetch(t).Waiting, pointerOf("carol"))
	carol.fetch(t)
	require.NotContains(t, alice.fetch(t).Waiting, pointerOf("carol"))
}

// Each unacknowledged message has a row of its own, and an acknowledgement removes the rows of
// its messages.
func TestEachUnacknowledgedMessageHasARow(t *testing.T) {
	alice, bob, carol := three(t)
	at := rowsOf(pointerOf("carol"))
	other := rowsOf(pointerOf("bob"))
	self, party := drop.Self{Pointer: pointerOf("alice"), Signer: alice.key, Sealing: alice.sealing}, drop.Party{Pointer: pointerOf("carol")}
	for _, k := range carol.sealing {
		party.Sealing = append(party.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	c, err := drop.Open(self, party, nil)
	require.NoError(t, err)
	body := make([]byte, drop.MaxMessage)
	_, err = alice.Send(context.Background(), alice.key, pointerOf("bob"), alice.introduces(t, carol, bob))
	require.NoError(t, err)
	bobs := alice.rows(t, tableQueue, other.key)
	require.Len(t, bobs, 1)
	for n := range drop.MaxQueueBytes / drop.MaxMessage {
		body[0] = byte(n + 1)
		require.NoError(t, c.Send(body))
	}
	parts := c.Parts()
	for cut := 0; cut <= len(parts.Queue); cut += 17 {
		rest := drop.Parts{Head: parts.Head, First: parts.First + uint64(cut), Queue: parts.Queue[cut:]}
		alice.edit(t, func(local *ledger.View) error { return at.store(local, rest) })
		rows := alice.rows(t, tableQueue, at.key)
		require.Len(t, rows, len(rest.Queue))
		for i, row := range rows {
			require.True(t, bytes.Equal(rest.Queue[i], row), i)
		}
		for _, head := range alice.rows(t, tableChannels, at.key) {
			require.Less(t, len(head), 1024)
		}
		require.Equal(t, bobs, alice.rows(t, tableQueue, other.key))
	}
	alice.edit(t, func(local *ledger.View) error { return at.store(local, parts) })
	require.NoError(t, alice.view(func(local *ledger.View) error {
		state, err := at.load(local)
		require.NoError(t, err)
		require.Equal(t, c.State(), state)
		return nil
	}))
	// A message with other content under the same number is written anew.
	again := drop.Parts{Head: parts.Head, First: parts.First, Queue: [][]byte{[]byte("other")}}
	alice.edit(t, func(local *ledger.View) error { return at.store(local, again) })
	require.Equal(t, again.Queue, alice.rows(t, tableQueue, at.key))
	// A gap is an error.
	alice.edit(t, func(local *ledger.View) error {
		return local.Put(tableQueue, numbered(at.key, parts.First+2), []byte("third"))
	})
	err = alice.view(func(local *ledger.View) error { _, err := at.load(local); return err })
	require.ErrorContains(t, err, fmt.Sprintf("no message %d", parts.First+1))
	alice.edit(t, func(local *ledger.View) error { return at.remove(local) })
	require.Empty(t, alice.rows(t, tableQueue, at.key))
	require.Empty(t, alice.rows(t, tableChannels, at.key))
	require.Equal(t, bobs, alice.rows(t, tableQueue, other.key))
}

// An introduction whose succession shows duplicity is received as a refusal, once,
// and stays in the inbox: it does not delay the messages after it.
func TestAnIntroductionThatShowsDuplicityDelaysNothing(t *testing.T) {
	alice, bob, carol := three(t)
	bob.knows(t, carol)
	from, to, _ := carol.rotates(t)
	bob.learnsRotation(t, carol)
	after, err := pointer.Commit(testKey("another third").Public())
	require.NoError(t, err)
	other, err := pointer.Succeed(from, testKey("carol's next"), after, testKey("carol"))
	require.NoError(t, err)
	ctx := context.Background()
	signed, err := introduce.Introduction{To: pointerOf("bob"), About: to, Chain: []pointer.Succession{other}, Suggested: "carol",
		Expires: alice.clock.now.Add(IntroductionLifetime)}.Sign(alice.key, nil, alice.clock.now)
	require.NoError(t, err)
	_, err = alice.Send(ctx, alice.key, pointerOf("bob"), signed)
	require.NoError(t, err)
	sam := newPerson(t, alice.clock, alice.network, "sam")
	_, err = alice.Send(ctx, alice.key, pointerOf("bob"), alice.introduces(t, sam, bob))
	require.NoError(t, err)
	report := bob.fetch(t)
	require.Len(t, report.Refused, 1)
	require.ErrorAs(t, report.Refused[0].Err, new(*petname.DuplicityError))
	require.Len(t, report.Fresh, 1)
	require.Len(t, bob.inbox(t), 2)
	require.Empty(t, bob.fetch(t).Refused)
	require.Empty(t, alice.fetch(t).Waiting)
}

// Introductions whose succession is refused count as statements of the day: they
// are in the book.
func TestIntroductionsThatShowDuplicityAreCounted(t *testing.T) {
	alice, bob, carol := three(t)
	bob.knows(t, carol)
	from, to, _ := carol.rotates(t)
	bob.learnsRotation(t, carol)
	after, err := pointer.Commit(testKey("another third").Public())
	require.NoError(t, err)
	other, err := pointer.Succeed(from, testKey("carol's next"), after, testKey("carol"))
	require.NoError(t, err)
	accepted := 0
	for range maxDailyMessages + 5 {
		now := alice.clock.now
		signed, err := introduce.Introduction{To: pointerOf("bob"), About: to, Chain: []pointer.Succession{other}, Expires: now.Add(time.Second)}.Sign(alice.key, nil, now)
		require.NoError(t, err)
		stop, err := bob.handle(t.Context(), pointerOf("alice"), plaintext(t, signed), new(Report))
		require.Error(t, err)
		if !stop {
			require.ErrorAs(t, err, new(*petname.DuplicityError))
			accepted++
		}
		alice.clock.now = now.Add(2 * time.Second) // it has expired, and makes room
	}
	require.Equal(t, maxDailyMessages, accepted)
}

// The messages of a contact are counted together under all keys that it has had, and so are its
// offers of mutual introductions.
func TestARotationBeginsNoNewDayOfMessages(t *testing.T) {
	alice, bob, carol := three(t)
	bob.knows(t, carol)
	from, to, _ := carol.rotates(t)
	send := func(by pointer.Pointer, key ed25519.PrivateKey, n int) (accepted int) {
		for i := range n {
			signed, err := introduce.Retraction{To: pointerOf("bob"), ID: introduce.ID{byte(i), byte(n)}}.Sign(key, alice.clock.now)
			require.NoError(t, err)
			if stop, err := bob.handle(t.Context(), by, plaintext(t, signed), new(Report)); !stop {
				require.NoError(t, err)
				accepted++
			}
		}
		return accepted
	}
	require.Equal(t, maxDailyMessages-10, send(from, testKey("carol"), maxDailyMessages-10))
	bob.learnsRotation(t, carol)
	require.Equal(t, 10, send(to, testKey("carol's next"), 50))
	require.NoError(t, bob.update(func(tx tx) error {
		trail, err := trailIn(tx.book, to)
		require.Equal(t, []pointer.Pointer{from, to}, trail)
		return err
	}))
}
