package agent

import (
	"context"
	"errors"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// router is one HTTP router; a [*delegated.Client], except in tests.
type router interface {
	dht.LevelStore
	Check(context.Context) error
	Close() error
}

// routers returns the clients of the routers that were joined. They are reused,
// and their connections with them.
func (s *state) routers(c home.Config) ([]router, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	var out []router
	for _, url := range c.Routers {
		r, ok := s.clients[url]
		if !ok {
			client, err := delegated.NewClient(url)
			if err != nil {
				return nil, err
			}
			client.Now = s.now
			r = client
			if s.clients == nil {
				s.clients = map[string]router{}
			}
			s.clients[url] = r
		}
		out = append(out, r)
	}
	return out, nil
}

// withoutDHT reports whether only routers can be asked: no DHT was joined, and the node
// has no peers.
func (s *state) withoutDHT(c home.Config) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.Network == "off" && len(c.Routers) > 0 && (s.node == nil || s.node.Peers() == 0)
}

// sources returns the stores that a look-up asks at the same time: the DHT and every
// router. An error of the configuration is returned by the DHT when it is asked, since
// an answer from the home needs no network.
func (s *state) sources(network *lazyNetwork) []dht.Store {
	stores := []dht.Store{network}
	c, err := s.home.Config()
	if err != nil {
		return stores
	}
	routers, err := s.routers(c)
	if err != nil {
		return stores
	}
	if s.withoutDHT(c) {
		stores = nil
	}
	for _, r := range routers {
		stores = append(stores, r)
	}
	return stores
}

// joined returns the stores for puts and for the look-ups before them. Without routers
// it enters the DHT first; with routers the DHT is entered when it is asked, so that
// the routers do not wait for it.
func (s *state) joined(ctx context.Context) ([]dht.Store, error) {
	c, err := s.home.Config()
	if err != nil {
		return nil, err
	}
	if len(c.Routers) > 0 {
		return s.sources(&lazyNetwork{state: s}), nil
	}
	network, err := s.network(ctx)
	if err != nil {
		return nil, err
	}
	return []dht.Store{network}, nil
}

// maxContactAge is how long the record of a contact is used without a request, whatever
// its TTL: so soon the rotation of its key is noticed.
const maxContactAge = defaultTTL

func (s *state) resolver(stores ...dht.Store) *dht.Resolver {
	return &dht.Resolver{Stores: stores, Home: s.records, Now: s.now, OnExpired: func(peer string, r pointer.Record) { s.expired.add(peer, r.Expires(), s.now()) },
		AgeBound: func(p pointer.Pointer) time.Duration {
			if _, err := s.book.ByPointer(p); errors.Is(err, petname.ErrNotFound) {
				return 0
			}
			return maxContactAge
		}}
}

// tryRouters checks all routers at the same time, and returns the errors.
func (s *state) tryRouters(ctx context.Context, c home.Config) []error {
	routers, err := s.routers(c)
	if err != nil {
		return []error{err}
	}
	ctx, cancel := context.WithTimeout(ctx, s.joinTimeout)
	defer cancel()
	answers := make([]chan error, len(routers))
	for i, r := range routers {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- r.Check(ctx) }()
	}
	var failed []error
	for _, answer := range answers {
		if err := <-answer; err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}
