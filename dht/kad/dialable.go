package kad

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Reach is the kind of network to which addresses lead that a node dials because
// others named them. A smaller Reach includes the larger ones.
type Reach int

const (
	ReachHost   Reach = iota // any address, also of the loopback interface
	ReachLAN                 // private and link-local addresses, and public ones
	ReachPublic              // public addresses only
	reachNone                // addresses that are not dialled: unspecified, multicast
)

// ReachOf returns the smallest Reach of multiaddrs: the kind of a network that is
// entered by them. Addresses with names, and others that cannot be classified,
// count as public.
func ReachOf(addrs []string) Reach {
	reach := ReachPublic
	for _, s := range addrs {
		if a, err := ma.NewMultiaddr(s); err == nil {
			reach = min(reach, reachOf(a))
		}
	}
	return reach
}

// CheckAddr returns nil if a node can use the multiaddr of a peer, and else an error that
// states why: a /p2p/ID ends it, and it names a transport that nodes have, TCP and QUIC v1,
// or a relay at an address of one. An address without an ID passes. It resolves no names.
func CheckAddr(addr string) error {
	a, err := ma.NewMultiaddr(addr)
	if err != nil {
		return err
	}
	of := func(code int) int { return slices.IndexFunc(a, func(c ma.Component) bool { return c.Code() == code }) }
	relay := of(ma.P_CIRCUIT)
	if of(ma.P_P2P) >= 0 || relay >= 0 {
		if _, err := peer.AddrInfoFromP2pAddr(a); err != nil {
			return errors.New("it must end in /p2p/ and a peer ID")
		}
	}
	switch {
	case relay >= 0 && (relay+2 != len(a) || relay == 0 || a[relay+1].Code() != ma.P_P2P):
		return errors.New("the address of a relay stands before /p2p-circuit, and the peer's ID alone after it")
	case relay >= 0 && a[relay-1].Code() != ma.P_P2P:
		return errors.New("the relay's ID is missing before /p2p-circuit: /p2p/ and the ID")
	case relay >= 0:
		a = a[:relay]
	}
	if a[0].Code() == ma.P_DNSADDR {
		return nil
	}
	return checkTransport(a, ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6)
}

// CheckListen returns nil if nodes have the transport of a multiaddr to listen at, and else
// an error that names it.
func CheckListen(addr string) error {
	a, err := ma.NewMultiaddr(addr)
	if err != nil {
		return err
	}
	return checkTransport(a, ma.P_IP4, ma.P_IP6)
}

// checkTransport returns nil for a multiaddr of one of the kinds of host, a transport that
// nodes have and, if there is one, a peer ID.
func checkTransport(a ma.Multiaddr, hosts ...int) error {
	var protocols []int
	for _, c := range a {
		protocols = append(protocols, c.Code())
	}
	if protocols[0] == ma.P_IP6ZONE {
		protocols, a = protocols[1:], a[1:]
	}
	if len(protocols) > 1 && protocols[len(protocols)-1] == ma.P_P2P {
		protocols = protocols[:len(protocols)-1]
	}
	if len(protocols) > 0 && slices.Contains(hosts, protocols[0]) {
		rest := protocols[1:]
		if slices.Equal(rest, []int{ma.P_TCP}) || slices.Equal(rest, []int{ma.P_UDP, ma.P_QUIC_V1}) {
			return nil
		}
	}
	for i, p := range protocols {
		if i > 0 && p != ma.P_TCP && p != ma.P_UDP && p != ma.P_QUIC_V1 && p != ma.P_P2P {
			return fmt.Errorf("nodes use TCP and QUIC v1 (/tcp/PORT, /udp/PORT/quic-v1), not %s", a[i].Protocol().Name)
		}
	}
	return errors.New("nodes use TCP and QUIC v1 (/tcp/PORT, /udp/PORT/quic-v1): the address has neither")
}

