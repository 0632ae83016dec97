package libp2p

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

func newHost(t testing.TB, listen bool) host.Host {
	t.Helper()
	options := []libp2p.Option{libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableRelay()}
	if listen {
		options[0] = libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")
	}
	h, err := libp2p.New(options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// addresses are a host's, as a card has them.
func addresses(t testing.TB, h host.Host) (all [][]byte) {
	t.Helper()
	full, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	require.NoError(t, err)
	for _, a := range full {
		all = append(all, a.Bytes())
	}
	return all
}

func dial(h host.Host, at [][]byte) dht.Store {
	return dialRecords(h, at, anyAddress, new(unreachablePeers))
}

func anyAddress(ma.Multiaddr) bool { return true }

func signed(t testing.TB, sequence uint64) (pointer.Record, *pointer.Key) {
	t.Helper()
	key, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	require.NoError(t, err)
	r, err := pointer.Sign(key, pointer.Fields{Sequence: sequence, Expires: time.Now().Add(time.Hour), Payload: []byte("sealed")})
	require.NoError(t, err)
	return r, key
}

func get(s dht.Store, p pointer.Pointer) (found []byte, failed error) {
	for a, err := range s.Get(context.Background(), p) {
		if err != nil {
			failed = err
		}
		if a.Record != nil {
			found = a.Record
		}
	}
	return found, failed
}

func TestRecordsGoOverARealStream(t *testing.T) {
	there, here := newHost(t, true), newHost(t, false)
	shelf := new(dht.Memory)
	serveRecords(there, shelf)
	store := dial(here, addresses(t, there))
	r, _ := signed(t, 1)
	found, err := get(store, r.Pointer())
	require.NoError(t, err)
	require.Nil(t, found)
	receipt, err := store.Put(context.Background(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
	require.Equal(t, dht.Receipt{Asked: 1, Stored: 1}, receipt)
	found, err = get(store, r.Pointer())
	require.NoError(t, err)
	require.Equal(t, r.Bytes(), found)

	_, err = store.Put(context.Background(), r.Pointer(), []byte("no record"))
	require.ErrorIs(t, err, errRefused)
	_, err = store.Put(context.Background(), r.Pointer(), make([]byte, pointer.MaxRecord+1))
	require.Error(t, err)
}

func TestWhoIsAwayIsLeftAloneForAWhile(t *testing.T) {
	there, here := newHost(t, true), newHost(t, false)
	at := addresses(t, there)
	require.NoError(t, there.Close())
	away := new(unreachablePeers)
	counted := &counting{Host: here}
	store := dialRecords(counted, at, anyAddress, away)
	r, _ := signed(t, 1)
	_, err := get(store, r.Pointer())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.Equal(t, 1, counted.connects)
	require.True(t, away.contains(there.ID()))
	_, err = store.Put(context.Background(), r.Pointer(), r.Bytes())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.Equal(t, 1, counted.connects, "it isn't dialled again")
	away.until[there.ID()] = time.Now().Add(-time.Second)
	_, err = get(store, r.Pointer())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.Equal(t, 2, counted.connects, "and after a while it is")
}

// counting is a host that counts its dials.
type counting struct {
	host.Host
	connects int
}

func (c *counting) Connect(ctx context.Context, info peer.AddrInfo) error {
	c.connects++
	return c.Host.Connect(ctx, info)
}

func TestUnreachablePeersAreForgottenAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r unreachablePeers
		require.False(t, r.contains("a"))
		r.add("a")
		require.True(t, r.contains("a"))
		require.False(t, r.contains("b"))
		time.Sleep(unreachableTime - 1)
		require.True(t, r.contains("a"))
		time.Sleep(time.Nanosecond)
		require.False(t, r.contains("a"))
		for i := range 3 * maxUnreachable {
			r.add(peer.ID(fmt.Sprint(i)))
			require.LessOrEqual(t, len(r.until), maxUnreachable)
		}
	})
}

// served is a host to which a test passes streams.
type served struct {
	host.Host
	handler network.StreamHandler
}

func (s *served) SetStreamHandler(_ protocol.ID, h network.StreamHandler) { s.handler = h }

// stream is a stream without a network. The test can inspect its deadline.
type stream struct {
	network.Stream
	peer          peer.ID
	from          string // multiaddr; empty: loopback
	in            io.Reader
	out           bytes.Buffer
	reset, closed bool
	deadline      time.Time
}

// Conn returns a connection that has the addresses alone.
func (s *stream) Conn() network.Conn { return conn{s: s} }

// conn is the connection of a stream without a network.
type conn struct {
	network.Conn
	s *stream
}

func (c conn) RemotePeer() peer.ID { return c.s.peer }
func (c conn) RemoteMultiaddr() ma.Multiaddr {
	return ma.StringCast(cmp.Or(c.s.from, "/ip4/127.0.0.1/tcp/1"))
}

func (s *stream) Read(b []byte) (int, error)     { return s.in.Read(b) }
func (s *stream) Write(b []byte) (int, error)    { return s.out.Write(b) }
func (s *stream) Reset() error                   { s.reset = true; return nil }
func (s *stream) Close() error                   { s.closed = true; return nil }
func (s *stream) SetDeadline(at time.Time) error { s.deadline = at; return nil }

// slow is a store that answers when the test releases it.
type slow struct {
	dht.Store
	let   chan struct{}
	asked *atomic.Int32
}

func (s slow) Get(ctx context.Context, _ pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		s.asked.Add(1)
		select {
		case <-s.let:
			yield(dht.Answer{}, nil)
		case <-ctx.Done():
			yield(dht.Answer{}, ctx.Err())
		}
	}
}

func TestTheNumberOfServedStreamsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := signed(t, 1)
		request := append(appendField([]byte{opGet}, r.Pointer().Bytes()), 0, 0)
		store, h := slow{let: make(chan struct{}), asked: new(atomic.Int32)}, new(served)
		serveRecords(h, store)
		streams := make([]*stream, maxStreams)
		for i := range streams {
			streams[i] = &stream{peer: peer.ID(fmt.Sprint(i)), in: bytes.NewReader(request)}
			go h.handler(streams[i])
		}
		synctest.Wait()
		require.EqualValues(t, maxStreams, store.asked.Load())
		more := &stream{in: bytes.NewReader(request)}
		h.handler(more)
		require.True(t, more.reset, "one more is refused at once")
		require.Empty(t, more.out.Bytes())
		require.EqualValues(t, maxStreams, store.asked.Load())
		close(store.let)
		synctest.Wait()
		for _, s := range streams {
			require.Equal(t, []byte{statusDone, 0, 0}, s.out.Bytes())
			require.True(t, s.closed && !s.reset)
			require.Equal(t, time.Now().Add(streamTime), s.deadline)
		}
		again := &stream{in: bytes.NewReader(request)}
		h.handler(again)
		require.True(t, again.closed, "there is room again")
	})
}

// One connection that opens streams and sends nothing does not exclude others, over
// real streams.
func TestStreamsOfOnePeerExcludeNobody(t *testing.T) {
	there, flooder, here := newHost(t, true), newHost(t, false), newHost(t, false)
	serveRecords(there, new(dht.Memory))
	require.NoError(t, flooder.Connect(t.Context(), peer.AddrInfo{ID: there.ID(), Addrs: there.Addrs()}))
	for range 40 {
		s, err := flooder.NewStream(t.Context(), there.ID(), recordsProtocol)
		require.NoError(t, err)
		_, err = s.Write([]byte{opGet}) // the rest does not follow
		require.NoError(t, err)
	}
	r, _ := signed(t, 1)
	for range 5 {
		_, err := get(dial(here, addresses(t, there)), r.Pointer())
		require.NoError(t, err)
	}
}

// A slow store does not keep a stream open beyond the stream's maximum
// duration.
func TestAStreamEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := signed(t, 1)
		h, s := new(served), &stream{in: bytes.NewReader(append(appendField([]byte{opGet}, r.Pointer().Bytes()), 0, 0))}
		serveRecords(h, slow{let: make(chan struct{}), asked: new(atomic.Int32)})
		began := time.Now()
		h.handler(s)
		require.Equal(t, streamTime, time.Since(began))
	})
}

