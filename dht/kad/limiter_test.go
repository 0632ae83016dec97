package kad

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
)

// rawPeer is a peer that is in no DHT and sends any bytes.
type rawPeer struct {
	host.Host
	node *Node
}

func newRawPeer(t testing.TB, n *Node) rawPeer {
	t.Helper()
	h := startHost(t)
	infos, err := parseAddrs(n.Addrs())
	require.NoError(t, err)
	require.NoError(t, h.Connect(within(t, 10*time.Second), infos[0]))
	return rawPeer{h, n}
}

func (s rawPeer) stream(t testing.TB) network.Stream {
	t.Helper()
	st, err := s.NewStream(within(t, 10*time.Second), s.node.host.ID(), s.node.protocol)
	require.NoError(t, err)
	return st
}

// ask sends a request on a new stream and returns the answer, nil if the
// request was refused.
func (s rawPeer) ask(ctx context.Context, m *dht_pb.Message) *dht_pb.Message {
	st, err := s.NewStream(ctx, s.node.host.ID(), s.node.protocol)
	if err != nil {
		return nil
	}
	defer func() { _ = st.Reset() }()
	if deadline, ok := ctx.Deadline(); ok {
		_ = st.SetDeadline(deadline)
	}
	b, _ := proto.Marshal(m)
	if _, err := st.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		return nil
	}
	answer, err := readMessage(st)
	if err != nil {
		return nil
	}
	return answer
}

func storing(key string, value []byte) *dht_pb.Message {
	m := dht_pb.NewMessage(dht_pb.Message_PUT_VALUE, []byte(key), 0)
	m.Record = record.MakePutRecord(key, value)
	return m
}

// limited returns a server with limits that a test can reach, and a function
// that advances its limiter's clock.
func limited(t testing.TB, change func(*limits)) (*Node, func(time.Duration)) {
	t.Helper()
	n := startNode(t, Config{Listen: loopback, Server: true})
	var mu sync.Mutex
	now := time.Now()
	g := n.limiter
	g.mu.Lock()
	g.now = func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	change(&g.limits)
	g.mu.Unlock()
	return n, func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
}

// Stores above the rate of a peer are refused, and a peer that continues is cut
// off, while other peers are served. After the cut-off the peer is served again,
// and its next cut-off is longer.
func TestAFloodingPeerIsCutOff(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n, pass := limited(t, func(l *limits) { l.stores, l.strikes = tokenRate{10, 1}, tokenRate{5, 0.1} })
		flooder, honest := newRawPeer(t, n), newRawPeer(t, n)
		flood := func() (stored, refused int) {
			for !n.isCutOff(flooder.ID()) {
				k := newKey(t)
				if flooder.ask(within(t, 10*time.Second), storing(routingKey(k.Pointer()), sign(t, k, 1).Bytes())) != nil {
					stored++
				} else {
					refused++
				}
			}
			return stored, refused
		}
		stored, refused := flood()
		require.Equal(t, 10, stored)
		require.Equal(t, 6, refused)
		require.Equal(t, 10, n.Status().Held)
		cut := n.Status().CutOffs
		require.Len(t, cut, 1)
		require.Equal(t, flooder.ID().String(), cut[0].Peer)
		require.Contains(t, cut[0].Reason, "rate")
		require.Equal(t, 10*time.Minute, cut[0].Until.Sub(n.limiter.now()))

		require.Eventually(t, func() bool { return n.host.Network().Connectedness(flooder.ID()) != network.Connected }, 5*time.Second, time.Millisecond)
		infos, err := parseAddrs(n.Addrs())
		require.NoError(t, err)
		_ = flooder.Connect(within(t, 10*time.Second), infos[0]) // Connect may succeed before the node closes the connection
		require.Nil(t, flooder.ask(within(t, 10*time.Second), dht_pb.NewMessage(dht_pb.Message_PING, nil, 0)))
		require.ErrorIs(t, second(n.query(within(t, 10*time.Second), peer.AddrInfo{ID: flooder.ID(), Addrs: flooder.Addrs()}, dht_pb.Message_PING, "")), dht.ErrUnreachable)

		k := newKey(t)
		require.NotNil(t, honest.ask(within(t, 10*time.Second), storing(routingKey(k.Pointer()), sign(t, k, 1).Bytes())))

		pass(11 * time.Minute)
		require.Empty(t, n.Status().CutOffs)
		connect := func() {
			require.Eventually(t, func() bool { return flooder.Connect(within(t, 10*time.Second), infos[0]) == nil }, 15*time.Second, 10*time.Millisecond)
		}
		connect()
		stored, _ = flood()
		require.Equal(t, 10, stored)
		require.Equal(t, 20*time.Minute, n.Status().CutOffs[0].Until.Sub(n.limiter.now()))
	})
}

