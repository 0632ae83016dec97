// Package engine is what the verbs of the command do, over one open home. A
// verb runs in its own process, or, while a node of the same home runs, in the
// node's: the same code either way, behind [Engine.Do].
package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/dht/keep"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/petname/peer/direct"
)

// Engine is a home, open. Close it.
type Engine struct {
	home    home.Home
	book    *petname.Book
	records *dht.Dir
	log     *slog.Logger
	settles time.Duration // bounds settle; settleTimeout, but in tests
	work    int           // scrypt's work factor, log2, for keys that are locked; 0: age's own

	mu      sync.Mutex
	network *kad.Node // nil until it is needed; the node's own while one serves
	serving bool
	own     kad.Config              // what the node serves with; zero: a throw-away client
	clients map[string]routerClient // by URL
	web     *web                    // nil: HTTP isn't served
	began   time.Time               // when it began to
	lastPut *LastPut                // nil: none yet

	post       *peer.Peer      // nil until it is needed
	lost       error           // the notice of messages of an older version that could not be read; nil: none
	wake       chan<- struct{} // has a node look after its invitations; nil: no node
	resting    direct.Resting  // whom nobody could be reached at a moment ago
	aside      *kad.Node       // a node's client with a throw-away peer key; nil until it is needed
	asideOf    *kad.Node       // the network that it was made beside
	asideSince time.Time
	progress   func(answered, of int) // of a knock's work; nil: nobody is told

	keeper     *keep.Keeper // nil: no node
	passphrase string       // of the identity; empty: the node has none

	publish sync.Mutex     // one publication at a time: sequences are taken in turn
	runs    sync.WaitGroup // what a node does until it is told to end
	running context.Context
	stop    context.CancelFunc
	tail    sync.WaitGroup  // what goes on after its verb returned, and is let end
	life    context.Context // ends with Close
	end     context.CancelFunc
}

// Open opens the home in dir, waiting up to wait for another process that has
// its book.
func Open(dir string, wait time.Duration) (*Engine, error) {
	h, err := home.Open(dir)
	if err != nil {
		return nil, err
	}
	book, err := h.Book(wait)
	if err != nil {
		return nil, err
	}
	records, err := h.Records()
	if err != nil {
		return nil, errors.Join(err, book.Close())
	}
	e := &Engine{home: h, book: book, records: records, log: slog.New(slog.DiscardHandler), settles: settleTimeout}
	e.life, e.end = context.WithCancel(context.Background())
	e.running, e.stop = context.WithCancel(e.life)
	if h.Older() {
		_, _ = e.presence() // what fails is reported by each verb that needs it, and by the doctor
	}
	return e, nil
}

// Notice returns the notice of an open that could not read all messages of an
// older version, nil if there is none.
func (e *Engine) Notice() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

// LogTo sets where to log; it is called before anything else.
func (e *Engine) LogTo(l *slog.Logger) { e.log = l }

// SetWorkFactor sets scrypt's work factor, log2, for keys that are locked; it is
// called before anything else. 0, the default, is age's own.
func (e *Engine) SetWorkFactor(log2 int) { e.work = log2 }

// Close ends the network, then closes the book. What is being stored has 3
// seconds to get done; what isn't is in the home, and is stored another time.
func (e *Engine) Close() error {
	e.stop()
	e.closeWeb()
	e.runs.Wait()
	err := e.closePost()
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	late := context.AfterFunc(ctx, e.end)
	e.tail.Wait()
	late()
	e.end()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, router := range e.clients {
		_ = router.Close() // idle connections; there is nothing to lose
	}
	if e.network != nil {
		// A put returns when enough have confirmed; let the last of the closest
		// peers get the record as well. A verb on its own has seen to that, and
		// whoever resolved a name isn't kept waiting for the peers that are silent.
		if e.serving {
			_ = e.network.Wait(ctx)
		}
		err = errors.Join(err, e.network.Close())
		e.network = nil
	}
	return errors.Join(err, e.book.Close())
}

