package republish

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// Walks start in a burst of at most one minute's number, then at their rate. A
// long pause does not increase the burst, nor does a jump of the caller's
// clock.
func TestWalksAreRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		jumping := time.Now()
		k := New(Config{Now: func() time.Time { jumping = jumping.Add(24 * time.Hour); return jumping }, Rand: rand.NewPCG(1, 1)})
		take := func(n int) time.Duration {
			began := time.Now()
			for range n {
				require.NoError(t, k.waitForWalk(t.Context()))
			}
			return time.Since(began)
		}
		const each = time.Minute / walksPerMinute
		require.Zero(t, take(walksPerMinute))
		require.InDelta(t, each, take(1), float64(each/100))
		require.InDelta(t, 2*time.Minute, take(2*walksPerMinute), float64(each/100))
		time.Sleep(24 * time.Hour)
		require.Zero(t, take(walksPerMinute))
		require.InDelta(t, each, take(1), float64(each/100))
		require.Equal(t, 4*walksPerMinute+2, k.Status().Walks)

		// A cancelled call uses no walk.
		ctx, cancel := context.WithTimeout(t.Context(), each/2)
		defer cancel()
		require.ErrorIs(t, k.waitForWalk(ctx), context.DeadlineExceeded)
		require.Equal(t, 4*walksPerMinute+2, k.Status().Walks)
	})
}

// Records that are overdue at the start are looked for one after the other:
// their due times are spread over 3 s for each, and over 2 h at most.
func TestOverdueRecordsAreSpread(t *testing.T) {
	for _, tc := range []struct {
		names int
		over  time.Duration
	}{{40, 2 * time.Minute}, {3000, 2 * time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			var pointers []string
			for n := range tc.names {
				pointers = append(pointers, testKey(n).Pointer().String())
			}
			path := filepath.Join(t.TempDir(), "keep.json")
			long := time.Now().Add(-week).UTC().Format(time.RFC3339)
			require.NoError(t, os.WriteFile(path, []byte(allAs(pointers, `{"next":"`+long+`","looked":"`+long+`"}`)), 0o600))
			k := New(Config{Path: path, Rand: rand.NewPCG(1, 1)})
			var due []time.Duration
			for _, e := range k.Entries() {
				due = append(due, time.Until(e.Next))
			}
			slices.Sort(due)
			require.Len(t, due, tc.names)
			require.GreaterOrEqual(t, due[0], time.Duration(0))
			require.LessOrEqual(t, due[len(due)-1], tc.over)
			require.Less(t, due[len(due)/4], tc.over*2/5)
			require.Greater(t, due[len(due)/4], tc.over/10, "not all of them at the start")
			require.Greater(t, due[len(due)*3/4], tc.over*3/5, "nor before the end")
		})
	}
}

// The republisher estimates the rate at which peers leave from two queries of enough
// peers, half an hour to 44 h apart. It uses no other queries, and keeps the
// estimate within its limits.
func TestTheRateAtWhichPeersLeaveIsEstimated(t *testing.T) {
	peers := func(from, to int) sample {
		ids := map[string]bool{}
		for i := from; i < to; i++ {
			ids[string(rune('a'+i))] = true
		}
		return sampleOf(ids)
	}
	for name, tc := range map[string]struct {
		before, after sample
		elapsed       time.Duration
		want          float64 // value that the rate approaches; 0: unchanged
	}{
		"half went in two hours":  {peers(0, 20), peers(10, 30), 2 * time.Hour, math.Ln2 / 2},
		"five peers":              {peers(0, 5), peers(0, 5), time.Hour, 1e-9},
		"four peers":              {peers(0, 4), peers(10, 14), time.Hour, 0},
		"half an hour":            {peers(0, 20), peers(10, 30), minElapsed, math.Ln2 * 2},
		"less than half an hour":  {peers(0, 20), peers(10, 30), minElapsed - 1, 0},
		"44 hours":                {peers(0, 20), peers(10, 30), 2 * maxInterval, math.Ln2 / 44},
		"more than 44 hours":      {peers(0, 20), peers(10, 30), 2*maxInterval + 1, 0},
		"all went, seen as 39/40": {peers(0, 20), peers(20, 40), 4 * time.Hour, math.Log(40) / 4},
	} {
		k := New(Config{})
		k.updateChurn(tc.before, tc.after, tc.elapsed)
		want := startChurn
		if tc.want > 0 {
			want += churnShare * (tc.want - startChurn)
		}
		require.InDelta(t, want, k.churn, 1e-6, name)
	}
	k := New(Config{})
	for range 100 {
		k.updateChurn(peers(0, 20), peers(20, 40), minElapsed)
	}
	require.Equal(t, float64(maxChurn), k.churn)
	require.Equal(t, minInterval, k.interval())
	for range 100 {
		k.updateChurn(peers(0, 20), peers(0, 20), maxInterval)
	}
	require.Equal(t, minChurn, k.churn)
	require.Equal(t, maxInterval, k.interval())
}

