package kad

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// limiterAt returns a limiter with its own clock.
func limiterAt(l limits) (g *limiter, now *time.Time) {
	g = newLimiter(l, slog.New(slog.DiscardHandler), newBoundedStore(maxHeld, time.Now))
	clock := time.Unix(1e9, 0)
	g.now = func() time.Time { return clock }
	return g, &clock
}

// requests passes a peer's request to the limiter, and reports whether the limiter
// allowed it.
func (g *limiter) requests(p peer.ID, source string, kind dht_pb.Message_MessageType) bool {
	s := &limitedStream{limiter: g, peer: p, source: source}
	req := storing("/ipns/key", []byte("value"))
	req.Type = kind
	g.request(context.Background(), s, req)
	if s.putKey != "" {
		g.store.finishPut(s.putKey)
	}
	return !s.refused && req.Key != nil && req.Record != nil
}

// All peers of one address group together may store four times as much as one
// peer, however many they are. Other peers, and requests that store nothing,
// are not affected.
func TestTheStoresOfAnAddressGroupAreBounded(t *testing.T) {
	for _, kind := range []dht_pb.Message_MessageType{dht_pb.Message_PUT_VALUE, dht_pb.Message_ADD_PROVIDER} {
		l := defaultLimits
		l.stores = tokenRate{3, 1}
		g, now := limiterAt(l)
		passed := 0
		for i := range 10 {
			for range 2 { // below the rate of each peer
				if g.requests(peer.ID(fmt.Sprint("peer ", i)), "8.8.8.0/24", kind) {
					passed++
				}
			}
		}
		require.Equal(t, 3*groupFactor, passed, kind)
		require.True(t, g.requests("peer 9", "8.8.8.0/24", dht_pb.Message_GET_VALUE))
		require.True(t, g.requests("another", "8.8.9.0/24", kind))
		*now = now.Add(2 * time.Second)
		for i := range 10 {
			require.Equal(t, i < 2*groupFactor, g.requests(peer.ID(fmt.Sprint("late ", i)), "8.8.8.0/24", kind), "it fills up four times as fast")
		}
		for i := range 20 { // peers on one machine
			id := peer.ID(fmt.Sprint("local ", i))
			require.True(t, g.requests(id, id.String(), kind))
		}
	}
}

// A peer is served within its rate and refused above it. The rate of stores is
// lower than the rate of requests.
func TestTheRatesOfAPeer(t *testing.T) {
	l := defaultLimits
	l.requests, l.stores = tokenRate{5, 1}, tokenRate{3, 1}
	g, now := limiterAt(l)
	for i := range 5 {
		require.Equal(t, i < 3, g.requests("p", "group", dht_pb.Message_PUT_VALUE))
	}
	require.False(t, g.requests("p", "group", dht_pb.Message_GET_VALUE), "those refused were requests as well")
	*now = now.Add(time.Second)
	require.True(t, g.requests("p", "group", dht_pb.Message_GET_VALUE))
	require.False(t, g.requests("p", "group", dht_pb.Message_GET_VALUE))
}

