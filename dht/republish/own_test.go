package republish

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// publisher is the owner of a record.
type publisher struct {
	t       *testing.T
	key     *pointer.Key
	home    *dht.Memory
	net     *model
	locked  atomic.Bool
	mu      sync.Mutex
	renewed []time.Duration // lifetimes
	fails   error
}

func newPublisher(t *testing.T, m *model, life time.Duration) *publisher {
	p := &publisher{t: t, key: testKey(77), home: &dht.Memory{}, net: m}
	rec := sign(t, p.key, 1, life)
	_, err := p.home.Put(t.Context(), rec.Pointer(), rec.Bytes())
	require.NoError(t, err)
	return p
}

func (p *publisher) lives() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.renewed)
}

func (p *publisher) config() Config {
	return Config{Network: p.net, Contacts: &book{}, Home: p.home, Own: &Own{
		Pointer: p.key.Pointer, Store: modelStore{p.net}, Locked: p.locked.Load,
		Renew: func(ctx context.Context, old pointer.Record, life time.Duration) error {
			p.mu.Lock()
			p.renewed = append(p.renewed, life)
			p.mu.Unlock()
			if p.fails != nil {
				return p.fails
			}
			rec := sign(p.t, p.key, old.Sequence()+1, life)
			if _, err := p.home.Put(ctx, rec.Pointer(), rec.Bytes()); err != nil {
				return err
			}
			_, err := modelStore{p.net}.Put(ctx, rec.Pointer(), rec.Bytes())
			return err
		},
	}}
}

func (p *publisher) held() pointer.Record {
	for a := range p.home.Get(p.t.Context(), p.key.Pointer()) {
		rec, err := pointer.Open(p.key.Pointer(), a.Record, time.Now())
		var old *pointer.ExpiredError
		if errors.As(err, &old) {
			return old.Record
		}
		require.NoError(p.t, err)
		return rec
	}
	panic("none")
}

// The owner's record is put however many peers hold it, and renewed before it
// expires, with the same lifetime, so it always resolves.
func TestOwnRecordIsPutAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, 48*time.Hour)
		m.storeAt(p.held(), replication)
		start(t, p.config())
		advance(time.Second)
		require.Equal(t, replication, m.putsOf(p.key.Pointer()), "put although 20 held it")
		for range 2 * week / time.Hour {
			advance(time.Hour)
			m.replace(0.05)
			require.True(t, m.resolves(p.key.Pointer()))
		}
		require.InDelta(t, 14, len(p.lives()), 2)
		for _, life := range p.lives() {
			require.InDelta(t, 48*time.Hour, life, float64(time.Minute))
		}
	})
}

// A locked identity is reported in time: from the middle of the lifetime
// on, or a day before the record expires if that is earlier; and no longer once it is
// unlocked, which renews the record.
func TestLockedIdentityIsReportedInTime(t *testing.T) {
	for _, tc := range []struct{ life, at time.Duration }{
		{6 * 24 * time.Hour, 3 * 24 * time.Hour},
		{60 * time.Hour, 30 * time.Hour},
		{40 * time.Hour, 16 * time.Hour},
		{20 * time.Hour, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(lawtest.Size(150, 500), 1)
			p := newPublisher(t, m, tc.life)
			p.locked.Store(true)
			k, _ := start(t, p.config())
			if tc.at > 0 {
				advance(tc.at - time.Minute)
				require.Empty(t, k.Status().Own.Warning)
			}
			advance(2 * time.Minute)
			require.Equal(t, "expires at "+p.held().Expires().UTC().Format(time.RFC3339)+", identity locked", k.Status().Own.Warning)
			require.Empty(t, p.lives())
			if tc.life > 24*time.Hour {
				p.locked.Store(false)
				advance(pollEvery + time.Minute)
				require.Empty(t, k.Status().Own.Warning)
				if tc.life >= 48*time.Hour {
					require.Len(t, p.lives(), 1)
				}
				return
			}
			advance(tc.life)
			require.Contains(t, k.Status().Own.Warning, "expired at ")
			require.False(t, m.resolves(p.key.Pointer()))
		})
	}
}