// Addresses are what somebody said: any bytes.
func TestHostileAddressesReachNobody(t *testing.T) {
	here := newHost(t, false)
	r, _ := signed(t, 1)
	require.Len(t, dial(here, manyAddresses()).(*store).addresses, maxAddresses)
	for name, at := range map[string][][]byte{
		"none": nil, "garbage": {[]byte("garbage"), nil}, "without a peer": {ma.StringCast("/ip4/127.0.0.1/tcp/1").Bytes()},
		"myself": {ma.StringCast("/ip4/127.0.0.1/tcp/1/p2p/" + here.ID().String()).Bytes()},
		"many":   manyAddresses(),
	} {
		_, err := get(dial(here, at), r.Pointer())
		require.ErrorIs(t, err, dht.ErrUnreachable, name)
	}
}

// Addresses in cards and invitations cause neither DNS queries nor connections outside
// of the kind of network that was joined, and no more than a few tries.
func TestForeignAddressesCauseNoDials(t *testing.T) {
	var mu sync.Mutex
	queries := 0
	preferGo, dialDNS := net.DefaultResolver.PreferGo, net.DefaultResolver.Dial
	net.DefaultResolver.PreferGo, net.DefaultResolver.Dial = true, func(context.Context, string, string) (net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		queries++
		return nil, errors.New("no network")
	}
	t.Cleanup(func() { net.DefaultResolver.PreferGo, net.DefaultResolver.Dial = preferGo, dialDNS })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	accepted := 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted++
			_ = c.Close()
		}
	}()
	port := l.Addr().(*net.TCPAddr).Port
	id := func() string {
		return "/p2p/" + newHost(t, false).ID().String()
	}
	var hostile [][]byte
	for _, a := range []string{"/dns4/a.example", "/dns/b.example", "/dns6/c.example", "/ip4/127.0.0.1", "/ip6/::ffff:127.0.0.1", "/ip6/64:ff9b::7f00:1"} {
		hostile = append(hostile, ma.StringCast(fmt.Sprintf("%s/tcp/%d%s", a, port, id())).Bytes())
	}
	hostile = append(hostile, ma.StringCast("/dnsaddr/d.example"+id()).Bytes(), ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d%s/p2p-circuit%s", port, id(), id())).Bytes())
	r, _ := signed(t, 1)
	hub := newHost(t, true)
	private := []string{fmt.Sprintf("%s/p2p/%s", hub.Addrs()[0], hub.ID())}
	public, err := New(Options{}).Start(t.Context(), agent.NodeConfig{Network: "ipfs"})
	require.NoError(t, err)
	_, err = get(public.Dial(hostile), r.Pointer())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.NoError(t, public.Close())
	local, err := New(Options{}).Start(t.Context(), agent.NodeConfig{Network: "peers", Bootstrap: private})
	require.NoError(t, err)
	_, err = get(local.Dial(hostile[:3]), r.Pointer())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	_, err = get(local.Dial(hostile[6:]), r.Pointer())
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.NoError(t, l.Close())
	<-ended
	require.Zero(t, accepted)
	require.Zero(t, queries)
	require.Len(t, local.Dial(hostile).(*store).addresses, 3, "loopback addresses, in a network on loopback")
	require.NoError(t, local.Close())
	hostile = nil
	for range 2 * maxPeers {
		hostile = append(hostile, ma.StringCast("/ip4/127.0.0.1/tcp/1"+id()).Bytes())
	}
	require.Len(t, dial(hub, hostile).(*store).addresses, maxPeers, "few peers are tried")
}