// ops are the verbs that work on an open home. Each takes its own type of
// arguments and gives its own type of result, both as JSON.
var ops = map[string]func(e *Engine, ctx context.Context, args json.RawMessage) (any, error){
	"id":      op((*Engine).ID),
	"add":     op((*Engine).Add),
	"list":    op((*Engine).List),
	"find":    op((*Engine).Find),
	"show":    op((*Engine).Show),
	"whois":   op((*Engine).Whois),
	"why":     op((*Engine).Why),
	"rename":  op((*Engine).Rename),
	"rm":      op((*Engine).Rm),
	"undo":    op((*Engine).Undo),
	"log":     op((*Engine).Log),
	"public":  op((*Engine).Public),
	"share":   op((*Engine).Share),
	"unshare": op((*Engine).Unshare),
	"kept":    op((*Engine).ListKept),
	"keep":    op((*Engine).Keep),
	"unkeep":  op((*Engine).Unkeep),
	"rotate":  op((*Engine).Rotate),
	"publish": op((*Engine).Publish),
	"resolve": op((*Engine).Resolve),
	"export":  op((*Engine).Export),
	"inspect": op((*Engine).Inspect),
	"put":     op((*Engine).Put),
	"join":    op((*Engine).Join),
	"status":  op((*Engine).Status),
	"doctor":  op((*Engine).Doctor),

	"inbox":     op((*Engine).Inbox),
	"accept":    op((*Engine).Accept),
	"decline":   op((*Engine).Decline),
	"knock":     op((*Engine).Knock),
	"unknock":   op((*Engine).StopKnocking),
	"introduce": op((*Engine).Introduce),
	"retract":   op((*Engine).Retract),
	"dispute":   op((*Engine).Dispute),
	"deny":      op((*Engine).Deny),
	"proof":     op((*Engine).Proof),
	"invite":    op((*Engine).Invite),
	"await":     op((*Engine).Await),
	"pair":      op((*Engine).Pair),
	"suggest":   op((*Engine).Suggest),
}

func op[A, R any](fn func(*Engine, context.Context, A) (R, error)) func(*Engine, context.Context, json.RawMessage) (any, error) {
	return func(e *Engine, ctx context.Context, raw json.RawMessage) (any, error) {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return fn(e, ctx, args)
	}
}

// Do runs one verb. A result may come beside an error: what was found out
// before it went wrong. A nil result is none.
func (e *Engine) Do(ctx context.Context, verb string, args json.RawMessage) (json.RawMessage, *Error) {
	fn, ok := ops[verb]
	if !ok {
		return nil, Usage("no such operation: %q", verb)
	}
	result, err := fn(e, ctx, args)
	switch verb {
	case "publish", "rm", "undo":
		e.wakeKeeper()
	}
	switch verb {
	case "rm", "undo", "rotate", "accept": // what somebody alone may read can have changed
		e.wakePost()
	}
	if c := Classify(err); c != nil && (errors.Is(err, context.Canceled) || c.Code == "network") {
		switch {
		case errors.Is(ctx.Err(), context.Canceled): // whatever the network made of it
			return nil, &Error{Code: "interrupted", Message: "interrupted", Exit: ExitInterrupted}
		case c.Exit == ExitInterrupted: // nobody interrupted this verb
			err = &Error{Code: "network", Exit: ExitNetwork, Message: "the network was left, or changed, meanwhile", Next: "try again"}
		}
	}
	var raw json.RawMessage
	if result != nil {
		b, merr := json.Marshal(result)
		if merr != nil {
			return nil, Classify(errors.Join(err, merr))
		}
		if string(b) != "null" {
			raw = b
		}
	}
	return raw, Classify(err)
}

// joinTimeout bounds how long entering a network may hold up a verb.
const joinTimeout = 5 * time.Second

// errOff is a verb that needs a network that was never joined.
func errOff() *Error {
	return &Error{Code: "not_joined", Exit: ExitNetwork, Message: "no network is joined",
		Next: "petname join --help"}
}

// store gives the network, entering it first when no verb did yet.
func (e *Engine) store(ctx context.Context) (*kad.Node, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.network != nil {
		return e.network, nil
	}
	c, err := e.home.Config()
	if err != nil {
		return nil, err
	}
	if c.Network == "off" {
		return nil, errOff()
	}
	// A verb on its own uses a throw-away peer key: who looks up whom is
	// nobody's business.
	n, err := e.enter(ctx, c, e.own)
	if err != nil {
		return nil, err
	}
	e.network = n
	return n, nil
}

// enter starts a node and dials the network's peers, for a bounded time.
func (e *Engine) enter(ctx context.Context, c home.Config, k kad.Config) (*kad.Node, error) {
	k.Network, k.Bootstrap, k.Logger = kadNetwork(c.Network), c.Bootstrap, e.log
	k.Discover = c.Network == "lan"
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	return kad.Start(ctx, k)
}

func kadNetwork(name string) kad.Network {
	if name == "ipfs" {
		return kad.IPFS
	}
	return kad.LAN
}

func (e *Engine) resolver(stores ...dht.Store) *dht.Resolver {
	return &dht.Resolver{Stores: stores, Home: e.records}
}
