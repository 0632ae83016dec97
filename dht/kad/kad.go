// Package kad is a node of the libp2p Kademlia DHT: a [dht.Store] whose peers
// are strangers.
//
// The node is an unmodified go-libp2p-kad-dht: its routing table, its handlers
// and its validation of what others store with us. Only putting and getting
// are done by a walk of this package's own, over the same messages, because
// kad-dht's PutValue returns nil when every put failed, and waits 5 s for each
// silent peer. Any node of the same protocol (Kubo's, say) takes part.
//
//	node, err := kad.Start(ctx, kad.Config{Bootstrap: []string{"/ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…"}})
//	defer node.Close()
//	receipt, err := node.Put(ctx, record.Pointer(), record.Bytes())
//
// Nothing here is private: peers see which pointer is asked for or published,
// and from which address.
//
// Sources: Maymounkov and Mazières, "Kademlia" (2002); libp2p's kad-dht
// specification; the IPNS specification for the routing key, "/ipns/" and the
// multihash.
package kad

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
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
	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// Network says which peers a node belongs to.
type Network string

const (
	// LAN is private peers and local networks, over /ipfs/lan/kad/1.0.0. Peers
	// may have any address; those that go by DNS or a relay are passed over.
	LAN Network = "lan"
	// IPFS is the public Amino DHT, over /ipfs/kad/1.0.0. Peers without a
	// public address are passed over, as the network's rules have it.
	IPFS Network = "ipfs"
)

const (
	defaultDialTimeout = time.Second
	joinTimeout        = 5 * time.Second
)

// Config is a node's configuration. The zero value is a client of a LAN that
// knows nobody yet.
type Config struct {
	Key         crypto.Signer    // the peer key, Ed25519; nil: a throw-away one
	Listen      []string         // multiaddrs, TCP and QUIC; nil: dial only
	Server      bool             // answer others, and store for them. On IPFS: once others can reach us
	Bootstrap   []string         // multiaddrs ending in /p2p/…; nil: nobody. For IPFS see PublicBootstrap
	Network     Network          // "": LAN
	Discover    bool             // look for peers of the local network by multicast DNS, and be found if listening
	Protocol    string           // overrides the network's protocol, such as "/ours/kad/1.0.0"
	Relays      []string         // multiaddrs ending in /p2p/…, for a server of IPFS that can't be reached; nil: any it finds
	File        string           // keeps what a server stores, and the peers it knows; one node at a time. "": memory only
	DialTimeout time.Duration    // for one peer; 0: 1 s
	Timeout     time.Duration    // the hard end of one request, dial and all; 0: 2.5 s
	Now         func() time.Time // by which records expire; nil: time.Now
	Logger      *slog.Logger     // nil: nothing is logged

	// Host, if set, is run on instead of a host of our own; it stays the
	// caller's to close. Key, Listen and part of DialTimeout (what the host was
	// made with) are the host's business then.
	Host host.Host

	// wire changes the plan of each host that the node makes: for the simulated
	// network of the tests. nil: it stays
	wire func(*hostPlan)
}

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	host     host.Host
	borrowed bool // the host is the caller's
	dht      *kaddht.IpfsDHT
	local    *records.ValueStore // what peers stored with us; nil for clients
	held     *heldStore          // where local has it
	guard    *guard
	durable  *durable // nil: nothing outlives the node
	protocol protocol.ID
	network  Network
	server   bool
	dialing  time.Duration
	timeout  time.Duration   // of one request
	wire     func(*hostPlan) // from Config.wire
	seeds    []peer.AddrInfo // from Config.Bootstrap
	relay    []peer.AddrInfo // from Config.Relays
	now      func() time.Time
	log      *slog.Logger

	sampler   sampler       // of the network's size
	memory    memory        // of who held what
	discovery *discovery    // nil: none
	running   chan struct{} // closed when the DHT is there
	refused   error         // why Start's joining failed; nil: it didn't

	chores sync.WaitGroup  // what a server does of itself
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	firsts map[pointer.Pointer][]string // who acknowledged my puts first
	active int                          // calls, and what they left in the background
	idle   chan struct{}                // closed when active falls to 0; nil if nobody waits
}

var (
	_ dht.LevelStore      = (*Node)(nil)
	_ dht.ConfirmingStore = (*Node)(nil)
)

