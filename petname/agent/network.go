package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// defaultJoinTimeout bounds how long entering a network delays what needs it.
const defaultJoinTimeout = 5 * time.Second

// Joined is the networks that the home uses. It is a plain value.
type Joined struct {
	Network   string   // "off", "ipfs", "lan", or "peers" for a private set of peers
	Bootstrap []string // multiaddrs of peers to enter by
	Routers   []string // URLs
	Peers     int      // in the routing table now; 0 before the network is entered
}

// JoinError is returned when networks were saved and cannot be used yet: an agent
// tries again when it needs them. It wraps [dht.ErrUnreachable] if no peer
// responded.
type JoinError struct {
	Err error
	// Before are the targets with which [Agent.Join] restores the networks that were
	// replaced; nil if none were joined, or the same ones.
	Before []string
}

func (e *JoinError) Error() string { return "saved, but " + e.Err.Error() }

func (e *JoinError) Unwrap() error { return e.Err }

// Join saves which networks to use, enters the DHT among them, and asks the
// routers whether they are there. It replaces what was joined before. Targets
// are "ipfs", "lan", or "off" alone; multiaddrs of peers, which end in /p2p/ID;
// and URLs of HTTP routers. No target means "off".
//
// An address that cannot be used is an [*AddressError], and changes nothing; so
// are [ErrNoTransport], for a DHT without a Transport, [ErrClosed], and an error that
// wraps [delegated.ErrNoRouter], for a URL with another web server. What was saved and
// could not be entered is a [*JoinError]: it wraps [dht.ErrUnreachable] if no peer or
// router responded. The routers are asked first, which takes at most 5 s.
func (a *Agent) Join(ctx context.Context, targets ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := a.parseJoin(targets)
	if err != nil {
		return err
	}
	if a.isClosed() { // another process may have the home open
		return ErrClosed
	}
	a.joining.Lock()
	defer a.joining.Unlock()
	failed := a.tryRouters(ctx, c)
	none := slices.DeleteFunc(slices.Clone(failed), func(err error) bool { return !errors.Is(err, delegated.ErrNoRouter) })
	if err := errors.Join(none...); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	was, unread := a.home.Config()
	c.ContactRequests, c.RequestSolutions = was.ContactRequests, was.RequestSolutions // the fields that are not about networks stay
	if err := a.home.SetConfig(c); err != nil {
		return err
	}
	defer a.wakeRepublisher()
	defer a.events.publish(Event{Kind: NetworkChanged})
	if unread != nil || was.Network != "off" || c.Network != "off" { // otherwise a node continues unchanged
		err = a.joinDHT(ctx, c)
	}
	if failed := errors.Join(append([]error{err}, failed...)...); failed != nil {
		out := &JoinError{Err: failed}
		if unread == nil && !sameNetworks(was, c) {
			out.Before = a.rejoinTargets(was)
		}
		return out
	}
	return nil
}

// sameNetworks reports whether two configurations join the same networks.
func sameNetworks(a, b home.Config) bool {
	return a.Network == b.Network && slices.Equal(a.Bootstrap, b.Bootstrap) && slices.Equal(a.Routers, b.Routers)
}

// rejoinTargets returns the targets from which parseJoin makes the networks of a
// configuration; nil if it has none.
func (s *state) rejoinTargets(c home.Config) (all []string) {
	peers := c.Bootstrap
	switch c.Network {
	case "ipfs":
		all = append(all, c.Network)
		if s.transport != nil { // parseJoin adds its peers
			own := s.transport.Bootstrap(c.Network)
			peers = slices.DeleteFunc(slices.Clone(peers), func(addr string) bool { return slices.Contains(own, addr) })
		}
	case "lan":
		all = append(all, c.Network)
	case "off":
		peers = nil
	}
	return slices.Concat(all, peers, c.Routers)
}

// Joined returns the networks that the home uses.
func (a *Agent) Joined() (Joined, error) {
	c, err := a.home.Config()
	if err != nil {
		return Joined{}, err
	}
	out := Joined{Network: c.Network, Bootstrap: c.Bootstrap, Routers: c.Routers}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.node != nil && c.Network != "off" {
		out.Peers = a.node.Peers()
	}
	return out, nil
}

func (a *Agent) joinDHT(ctx context.Context, c home.Config) error {
	if c.Network == "off" {
		return a.leave(ctx)
	}
	node, err := a.reenter(ctx, c)
	if err != nil {
		return err
	}
	a.serveMessages()
	if node.Peers() > 0 {
		return nil
	}
	return noPeers(c, node)
}

// noPeers returns the reason why a node has no peers.
func noPeers(c home.Config, node Node) error {
	switch refused := node.JoinError(); {
	case c.Network == "lan":
		return fmt.Errorf("%w: no peer has announced itself on the local network yet", dht.ErrUnreachable)
	case refused != nil:
		return fmt.Errorf("none of the given peers admitted this node: %w", refused)
	}
	return fmt.Errorf("%w: the given peers have disconnected", dht.ErrUnreachable)
}

