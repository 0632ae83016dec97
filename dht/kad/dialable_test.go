package kad

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
)

// An address counts as what it leads to: an IPv6 address that contains an IPv4
// address as that one.
func TestAddressesCountAsWhatTheyContain(t *testing.T) {
	for text, want := range map[string]Reach{
		"8.8.8.8": ReachPublic, "2a00:1450:4001::1": ReachPublic, "100.128.0.1": ReachPublic, "172.32.0.1": ReachPublic,
		"10.0.0.1": ReachLAN, "172.16.0.1": ReachLAN, "192.168.1.1": ReachLAN, "169.254.169.254": ReachLAN, "100.64.0.1": ReachLAN,
		"198.18.0.1": ReachLAN, "192.0.2.1": ReachLAN, "203.0.113.9": ReachLAN, "192.0.0.1": ReachLAN,
		"fe80::1": ReachLAN, "fd00::1": ReachLAN, "fec0::1": ReachLAN, "2001:db8::1": ReachLAN, "4000::1": ReachLAN, "2001:2::1": ReachLAN,
		"127.0.0.1": ReachHost, "127.255.255.254": ReachHost, "::1": ReachHost,
		"0.0.0.0": reachNone, "0.1.2.3": reachNone, "::": reachNone, "224.0.0.1": reachNone, "255.255.255.255": reachNone, "240.0.0.1": reachNone,
		"ff02::1": reachNone, "ff0e::1": reachNone, "100::1": reachNone,

		"::ffff:8.8.8.8": ReachPublic, "::ffff:127.0.0.1": ReachHost, "::ffff:10.0.0.1": ReachLAN, "::ffff:0.0.0.0": reachNone, // mapped
		"::127.0.0.1": ReachHost, "::192.168.1.1": ReachLAN, "::ffff:0:127.0.0.1": ReachHost, // compatible, translated
		"64:ff9b::8.8.8.8": ReachPublic, "64:ff9b::127.0.0.1": ReachHost, "64:ff9b::10.0.0.1": ReachLAN, // NAT64
		"64:ff9b:1::127.0.0.1": ReachHost, "64:ff9b:1:2:3:4:10.0.0.1": ReachLAN,
		"2002:7f00:1::1": ReachHost, "2002:a00:1::1": ReachLAN, "2002:808:808::1": ReachPublic, // 6to4
		"2001:0:808:808::80ff:fffe": ReachHost, "2001:0:808:808::f5ff:fffe": ReachLAN, // Teredo
		"2a00::5efe:127.0.0.1": ReachHost, "2a00::200:5efe:10.0.0.1": ReachLAN, // ISATAP
	} {
		require.Equal(t, want, reachOfIP(netip.MustParseAddr(text)), text)
		a := ma.StringCast("/ip6/" + text + "/tcp/1")
		if strings.Contains(text, ":") {
			for _, reach := range []Reach{ReachHost, ReachLAN, ReachPublic} {
				if want < reach || want == reachNone {
					require.False(t, dialable(a, reach), text)
				}
			}
		}
	}
	for _, bad := range []string{
		"/dns/localhost/tcp/1", "/dns4/x.test/tcp/1", "/dns6/x.test/tcp/1", "/dnsaddr/x.test", "/unix/x", "/tcp/1", "/ip4/8.8.8.8/tcp/1/ip4/127.0.0.1/tcp/1",
		"/ip4/8.8.8.8/tcp/1/dns4/x.test/tcp/2", "/ip4/8.8.8.8/tcp/1/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k/p2p-circuit/ip4/127.0.0.1/tcp/1",
		"/ip6zone/lo/ip6/::1/tcp/1/ip6zone/x",
	} {
		require.False(t, dialable(ma.StringCast(bad), ReachHost), bad)
	}
	require.True(t, dialable(ma.StringCast("/ip6zone/eth0/ip6/fe80::1/tcp/1"), ReachLAN))
	require.False(t, dialable(ma.StringCast("/ip6zone/eth0/ip6/fe80::1/tcp/1"), ReachPublic))
	relay := "/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k/p2p-circuit"
	require.True(t, dialableByRelay(ma.StringCast("/ip4/8.8.8.8/tcp/1"+relay), ReachPublic))
	require.False(t, dialableByRelay(ma.StringCast("/ip4/127.0.0.1/tcp/1"+relay), ReachPublic), "the relay itself")
	require.False(t, dialableByRelay(ma.StringCast("/ip4/8.8.8.8/tcp/1"+relay+"/ip4/127.0.0.1/tcp/1"), ReachPublic))
}

