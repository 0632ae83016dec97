package exchange

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
)

// copyDevice returns a copy of a device's home, with its keys and its state.
func (p *person) copyDevice(t *testing.T) *person {
	t.Helper()
	c := *p
	c.ledger = filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(c.ledger, p.backup(t), 0o600))
	var err error
	c.book, err = petname.Open(c.ledger, c.deviceKey, petname.Options{Now: c.clock.Now, OnChange: ignored})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.book.Close()) })
	c.open()
	return c.syncing()
}

// syncOnce is a sync without patience.
func (p *person) syncOnce(t *testing.T, other *person) {
	t.Helper()
	_, err := p.SyncDeviceUntilIdle(context.Background(), other.book.Ledger().Device(), true, 0)
	require.NoError(t, err)
	p.clock.now = p.clock.now.Add(time.Second)
}

// Two copies of a device that meet the others by messages alone, in an order in which the second
// copy always replaces the record of the first one: what both wrote arrives on the first day, and
// each copy is shown that there is another one.
func TestCopiesThatMeetByMessagesAloneAreFound(t *testing.T) {
	c := newClock()
	laptop := newPerson(t, c, &dht.Memory{Now: c.Now}, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	for range 3 {
		phone.stepUntilIdle(t, laptop, true)
		laptop.stepUntilIdle(t, phone, true)
	}
	began := c.now
	two := phone.copyDevice(t)
	phone.knows(t, &person{name: "bob"})
	two.knows(t, &person{name: "carol"})
	shown := map[*person]bool{}
	for range 8 {
		for _, copied := range []*person{phone, two} {
			copied.syncOnce(t, laptop)
			unknown, err := UnknownOwn(copied.book)
			require.NoError(t, err)
			for device, heads := range unknown {
				require.Equal(t, laptop.book.Ledger().Device(), device)
				require.Len(t, heads, 1)
				shown[copied] = true
			}
		}
		laptop.syncOnce(t, phone)
		unknown, err := UnknownOwn(laptop.book)
		require.NoError(t, err)
		require.Empty(t, unknown)
	}
	require.Less(t, c.now.Sub(began), time.Hour)
	require.True(t, shown[phone] && shown[two], "before the entries are here")
	for _, p := range []*person{laptop, phone, two} {
		require.Equal(t, bookDigest(t, laptop), bookDigest(t, p))
		forks, err := p.book.Ledger().Forks()
		require.NoError(t, err)
		require.Len(t, forks, 1, "what both wrote is there")
		unknown, err := UnknownOwn(p.book)
		require.NoError(t, err)
		require.Empty(t, unknown, "it is here now")
	}
}

// What a removed device stated of this device's log counts for nothing.
func TestWhatARemovedDeviceStatesOfACopyIsNotShown(t *testing.T) {
	c := newClock()
	laptop := newPerson(t, c, &dht.Memory{Now: c.Now}, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	old := laptop.copyDevice(t)
	laptop.knows(t, &person{name: "bob"})
	for range 3 {
		laptop.stepUntilIdle(t, phone, true)
		phone.stepUntilIdle(t, laptop, true)
	}
	old.stepUntilIdle(t, phone, false)
	unknown, err := UnknownOwn(old.book)
	require.NoError(t, err)
	require.Contains(t, unknown, phone.book.Ledger().Device())
	require.NoError(t, old.book.RemoveDevice(old.key, phone.book.Ledger().Device()))
	unknown, err = UnknownOwn(old.book)
	require.NoError(t, err)
	require.Empty(t, unknown)
}

// A sync that leaves the record of a copy there puts nothing until it ends, however long it waits.
func TestASyncThatLeavesARecordPutsNothing(t *testing.T) {
	c := newClock()
	network := newLossy(c)
	laptop := newPerson(t, c, network, "alice").syncing()
	phone := laptop.addDevice(t, "phone", true).syncing()
	for range 3 {
		phone.stepUntilIdle(t, laptop, true)
		laptop.stepUntilIdle(t, phone, true)
	}
	two := phone.copyDevice(t)
	two.knows(t, &person{name: "carol"})
	two.syncOnce(t, laptop)
	two.syncOnce(t, laptop) // each copy puts at least every second time
	phone.knows(t, &person{name: "bob"})
	phone.c.PollInterval = time.Millisecond // the network is in memory
	network.reset()
	sum, err := phone.SyncDeviceUntilIdle(context.Background(), laptop.book.Ledger().Device(), true, 3*phone.c.PollInterval)
	require.NoError(t, err)
	require.True(t, sum.Left)
	require.Positive(t, sum.Waiting)
	require.Positive(t, sum.Unsent)
	puts, _ := network.reset()
	require.Zero(t, puts)
	sum, err = phone.SyncDeviceUntilIdle(context.Background(), laptop.book.Ledger().Device(), true, 3*phone.c.PollInterval)
	require.NoError(t, err)
	require.False(t, sum.Left)
	require.Zero(t, sum.Unsent)
	puts, _ = network.reset()
	require.Positive(t, puts)
	// The copy replaces the record that was put: what it held is not in the network.
	two.syncOnce(t, laptop)
	two.syncOnce(t, laptop)
	sum, err = phone.SyncDeviceUntilIdle(context.Background(), laptop.book.Ledger().Device(), true, 3*phone.c.PollInterval)
	require.NoError(t, err)
	require.True(t, sum.Left)
	require.Positive(t, sum.Unsent)
}