// Each cut-off of a peer is twice as long as the previous one, up to six hours.
// A cut-off is removed six hours after its end. During a cut-off the limiter
// refuses every request of the peer. Afterwards the peer starts without
// strikes.
func TestCutOffsGrowAndAreRemoved(t *testing.T) {
	l := defaultLimits
	l.strikes, l.stores = tokenRate{1, 0}, tokenRate{1, 0}
	g, now := limiterAt(l)
	p := peer.ID("p")
	var hungUp []peer.ID
	g.disconnect = func(p peer.ID) { hungUp = append(hungUp, p) }
	cut := func() time.Duration {
		require.True(t, g.requests(p, p.String(), dht_pb.Message_PUT_VALUE), "a fresh start")
		g.strike("p", 1, "once")
		require.Empty(t, g.listCutOffs(), "is forgiven")
		g.strike("p", 1, "twice")
		out := g.listCutOffs()
		require.Len(t, out, 1)
		require.Equal(t, "twice", out[0].Reason)
		until := out[0].Until
		require.False(t, g.mayConnect("p"))
		require.False(t, g.requests(p, p.String(), dht_pb.Message_GET_VALUE))
		require.True(t, g.requests("q", peer.ID("q").String(), dht_pb.Message_GET_VALUE))
		g.strike("p", 100, "while it is out")
		require.Equal(t, until, g.listCutOffs()[0].Until)
		d := until.Sub(*now)
		*now = until.Add(-time.Nanosecond)
		require.False(t, g.mayConnect("p"))
		*now = until
		require.True(t, g.mayConnect("p"))
		return d
	}
	for i, want := range []time.Duration{10, 20, 40, 80, 160, 320, 360, 360} {
		require.Equal(t, want*time.Minute, cut())
		require.Len(t, hungUp, i+1)
		*now = now.Add(maxCutOff) // a cut-off is stored for this time
	}
	*now = now.Add(time.Nanosecond)
	require.Equal(t, 10*time.Minute, cut())
}

// When there are too many cut-offs, the one that ends first is removed. The
// list is sorted by end, latest first.
func TestTheCutOffThatEndsFirstIsRemoved(t *testing.T) {
	g, now := limiterAt(defaultLimits)
	for i := range maxCutOffs {
		g.cutOff[peer.ID(fmt.Sprint(i))] = &cutOff{until: now.Add(time.Duration(1+(i+500)%maxCutOffs) * time.Second)}
	}
	out := g.listCutOffs()
	require.Len(t, out, maxCutOffs)
	for i := range out[1:] {
		require.True(t, out[i].Until.After(out[i+1].Until))
	}
	soonest := peer.ID(out[maxCutOffs-1].Peer)
	for p := range g.cutOff {
		if p.String() == out[maxCutOffs-1].Peer {
			soonest = p
		}
	}
	g.strike("new", 1000, "abuse")
	require.Len(t, g.cutOff, maxCutOffs)
	require.NotContains(t, g.cutOff, soonest)
	require.Contains(t, g.cutOff, peer.ID("new"))
}

// The limiter removes an account with usage left only if every account has some.
func TestAccountsWithUsageLeftAreKept(t *testing.T) {
	g, now := limiterAt(defaultLimits)
	require.True(t, g.accounts.of("debtor", *now).requests.take(g.limits.requests, 4000, *now))
	for i := range maxAccounts - 1 {
		require.True(t, g.accounts.of(fmt.Sprint(i), *now).requests.take(g.limits.requests, 1, *now))
	}
	*now = now.Add(2 * time.Second)
	g.accounts.of("new", *now)
	require.Len(t, g.accounts.byName, 2)
	require.NotZero(t, g.accounts.byName["debtor"].requests.used(*now))
}

// fakeStream is a stream with only a peer. It records the calls of its methods.
type fakeStream struct {
	network.Stream
	peer       peer.ID
	reset      bool
	write      time.Time
	writeFails error
}

func (s *fakeStream) Conn() network.Conn                  { return fakeConn{peer: s.peer} }
func (s *fakeStream) Reset() error                        { s.reset = true; return nil }
func (s *fakeStream) SetWriteDeadline(at time.Time) error { s.write = at; return nil }
func (s *fakeStream) Write(p []byte) (int, error)         { return len(p), s.writeFails }

type fakeConn struct {
	network.Conn
	peer peer.ID
}

func (c fakeConn) RemotePeer() peer.ID { return c.peer }
func (c fakeConn) RemoteMultiaddr() ma.Multiaddr {
	return ma.StringCast("/ip4/8.8.8.8/tcp/1")
}

