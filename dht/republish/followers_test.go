package republish

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

const week = 7 * 24 * time.Hour

// A week, with 90 % of the peers replaced every 12 h, and the publisher offline
// after the first day: records that followers republish resolve until they
// expire, and not afterwards; other records are lost.
func TestRecordsResolveAfterPublishersLeave(t *testing.T) {
	const followers = 3
	const life = 6*24*time.Hour + 30*time.Minute
	for _, tc := range []struct {
		name      string
		followers int
	}{{"republished by 3", followers}, {"kept by 1", 1}, {"republished by none", 0}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(lawtest.Size(300, 1000), 21)
				b, homes, recs := newHome(t, lawtest.Size(4, 12), life)
				began := time.Now()
				// Publishers republish their own records for a day.
				var publishers []func()
				for i, rec := range recs {
					_, stop := start(t, Config{Network: m, Contacts: &book{}, Home: homes, Rand: rand.NewPCG(uint64(i), 1), Own: &Own{
						Pointer: rec.Pointer, Store: modelStore{m}, Locked: func() bool { return true },
					}})
					publishers = append(publishers, stop)
				}
				for i := range tc.followers {
					// A follower's home has nothing: the first query returns it.
					start(t, Config{Network: m, Contacts: b, Home: &dht.Memory{}, Rand: rand.NewPCG(uint64(i), 2)})
				}
				failures, tries := 0, 0
				lastFound := time.Time{}
				for elapsed := time.Duration(0); elapsed < week; elapsed += 30 * time.Minute {
					advance(30 * time.Minute)
					m.replace(1 - halfHourStay) // 90 % of them in 12 h
					if time.Since(began) > 24*time.Hour {
						for _, stop := range publishers {
							stop()
						}
						publishers = nil
					}
					for _, rec := range recs {
						found := m.resolves(rec.Pointer())
						if found {
							lastFound = time.Now()
						}
						if !time.Now().Before(rec.Expires()) {
							require.False(t, found, "resolves after its end")
						} else if tries++; !found {
							failures++
						}
					}
				}
				t.Logf("%d of %d tries failed while the records lived; found until %s of %s; %d puts, %d walks",
					failures, tries, lastFound.Sub(began), life, m.putsOf(pointer.Pointer{}), m.walkCount())
				if tc.followers == 0 {
					require.Less(t, lastFound.Sub(began), 3*24*time.Hour, "no follower republished it")
					return
				}
				require.Zero(t, failures)
				require.Greater(t, lastFound.Sub(began), life-time.Hour)
			})
		})
	}
}

// halfHourStay is the share of peers that stay for half an hour if 10 % stay for
// 12 h: 0.1^(1/24).
const halfHourStay = 0.9085

// Where peers stay, a record is left alone while 10 of the 20 closest hold the
// newest, and put when 9 do. It is never put later than 40 h
// after the last time, since peers discard it at 48 h.
func TestPutOnlyIfFewerThan10Hold(t *testing.T) {
	for _, tc := range []struct {
		holders int
		puts    bool
	}{{20, false}, {10, false}, {9, true}, {1, true}, {0, true}} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(300, 2)
			b, home, recs := newHome(t, 1, week)
			m.storeAt(recs[0], tc.holders)
			k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
			advance(time.Hour)
			require.Equal(t, tc.puts, m.putsOf(recs[0].Pointer()) > 0, "%d holders", tc.holders)
			e := k.Entries()[recs[0].Pointer()]
			require.False(t, e.Looked.IsZero())
			require.Equal(t, tc.puts, !e.Put.IsZero())
			// No other node puts it from now on; it is never lost.
			for range int(week/time.Hour) - 2 {
				advance(time.Hour)
				if tc.holders > 0 || !e.Put.IsZero() {
					require.True(t, m.resolves(recs[0].Pointer()))
				}
			}
			puts := m.putsOf(recs[0].Pointer())
			t.Logf("%d holders at first: %d puts of 20 peers in a week", tc.holders, puts/replication)
			require.LessOrEqual(t, puts, 8*replication)
		})
	}
}

