package agent_test

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/home"
)

// restarted closes an agent and opens its home again.
func restarted(t *testing.T, a *agent.Agent, o agent.Options) *agent.Agent {
	t.Helper()
	require.NoError(t, a.Close())
	if o.Transport == nil {
		o.Transport = loopback()
	}
	o.JoinTimeout = 2 * patient
	again, err := agent.Open(t.Context(), a.Dir(), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	return again
}

// A node that starts again has the addresses of before, so that who joined it finds it.
// If another program has a port, the node says so, listens on another one, and returns to
// the first when it is free.
func TestANodeKeepsItsPorts(t *testing.T) {
	listen := []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"}
	transport := func() agent.Transport { return libp2p.New(libp2p.Options{Timeout: patient, Listen: listen}) }
	a := openedWith(t, agent.Options{Transport: transport()})
	require.NoError(t, a.Start(t.Context()))
	first := addrs(t, a)
	require.Len(t, first, 3)
	a = restarted(t, a, agent.Options{Transport: transport()})
	require.NoError(t, a.Start(t.Context()))
	require.ElementsMatch(t, first, addrs(t, a))
	join(t, a, "off")
	require.ElementsMatch(t, first, addrs(t, a))
	require.NoError(t, a.Close())

	// Another program takes the TCP port, and the one of QUIC.
	taken, err := net.Listen("tcp4", hostPort(first[0]))
	require.NoError(t, err)
	var udp string
	for _, addr := range first {
		if strings.Contains(addr, "/udp/") {
			udp = addr
		}
	}
	quic, err := net.ListenPacket("udp4", hostPort(udp))
	require.NoError(t, err)
	var log syncBuffer
	a = restarted(t, a, agent.Options{Transport: transport(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, a.Start(t.Context()))
	second := addrs(t, a)
	require.Len(t, second, 3)
	same := 0
	for _, addr := range second {
		for _, before := range first {
			if addr == before {
				same++
			}
		}
	}
	require.Equal(t, 1, same)
	require.Equal(t, 2, strings.Count(log.String(), "in use by another program"), log.String())
	require.NoError(t, a.Close())

	require.NoError(t, taken.Close())
	require.NoError(t, quic.Close())
	a = restarted(t, a, agent.Options{Transport: transport()})
	require.NoError(t, a.Start(t.Context()))
	require.ElementsMatch(t, first, addrs(t, a))
}

// A damaged file of ports is replaced, with a warning.
func TestADamagedFileOfPortsIsReplaced(t *testing.T) {
	a := served(t, nil)
	require.NoError(t, a.Close())
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "ports.json"), []byte(`{"v":1,"ports":[{"listen":"/ip4/127.0.0.1/tcp/0","port":99999}]}`), 0o600))
	var log syncBuffer
	a = restarted(t, a, agent.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, a.Start(t.Context()))
	require.Contains(t, log.String(), "ports.json")
	require.Empty(t, agent.HomeOf(a).CheckFiles())
	first := addrs(t, a)
	a = restarted(t, a, agent.Options{})
	require.NoError(t, a.Start(t.Context()))
	require.Equal(t, first, addrs(t, a))
}

// hostPort returns the IP address and the port of a multiaddr.
func hostPort(addr string) string {
	parts := strings.Split(addr, "/")
	return net.JoinHostPort(parts[2], parts[4])
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// The peer that all joined by is gone for good. A home that used the network in the last
// days uses it by the peers that it met then: with a node, and for one call.
func TestANetworkOutlivesThePeerThatAllJoinedBy(t *testing.T) {
	hub := served(t, nil)
	entry := addrs(t, hub)
	ann, ben := served(t, entry), served(t, entry)
	_, err := ann.Publish(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	now := time.Now()
	clock := func() time.Time { return now }

	carl := openedWith(t, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient, Now: clock})
	join(t, carl, entry...)
	_, err = carl.Resolve(t.Context(), ann.Pointer().String(), dht.LevelFresh)
	require.NoError(t, err)
	ben = restarted(t, ben, agent.Options{})
	require.NoError(t, hub.Close())

	carl = restarted(t, carl, agent.Options{Now: clock})
	got, err := carl.Resolve(t.Context(), ann.Pointer().String(), dht.LevelFresh)
	require.NoError(t, err, "for one call")
	require.Equal(t, "/ipfs/bafkqaaa", got.Value)

	require.NoError(t, ben.Start(t.Context()))
	s, err := ben.Status()
	require.NoError(t, err)
	require.NotZero(t, s.Peers, "with a node")
	require.Empty(t, s.Problem)

	// Another network does not get the requests of this one.
	other := served(t, nil)
	require.NoError(t, agent.HomeOf(carl).SetConfig(home.Config{Network: "peers", Bootstrap: addrs(t, other)}))
	require.NoError(t, other.Close())
	carl = restarted(t, carl, agent.Options{Now: clock})
	_, err = carl.Resolve(t.Context(), ann.Pointer().String(), dht.LevelFresh)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.NoError(t, agent.HomeOf(carl).SetConfig(home.Config{Network: "peers", Bootstrap: entry}))

	// Nor are peers of long ago asked.
	now = now.Add(7*24*time.Hour + time.Minute)
	carl = restarted(t, carl, agent.Options{Now: clock})
	_, err = carl.Resolve(t.Context(), ann.Pointer().String(), dht.LevelFresh)
	require.ErrorIs(t, err, dht.ErrUnreachable)
}
