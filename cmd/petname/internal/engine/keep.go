package engine

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	ipns_pb "github.com/ipfs/boxo/ipns/pb"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/keep"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// KeepVisible is what keeping somebody's records shows.
const KeepVisible = "While a node of yours runs, it puts their records again before the network\n" +
	"forgets them. Whoever stores those can see that your IP address does, and so\n" +
	"that somebody there knows their owners: of all names that are kept, whom you know.\n" +
	"petname unkeep takes it back."

// KeepArgs are the arguments of keep and unkeep.
type KeepArgs struct {
	Names []string `json:"names"`
	All   bool     `json:"all"`
	Yes   bool     `json:"yes"` // for keep all: what it shows was told
}

// Kept is the result of keep and unkeep: all who are kept now.
type Kept struct {
	Kept  []KeptContact `json:"kept"`
	Added []string      `json:"added,omitempty"` // pointers that this call made kept
	// Visible says, of the first, what it shows.
	Visible string `json:"visible,omitempty"`
}

// KeptContact is a contact whose records are kept, and what came of it on this
// device.
type KeptContact struct {
	Name    string     `json:"name"` // empty: in conflict
	Pointer string     `json:"pointer"`
	Next    *time.Time `json:"next"`    // when it is looked for next; null: no node ran yet
	Looked  *time.Time `json:"looked"`  // the last time; null: never
	Put     *time.Time `json:"put"`     // the last time that it had to be put; null: never
	Holders int        `json:"holders"` // of the asked, at the last look
	Asked   int        `json:"asked"`
	Problem string     `json:"problem"` // of the last time; empty: none
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

// ListKept gives who is kept.
func (e *Engine) ListKept(_ context.Context, _ NoArgs) (*Kept, error) { return e.listKept() }

func (e *Engine) listKept() (*Kept, error) {
	entries, err := e.keptEntries()
	if err != nil {
		return nil, err
	}
	out := &Kept{Kept: []KeptContact{}}
	for c, err := range e.book.Kept() {
		if err != nil {
			return nil, err
		}
		k := KeptContact{Name: c.Name.String(), Pointer: c.Pointer.String()}
		if entry, ok := entries[c.Pointer]; ok {
			k.Next, k.Looked, k.Put = timeOrNull(entry.Next), timeOrNull(entry.Looked), timeOrNull(entry.Put)
			k.Holders, k.Asked, k.Problem = entry.Holders, entry.Asked, name.Clean(entry.Problem)
		}
		out.Kept = append(out.Kept, k)
	}
	return out, nil
}

// keptEntries is what the keeper knows; without a node, what it knew when the
// last one ended.
func (e *Engine) keptEntries() (map[pointer.Pointer]keep.Entry, error) {
	if k := e.theKeeper(); k != nil {
		return k.Entries(), nil
	}
	entries, err := keep.ReadEntries(e.home.KeepFile())
	if err != nil {
		e.log.Warn("due times not read", "error", err) // a node begins them anew
	}
	return entries, nil
}

// Keep marks contacts, whose records a node then puts again.
func (e *Engine) Keep(_ context.Context, a KeepArgs) (*Kept, error) { return e.mark(a, true) }

// Unkeep takes that back.
func (e *Engine) Unkeep(_ context.Context, a KeepArgs) (*Kept, error) { return e.mark(a, false) }

func (e *Engine) mark(a KeepArgs, on bool) (*Kept, error) {
	before, err := e.listKept()
	if err != nil {
		return nil, err
	}
	if a.All == (len(a.Names) > 0) {
		return nil, Usage("give names, or --all")
	}
	ids, err := e.toMark(a, on)
	if err != nil {
		return before, err
	}
	if on && a.All && !a.Yes && len(ids) > 0 {
		return before, &Error{Code: "keep_all", Exit: ExitChoose,
			Message: fmt.Sprintf("that is everybody in your book (%d more), and it shows.\n", len(ids)) + KeepVisible,
			Next:    "petname keep --all --yes"}
	}
	if err := e.book.KeepAll(ids, on); err != nil {
		return before, err
	}
	e.wakeKeeper()
	out, err := e.listKept()
	if err != nil {
		return nil, err
	}
	was := map[string]bool{}
	for _, k := range before.Kept {
		was[k.Pointer] = true
	}
	for _, k := range out.Kept {
		if !was[k.Pointer] {
			out.Added = append(out.Added, k.Pointer)
		}
	}
	if len(before.Kept) == 0 && len(out.Added) > 0 {
		out.Visible = KeepVisible
	}
	return out, nil
}

// toMark finds the contacts that are meant: all are looked at before any is
// marked.
func (e *Engine) toMark(a KeepArgs, on bool) (ids []pointer.Pointer, err error) {
	for _, name := range a.Names {
		c, err := e.find(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
	}
	if !a.All {
		return ids, nil
	}
	all := e.book.Contacts()
	if !on {
		all = e.book.Kept()
	}
	for c, err := range all {
		if err != nil {
			return nil, err
		}
		if c.Kept != on && (c.Conflict == nil || !on) {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

// Unlock lets the node sign: it holds the passphrase while it runs.
func (e *Engine) Unlock(passphrase string) error {
	id, err := e.identity()
	if err != nil {
		return err
	}
	if _, err := id.Key(passphrase); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.passphrase = passphrase
	return nil
}

// startKeeper has the node keep names, until the engine closes.
func (e *Engine) startKeeper() {
	contacts := &keptContacts{book: e.book}
	k := keep.New(keep.Config{
		Network: keptNetwork{e}, Contacts: contacts, Home: e.records, Path: e.home.KeepFile(), Logger: e.log,
		Own: &keep.Own{Pointer: e.book.Identity, Store: &ownNetwork{lazyNetwork{engine: e}}, Locked: e.locked, Renew: e.renew},
	})
	e.mu.Lock()
	e.keeper = k
	e.mu.Unlock()
	e.runs.Go(func() { _ = k.Run(e.running) })
}

func (e *Engine) theKeeper() *keep.Keeper {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.keeper
}

// wakeKeeper tells the keeper that the book or the network changed.
func (e *Engine) wakeKeeper() {
	if k := e.theKeeper(); k != nil {
		k.Wake()
	}
}

// locked reports whether the node can't sign.
func (e *Engine) locked() bool {
	e.mu.Lock()
	passphrase := e.passphrase
	e.mu.Unlock()
	id, err := e.identity()
	return err != nil || id.Locked && passphrase == ""
}

// renew publishes my record anew before it expires: the same value, for as long
// as it was valid for.
func (e *Engine) renew(ctx context.Context, old pointer.Record, life time.Duration) error {
	a := PublishArgs{TTL: old.TTL(), Lifetime: life.Round(time.Second), Wait: "some", V1: hasV1(old.Bytes())}
	if a.Lifetime <= 0 {
		a.Lifetime = defaultLifetime
	}
	a.TTL, a.Lifetime = min(a.TTL, a.Lifetime), min(a.Lifetime, maxLifetime)
	if c, ok := old.Card(); ok {
		a.Addresses = len(c.Nodes) > 0
	}
	e.mu.Lock()
	a.Passphrase = e.passphrase
	e.mu.Unlock()
	out, err := e.Publish(ctx, a)
	if err != nil && (out == nil || out.Stored == 0) {
		return err
	}
	return nil
}

// defaultLifetime is that of publish.
const defaultLifetime = 48 * time.Hour

// hasV1 reports whether a record is signed in the old way too.
func hasV1(record []byte) bool {
	var pb ipns_pb.IpnsRecord
	return proto.Unmarshal(record, &pb) == nil && len(pb.GetSignatureV1()) > 0
}

// ownNetwork is where the node looks for my own record, and puts it again: the
// routers that were joined, too. The last records of the keys before go with it:
// who looks there is led on.
type ownNetwork struct{ lazyNetwork }

func (n *ownNetwork) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	rec, err := pointer.Open(p, record, time.Now())
	if err != nil {
		return dht.Receipt{}, err
	}
	stores, err := n.engine.joined(ctx)
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := n.engine.resolver(stores...).Publish(ctx, rec)
	n.engine.notePut(rec, receipt, false, err) // one that was published in vain is stored by now
	if id, ierr := n.engine.identity(); ierr == nil {
		n.engine.putFormer(ctx, id, stores)
	}
	return receipt, err
}

// keptNetwork is whatever network the node is in at the time.
type keptNetwork struct{ engine *Engine }

func (n keptNetwork) Stranger(ctx context.Context) (keep.Stranger, error) {
	n.engine.mu.Lock()
	network := n.engine.network
	n.engine.mu.Unlock()
	if network == nil {
		return nil, fmt.Errorf("%w: no network is joined", dht.ErrUnreachable)
	}
	return network.Stranger(ctx)
}

// keptContacts are those of the book.
type keptContacts struct {
	book *petname.Book
	mu   sync.Mutex
	ids  map[pointer.Pointer]pointer.Pointer // by where they are now
}

func (k *keptContacts) Kept() iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
		ids := map[pointer.Pointer]pointer.Pointer{}
		defer func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.ids = ids
		}()
		for c, err := range k.book.Kept() {
			if err != nil {
				yield(pointer.Pointer{}, err)
				return
			}
			ids[c.Pointer] = c.ID
			if !yield(c.Pointer, nil) {
				return
			}
		}
	}
}

func (k *keptContacts) Keeps(p pointer.Pointer) (bool, error) {
	k.mu.Lock()
	id, known := k.ids[p]
	k.mu.Unlock()
	if !known {
		id = p
	}
	c, err := k.book.ByPointer(id)
	if errors.Is(err, petname.ErrNotFound) {
		return false, nil
	}
	return c.Kept && c.Pointer == p, err
}

// KeepStatus is what the node's keeper does.
type KeepStatus struct {
	Kept   int        `json:"kept"`   // contacts
	Next   *time.Time `json:"next"`   // of any look, at my own record too; null: none is to come
	Last   *time.Time `json:"last"`   // since the node started; null: none
	Result string     `json:"result"` // of the last
	Walks  int        `json:"walks"`  // since the node started
	Every  float64    `json:"every"`  // seconds between looks at one record, by how fast peers go
	Own    *KeptOwn   `json:"own"`    // null: I have published nothing
}

// KeptOwn is about my own record.
type KeptOwn struct {
	Next    *time.Time `json:"next"`
	Put     *time.Time `json:"put"`
	Holders int        `json:"holders"`
	Asked   int        `json:"asked"`
	Expires time.Time  `json:"expires"`
	Problem string     `json:"problem"`
	Warning string     `json:"warning"` // that it expires, and can't be renewed
}

func (e *Engine) keepStatus() (KeepStatus, error) {
	k := e.theKeeper()
	if k == nil {
		return KeepStatus{}, nil
	}
	s, kept := k.Status(), 0
	for _, err := range e.book.Kept() { // the keeper reads the book when it gets to it
		if err != nil {
			return KeepStatus{}, err
		}
		kept++
	}
	out := KeepStatus{Kept: kept, Next: timeOrNull(s.Next), Last: timeOrNull(s.Last), Result: name.Clean(s.Said), Walks: s.Walks, Every: s.Every.Seconds()}
	if s.Own != nil {
		out.Own = &KeptOwn{Next: timeOrNull(s.Own.Next), Put: timeOrNull(s.Own.Put), Holders: s.Own.Holders, Asked: s.Own.Asked,
			Expires: s.Own.Expires.UTC(), Problem: name.Clean(s.Own.Problem), Warning: s.Own.Warning}
	}
	return out, nil
}
