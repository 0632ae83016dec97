package exchange

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// A device other than the first one sends on a channel of its own, which every device of the
// contact reads, and any of them acknowledges.
func TestEachDeviceSendsOnAChannelOfItsOwn(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	alice[0].introducesOne(t, "bob", "dave")
	alice[1].introducesOne(t, "bob", "erin")
	require.Len(t, bob[1].fetch(t).Fresh, 2)
	require.Equal(t, pointersOf("dave", "erin"), bob[1].subjects(t))
	require.Equal(t, 1, alice[0].fetch(t).Waiting[pointerOf("bob")], "the first device of Bob acknowledges what the first one of Alice sends")
	require.Empty(t, alice[1].fetch(t).Waiting, "any device acknowledges the others")
	syncDevices(t, bob[:]...)
	require.Empty(t, bob[0].fetch(t).Fresh, "it has them by the book")
	require.Equal(t, pointersOf("dave", "erin"), bob[0].subjects(t))
	require.Empty(t, alice[0].fetch(t).Waiting)
	for _, p := range slices.Concat(alice[:], bob[:]) {
		p.reopen(t)
		require.Empty(t, p.fetch(t).Fresh)
		require.Empty(t, Check(p.book))
	}
}

// A home with one device, or the first one of several, is as an older version knows it: it uses
// the channel of the empty purpose, and its card lists no tag of its own.
func TestTheFirstDeviceUsesTheEmptyPurpose(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	for _, p := range slices.Concat(alice[:], bob[:]) {
		r, err := p.role()
		require.NoError(t, err)
		require.Equal(t, p == alice[0] || p == bob[0], purposeOf(r.tag) == "")
		require.True(t, r.several && !r.replaced)
	}
	r, err := alice[1].role()
	require.NoError(t, err)
	require.Equal(t, "petnames/from/1 "+petname.DeviceTag(alice[1].book.Ledger().Device()).String(), purposeOf(r.tag))
	card, err := bob[0].contactCard(t.Context(), pointerOf("alice"))
	require.NoError(t, err)
	require.Equal(t, []pointer.DeviceTag{r.tag}, card.tags)

	single := newPerson(t, c, alice[0].network, "carol")
	r, err = single.role()
	require.NoError(t, err)
	require.Equal(t, role{own: r.own}, r)
}

// The first device of the recipient is away for good: its other devices acknowledge then.
func TestOtherDevicesAcknowledgeForARemovedFirstDevice(t *testing.T) {
	c := newClock()
	alice, bob := pairsOfDevices(t, newLossy(c), c)
	alice[0].introducesOne(t, "bob", "dave")
	bob[1].fetch(t)
	require.Len(t, alice[0].fetch(t).Waiting, 1)
	require.NoError(t, bob[1].book.RemoveDevice(bob[1].key, bob[0].book.Ledger().Device()))
	bob[1].fetch(t)
	require.Empty(t, alice[0].fetch(t).Waiting)
	alice[0].introducesOne(t, "bob", "erin")
	bob[1].fetch(t)
	require.Empty(t, alice[0].fetch(t).Waiting)
	bob[1].introducesOne(t, "alice", "frank")
	alice[0].fetch(t)
	require.Equal(t, pointersOf("frank"), alice[0].subjects(t))
	require.Equal(t, pointersOf("dave", "erin"), bob[1].subjects(t))
}

// A device that knows that it was removed neither sends nor acknowledges.
func TestARemovedDeviceDoesNothing(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	alice, bob := pairsOfDevices(t, network, c)
	require.NoError(t, alice[0].book.RemoveDevice(alice[0].key, alice[1].book.Ledger().Device()))
	syncDevices(t, alice[:]...)
	bob[0].introducesOne(t, "alice", "dave")
	network.reset()
	_, err := alice[1].Sync(t.Context(), alice[1].key)
	require.ErrorIs(t, err, petname.ErrDeviceRemoved)
	_, err = alice[1].sendMessage(t.Context(), alice[1].key, pointerOf("bob"), message{Kind: kindStatement, Body: alice[1].introduces(t, &person{name: "erin"}, bob[0]).Bytes()})
	require.ErrorContains(t, err, "was removed from the book")
	puts, _ := network.reset()
	require.Zero(t, puts)
}

