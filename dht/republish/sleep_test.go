package republish

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/dhttest"
	"github.com/petnames-go/petnames/pointer"
)

// A machine sleeps for 60 h, while all peers discard what they hold. Within a
// minute of waking, and the time over which due records are spread, the own record
// and the records of contacts are put again. A put at home and one in the background
// of the sleep have times with a monotonic reading, which stands still.
func TestRecordsArePutAgainSoonAfterASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock dhttest.Clock
		m := newModel(300, 3)
		m.now = clock.Now
		p := newPublisher(t, m, 30*24*time.Hour)
		b, home, recs := newHome(t, 3, 30*24*time.Hour)
		_, err := home.Put(t.Context(), p.key.Pointer(), p.held().Bytes())
		require.NoError(t, err)
		c := p.config()
		c.Contacts, c.Home, c.Now = b, home, clock.Now
		k, _ := start(t, c)
		advance(30 * time.Hour)
		for range 3 {
			advance(pollEvery / 2) // anywhere between two looks at the clock
			clock.Sleep(60 * time.Hour)
			m.replace(1)
			advance(maxWait + spreadOf(1+len(recs)) + 4*maxGap)
			require.Equal(t, replication, m.holders(p.held()), "the own record")
			for _, rec := range recs {
				require.Equal(t, replication, m.holders(rec), "the record of a contact")
			}
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, at := range []time.Time{k.last, k.contactsRead, k.own.Next, k.own.Put, k.own.Seen, k.own.Since, k.items[0].Next, k.items[0].Put, k.items[0].Seen, k.items[0].Looked} {
			require.NotContains(t, at.String(), " m=")
		}
	})
}

// A pause for lack of a network ends by the wall clock, too.
func TestAPauseEndsDuringASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock dhttest.Clock
		m := newModel(100, 8)
		m.down = true
		b, home, recs := newHome(t, 1, 60*24*time.Hour)
		start(t, Config{Network: m, Contacts: b, Home: home, Now: clock.Now})
		advance(20 * time.Hour)
		m.mu.Lock()
		m.down = false
		m.mu.Unlock()
		clock.Sleep(maxPause * 2)
		advance(maxWait + spreadOf(1) + 2*maxGap)
		require.Equal(t, replication, m.holders(recs[0]))
		require.Zero(t, m.putsOf(pointer.Pointer{})-replication)
	})
}