// A network is of the kind of the addresses by which it was joined.
func TestTheReachIsThatOfTheNetwork(t *testing.T) {
	id := "/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k"
	public, private, host := "/ip4/8.8.8.8/tcp/1"+id, "/ip4/192.168.1.2/tcp/1"+id, "/ip4/127.0.0.1/tcp/1"+id
	for _, c := range []struct {
		want   kad.Reach
		c      agent.NodeConfig
		listen []string
	}{
		{kad.ReachPublic, agent.NodeConfig{Network: "ipfs", Bootstrap: []string{host}}, nil},
		{kad.ReachPublic, agent.NodeConfig{Network: "peers", Bootstrap: []string{public}, Entry: []string{host}}, []string{"/ip4/127.0.0.1/tcp/0"}},
		{kad.ReachLAN, agent.NodeConfig{Network: "peers", Bootstrap: []string{private}}, nil},
		{kad.ReachHost, agent.NodeConfig{Network: "peers", Bootstrap: []string{public, host}}, nil},
		{kad.ReachHost, agent.NodeConfig{Network: "lan", Discover: true}, nil},
		{kad.ReachHost, agent.NodeConfig{Network: "off"}, []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"}},
		{kad.ReachLAN, agent.NodeConfig{Network: "off"}, []string{"/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0"}},
		{kad.ReachLAN, agent.NodeConfig{Network: "off"}, []string{"/ip4/8.8.8.8/tcp/0", "/ip6/::/tcp/0"}},
		{kad.ReachLAN, agent.NodeConfig{Network: "off"}, []string{"/ip4/8.8.8.8/tcp/0", "/ip4/10.0.0.1/tcp/0"}},
		{kad.ReachPublic, agent.NodeConfig{Network: "off"}, []string{"/ip4/127.0.0.1/tcp/0", "/ip4/8.8.8.8/tcp/4001", "/ip6/2a00:1450::1/tcp/4001"}},
	} {
		require.Equal(t, c.want, New(Options{Listen: c.listen}).(*transport).reach(c.c), c)
	}
}

func manyAddresses() (many [][]byte) {
	for range 10_000 {
		many = append(many, ma.StringCast("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k").Bytes())
	}
	return many
}

// What a stranger writes into a stream costs no more than reading it.
func TestGarbageOnAStreamIsRefused(t *testing.T) {
	there, here := newHost(t, true), newHost(t, false)
	shelf := new(dht.Memory)
	serveRecords(there, shelf)
	r, _ := signed(t, 1)
	whole := appendField(appendField([]byte{opPut}, r.Pointer().Bytes()), r.Bytes())
	for name, request := range map[string][]byte{
		"nothing": {}, "unknown operation": {9, 0, 0, 0, 0}, "no pointer": {opGet, 0, 0, 0, 0},
		"a long pointer":      append([]byte{opGet, 0xff, 0xff}, make([]byte, 1<<16)...),
		"a long record":       append(appendField([]byte{opPut}, r.Pointer().Bytes()), binary.BigEndian.AppendUint16(nil, uint16(pointer.MaxRecord+1))...),
		"a get with a record": appendField(appendField([]byte{opGet}, r.Pointer().Bytes()), []byte("x")),
		"cut short":           whole[:len(whole)-1],
	} {
		info := peer.AddrInfo{ID: there.ID(), Addrs: there.Addrs()}
		_, _, err := exchange(context.Background(), here, info, request)
		require.Error(t, err, name)
	}
	found, err := get(dial(here, addresses(t, there)), r.Pointer())
	require.NoError(t, err)
	require.Nil(t, found, "and nothing of it was kept")
}

func FuzzRequest(f *testing.F) {
	r, _ := signed(f, 1)
	f.Add(append(appendField([]byte{opGet}, r.Pointer().Bytes()), 0, 0))
	f.Add(appendField(appendField([]byte{opPut}, r.Pointer().Bytes()), r.Bytes()))
	f.Add([]byte{opPut, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		op, p, record, err := readRequest(in)
		if err != nil {
			return
		}
		again := appendField(appendField([]byte{op}, p.Bytes()), record)
		require.Equal(t, b[:len(b)-in.Len()], again)
		require.LessOrEqual(t, len(record), pointer.MaxRecord)
	})
}

func FuzzAnswer(f *testing.F) {
	r, _ := signed(f, 1)
	f.Add(appendField([]byte{statusDone}, r.Bytes()))
	f.Add([]byte{statusRefused, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		status, record, err := readAnswer(in)
		if err == nil {
			require.Equal(t, b[:len(b)-in.Len()], appendField([]byte{status}, record))
		}
	})
}
