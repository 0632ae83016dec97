package exchange

import (
	"context"
	"crypto/hpke"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// lists publishes a card with tags of p's choice.
func (p *person) lists(t testing.TB, tags ...pointer.DeviceTag) {
	t.Helper()
	p.clock.now = p.clock.now.Add(10 * time.Minute) // the older card is not cached any more
	card := pointer.Card{Nickname: p.name, Next: p.next(), Devices: tags}
	for _, k := range p.sealing {
		card.Sealing = append(card.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	r, err := pointer.Sign(p.key, pointer.Fields{Sequence: uint64(p.clock.Now().Unix()), Expires: p.clock.Now().AddDate(0, 3, 0), TTL: time.Minute, Card: &card})
	require.NoError(t, err)
	_, err = p.network.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

// sendAs sends a message on the channel of a tag, as a program of an attacker does that has the
// keys of p.
func (p *person) sendAs(t testing.TB, tag pointer.DeviceTag, to *person, s message) {
	t.Helper()
	party := drop.Party{Pointer: pointerOf(to.name)}
	for _, k := range to.sealing {
		party.Sealing = append(party.Sealing, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	c, err := drop.Open(drop.Self{Pointer: pointerOf(p.name), Signer: p.key, Sealing: append([]hpke.PrivateKey(nil), p.sealing...), Purpose: purposeOf(tag)}, party, nil)
	require.NoError(t, err)
	b, err := s.encode()
	require.NoError(t, err)
	require.NoError(t, c.Send(b))
	c.State()
	_, err = c.Put(context.Background(), p.network, p.clock.Now())
	require.NoError(t, err)
}

// Attack: a contact lists the tag of another contact's device, and sends there. Each is read as
// what it is: a message of the contact that signed it.
func TestATagOfAnotherContactLeadsToNoOthersMessages(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	carol := newPerson(t, c, alice[0].network, "carol")
	carol.knows(t, bob[0])
	bob[0].knows(t, carol)
	tag := petname.DeviceTag(alice[1].book.Ledger().Device())
	alice[1].introducesOne(t, "bob", "dave")
	carol.lists(t, tag)
	carol.sendAs(t, tag, bob[0], message{Kind: kindStatement, Body: carol.introduces(t, &person{name: "erin"}, bob[0]).Bytes()})
	carol.sendAs(t, tag, bob[0], message{Kind: kindStatement, Body: alice[1].introduces(t, &person{name: "frank"}, bob[0]).Bytes()}) // replaces the record, with a statement by Alice
	bob[0].fetch(t)
	by := map[pointer.Pointer]pointer.Pointer{}
	for _, s := range bob[0].inbox(t) {
		by[s.Pointer] = s.By
	}
	require.Equal(t, map[pointer.Pointer]pointer.Pointer{pointerOf("dave"): pointerOf("alice"), pointerOf("frank"): pointerOf("alice")}, by)
	require.Empty(t, alice[1].fetch(t).Waiting)
	rows, err := bob[0].incomingRows(nil)
	require.NoError(t, err)
	require.Len(t, rows, 2, "a channel with each of the two")
}

// Attack: a contact lists the tags of the owner's own devices. The owner's devices neither read
// nor acknowledge on the channels on which they send.
func TestATagOfTheOwnerIsNotRead(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	own := petname.DeviceTag(bob[1].book.Ledger().Device())
	alice[0].lists(t, own)
	alice[0].sendAs(t, own, bob[0], message{Kind: kindStatement, Body: alice[0].introduces(t, &person{name: "dave"}, bob[0]).Bytes()})
	bob[1].introducesOne(t, "alice", "erin")
	for range 3 {
		for _, p := range bob {
			p.fetch(t)
			require.Empty(t, p.inbox(t))
		}
		rows, err := bob[0].incomingRows(nil)
		require.NoError(t, err)
		require.Empty(t, rows)
	}
	alice[0].lists(t, petname.DeviceTag(alice[1].book.Ledger().Device()))
	alice[0].fetch(t)
	require.Equal(t, pointersOf("erin"), alice[0].subjects(t))
}

// Attack: a contact lists as many tags as a card can have, and changes them. A Sync polls a few
// more channels, stores nothing of those where nothing is received, and forgets the former ones.
func TestHostileTagsCostLittle(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	alice, bob := newPerson(t, c, network, "alice"), newPerson(t, c, network, "bob")
	alice.knows(t, bob)
	bob.knows(t, alice)
	tags := func(n, version int) (all []pointer.DeviceTag) {
		for i := range n {
			all = append(all, pointer.DeviceTag{1, byte(i), byte(version)})
		}
		return all
	}
	cost := func() int {
		alice.fetch(t)
		network.reset()
		alice.fetch(t)
		_, gets := network.reset()
		return gets
	}
	bob.introducesOne(t, "alice", "dave")
	none := cost()
	bob.lists(t, tags(1, 0)...)
	one := cost() - none
	require.Positive(t, one)
	bob.lists(t, tags(pointer.MaxDevices, 0)...)
	require.LessOrEqual(t, cost()-none, maxQuietTags*one)
	_, err := pointer.Card{Devices: tags(10_000, 0)}.Encode()
	require.ErrorContains(t, err, "10000 tags")
	// The channel of every tag is polled in its turn, whichever are silent.
	last := tags(pointer.MaxDevices, 0)[pointer.MaxDevices-1]
	bob.sendAs(t, last, alice, message{Kind: kindStatement, Body: bob.introduces(t, &person{name: "by the last device"}, alice).Bytes()})
	for range pointer.MaxDevices/maxQuietTags + 1 {
		alice.fetch(t)
	}
	require.Contains(t, alice.subjects(t), pointerOf("by the last device").String())
	bob.lists(t)
	alice.fetch(t)

	rows := func() int {
		all, err := alice.incomingRows(nil)
		require.NoError(t, err)
		return len(all)
	}
	require.Zero(t, rows())
	for version := range 5 {
		all := tags(pointer.MaxDevices, version)
		bob.lists(t, all...)
		for i, tag := range all {
			bob.sendAs(t, tag, alice, message{Kind: kindStatement, Body: bob.introduces(t, &person{name: fmt.Sprint("subject ", i%3)}, alice).Bytes()})
		}
		for range 5 { // each is polled in its turn
			alice.fetch(t)
		}
		require.Equal(t, pointer.MaxDevices, rows())
		require.LessOrEqual(t, cost()-none, pointer.MaxDevices*one)
	}
	bob.lists(t)
	alice.fetch(t)
	require.Zero(t, rows())
}

// Attack: a device that holds the identity key sends on the channel of another device. It delays
// that one, and loses none of its messages.
func TestADeviceThatForgesTheTagOfAnotherLosesNothing(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	alice, bob := pairsOfDevices(t, network, c)
	tag := petname.DeviceTag(alice[1].book.Ledger().Device())
	alice[1].introducesOne(t, "bob", "dave")
	c.now = c.now.Add(time.Minute)
	alice[0].sendAs(t, tag, bob[0], message{Kind: kindStatement, Body: alice[0].introduces(t, &person{name: "forged"}, bob[0]).Bytes()})
	for range 4 {
		for _, p := range []*person{bob[0], bob[1], alice[1]} {
			c.now = c.now.Add(13 * time.Hour)
			p.fetch(t)
		}
	}
	require.Empty(t, alice[1].fetch(t).Waiting)
	syncDevices(t, bob[:]...)
	require.Equal(t, pointersOf("dave", "forged"), bob[0].subjects(t))
}

// Attack: a contact sends messages where it should acknowledge alone. They are not received, and
// the sender loses nothing.
func TestMessagesInPlaceOfAcknowledgementsAreNotReceived(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	tag := petname.DeviceTag(alice[1].book.Ledger().Device())
	alice[1].introducesOne(t, "bob", "dave")
	bob[0].sendAs(t, tag, alice[0], message{Kind: kindStatement, Body: bob[0].introduces(t, &person{name: "erin"}, alice[0]).Bytes()})
	require.Len(t, alice[1].fetch(t).Waiting, 1)
	alice[0].fetch(t)
	for _, p := range alice {
		require.Empty(t, p.inbox(t))
	}
	c.now = c.now.Add(time.Minute)
	bob[1].fetch(t)
	require.Equal(t, pointersOf("dave"), bob[1].subjects(t))
	require.Empty(t, alice[1].fetch(t).Waiting)
}

// The recipient rotates its key while a message is under way on the channel of a device: that
// channel is read on, for a time, and what comes next is sent to the new key.
func TestChannelsOfDevicesFollowARotation(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	alice[1].introducesOne(t, "bob", "dave")
	bob[0].fetch(t)
	alice[1].introducesOne(t, "bob", "erin") // not fetched before the rotation
	before := pointerOf("bob")
	rows, err := bob[0].incomingRows(nil)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, before, rows[0].self)
	c.now = c.now.Add(time.Minute)
	_, to, chain := bob[0].rotates(t)
	bob[1].key, bob[1].chain = bob[0].key, chain
	require.NoError(t, bob[1].book.SetOwnSuccession(chain, bob[1].chainNext()))
	bob[0].fetch(t)
	require.Equal(t, pointersOf("dave", "erin"), bob[0].subjects(t), "the channel of the earlier key is read")
	c.now = c.now.Add(10 * time.Minute)
	alice[1].introducesOne(t, "bob", "frank")
	bob[1].fetch(t)
	require.Contains(t, bob[1].subjects(t), pointerOf("frank").String())
	alice[1].fetch(t) // what Bob has not acknowledged follows to the new key
	bob[1].fetch(t)
	require.Equal(t, pointersOf("dave", "erin", "frank"), bob[1].subjects(t))
	require.Empty(t, alice[1].fetch(t).Waiting)
	require.True(t, alice[1].hasChannel(to))
	require.Empty(t, Check(bob[0].book))
	c.now = c.now.Add(formerRetention + time.Hour)
	bob[0].fetch(t)
	bob[0].fetch(t)
	rows, err = bob[0].incomingRows(nil)
	require.NoError(t, err)
	for _, in := range rows {
		require.NotEqual(t, before, in.self)
	}
}