// Attack: a state file claims that the owner's record was first seen, or last
// renewed, far in the future. The republisher renews the record before it expires.
func TestHostileFileDoesNotPreventRenewal(t *testing.T) {
	far := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, set := range map[string]func(*ownState){
		"nothing":  func(*ownState) {},
		"seen":     func(o *ownState) { o.Since = far },
		"renewed":  func(o *ownState) { o.Renewed = far },
		"put":      func(o *ownState) { o.Put, o.Seen, o.Looked = far, far, far },
		"next":     func(o *ownState) { o.Next = far },
		"expiring": func(o *ownState) { o.Expires = far },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(100, 1)
				p := newPublisher(t, m, 48*time.Hour)
				id := p.held().ID()
				s := state{Version: stateVersion, Churn: startChurn, Own: ownState{Record: hex.EncodeToString(id[:]), Since: time.Now(), Expires: p.held().Expires()}}
				s.Own.Next = time.Now().Add(time.Hour)
				set(&s.Own)
				c := p.config()
				c.Path = filepath.Join(t.TempDir(), "keep.json")
				b, err := json.Marshal(s)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(c.Path, b, 0o600))
				start(t, c)
				advance(23 * time.Hour)
				require.Empty(t, p.lives(), "half of its life is not over")
				advance(24 * time.Hour)
				require.Len(t, p.lives(), 1)
				require.True(t, m.resolves(p.key.Pointer()))
			})
		})
	}
}

// A Wake immediately retries an operation that failed for lack of a network.
// Without a Wake the republisher retries it soon.
func TestWakeRetriesTheOwnRecord(t *testing.T) {
	for woken, within := range map[bool]time.Duration{true: 0, false: retryAfter / 4} {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(100, 1)
			m.down = true
			p := newPublisher(t, m, 48*time.Hour)
			k, _ := start(t, p.config())
			advance(time.Minute)
			require.Contains(t, k.Status().Own.Problem, "no network")
			m.mu.Lock()
			m.down = false
			m.mu.Unlock()
			if woken {
				k.Wake()
			}
			advance(within)
			require.Equal(t, replication, m.holders(p.held()))
			require.Empty(t, k.Status().Own.Problem)
		})
	}
}

// A Wake while a put or an exploration is under way, which then fails for a reason that
// may be gone, makes Run repeat it at once, and only once.
func TestAWakeDuringAFailureIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(100, 1)
		p := newPublisher(t, m, 48*time.Hour)
		c := p.config()
		store := &failingOnce{Store: modelStore{m}, began: make(chan struct{}), fail: make(chan struct{})}
		c.Own.Store = store
		k, _ := start(t, c)
		<-store.began
		k.Wake() // the peer that was joined now is not among those that are asked
		close(store.fail)
		advance(0)
		require.Equal(t, replication, m.holders(p.held()))
		require.Empty(t, k.Status().Own.Problem)
		require.Equal(t, 2, store.puts)
	})
	synctest.Test(t, func(t *testing.T) {
		m := newModel(100, 1)
		b, home, recs := newHome(t, 1, week)
		net := &failingNetwork{model: m, began: make(chan struct{}), fail: make(chan struct{})}
		k, _ := start(t, Config{Network: net, Contacts: b, Home: home})
		<-net.began
		k.Wake()
		close(net.fail)
		advance(spreadOf(1) + 2*maxGap)
		require.Equal(t, replication, m.holders(recs[0]))
	})
}

// failingOnce is a store whose first put fails once fail is closed.
type failingOnce struct {
	dht.Store
	began, fail chan struct{}
	puts        int
}

func (s *failingOnce) Put(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	if s.puts++; s.puts == 1 {
		close(s.began)
		<-s.fail
		return dht.Receipt{}, dht.ErrUnreachable
	}
	return s.Store.Put(ctx, p, b)
}

// failingNetwork is a network whose first client fails once fail is closed.
type failingNetwork struct {
	*model
	began, fail chan struct{}
	clients     int
}

func (n *failingNetwork) UnlinkableClient(ctx context.Context) (Client, error) {
	if n.clients++; n.clients == 1 {
		close(n.began)
		<-n.fail
		return nil, dht.ErrUnreachable
	}
	return n.model.UnlinkableClient(ctx)
}

// A network that hangs during a look-up or a put of the owner's record delays
// other work by no more than the timeout.
func TestHangingNetworkDoesNotDelayContacts(t *testing.T) {
	for name, tc := range map[string]struct {
		hangs hanging
		after time.Duration
	}{"looking": {hanging{get: true}, queryTimeout}, "putting": {hanging{put: true}, putTimeout}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel(100, 1)
				p := newPublisher(t, m, 48*time.Hour)
				c := p.config()
				b, home, recs := newHome(t, 1, week)
				_, err := home.Put(t.Context(), p.key.Pointer(), p.held().Bytes())
				require.NoError(t, err)
				c.Contacts, c.Home = b, home
				tc.hangs.Store = modelStore{m}
				c.Own.Store = tc.hangs
				start(t, c)
				advance(tc.after - time.Second)
				require.Zero(t, m.holders(recs[0]))
				advance(time.Second + spreadOf(1) + 2*maxGap)
				require.Equal(t, replication, m.holders(recs[0]))
			})
		})
	}
}

// hanging is a store that hangs until its caller cancels.
type hanging struct {
	dht.Store
	get, put bool
}

