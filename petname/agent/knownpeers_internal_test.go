package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

func newPeerAddrs(t *testing.T, n int) (all [][]string) {
	for i := range n {
		key, err := pointer.NewKey(nil)
		require.NoError(t, err)
		all = append(all, []string{fmt.Sprintf("/ip4/10.0.0.1/tcp/%d/p2p/%s", i+1, key.Pointer())})
	}
	return all
}

// Attack: one peer fills the routing table with others of its own, again and again. The peers
// that answered for days stay, as long as they answered in the last days.
func TestManyNewPeersDoNotPushOutThoseOfDays(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	good := newPeerAddrs(t, 10)
	var kept []home.KnownPeer
	for range 3 {
		var changed bool
		kept, changed = mergePeers(kept, good, now)
		require.True(t, changed)
		now = now.Add(24 * time.Hour)
	}
	for range 20 {
		kept, _ = mergePeers(kept, newPeerAddrs(t, 64), now)
		require.Len(t, kept, maxRemembered)
		now = now.Add(6 * time.Hour)
	}
	ids := map[string]int{}
	for _, p := range kept {
		ids[p.ID()] = p.Days
	}
	for _, g := range good {
		require.Equal(t, 3, ids[home.KnownPeer{Addrs: g}.ID()])
	}
	require.Equal(t, 3, kept[0].Days, "the best first")
}

// A peer that answers now and then is written rarely, and at once at another address.
func TestWhatIsWorthAWrite(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	good := newPeerAddrs(t, maxRemembered+1)
	kept, changed := mergePeers(nil, good[:1], now)
	require.True(t, changed)
	_, changed = mergePeers(kept, good[:1], now.Add(59*time.Minute))
	require.False(t, changed)
	_, changed = mergePeers(kept, good[:2], now)
	require.True(t, changed, "a new peer")
	_, changed = mergePeers(kept, good[:1], now.Add(time.Hour))
	require.True(t, changed)
	_, changed = mergePeers(kept, [][]string{{"/ip4/10.9.9.9/tcp/1/p2p/" + kept[0].ID()}}, now)
	require.True(t, changed)
	full, _ := mergePeers(nil, good[:maxRemembered], now)
	_, changed = mergePeers(full, good, now)
	require.False(t, changed, "no room")
	for range 100 {
		now = now.Add(24 * time.Hour)
		kept, _ = mergePeers(kept, good[:1], now)
	}
	require.Equal(t, maxDays, kept[0].Days)
}

// Peers are of one network: that of the named peers, at whatever addresses.
func TestNetworkTag(t *testing.T) {
	ids := newPeerAddrs(t, 2)
	a, b := ids[0][0], ids[1][0]
	tag := networkTag(home.Config{Network: "peers", Bootstrap: []string{a, b}})
	require.NotEmpty(t, tag)
	moved := "/ip4/192.0.2.1/udp/9/quic-v1/p2p/" + home.KnownPeer{Addrs: []string{a}}.ID()
	require.Equal(t, tag, networkTag(home.Config{Network: "peers", Bootstrap: []string{b, moved, b}}))
	require.NotEqual(t, tag, networkTag(home.Config{Network: "peers", Bootstrap: []string{a}}))
	require.NotEqual(t, tag, networkTag(home.Config{Network: "lan", Bootstrap: []string{a, b}}))
	require.Equal(t, "ipfs", networkTag(home.Config{Network: "ipfs", Bootstrap: []string{a}}))
	require.Empty(t, networkTag(home.Config{Network: "off"}))
	require.Empty(t, networkTag(home.Config{Network: "lan"}), "its peers announce themselves")
}