// parseJoin reads what to join: at most one DHT by name, peers to enter it by,
// or a private set of them, and any number of routers.
func (s *state) parseJoin(targets []string) (home.Config, error) {
	c := home.Config{Network: "off", Bootstrap: []string{}, Routers: []string{}}
	targets, err := pastedTargets(targets)
	if err != nil {
		return home.Config{}, err
	}
	for _, t := range targets {
		switch {
		case t == "off":
			if len(targets) > 1 {
				return home.Config{}, &AddressError{"network", t, fmt.Sprintf("%q stands alone", t)}
			}
		case t == "lan" || t == "ipfs":
			if (c.Network == "lan" || c.Network == "ipfs") && c.Network != t {
				return home.Config{}, &AddressError{"network", t, fmt.Sprintf("%q and %q are two networks: choose one", c.Network, t)}
			}
			c.Network = t
		case strings.Contains(t, "://") || hasPrefixFold(t, "http:") || hasPrefixFold(t, "https:"):
			r, err := delegated.ParseURL(t)
			if err != nil {
				return home.Config{}, &AddressError{"router", t, err.Error()}
			}
			if !slices.Contains(c.Routers, r) {
				c.Routers = append(c.Routers, r)
			}
		default:
			if err := checkPeer(t); err != nil {
				return home.Config{}, err
			}
			if !slices.Contains(c.Bootstrap, t) {
				c.Bootstrap = append(c.Bootstrap, t)
			}
		}
	}
	if c.Network == "off" && len(c.Bootstrap) > 0 {
		c.Network = "peers"
	}
	var refused *AddressError
	unreachable := func(addr string) bool {
		if err := s.transport.CheckPeer(addr); err != nil {
			refused = &AddressError{"peer", addr, fmt.Sprintf("multiaddr %q: %v", addr, err)}
		}
		return refused != nil
	}
	switch {
	case c.Network == "off":
	case s.transport == nil:
		return home.Config{}, ErrNoTransport
	case slices.ContainsFunc(c.Bootstrap, unreachable):
		return home.Config{}, refused
	case c.Network == "ipfs":
		c.Bootstrap = slices.Concat(s.transport.Bootstrap(c.Network), c.Bootstrap)
	}
	return c, nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// pastedTargets returns what to join in texts that were copied: each as it is, or without
// what other programs add to it, or the addresses in it, such as those in the line that a
// node prints. A text with none of them stays. A text with other words, such as a mail, must
// have the addresses of one node or one router alone: others in it may be of anything.
func pastedTargets(texts []string) (targets []string, err error) {
	texts = withoutLead(texts)
	lists := strings.NewReplacer(",/", " /", ",http", " http", ";/", " /", ";http", " http")
	for _, text := range texts {
		isBeside := func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("<>()\"'`\u201c\u201d", r) }
		fields := withoutLead(strings.FieldsFunc(lists.Replace(paste.Unsigned(text)), isBeside))
		var all, addresses []string
		for _, field := range fields {
			target, ok := pastedTarget(field)
			if !ok {
				target = field
			}
			if ok {
				all = append(all, target)
			}
			if isAddress(target) || isAddress(field) {
				addresses = append(addresses, target) // one that is wrong is reported
			}
		}
		switch {
		case len(all) == len(fields) && len(all) > 0:
			targets = append(targets, all...)
		case len(addresses) == 0:
			targets = append(targets, text)
		default:
			if one, other, found := twoNetworks(addresses); found {
				return nil, &AddressError{"network", text, fmt.Sprintf("the text has %q and %q: give the one that is meant", one, other)}
			}
			targets = append(targets, addresses...)
		}
	}
	return targets, nil
}

// withoutLead returns words without those that a command line, or the line that a node prints,
// has before addresses.
func withoutLead(words []string) []string {
	if len(words) > 4 && words[0] == "serving" && words[1] == "as" {
		if words[3] == "on" {
			return words[4:]
		}
		return words[3:]
	}
	if len(words) > 2 && words[0] == "petname" && words[1] == "join" {
		return words[2:]
	}
	return words
}

// twoNetworks returns two addresses that are neither of one peer nor one router's.
func twoNetworks(addresses []string) (one, other string, found bool) {
	of := func(address string) string {
		if m, err := multiaddr.NewMultiaddr(address); err == nil {
			if id, err := m.ValueForProtocol(multiaddr.P_P2P); err == nil {
				return id
			}
		}
		return address
	}
	for _, address := range addresses[1:] {
		if of(address) != of(addresses[0]) {
			return addresses[0], address, true
		}
	}
	return "", "", false
}

