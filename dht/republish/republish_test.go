package republish

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// A query puts a record that all peers hold if less than two hours remain of the
// 40 h since the last put, exact to the nanosecond. The query is scheduled
// before the 40 h end, however slowly peers leave.
func TestARecordThatAllHoldIsPutBefore40Hours(t *testing.T) {
	for _, tc := range []struct {
		since time.Duration
		puts  int
	}{{maxPutAge - minInterval - 1, 0}, {maxPutAge - minInterval, replication}} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(300, 2)
			b, home, recs := newHome(t, 1, week)
			m.storeAt(recs[0], replication)
			k := New(Config{Network: m, Contacts: b, Home: home, Rand: rand.NewPCG(1, 1)})
			require.NoError(t, k.readContacts())
			r, err := k.explore(t.Context(), keyOf(recs[0].Pointer()))
			require.NoError(t, err)
			now := time.Now()
			it := k.items[0]
			it.Looked, it.Seen = now.Add(-maxInterval), now.Add(-tc.since)
			e, _, err := k.queryAndPut(t.Context(), r, it)
			require.NoError(t, err)
			require.Equal(t, replication, e.Holders)
			require.Equal(t, tc.puts, m.putsOf(recs[0].Pointer()))
			require.Equal(t, tc.puts > 0, e.Put.Equal(now))
			require.Equal(t, tc.puts > 0, e.Seen.Equal(now))
		})
	}
	k := New(Config{Rand: rand.NewPCG(1, 1)})
	k.churn = minChurn
	now := k.config.Now()
	for since := time.Duration(0); since <= maxPutAge-minInterval/2; since += time.Hour {
		for range 20 {
			e := Entry{Seen: now.Add(-since), Asked: replication, Holders: replication}
			k.schedule(&e, now)
			require.LessOrEqual(t, e.Next.Sub(e.Seen), maxPutAge, since)
		}
	}
}

// putTimes runs a republisher of one record with a constant set of peers for two
// weeks, and returns the times of its puts. It calls change after each query.
func putTimes(t *testing.T, change func(m *model, rec pointer.Record)) (puts []time.Time) {
	m := newModel(300, 2)
	b, home, recs := newHome(t, 1, 3*week)
	rec := recs[0]
	m.storeAt(rec, replication)
	k, stop := start(t, Config{Network: m, Contacts: b, Home: home})
	defer stop()
	var looked, put time.Time
	for range 2 * week / (30 * time.Minute) {
		advance(30 * time.Minute)
		e := k.Entries()[rec.Pointer()]
		if !e.Put.Equal(put) {
			put = e.Put
			puts = append(puts, put)
		}
		if !e.Looked.Equal(looked) {
			looked = e.Looked
			change(m, rec)
		}
	}
	return puts
}

// Attack: peers one after the other arrive near a record and claim to hold it.
// This is no proof of another put: the republisher puts the record as often as
// without these peers.
func TestOneNewHolderIsNoProofOfAPut(t *testing.T) {
	for name, change := range map[string]func(*model, pointer.Record){
		"none comes": func(*model, pointer.Record) {},
		"one comes": func(m *model, rec pointer.Record) {
			m.mu.Lock()
			gone := m.closestTo(keyOf(rec.Pointer()))[replication-1].ID
			delete(m.live, gone)
			for n, p := range m.peers {
				if p.ID == gone {
					m.peers[n] = m.newPeer(m.newID())
					for !m.isClosest(m.peers[n], rec) { // as near as an attacker can get by trying keys
						delete(m.live, m.peers[n].ID)
						m.peers[n] = m.newPeer(m.newID())
					}
				}
			}
			m.mu.Unlock()
			m.storeAt(rec, replication)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				puts := putTimes(t, change)
				require.GreaterOrEqual(t, len(puts), int(2*week/maxPutAge))
				for i := range puts[1:] {
					// The query is due by 40 h, and then takes a gap and a walk or
					// two.
					require.LessOrEqual(t, puts[i+1].Sub(puts[i]), maxPutAge+time.Minute)
				}
			})
		})
	}
}

// isClosest reports whether a peer is one of the closest to a record.
func (m *model) isClosest(p *modelPeer, rec pointer.Record) bool {
	for _, o := range m.closestTo(keyOf(rec.Pointer())) {
		if o == p {
			return true
		}
	}
	return false
}