// The kind of a network is that of the addresses by which it is entered.
func TestReachOf(t *testing.T) {
	id := "/p2p/12D3KooWEgWnNwZpmMuwNZjirGhx5ujwiqzmyXNakoi81oGKX35k"
	for want, all := range map[Reach][]string{
		ReachHost:   {"/ip4/8.8.8.8/tcp/1" + id, "/ip4/127.0.0.1/tcp/1" + id},
		ReachLAN:    {"/ip4/8.8.8.8/tcp/1" + id, "/ip4/192.168.1.2/tcp/1" + id},
		ReachPublic: {"/ip4/8.8.8.8/tcp/1" + id, "/dns4/hub.test/tcp/1" + id, "none", "/ip4/0.0.0.0/tcp/1"},
	} {
		require.Equal(t, want, ReachOf(all), all)
	}
	require.Equal(t, ReachPublic, ReachOf(nil))
}

// resolverOf is a resolver with some names, that records what it is asked.
type resolverOf struct {
	names map[string]string // multiaddr → multiaddr
	mu    sync.Mutex
	asked []string
}

func (r *resolverOf) resolve(a ma.Multiaddr) ([]ma.Multiaddr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, a.String())
	for from, to := range r.names {
		if rest, ok := strings.CutPrefix(a.String(), from); ok {
			return []ma.Multiaddr{ma.StringCast(to + rest)}, nil
		}
	}
	return nil, nil
}

func (r *resolverOf) ResolveDNSAddr(_ context.Context, _ peer.ID, a ma.Multiaddr, _, _ int) ([]ma.Multiaddr, error) {
	return r.resolve(a)
}

func (r *resolverOf) ResolveDNSComponent(_ context.Context, a ma.Multiaddr, _ int) ([]ma.Multiaddr, error) {
	return r.resolve(a)
}

// accepting counts the connections to an address of the loopback interface.
func accepting(t testing.TB) (addr ma.Multiaddr, accepted func() int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	n := 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	_, port, err := net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return ma.StringCast("/ip4/127.0.0.1/tcp/" + port), func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// Names that others bring into the peerstore are not resolved, and addresses outside of
// the reach are not dialled, by the node and by its throw-away clients.
func TestAddressesOfOthersAreFilteredAtTheHost(t *testing.T) {
	addr, accepted := accepting(t)
	port, err := addr.ValueForProtocol(ma.P_TCP)
	require.NoError(t, err)
	for name, c := range map[string]Config{
		"client": {Reach: ReachPublic}, "server": {Reach: ReachLAN, Server: true, Listen: loopback}, "of IPFS": {Network: IPFS},
		"server of IPFS": {Network: IPFS, Server: true, Listen: loopback},
	} {
		names := &resolverOf{names: map[string]string{"/dns4/evil.test": "/ip4/127.0.0.1", "/dnsaddr/evil.test": addr.String()}}
		c.adjustHost = func(p *hostPlan) { p.Resolver = names }
		n := startNode(t, c)
		throwAway, err := n.UnlinkableClient(t.Context())
		require.NoError(t, err)
		for _, h := range []*Node{n, throwAway.(*throwAwayHost).client} {
			for _, a := range []string{
				"/dns4/evil.test/tcp/" + port, "/dnsaddr/evil.test", addr.String(), "/ip6/::ffff:127.0.0.1/tcp/" + port, "/ip6/64:ff9b::7f00:1/tcp/" + port,
			} {
				err := h.host.Connect(within(t, 10*time.Second), peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{ma.StringCast(a)}})
				require.Error(t, err, "%s %s", name, a)
			}
		}
		require.NoError(t, throwAway.Close())
		require.Empty(t, names.asked, name)
		require.Zero(t, accepted(), name)
	}
	n := startNode(t, Config{})
	_ = n.host.Connect(within(t, 10*time.Second), peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{addr}})
	require.Equal(t, 1, accepted(), "which the test would have seen")
}

// A name that the owner gave is resolved, with the names that it leads to. The network
// is then of the kind of the address.
func TestNamesOfTheOwnerAreResolved(t *testing.T) {
	hub := startNode(t, Config{Listen: loopback, Server: true})
	addr, id, _ := strings.Cut(hub.Addrs()[0], "/p2p/")
	rest := strings.TrimPrefix(addr, "/ip4/127.0.0.1")
	names := &resolverOf{names: map[string]string{"/dnsaddr/Hub.test": "/dns4/other.test" + rest, "/dns4/other.test": "/ip4/127.0.0.1"}}
	n := startNode(t, Config{Reach: ReachPublic, Bootstrap: []string{"/dnsaddr/Hub.test/p2p/" + id}, adjustHost: func(p *hostPlan) { p.Resolver = names }})
	require.NoError(t, n.JoinError())
	require.Equal(t, network.Connected, n.host.Network().Connectedness(hub.host.ID()))
	require.Contains(t, names.asked, "/dns4/other.test"+rest)
	asked := len(names.asked)
	require.Equal(t, ReachHost, n.reach())
	require.NoError(t, n.host.Network().ClosePeer(hub.host.ID()))

	p := randomPeer(t)
	n.host.Peerstore().AddAddrs(p, []ma.Multiaddr{ma.StringCast("/dns4/evil.test/tcp/1")}, peerstore.TempAddrTTL)
	_, err := n.host.Network().DialPeer(within(t, 10*time.Second), p)
	require.Error(t, err)
	require.Len(t, names.asked, asked)

	public := startNode(t, Config{Reach: ReachPublic, Bootstrap: hub.Addrs()})
	require.NoError(t, public.JoinError(), "an address of the owner is dialled")
	require.Equal(t, ReachPublic, public.reach())
}

