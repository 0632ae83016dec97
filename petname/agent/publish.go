package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/boxo/path"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// Wait is how many of the closest peers a publication waits for.
type Wait int

const (
	WaitSome Wait = iota // three quarters, at most 15
	WaitAll              // each that can be reached; then the record is looked for, to count the peers that return it
	WaitNone             // none: the record is signed and in the home, and an agent that runs stores it afterwards
)

const (
	// DefaultTTL and DefaultLifetime are those of a [Draft].
	DefaultTTL      = 5 * time.Minute
	DefaultLifetime = 48 * time.Hour

	// MaxLifetime bounds the lifetime of a record.
	MaxLifetime = 365 * 24 * time.Hour

	maxValue      = 4 << 10         // bytes: it stands in a record twice, beside the card
	lookTimeout   = 4 * time.Second // to look for a newer record before publishing
	tailTimeout   = time.Minute     // to continue storing after WaitNone
	settleTimeout = 3 * time.Second // to wait for the copies that are still under way

	// sealingAge is the age at which sealing keys are replaced. Former keys are kept
	// for [home.SealingRetention], so a stolen home decrypts a message for up to the
	// sum of the two after it was read.
	sealingAge = 30 * 24 * time.Hour
)

// Draft is what a publication says and how it is made.
type Draft struct {
	Value     string        // a content path, /ipfs/… or /ipns/…; at first the one that was published last
	TTL       time.Duration // how long others may cache the record
	Lifetime  time.Duration // how long it is valid
	Addresses bool          // put the node's network addresses into the card, for everybody
	V1        bool          // sign in the old way too, for readers from before 2021
	Wait      Wait
}

func (d Draft) check() error {
	if len(d.Value) > maxValue {
		return &ArgumentError{"value", fmt.Sprintf("path of %d bytes: at most %d fit", len(d.Value), maxValue)}
	}
	if d.Value != "" {
		if _, err := path.NewPath(d.Value); err != nil {
			return &ArgumentError{"path", fmt.Sprintf("path %q: %v", d.Value, err)}
		}
	}
	if d.Lifetime <= 0 || d.Lifetime > MaxLifetime {
		return &ArgumentError{"lifetime", fmt.Sprintf("lifetime %s: must be over 0 and at most %s", d.Lifetime, MaxLifetime)}
	}
	if d.TTL < 0 || d.TTL > d.Lifetime {
		return &ArgumentError{"ttl", fmt.Sprintf("TTL %s: must be between 0 and the lifetime, %s", d.TTL, d.Lifetime)}
	}
	return nil
}

// Published is a publication. Beside an error, a Sequence that is not 0 says that
// the record is signed and in the home all the same.
type Published struct {
	Pointer  pointer.Pointer
	Value    string
	Sequence uint64
	Expires  time.Time
	TTL      time.Duration
	Edges    []string          // labels of the public edges in the card
	Receipt  dht.Receipt       // zero with WaitNone
	Former   []pointer.Pointer // earlier pointers of the owner; their last records were stored again
	Stranded []pointer.Pointer // those with a last record that no peer stored: look-ups there are not led on
	Took     time.Duration
}

// Publish signs a new record, stores it in the home and then in the networks that
// were joined. It is [Agent.PublishDraft] with the receipt alone.
func (a *Agent) Publish(ctx context.Context, edit func(*Draft) error) (dht.Receipt, error) {
	p, err := a.PublishDraft(ctx, edit)
	return p.Receipt, err
}

// PublishDraft looks for the newest record of the owner, has edit change its
// draft, signs it under the next sequence, stores it in the home and then in the
// networks. So two writers never erase each other: edit is called again when the
// network has a newer value than the home; it must not publish or rotate by
// itself. A nil edit publishes the last value anew.
//
// It fails with [home.ErrLocked], with an [*ArgumentError] for a draft that
// cannot be published, with what edit returns, or with a [*SupersededError] when edit
// keeps the value and there are two, before anything has changed; and with an
// [*UnsavedError] when the home cannot store the record.
// After that the record is in the home, whatever the error: [ErrNotJoined] before
// Join, [dht.ErrUnreachable] when no store responded, or a [*dht.ShortError].
func (a *Agent) PublishDraft(ctx context.Context, edit func(*Draft) error) (Published, error) {
	return a.publishDraft(ctx, edit, false)
}

