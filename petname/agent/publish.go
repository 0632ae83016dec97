package agent

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

// Wait is how many of the closest peers a publication waits for.
type Wait int

const (
	WaitSome Wait = iota // three quarters, at most 15
	WaitAll              // each that can be reached; then the record is looked for, to count the peers that return it
	WaitNone             // none: the record is signed and in the home, and an agent that runs stores it afterwards
)

const (
	// defaultTTL and defaultLifetime are those of a [Draft].
	defaultTTL      = 5 * time.Minute
	defaultLifetime = 48 * time.Hour

	// MaxLifetime bounds the lifetime of a [Draft].
	MaxLifetime = 365 * 24 * time.Hour

	maxValue      = 4 << 10         // bytes: it stands in a record twice, beside the card
	lookUpTimeout = 4 * time.Second // to look for a newer record before publishing
	taskTimeout   = time.Minute     // to continue storing after WaitNone
	finishTimeout = 3 * time.Second // to wait for the copies that are still under way

	// sealingAge is the age at which sealing keys are replaced. Former keys are kept
	// for [home.SealingRetention], so a stolen home decrypts a message for up to the
	// sum of the two after it was read.
	sealingAge = 30 * 24 * time.Hour
)

// Draft is the content of a publication, and how it is made.
type Draft struct {
	Value     string        // a content path, /ipfs/… or /ipns/…; at first the last published one
	TTL       time.Duration // how long others may cache the record; at first 5 minutes
	Lifetime  time.Duration // how long it is valid; at first 48 hours
	Addresses bool          // put the node's network addresses into the public card
	V1        bool          // also add the V1 signature, for readers from before 2021
	Wait      Wait

	// DespiteCopy publishes although another copy of the home, or a thief, signs with the
	// owner's key and commits to another next key: see [CopiedError]; or although another device
	// published a card that this one cannot explain: see [UnmergedError].
	DespiteCopy bool
}

func (d Draft) check() error {
	if len(d.Value) > maxValue {
		return &ArgumentError{"value", fmt.Sprintf("path of %d bytes: at most %d fit", len(d.Value), maxValue)}
	}
	if d.Value != "" {
		if _, err := path.NewPath(d.Value); err != nil {
			if cause := errors.Unwrap(err); cause != nil { // err quotes the path again
				err = cause
			}
			return &ArgumentError{"path", fmt.Sprintf("path %q: %v", d.Value, err)}
		}
	}
	if d.Lifetime <= 0 || d.Lifetime > MaxLifetime {
		return &ArgumentError{"lifetime", fmt.Sprintf("lifetime %s: must be over 0 and at most %d days", d.Lifetime, MaxLifetime/(24*time.Hour))}
	}
	if d.TTL < 0 || d.TTL > d.Lifetime {
		return &ArgumentError{"ttl", fmt.Sprintf("TTL %s: must be between 0 and the lifetime, %s", d.TTL, d.Lifetime)}
	}
	return nil
}