// What is announced on a local network is the word of others as well.
func TestAnnouncedNamesAreNotResolved(t *testing.T) {
	names := &resolverOf{}
	n := startNode(t, Config{adjustHost: func(p *hostPlan) { p.Resolver = names }})
	d := &discovery{node: n, found: make(chan struct{}), slots: make(chan struct{}, maxFound)}
	for _, info := range announced([]string{"dnsaddr=/dns4/evil.test/tcp/1/p2p/" + randomPeer(t).String(), "dnsaddr=/dnsaddr/evil.test/p2p/" + randomPeer(t).String()}) {
		d.HandlePeerFound(info)
	}
	require.Empty(t, d.slots)
	require.NoError(t, n.Wait(within(t, 10*time.Second)))
	require.Empty(t, names.asked)
}

// Addresses of transports that are not linked are refused by their transport, before any
// is dialled; those that nodes listen at are not.
func TestCheckAddr(t *testing.T) {
	const id = "/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	for _, good := range append(PublicBootstrap(), "/ip4/127.0.0.1/tcp/1"+id, "/ip6/::1/udp/1/quic-v1"+id, "/ip6zone/eth0/ip6/fe80::1/tcp/1"+id,
		"/dns/a.example/tcp/1"+id, "/dns4/a.example/udp/1/quic-v1", "/dnsaddr/a.example"+id, "/ip4/1.2.3.4/tcp/1"+id+"/p2p-circuit"+id) {
		require.NoError(t, CheckAddr(good), good)
	}
	for bad, named := range map[string]string{
		"/ip4/127.0.0.1/tcp/1/ws" + id: "not ws", "/dns4/a.example/tcp/443/tls/ws" + id: "not tls", "/dns4/a.example/tcp/443/wss" + id: "not wss",
		"/ip4/127.0.0.1/udp/1/quic-v1/webtransport" + id: "not webtransport", "/ip4/127.0.0.1/udp/1/quic" + id: "not quic",
		"/ip4/127.0.0.1/udp/1/webrtc-direct" + id: "not webrtc-direct", "/ip4/127.0.0.1/udp/1" + id: "has neither", id: "has neither", "/ip4/127.0.0.1" + id: "has neither",
		"/unix/tmp/x": "has neither", "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234" + id: "has neither",
		"/ip6zone/eth0/ip6/fe80::1/tcp/1/ws" + id: "not ws", "/ip6zone/eth0": "has neither", "x": "",
		"/ip4/1.2.3.4/tcp/1" + id + "/p2p-circuit": "must end in /p2p/", "/ip4/1.2.3.4/tcp/1" + id + "/ip4/1.2.3.4/tcp/1": "must end in /p2p/",
		"/p2p-circuit" + id: "before /p2p-circuit", "/ip4/1.2.3.4/tcp/1/p2p-circuit" + id: "relay's ID is missing",
		"/ip4/1.2.3.4/tcp/1" + id + "/p2p-circuit/ip4/1.2.3.4/tcp/1" + id: "before /p2p-circuit", id + "/p2p-circuit" + id: "has neither",
		"/ip4/1.2.3.4/tcp/1/ws" + id + "/p2p-circuit" + id: "not ws", "/dnsaddr/a.example" + id + "/p2p-circuit": "must end in /p2p/",
	} {
		require.ErrorContains(t, CheckAddr(bad), named, bad)
	}
	for _, n := range startServers(t, 2) {
		for _, a := range n.Addrs() {
			require.NoError(t, CheckAddr(a))
		}
	}
}

// A node listens at IP addresses with TCP or QUIC v1.
func TestCheckListen(t *testing.T) {
	for _, good := range []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::/udp/0/quic-v1", "/ip6zone/eth0/ip6/fe80::1/tcp/1"} {
		require.NoError(t, CheckListen(good), good)
	}
	for bad, named := range map[string]string{"/ip4/127.0.0.1/tcp/0/ws": "not ws", "/ip4/127.0.0.1/udp/0/quic-v1/webtransport": "not webtransport",
		"/ip4/127.0.0.1/udp/0": "has neither", "/dns4/a.example/tcp/1": "has neither", "/p2p-circuit": "has neither", "127.0.0.1:1": "must begin with /"} {
		require.ErrorContains(t, CheckListen(bad), named, bad)
	}
}
