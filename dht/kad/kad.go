// Package kad runs a node of the libp2p Kademlia DHT. The node is a [dht.Store]
// of untrusted peers.
//
// Start a node with [Start], store a record with [Node.Put], and look one up
// with a [dht.Resolver] or with [Node.Get]:
//
//	node, err := kad.Start(ctx, kad.Config{
//		Bootstrap: []string{"/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"},
//	})
//	defer node.Close()
//	receipt, err := node.Put(ctx, record.Pointer(), record.Bytes())
//
// The node is an unmodified go-libp2p-kad-dht: its routing table, its handlers,
// and its validation of the records that peers store. Only Put and Get use
// walks of this package, over the same messages, because kad-dht's PutValue
// returns nil when every put failed, and waits 5 s for each silent peer. Any
// node of the same protocol, such as Kubo's, can be a peer.
//
// Look-ups and puts are not private: peers see which pointer is requested or
// published, and from which address.
//
// Sources: Maymounkov and Mazières, "Kademlia" (2002); libp2p's kad-dht
// specification; the IPNS specification for the routing key, which is "/ipns/"
// and the multihash.
package kad

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/ipns"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/amino"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// Network is the network to which a node belongs.
type Network string

const (
	// LAN is a network of private peers or a local network, over
	// /ipfs/lan/kad/1.0.0. Peers may have any IP address, within Config.Reach.
	// Addresses that need DNS or a relay are ignored.
	LAN Network = "lan"
	// IPFS is the public Amino DHT, over /ipfs/kad/1.0.0. Peers without a public
	// address are ignored, as the rules of that network require.
	IPFS Network = "ipfs"
)

// Config is the configuration of a node. The zero value is a client of a LAN
// without bootstrap peers.
type Config struct {
	Key         crypto.Signer    // the peer key, Ed25519; nil: a throw-away key
	Listen      []string         // multiaddrs, TCP and QUIC; nil: dial only
	Server      bool             // serve requests and store records; on IPFS only while peers can reach the node
	Bootstrap   []string         // multiaddrs that end in /p2p/…; nil: none. For IPFS see PublicBootstrap
	Known       []string         // multiaddrs that end in /p2p/…, of peers that answered earlier, for when no bootstrap peer does; dialled within Reach
	Network     Network          // "": LAN
	Discover    bool             // find peers by multicast DNS; a node that listens also announces itself
	Protocol    string           // replaces the network's protocol, for example "/ours/kad/1.0.0"
	Relays      []string         // multiaddrs that end in /p2p/…, for an unreachable server; nil: any found
	File        string           // records and peers of a server; one node at a time. "": memory only
	DialTimeout time.Duration    // of one peer; 0: 2/5 of Timeout
	Timeout     time.Duration    // of one request, including the dial; 0: 2.5 s
	Now         func() time.Time // the clock by which records expire; nil: time.Now
	Reach       Reach            // which addresses that others name are dialled; on IPFS always ReachPublic
	Logger      *slog.Logger     // nil: nothing is logged

	// Host is the host to use; nil: the node creates one. The caller closes it, after
	// the node, which serves nothing on it from then on.
	// The node then ignores Key, Listen and File, and does not change the dial timeouts
	// with which the host was created.
	Host host.Host

	// adjustHost changes the plan of each host that the node creates. Tests use
	// it to connect hosts to a simulated network.
	adjustHost func(*hostPlan)
}

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	host         host.Host
	externalHost bool // the caller closes the host
	dht          *kaddht.IpfsDHT
	local        *records.ValueStore // records that peers or this node stored; nil for clients
	store        *boundedStore       // the datastore of local
	limiter      *limiter
	persistence  *persistence // nil: nothing is written to disk
	protocol     protocol.ID
	network      Network
	server       bool
	dialTimeout  time.Duration
	timeout      time.Duration   // of one request
	adjustHost   func(*hostPlan) // from Config.adjustHost
	bootstrap    []peer.AddrInfo // from Config.Bootstrap
	known        []peer.AddrInfo // from Config.Known, without the bootstrap peers
	staticRelays []peer.AddrInfo // from Config.Relays
	dials        *dialPolicy
	hops         nextHops
	handshakes   handshakes
	now          func() time.Time
	log          *slog.Logger

	sampler     sampler // of the network's size
	holderCache holderCache
	peerTimes   *peerTimes    // as peers have signed them
	discovery   *discovery    // nil: none
	dhtStarted  chan struct{} // closed when dht is set
	joinErr     error         // why Start could not join; nil: it joined, or there were no bootstrap peers

	background sync.WaitGroup  // periodic work of a server
	ctx        context.Context // ends with Close
	cancel     context.CancelFunc
	mu         sync.Mutex
	closed     bool
	firstAcks  map[pointer.Pointer][]string // IDs of the peers that acknowledged a put first
	active     int                          // operations in progress, including their background work
	idle       chan struct{}                // closed when active becomes 0; nil: no call of Wait is blocked
}

