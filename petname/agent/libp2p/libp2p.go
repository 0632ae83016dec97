// Package libp2p is the libp2p transport of an agent: a node of the DHT on a host
// of its own, and streams on which agents hand each other records directly. Pass it
// to [agent.Open]:
//
//	a, err := agent.Open(ctx, dir, agent.Options{Transport: libp2p.New(libp2p.Options{})})
package libp2p

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
)

// Options may be left zero: the agent dials others, and nothing listens.
type Options struct {
	// Listen is the multiaddrs, TCP and QUIC, on which an agent listens while it runs. For
	// port 0 it uses the port of the first start of this home again, if that is free.
	Listen []string

	Relays []string // multiaddrs that end in /p2p/ID, to be reached by on the public network; nil: any that are found

	// Timeout bounds one request to a peer of the DHT. 0: 2.5 s, of which dialling
	// may take 1 s; of another time two fifths.
	Timeout time.Duration
}

// New returns a transport. An address that cannot be used fails when the agent
// starts, with an [*agent.AddressError].
func New(o Options) agent.Transport {
	return &transport{listen: slices.Clone(o.Listen), relays: slices.Clone(o.Relays), timeout: o.Timeout}
}

type transport struct {
	relays      []string
	timeout     time.Duration
	unreachable unreachablePeers

	listen []string

	mu    sync.Mutex
	ports []agent.ListenPort // bound for the addresses with port 0 by the last node; nil: none yet
}

// Bootstrap returns the bootstrap peers of the public network.
func (t *transport) Bootstrap(network string) []string {
	if network == "ipfs" {
		return kad.PublicBootstrap()
	}
	return nil
}

// CheckPeer refuses addresses of other transports than TCP and QUIC v1.
func (t *transport) CheckPeer(addr string) error { return kad.CheckAddr(addr) }

// Start starts a node.
func (t *transport) Start(ctx context.Context, c agent.NodeConfig) (agent.Node, error) {
	k := kad.Config{Network: kad.LAN, Bootstrap: slices.Concat(c.Entry, c.Bootstrap), Known: c.Known, Discover: c.Discover, Logger: c.Log, Timeout: t.timeout, DialTimeout: t.timeout * 2 / 5,
		Reach: t.reach(c)}
	if c.Network == "ipfs" {
		k.Network = kad.IPFS
	}
	if c.Key == nil {
		n, err := kad.Start(ctx, k)
		if err != nil {
			return nil, err
		}
		return &node{n, &t.unreachable, nil}, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.check(c.Network); err != nil {
		return nil, err
	}
	k.Key, k.Server, k.File = c.Key, true, c.File
	if c.Network == "ipfs" {
		k.Relays = t.relays
	}
	kept := c.Ports
	if t.ports != nil { // others know this node by its addresses: the next network finds it under the same
		kept = t.ports
	}
	n, err := startListening(ctx, k, t.listen, kept)
	if err != nil {
		return nil, err
	}
	t.ports = boundPorts(t.listen, bound(t.listen, listenAddrs(n)))
	return &node{n, &t.unreachable, t.ports}, nil
}

// reach returns which addresses are dialled that others name: those of the kind of the
// network that the owner joined.
func (t *transport) reach(c agent.NodeConfig) kad.Reach {
	switch {
	case c.Network == "ipfs":
		return kad.ReachPublic
	case c.Discover:
		return kad.ReachHost
	case len(c.Bootstrap) > 0:
		return kad.ReachOf(c.Bootstrap)
	}
	reach := kad.ReachHost
	for _, l := range t.listen {
		switch of := kad.ReachOf([]string{l}); {
		case of == kad.ReachLAN, of == kad.ReachPublic && isUnspecified(l):
			return kad.ReachLAN // peers may come from any network
		case of == kad.ReachPublic:
			reach = of
		}
	}
	return reach
}

// isUnspecified reports whether a multiaddr to listen on is that of all addresses.
func isUnspecified(listen string) bool {
	m, err := multiaddr.NewMultiaddr(listen)
	return err == nil && manet.IsIPUnspecified(m)
}

func (t *transport) check(network string) error {
	for _, l := range t.listen {
		if err := kad.CheckListen(l); err != nil {
			return &agent.AddressError{Kind: "listen", Address: l, Reason: fmt.Sprintf("listen address %q: %v", l, err)}
		}
	}
	for _, r := range t.relays {
		m, err := multiaddr.NewMultiaddr(r)
		if err != nil {
			return &agent.AddressError{Kind: "relay", Address: r, Reason: fmt.Sprintf("relay address %q: %v", r, err)}
		}
		if _, err := m.ValueForProtocol(multiaddr.P_P2P); err != nil {
			return &agent.AddressError{Kind: "relay", Address: r, Reason: fmt.Sprintf("relay address %q doesn't end in /p2p/ and the relay's ID", r)}
		}
	}
	return nil
}

// node is a kad node, as an agent uses it.
type node struct {
	*kad.Node
	unreachable *unreachablePeers
	ports       []agent.ListenPort
}

var _ agent.Node = (*node)(nil)

// Ports returns the ports that were bound for the addresses with port 0.
func (n *node) Ports() []agent.ListenPort { return slices.Clone(n.ports) }

// Status returns what the node holds.
func (n *node) Status() agent.Holding {
	s := n.Node.Status()
	out := agent.Holding{Records: s.Held, Bytes: s.Bytes, Limit: s.Limit}
	for _, c := range s.CutOffs {
		out.CutOff = append(out.CutOff, agent.CutOff{Peer: c.Peer, Until: c.Until, Reason: c.Reason})
	}
	return out
}

// Serve lets other agents hand over records.
func (n *node) Serve(store dht.Store) { serveRecords(n.Host(), store) }

// Dial returns the store of another agent.
func (n *node) Dial(addresses [][]byte) dht.Store {
	return dialRecords(n.Host(), addresses, n.MayDial, n.unreachable)
}
