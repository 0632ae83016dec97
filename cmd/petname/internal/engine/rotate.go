package engine

import (
	"context"
	"time"

	"github.com/petnames-go/petnames/cmd/petname/internal/home"
	"github.com/petnames-go/petnames/petname"
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
	Former string `json:"former"` // the pointer until now
}

// lastLifetime is how long the last record of a key is valid, which sends its
// followers on: there won't be another.
const lastLifetime = maxLifetime

// Rotate goes on to the next key. The old one signs a last record, which names
// its successor, and is then gone from this home.
func (e *Engine) Rotate(ctx context.Context, a RotateArgs) (*Rotated, error) {
	e.publish.Lock()
	defer e.publish.Unlock()
	if _, err := e.identity(); err != nil {
		return nil, err
	}
	r, err := e.home.Rotate(home.Turn{Passphrase: a.Passphrase, Next: a.Next, Recovery: a.Recovery})
	if err != nil {
		return nil, err
	}
	last, err := e.lastOwn()
	if err != nil {
		return nil, err
	}
	card, err := e.card(home.Identity{Next: r.Was, Succession: r.Succession}, false)
	if err != nil {
		return nil, err
	}
	card.Successor = r.New.Pointer()
	record, err := pointer.Sign(r.Old, pointer.Fields{Value: last.Value, Sequence: last.Sequence + 1, TTL: 5 * time.Minute,
		Expires: time.Now().Add(lastLifetime).Truncate(time.Second), Card: &card})
	if err != nil {
		return nil, err
	}
	if err := e.book.Reserve(petname.Published{Value: record.Value(), Sequence: record.Sequence()}); err != nil {
		return nil, err
	}
	// Before the old key is overwritten: nobody could sign it after.
	if _, err := e.records.Put(ctx, record.Pointer(), record.Bytes()); err != nil {
		return nil, err
	}
	if err := r.Commit(); err != nil {
		return nil, err
	}
	if err := e.book.Rotated(r.Succession); err != nil {
		return nil, err
	}
	id, err := e.ID(ctx, NoArgs{})
	if err != nil {
		return nil, err
	}
	return &Rotated{*id, r.Old.Pointer().String()}, nil
}