// The next query is due sooner if few peers hold a record: when 8 of 20 holders
// are expected to remain, but not within the next hour.
func TestRecordWithFewHoldersIsDueSooner(t *testing.T) {
	now := time.Now()
	for holders, want := range map[int]time.Duration{
		20: 4 * time.Hour, // half of the holders are gone by then, and this bound comes first
		12: time.Duration(math.Log(0.6/0.4) / startChurn * float64(time.Hour)),
		10: time.Duration(math.Log(0.5/0.4) / startChurn * float64(time.Hour)),
		8:  time.Hour,
		1:  time.Hour,
	} {
		k := New(Config{Rand: rand.NewPCG(1, 1)})
		for range 20 {
			e := Entry{Asked: replication, Holders: holders, Seen: now}
			k.schedule(&e, now)
			require.InDelta(t, want, e.Next.Sub(now), float64(want)*jitter*1.01, holders)
			require.GreaterOrEqual(t, e.Next.Sub(now), time.Hour)
		}
	}
}

// If a time in a file lies more than a jump ahead of the clock, the republisher
// discards the times of this entry. It accepts times up to a jump ahead.
func TestTimesAheadAreDiscarded(t *testing.T) {
	now := time.Now().Round(0)
	past := now.Add(-time.Hour)
	for name, set := range map[string]func(e *Entry, at time.Time){
		"looked": func(e *Entry, at time.Time) { e.Looked = at },
		"put":    func(e *Entry, at time.Time) { e.Put = at },
		"seen":   func(e *Entry, at time.Time) { e.Seen = at },
	} {
		k := New(Config{Rand: rand.NewPCG(1, 1)})
		e := Entry{Next: now.Add(time.Hour), Looked: past, Put: past, Seen: past}
		set(&e, now.Add(maxDrift))
		require.Equal(t, e, k.repairDueTime(e, now, 1), name)
		set(&e, now.Add(maxDrift+1))
		got := k.repairDueTime(e, now, 1)
		require.Zero(t, got.Looked, name)
		require.Zero(t, got.Put, name)
		require.Zero(t, got.Seen, name)
		require.LessOrEqual(t, got.Next.Sub(now), maxInterval/2, name)
	}
	k := New(Config{Rand: rand.NewPCG(1, 1)})
	e := Entry{Next: now.Add(maxInterval * 5 / 4), Looked: past}
	require.Equal(t, e, k.repairDueTime(e, now, 1))
	e.Next = e.Next.Add(1)
	require.Zero(t, k.repairDueTime(e, now, 1).Looked)
}

// Records of one region are put a gap apart on average, not at once, and few
// are in progress at the same time.
func TestRecordsOfARegionAreSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const names = 60
		m := newModel(replication, 8) // one region
		b, home, _ := newHome(t, names, week)
		k := New(Config{Network: m, Contacts: b, Home: home, Rand: rand.NewPCG(1, 1)})
		require.NoError(t, k.readContacts())
		k.mu.Lock()
		for _, it := range k.items {
			it.Next = time.Now()
		}
		k.mu.Unlock()
		began := time.Now()
		k.republishRegion(t.Context(), k.due(time.Now()))
		require.Equal(t, replication*names, m.putsOf(pointer.Pointer{}))
		require.Greater(t, time.Since(began), names*maxGap*7/10)
		require.Less(t, time.Since(began), names*maxGap*13/10)
	})
}
