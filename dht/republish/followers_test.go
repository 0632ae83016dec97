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
)

const week = 7 * 24 * time.Hour

// A week, with 90 % of the peers replaced every 12 h, and the publisher gone
// after the first day: names that followers keep resolve until their records
// expire, and then don't; names that nobody keeps are lost.
func TestNamesOutliveTheirPublishers(t *testing.T) {
	const followers = 3
	const life = 6*24*time.Hour + 30*time.Minute
	for _, tc := range []struct {
		name      string
		followers int
	}{{"kept by 3", followers}, {"kept by 1", 1}, {"kept by nobody", 0}} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(size(300, 1000), 21)
				b, homes, recs := kept(t, size(4, 12), life)
				began := time.Now()
				// Publishers keep their own records, for a day.
				var publishers []func()
				for i, rec := range recs {
					_, stop := start(t, Config{Network: m, Contacts: &book{}, Home: homes, Rand: rand.NewPCG(uint64(i), 1), Own: &Own{
						Pointer: rec.Pointer, Store: modelStore{m}, Locked: func() bool { return true },
					}})
					publishers = append(publishers, stop)
				}
				for i := range tc.followers {
					// A follower's home has nothing: the first look brings it.
					start(t, Config{Network: m, Contacts: b, Home: &dht.Memory{}, Rand: rand.NewPCG(uint64(i), 2)})
				}
				failures, tries := 0, 0
				lastFound := time.Time{}
				for elapsed := time.Duration(0); elapsed < week; elapsed += 30 * time.Minute {
					pass(30 * time.Minute)
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
					failures, tries, lastFound.Sub(began), life, m.putsOf(pointer.Pointer{}), m.walked())
				if tc.followers == 0 {
					require.Less(t, lastFound.Sub(began), 3*24*time.Hour, "nobody kept it")
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
// newest, and put when 9 do; whoever keeps it, it is never put later than 40 h
// after the last time, since peers forget it at 48 h.
func TestPutOnlyIfFewerThan10Hold(t *testing.T) {
	for _, tc := range []struct {
		holders int
		puts    bool
	}{{20, false}, {10, false}, {9, true}, {1, true}, {0, true}} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(300, 2)
			b, home, recs := kept(t, 1, week)
			m.give(recs[0], tc.holders)
			k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
			pass(time.Hour)
			require.Equal(t, tc.puts, m.putsOf(recs[0].Pointer()) > 0, "%d holders", tc.holders)
			e := k.Entries()[recs[0].Pointer()]
			require.False(t, e.Looked.IsZero())
			require.Equal(t, tc.puts, !e.Put.IsZero())
			// From here on nobody else puts it; it never gets lost.
			for range int(week/time.Hour) - 2 {
				pass(time.Hour)
				if tc.holders > 0 || !e.Put.IsZero() {
					require.True(t, m.resolves(recs[0].Pointer()))
				}
			}
			puts := m.putsOf(recs[0].Pointer())
			t.Logf("%d holders at first: %d puts of 20 peers in a week", tc.holders, puts/closest)
			require.LessOrEqual(t, puts, 8*closest)
		})
	}
}

// While its publisher puts it every 22 h, followers of a record put nothing, as
// they see newcomers hold it.
func TestFollowersLeaveTheWorkToAPublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(500, 4)
		b, home, recs := kept(t, 1, 2*week)
		p := recs[0].Pointer()
		m.give(recs[0], closest)
		start(t, Config{Network: m, Contacts: b, Home: home})
		for range 2 * week / (2 * time.Hour) {
			pass(2 * time.Hour)
			m.replace(0.05)
			m.give(recs[0], closest)
		}
		require.Zero(t, m.putsOf(p))
	})
}

// A newer record that a look brings replaces the kept one, is what is put, and
// the older is never put again.
func TestANewerRecordReplacesTheKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := kept(t, 1, week)
		newer := sign(t, testKey(0), 2, week)
		m.give(recs[0], closest)
		m.give(newer, 3)
		start(t, Config{Network: m, Contacts: b, Home: home})
		pass(time.Minute)
		require.Equal(t, closest, m.holders(newer))
		for a, err := range home.Get(t.Context(), newer.Pointer()) {
			require.NoError(t, err)
			require.Equal(t, newer.Bytes(), a.Record)
		}
	})
}

// Attack: peers give an older record, a stranger's, garbage, and an expired
// one; none of them gets into the home, is put, or counts as a holder.
func TestLiesAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(40, 2)
		b, home, recs := kept(t, 1, week)
		p := recs[0].Pointer()
		best := sign(t, testKey(0), 5, week)
		_, err := home.Put(t.Context(), p, best.Bytes())
		require.NoError(t, err)
		expired := sign(t, testKey(0), 9, time.Second)
		pass(time.Minute)
		k := New(Config{Network: m, Contacts: b, Home: home, Rand: rand.NewPCG(1, 1)})
		var answers []answer
		for i, b := range [][]byte{recs[0].Bytes(), sign(t, testKey(1), 7, week).Bytes(), []byte("garbage"), expired.Bytes(), {}, best.Bytes()} {
			answers = append(answers, answer{peer: string(rune('a' + i)), record: b})
		}
		answers = append(answers, answer{"g", best.Bytes(), errDown}) // failed, despite its record
		l, err := k.look(t.Context(), p, answers)
		require.NoError(t, err)
		require.Equal(t, best.ID(), l.best.ID())
		require.Equal(t, map[string]bool{"f": true}, l.holders)
		require.Len(t, l.answered, 6)
	})
}