// When there are too many streams, the limiter resets the one that has been
// silent the longest. No peer has more streams than its limit.
func TestTheMostSilentStreamIsReset(t *testing.T) {
	l := defaultLimits
	l.streams, l.peerStreams = 3, 2
	g, now := limiterAt(l)
	open := map[string]*fakeStream{}
	admit := func(name string, p peer.ID) (*limitedStream, error) {
		*now = now.Add(time.Second)
		open[name] = &fakeStream{peer: p}
		return g.admit(open[name])
	}
	first, err := admit("first", "a")
	require.NoError(t, err)
	second, err := admit("second", "a")
	require.NoError(t, err)
	_, err = admit("one too many", "a")
	require.ErrorIs(t, err, errTooMany)
	_, err = admit("third", "b")
	require.NoError(t, err)
	*now = now.Add(time.Second)
	g.request(t.Context(), first, dht_pb.NewMessage(dht_pb.Message_PING, []byte("key"), 0))
	_, err = admit("fourth", "c")
	require.NoError(t, err)
	require.True(t, open["second"].reset)
	for _, name := range []string{"first", "third", "fourth"} {
		require.False(t, open[name].reset, name)
	}
	require.Len(t, g.streams, 3)
	second.close() // its handler ends later
	require.Equal(t, map[peer.ID]int{"a": 1, "b": 1, "c": 1}, g.openStreams)
}

// The limiter counts strikes for a request when the next request begins. An
// unconfirmed store counts a little, a store without room counts nothing, and a
// message that no implementation sends counts much.
func TestTheStrikesOfARequest(t *testing.T) {
	for name, c := range map[string]struct {
		request func(*limitedStream)
		strikes float64
	}{
		"confirmed": {func(s *limitedStream) {
			s.handling, s.putKey = true, "key"
			_, _ = s.Write(nil)
		}, 0},
		"not confirmed":     {func(s *limitedStream) { s.handling, s.putKey = true, "key" }, strikeRefused},
		"no room":           {func(s *limitedStream) { s.handling, s.putKey = true, "full" }, 0},
		"over the rate":     {func(s *limitedStream) { s.handling, s.refused = true, true }, strikeRefused},
		"not understood":    {func(*limitedStream) {}, strikeMalformed},
		"nothing was read":  {func(s *limitedStream) { s.requestRead = false }, 0},
		"read, no store":    {func(s *limitedStream) { s.handling = true }, 0},
		"not fully written": {func(s *limitedStream) { s.handling, s.putKey = true, "key"; fail(s); _, _ = s.Write(nil) }, strikeRefused},
	} {
		g, now := limiterAt(defaultLimits)
		g.store.expectPut("full", "someone")
		g.store.pending["full"].full = true
		s := &limitedStream{Stream: &fakeStream{}, limiter: g, peer: "p", requestRead: true}
		c.request(s)
		s.finishRequest()
		require.InDelta(t, c.strikes, g.accounts.of(s.peer.String(), *now).strikes.used(*now), 0, name)
		s.finishRequest()
		require.InDelta(t, c.strikes, g.accounts.of(s.peer.String(), *now).strikes.used(*now), 0, "%s, once", name)
	}
}

func fail(s *limitedStream) { s.Stream.(*fakeStream).writeFails = network.ErrReset }

// Writing a response has a deadline, even if the peer does not read it.
func TestAnswersHaveADeadline(t *testing.T) {
	var st fakeStream
	s := &limitedStream{Stream: &st, limiter: newLimiter(defaultLimits, nil, nil)}
	before := time.Now()
	_, err := s.Write([]byte("answer"))
	require.NoError(t, err)
	require.False(t, st.write.Before(before.Add(defaultLimits.ioTimeout)))
	require.False(t, st.write.After(time.Now().Add(defaultLimits.ioTimeout)))
}

