package exchange

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// syncing lets a device exchange entries.
func (p *person) syncing() *person {
	p.c.DeviceKey = p.deviceKey
	return p
}

// backup returns the file of the book, which has all state of the exchange as well.
func (p *person) backup(t *testing.T) []byte {
	t.Helper()
	require.NoError(t, p.book.Close())
	b, err := os.ReadFile(p.ledger)
	require.NoError(t, err)
	p.restore(t, b)
	return b
}

// restore puts the file in the place of the book's.
func (p *person) restore(t *testing.T, b []byte) {
	t.Helper()
	_ = p.book.Close()
	require.NoError(t, os.WriteFile(p.ledger, b, 0o600))
	var err error
	p.book, err = petname.Open(p.ledger, p.deviceKey, petname.Options{Now: p.clock.Now, OnChange: ignored})
	require.NoError(t, err)
	p.open()
	p.syncing()
}

// stepUntilIdle is a sync of a device while the other one is offline.
func (p *person) stepUntilIdle(t *testing.T, other *person, ask bool) (received int) {
	t.Helper()
	for asked := false; ; {
		step, err := p.SyncDevice(context.Background(), other.book.Ledger().Device(), ask && !asked)
		require.NoError(t, err)
		p.clock.now = p.clock.now.Add(time.Second)
		asked = asked || step.Asked
		if received += step.Received; !step.Moved {
			return received
		}
	}
}

func bookDigest(t *testing.T, p *person) ledger.Hash {
	h, err := p.book.Ledger().Digest()
	require.NoError(t, err)
	return h
}

// A device that was restored from a backup receives again what it had received, also if neither
// device writes: a sync asks for what the other device has. What both believe of each other
// keeps them from nothing.
func TestASyncAfterARestoredBackupBringsWhatIsMissing(t *testing.T) {
	for _, expired := range []bool{false, true} {
		c := newClock()
		network := &dht.Memory{Now: c.Now}
		laptop := newPerson(t, c, network, "alice").syncing()
		phone := laptop.addDevice(t, "phone", true).syncing()
		for range 3 {
			laptop.stepUntilIdle(t, phone, true)
			phone.stepUntilIdle(t, laptop, true)
		}
		old := phone.backup(t)
		laptop.knows(t, &person{name: "bob"})
		for range 3 {
			laptop.stepUntilIdle(t, phone, true)
			phone.stepUntilIdle(t, laptop, true)
		}
		require.Equal(t, bookDigest(t, laptop), bookDigest(t, phone))
		phone.restore(t, old)
		require.NotEqual(t, bookDigest(t, laptop), bookDigest(t, phone))
		if expired { // the records of the channel
			c.now = c.now.AddDate(0, 3, 0)
		}
		received := 0
		for range 3 {
			received += phone.stepUntilIdle(t, laptop, true)
			laptop.stepUntilIdle(t, phone, true)
		}
		require.Equal(t, bookDigest(t, laptop), bookDigest(t, phone), "expired %v", expired)
		require.Positive(t, received)
	}
}