// Whatever device sends, fetches, is restarted or exchanges entries at whatever moment, over a
// store that loses a quarter of what is put and asked: every message reaches every device of its
// recipient, none is there twice, and all are acknowledged. A device that is removed in the
// middle takes only what it alone had.
func TestLawMessagesReachEveryDeviceOnce(t *testing.T) {
	seeds := uint64(lawtest.Size(16, 200))
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 15))
			c := newClock()
			network := newLossy(c)
			alice, bob := pairsOfDevices(t, network, c)
			sides := map[string][]*person{"alice": alice[:], "bob": bob[:]}
			sent := map[string][]string{} // by recipient
			var removed *person
			atRemoval := 0
			by := map[*person][]string{}
			network.setRandom(random)
			alive := func(side string) []*person {
				return slices.DeleteFunc(slices.Clone(sides[side]), func(p *person) bool { return p == removed })
			}
			for step := range 40 {
				c.now = c.now.Add(time.Duration(random.IntN(3600)) * time.Second)
				side, to := "alice", "bob"
				if random.IntN(2) == 0 {
					side, to = to, side
				}
				devices := alive(side)
				p := devices[random.IntN(len(devices))]
				switch random.IntN(8) {
				case 0, 1:
					if len(sent[to]) == 20 {
						continue
					}
					subject := fmt.Sprintf("subject %d", step)
					p.introducesOneLossy(t, to, subject)
					sent[to] = append(sent[to], subject)
					by[p] = append(by[p], subject)
				case 2, 3, 4:
					_, err := p.Sync(context.Background(), p.key)
					require.NoError(t, err)
				case 5:
					syncDevices(t, devices...)
				case 6:
					p.reopen(t)
				case 7:
					if removed == nil && seed%3 > 0 && step > 20 {
						which := int(seed % 2)
						removed = alice[which]
						syncDevices(t, alice[:]...)
						require.NoError(t, alice[1-which].book.RemoveDevice(alice[0].key, removed.book.Ledger().Device()))
						alice[1-which].renewSealing(t, network)
						atRemoval = len(sent["alice"])
						// Until a device of Bob sees the new card, it seals to the keys of the old one.
						c.now = c.now.Add(time.Hour)
						network.setRandom(nil)
						for _, p := range bob {
							_, err := p.contactCard(t.Context(), pointerOf("alice"))
							require.NoError(t, err)
						}
						network.setRandom(random)
					}
				}
			}
			network.setRandom(nil)
			for _, side := range []string{"alice", "bob"} {
				alive(side)[0].publish(t)
			}
			waiting := 1
			for round := 0; waiting > 0; round++ {
				require.Less(t, round, 30)
				waiting = 0
				for _, side := range []string{"alice", "bob"} {
					for _, p := range alive(side) {
						c.now = c.now.Add(20 * time.Minute)
						report := p.fetch(t)
						require.Zero(t, report.Lost)
						for _, n := range report.Waiting {
							waiting += n
						}
					}
					syncDevices(t, alive(side)...)
				}
			}
			for side, subjects := range sent {
				for _, p := range alive(side) {
					got, want := p.subjects(t), pointersOf(subjects...)
					require.Equal(t, slices.Compact(slices.Clone(got)), got, "none twice")
					for _, one := range want {
						if removed != nil && side == "bob" && slices.Contains(pointersOf(by[removed]...), one) {
							continue
						}
						require.Contains(t, got, one)
					}
					require.Subset(t, want, got)
					require.Empty(t, Check(p.book))
				}
			}
			if removed == nil {
				return
			}
			// The removed device goes on with the keys that it has, and does not know it.
			before := removed.subjects(t)
			bob[0].introducesOne(t, "alice", "after the removal")
			bob[1].introducesOne(t, "alice", "after the removal, too")
			for range 3 {
				c.now = c.now.Add(time.Hour)
				_, err := removed.Sync(t.Context(), removed.key)
				require.NoError(t, err)
			}
			for _, one := range removed.subjects(t) {
				if !slices.Contains(before, one) {
					require.Contains(t, pointersOf(sent["alice"][:atRemoval]...), one, "sealed before the removal was known")
				}
			}
			require.NotContains(t, removed.subjects(t), pointerOf("after the removal").String())
			require.NotContains(t, removed.subjects(t), pointerOf("after the removal, too").String())
		})
	}
}

