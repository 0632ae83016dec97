package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/boxo/path"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// PublishArgs are the arguments of publish.
type PublishArgs struct {
	Path       string        `json:"path"` // empty: keep the last one
	TTL        time.Duration `json:"ttl"`
	Lifetime   time.Duration `json:"lifetime"`
	Wait       string        `json:"wait"` // none, some, all
	Addresses  bool          `json:"addresses"`
	V1         bool          `json:"v1"`
	Passphrase string        `json:"passphrase,omitempty"`
}

// Published is the result of publish.
type Published struct {
	Pointer     string    `json:"pointer"`
	Value       string    `json:"value"`
	Sequence    uint64    `json:"sequence"`
	Expires     time.Time `json:"expires"`
	TTL         float64   `json:"ttl"` // seconds
	Asked       int       `json:"asked"`
	Stored      int       `json:"stored"`
	Refused     int       `json:"refused"`
	Unreachable int       `json:"unreachable"`
	Confirmed   int       `json:"confirmed"`       // gave it back when asked anew; 0 unless waited for all
	Doubt       string    `json:"doubt,omitempty"` // why those who stored it may be one attacker
	Took        float64   `json:"took"`            // seconds
	Edges       []string  `json:"edges,omitempty"`
	Former      []string  `json:"former,omitempty"`   // earlier pointers of mine whose last record was stored again
	Stranded    []string  `json:"stranded,omitempty"` // those whose last record nobody stored: who looks there isn't led on
}

const (
	maxPath     = 4 << 10 // bytes: it stands in a record twice, beside the card
	maxLifetime = 365 * 24 * time.Hour
	lookTimeout = 4 * time.Second // to look for a newer record of mine before publishing
	tailTimeout = time.Minute     // to go on storing after --wait none

	// sealingAge is when sealing keys are replaced: so long after it was read, a
	// letter that somebody kept can be opened by who gets at this home.
	sealingAge = 30 * 24 * time.Hour
)

func (a PublishArgs) check() error {
	if len(a.Path) > maxPath {
		return Usage("path of %d bytes: at most %d fit", len(a.Path), maxPath)
	}
	if a.Path != "" {
		if _, err := path.NewPath(a.Path); err != nil {
			return Usage("path %q: %v", a.Path, err).With("a content path starts with /ipfs/ or /ipns/")
		}
	}
	if a.Lifetime <= 0 || a.Lifetime > maxLifetime {
		return Usage("lifetime %s: must be over 0 and at most %s", a.Lifetime, maxLifetime)
	}
	if a.TTL < 0 || a.TTL > a.Lifetime {
		return Usage("TTL %s: must be between 0 and the lifetime, %s", a.TTL, a.Lifetime)
	}
	switch a.Wait {
	case "none", "some", "all":
		return nil
	}
	return Usage("--wait %q: is none of none, some, all", a.Wait)
}

// Publish signs a new record of mine, keeps it, and stores it in the network.
func (e *Engine) Publish(ctx context.Context, a PublishArgs) (*Published, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	e.publish.Lock()
	defer e.publish.Unlock()
	began := time.Now()
	identity, err := e.identity()
	if err != nil {
		return nil, err
	}
	key, err := identity.Key(a.Passphrase)
	if err != nil {
		return nil, err
	}
	card, err := e.card(identity, a.Addresses)
	if err != nil {
		return nil, err
	}
	stores, offline := e.joined(ctx)
	if offline != nil && Classify(offline).Exit != ExitNetwork {
		return nil, offline // nothing that waiting would mend: use up no sequence
	}
	last, err := e.lastAnywhere(ctx, stores, offline)
	if err != nil {
		return nil, err
	}
	if a.Path == "" {
		a.Path = last.Value
	}
	fields := pointer.Fields{Value: a.Path, Sequence: last.Sequence + 1, Expires: time.Now().Add(a.Lifetime).Truncate(time.Second),
		TTL: a.TTL, Card: &card, V1: a.V1}
	// What can't be signed must use up no sequence, and what is signed must
	// never share one: sign, note the sequence for good, then let it out.
	record, err := pointer.Sign(key, fields)
	if err != nil {
		return nil, err
	}
	if err := e.book.Reserve(petname.Published{Value: record.Value(), Sequence: record.Sequence()}); err != nil {
		return nil, err
	}
	out := &Published{Pointer: key.Pointer().String(), Value: record.Value(), Sequence: record.Sequence(),
		Expires: record.Expires(), TTL: record.TTL().Seconds()}
	for label := range card.Edges {
		out.Edges = append(out.Edges, label)
	}
	slices.Sort(out.Edges)
	if _, err := e.records.Put(ctx, record.Pointer(), record.Bytes()); err != nil {
		return out, err
	}
	if a.Wait == "none" {
		out.Took = time.Since(began).Seconds()
		e.storeLater(record, identity)
		return out, nil
	}
	if offline != nil {
		return out, unsent(offline, 0)
	}
	resolver := e.resolver(stores...)
	put := resolver.Publish
	if a.Wait == "all" {
		put = resolver.PublishAll
	}
	receipt, err := put(ctx, record)
	out.Confirmed, out.Doubt = receipt.Confirmed, receipt.Doubt()
	e.notePut(record, receipt, a.Wait == "all", err)
	out.Asked, out.Stored, out.Refused, out.Unreachable = receipt.Asked, receipt.Stored, receipt.Refused, receipt.Unreachable
	out.Took = time.Since(began).Seconds()
	out.Former, out.Stranded = e.putFormer(ctx, identity, stores)
	e.settle(ctx)
	if err == nil && a.Wait == "all" && receipt.Refused > 0 {
		// The unreachable are no failure: on a large network a quarter of all is.
		err = &dht.ShortError{Receipt: receipt, Want: receipt.Asked}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return out, unsent(err, receipt.Stored)
	}
	return out, nil
}