// While its publisher puts it every 22 h, followers of a record put nothing, as
// new peers hold it.
func TestFollowersPutNothingWhileThePublisherDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 4)
		b, home, recs := newHome(t, 1, 2*week)
		p := recs[0].Pointer()
		m.storeAt(recs[0], replication)
		start(t, Config{Network: m, Contacts: b, Home: home})
		for range 2 * week / (2 * time.Hour) {
			advance(2 * time.Hour)
			m.replace(0.05)
			m.storeAt(recs[0], replication)
		}
		require.Zero(t, m.putsOf(p))
	})
}

// A newer record that a query returns replaces the stored one and is put, and
// the older is never put again.
func TestNewerRecordReplacesTheStoredOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := newHome(t, 1, week)
		newer := sign(t, testKey(0), 2, week)
		m.storeAt(recs[0], replication)
		m.storeAt(newer, 3)
		start(t, Config{Network: m, Contacts: b, Home: home})
		advance(time.Minute)
		require.Equal(t, replication, m.holders(newer))
		for a, err := range home.Get(t.Context(), newer.Pointer()) {
			require.NoError(t, err)
			require.Equal(t, newer.Bytes(), a.Record)
		}
	})
}

// Attack: peers return an older record, one of another key, garbage, and an expired
// one; none of these is stored, put, or counted as held.
func TestInvalidAnswersAreDiscarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(40, 2)
		b, home, recs := newHome(t, 1, week)
		p := recs[0].Pointer()
		best := sign(t, testKey(0), 5, week)
		_, err := home.Put(t.Context(), p, best.Bytes())
		require.NoError(t, err)
		expired := sign(t, testKey(0), 9, time.Second)
		advance(time.Minute)
		k := New(Config{Network: m, Contacts: b, Home: home, Rand: rand.NewPCG(1, 1)})
		var answers []answer
		for i, b := range [][]byte{recs[0].Bytes(), sign(t, testKey(1), 7, week).Bytes(), []byte("garbage"), expired.Bytes(), {}, best.Bytes()} {
			answers = append(answers, answer{peer: string(rune('a' + i)), record: b})
		}
		answers = append(answers, answer{"g", best.Bytes(), errDown}) // failed, despite its record
		l, err := k.evaluate(t.Context(), p, answers)
		require.NoError(t, err)
		require.Equal(t, best.ID(), l.best.ID())
		require.Equal(t, map[string]bool{"f": true}, l.holders)
		require.Len(t, l.answered, 6)
	})
}

// The home's record expired, and the network has an older one that has not: it
// is below the floor, and is not put.
func TestRecordBelowTheFloorIsNotPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(100, 2)
		b, home, recs := newHome(t, 1, week)
		_, err := home.Put(t.Context(), recs[0].Pointer(), sign(t, testKey(0), 5, time.Minute).Bytes())
		require.NoError(t, err)
		advance(time.Hour)
		m.storeAt(recs[0], 3)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(time.Hour) // three peers store it in the meantime
		require.Equal(t, 3, m.holders(recs[0]))
		require.Equal(t, dht.ErrNotFound.Error(), k.Entries()[recs[0].Pointer()].Problem)
		advance(3 * 24 * time.Hour)
		require.Zero(t, m.putsOf(pointer.Pointer{}))
		require.Equal(t, dht.ErrNotFound.Error(), k.Entries()[recs[0].Pointer()].Problem)
	})
}