// introducesOneLossy is introducesOne over a store that loses records: a card that is not found
// is looked for again.
func (p *person) introducesOneLossy(t testing.TB, to, subject string) {
	t.Helper()
	s := p.introduces(t, &person{name: subject}, &person{name: to})
	for range 50 {
		if sent, err := p.Send(context.Background(), p.key, pointerOf(to), s); sent != "" {
			return
		} else if errors.Is(err, petname.ErrDeviceRemoved) {
			require.NoError(t, err)
		}
	}
	require.Fail(t, "the card was never found")
}

// renewSealing makes new sealing keys and publishes them, as the removal of a device does.
func (p *person) renewSealing(t testing.TB, network *lossy) {
	t.Helper()
	var fresh = p.sealing[:0:0]
	for _, k := range p.sealing {
		n, err := k.KEM().GenerateKey()
		require.NoError(t, err)
		fresh = append(fresh, n)
	}
	p.sealing = append(fresh, p.sealing...)
	p.network = network.Store // the record is not lost
	p.publish(t)
	p.network = network
}

// A home whose messages are all acknowledged puts nothing, however many devices it has.
func TestAQuietHomePutsNoMoreRecordsWithMoreDevices(t *testing.T) {
	for _, devices := range []int{1, 2, 5} {
		c := newClock()
		network := newLossy(c)
		alice, bob := []*person{newPerson(t, c, network, "alice")}, newPerson(t, c, network, "bob")
		alice[0].knows(t, bob)
		bob.knows(t, alice[0])
		for i := range devices - 1 {
			alice = append(alice, alice[0].addDevice(t, fmt.Sprint("device ", i), true))
		}
		syncDevices(t, alice...)
		for i, p := range alice {
			p.introducesOne(t, "bob", fmt.Sprint("subject ", i))
		}
		bob.introducesOne(t, "alice", "dave")
		for range 4 {
			for _, p := range append(slices.Clone(alice), bob) {
				p.fetch(t)
			}
			syncDevices(t, alice...)
		}
		require.Len(t, bob.inbox(t), devices)
		network.reset()
		for range 60 {
			c.now = c.now.Add(12 * time.Hour)
			if c.now.Day() == 1 {
				alice[0].publish(t)
				bob.publish(t)
				network.reset()
			}
			for _, p := range append(slices.Clone(alice), bob) {
				require.Empty(t, p.fetch(t).Waiting)
			}
			puts, _ := network.reset()
			require.Zero(t, puts, "%d devices", devices)
		}
	}
}

// What one device received is on the others before the first record that acknowledges it is put,
// in one exchange.
func TestEntriesAreReplicatedBeforeTheAcknowledgement(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	alice, bob := pairsOfDevices(t, network, c)
	carol := newPerson(t, c, network, "carol")
	carol.knows(t, bob[0])
	bob[0].knows(t, carol)
	calls := 0
	bob[0].replicate = func(context.Context) {
		calls++
		puts, _ := network.reset()
		require.Zero(t, puts, "nothing is acknowledged yet")
		syncDevices(t, bob[:]...)
	}
	bob[0].open()
	bob[0].fetch(t)
	require.Zero(t, calls, "there was no message")
	alice[0].introducesOne(t, "bob", "dave")
	alice[1].introducesOne(t, "bob", "erin")
	carol.introducesOne(t, "bob", "frank")
	network.reset()
	bob[0].fetch(t)
	require.Equal(t, 1, calls)
	require.Equal(t, pointersOf("dave", "erin", "frank"), bob[1].subjects(t))
	puts, _ := network.reset()
	require.Equal(t, 3, puts)
	for _, p := range []*person{alice[0], alice[1], carol} {
		require.Empty(t, p.fetch(t).Waiting)
	}
	bob[0].fetch(t)
	require.Equal(t, 1, calls)

	// A message of its own that is put again acknowledges nothing new.
	bob[0].introducesOne(t, "alice", "heidi")
	c.now = c.now.Add(13 * time.Hour)
	network.reset()
	bob[0].fetch(t)
	require.Equal(t, 1, calls)
	puts, _ = network.reset()
	require.Equal(t, 1, puts)

	// Received while the identity was locked: the Sync that acknowledges replicates.
	alice[0].introducesOne(t, "bob", "grace")
	_, err := bob[0].Sync(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, calls)
	network.reset()
	bob[0].fetch(t)
	require.Equal(t, 2, calls)
	require.Empty(t, alice[0].fetch(t).Waiting)
}
