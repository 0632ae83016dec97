package engine

import (
	"context"
	"crypto"
	"crypto/hpke"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/petname/peer/direct"
	"github.com/petnames-go/petnames/pointer"
)

const (
	syncTimeout = 30 * time.Second // to fetch, for a verb that was asked to
	syncEvery   = 5 * time.Minute  // by a node
	stepEvery   = 3 * time.Second  // likewise, while an invitation is out
	wakeRest    = time.Second      // at least, between two times that others made it fetch
	sendTimeout = 20 * time.Second
	asideLife   = time.Hour // of a throw-away peer key: what is fetched under one can be put together by who is asked
)

// presence is what carries messages, opened when it is first needed.
func (e *Engine) presence() (*peer.Peer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.post != nil {
		return e.post, nil
	}
	// Letters lie in the network under pointers that nobody can tell whose they
	// are: who carries them there is not to be told by a peer key, either.
	letters := &letters{engine: e}
	lost, err := e.home.TakeOver(e.book, peer.TakeRow)
	if err != nil {
		return nil, err
	}
	if lost != nil {
		e.lost = lost
	}
	e.post = peer.Open(peer.Config{Book: e.book, Records: &cards{engine: e}, Store: letters, Me: e.me, Direct: e.directly, Wake: e.wakePost, Sealing: e.sealing,
		Strangers: e.strangers})
	return e.post, nil
}

// sealing gives the keys that letters are opened with. Those whose time is over
// are erased on the way: a home that never publishes has to, too.
func (e *Engine) sealing() ([]hpke.PrivateKey, error) {
	read := e.home.Sealing
	if e.publish.TryLock() { // or else a publication is about to replace them
		defer e.publish.Unlock()
		read = func() (home.Sealing, error) { return e.home.EraseSealing(time.Now()) }
	}
	s, err := read()
	return s.All(), err
}

// cards finds the cards of contacts, in the networks that are joined. Who looks for
// all of somebody's friends, time and again, is not to be told by a peer key: they
// are looked for as letters are.
type cards struct{ engine *Engine }

func (c *cards) Best(ctx context.Context, p pointer.Pointer, level dht.Level) (dht.Result, error) {
	return c.engine.resolver(&letters{engine: c.engine}).Best(ctx, p, level)
}

// letters are all stores that are joined, as one, reached without the node's
// own peer key.
type letters struct{ engine *Engine }

func (l *letters) stores(ctx context.Context) ([]dht.Store, error) {
	e := l.engine
	c, err := e.home.Config()
	if err != nil {
		return nil, err
	}
	routers, err := e.routers(c)
	if err != nil {
		return nil, err
	}
	var stores []dht.Store
	for _, r := range routers {
		stores = append(stores, r)
	}
	if c.Network != "off" {
		network, err := e.nameless(ctx, c)
		if err != nil && len(stores) == 0 {
			return nil, fmt.Errorf("%w: %w", dht.ErrUnreachable, err)
		}
		if err == nil {
			stores = append(stores, network)
		}
	}
	if len(stores) == 0 {
		return nil, errOff()
	}
	return stores, nil
}

func (l *letters) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return l.GetAt(ctx, p, dht.LevelFresh)
}

// GetAt asks each store no further than it has to for a level.
func (l *letters) GetAt(ctx context.Context, p pointer.Pointer, level dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		stores, err := l.stores(ctx)
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, err)
			return
		}
		for i, s := range stores {
			if seeker, ok := s.(dht.Seeker); ok {
				stores[i] = at{seeker, level}
			}
		}
		dht.All(stores).Get(ctx, p)(yield)
	}
}

// at is a store that is asked for one level.
type at struct {
	dht.Seeker
	level dht.Level
}

func (a at) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return a.GetAt(ctx, p, a.level)
}

func (l *letters) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	stores, err := l.stores(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	return dht.All(stores).Put(ctx, p, record)
}

// directly gives the shelf of who is at some addresses.
func (e *Engine) directly(addresses [][]byte) dht.Store {
	return direct.Dial(func(ctx context.Context) (host.Host, error) {
		c, err := e.home.Config()
		if err != nil {
			return nil, err
		}
		if c.Network == "off" {
			return nil, errOff()
		}
		network, err := e.nameless(ctx, c)
		if err != nil {
			return nil, err
		}
		return network.Host(), nil
	}, addresses, &e.resting)
}

// serveDirect lets others hand over what they have for me, now that a node can
// be reached.
func (e *Engine) serveDirect() {
	e.mu.Lock()
	serving, network := e.serving, e.network
	e.mu.Unlock()
	if !serving || network == nil {
		return
	}
	p, err := e.presence()
	if err != nil {
		e.log.Warn("letters", "error", err)
		return
	}
	direct.Serve(network.Host(), p.Counter())
}