// dialable reports whether an address that a peer named may be dialled within a
// Reach: it begins with an IP address of it, and contains no name to resolve, no
// relay, and no further address.
func dialable(a ma.Multiaddr, reach Reach) bool {
	for i, c := range a {
		switch c.Code() {
		case ma.P_IP4, ma.P_IP6:
			if i > 1 || i == 1 && a[0].Code() != ma.P_IP6ZONE {
				return false
			}
		case ma.P_IP6ZONE:
			if i > 0 {
				return false
			}
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR, ma.P_CIRCUIT, ma.P_UNIX, ma.P_IPCIDR:
			return false
		}
	}
	got := reachOf(a)
	if got == ReachPublic && !manet.IsPublicAddr(a) { // the rules of libp2p for the public network
		got = ReachLAN
	}
	return got >= reach && got < reachNone
}

// dialableByRelay is dialable for an address that may lead through a relay, which
// has to be dialable itself.
func dialableByRelay(a ma.Multiaddr, reach Reach) bool {
	i := slices.IndexFunc(a, func(c ma.Component) bool { return c.Code() == ma.P_CIRCUIT })
	if i < 0 {
		return dialable(a, reach)
	}
	return dialable(a[:i], reach) && !slices.ContainsFunc(a[i+1:], func(c ma.Component) bool { return c.Code() != ma.P_P2P })
}

// reachOf returns the Reach of the first IP address of a multiaddr, and reachNone
// if there is none.
func reachOf(a ma.Multiaddr) Reach {
	ip, err := manet.ToIP(a)
	if err != nil {
		return reachNone
	}
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return reachNone
	}
	return reachOfIP(addr)
}

// reachOfIP classifies an IP address. An IPv6 address that contains an IPv4 address
// counts as that one, because a translator or a tunnel leads to it.
func reachOfIP(ip netip.Addr) Reach {
	ip = embedded(ip.WithZone("").Unmap())
	switch {
	case !ip.IsValid(), ip.IsUnspecified(), ip.IsMulticast(), isAny(ip, neverDialled):
		return reachNone
	case ip.IsLoopback():
		return ReachHost
	case ip.IsPrivate(), ip.IsLinkLocalUnicast(), isAny(ip, notPublic), ip.Is6() && !globalUnicast.Contains(ip):
		return ReachLAN
	}
	return ReachPublic
}

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	// neverDialled are blocks with no host of any network.
	neverDialled = prefixes("0.0.0.0/8", "240.0.0.0/4", "100::/64")
	// notPublic are blocks of the IANA special-purpose registries that do not lead to
	// public hosts, besides those that package netip knows.
	notPublic = prefixes("100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"2001::/23", "2001:db8::/32", "3fff::/20")
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, t := range texts {
		all = append(all, netip.MustParsePrefix(t))
	}
	return all
}

func isAny(ip netip.Addr, of []netip.Prefix) bool {
	return slices.ContainsFunc(of, func(p netip.Prefix) bool { return p.Contains(ip) })
}

// embedded returns the IPv4 address that an IPv6 address contains, or ip if it
// contains none: IPv4-compatible (RFC 4291), IPv4-translated (RFC 7915), NAT64 (RFC
// 6052 and 8215), 6to4 (RFC 3056), Teredo (RFC 4380), ISATAP (RFC 5214).
func embedded(ip netip.Addr) netip.Addr {
	if !ip.Is6() || ip == netip.IPv6Unspecified() || ip == netip.IPv6Loopback() {
		return ip
	}
	b := ip.As16()
	last := netip.AddrFrom4([4]byte(b[12:]))
	switch head := binary.BigEndian.Uint64(b[:8]); {
	case head == 0: // ::a.b.c.d, ::ffff:0:a.b.c.d
		return last
	case head == 0x0064ff9b_00000000 && binary.BigEndian.Uint32(b[8:]) == 0, head>>16 == 0x0064ff9b_0001:
		return last
	case head>>48 == 0x2002:
		return netip.AddrFrom4([4]byte(b[2:6]))
	case head>>32 == 0x20010000:
		return netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})
	case binary.BigEndian.Uint32(b[8:])&^0x02000000 == 0x00005efe:
		return last
	}
	return ip
}
