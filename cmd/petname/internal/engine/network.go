package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// lazyNetwork is the network as a store that is entered when it is first
// asked: an answer from the cache needs none.
type lazyNetwork struct {
	engine *Engine
	err    error // of entering; read it after the look-up
	mu     sync.Mutex
}

func (l *lazyNetwork) enter(ctx context.Context) (*kad.Node, error) {
	network, err := l.engine.store(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	return network, err
}

func (l *lazyNetwork) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return l.GetAt(ctx, p, dht.LevelFresh)
}

func (l *lazyNetwork) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		network, err := l.enter(ctx)
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, fmt.Errorf("%w: %w", dht.ErrUnreachable, err))
			return
		}
		network.GetAt(ctx, p, level)(yield)
	}
}

func (l *lazyNetwork) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	network, err := l.enter(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	return network.Put(ctx, p, record)
}

// PutAll is for a publication that waits for all.
func (l *lazyNetwork) PutAll(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	network, err := l.enter(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	return network.PutAll(ctx, p, record)
}

// JoinArgs are the arguments of join.
type JoinArgs struct {
	Targets []string `json:"targets"`
}

// Joined is the result of join.
type Joined struct {
	Network   string   `json:"network"`
	Bootstrap []string `json:"bootstrap"`
	Routers   []string `json:"routers"`
	Peers     int      `json:"peers"` // that the routing table has now
}

// Join saves which network to be in and which routers to use, then enters the
// one and tries the others.
func (e *Engine) Join(ctx context.Context, a JoinArgs) (*Joined, error) {
	c, err := parseJoin(a.Targets)
	if err != nil {
		return nil, err
	}
	was, unread := e.home.Config()
	c.Strangers, c.StrangerPuzzles = was.Strangers, was.StrangerPuzzles // what isn't about networks stays
	if err := e.home.SetConfig(c); err != nil {
		return nil, err
	}
	out := &Joined{Network: c.Network, Bootstrap: c.Bootstrap, Routers: c.Routers}
	defer e.wakeKeeper()
	tried := make(chan []error, 1)
	go func() { tried <- e.tryRouters(ctx, c) }()
	if unread != nil || was.Network != "off" || c.Network != "off" { // else a node goes on as it is
		err = e.joinDHT(ctx, c, out)
	}
	if failed := errors.Join(append([]error{err}, <-tried...)...); failed != nil {
		return out, saved(failed)
	}
	return out, nil
}

func (e *Engine) joinDHT(ctx context.Context, c home.Config, out *Joined) error {
	if c.Network == "off" {
		return e.leave(ctx)
	}
	network, err := e.reenter(ctx, c)
	if err != nil {
		return err
	}
	e.serveDirect()
	if out.Peers = network.Peers(); out.Peers > 0 {
		return nil
	}
	return nobody(c, network)
}

// nobody says why a node has no peers.
func nobody(c home.Config, network *kad.Node) error {
	switch refused := network.Refused(); {
	case c.Network == "lan":
		return fmt.Errorf("%w: no peer has announced itself on the local network yet", dht.ErrUnreachable)
	case refused != nil:
		return fmt.Errorf("none of the peers to join by let us in: %w", refused)
	}
	return fmt.Errorf("%w: the peers to join by are gone again", dht.ErrUnreachable)
}

func saved(err error) error {
	c := *Classify(err)
	c.Message = "saved, but " + strings.ReplaceAll(c.Message, "\n", "; ")
	return &c
}

// parseJoin reads what to join: at most one DHT by name, peers to enter it by,
// or a private set of them, and any number of routers.
func parseJoin(targets []string) (home.Config, error) {
	c := home.Config{Network: "off", Bootstrap: []string{}, Routers: []string{}}
	for _, t := range targets {
		switch {
		case t == "off":
			if len(targets) > 1 {
				return home.Config{}, Usage("%q stands alone", t)
			}
		case t == "lan" || t == "ipfs":
			if (c.Network == "lan" || c.Network == "ipfs") && c.Network != t {
				return home.Config{}, Usage("%q and %q are two networks: choose one", c.Network, t)
			}
			c.Network = t
		case strings.Contains(t, "://") || hasPrefixFold(t, "http:") || hasPrefixFold(t, "https:"):
			r, err := delegated.ParseURL(t)
			if err != nil {
				return home.Config{}, Usage("%v", err).With("one looks like http://127.0.0.1:8080, as petname node --http prints it")
			}
			if !slices.Contains(c.Routers, r) {
				c.Routers = append(c.Routers, r)
			}
		default:
			if err := checkPeer(t); err != nil {
				return home.Config{}, err
			}
			c.Bootstrap = append(c.Bootstrap, t)
		}
	}
	switch {
	case c.Network == "ipfs":
		c.Bootstrap = append(kad.PublicBootstrap(), c.Bootstrap...)
	case c.Network == "off" && len(c.Bootstrap) > 0:
		c.Network = "peers"
	}
	return c, nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// checkPeer finds a text to be the address of a peer.
func checkPeer(t string) error {
	m, err := multiaddr.NewMultiaddr(t)
	if err != nil {
		return Usage("%q is none of ipfs, lan, off, no router's URL, and no multiaddr: %v", t, err).
			With("one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as petname node prints it")
	}
	if _, err := m.ValueForProtocol(multiaddr.P_P2P); err != nil {
		return Usage("multiaddr %q doesn't end in /p2p/ and the peer's ID", t)
	}
	return nil
}

// reenter leaves the network that was joined, if any, and enters another.
func (e *Engine) reenter(ctx context.Context, c home.Config) (*kad.Node, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.aside != nil { // nothing of this home stays in a network that is left
		aside := e.aside
		e.aside, e.asideOf = nil, nil
		if err := aside.Close(); err != nil {
			return nil, err
		}
	}
	if e.network != nil {
		old := e.network
		e.network = nil
		if err := old.Close(); err != nil {
			return nil, err
		}
	}
	n, err := e.enter(ctx, c, e.own)
	if err != nil {
		return nil, err
	}
	if e.network = n; e.serving {
		// Others know this node by its addresses: the next network finds it
		// under the same.
		e.own.Listen = bound(e.own.Listen, n.Addrs())
	}
	return n, nil
}

// bound replaces port 0 in addresses to listen on by the port that was given.
func bound(listen, addrs []string) []string {
	out := slices.Clone(listen)
	taken := map[string]bool{}
	for i, l := range listen {
		parts := strings.Split(l, "/") // "", ip4, 127.0.0.1, tcp, 0, …
		if len(parts) < 5 || parts[4] != "0" {
			continue
		}
		for _, addr := range addrs {
			got := strings.Split(addr, "/")
			if len(got) < len(parts)+2 || taken[got[3]+got[4]] || got[1] != parts[1] || got[3] != parts[3] ||
				!slices.Equal(got[5:len(parts)], parts[5:]) || got[len(parts)] != "p2p" {
				continue
			}
			taken[got[3]+got[4]] = true
			parts[4] = got[4]
			out[i] = strings.Join(parts, "/")
			break
		}
	}
	return out
}

// leave stays on the machine: a node goes on serving its own socket, and on its
// listen addresses, but knows nobody.
func (e *Engine) leave(ctx context.Context) error {
	e.mu.Lock()
	serving := e.serving
	e.mu.Unlock()
	if !serving {
		return nil
	}
	_, err := e.reenter(ctx, home.Config{Network: "off"})
	e.serveDirect()
	return err
}

// addresses are the node's own, as a card has them.
func (e *Engine) addresses() ([][]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.serving || e.network == nil {
		return nil, Usage("--addresses needs a running node, whose addresses they are").With("petname node")
	}
	var out [][]byte
	for _, text := range e.network.Addrs() {
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		out = append(out, m.Bytes())
	}
	return out, nil
}

// Serve starts the node that others can reach, under this home's own peer key;
// on the public network, by the relays given if need be.
func (e *Engine) Serve(ctx context.Context, listen []string, relays ...string) (*Status, error) {
	key, err := e.home.PeerKey()
	if err != nil {
		return nil, err
	}
	c, err := e.home.Config()
	if err != nil {
		return nil, err
	}
	for _, l := range listen {
		if _, err := multiaddr.NewMultiaddr(l); err != nil {
			return nil, Usage("--listen %q: %v", l, err).With("petname node --listen /ip4/127.0.0.1/tcp/0")
		}
	}
	if len(relays) > 0 && c.Network != "ipfs" {
		return nil, Usage("--relay is for the public network, and %q is joined", c.Network).With("petname join ipfs")
	}
	for _, r := range relays {
		if m, err := multiaddr.NewMultiaddr(r); err != nil {
			return nil, Usage("--relay %q: %v", r, err)
		} else if _, err := m.ValueForProtocol(multiaddr.P_P2P); err != nil {
			return nil, Usage("--relay %q doesn't end in /p2p/ and the relay's ID", r)
		}
	}
	e.mu.Lock()
	e.serving, e.began = true, time.Now()
	e.own = kad.Config{Key: key, Listen: listen, Relays: relays, Server: true, File: e.home.NodeFile()}
	e.mu.Unlock()
	if _, err := e.reenter(ctx, c); err != nil {
		return nil, err
	}
	e.serveDirect()
	e.startKeeper()
	e.startPost()
	e.serveWeb()
	return e.Status(ctx, NoArgs{})
}

// Status is the result of node and node status.
type Status struct {
	Peer    string   `json:"peer"`
	Addrs   []string `json:"addrs"`
	HTTP    string   `json:"http"` // empty: not served
	Network string   `json:"network"`
	Problem string   `json:"problem"` // why nobody is in the routing table; empty: somebody is, or nobody has to be
	Peers   int      `json:"peers"`   // in the routing table
	Names   int      `json:"names"`   // in the book
	Held    Held     `json:"held"`
	CutOff  []CutOff `json:"cut_off"` // peers that are kept out for a while
	Uptime  float64  `json:"uptime"`  // seconds
	Memory  uint64   `json:"memory"`  // bytes that the process has from the system
	Pid     int      `json:"pid,omitempty"`

	Keep KeepStatus `json:"keep"`
	Put  *LastPut   `json:"put"` // null: none since the node began
}

// Held is what the node stores for the network.
type Held struct {
	Records int `json:"records"`
	Bytes   int `json:"bytes"`
	Limit   int `json:"limit"` // bytes, with what the records cost besides
}

// CutOff is a peer that abused the node.
type CutOff struct {
	Peer   string    `json:"peer"`
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// Status says what the node is doing.
func (e *Engine) Status(_ context.Context, _ NoArgs) (*Status, error) {
	c, err := e.home.Config()
	if err != nil {
		return nil, err
	}
	names, err := e.book.Count()
	if err != nil {
		return nil, err
	}
	kept, err := e.keepStatus()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.serving || e.network == nil {
		return nil, errors.New("no node is running")
	}
	now := e.network.Status()
	s := &Status{Peer: e.network.ID(), Addrs: e.network.Addrs(), Network: c.Network, Peers: now.Peers, Names: names,
		Held: Held{now.Held, now.Bytes, now.Limit}, CutOff: []CutOff{}, Uptime: time.Since(e.began).Seconds(), Memory: memory(), Keep: kept, Put: e.lastPut}
	if e.web != nil {
		s.HTTP = e.web.url
	}
	for _, cut := range now.CutOffs {
		s.CutOff = append(s.CutOff, CutOff{cut.Peer, cut.Until.UTC().Truncate(time.Second), cut.Reason})
	}
	if now.Peers == 0 && c.Network != "off" {
		s.Problem = nobody(c, e.network).Error()
	}
	return s, nil
}

// memory is what the Go runtime has from the system, and hasn't given back.
func memory() uint64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
