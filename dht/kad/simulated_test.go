package kad

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// simulated is a network of packets in memory. Each packet takes 5 ms of the
// virtual time of a synctest bubble. Without a bubble, the walks' deadlines are
// in real time, and peers on a busy machine can appear dead.
type simulated struct {
	net *simnet.Simnet

	mu   sync.Mutex
	last int // number of the last host
}

var simulations sync.Map // *testing.T of a bubble → *simulated

// simulate runs a test in a bubble with a simulated network: startNode,
// startHost and the functions that use them create their hosts there.
func simulate(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{net: &simnet.Simnet{
			LatencyFunc: simnet.StaticLatency(5 * time.Millisecond), Logger: slog.New(slog.DiscardHandler),
		}}
		s.net.Start()
		simulations.Store(t, s)
		t.Cleanup(func() { // runs after the cleanup of the nodes and hosts
			time.Sleep(time.Minute) // pending timers end
			simulations.Delete(t)
			s.net.Close()
		})
		test(t)
	})
}

// simulationOf returns the network of a test's bubble; nil if the test has none.
func simulationOf(t testing.TB) *simulated {
	s, _ := simulations.Load(t)
	sim, _ := s.(*simulated)
	return sim
}

// addr returns an address that no other host has.
func (s *simulated) addr() ma.Multiaddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return ma.StringCast(fmt.Sprintf("/ip4/10.0.%d.%d/udp/4001/quic-v1", s.last/250, s.last%250+1))
}

// options are the options of one more host of the network.
func (s *simulated) options() []libp2p.Option {
	return []libp2p.Option{libp2p.ListenAddrs(s.addr()), simlibp2p.QUICSimnet(s.net, link())}
}

// connect plans a node's host as one more host of the network.
func (s *simulated) connect(plan *hostPlan) {
	addr := s.addr()
	plan.ListenAddrs = []ma.Multiaddr{addr}
	plan.QUICReuse = []quicreuse.Option{
		quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return from{addr}, nil }),
		quicreuse.OverrideListenUDP(func(_ string, address *net.UDPAddr) (net.PacketConn, error) {
			return s.net.NewEndpoint(address, link()), nil
		}),
	}
}

func link() simnet.NodeBiDiLinkSettings {
	one := simnet.LinkSettings{BitsPerSecond: 100 * simlibp2p.OneMbps}
	return simnet.NodeBiDiLinkSettings{Downlink: one, Uplink: one}
}

// from selects the address of a simulated host as the source of its packets.
type from struct{ addr ma.Multiaddr }

func (f from) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return manet.ToIP(f.addr)
}
