package exchange

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer/canonical"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// introducerAndParties returns the devices of Alice, who has Bob and Carol in her book, and of
// these two.
func introducerAndParties(t testing.TB, network *lossy, c *clock) (alice, bob, carol [2]*person) {
	t.Helper()
	for _, p := range []struct {
		name string
		all  *[2]*person
	}{{"alice", &alice}, {"bob", &bob}, {"carol", &carol}} {
		p.all[0] = newPerson(t, c, network, p.name)
	}
	alice[0].knows(t, bob[0], carol[0])
	bob[0].knows(t, alice[0])
	carol[0].knows(t, alice[0])
	for _, all := range []*[2]*person{&alice, &bob, &carol} {
		all[1] = all[0].addDevice(t, "phone", true)
		syncDevices(t, all[:]...)
	}
	return alice, bob, carol
}

func (p *person) introduceBoth(t testing.TB) Mutual {
	t.Helper()
	for range 50 { // the store may lose cards
		m, sent, _ := p.IntroduceBoth(context.Background(), p.key, mutual.Party{Pointer: pointerOf("bob"), Suggested: "Bob"}, mutual.Party{Pointer: pointerOf("carol"), Suggested: "Carol"}, time.Time{})
		if sent != "" {
			return m
		}
	}
	require.Fail(t, "not started")
	return Mutual{}
}

// suggested returns the pending suggestions of a kind.
func (p *person) suggested(t testing.TB, kind petname.SuggestionKind) (all []petname.Suggestion) {
	t.Helper()
	for _, s := range p.inbox(t) {
		if s.Kind == kind {
			all = append(all, s)
		}
	}
	return all
}

// rounds lets all devices fetch and exchange entries.
func rounds(t testing.TB, n int, owners ...[2]*person) {
	t.Helper()
	for range n {
		for _, all := range owners {
			for _, p := range all {
				p.clock.now = p.clock.now.Add(time.Minute)
				p.fetch(t)
			}
			syncDevices(t, all[:]...)
		}
	}
}

// The session of a mutual introduction is on whichever device began or answered it; the messages
// that other devices fetch reach it by the book.
func TestMutualIntroductionsBetweenDevices(t *testing.T) {
	for begun := range 2 {
		for accepted := range 2 {
			t.Run(fmt.Sprint(begun, accepted), func(t *testing.T) {
				c := newClock()
				network := newLossy(c)
				alice, bob, carol := introducerAndParties(t, network, c)
				alice[begun].introduceBoth(t)
				bob[1-accepted].fetch(t) // the other device has the offer from the book alone
				carol[1-accepted].fetch(t)
				syncDevices(t, bob[:]...)
				syncDevices(t, carol[:]...)
				for _, all := range [][2]*person{bob, carol} {
					p := all[accepted]
					offers := p.suggested(t, petname.Mutual)
					require.Len(t, offers, 1)
					m, sent, err := p.AcceptMutual(t.Context(), p.key, offers[0].ID)
					require.NoError(t, err)
					require.Equal(t, Stored, sent)
					require.Equal(t, mutual.Accepted, m.Phase)
					syncDevices(t, all[:]...)
					for _, again := range all {
						m, _, err := again.AcceptMutual(t.Context(), again.key, offers[0].ID)
						require.NoError(t, err)
						require.Equal(t, mutual.Accepted, m.Phase, "a repetition on any device changes nothing")
					}
				}
				rounds(t, 10, alice, bob, carol)
				for _, all := range [][2]*person{bob, carol} {
					for _, p := range all {
						results := p.suggested(t, petname.Acquainted)
						require.Len(t, results, 1, p.name)
						require.Equal(t, pointerOf(map[string]string{"bob": "carol", "carol": "bob"}[p.name]), results[0].Pointer)
						require.Empty(t, p.suggested(t, petname.Mutual))
						require.Empty(t, Check(p.book))
					}
				}
				for _, p := range slices.Concat(alice[:], bob[:], carol[:]) {
					require.Empty(t, p.fetch(t).Waiting, p.name)
				}
			})
		}
	}
}