func (n *Node) isCutOff(p peer.ID) bool { return !n.limiter.mayConnect(p) }

func second[A any](_ A, err error) error { return err }

// A message that no implementation sends (too long, malformed, or with a record
// that does not verify) ends the stream immediately. A few of them cause a
// cut-off.
func TestAbuseIsCutOff(t *testing.T) {
	k := newKey(t)
	forged := sign(t, k, 1).Bytes()
	forged[len(forged)-1] ^= 1
	for name, c := range map[string]struct {
		bytes  []byte
		times  int // until it is cut off
		reason string
	}{
		"too long":    {binary.AppendUvarint(nil, maxRequest+1), 17, "32 KiB"},
		"length 2^63": {binary.AppendUvarint(nil, 1<<63), 17, "32 KiB"},
		"garbage":     {append([]byte{40}, strings.Repeat("\xff", 40)...), 17, "malformed"},
		"forged":      {frame(storing(routingKey(k.Pointer()), forged)), 257, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			n, _ := limited(t, func(*limits) {}) // with a stopped clock, so that no strikes expire
			s := newRawPeer(t, n)
			times := 0
			for ; !n.isCutOff(s.ID()); times++ {
				require.Less(t, times, c.times)
				st, err := s.NewStream(within(t, 10*time.Second), n.host.ID(), n.protocol)
				require.NoError(t, err)
				_, _ = st.Write(c.bytes)
				_ = st.SetReadDeadline(time.Now().Add(10 * time.Second))
				_, err = st.Read(make([]byte, 1))
				require.Error(t, err)
				_ = st.Reset()
				// The limiter counts it when the handler returns. The peer may receive the
				// reset before.
				require.Eventually(t, func() bool {
					n.limiter.mu.Lock()
					defer n.limiter.mu.Unlock()
					return n.limiter.openStreams[s.ID()] == 0
				}, time.Minute, time.Millisecond)
			}
			require.Equal(t, c.times, times)
			require.Contains(t, n.Status().CutOffs[0].Reason, c.reason)
			require.Zero(t, n.Status().Held)
		})
	}
}

func frame(m *dht_pb.Message) []byte {
	b, _ := proto.Marshal(m)
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// Streams are bounded for each peer and in total. If idle peers occupy all of
// them, a new request replaces the stream that has been idle the longest.
func TestStreamsAreBounded(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n, pass := limited(t, func(l *limits) { l.streams, l.peerStreams = 20, 8 })
		ping := dht_pb.NewMessage(dht_pb.Message_PING, nil, 0)
		for range 5 {
			hog := newRawPeer(t, n)
			for range 12 {
				st, err := hog.NewStream(within(t, 10*time.Second), n.host.ID(), n.protocol)
				require.NoError(t, err)
				_, _ = st.Write([]byte{40}) // announces 40 bytes that never arrive
			}
			require.Eventually(t, func() bool {
				n.limiter.mu.Lock()
				defer n.limiter.mu.Unlock()
				return n.limiter.openStreams[hog.ID()] >= 1
			}, 5*time.Second, time.Millisecond)
			pass(time.Second)
		}
		require.NotNil(t, newRawPeer(t, n).ask(within(t, 10*time.Second), ping))
		n.limiter.mu.Lock()
		defer n.limiter.mu.Unlock()
		require.LessOrEqual(t, len(n.limiter.streams), 20)
		for p, open := range n.limiter.openStreams {
			require.LessOrEqual(t, open, 8, p)
		}
	})
}

// A request that arrives slowly ends at its deadline.
func TestASlowRequestIsReset(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n, _ := limited(t, func(l *limits) { l.ioTimeout = 50 * time.Millisecond })
		s := newRawPeer(t, n)
		st := s.stream(t)
		_, err := st.Write([]byte{40, 8})
		require.NoError(t, err)
		_ = st.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = st.Read(make([]byte, 1))
		require.ErrorIs(t, err, network.ErrReset)
	})
}

// Only a request that has begun has a deadline: a peer may leave a stream open
// for later requests.
func TestOnlyABegunRequestHasADeadline(t *testing.T) {
	var clock deadlines
	s := &limitedStream{Stream: &clock, limiter: newLimiter(defaultLimits, nil, nil)}
	ping := frame(dht_pb.NewMessage(dht_pb.Message_PING, []byte("key"), 0))
	for range 2 {
		for i := range ping {
			require.Equal(t, i == 0, clock.read.IsZero())
			require.True(t, s.parseFrames(ping[i:i+1]))
		}
		require.True(t, s.requestRead)
		s.requestRead = false
	}
	require.True(t, s.parseFrames(append(ping, ping...)))
	require.True(t, clock.read.IsZero())
}

