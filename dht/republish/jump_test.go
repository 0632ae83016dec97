package republish

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that jumps, either way and by days, causes no storm: walks stay under
// their rate, records are put no faster than one after the other, and none of
// them is late.
func TestAClockThatJumpsCausesNoStorm(t *testing.T) {
	for _, by := range []time.Duration{5 * 24 * time.Hour, -5 * 24 * time.Hour, 100 * 365 * 24 * time.Hour, -50 * 365 * 24 * time.Hour, 25 * time.Hour, -25 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// Each region has so many records that putting them at once would
				// be a storm.
				m := newModel(size(60, 1000), 8)
				b, home, recs := kept(t, size(100, 200), 200*365*24*time.Hour)
				var offset atomic.Int64
				now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
				k, _ := start(t, Config{Network: m, Contacts: b, Home: home, Now: now})
				pass(30 * time.Hour)
				for _, rec := range recs {
					require.Equal(t, closest, m.holders(rec))
				}
				m.replace(0.97) // so that each look ends in a put
				offset.Store(int64(by))
				calm(t, m, 60)
				pass(longest)
				for _, rec := range recs {
					require.GreaterOrEqual(t, m.holders(rec), enough)
				}
				for _, e := range k.Entries() {
					require.LessOrEqual(t, e.Next.Sub(now()), longest*5/4)
				}
			})
		})
	}
}

// When a clock that ran ahead is set right, pauses that end in the future are
// dropped, and the book is read again.
func TestAClockThatIsSetBackEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offset atomic.Int64
		offset.Store(int64(5 * 24 * time.Hour))
		now := func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		m := newModel(100, 8)
		m.down = true
		b, home, recs := kept(t, 2, 60*24*time.Hour)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home, Now: now})
		b.keep(false, recs[1].Pointer())
		pass(time.Hour)
		require.Contains(t, k.Status().Said, "no network")
		m.mu.Lock()
		m.down = false
		m.mu.Unlock()
		b.keep(true, recs[1].Pointer())
		offset.Store(0)
		pass(longest/2 + 2*pollEvery)
		for _, rec := range recs {
			require.Equal(t, closest, m.holders(rec))
		}
	})
}

// Many overdue records, as after a week of sleep, are republished one after the
// other as well.
func TestWakingUpCausesNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := t.TempDir() + "/keep.json"
		m := newModel(size(60, 1000), 8)
		b, home, recs := kept(t, size(150, 500), 60*24*time.Hour)
		c := Config{Network: m, Contacts: b, Home: home, Path: path}
		_, stop := start(t, c)
		pass(6 * time.Hour)
		stop()
		pass(week)
		m.replace(1)
		start(t, c)
		calm(t, m, 120)
		for _, rec := range recs {
			require.Equal(t, closest, m.holders(rec))
		}
	})
}