// However devices are used, restarted and synchronized, over a store that loses records: an
// introduction that both parties accept, each on one device, is complete on all devices, once.
func TestLawMutualIntroductionsReachEveryDevice(t *testing.T) {
	for seed := range uint64(lawtest.Size(2, 60)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 16))
			c := newClock()
			network := newLossy(c)
			alice, bob, carol := introducerAndParties(t, network, c)
			network.setRandom(random)
			started := 1 + random.IntN(2)
			for range started {
				alice[random.IntN(2)].introduceBoth(t)
			}
			owners := [][2]*person{alice, bob, carol}
			for range 60 {
				c.now = c.now.Add(time.Duration(random.IntN(3600)) * time.Second)
				all := owners[random.IntN(3)]
				p := all[random.IntN(2)]
				switch random.IntN(6) {
				case 0, 1, 2:
					_, err := p.Sync(context.Background(), p.key)
					require.NoError(t, err)
				case 3:
					p.reopen(t)
				case 4:
					syncDevices(t, all[:]...)
				case 5:
					if p.name == "alice" {
						continue
					}
					syncDevices(t, all[:]...)
					for _, offer := range p.suggested(t, petname.Mutual) {
						_, _, err := p.AcceptMutual(context.Background(), p.key, offer.ID)
						if err != nil {
							require.NotErrorIs(t, err, petname.ErrNotFound)
						}
						syncDevices(t, all[:]...)
					}
				}
			}
			network.setRandom(nil)
			rounds(t, 1, alice, bob, carol)
			c.now = c.now.Add(13 * time.Hour) // records that the store lost are put again
			rounds(t, 2, alice, bob, carol)
			for _, all := range owners[1:] {
				p := all[random.IntN(2)]
				for _, offer := range p.suggested(t, petname.Mutual) {
					_, _, err := p.AcceptMutual(context.Background(), p.key, offer.ID)
					require.NoError(t, err)
				}
				syncDevices(t, all[:]...)
			}
			rounds(t, 10, alice, bob, carol)
			for _, all := range owners[1:] {
				for _, p := range all {
					require.Equal(t, started, len(p.suggested(t, petname.Acquainted)), "%s: %s", p.name, phases(t, owners...))
					require.Zero(t, len(p.suggested(t, petname.Mutual)))
				}
			}
			for _, all := range owners {
				for _, p := range all {
					require.Empty(t, p.fetch(t).Waiting)
					require.Empty(t, Check(p.book))
				}
			}
		})
	}
}

// phases describes the sessions on all devices.
func phases(t testing.TB, owners ...[2]*person) (text string) {
	for _, all := range owners {
		for i, p := range all {
			text += fmt.Sprintf("\n%s %d:", p.name, i)
			for _, m := range must(p.Mutuals()) {
				text += fmt.Sprintf(" %x %s %s", m.Session[:2], m.Phase, m.Reason)
			}
			for m, err := range p.book.Relayed() {
				require.NoError(t, err)
				session, kind, _ := mutual.SessionOf(m.Body)
				text += fmt.Sprintf(" relayed(%x %d)", session[:2], kind)
			}
		}
	}
	return text
}

// The owner declines an offer on one device after another device consented, and before it.
func TestAnOfferIsDeclinedOnAnyDevice(t *testing.T) {
	for _, consented := range []bool{false, true} {
		c := newClock()
		alice, bob, carol := introducerAndParties(t, newLossy(c), c)
		started := alice[1].introduceBoth(t)
		bob[0].fetch(t)
		bob[1].fetch(t)
		syncDevices(t, bob[:]...)
		offer := bob[0].suggested(t, petname.Mutual)[0].ID
		if consented {
			_, _, err := bob[0].AcceptMutual(t.Context(), bob[0].key, offer)
			require.NoError(t, err)
			syncDevices(t, bob[:]...)
		}
		m, _, err := bob[1].DeclineMutual(t.Context(), bob[1].key, offer)
		require.NoError(t, err)
		require.Equal(t, mutual.Ended, m.Phase)
		rounds(t, 6, alice, bob, carol)
		i, err := alice[1].loadIntroducer(started.Session)
		require.NoError(t, err)
		phase, reason := i.Phase()
		require.Equal(t, mutual.Ended, phase)
		require.Equal(t, mutual.Declined, reason)
		for _, p := range slices.Concat(bob[:], carol[:]) {
			require.Empty(t, p.inbox(t))
			for _, m := range must(p.Mutuals()) {
				require.Equal(t, mutual.Ended, m.Phase, "%s: %s", p.name, m.Reason)
			}
			_, _, err := p.AcceptMutual(t.Context(), p.key, offer)
			require.Error(t, err)
		}
	}
}