// Three new peers that hold a record, and are at least half of the new peers,
// prove a later put. Fewer do not.
func TestTheNumberOfNewHoldersThatProveAPut(t *testing.T) {
	old := map[string]bool{"a": true, "b": true, "c": true, "d": true, "e": true}
	for _, tc := range []struct {
		before             sample
		newcomers, holding int
		put                bool
	}{
		{sampleOf(old), 0, 0, false},
		{sampleOf(old), 1, 1, false},
		{sampleOf(old), 2, 2, false},
		{sampleOf(old), 3, 2, false},
		{sampleOf(old), 3, 3, true},
		{sampleOf(old), 6, 3, true},
		{sampleOf(old), 7, 3, false},
		{nil, 3, 3, false},
	} {
		l := lookup{answered: map[string]bool{}, holders: map[string]bool{}}
		for id := range old { // the old peers hold it, and prove nothing
			l.answered[id], l.holders[id] = true, true
		}
		for i := range tc.newcomers {
			id := "new " + string(rune('a'+i))
			if l.answered[id] = true; i < tc.holding {
				l.holders[id] = true
			}
		}
		require.Equal(t, tc.put, putByOthers(tc.before, l), "%+v", tc)
	}
}

// Attack: one peer claims to hold a record and to have stored it, and 19 refuse
// it. The republisher puts the record again soon, each time.
func TestOnePeerThatStoresIsNotEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(replication, 2)
		b, home, recs := newHome(t, 1, week)
		m.storeAt(recs[0], 1)
		for _, p := range m.peers {
			_, holds := m.get(p, recs[0].Pointer())
			p.refuses = !holds
		}
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(24 * time.Hour)
		e := k.Entries()[recs[0].Pointer()]
		require.Equal(t, "stored by 1 of 20 peers, and 10 are wanted", e.Problem)
		require.Equal(t, 1, e.Holders)
		require.GreaterOrEqual(t, m.putsOf(recs[0].Pointer())/replication, 20)
	})
}

// If no peer holds a record and no peer stored it, its entry has no time of a
// put.
func TestARecordThatNoPeerStoredHasNoPutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(replication, 2)
		b, home, recs := newHome(t, 1, week)
		for _, p := range m.peers {
			p.refuses = true
		}
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		advance(3 * time.Hour)
		e := k.Entries()[recs[0].Pointer()]
		require.Contains(t, e.Problem, "stored by 0 of 20")
		require.Zero(t, e.Put)
		require.Zero(t, e.Seen)
	})
}

// A proof of a put before the last query does not replace a later known put.
func TestAProofOfAPutNeverSetsItBack(t *testing.T) {
	for _, since := range []time.Duration{time.Hour, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(300, 2)
			b, home, recs := newHome(t, 1, week)
			m.storeAt(recs[0], replication)
			k := New(Config{Network: m, Contacts: b, Home: home, Rand: rand.NewPCG(1, 1)})
			require.NoError(t, k.readContacts())
			r, err := k.explore(t.Context(), keyOf(recs[0].Pointer()))
			require.NoError(t, err)
			now := time.Now()
			it := k.items[0]
			it.Looked, it.Seen = now.Add(-2*time.Hour), now.Add(-since)
			it.peers = sampleOf(map[string]bool{"gone": true}) // so that all peers that answer are new
			e, _, err := k.queryAndPut(t.Context(), r, it)
			require.NoError(t, err)
			require.Equal(t, now.Add(-min(since, 2*time.Hour)), e.Seen)
		})
	}
}

// A query that ends with the republisher changes nothing: the record remains due.
func TestCancelledLookupStaysDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, home, recs := newHome(t, 1, week)
		path := filepath.Join(t.TempDir(), "keep.json")
		k, stop := start(t, Config{Network: &slowNetwork{model: newModel(replication, 8), takes: time.Minute}, Contacts: b, Home: home, Path: path})
		advance(30 * time.Second) // during the query
		before := k.Entries()[recs[0].Pointer()]
		require.False(t, before.Next.After(time.Now()))
		stop()
		require.Equal(t, before, k.Entries()[recs[0].Pointer()])
		read, err := ReadEntries(path)
		require.NoError(t, err)
		require.True(t, before.Next.Equal(read[recs[0].Pointer()].Next))
		require.Zero(t, read[recs[0].Pointer()].Looked)
	})
}

// A newer record that the home cannot store is not put: the next query could not
// use it as the floor.
func TestARecordThatTheHomeCannotStoreIsNotPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 2)
		b, home, recs := newHome(t, 1, week)
		m.storeAt(sign(t, testKey(0), 2, week), 3)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: fullHome{home}})
		advance(time.Minute)
		require.Contains(t, k.Entries()[recs[0].Pointer()].Problem, "disk full")
		require.Zero(t, m.putsOf(recs[0].Pointer()))
	})
}

type fullHome struct{ *dht.Memory }

func (fullHome) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, errors.New("disk full")
}

