package kad

import (
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
)

// A closed node leaves nothing behind on a host of the application: the protocols of
// the host are those of before, and streams of peers have ended. The host and its
// connections stay.
func TestACloseOnTheApplicationsHostLeavesNoHandler(t *testing.T) {
	for _, c := range []Config{{Server: true}, {}, {Server: true, Protocol: "/ours/kad/1.0.0"}, {Server: true, Network: IPFS}} {
		h, err := libp2p.New(libp2p.ListenAddrStrings(loopback...))
		require.NoError(t, err)
		defer h.Close()
		before := h.Mux().Protocols()

		c.Host = h
		n := startNode(t, c)
		var stream network.Stream
		other := startNode(t, Config{Listen: loopback, Protocol: c.Protocol})
		if c.Server && c.Network != IPFS {
			require.Contains(t, h.Mux().Protocols(), n.protocol)
			require.NoError(t, other.host.Connect(within(t, time.Minute), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}))
			stream, err = other.host.NewStream(within(t, time.Minute), h.ID(), n.protocol)
			require.NoError(t, err)
			ping := []byte{2, 0x08, byte(dht_pb.Message_PING)}
			_, err = stream.Write(ping)
			require.NoError(t, err)
			_, err = io.ReadFull(stream, make([]byte, len(ping))) // the stream waits for the next request
			require.NoError(t, err)
		}
		require.NoError(t, n.Close())
		require.ElementsMatch(t, before, h.Mux().Protocols(), "%+v", c)
		if stream != nil {
			require.NoError(t, stream.SetReadDeadline(time.Now().Add(20*time.Second))) // kad-dht resets an idle stream after a minute
			_, err = stream.Read(make([]byte, 1))
			require.ErrorIs(t, err, network.ErrReset)
			require.Equal(t, network.Connected, h.Network().Connectedness(other.host.ID()), "the connection is the application's")
			if stream, err = other.host.NewStream(within(t, time.Minute), h.ID(), n.protocol); err == nil { // negotiated with the first bytes
				_, err = stream.Read(make([]byte, 1))
			}
			require.Error(t, err, "no DHT is served any more")
		}
		again := startNode(t, c) // the host can have another node
		require.NoError(t, again.Close())
	}
}