// A message that is relayed is handled once, and forgotten with the book.
func TestARelayedMessageIsHandledOnce(t *testing.T) {
	c := newClock()
	alice, bob, carol := introducerAndParties(t, newLossy(c), c)
	alice[0].introduceBoth(t)
	rounds(t, 1, bob, carol)
	for _, p := range []*person{bob[0], carol[0]} {
		_, _, err := p.AcceptMutual(t.Context(), p.key, p.suggested(t, petname.Mutual)[0].ID)
		require.NoError(t, err)
	}
	alice[1].fetch(t) // of the channel of the empty purpose: it has no session
	relayed := 0
	for range alice[1].book.Relayed() {
		relayed++
	}
	require.Equal(t, 2, relayed, "the answers of both")
	syncDevices(t, alice[:]...)
	require.NotEmpty(t, alice[0].fetch(t).Mutual)
	require.Len(t, alice[0].rows(t, tableHandled, nil), 2)
	before := alice[0].rows(t, tableIntroducers, nil)
	var report Report
	require.NoError(t, alice[0].receiveRelayed(&report))
	require.Empty(t, report.Mutual)
	require.Equal(t, before, alice[0].rows(t, tableIntroducers, nil))

	c.now = c.now.AddDate(0, 4, 0)
	n, err := alice[0].book.DropExpired(c.now)
	require.NoError(t, err)
	require.Positive(t, n)
	require.NoError(t, alice[0].receiveRelayed(&report))
	require.Empty(t, alice[0].rows(t, tableHandled, nil))
}

// In a book of one device a message of no session is refused, and nothing is relayed.
func TestNothingIsRelayedWithoutAnotherDevice(t *testing.T) {
	alice, bob, _ := three(t)
	v := mutualMessage(t, "bob")
	stop, err := alice.handleMutual(pointerOf("bob"), v, new(Report))
	require.ErrorIs(t, err, mutual.ErrOtherSession)
	require.False(t, stop)
	for range alice.book.Relayed() {
		require.Fail(t, "relayed")
	}
	tablet := alice.addDevice(t, "tablet", false)
	_, err = alice.handleMutual(pointerOf("bob"), v, new(Report))
	require.ErrorIs(t, err, mutual.ErrOtherSession, "a device without the identity key has no session")
	_, err = tablet.handleMutual(pointerOf("bob"), v, new(Report))
	require.NoError(t, err, "and relays to one that has the key")
	phone := alice.addDevice(t, "phone", true)
	stop, err = alice.handleMutual(pointerOf("bob"), v, new(Report))
	require.NoError(t, err)
	require.False(t, stop)
	require.NoError(t, alice.book.RemoveDevice(alice.key, phone.book.Ledger().Device()))
	_, err = alice.handleMutual(pointerOf("bob"), mutualMessage(t, "bob"), new(Report))
	require.ErrorIs(t, err, mutual.ErrOtherSession)
	_ = bob
}

// mutualMessage returns an answer of a party to a session that no owner of these tests started.
func mutualMessage(t testing.TB, by string) []byte {
	t.Helper()
	now := newClock().now
	_, out, err := mutual.Start(now, rand.NewChaCha8([32]byte{byte(now.Nanosecond())}), testKey("nobody"), mutual.Party{Pointer: pointerOf(by)}, mutual.Party{Pointer: pointerOf("erin")}, now.Add(time.Hour))
	require.NoError(t, err)
	v, err := mutual.Receive(now, pointerOf(by), pointerOf("nobody"), out[0].Bytes)
	require.NoError(t, err)
	return v.Decline()[0].Bytes
}