// Start starts a node and joins by the bootstrap peers, for at most 5 s; a
// client that discovers waits as long for its first peer. Nobody answering is
// no error: Put and Get try the bootstrap peers again, and fail with
// [dht.ErrUnreachable] while there is nobody. The context bounds the start
// alone; Close ends the node.
func Start(ctx context.Context, c Config) (*Node, error) {
	n, err := start(c)
	if err != nil {
		return nil, fmt.Errorf("kad: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if c.Discover {
		if n.discovery, err = n.discover(); err != nil {
			return nil, errors.Join(fmt.Errorf("kad: searching the local network: %w", err), n.Close())
		}
	}
	n.enterBy(ctx)
	if c.Discover && !c.Server && n.Peers() == 0 {
		select { // a client is of no use before somebody is found
		case <-n.discovery.found:
		case <-ctx.Done():
		}
	}
	return n, nil
}

func start(c Config) (*Node, error) {
	n, err := configure(c)
	if err != nil {
		return nil, err
	}
	if c.Host != nil {
		n.borrowed = true
		n.held.place(c.Host.ID())
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
		n.held.place(id)
		if n.durable, err = n.remember(c.File); err != nil {
			return nil, err
		}
	}
	h, err := n.newHost(c, key)
	if err != nil {
		return nil, errors.Join(err, n.forget())
	}
	if err := n.runOn(h); err != nil {
		return nil, errors.Join(err, h.Close(), n.forget())
	}
	return n, nil
}

// configure checks a configuration and fills in what it leaves open.
func configure(c Config) (_ *Node, err error) {
	n := &Node{server: c.Server, dialing: c.DialTimeout, timeout: c.Timeout, wire: c.wire, now: c.Now, log: c.Logger, network: c.Network}
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
	if n.dialing <= 0 {
		n.dialing = defaultDialTimeout
	}
	if n.now == nil {
		n.now = time.Now
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.seeds, err = parseAddrs(c.Bootstrap); err != nil {
		return nil, err
	}
	if n.relay, err = parseAddrs(c.Relays); err != nil {
		return nil, err
	}
	n.running = make(chan struct{})
	n.held = newHeldStore(maxHeld, n.now)
	n.guard = newGuard(defaultLimits, n.log, n.held)
	return n, nil
}

// runOn starts the DHT on the host, which is closed with the node.
func (n *Node) runOn(h host.Host) (err error) {
	validator := record.NamespacedValidator{
		"ipns": ipns.Validator{KeyBook: h.Peerstore()},
		"pk":   record.PublicKeyValidator{},
	}
	n.held.place(h.ID())
	n.guard.hangUp = n.hangUp
	providers := newHeldStore(maxProviders, n.now)
	providers.place(h.ID())
	options := []kaddht.Option{
		kaddht.V1ProtocolOverride(n.protocol),
		kaddht.Validator(validator),
		kaddht.ValueDatastore(n.held),
		kaddht.ProviderDatastore(providers),
		kaddht.ValueGCInterval(time.Hour),
		kaddht.OnRequestHook(n.guard.request),
		kaddht.Mode(mode(n.server, n.network)),
		kaddht.BootstrapPeers(n.seeds...),
	}
	if !n.server {
		// It would spend more on its table than on what it is there for; every
		// walk refreshes a part.
		options = append(options, kaddht.DisableAutoRefresh())
	}
	if n.network == IPFS {
		options = append(options, publicFilters(h)...)
	}
	n.host = h
	if n.dht, err = kaddht.New(guardedHost{h, n.guard}, options...); err != nil {
		return err
	}
	close(n.running)
	if n.server {
		n.local = records.NewValueStore(n.held, validator, amino.DefaultMaxRecordAge)
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	if n.server {
		n.chores.Go(n.keepSampling)
	}
	return nil
}

func mode(server bool, network Network) kaddht.ModeOpt {
	switch {
	case !server:
		return kaddht.ModeClient
	case network == IPFS:
		// A server that nobody can reach costs the whole network time.
		return kaddht.ModeAuto
	}
	return kaddht.ModeServer
}

// ID is the node's peer ID, as text ("12D3Koo…").
func (n *Node) ID() string { return n.host.ID().String() }

// Addrs are the node's own addresses, each with its /p2p/ part: what others
// bootstrap from. Empty for a node that doesn't listen.
func (n *Node) Addrs() []string {
	var addrs []string
	for _, a := range n.host.Addrs() {
		addrs = append(addrs, a.String()+"/p2p/"+n.ID())
	}
	return addrs
}

// Peers is how many peers the routing table holds.
func (n *Node) Peers() int { return n.dht.RoutingTable().Size() }

// DHT is the DHT that the node runs on: for what this package has no call for,
// such as writing its routing table. Don't close it.
func (n *Node) DHT() *kaddht.IpfsDHT { return n.dht }

// Close ends the node and everything that it does, puts that go on in the
// background included: [Node.Wait] first lets them end.
func (n *Node) Close() error {
	n.mu.Lock()
	n.closed = true
	n.mu.Unlock()
	n.cancel()
	if n.discovery != nil {
		n.discovery.stop()
	}
	// The journal takes the peers from the routing table: first, then.
	err := errors.Join(n.forget(), n.dht.Close())
	if !n.borrowed {
		err = errors.Join(err, n.host.Close())
	}
	_ = n.Wait(context.Background())
	n.chores.Wait()
	return err
}

// Wait returns when nothing goes on any more, not even in the background, or
// with ctx's error. [Node.Put] may return before the last of the closest peers
// has the record; a command that ends after it leaves fewer copies if it
// doesn't wait (a second or so).
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

var errClosed = errors.New("kad: the node is closed")

// enter ties ctx to the node's life, and the node's end to leave.
func (n *Node) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
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