var (
	_ dht.LevelStore      = (*Node)(nil)
	_ dht.ConfirmingStore = (*Node)(nil)
)

// Start starts a node and joins the network through the bootstrap peers, for at
// most twice Config.Timeout. A client with Config.Discover waits up to the same
// deadline for its first peer. It is no error if no peer answers: Put and Get try
// the bootstrap peers again, and return [dht.ErrUnreachable] while there is no
// peer. [Node.JoinError] reports why no bootstrap peer could be used. The context
// bounds the start only; Close ends the node.
func Start(ctx context.Context, c Config) (*Node, error) {
	n, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("kad: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, n.joinTimeout())
	defer cancel()
	if c.Discover {
		if n.discovery, err = n.discover(); err != nil {
			return nil, errors.Join(fmt.Errorf("kad: searching the local network: %w", err), n.Close())
		}
	}
	n.joinAtStart(ctx)
	if c.Discover && !c.Server && n.Peers() == 0 {
		select { // a client cannot do anything without a peer
		case <-n.discovery.found:
		case <-ctx.Done():
		}
	}
	return n, nil
}

// joinTimeout bounds how long joining the network takes.
func (n *Node) joinTimeout() time.Duration { return 2 * n.timeout }

// start starts a node that has not joined the network.
func start(c Config) (*Node, error) {
	n, err := configure(c)
	if err != nil {
		return nil, err
	}
	if c.Host != nil {
		n.externalHost = true
		n.store.setNode(c.Host.ID())
		return n, n.runOn(c.Host)
	}
	if c.Key == nil {
		_, throwAway, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		c.Key = throwAway
	}
	key, id, err := readKey(c.Key)
	if err != nil {
		return nil, err
	}
	if c.File != "" && c.Server {
		n.store.setNode(id)
		if n.persistence, err = n.openPersistence(c.File); err != nil {
			return nil, err
		}
	}
	h, err := n.newHost(c, key)
	if err != nil {
		return nil, errors.Join(err, n.closePersistence())
	}
	if err := n.runOn(h); err != nil {
		return nil, errors.Join(err, h.Close(), n.closePersistence())
	}
	return n, nil
}

// configure checks a configuration and applies the defaults.
func configure(c Config) (_ *Node, err error) {
	n := &Node{server: c.Server, dialTimeout: c.DialTimeout, timeout: c.Timeout, adjustHost: c.adjustHost, now: c.Now, log: c.Logger, network: c.Network}
	switch n.network {
	case LAN, "":
		n.network, n.protocol = LAN, "/ipfs/lan/kad/1.0.0"
	case IPFS:
		n.protocol = "/ipfs/kad/1.0.0"
	default:
		return nil, fmt.Errorf("unknown network %q (lan, ipfs)", c.Network)
	}
	if c.Protocol != "" {
		n.protocol = protocol.ID(c.Protocol)
	}
	if n.timeout <= 0 {
		n.timeout = requestTimeout
	}
	if n.dialTimeout <= 0 {
		n.dialTimeout = n.timeout * 2 / 5
	}
	clock := c.Now
	if clock == nil {
		clock = time.Now
	}
	n.now = func() time.Time { return clock().Round(0) }
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.bootstrap, err = parseAddrs(c.Bootstrap); err != nil {
		return nil, err
	}
	if n.known, err = parseAddrs(c.Known); err != nil {
		return nil, err
	}
	n.known = slices.DeleteFunc(n.known, func(k peer.AddrInfo) bool {
		return slices.ContainsFunc(n.bootstrap, func(b peer.AddrInfo) bool { return b.ID == k.ID })
	})
	if n.staticRelays, err = parseAddrs(c.Relays); err != nil {
		return nil, err
	}
	n.dials = newDialPolicy(c.Reach)
	n.dials.allow(n.bootstrap)
	n.dials.allow(n.staticRelays)
	n.dhtStarted = make(chan struct{})
	n.peerTimes = newPeerTimes()
	n.store = newBoundedStore(maxHeld, n.now)
	n.limiter = newLimiter(defaultLimits, n.log, n.store)
	return n, nil
}

// runOn starts the DHT on a host.
func (n *Node) runOn(h host.Host) (err error) {
	validator := record.NamespacedValidator{
		"ipns": ipns.Validator{KeyBook: h.Peerstore()},
		"pk":   record.PublicKeyValidator{},
	}
	n.store.setNode(h.ID())
	n.limiter.disconnect = n.disconnectPeer
	providers := newBoundedStore(maxProviders, n.now)
	providers.setNode(h.ID())
	options := []kaddht.Option{
		kaddht.V1ProtocolOverride(n.protocol),
		kaddht.Validator(validator),
		kaddht.ValueDatastore(n.store),
		kaddht.ProviderDatastore(providers),
		kaddht.ValueGCInterval(time.Hour),
		kaddht.OnRequestHook(n.limiter.request),
		kaddht.Mode(mode(n.server, n.network)),
		kaddht.BootstrapPeersFunc(n.entryPeers), // while the table is empty
	}
	if !n.server {
		// The refresh would cost a client more requests than its operations do,
		// and every walk refreshes a part of the table.
		options = append(options, kaddht.DisableAutoRefresh())
	}
	if n.network == IPFS {
		options = append(options, publicFilters(h)...)
	}
	if n.externalHost { // whose dials have no gater of ours
		options = append(options, kaddht.AddressFilter(func(addrs []ma.Multiaddr) []ma.Multiaddr { return ma.FilterAddrs(addrs, n.MayDial) }))
	}
	n.host = h
	if err := n.peerTimes.watch(h); err != nil {
		return err
	}
	if n.dht, err = kaddht.New(limitedHost{h, n.limiter}, options...); err != nil {
		return errors.Join(err, n.peerTimes.stop())
	}
	close(n.dhtStarted)
	if n.server {
		n.local = records.NewValueStore(n.store, validator, amino.DefaultMaxRecordAge)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if n.server {
		n.background.Go(n.runSampling)
	}
	return nil
}

// mode returns the mode of kad-dht: as a client, a server, or by reachability.
func mode(server bool, network Network) kaddht.ModeOpt {
	switch {
	case !server:
		return kaddht.ModeClient
	case network == IPFS:
		// An unreachable server would cost every other peer dial timeouts.
		return kaddht.ModeAuto
	}
	return kaddht.ModeServer
}

// ID returns the node's peer ID as text ("12D3Koo…").
func (n *Node) ID() string { return n.host.ID().String() }

// Addrs returns the node's own multiaddrs, each with its /p2p/ part, for the
// Config.Bootstrap of other nodes. It is empty for a node that does not listen.
func (n *Node) Addrs() []string {
	var addrs []string
	for _, a := range n.host.Addrs() {
		addrs = append(addrs, a.String()+"/p2p/"+n.ID())
	}
	return addrs
}

// Peers returns the number of peers in the routing table.
func (n *Node) Peers() int { return n.dht.RoutingTable().Size() }

// DHT returns the kad-dht node, for functions that this package does not have,
// such as changing the routing table. The caller must not close it.
func (n *Node) DHT() *kaddht.IpfsDHT { return n.dht }

// Close ends the node and all its operations, including puts that continue in
// the background. Call [Node.Wait] before it to let them end. Close is safe to
// call more than once.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cancel()
	if n.discovery != nil {
		n.discovery.stop()
	}
	// Before the DHT, because the journal's peers are read from the routing table.
	err := errors.Join(n.closePersistence(), n.dht.Close(), n.peerTimes.stop())
	if n.externalHost {
		n.removeHandlers()
	} else {
		err = errors.Join(err, n.host.Close())
	}
	_ = n.Wait(context.Background())
	n.background.Wait()
	return err
}

// Wait returns nil when no operation is in progress, including background work,
// or the error of ctx when that ends first. [Node.Put] may return before the
// last of the closest peers has the record. A process that exits after a Put
// without Wait, which takes about a second, leaves fewer copies.
func (n *Node) Wait(ctx context.Context) error {
	n.mu.Lock()
	if n.active == 0 {
		n.mu.Unlock()
		return nil
	}
	if n.idle == nil {
		n.idle = make(chan struct{})
	}
	idle := n.idle
	n.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errClosed is returned by operations of a closed node.
var errClosed = errors.New("kad: the node is closed")

// begin registers an operation and returns a context that also ends with the
// node. The caller calls leave when the operation has ended; Wait and Close
// wait for that.
func (n *Node) begin(ctx context.Context) (_ context.Context, leave func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, nil, errClosed
	}
	n.active++
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(n.ctx, func() { cancel(errClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.active--; n.active == 0 && n.idle != nil {
			close(n.idle)
			n.idle = nil
		}
	}, nil
}