// The republisher asks peers of the network for the owner's record. Answers of the
// home, a cache, a router, or the node's own store count neither as peers nor
// as holders.
func TestOwnNodeIsNotAHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(replication, 1)
		p := newPublisher(t, m, 48*time.Hour)
		rec := p.held().Bytes()
		answers := queryStore(t.Context(), answering{
			{Record: rec, Source: dht.SourceHome},
			{Record: rec, Source: dht.SourceHome, Peer: "home"},
			{Record: rec, Source: dht.SourceCache, Peer: "cache"},
			{Record: rec, Source: dht.SourceRouter, Peer: "http://router.example"},
			{Record: rec, Source: dht.SourceNetwork}, // the node's own store
			{Record: rec, Source: dht.SourceNetwork, Peer: "peer"},
			{Source: dht.SourceNetwork, Peer: "none"},
		}, p.key.Pointer())
		require.Equal(t, []answer{{"peer", rec, nil}, {"none", nil, nil}}, answers)
		k := New(p.config())
		l, err := k.evaluate(t.Context(), p.key.Pointer(), answers)
		require.NoError(t, err)
		require.Equal(t, map[string]bool{"peer": true}, l.holders)

		// The home is not a holder of a record that no peer has, either.
		l, err = k.evaluate(t.Context(), p.key.Pointer(), nil)
		require.NoError(t, err)
		require.True(t, l.found)
		require.Empty(t, l.holders)
	})
}

// answering is a store that yields its elements as answers.
type answering []dht.Answer

func (s answering) Get(context.Context, pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		for _, a := range s {
			if !yield(a, nil) {
				return
			}
		}
	}
}

func (answering) Put(context.Context, pointer.Pointer, []byte) (dht.Receipt, error) {
	return dht.Receipt{}, errDown
}

// A removed contact disappears from the state file: immediately after a Wake,
// and otherwise when the book is read next. The file then does not contain its
// pointer.
func TestARemovedContactLeavesTheFile(t *testing.T) {
	for _, woken := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keep.json")
			m := newModel(300, 1)
			b, home, recs := newHome(t, 3, week)
			k, _ := start(t, Config{Network: m, Contacts: b, Home: home, Path: path})
			advance(2 * time.Minute)
			read, err := ReadEntries(path)
			require.NoError(t, err)
			require.Len(t, read, len(recs))
			gone := recs[1].Pointer()
			b.set(false, gone)
			if woken {
				k.Wake()
				synctest.Wait()
			} else {
				advance(pollEvery + time.Minute)
			}
			file, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NotContains(t, string(file), gone.String())
			read, err = ReadEntries(path)
			require.NoError(t, err)
			require.Len(t, read, len(recs)-1)
			require.NotContains(t, k.Entries(), gone)
			require.Equal(t, len(recs)-1, k.Status().Records)
		})
	}
}

// If a contact turns out to be removed when its record is due, the republisher reads
// the book immediately and drops it.
func TestARemovalFoundOutHasTheBookRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(300, 1)
		b, home, recs := newHome(t, 1, week)
		k, _ := start(t, Config{Network: m, Contacts: b, Home: home})
		synctest.Wait()
		require.Contains(t, k.Entries(), recs[0].Pointer())
		b.set(false, recs[0].Pointer())
		advance(spreadOf(1) + 2*maxGap + time.Second)
		require.Empty(t, k.Entries())
	})
}

// At most four records of a region are in progress at once, however long the
// peers take.
func TestFewRecordsAreInProgressAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(replication, 8)
		b, home, recs := newHome(t, 30, week)
		slow := &slowNetwork{model: m, takes: time.Minute}
		start(t, Config{Network: slow, Contacts: b, Home: home})
		advance(6 * time.Hour)
		require.EqualValues(t, maxParallel, slow.most.Load())
		for _, rec := range recs {
			require.Equal(t, replication, m.holders(rec))
		}
	})
}

// slowNetwork is a network whose peers answer after a delay. It records how
// many clients were asking at the same time.
type slowNetwork struct {
	*model
	takes        time.Duration
	asking, most atomic.Int32
}

func (n *slowNetwork) UnlinkableClient(ctx context.Context) (Client, error) {
	s, err := n.model.UnlinkableClient(ctx)
	return &slowClient{Client: s, network: n}, err
}

type slowClient struct {
	Client
	network *slowNetwork
	asks    atomic.Bool
}

func (s *slowClient) Get(ctx context.Context, from Peer, p pointer.Pointer) ([]byte, error) {
	if !s.asks.Swap(true) {
		n := s.network.asking.Add(1)
		for most := s.network.most.Load(); n > most && !s.network.most.CompareAndSwap(most, n); most = s.network.most.Load() {
		}
	}
	time.Sleep(s.network.takes) // on the clock of the bubble
	return s.Client.Get(ctx, from, p)
}

func (s *slowClient) Close() error {
	if s.asks.Load() {
		s.network.asking.Add(-1)
	}
	return s.Client.Close()
}