// The home's record expired, and the network has an older one that has not: it
// is under the floor, and isn't put.
func TestNothingUnderTheFloorIsPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(100, 2)
		b, home, recs := kept(t, 1, week)
		_, err := home.Put(t.Context(), recs[0].Pointer(), sign(t, testKey(0), 5, time.Minute).Bytes())
		require.NoError(t, err)
		pass(time.Hour)
		m.give(recs[0], 3)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		pass(time.Hour) // three peers have it in the meantime
		require.Equal(t, 3, m.holders(recs[0]))
		require.Equal(t, dht.ErrNotFound.Error(), k.Entries()[recs[0].Pointer()].Problem)
		pass(3 * 24 * time.Hour)
		require.Zero(t, m.putsOf(pointer.Pointer{}))
		require.Equal(t, dht.ErrNotFound.Error(), k.Entries()[recs[0].Pointer()].Problem)
	})
}

// A contact that is removed, or no longer kept, is not asked for again, not
// even if the removal comes between the look and the put.
func TestNeverForARemovedContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := kept(t, 2, week)
		gone, stays := recs[0].Pointer(), recs[1].Pointer()
		start(t, Config{Network: m, Contacts: b, Home: home})
		pass(time.Minute)
		require.Equal(t, closest, m.putsOf(gone))
		b.keep(false, gone)
		before := m.met()
		for range week / time.Hour {
			pass(time.Hour)
			m.replace(0.3)
		}
		for _, s := range m.since(before) {
			require.False(t, s.pointers[gone])
		}
		require.Equal(t, closest, m.putsOf(gone))
		require.Greater(t, m.putsOf(stays), 4*closest)
	})
	synctest.Test(t, func(t *testing.T) { // between look and put
		m := newModel(300, 2)
		b, home, recs := kept(t, 1, week)
		k := New(Config{Network: m, Contacts: b, Home: removing{home, b}, Rand: rand.NewPCG(1, 1)})
		r, err := k.explore(t.Context(), placeOf(recs[0].Pointer()))
		require.NoError(t, err)
		require.NoError(t, k.readBook())
		_, _, err = k.lookAndPut(t.Context(), r, k.items[0])
		require.ErrorIs(t, err, errNotKept)
		require.Zero(t, m.putsOf(pointer.Pointer{}))
	})
}

// removing is a home whose reading removes all contacts.
type removing struct {
	*dht.Memory
	book *book
}

func (r removing) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	r.book.keep(false, p)
	return r.Memory.Get(ctx, p)
}

// Records of contacts that were marked at one time are put at different ones,
// and the times differ from round to round.
func TestDueTimesAreJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(2000, 2)
		b, home, recs := kept(t, 30, 2*week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		pass(24 * time.Hour)
		var due []time.Duration
		for _, e := range k.Entries() {
			due = append(due, e.Next.Sub(e.Looked))
		}
		slices.Sort(due)
		require.Len(t, slices.Compact(due), len(recs))
		require.GreaterOrEqual(t, due[len(due)-1]-due[0], k.Status().Every/10)
	})
}

// Without a network the keeper tries ever less often, and at once when told
// that there is one.
func TestWithoutANetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		m.down = true
		b, home, recs := kept(t, 5, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		pass(24 * time.Hour)
		require.Contains(t, k.Status().Said, "no network")
		k.mu.Lock()
		failed := k.failed
		k.mu.Unlock()
		require.InDelta(t, 28, failed, 8)
		m.mu.Lock()
		m.down = false
		m.mu.Unlock()
		k.Wake()
		pass(time.Minute)
		for _, rec := range recs {
			require.Equal(t, closest, m.holders(rec))
		}
	})
}

// The keeper notices a working network without a Wake as well. The next failure
// then counts as the first.
func TestANetworkThatComesBackIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := kept(t, 5, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		set := func(down bool) {
			m.mu.Lock()
			m.down = down
			m.mu.Unlock()
		}
		set(true)
		pass(24 * time.Hour)
		set(false)
		pass(maxPause*11/10 + pollEvery)
		for _, rec := range recs {
			require.Equal(t, closest, m.holders(rec))
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		require.Zero(t, k.failed)
	})
}

// Peers that answer walks and then nothing are said to be unreachable, and
// tried again before long.
func TestMutePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		for _, p := range m.peers {
			p.mute = true
		}
		b, home, recs := kept(t, 1, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		pass(time.Minute)
		e := k.Entries()[recs[0].Pointer()]
		require.Contains(t, e.Problem, "none of 20 peers")
		require.WithinDuration(t, time.Now().Add(time.Hour), e.Next, 10*time.Minute)
	})
}

// A network that seems to have shrunk is tried again before its few peers are
// taken for all there are.
func TestANetworkThatShrank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(500, 2)
		b, home, recs := kept(t, 1, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		pass(time.Minute)
		m.mu.Lock()
		all := m.peers
		m.peers = all[:7]
		m.mu.Unlock()
		k.mu.Lock()
		k.items[0].Next = time.Now()
		k.mu.Unlock()
		k.Wake()
		pass(time.Second)
		require.Contains(t, k.Status().Said, "fewer peers")
		pass(10 * time.Minute)
		require.Equal(t, 7, k.Entries()[recs[0].Pointer()].Asked)
	})
}