// A contact that is removed, or no longer selected, is not queried for again, not
// even if it is removed between the query and the put.
func TestRemovedContactIsNotQueried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := newHome(t, 2, week)
		gone, stays := recs[0].Pointer(), recs[1].Pointer()
		start(t, Config{Network: m, Contacts: b, Home: home})
		advance(time.Minute)
		require.Equal(t, replication, m.putsOf(gone))
		b.set(false, gone)
		before := m.clientCount()
		for range week / time.Hour {
			advance(time.Hour)
			m.replace(0.3)
		}
		for _, s := range m.clientsAfter(before) {
			require.False(t, s.pointers[gone])
		}
		require.Equal(t, replication, m.putsOf(gone))
		require.Greater(t, m.putsOf(stays), 4*replication)
	})
	synctest.Test(t, func(t *testing.T) { // between query and put
		m := newModel(300, 2)
		b, home, recs := newHome(t, 1, week)
		k := New(Config{Network: m, Contacts: b, Home: removing{home, b}, Rand: rand.NewPCG(1, 1)})
		r, err := k.explore(t.Context(), keyOf(recs[0].Pointer()))
		require.NoError(t, err)
		require.NoError(t, k.readContacts())
		_, _, err = k.queryAndPut(t.Context(), r, k.items[0])
		require.ErrorIs(t, err, errNotSelected)
		require.Zero(t, m.putsOf(pointer.Pointer{}))
	})
}

// removing is a home whose reading removes all contacts.
type removing struct {
	*dht.Memory
	book *book
}

func (r removing) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	r.book.set(false, p)
	return r.Memory.Get(ctx, p)
}

// Records of contacts that were marked at one time are put at different ones,
// and the times differ from round to round.
func TestDueTimesAreJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2000, 2)
		b, home, recs := newHome(t, 30, 2*week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(24 * time.Hour)
		var due []time.Duration
		for _, e := range k.Entries() {
			due = append(due, e.Next.Sub(e.Looked))
		}
		slices.Sort(due)
		require.Len(t, slices.Compact(due), len(recs))
		require.GreaterOrEqual(t, due[len(due)-1]-due[0], k.Status().Interval/10)
	})
}

// Without a network the republisher retries ever less often, and at once after a
// Wake.
func TestWithoutANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		m.down = true
		b, home, recs := newHome(t, 5, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(24 * time.Hour)
		require.Contains(t, k.Status().Outcome, "no network")
		k.mu.Lock()
		failed := k.failures
		k.mu.Unlock()
		require.InDelta(t, 28, failed, 8)
		m.mu.Lock()
		m.down = false
		m.mu.Unlock()
		k.Wake()
		advance(time.Minute)
		for _, rec := range recs {
			require.Equal(t, replication, m.holders(rec))
		}
	})
}

// The republisher detects a working network without a Wake as well. The next failure
// then counts as the first.
func TestNetworkThatReturnsIsDetected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := newHome(t, 5, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		set := func(down bool) {
			m.mu.Lock()
			m.down = down
			m.mu.Unlock()
		}
		set(true)
		advance(24 * time.Hour)
		set(false)
		advance(maxPause*11/10 + pollEvery)
		for _, rec := range recs {
			require.Equal(t, replication, m.holders(rec))
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		require.Zero(t, k.failures)
	})
}

// Peers that answer walks only are reported as unreachable, and
// retried soon.
func TestSilentPeersAreUnreachable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		for _, p := range m.peers {
			p.silent = true
		}
		b, home, recs := newHome(t, 1, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(time.Minute)
		e := k.Entries()[recs[0].Pointer()]
		require.Contains(t, e.Problem, "none of 20 peers")
		require.WithinDuration(t, time.Now().Add(time.Hour), e.Next, 10*time.Minute)
	})
}

// A network that seems to have shrunk is tried again before its few peers are
// taken for all there are.
func TestSmallerNetworkIsExploredAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 2)
		b, home, recs := newHome(t, 1, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(time.Minute)
		m.mu.Lock()
		all := m.peers
		m.peers = all[:7]
		m.mu.Unlock()
		k.mu.Lock()
		k.items[0].Next = time.Now()
		k.mu.Unlock()
		k.Wake()
		advance(time.Second)
		require.Contains(t, k.Status().Outcome, "fewer peers")
		advance(10 * time.Minute)
		require.Equal(t, 7, k.Entries()[recs[0].Pointer()].Asked)
	})
}
