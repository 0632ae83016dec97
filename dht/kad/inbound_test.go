package kad

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// idleConn is a connection of a peer.
type idleConn struct {
	network.Conn
	peer   peer.ID
	remote string
	dir    network.Direction
	closed func()
}

func (c *idleConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.dir}}
}
func (c *idleConn) RemotePeer() peer.ID           { return c.peer }
func (c *idleConn) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(c.remote) }
func (c *idleConn) Close() error                  { c.closed(); return nil }

// Attack: as many connections as a server has, of many identities, at one address or at several,
// that do nothing. A new peer is connected, and its connection stays while the attacker opens
// others; those that the server opened are not counted.
func TestIdleConnectionsExcludeNoPeer(t *testing.T) { synctest.Test(t, testIdleConnections) }

func testIdleConnections(t *testing.T) {
	for _, remote := range []func(i int) string{
		func(int) string { return "/ip4/127.0.0.1/tcp/1" },
		func(i int) string { return fmt.Sprintf("/ip4/8.8.%d.8/tcp/1", i%40) },
	} {
		const most = 32
		b := newInbound(most)
		var mu sync.Mutex
		closed := map[string]bool{}
		connect := func(name, remote string, dir network.Direction) {
			c := &idleConn{peer: peer.ID(name), remote: remote, dir: dir}
			c.closed = func() {
				mu.Lock()
				closed[name] = true
				mu.Unlock()
				b.disconnected(c)
			}
			b.connected(c)
			synctest.Wait()
		}
		for i := range 3 * most {
			connect(fmt.Sprint("idle", i), remote(i), network.DirInbound)
		}
		require.Equal(t, most, b.slots.Len())
		connect("own", "/ip4/9.9.9.9/tcp/1", network.DirOutbound)
		connect("honest", "/ip4/9.9.9.9/tcp/1", network.DirInbound)
		for i := range most / 2 {
			connect(fmt.Sprint("more", i), remote(i), network.DirInbound)
		}
		require.False(t, closed["honest"] || closed["own"])
		require.Len(t, closed, 2*most+1+most/2)
		require.Len(t, b.open, most)
		require.Equal(t, most, b.slots.Len())
	}
}