// publishDraft is PublishDraft; renewing, the newest value stays whatever the owner has
// to decide.
func (a *Agent) publishDraft(ctx context.Context, edit func(*Draft) error, renewing bool) (Published, error) {
	if err := ctx.Err(); err != nil {
		return Published{}, err
	}
	if edit == nil {
		edit = func(*Draft) error { return nil }
	}
	last, err := a.lastOwn()
	if err != nil {
		return Published{}, err
	}
	draft, err := drafted(last.Value, edit)
	if err != nil {
		return Published{}, err
	}
	a.publishing.Lock()
	defer a.publishing.Unlock()
	defer a.wakeRepublisher()
	began := time.Now()
	identity, err := a.identity()
	if err != nil {
		return Published{}, err
	}
	key, err := a.key()
	if err != nil {
		return Published{}, err
	}
	card, err := a.card(identity, draft.Addresses)
	if err != nil {
		return Published{}, err
	}
	stores, offline := a.joined(ctx)
	if offline != nil && !isNetwork(offline) {
		return Published{}, offline // nothing that waiting would mend: use up no sequence
	}
	base := last.Value
	if last, err = a.newestOwn(ctx, stores, offline); err != nil {
		return Published{}, err
	}
	if err := a.superseded(last); err != nil && !renewing {
		if draft, err = decide(err, edit); err != nil {
			return Published{}, err
		}
	} else if last.Value != base {
		if draft, err = drafted(last.Value, edit); err != nil {
			return Published{}, err
		}
	}
	// What can't be signed must use up no sequence, and what is signed must
	// never share one: sign, note the sequence for good, then let it out.
	record, err := pointer.Sign(key, pointer.Fields{Value: draft.Value, Sequence: last.Sequence + 1,
		Expires: a.now().Add(draft.Lifetime).Truncate(time.Second), TTL: draft.TTL, Card: &card, V1: draft.V1})
	if err != nil {
		return Published{}, err
	}
	if err := a.reserve(record, draft.Value != last.Value, renewing); err != nil {
		return Published{}, err
	}
	out := Published{Pointer: record.Pointer(), Value: record.Value(), Sequence: record.Sequence(), Expires: record.Expires(), TTL: record.TTL()}
	for label := range card.Edges {
		out.Edges = append(out.Edges, label)
	}
	slices.Sort(out.Edges)
	if _, err := a.records.Put(ctx, record.Pointer(), record.Bytes()); err != nil {
		return Published{}, &UnsavedError{record.Sequence(), err}
	}
	if draft.Wait == WaitNone {
		out.Took = time.Since(began)
		a.storeLater(record, identity)
		return out, nil
	}
	if offline != nil {
		return out, offline
	}
	resolver := a.resolver(stores...)
	put := resolver.Publish
	if draft.Wait == WaitAll {
		put = resolver.PublishAll
	}
	out.Receipt, err = put(ctx, record)
	a.noteSent(record, out.Receipt, err)
	a.notePut(record, out.Receipt, draft.Wait == WaitAll, err)
	out.Took = time.Since(began)
	out.Former, out.Stranded = a.putFormer(ctx, identity, stores)
	a.settle(ctx)
	if err == nil && draft.Wait == WaitAll && out.Receipt.Refused > 0 {
		// The unreachable are no failure: on a large network a quarter of all is.
		err = &dht.ShortError{Receipt: out.Receipt, Want: out.Receipt.Asked}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

func drafted(value string, edit func(*Draft) error) (Draft, error) {
	d := Draft{Value: value, TTL: DefaultTTL, Lifetime: DefaultLifetime}
	if err := edit(&d); err != nil {
		return Draft{}, err
	}
	return d, d.check()
}

// settle waits for puts that continue in the background, which would end with
// this process: the network promises most copies, and tries for all. An agent
// that serves lives on, and does not wait.
func (s *state) settle(ctx context.Context) {
	s.mu.Lock()
	node, serving := s.node, s.serving
	s.mu.Unlock()
	if node == nil || serving {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.settles)
	defer cancel()
	_ = node.Wait(ctx) // fewer copies than there could be: what was promised is there
}

// storeLater stores a record after its publication returned. Only an agent that
// serves does; for others the record stays in the home.
func (a *Agent) storeLater(record pointer.Record, id home.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	life := a.life
	if !a.serving {
		return
	}
	a.later(func() {
		ctx, cancel := context.WithTimeout(life, tailTimeout)
		defer cancel()
		stores, err := a.joined(ctx)
		if err == nil {
			var receipt dht.Receipt
			receipt, err = a.resolver(stores...).Publish(ctx, record)
			a.noteSent(record, receipt, err)
			a.notePut(record, receipt, false, err)
			a.putFormer(ctx, id, stores)
		}
		if err != nil {
			a.log.Warn("record not stored", "sequence", record.Sequence(), "error", err)
		}
	})
}

// putFormer stores the last records of the owner's earlier pointers again, which
// lead to this one. It returns the pointers with a last record that was stored, and
// those with one that no peer stored. A pointer without a valid record in the home is
// in neither.
func (s *state) putFormer(ctx context.Context, id home.Identity, stores []dht.Store) (stored, stranded []pointer.Pointer) {
	if err := s.keepLast(ctx, id); err != nil {
		s.log.Warn("last record of a former pointer not kept", "error", err)
	}
	for _, step := range id.Succession {
		r, expired, err := s.held(step.Old)
		if err != nil || expired {
			continue
		}
		receipt, err := s.resolver(stores...).Publish(ctx, r)
		if err != nil {
			s.log.Warn("last record of a former pointer not stored as widely as wanted", "error", err)
		}
		if receipt.Stored > 0 {
			stored = append(stored, step.Old)
		} else {
			stranded = append(stranded, step.Old)
		}
	}
	return stored, stranded
}

// card makes the card of the owner's next record. It replaces sealing keys that are
// older than sealingAge.
func (s *state) card(id home.Identity, addresses bool) (pointer.Card, error) {
	nickname, err := s.book.Nickname()
	if err != nil {
		return pointer.Card{}, err
	}
	edges, err := s.book.PublicEdges()
	if err != nil {
		return pointer.Card{}, err
	}
	sealing, err := s.home.RenewSealing(s.now(), sealingAge)
	if err != nil {
		return pointer.Card{}, err
	}
	card := pointer.Card{Nickname: nickname, Next: id.Next, Edges: edges, Sealing: sealing.PublicKeys(), Succession: newest(id.Succession)}
	if card.Links, err = s.requestLinks(); err != nil {
		return pointer.Card{}, err
	}
	if !addresses {
		return card, nil
	}
	if card.Nodes, err = s.addresses(); err != nil {
		return pointer.Card{}, err
	}
	return card, nil
}

// newest returns the steps of a succession that a card carries: as few as leave
// room for the rest of it. Followers that are further behind are led on by the
// last records of the keys between.
func newest(chain []pointer.Succession) []pointer.Succession {
	const most = 8
	return chain[max(0, len(chain)-most):]
}

// newestOwn returns the newest record of the owner that anyone knows of: the
// book, the home, or the network, which may have one of another device or of a
// home that was lost since.
func (s *state) newestOwn(ctx context.Context, stores []dht.Store, offline error) (petname.Published, error) {
	if err := s.lookForOwn(ctx, stores, offline); err != nil {
		return petname.Published{}, err
	}
	last, err := s.lastOwn()
	if err != nil {
		return petname.Published{}, err
	}
	if last.Sequence >= pointer.MaxSequence {
		return petname.Published{}, fmt.Errorf("the last sequence is %d, and there is none above it", last.Sequence)
	}
	return last, nil
}

// lookForOwn asks the network for the owner's newest record: what is found raises
// the floor in the home, which lastOwn reads. The error is that of being
// cancelled.
func (s *state) lookForOwn(ctx context.Context, stores []dht.Store, offline error) error {
	if offline != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if _, err := s.resolver(stores...).Best(ctx, s.book.Identity(), dht.LevelFresh); errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// lastOwn returns what the owner last published, by the book and by the record
// that the home holds: either may know more, after a restore from a copy.
func (s *state) lastOwn() (petname.Published, error) {
	last, err := s.book.Published()
	if err != nil {
		return petname.Published{}, err
	}
	if r, _, err := s.held(s.book.Identity()); err == nil && r.Sequence() >= last.Sequence {
		last = petname.Published{Value: r.Value(), Sequence: r.Sequence()}
	}
	return last, nil
}
