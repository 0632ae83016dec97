package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// unlinkableLifetime bounds how long one throw-away peer key is used: the peers that
// are asked can link what is fetched under one.
const unlinkableLifetime = time.Hour

// unlinkableStore is all stores that were joined, as one, reached without the
// agent's own peer key. Messages are stored under pointers that a third party cannot
// link to their parties, and the cards of all contacts are looked up repeatedly: the
// peer key must not link them either.
type unlinkableStore struct{ state *state }

func (u *unlinkableStore) stores(ctx context.Context) ([]dht.Store, error) {
	c, err := u.state.home.Config()
	if err != nil {
		return nil, err
	}
	routers, err := u.state.routers(c)
	if err != nil {
		return nil, err
	}
	var stores []dht.Store
	for _, r := range routers {
		stores = append(stores, r)
	}
	if c.Network != "off" {
		network, err := u.state.unlinkableNode(ctx, c)
		if err != nil && len(stores) == 0 {
			return nil, fmt.Errorf("%w: %w", dht.ErrUnreachable, err)
		}
		if err == nil {
			stores = append(stores, network)
		}
	}
	if len(stores) == 0 {
		return nil, ErrNotJoined
	}
	return stores, nil
}

// reachable fails at once when every network that was joined is without peers, and every
// router that was joined is none, or refuses connections. One that does not answer in time may do
// so later.
func (u *unlinkableStore) reachable(ctx context.Context) error {
	stores, err := u.stores(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, u.state.joinTimeout)
	defer cancel()
	var failed []error
	for _, s := range slices.Backward(stores) { // a DHT is the last
		switch s := s.(type) {
		case Node:
			if s.Peers() > 0 {
				return nil
			}
			failed = append(failed, fmt.Errorf("%w: no peer is left in the joined network", dht.ErrUnreachable))
		case router:
			err := s.Check(ctx)
			var waiting net.Error
			if err == nil || ctx.Err() != nil || errors.As(err, &waiting) && waiting.Timeout() {
				return nil
			}
			failed = append(failed, err)
		default:
			return nil
		}
	}
	return errors.Join(failed...)
}

func (u *unlinkableStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return u.GetAt(ctx, p, dht.LevelFresh)
}

// GetAt asks each store no further than it has to for a level.
func (u *unlinkableStore) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		stores, err := u.stores(ctx)
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, err)
			return
		}
		for i, s := range stores {
			if seeker, ok := s.(dht.LevelStore); ok {
				stores[i] = atLevel{seeker, level}
			}
		}
		dht.MultiStore(stores).Get(ctx, p)(yield)
	}
}

// atLevel is a store that is asked for one level.
type atLevel struct {
	dht.LevelStore
	level dht.Level
}

func (l atLevel) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return l.GetAt(ctx, p, l.level)
}

func (u *unlinkableStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	stores, err := u.stores(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	return dht.MultiStore(stores).Put(ctx, p, record)
}

// cards finds the cards of contacts.
type cards struct{ state *state }

func (c *cards) Best(ctx context.Context, p pointer.Pointer, level dht.Level) (dht.Result, error) {
	return c.state.resolver(&unlinkableStore{c.state}).Best(ctx, p, level)
}

// unlinkableNode returns a node under a peer key that is thrown away: the agent's
// only one, or, of an agent that serves, a client beside it.
func (s *state) unlinkableNode(ctx context.Context, c home.Config) (Node, error) {
	s.mu.Lock()
	serving, node := s.serving, s.node
	s.mu.Unlock()
	if !serving {
		return s.network(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unlinkable != nil && s.unlinkableOf == node && s.now().Sub(s.unlinkableSince).Abs() < unlinkableLifetime {
		return s.unlinkable, nil
	}
	if old := s.unlinkable; old != nil {
		s.unlinkable = nil
		running := s.running
		closing := s.startTask(func() { // it may still be in use
			select {
			case <-time.After(syncTimeout):
			case <-running.Done():
			}
			_ = old.Close()
		})
		if !closing {
			_ = old.Close()
		}
	}
	if node == nil {
		return nil, dht.ErrUnreachable
	}
	// The client can enter by the node itself if no other peer is left.
	n, err := s.enter(ctx, c, NodeConfig{Entry: node.Addrs()})
	if err != nil {
		return nil, err
	}
	s.unlinkable, s.unlinkableOf, s.unlinkableSince = n, node, s.now()
	return n, nil
}

// closeUnlinkable closes the client beside a node, if there is one. The caller
// holds mu.
func (s *state) closeUnlinkable() error {
	old := s.unlinkable
	if old == nil {
		return nil
	}
	s.unlinkable, s.unlinkableOf = nil, nil
	return old.Close()
}

// directStore is the store of the agent at some addresses, dialled without the
// agent's own peer key.
type directStore struct {
	state     *state
	addresses [][]byte
}

func (d *directStore) dial(ctx context.Context) (dht.Store, error) {
	c, err := d.state.home.Config()
	if err != nil {
		return nil, err
	}
	if c.Network == "off" {
		return nil, ErrNotJoined
	}
	node, err := d.state.unlinkableNode(ctx, c)
	if err != nil {
		return nil, err
	}
	return node.Dial(d.addresses), nil
}

func (d *directStore) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		store, err := d.dial(ctx)
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork, Peer: "direct", Asked: 1}, fmt.Errorf("%w: %w", dht.ErrUnreachable, err))
			return
		}
		store.Get(ctx, p)(yield)
	}
}

func (d *directStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	store, err := d.dial(ctx)
	if err != nil {
		return dht.Receipt{Asked: 1, Unreachable: 1}, fmt.Errorf("%w: %w", dht.ErrUnreachable, err)
	}
	return store.Put(ctx, p, record)
}