// A sync that does not ask sends nothing while both have everything.
func TestAQuietSyncSendsNothing(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	laptop := newPerson(t, c, network, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	for range 4 {
		laptop.stepUntilIdle(t, phone, false)
		phone.stepUntilIdle(t, laptop, false)
	}
	network.reset()
	for range 4 {
		laptop.stepUntilIdle(t, phone, false)
		phone.stepUntilIdle(t, laptop, false)
	}
	puts, _ := network.reset()
	require.Zero(t, puts)
}

// unsent returns what a step of a device, of which the other one is offline, states.
func (p *person) unsent(t *testing.T, other *person, ask bool) int {
	t.Helper()
	step, err := p.SyncDevice(context.Background(), other.book.Ledger().Device(), ask)
	require.NoError(t, err)
	p.clock.now = p.clock.now.Add(time.Second)
	return step.Unsent
}

// has reports whether a device has what was at these heads.
func (p *person) has(t *testing.T, heads []ledger.Head) bool {
	t.Helper()
	lacks, err := p.book.Ledger().Lacks(heads)
	require.NoError(t, err)
	return len(lacks) == 0
}

// A device has what it was handed when it joined: the first sync of the device that admitted it, and
// that of a third one, count and send only what was written since, which arrives by it.
func TestAFirstSyncCountsNothingThatWasHandedOver(t *testing.T) {
	c := newClock()
	laptop := newPerson(t, c, &dht.Memory{Now: c.Now}, "alice").syncing()
	for i := range 60 {
		laptop.knows(t, &person{name: fmt.Sprint("contact", i)})
	}
	phone := laptop.addDevice(t, "phone", true).syncing()
	tablet := laptop.addDevice(t, "tablet", true).syncing()
	syncDevices(t, laptop, phone, tablet)
	laptop.knows(t, &person{name: "bob"})
	phone.knows(t, &person{name: "carol"})
	for _, p := range []*person{laptop, phone} {
		heads := p.book.Ledger().Heads()
		step, err := p.SyncDevice(context.Background(), tablet.book.Ledger().Device(), true)
		require.NoError(t, err)
		require.Zero(t, step.Unsent)
		require.Less(t, step.Sent, 10)
		require.Positive(t, tablet.stepUntilIdle(t, p, false))
		require.True(t, tablet.has(t, heads))
	}
}

// What a device received over a connection is neither counted nor sent again in messages, also by a
// device that has received no message of it.
func TestASyncCountsNothingThatAConnectionBrought(t *testing.T) {
	c := newClock()
	laptop := newPerson(t, c, &dht.Memory{Now: c.Now}, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	for i := range 60 {
		laptop.knows(t, &person{name: fmt.Sprint("contact", i)})
	}
	here, there := net.Pipe()
	accepted := make(chan replicate.Result, 1)
	go func() {
		r, err := replicate.Accept(context.Background(), phone.book.Ledger(), phone.deviceKey, there, replicate.Options{})
		if err != nil {
			r = replicate.Result{}
		}
		accepted <- r
	}()
	dialled, err := replicate.Dial(context.Background(), laptop.book.Ledger(), laptop.deviceKey, here, phone.book.Ledger().Device(), replicate.Options{})
	require.NoError(t, err)
	require.Equal(t, laptop.book.Ledger().Heads(), dialled.Heads)
	require.NoError(t, laptop.Exchanged(dialled.Peer, dialled.Heads))
	answered := <-accepted
	require.NotEmpty(t, answered.Heads)
	require.NoError(t, phone.Exchanged(answered.Peer, answered.Heads))
	laptop.knows(t, &person{name: "bob"})
	step, err := laptop.SyncDevice(context.Background(), phone.book.Ledger().Device(), true)
	require.NoError(t, err)
	require.Zero(t, step.Unsent)
	require.Equal(t, 1, step.Sent)
	require.Equal(t, 1, phone.stepUntilIdle(t, laptop, false))
	require.Equal(t, bookDigest(t, laptop), bookDigest(t, phone))
}

// What a device wrote before its last sync is in the network, also if the other one has received
// nothing since the sync before: one step of the other one brings all of it, although the device is
// lost meanwhile.
func TestWhatIsWrittenBehindAWaitingMessageIsPut(t *testing.T) {
	c := newClock()
	laptop := newPerson(t, c, &dht.Memory{Now: c.Now}, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	for range 3 {
		laptop.stepUntilIdle(t, phone, true)
		phone.stepUntilIdle(t, laptop, true)
	}
	require.Zero(t, phone.unsent(t, laptop, true))
	for _, name := range []string{"bob", "carol", "dave"} {
		phone.knows(t, &person{name: name})
		require.Zero(t, phone.unsent(t, laptop, true))
	}
	require.NotEqual(t, bookDigest(t, laptop), bookDigest(t, phone))
	step, err := laptop.SyncDevice(context.Background(), phone.book.Ledger().Device(), false)
	require.NoError(t, err)
	require.Positive(t, step.Received)
	require.Equal(t, bookDigest(t, laptop), bookDigest(t, phone))
}

// While the other device is away, what its record has no room for is counted as unsent, and so is
// what no record could be put for. All of it follows when the device is there again.
func TestASyncCountsWhatTheNetworkDoesNotHold(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	laptop := newPerson(t, c, network, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	for range 3 {
		laptop.stepUntilIdle(t, phone, true)
		phone.stepUntilIdle(t, laptop, true)
	}
	before := 0
	for i := range 60 {
		phone.knows(t, &person{name: fmt.Sprint("contact", i)})
		unsent := phone.unsent(t, laptop, false)
		require.GreaterOrEqual(t, unsent, before)
		before = unsent
	}
	require.Greater(t, before, 20)
	c2, err := phone.openSyncChannel(laptop.book.Ledger().Device())
	require.NoError(t, err)
	require.Zero(t, c2.NotPut(), "what the record does not hold is not queued")
	lacking := len(phone.entriesFor(t, laptop))
	laptop.stepUntilIdle(t, phone, false)
	require.Len(t, phone.entriesFor(t, laptop), before, "of %d", lacking)
	require.Positive(t, phone.unsent(t, laptop, false), "one record does not hold them")
	for range 30 {
		laptop.stepUntilIdle(t, phone, false)
		phone.stepUntilIdle(t, laptop, false)
	}
	require.Equal(t, bookDigest(t, laptop), bookDigest(t, phone))
	require.Zero(t, phone.unsent(t, laptop, false))

	network.Store = unreachable{}
	phone.knows(t, &person{name: "bob"})
	step, err := phone.SyncDevice(context.Background(), laptop.book.Ledger().Device(), false)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.Equal(t, 1, step.Unsent)
}

// unreachable is a store that no request reaches.
type unreachable struct{}

func (unreachable) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{Asked: 1}, dht.ErrUnreachable
}

func (unreachable) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) { yield(dht.Answer{}, dht.ErrUnreachable) }
}

// A law: whenever a step of a device reports nothing unsent, one step of the other one alone brings
// all that the device has, whatever both wrote and in whatever order they stepped before.
func TestLawWhatAStepDoesNotReportAsUnsentArrives(t *testing.T) {
	arrived, unsent := 0, 0
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 1))
		c := newClock()
		laptop := newPerson(t, c, &dht.Memory{Now: c.Now}, "alice").syncing()
		phone := laptop.addDevice(t, "phone", true).syncing()
		d := [2]*person{laptop, phone}
		for i := range 60 {
			one := random.IntN(2)
			p, other := d[one], d[1-one]
			switch random.IntN(4) {
			case 0:
				p.knows(t, &person{name: fmt.Sprint("contact", i)})
			case 1:
				for j := range random.IntN(30) {
					p.knows(t, &person{name: fmt.Sprint("contact", i, " ", j)})
				}
			default:
				heads := p.book.Ledger().Heads()
				if p.unsent(t, other, random.IntN(3) == 0) > 0 {
					unsent++
					continue
				}
				if random.IntN(2) == 0 {
					other.unsent(t, p, random.IntN(3) == 0)
					require.True(t, other.has(t, heads), "seed %d, step %d", seed, i)
					arrived++
				}
			}
		}
	}
	require.Greater(t, arrived, 30)
	require.Greater(t, unsent, 30)
}
