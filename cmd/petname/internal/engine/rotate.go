package engine

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// RotateArgs are the arguments of key rotate.
type RotateArgs struct {
	Next       string `json:"next"`     // absolute path of the recovery file with the next key; empty: the home has it
	Recovery   string `json:"recovery"` // absolute path for the key after it; empty: the home
	Passphrase string `json:"passphrase,omitempty"`
}

// Rotated is the result of key rotate.
type Rotated struct {
	Identity
	Former []string `json:"former"` // the pointers until now, oldest first
}

// lastLifetime is how long the last record of a key is valid, which sends its
// followers on: there won't be another.
const lastLifetime = maxLifetime

// Rotate goes on to the next key. The old one signs a last record, which names
// its successor, and is then gone from this home.
func (e *Engine) Rotate(ctx context.Context, a RotateArgs) (*Rotated, error) {
	e.publish.Lock()
	defer e.publish.Unlock()
	id, err := e.identity()
	if err != nil {
		return nil, err
	}
	if err := e.keepLast(ctx, id); err != nil {
		return nil, err
	}
	r, err := e.home.Rotate(home.Turn{Passphrase: a.Passphrase, Next: a.Next, Recovery: a.Recovery, WorkFactor: e.work})
	switch {
	case errors.Is(err, fs.ErrNotExist) && a.Next != "":
		return nil, Usage("%v", err)
	case errors.Is(err, home.ErrInside):
		return nil, Usage("%v", err).With("name a file outside of " + e.home.Dir)
	case err != nil:
		return nil, err
	}
	stores, offline := e.joined(ctx)
	if err := e.lookForOwn(ctx, stores, offline); err != nil {
		return nil, err
	}
	last, err := e.lastOwn()
	if err != nil {
		return nil, err
	}
	mine, err := e.book.Published()
	if err != nil {
		return nil, err
	}
	card, err := e.card(home.Identity{Next: r.Was, Succession: r.Succession}, false)
	if err != nil {
		return nil, err
	}
	card.Successor = r.New.Pointer()
	// The sequence is above what the network has of me, where that can be asked: a
	// last record that is older than another sends nobody on, and can't be signed
	// again. The value is one that I published, and no thief of the old key.
	fields := pointer.Fields{Value: mine.Value, Sequence: min(last.Sequence+1, pointer.MaxSequence), TTL: 5 * time.Minute,
		Expires: time.Now().Add(lastLifetime).Truncate(time.Second), Card: &card}
	record, err := pointer.Sign(r.Old, fields)
	if err != nil {
		return nil, err
	}
	// The sequence needs no reserving: until the turn is made nobody sees the
	// record, and after it this key signs no other.
	if err := r.Commit(record.Bytes()); err != nil {
		return nil, err
	}
	if err := e.book.Rotated(r.Succession); err != nil {
		return nil, err
	}
	if _, err := e.home.RenewSealing(time.Now(), 0); err != nil { // whoever stole the one may have the others
		return nil, err
	}
	if id, err = e.identity(); err != nil {
		return nil, err
	}
	if err := e.keepLast(ctx, id); err != nil {
		e.log.Warn("last record of a former pointer not kept", "error", err) // it will be, when it is stored
	}
	now, err := e.ID(ctx, NoArgs{})
	if err != nil {
		return nil, err
	}
	out := &Rotated{Identity: *now}
	for _, s := range r.Succession {
		out.Former = append(out.Former, s.Old.String())
	}
	return out, nil
}

// keepLast puts the last record of the key before this among the home's: the turn
// to this key left it in the identity key.
func (e *Engine) keepLast(ctx context.Context, id home.Identity) error {
	if id.Last == nil || len(id.Succession) == 0 {
		return nil
	}
	record, expired, err := openAny(id.Succession[len(id.Succession)-1].Old, id.Last)
	if err != nil || expired {
		return nil // damaged, or too old: of no use to anybody, and no reason to stay
	}
	if have, _, err := e.held(record.Pointer()); err == nil && have.Sequence() >= record.Sequence() {
		return nil
	}
	_, err = e.records.Put(ctx, record.Pointer(), record.Bytes())
	return err
}