// nameless is the network under a peer key that is thrown away: the verb's own,
// or, beside a node, a client for itself.
func (e *Engine) nameless(ctx context.Context, c home.Config) (*kad.Node, error) {
	e.mu.Lock()
	serving, network := e.serving, e.network
	e.mu.Unlock()
	if !serving {
		return e.store(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.aside != nil && e.asideOf == network && time.Since(e.asideSince) < asideLife {
		return e.aside, nil
	}
	if old := e.aside; old != nil {
		e.aside = nil
		e.tail.Go(func() { // somebody may still be using it
			select {
			case <-time.After(syncTimeout):
			case <-e.running.Done():
			}
			_ = old.Close()
		})
	}
	if network == nil {
		return nil, dht.ErrUnreachable
	}
	// The node knows a way in, whoever else is gone.
	c.Bootstrap = append(network.Addrs(), c.Bootstrap...)
	aside, err := e.enter(ctx, c, kad.Config{})
	if err != nil {
		return nil, err
	}
	e.aside, e.asideOf, e.asideSince = aside, network, time.Now()
	return aside, nil
}

// send brings a statement on its way to a contact, and says how far it came.
func (e *Engine) send(ctx context.Context, key crypto.Signer, to petname.Contact, signed []byte, sent *string) error {
	p, err := e.presence()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	how, err := p.Send(ctx, key, to.Pointer, signed)
	if how == "" {
		err = noCard(err, fmt.Sprintf("%q has", to.Name))
	}
	return e.sent(how, err, sent)
}

// noCard says of whom there is no card in the network what that means here.
func noCard(err error, who string) error {
	if !errors.Is(err, dht.ErrNotFound) {
		return err
	}
	return &Error{Code: "no_card", Exit: ExitNotFound, Message: who + " published nothing yet, so there is no key to seal a message with",
		Next: "ask them to publish, or pair with them; an introduction can go as a file, too: -o FILE"}
}

func (e *Engine) sent(how peer.Sent, err error, sent *string) error {
	*sent = string(how)
	if how != peer.Queued {
		return err
	}
	if err == nil {
		err = dht.ErrUnreachable
	}
	c := *Classify(err)
	c.Code, c.Exit = "queued", ExitNetwork
	c.Message = "kept, and not on its way yet: " + c.Message
	c.Next = "petname inbox tries again, and so does a running node"
	return &c
}

// Fetch is the result of fetching.
type Fetch struct {
	Network  string `json:"network"`  // "ok", "off" or "unreachable"
	Polled   int    `json:"polled"`   // contacts whose letters were looked for
	Fresh    int    `json:"fresh"`    // suggestions that are new
	Refused  int    `json:"refused"`  // messages that were not taken
	Waiting  int    `json:"waiting"`  // messages of mine that nobody has fetched yet
	Knocking int    `json:"knocking"` // doors of strangers that this home goes on knocking at
	Lost     uint64 `json:"lost"`     // messages to me that can't come any more
	Problem  string `json:"problem"`  // why not all could be looked at; empty: all were
}

// fetch gets what others left for me, and brings on its way what is due.
func (e *Engine) fetch(ctx context.Context, passphrase string, strangers bool) (*Fetch, error) {
	c, err := e.home.Config()
	if err != nil {
		return nil, err
	}
	if c.Network == "off" && len(c.Routers) == 0 {
		return &Fetch{Network: "off"}, nil
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	key, err := e.unlock(passphrase)
	if errors.Is(err, home.ErrLocked) {
		key = nil // what comes is acknowledged another time
	} else if err != nil {
		return nil, err
	}
	report, err := p.Sync(ctx, key)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	if strangers {
		if err := e.lookOutside(ctx, p, &report); err != nil {
			return nil, err
		}
	}
	out := &Fetch{Network: "ok", Polled: report.Polled, Fresh: len(report.Fresh), Refused: len(report.Refused), Knocking: report.Knocking, Lost: report.Lost}
	for _, n := range report.Waiting {
		out.Waiting += n
	}
	for _, r := range report.Refused {
		e.log.Info("message refused", "by", r.By, "reason", r.Err)
	}
	if failed := errors.Join(append(report.Errs, err)...); failed != nil {
		e.log.Info("not all letters could be looked for", "error", failed)
		out.Problem = name.Clean(Classify(failed).Message)
		if report.Polled == 0 {
			out.Network = "unreachable"
		}
	}
	return out, nil
}

// startPost has the node fetch now and then, and look after the invitations that
// are out, until the engine closes.
func (e *Engine) startPost() {
	wake := make(chan struct{}, 1)
	e.mu.Lock()
	e.wake = wake
	e.mu.Unlock()
	e.runs.Go(func() {
		fetch, step := time.NewTicker(syncEvery), time.NewTicker(stepEvery)
		soon := time.NewTimer(0) // at once, first
		defer fetch.Stop()
		defer step.Stop()
		defer soon.Stop()
		var rested time.Time // until when nobody's knocking is answered
		look := func() {
			began := time.Now()
			e.fetchQuietly()
			rested = time.Now().Add(min(max(wakeRest, 4*time.Since(began)), syncTimeout))
		}
		for {
			select {
			case <-fetch.C:
				look()
			case <-step.C:
			case <-soon.C:
				look()
			case <-wake: // something came, or an invitation went out
				soon.Reset(time.Until(rested))
			case <-e.running.Done():
				return
			}
			if err := e.stepInvitations(e.running); err != nil && e.running.Err() == nil {
				e.log.Info("invitations", "error", err)
			}
		}
	})
}

func (e *Engine) fetchQuietly() {
	ctx, cancel := context.WithTimeout(e.running, syncTimeout)
	defer cancel()
	if _, err := e.fetch(ctx, "", false); err != nil && e.running.Err() == nil {
		e.log.Warn("letters", "error", err)
	}
}

// wakePost has the node look after its invitations at once.
func (e *Engine) wakePost() {
	e.mu.Lock()
	wake := e.wake
	e.mu.Unlock()
	select {
	case wake <- struct{}{}:
	default: // there is no node, or it is about to
	}
}

// closePost ends what carries messages.
func (e *Engine) closePost() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var err error
	if e.aside != nil {
		err = errors.Join(err, e.aside.Close())
		e.aside = nil
	}
	return err
}
