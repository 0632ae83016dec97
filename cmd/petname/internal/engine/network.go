package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/cmd/petname/internal/home"
	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
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

// JoinArgs are the arguments of join.
type JoinArgs struct {
	Targets []string `json:"targets"`
}

// Joined is the result of join.
type Joined struct {
	Network   string   `json:"network"`
	Bootstrap []string `json:"bootstrap"`
	Peers     int      `json:"peers"` // that the routing table has now
}

// Join saves which network to be in, then enters it.
func (e *Engine) Join(ctx context.Context, a JoinArgs) (*Joined, error) {
	c, err := parseJoin(a.Targets)
	if err != nil {
		return nil, err
	}
	if err := e.home.SetConfig(c); err != nil {
		return nil, err
	}
	out := &Joined{Network: c.Network, Bootstrap: c.Bootstrap}
	if c.Network == "off" {
		return out, e.leave(ctx)
	}
	network, err := e.reenter(ctx, c)
	if err != nil {
		return out, saved(err)
	}
	out.Peers = network.Peers()
	if out.Peers == 0 {
		who := "none of the peers to join by answered"
		if c.Network == "lan" {
			who = "no peer has announced itself on the local network yet"
		}
		return out, saved(fmt.Errorf("%w: %s", dht.ErrUnreachable, who))
	}
	return out, nil
}

func saved(err error) error {
	c := *Classify(err)
	c.Message = "saved, but " + c.Message
	return &c
}

func parseJoin(targets []string) (home.Config, error) {
	c := home.Config{Bootstrap: []string{}}
	for _, t := range targets {
		switch t {
		case "off", "lan", "ipfs":
			if len(targets) > 1 {
				return home.Config{}, Usage("%q stands alone", t)
			}
			c.Network = t
			if t == "ipfs" {
				c.Bootstrap = kad.PublicBootstrap()
			}
			continue
		}
		m, err := multiaddr.NewMultiaddr(t)
		if err != nil {
			return home.Config{}, Usage("%q is none of ipfs, lan, off, and no multiaddr: %v", t, err).
				With("one looks like /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…, as petname node prints it")
		}
		if _, err := m.ValueForProtocol(multiaddr.P_P2P); err != nil {
			return home.Config{}, Usage("multiaddr %q doesn't end in /p2p/ and the peer's ID", t)
		}
		c.Network, c.Bootstrap = "peers", append(c.Bootstrap, t)
	}
	return c, nil
}

// reenter leaves the network that was joined, if any, and enters another.
func (e *Engine) reenter(ctx context.Context, c home.Config) (*kad.Node, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
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

// Serve starts the node that others can reach, under this home's own peer key.
func (e *Engine) Serve(ctx context.Context, listen []string) (*Status, error) {
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
	e.mu.Lock()
	e.serving, e.own = true, kad.Config{Key: key, Listen: listen, Server: true}
	e.mu.Unlock()
	if _, err := e.reenter(ctx, c); err != nil {
		return nil, err
	}
	return e.Status(ctx, NoArgs{})
}

// Status is the result of node and node status.
type Status struct {
	Peer    string   `json:"peer"`
	Addrs   []string `json:"addrs"`
	HTTP    string   `json:"http"` // empty: not served
	Network string   `json:"network"`
	Peers   int      `json:"peers"` // in the routing table
	Names   int      `json:"names"` // in the book
	Pid     int      `json:"pid,omitempty"`
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
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.serving || e.network == nil {
		return nil, errors.New("no node is running")
	}
	return &Status{Peer: e.network.ID(), Addrs: e.network.Addrs(), Network: c.Network, Peers: e.network.Peers(), Names: names}, nil
}