// settleTimeout bounds how long a verb that is done holds on for the copies
// that are still on their way: the network promises most, and tries for all.
const settleTimeout = 3 * time.Second

// settle waits for puts that go on in the background, which would end with this
// process. A node lives on, and doesn't.
func (e *Engine) settle(ctx context.Context) {
	e.mu.Lock()
	network, serving := e.network, e.serving
	e.mu.Unlock()
	if network == nil || serving {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, e.settles)
	defer cancel()
	_ = network.Wait(ctx) // fewer copies than there could be: what was promised is there
}

// unsent says of a failed publication that nothing is lost.
func unsent(err error, stored int) error {
	c := *Classify(err)
	var short *dht.ShortError
	switch {
	case errors.As(err, &short):
		c.Message = short.Error()
	case errors.Is(err, dht.ErrUnreachable):
		c.Message = "nobody could be reached"
	}
	if said := routersSaid(err); said != "" && !strings.Contains(c.Message, said) {
		c.Message = strings.TrimSuffix(c.Message, "; try again") + ": " + said
	}
	how := "not stored as widely as wanted"
	if stored == 0 {
		how = "stored by nobody yet"
	}
	c.Message = "signed and saved here, but " + how + ": " + strings.TrimPrefix(c.Message, "publish: ")
	if c.Exit == ExitNetwork && c.Code != "not_joined" {
		c.Next = "petname publish"
	}
	return &c
}

// storeLater goes on in the node after a verb that didn't want to wait; a verb
// on its own leaves the record in the home.
func (e *Engine) storeLater(record pointer.Record, id home.Identity) {
	e.mu.Lock()
	serving := e.serving
	e.mu.Unlock()
	if !serving {
		return
	}
	e.tail.Go(func() {
		ctx, cancel := context.WithTimeout(e.life, tailTimeout)
		defer cancel()
		stores, err := e.joined(ctx)
		if err == nil {
			var receipt dht.Receipt
			receipt, err = e.resolver(stores...).Publish(ctx, record)
			e.notePut(record, receipt, false, err)
			e.putFormer(ctx, id, stores)
		}
		if err != nil {
			e.log.Warn("record not stored", "sequence", record.Sequence(), "error", err)
		}
	})
}

// putFormer stores the last records of my earlier pointers again, which lead to
// this one, and says of which, and which of them nobody took.
func (e *Engine) putFormer(ctx context.Context, id home.Identity, stores []dht.Store) (stored, stranded []string) {
	if err := e.keepLast(ctx, id); err != nil {
		e.log.Warn("last record of a former pointer not kept", "error", err)
	}
	for _, s := range id.Succession {
		r, expired, err := e.held(s.Old)
		if err != nil || expired {
			continue
		}
		receipt, err := e.resolver(stores...).Publish(ctx, r)
		if err != nil {
			e.log.Warn("last record of a former pointer not stored as widely as wanted", "error", err)
		}
		if receipt.Stored > 0 {
			stored = append(stored, s.Old.String())
		} else {
			stranded = append(stranded, s.Old.String())
		}
	}
	return stored, stranded
}

// card is what my records say of me.
func (e *Engine) card(id home.Identity, addresses bool) (pointer.Card, error) {
	nickname, err := e.book.Nickname()
	if err != nil {
		return pointer.Card{}, err
	}
	edges, err := e.book.PublicEdges()
	if err != nil {
		return pointer.Card{}, err
	}
	sealing, err := e.home.RenewSealing(time.Now(), sealingAge)
	if err != nil {
		return pointer.Card{}, err
	}
	card := pointer.Card{Nickname: nickname, Next: id.Next, Edges: edges, Sealing: sealing.Public(), Succession: newest(id.Succession)}
	if card.Links, err = e.doorLinks(); err != nil {
		return pointer.Card{}, err
	}
	if !addresses {
		return card, nil
	}
	if card.Nodes, err = e.addresses(); err != nil {
		return pointer.Card{}, err
	}
	return card, nil
}

// newest are the steps of a succession that a card carries: as few as leave room
// for the rest of it. Who is further behind is led on by the last records of the
// keys between.
func newest(chain []pointer.Succession) []pointer.Succession {
	const most = 8
	return chain[max(0, len(chain)-most):]
}

// lastAnywhere is the newest record of mine that anyone knows of: the book, the
// home, or the network, which may have one of another device or of a home that
// was lost since.
func (e *Engine) lastAnywhere(ctx context.Context, stores []dht.Store, offline error) (petname.Published, error) {
	if err := e.lookForOwn(ctx, stores, offline); err != nil {
		return petname.Published{}, err
	}
	last, err := e.lastOwn()
	if err != nil {
		return petname.Published{}, err
	}
	if last.Sequence >= pointer.MaxSequence {
		return petname.Published{}, fmt.Errorf("the last sequence is %d, and there is none above it", last.Sequence)
	}
	return last, nil
}

// lookForOwn asks the network for my newest record: what is found raises the
// floor in the home, which lastOwn reads. The error is that of being interrupted.
func (e *Engine) lookForOwn(ctx context.Context, stores []dht.Store, offline error) error {
	if offline != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if _, err := e.resolver(stores...).Best(ctx, e.book.Identity(), dht.LevelFresh); errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
