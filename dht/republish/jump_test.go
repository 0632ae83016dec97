package republish

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// A clock that jumps forward or back by days causes no burst: walks stay under
// their rate, records are put no faster than one after the other, and none of
// them is late.
func TestClockJumpKeepsTheRates(t *testing.T) {
	for _, by := range []time.Duration{5 * 24 * time.Hour, -5 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour, 25 * time.Hour, -25 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Each region has so many records that putting them at once would
				// be a burst.
				m := newModel(lawtest.Size(60, 1000), 8)
				b, home, recs := newHome(t, lawtest.Size(100, 200), 200*365*24*time.Hour)
				var offset atomic.Int64
				now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
				k, _ := start(t, Config{Network: m, Contacts: b, Home: home, Now: now})
				advance(30 * time.Hour)
				for _, rec := range recs {
					require.Equal(t, replication, m.holders(rec))
				}
				m.replace(0.97) // so that each query ends in a put
				offset.Store(int64(by))
				requireRates(t, m, 60)
				advance(maxInterval)
				for _, rec := range recs {
					require.GreaterOrEqual(t, m.holders(rec), minHolders)
				}
				for _, e := range k.Entries() {
					require.LessOrEqual(t, e.Next.Sub(now()), maxInterval*5/4)
				}
			})
		})
	}
}

// When a clock that ran ahead is set right, pauses that end in the future are
// dropped, and the book is read again.
func TestClockSetBackEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		offset.Store(int64(5 * 24 * time.Hour))
		now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		m := newModel(100, 8)
		m.down = true
		b, home, recs := newHome(t, 2, 60*24*time.Hour)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home, Now: now})
		b.set(false, recs[1].Pointer())
		advance(time.Hour)
		require.Contains(t, k.Status().Outcome, "no network")
		m.mu.Lock()
		m.down = false
		m.mu.Unlock()
		b.set(true, recs[1].Pointer())
		offset.Store(0)
		advance(maxInterval/2 + 2*pollEvery)
		for _, rec := range recs {
			require.Equal(t, replication, m.holders(rec))
		}
	})
}

// Many overdue records, as after a week of sleep, are republished one after the
// other as well.
func TestResumeKeepsTheRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := t.TempDir() + "/keep.json"
		m := newModel(lawtest.Size(60, 1000), 8)
		b, home, recs := newHome(t, lawtest.Size(150, 500), 60*24*time.Hour)
		c := Config{Network: m, Contacts: b, Home: home, Path: path}
		_, stop := start(t, c)
		advance(6 * time.Hour)
		stop()
		advance(week)
		m.replace(1)
		start(t, c)
		requireRates(t, m, 120)
		for _, rec := range recs {
			require.Equal(t, replication, m.holders(rec))
		}
	})
}