// Attack: a contact sends messages of sessions without end to a book of several devices. They
// fill neither the book nor the tables, and stop none of the later messages.
func TestRelayedMessagesOfAContactAreBounded(t *testing.T) {
	alice, bob, _ := three(t)
	alice.addDevice(t, "phone", true)
	refused := 0
	random := rand.NewChaCha8([32]byte{1})
	for i := range 400 {
		now := newClock().now
		_, out, err := mutual.Start(now, random, testKey("nobody"), mutual.Party{Pointer: pointerOf("bob")}, mutual.Party{Pointer: pointerOf("erin")}, now.Add(time.Hour))
		require.NoError(t, err)
		v, err := mutual.Receive(now, pointerOf("bob"), pointerOf("nobody"), out[0].Bytes)
		require.NoError(t, err)
		if i%90 == 0 {
			alice.clock.now = alice.clock.now.AddDate(0, 0, 1)
		}
		stop, err := alice.handleMutual(pointerOf("bob"), v.Decline()[0].Bytes, new(Report))
		require.False(t, stop)
		if err != nil {
			require.ErrorIs(t, err, petname.ErrTooManyRelayed)
			refused++
		}
	}
	require.Equal(t, 400-256, refused)
	bob.introducesOne(t, "alice", "dave")
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// Attack: a stolen device of the owner relays messages that no contact sent. They can end a
// session, and complete none.
func TestForgedRelayedMessagesCompleteNoSession(t *testing.T) {
	c := newClock()
	alice, bob, carol := introducerAndParties(t, newLossy(c), c)
	started := alice[0].introduceBoth(t)
	rounds(t, 1, bob, carol)
	offer := bob[0].suggested(t, petname.Mutual)[0].ID
	_, _, err := bob[0].AcceptMutual(t.Context(), bob[0].key, offer)
	require.NoError(t, err)
	syncDevices(t, bob[:]...)
	rounds(t, 1, alice)
	zeros := func(n int) []byte { return make([]byte, n) }
	for _, fields := range []map[int]any{
		{1: int(mutual.KindReveal), 2: started.Session[:], 15: zeros(32), 16: pointerOf("mallory").Bytes(), 17: zeros(100)},
		{1: int(mutual.KindAuth), 2: started.Session[:], 3: 2, 18: zeros(200)},
		{1: int(mutual.KindActivate), 2: started.Session[:], 3: 2, 19: zeros(32)},
	} {
		_, err := bob[1].book.Relay(pointerOf("alice"), canonical.MustMarshal(fields))
		require.NoError(t, err)
		_, err = bob[1].book.Relay(pointerOf("mallory"), canonical.MustMarshal(fields))
		require.NoError(t, err)
	}
	syncDevices(t, bob[:]...)
	report, err := bob[0].Sync(t.Context(), bob[0].key)
	require.NoError(t, err)
	require.Len(t, report.Refused, 1, "the false pointer")
	rounds(t, 4, alice, bob, carol)
	for _, p := range slices.Concat(bob[:], carol[:]) {
		require.Empty(t, p.suggested(t, petname.Acquainted))
	}
	m := must(bob[0].Mutuals())
	require.Len(t, m, 1)
	require.Equal(t, mutual.Ended, m[0].Phase)
}

// relayedOf returns the body of the one relayed message of a kind by a contact.
func (p *person) relayedOf(t testing.TB, by string, kind mutual.Kind) (body []byte) {
	t.Helper()
	for m, err := range p.book.Relayed() {
		require.NoError(t, err)
		if _, k, err := mutual.SessionOf(m.Body); err == nil && k == kind && m.By == pointerOf(by) {
			require.Nil(t, body)
			body = m.Body
		}
	}
	require.NotNil(t, body)
	return body
}

// Messages that reach the device with the session in another order, one by the book and one from
// the contact, are handled in the order of the protocol, and end nothing.
func TestMessagesInAnotherOrderWaitForEachOther(t *testing.T) {
	c := newClock()
	alice, bob, carol := introducerAndParties(t, newLossy(c), c)
	started := alice[0].introduceBoth(t)
	rounds(t, 1, bob, carol)
	for _, p := range []*person{bob[0], carol[0]} {
		_, _, err := p.AcceptMutual(t.Context(), p.key, p.suggested(t, petname.Mutual)[0].ID)
		require.NoError(t, err)
	}
	alice[0].fetch(t) // reveals
	carol[0].fetch(t)
	alice[0].fetch(t) // forwards what Carol proved
	bob[1].fetch(t)   // it has no session that was accepted
	reveal, auth := bob[1].relayedOf(t, "alice", mutual.KindReveal), bob[1].relayedOf(t, "alice", mutual.KindAuth)
	phaseOf := func() mutual.Phase { return must(bob[0].Mutuals())[0].Phase }
	relay := func(p *person, by string, body []byte) (handled int) {
		_, err := p.book.Relay(pointerOf(by), body)
		require.NoError(t, err)
		var report Report
		require.NoError(t, p.receiveRelayed(&report))
		require.Empty(t, report.Refused)
		return len(p.rows(t, tableHandled, nil))
	}
	require.Zero(t, relay(bob[0], "alice", auth))
	require.Equal(t, mutual.Accepted, phaseOf())
	require.Equal(t, 2, relay(bob[0], "alice", reveal))
	require.Equal(t, mutual.Revealed, phaseOf())

	bob[0].fetch(t) // proves, and confirms what Carol proved
	alice[1].fetch(t)
	auth, activate := alice[1].relayedOf(t, "bob", mutual.KindAuth), alice[1].relayedOf(t, "bob", mutual.KindActivate)
	before := len(alice[0].rows(t, tableHandled, nil))
	stop, err := alice[0].handleMutual(pointerOf("bob"), activate, new(Report))
	require.NoError(t, err)
	require.False(t, stop)
	require.Equal(t, before, relay(alice[0], "bob", activate), "the device that received it early relayed it to itself")
	require.Equal(t, activate, alice[0].relayedOf(t, "bob", mutual.KindActivate))
	require.Equal(t, before+2, relay(alice[0], "bob", auth))
	rounds(t, 5, alice, bob, carol)
	i, err := alice[0].loadIntroducer(started.Session)
	require.NoError(t, err)
	phase, _ := i.Phase()
	require.Equal(t, mutual.Active, phase)
	require.Len(t, bob[1].suggested(t, petname.Acquainted), 1)
}

// The peer declines, and a device that does not know of the consent receives it: the session ends
// on the device that consented.
func TestADeclineReachesTheDeviceThatConsented(t *testing.T) {
	c := newClock()
	alice, bob, carol := introducerAndParties(t, newLossy(c), c)
	alice[1].introduceBoth(t)
	for _, p := range []*person{bob[0], bob[1], carol[0]} {
		p.fetch(t)
	}
	offer := bob[0].suggested(t, petname.Mutual)[0].ID
	_, _, err := bob[0].AcceptMutual(t.Context(), bob[0].key, offer)
	require.NoError(t, err)
	_, _, err = carol[0].DeclineMutual(t.Context(), carol[0].key, carol[0].suggested(t, petname.Mutual)[0].ID)
	require.NoError(t, err)
	alice[1].fetch(t)
	bob[1].fetch(t)
	require.Empty(t, bob[1].inbox(t))
	alice[1].fetch(t) // the message is acknowledged
	c.now = c.now.Add(time.Minute)
	alice[1].introducesOne(t, "bob", "dave") // and not in the next record
	syncDevices(t, bob[:]...)
	bob[0].fetch(t)
	m := must(bob[0].Mutuals())
	require.Len(t, m, 1)
	require.Equal(t, mutual.Ended, m[0].Phase)
	require.Equal(t, mutual.Declined, m[0].Reason)
	require.Equal(t, pointersOf("dave"), bob[0].subjects(t))
}