// Published is a publication. Beside an error, a Sequence other than 0 means that
// the record is signed and in the home. It is a plain value.
type Published struct {
	Pointer         pointer.Pointer
	Value           string
	Sequence        uint64
	Expires         time.Time
	TTL             time.Duration
	Edges           []string          // labels of the public edges in the card
	Receipt         dht.Receipt       // zero with WaitNone
	Former          []pointer.Pointer // earlier pointers of the owner whose last records were stored again
	FormerNotStored []pointer.Pointer // earlier pointers whose last records more peers refused than stored, or none did: a look-up there finds no successor
	Took            time.Duration

	// OtherCopy is evidence that another copy of this home is in use, if the record that
	// was the newest before this publication is one; nil: none.
	OtherCopy *OtherCopy

	// Clock is what contradicted the clock of this machine before or after this publication,
	// which is an entry of the book with the date of this clock; "": nothing. See
	// [Agent.ClockHint].
	Clock string
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
// It fails with [home.ErrLocked], with an [*ArgumentError] for a draft that cannot be
// published, with a [*CopiedError], with an [*UnmergedError], with a [*SequenceError], with a
// [*home.UnfinishedError] while an interrupted rotation cannot be finished, with what
// edit returns, or with a [*SupersededError] when edit keeps the value and there are two, one of
// which another holder of the key may have signed,
// before anything has changed; and with an [*UnsavedError] when the home cannot store the
// record. After that the record is in the home, whatever the error: [ErrNotJoined] before
// Join, [dht.ErrUnreachable] when no store responded, or a [*dht.ShortError].
func (a *Agent) PublishDraft(ctx context.Context, edit func(*Draft) error) (Published, error) {
	return a.publishDraft(ctx, edit, false)
}

// withoutCircle returns edit with an [*ArgumentError] for a value that it sets and that leads
// to a pointer of the owner.
func (s *state) withoutCircle(edit func(*Draft) error) func(*Draft) error {
	return func(d *Draft) error {
		was := d.Value
		if err := edit(d); err != nil {
			return err
		}
		if d.Value != was && s.isCircle(d.Value) {
			return &ArgumentError{"own path", fmt.Sprintf("path %q leads to this home's own pointer: its record would lead to itself", d.Value)}
		}
		return nil
	}
}

// isCircle reports whether a content path leads to a pointer of the owner, earlier ones
// included. It does not find one that leads back through another pointer or a domain.
func (s *state) isCircle(value string) bool {
	rest, is := strings.CutPrefix(value, "/ipns/")
	head, _, _ := strings.Cut(rest, "/")
	p, err := pointer.Parse(head)
	return is && err == nil && s.book.IsOwn(p)
}

// publishOnce is publishDraft without the exchange.
func (a *Agent) publishOnce(ctx context.Context, edit func(*Draft) error, renewing bool) (Published, error) {
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
	edit = a.withoutCircle(edit)
	draft, err := drafted(last.Value, edit)
	if err != nil {
		return Published{}, err
	}
	a.publishing.Lock()
	defer a.publishing.Unlock()
	defer a.wakeRepublisher()
	began := time.Now()
	if err := a.finishRotation(); err != nil {
		return Published{}, err
	}
	if err := a.adoptHanded(); err != nil {
		return Published{}, err
	}
	if err := a.finishRemovals(); err != nil {
		return Published{}, err
	}
	identity, err := a.identity()
	if err != nil {
		return Published{}, err
	}
	key, err := a.key()
	if err != nil {
		return Published{}, err
	}
	a.renewRemovals(key)
	card, err := a.newCard(identity, draft.Addresses)
	if err != nil {
		return Published{}, err
	}
	stores, offline := a.joined(ctx)
	if offline != nil && !isNetwork(offline) {
		return Published{}, offline // a later attempt fails too: use no sequence
	}
	base := last.Value
	var other *OtherCopy
	if last, other, err = a.newestOwn(ctx, stores, offline, draft.DespiteCopy || renewing); err != nil {
		return Published{}, err
	}
	if err := a.checkUnmerged(card); err != nil && !draft.DespiteCopy {
		return Published{}, err
	}
	if offline == nil {
		a.lookAtFormer(ctx, identity, stores)
	}
	if err := a.checkUnmergedFormer(identity, card, last.Value, edit); err != nil && !draft.DespiteCopy {
		return Published{}, err
	}
	if own, err := a.book.Published(); err != nil {
		return Published{}, err
	} else if renewing && other != nil && a.hasValue(own) {
		last.Value = own.Value
	}
	undecided := a.superseded(last)
	if undecided == nil {
		undecided = a.foreignValue()
	}
	if undecided != nil && !renewing {
		if draft, err = decide(undecided, edit); err != nil {
			return Published{}, err
		}
	} else if last.Value != base {
		if draft, err = drafted(last.Value, edit); err != nil {
			return Published{}, err
		}
	}
	// A failed signature must use no sequence, and no two signed records may have
	// the same one: sign, record the sequence durably, then store the record.
	now := a.now()
	expires := now.Add(draft.Lifetime).Truncate(time.Second)
	if !now.Before(expires) {
		return Published{}, &ArgumentError{"lifetime", fmt.Sprintf("lifetime %s: the record would expire at once", draft.Lifetime)}
	}
	record, err := pointer.Sign(key, pointer.Fields{Value: draft.Value, Sequence: last.Sequence + 1,
		Expires: expires, TTL: draft.TTL, Card: &card, V1: draft.V1})
	if err != nil {
		return Published{}, err
	}
	hints := a.clockHints()
	if err := a.reserve(record, draft, draft.Value != last.Value, renewing); err != nil {
		return Published{}, err
	}
	out := Published{OtherCopy: other, Clock: hintText(hints, a.now()), Pointer: record.Pointer(), Value: record.Value(), Sequence: record.Sequence(), Expires: record.Expires(), TTL: record.TTL()}
	for label := range card.Edges {
		out.Edges = append(out.Edges, label)
	}
	slices.Sort(out.Edges)
	if _, err := a.records.Put(ctx, record.Pointer(), record.Bytes()); err != nil {
		return Published{}, &UnsavedError{record.Sequence(), err}
	}
	a.noteSealing()
	if !renewing {
		a.takeFinished(record.Pointer()) // the owner continues with the new pointer
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
	a.clearUnsent(record, out.Receipt, err)
	a.setLastPut(record, out.Receipt, draft.Wait == WaitAll, err)
	out.Took = time.Since(began)
	out.Clock = hintText(mergeHints(hints, a.clockHints()), a.now())
	out.Former, out.FormerNotStored = a.putFormer(ctx, identity, stores)
	a.finishPuts(ctx)
	if err == nil && draft.Wait == WaitAll && out.Receipt.Refused > 0 {
		// Unreachable peers are no failure: in a large network a quarter of all are.
		err = &dht.ShortError{Receipt: out.Receipt, Want: out.Receipt.Asked}
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}

func drafted(value string, edit func(*Draft) error) (Draft, error) {
	d := Draft{Value: value, TTL: defaultTTL, Lifetime: defaultLifetime}
	if err := edit(&d); err != nil {
		return Draft{}, err
	}
	return d, d.check()
}

// finishPuts waits up to finishTimeout for puts that continue in the background,
// which would end with this process: a put returns when most copies are stored, and
// the other peers are still tried. An agent that serves continues, and does not wait.
func (s *state) finishPuts(ctx context.Context) {
	s.mu.Lock()
	node, serving := s.node, s.serving
	s.mu.Unlock()
	if node == nil || serving {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.finishTimeout)
	defer cancel()
	_ = node.Wait(ctx) // at the timeout most copies are stored
}

// storeLater stores a record after its publication returned. Only an agent that
// serves does; for others the record stays in the home.
func (a *Agent) storeLater(record pointer.Record, id home.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	tasks := a.tasksContext
	if !a.serving {
		return
	}
	a.startTask(func() {
		ctx, cancel := context.WithTimeout(tasks, taskTimeout)
		defer cancel()
		stores, err := a.joined(ctx)
		if err == nil {
			var receipt dht.Receipt
			receipt, err = a.resolver(stores...).Publish(ctx, record)
			a.clearUnsentLater(record, receipt, err)
			a.setLastPut(record, receipt, false, err)
			a.putFormer(ctx, id, stores)
		}
		if err != nil {
			a.log.Warn("record not stored", "sequence", record.Sequence(), "error", err)
		}
	})
}

// newCard returns the card of the owner's next record, with the node's addresses if
// addresses is set. It replaces sealing keys that are older than sealingAge.
func (s *state) newCard(id home.Identity, addresses bool) (pointer.Card, error) {
	card, err := s.sharedCard()
	if err != nil {
		return pointer.Card{}, err
	}
	sealing, err := s.renewSealing(sealingAge)
	if err != nil {
		return pointer.Card{}, err
	}
	if card.Epoch, err = s.epoch(); err != nil {
		return pointer.Card{}, err
	}
	card.Next, card.Sealing, card.Succession = id.Next, sealing.PublicKeys(), home.CardSteps(id.Succession)
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

// sharedCard returns the part of the owner's card that the book has, which devices share.
func (s *state) sharedCard() (card pointer.Card, err error) {
	if card.Nickname, err = s.book.Nickname(); err != nil {
		return pointer.Card{}, err
	}
	if card.Edges, err = petname.PublishableEdges(s.book.Edges()); err != nil {
		return pointer.Card{}, err
	}
	card.Devices, err = s.book.DeviceTags()
	return card, err
}

// newestOwn returns the owner's newest publication in the book, the home or the
// network. The network may have one of another device, or of a home that was lost
// since. It also returns the evidence that another copy of the home signed that
// record; nil: none. It fails with a [*CopiedError] if this copy has rotated the key, or
// has the same key with another next key; despite prevents the latter.
func (s *state) newestOwn(ctx context.Context, stores []dht.Store, offline error, despite bool) (petname.Published, *OtherCopy, error) {
	if err := s.lookUpOwn(ctx, stores, offline); err != nil {
		return petname.Published{}, nil, err
	}
	other, err := s.checkRotatedElsewhere()
	if err != nil && !(despite && other != nil && other.Successor.IsZero()) {
		return petname.Published{}, nil, err
	}
	last, err := s.lastOwn()
	if err != nil {
		return petname.Published{}, nil, err
	}
	if last.Sequence >= pointer.MaxSequence {
		return petname.Published{}, nil, &SequenceError{last.Sequence}
	}
	return last, other, nil
}

// lookUpOwn asks the network for the owner's newest record. A record that it finds
// raises the floor in the home, which lastOwn reads. The only error is
// context.Canceled.
func (s *state) lookUpOwn(ctx context.Context, stores []dht.Store, offline error) error {
	if offline != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	watched := watch(stores, s.book.Identity(), s.compareOwn)
	if _, err := s.resolver(watched...).Best(ctx, s.book.Identity(), dht.LevelFresh); errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// lastOwn returns the owner's last publication on record in the book or in the home.
// After a restore from a copy either can be the older one.
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