// isAddress reports whether a text is meant as a multiaddr or a URL.
func isAddress(t string) bool {
	return strings.Contains(t, "://") || strings.HasPrefix(t, "/ip") || strings.HasPrefix(t, "/dns")
}

// pastedTarget returns the address or network in one word, as it is or without what other
// programs add to it.
func pastedTarget(word string) (string, bool) {
	for _, t := range []string{word, paste.Token(word)} {
		if _, err := delegated.ParseURL(t); err == nil || checkPeer(t) == nil || t == "off" || t == "lan" || t == "ipfs" {
			return t, true
		}
	}
	return "", false
}

// checkPeer checks the address of a peer to join by.
func checkPeer(t string) error {
	m, err := multiaddr.NewMultiaddr(t)
	if err != nil {
		return &AddressError{"peer", t, fmt.Sprintf("%q is none of ipfs, lan, off, no router's URL, and no multiaddr: %v", t, err)}
	}
	if _, err := m.ValueForProtocol(multiaddr.P_P2P); err != nil {
		return &AddressError{"peer ID", t, fmt.Sprintf("multiaddr %q doesn't end in /p2p/ and the peer's ID", t)}
	}
	return nil
}

// lazyNetwork is the DHT as a store that is entered when it is first asked: an
// answer from the cache needs none.
type lazyNetwork struct {
	state *state
	mu    sync.Mutex
	err   error // of entering
}

// failed returns the error of entering. A look-up that was cancelled can still be
// entering.
func (l *lazyNetwork) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *lazyNetwork) enter(ctx context.Context) (Node, error) {
	node, err := l.state.network(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
	return node, err
}

func (l *lazyNetwork) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return l.GetAt(ctx, p, dht.LevelFresh)
}

func (l *lazyNetwork) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		node, err := l.enter(ctx)
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, fmt.Errorf("%w: %w", dht.ErrUnreachable, err))
			return
		}
		node.GetAt(ctx, p, level)(yield)
	}
}

func (l *lazyNetwork) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	node, err := l.enter(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	return node.Put(ctx, p, record)
}

// PutAll is for a publication that waits for all.
func (l *lazyNetwork) PutAll(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	node, err := l.enter(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	return node.PutAll(ctx, p, record)
}

// network returns the node, and enters the network first if that was not done
// yet.
func (s *state) network(ctx context.Context) (Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node != nil {
		return s.node, nil
	}
	c, err := s.home.Config()
	if err != nil {
		return nil, err
	}
	if c.Network == "off" {
		return nil, ErrNotJoined
	}
	// An agent that does not serve uses a throw-away peer key, so that peers cannot
	// link its look-ups to the home.
	n, err := s.enter(ctx, c, s.own)
	if err != nil {
		return nil, err
	}
	s.node, s.nodeNetwork = n, networkTag(c)
	return n, nil
}

// enter starts a node and dials the network's peers, for a bounded time. The
// caller holds mu, and keeps the node for halt to close.
func (s *state) enter(ctx context.Context, c home.Config, n NodeConfig) (Node, error) {
	if s.closed {
		return nil, ErrClosed
	}
	if s.transport == nil {
		return nil, ErrNoTransport
	}
	n.Network, n.Bootstrap, n.Log = c.Network, slices.Clone(c.Bootstrap), s.log
	n.Discover = c.Network == "lan"
	n.Known = s.knownPeers(c)
	ctx, cancel := context.WithTimeout(ctx, s.joinTimeout)
	defer cancel()
	return s.transport.Start(ctx, n)
}

// reenter leaves the network that was joined, if any, and enters another.
func (s *state) reenter(ctx context.Context, c home.Config) (Node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.closeUnlinkable(); err != nil { // no client of this home stays in the network that it leaves
		return nil, err
	}
	if s.node != nil {
		s.rememberPeers()
		old := s.node
		s.node = nil
		if err := old.Close(); err != nil {
			return nil, err
		}
	}
	n, err := s.enter(ctx, c, s.own)
	if err != nil {
		return nil, err
	}
	s.node, s.nodeNetwork = n, networkTag(c)
	s.keepPorts(n)
	return n, nil
}

// leave leaves the network. An agent that serves still listens, without peers.
func (a *Agent) leave(ctx context.Context) error {
	a.mu.Lock()
	serving := a.serving && a.transport != nil
	a.mu.Unlock()
	if !serving {
		return nil
	}
	_, err := a.reenter(ctx, home.Config{Network: "off"})
	a.serveMessages()
	return err
}

// addresses returns the node's own, as a card has them: multiaddrs in binary
// form.
func (s *state) addresses() ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.serving || s.node == nil {
		return nil, ErrNotServing
	}
	var out [][]byte
	for _, text := range s.node.Addrs() {
		m, err := multiaddr.NewMultiaddr(text)
		if err != nil {
			return nil, err
		}
		out = append(out, m.Bytes())
	}
	return out, nil
}
