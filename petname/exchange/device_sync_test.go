package exchange

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
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
