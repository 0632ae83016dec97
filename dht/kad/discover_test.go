package kad

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// Announcements are not trusted: invalid addresses are ignored, and a flood of
// announcements causes a bounded number of dials.
func TestHostileAnnouncementsAreBounded(t *testing.T) {
	id := "12D3KooWCLgnRGMct224q5qXf5AHVgwEhycGmWh7bP63PNowVP4n"
	for name, texts := range map[string][]string{
		"nothing": nil, "empty": {""}, "no prefix": {"/ip4/127.0.0.1/tcp/1/p2p/" + id}, "bare prefix": {"dnsaddr="},
		"no address": {"dnsaddr=\x00\xff"}, "no peer": {"dnsaddr=/ip4/127.0.0.1/tcp/1"},
	} {
		require.Empty(t, announced(texts), name)
	}
	infos := announced([]string{"junk", "dnsaddr=/ip4/127.0.0.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/127.0.0.1/tcp/2/p2p/" + id})
	require.Len(t, infos, 1)
	require.Len(t, infos[0].Addrs, 2)

	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		d := &discovery{node: n, found: make(chan struct{}), slots: make(chan struct{}, maxFound)}
		dialled := func(info peer.AddrInfo) bool {
			d.HandlePeerFound(info)
			require.NoError(t, n.Wait(t.Context()))
			return len(n.host.Peerstore().Addrs(info.ID)) > 0
		}
		for range maxFound { // the maximum number of dials is in progress
			d.slots <- struct{}{}
		}
		require.False(t, dialled(infos[0]), "above the bound")
		<-d.slots
		d.HandlePeerFound(peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()})
		require.Len(t, d.slots, maxFound-1, "the node does not dial itself")
		require.True(t, dialled(infos[0]), "one of them has ended")
		require.Len(t, d.slots, maxFound-1)

		// Of many peers found at once, the node dials some and ignores the
		// others.
		for range maxFound - 1 {
			<-d.slots
		}
		began := time.Now()
		var flood []peer.AddrInfo
		for range 3 * maxFound {
			flood = append(flood, peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{silentAddr(t)}})
			d.HandlePeerFound(flood[len(flood)-1])
		}
		require.NoError(t, n.Wait(t.Context()))
		tried := 0
		for _, info := range flood {
			if len(n.host.Peerstore().Addrs(info.ID)) > 0 {
				tried++
			}
		}
		require.Equal(t, maxFound, tried)
		require.GreaterOrEqual(t, time.Since(began), retryAfter, "each is tried once more")
		select {
		case <-d.found:
			t.Fatal("no peer was found")
		default:
		}
		server := startServers(t, 1)[0]
		require.True(t, dialled(peer.AddrInfo{ID: server.host.ID(), Addrs: server.host.Addrs()}))
		<-d.found
		require.Equal(t, 1, n.Peers())
	})
}