// The host limits its connections and streams, in total and for each peer.
func TestTheHostsResourcesAreBounded(t *testing.T) {
	r, err := resources()
	require.NoError(t, err)
	defer r.Close()
	opened := func(dir network.Direction, of func(int) peer.ID, most int) (n int) {
		for i := range most {
			c, err := r.OpenConnection(dir, false, ma.StringCast(fmt.Sprintf("/ip4/8.%d.%d.1/tcp/1", i/256, i%256)))
			if err != nil {
				break
			}
			defer c.Done()
			if c.SetPeer(of(i)) != nil {
				break
			}
			n++
		}
		return n
	}
	many := func(i int) peer.ID { return peer.ID(fmt.Sprint(i)) }
	one := func(int) peer.ID { return "one" }
	require.Equal(t, 320, opened(network.DirInbound, many, 1000))
	require.Equal(t, 384, opened(network.DirOutbound, many, 1000))
	require.Equal(t, 8, opened(network.DirInbound, one, 100))
	streams := 0
	for range 1000 {
		s, err := r.OpenStream("one", network.DirInbound)
		if err != nil {
			break
		}
		defer s.Done()
		streams++
	}
	require.Equal(t, 128, streams)
}

// A put that the limiter allows is expected from its source, so that its record
// counts against that source. This does not apply to a refused put or to a get.
func TestAPutIsExpectedFromItsSource(t *testing.T) {
	l := defaultLimits
	l.stores = tokenRate{1, 0}
	g, _ := limiterAt(l)
	send := func(kind dht_pb.Message_MessageType, key string) {
		req := storing(key, []byte("value"))
		req.Type = kind
		g.request(t.Context(), &limitedStream{limiter: g, peer: "p", source: "8.8.8.0/24"}, req)
	}
	send(dht_pb.Message_GET_VALUE, "/ipns/got")
	send(dht_pb.Message_PUT_VALUE, "/ipns/put")
	send(dht_pb.Message_PUT_VALUE, "/ipns/refused")
	require.Len(t, g.store.pending, 1)
	require.Equal(t, "8.8.8.0/24", g.store.pending["/ipns/put"].source)
}

// A peer that is cut off is neither dialled nor accepted, and its streams are
// refused.
func TestAPeerThatIsCutOffCannotConnect(t *testing.T) {
	l := defaultLimits
	l.strikes = tokenRate{1, 0}
	g, _ := limiterAt(l)
	gate := gater{limiter: g}
	for _, cut := range []bool{false, true} {
		if cut {
			g.strike("p", 2, "abuse")
		}
		require.Equal(t, !cut, gate.InterceptPeerDial("p"))
		require.Equal(t, !cut, gate.InterceptSecured(network.DirInbound, "p", nil))
		_, err := g.admit(&fakeStream{peer: "p"})
		require.Equal(t, !cut, err == nil)
		require.True(t, gate.InterceptPeerDial("q") && gate.InterceptSecured(network.DirInbound, "q", nil))
	}
}

// A request may be up to 32 KiB long.
func TestTheLengthOfARequest(t *testing.T) {
	for length, want := range map[uint64]bool{1: true, maxRequest: true, maxRequest + 1: false, 1 << 21: false, 1 << 63: false} {
		s := &limitedStream{Stream: &deadlines{}, limiter: newLimiter(defaultLimits, nil, nil)}
		require.Equal(t, want, s.parseFrames(binary.AppendUvarint(nil, length)), length)
		if want {
			require.True(t, s.parseFrames(make([]byte, length-1)))
			require.False(t, s.requestRead)
			require.True(t, s.parseFrames(make([]byte, 1)))
			require.True(t, s.requestRead)
		}
	}
	s := &limitedStream{Stream: &deadlines{}, limiter: newLimiter(defaultLimits, nil, nil)}
	require.False(t, s.parseFrames(bytes.Repeat([]byte{0x80}, 4)), "a length that does not end")
}

// A cut-off ends by the wall clock. When the clock is set back by more than the
// longest cut-off, none lasts until the old date.
func TestCutOffsSurviveNoClockThatIsSetBack(t *testing.T) {
	g, now := limiterAt(defaultLimits)
	require.NotContains(t, newLimiter(defaultLimits, nil, nil).now().String(), " m=")
	*now = now.Add(365 * 24 * time.Hour)
	g.strike("p", 1000, "flood")
	require.False(t, g.mayConnect("p"))
	*now = now.Add(-365 * 24 * time.Hour)
	require.Empty(t, g.listCutOffs())
	require.True(t, g.mayConnect("p"))
}
