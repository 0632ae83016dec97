package kad

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/stretchr/testify/require"
)

// closed counts its calls.
type closed int

func (c *closed) Close() error { *c++; return nil }

func TestHandshakesOfOneAddressAreBounded(t *testing.T) {
	var h handshakes
	now := time.Now()
	var ended closed
	begin := func(ip string, port int, conn io.Closer) {
		a, err := manet.FromNetAddr(&net.TCPAddr{IP: net.ParseIP(ip), Port: port})
		require.NoError(t, err)
		h.begin(a, conn, now)
		now = now.Add(time.Millisecond)
	}
	for _, ip := range []string{"127.0.0.1", "8.8.8.8", "2001:db8::1", "::1"} {
		var first closed
		ended = 0
		begin(ip, 1, &first)
		for port := range maxHandshakes - 1 {
			begin(ip, port+2, &ended)
		}
		require.Zero(t, first+ended, ip)
		begin(ip, 9999, &ended)
		require.EqualValues(t, 1, first, "the oldest is replaced")
		require.Zero(t, ended)
	}
	var other closed
	begin("8.8.8.9", 1, &other)
	require.Zero(t, ended, "another address")
	ended = 0
	begin("2001:db8::2", 1, &other)
	require.EqualValues(t, 1, ended, "of the same /64")
	done, err := manet.FromNetAddr(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5})
	require.NoError(t, err)
	h.end(done)
	begin("127.0.0.1", 9998, &other)
	require.EqualValues(t, 1, ended, "there was room")
	now = now.Add(acceptTimeout)
	begin("127.0.0.1", 9997, &other)
	require.EqualValues(t, 1, ended, "what has ended is not counted")
	require.Len(t, h.pending[netip.MustParseAddr("127.0.0.1")], 1)
	for i := range 2 * maxHandshakeSources {
		begin(fmt.Sprintf("10.1.%d.%d", i>>8, i&255), 1, &other)
		require.LessOrEqual(t, len(h.pending), maxHandshakeSources)
	}
}

// Connections from loopback that send nothing leave room for a peer on loopback, and are
// closed.
func TestSilentConnectionsLeaveRoomOnLoopback(t *testing.T) {
	n := startNode(t, Config{Listen: loopback, Server: true})
	host, err := n.host.Addrs()[0].ValueForProtocol(ma.P_TCP)
	require.NoError(t, err)
	port, err := strconv.Atoi(host)
	require.NoError(t, err)
	var silent []net.Conn
	t.Cleanup(func() {
		for _, c := range silent {
			_ = c.Close()
		}
	})
	for range 600 {
		c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		require.NoError(t, err)
		silent = append(silent, c)
	}
	client := startNode(t, Config{DialTimeout: 10 * time.Second})
	require.NoError(t, client.host.Connect(within(t, time.Minute), peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()}))
	n.handshakes.mu.Lock()
	defer n.handshakes.mu.Unlock()
	for _, all := range n.handshakes.pending {
		require.LessOrEqual(t, len(all), maxHandshakes)
	}
}
