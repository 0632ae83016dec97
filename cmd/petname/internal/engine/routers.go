package engine

import (
	"context"
	"strings"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/home"
)

// routerClient is one router; a [*delegated.Client], except in tests.
type routerClient interface {
	dht.Seeker
	Check(context.Context) error
	Close() error
}

// routers are the clients of the routers that were joined. They are kept, and
// their connections with them, for the verbs to come.
func (e *Engine) routers(c home.Config) ([]routerClient, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []routerClient
	for _, url := range c.Routers {
		router, ok := e.clients[url]
		if !ok {
			client, err := delegated.NewClient(url)
			if err != nil {
				return nil, err
			}
			router = client
			if e.clients == nil {
				e.clients = map[string]routerClient{}
			}
			e.clients[url] = router
		}
		out = append(out, router)
	}
	return out, nil
}

// withoutDHT is whether routers are all that there is to ask: no DHT was joined,
// and nobody has joined ours.
func (e *Engine) withoutDHT(c home.Config) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.Network == "off" && len(c.Routers) > 0 && (e.network == nil || e.network.Peers() == 0)
}

// sources is what a look-up asks at once: the DHT and every router. What is
// wrong with the configuration is told by the DHT, when it is asked: the home's
// own answers need none.
func (e *Engine) sources(network *lazyNetwork) []dht.Store {
	stores := []dht.Store{network}
	c, err := e.home.Config()
	if err != nil {
		return stores
	}
	routers, err := e.routers(c)
	if err != nil {
		return stores
	}
	if e.withoutDHT(c) {
		stores = nil
	}
	for _, r := range routers {
		stores = append(stores, r)
	}
	return stores
}

// joined is where records are put, and looked for before that. Without routers
// it has entered the DHT; beside routers that waits until it is asked, so that
// nobody waits for the other.
func (e *Engine) joined(ctx context.Context) ([]dht.Store, error) {
	c, err := e.home.Config()
	if err != nil {
		return nil, err
	}
	if len(c.Routers) > 0 {
		return e.sources(&lazyNetwork{engine: e}), nil
	}
	network, err := e.store(ctx)
	if err != nil {
		return nil, err
	}
	return []dht.Store{network}, nil
}

// tryRouters asks each router, all at once, whether it is there.
func (e *Engine) tryRouters(ctx context.Context, c home.Config) []error {
	routers, err := e.routers(c)
	if err != nil {
		return []error{err}
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
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

func (e *Engine) doctorRouters(ctx context.Context, c home.Config, add func(name, good string, problems ...string)) {
	if len(c.Routers) > 0 {
		add("routers", "all answer", texts(e.tryRouters(ctx, c))...)
	}
}

// routersSaid is what routers gave as reasons in an error, "" if none did.
func routersSaid(err error) string {
	var said []string
	var walk func(error)
	walk = func(err error) {
		if e, ok := err.(*delegated.RouterError); ok {
			said = append(said, e.Error())
			return
		}
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, err := range e.Unwrap() {
				walk(err)
			}
		}
	}
	walk(err)
	return strings.Join(said, "; ")
}