type deadlines struct {
	network.Stream
	read time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.read = t; return nil }

// The accounts and cut-offs of the limiter are bounded.
func TestAccountsAreBounded(t *testing.T) {
	g := newLimiter(defaultLimits, nil, newBoundedStore(maxHeld, time.Now))
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range 3 * maxAccounts {
		a := g.accounts.of(fmt.Sprint(i), now)
		require.True(t, a.requests.take(g.limits.requests, 1, now))
		require.LessOrEqual(t, len(g.accounts.byName), maxAccounts)
	}
	now = now.Add(time.Hour)
	g.accounts.of("one more", now)
	require.Len(t, g.accounts.byName, 1, "accounts without usage are removed")
	for i := range 3 * maxCutOffs {
		g.evictCutOff(now)
		g.cutOff[peer.ID(fmt.Sprint(i))] = &cutOff{until: now.Add(time.Duration(i) * time.Second)}
		require.LessOrEqual(t, len(g.cutOff), maxCutOffs)
	}
}

// After the clock is set back, a bucket neither has extra tokens nor remains
// empty for long.
func TestBucket(t *testing.T) {
	r := tokenRate{10, 1}
	now := time.Now()
	var b bucket
	for range 10 {
		require.True(t, b.take(r, 1, now))
	}
	require.False(t, b.take(r, 1, now))
	now = now.Add(-24 * time.Hour)
	require.False(t, b.take(r, 1, now))
	now = now.Add(5 * time.Second)
	for range 5 {
		require.True(t, b.take(r, 1, now))
	}
	require.False(t, b.take(r, 1, now))
	require.True(t, b.take(r, 10, now.Add(time.Hour)))
}

func TestSourceOf(t *testing.T) {
	p, q := randomPeer(t), randomPeer(t)
	source := func(p peer.ID, addr string) string { return SourceOf(p, ma.StringCast(addr)) }
	for _, pair := range []struct {
		a, b string
		same bool
	}{
		{"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.9/udp/2/quic-v1", true},
		{"/ip4/8.8.8.8/tcp/1", "/ip4/8.8.9.8/tcp/1", false},
		{"/ip6/2a00:1450:4001::1/tcp/1", "/ip6/2a00:1450:4001:ffff::2/tcp/1", true},
		{"/ip6/2a00:1450:4001::1/tcp/1", "/ip6/2a00:1450:4002::1/tcp/1", false},
		{"/ip4/192.168.1.1/tcp/1", "/ip4/192.168.1.2/tcp/1", false},
		{"/ip4/192.168.1.1/tcp/1", "/ip4/192.168.1.1/tcp/2", true},
		{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", false}, // peers of one machine
	} {
		require.Equal(t, pair.same, source(p, pair.a) == source(q, pair.b), "%v", pair)
		require.Equal(t, source(p, pair.a), source(p, pair.a))
	}
}

// A node that was started and closed leaves no goroutine running.
func TestNoGoroutineIsLeft(t *testing.T) {
	listen := append([]string{"/ip4/127.0.0.1/udp/0/quic-v1"}, loopback...)
	round := func() {
		a := startNode(t, Config{Listen: listen, Server: true, File: t.TempDir() + "/dht.db"})
		b := startNode(t, Config{Listen: listen, Server: true, Bootstrap: a.Addrs()})
		k := newKey(t)
		_, err := b.Put(within(t, 10*time.Second), k.Pointer(), sign(t, k, 1).Bytes())
		require.NoError(t, err)
		s := newRawPeer(t, a)
		_, _ = s.stream(t).Write([]byte{40})
		require.NoError(t, b.Close())
		require.NoError(t, a.Close())
		require.NoError(t, s.Close())
	}
	round() // starts the goroutines of the process that do not end
	before := runtime.NumGoroutine()
	for range 3 {
		round()
	}
	after := 0
	if !assertEventually(func() bool { after = runtime.NumGoroutine(); return after <= before }, time.Minute) {
		b := make([]byte, 1<<20)
		t.Fatalf("%d goroutines before, %d after:\n%s", before, after, b[:runtime.Stack(b, true)])
	}
}

func assertEventually(ok func() bool, within time.Duration) bool {
	deadline := time.After(within)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok() {
			return true
		}
		select {
		case <-tick.C:
		case <-deadline:
			return false
		}
	}
}