func (h hanging) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		if h.get {
			<-ctx.Done()
		}
		h.Store.Get(ctx, p)(yield)
	}
}

func (h hanging) Put(ctx context.Context, p pointer.Pointer, b []byte) (dht.Receipt, error) {
	if h.put {
		<-ctx.Done()
		return dht.Receipt{}, ctx.Err()
	}
	return h.Store.Put(ctx, p, b)
}

// The next due time in Status is the earliest one of all, including the owner's
// record.
func TestStatusHasTheEarliestDueTime(t *testing.T) {
	p := newPublisher(t, newModel(replication, 1), 48*time.Hour)
	now := time.Now()
	for _, own := range []time.Duration{time.Hour, 3 * time.Hour} {
		k := New(p.config())
		k.own.Record, k.own.Next = "00", now.Add(own)
		require.Equal(t, now.Add(own), k.Status().Next)
		for _, after := range []time.Duration{4 * time.Hour, 2 * time.Hour, 5 * time.Hour} {
			k.items = append(k.items, &item{Entry: Entry{Next: now.Add(after)}})
		}
		require.Equal(t, now.Add(min(own, 2*time.Hour)), k.Status().Next)
	}
}

// Another device of the owner published a newer record: this one is put,
// and not renewed.
func TestANewerRecordOfAnotherDeviceIsPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, 48*time.Hour)
		start(t, p.config())
		advance(20 * time.Hour)
		newer := sign(t, p.key, 9, 48*time.Hour)
		m.storeAt(newer, 5)
		advance(5 * time.Hour)
		require.Equal(t, replication, m.holders(newer))
		require.Equal(t, newer.ID(), p.held().ID())
		require.Empty(t, p.lives())
	})
}

// A renewal that fails is tried again, and not all the time; nor is one of a
// record whose life is very short.
func TestRenewalsAreRateLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, 48*time.Hour)
		p.fails = errors.New("disk full")
		k, _ := start(t, p.config())
		advance(34 * time.Hour)
		require.InDelta(t, 10, len(p.lives()), 2)
		require.Contains(t, k.Status().Own.Problem, "disk full")
	})
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, 2*time.Second)
		start(t, p.config())
		advance(time.Hour)
		require.LessOrEqual(t, len(p.lives()), 61)
	})
}

// Without an own record and contacts to republish, no request is sent.
func TestNoRequestsWithoutRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, time.Hour)
		p.home = &dht.Memory{}
		k, _ := start(t, p.config())
		advance(48 * time.Hour)
		require.Zero(t, m.clientCount())
		require.Zero(t, m.putsOf(pointer.Pointer{}))
		require.Nil(t, k.Status().Own)
		require.Zero(t, k.Status().Next)
	})
}

// A record that was signed without a network is put soon, however far
// off the next put of the previous one was; one that its publisher stored is not
// put twice.
func TestRecordNotStoredYetIsPutSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(lawtest.Size(150, 500), 1)
		p := newPublisher(t, m, 48*time.Hour)
		c := p.config()
		c.Path = filepath.Join(t.TempDir(), "keep.json")
		k, stop := start(t, c)
		advance(time.Second)
		publish := func(sequence uint64) pointer.Record {
			rec := sign(t, p.key, sequence, 48*time.Hour)
			_, err := p.home.Put(t.Context(), rec.Pointer(), rec.Bytes())
			require.NoError(t, err)
			return rec
		}
		rec := publish(2) // by a verb that this node runs, without a network
		k.Wake()
		advance(2 * putGrace)
		require.Equal(t, replication, m.holders(rec))
		stop()
		rec = publish(3) // by a verb on its own, without a network
		k, _ = start(t, c)
		advance(time.Second)
		require.Equal(t, replication, m.holders(rec))
		puts := m.putsOf(p.key.Pointer())
		rec = publish(4)
		k.OwnStored(rec, dht.Receipt{Asked: replication, Stored: replication})
		k.Wake()
		advance(10 * putGrace)
		require.Equal(t, puts, m.putsOf(p.key.Pointer()))
		require.Equal(t, replication, k.Status().Own.Holders)
	})
}

// While the owner's record has expired and the identity is locked, the records of the
// owner's earlier pointers are put all the same.
func TestEarlierPointersAreServedWhileTheIdentityIsLocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(100, 1)
		p := newPublisher(t, m, 20*time.Hour)
		p.locked.Store(true)
		c := p.config()
		var former atomic.Int64
		c.Own.Former = func(context.Context) { former.Add(1) }
		k, _ := start(t, c)
		advance(19 * time.Hour)
		require.Zero(t, former.Load(), "Store puts them with the current record")
		advance(30 * 24 * time.Hour)
		require.Contains(t, k.Status().Own.Warning, "expired at ")
		require.Greater(t, former.Load(), int64(30))
	})
}
