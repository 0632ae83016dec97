package agent

import (
	"context"
	"time"

	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// Rotation is how an identity rotates to its next key.
type Rotation struct {
	Next       string // the recovery file that has the next key; empty: the home has it
	Recovery   string // a new file for the key after it; empty: the home, if it had the next one
	WorkFactor int    // scrypt's, log2, for what is locked by a passphrase; 0: age's own
}

// Rotated is an identity after a rotation.
type Rotated struct {
	Identity
	Former []pointer.Pointer // the pointers until now, oldest first
}

// Rotate replaces the identity key by the next one, and the
// owner's pointer with it. The old key signs a last record, which names its successor, and is
// then gone from this home. [Agent.Publish] stores both records.
//
// Rotate fails with [home.ErrLocked], [home.ErrNextElsewhere] when the next key
// is in a recovery file, or [home.ErrNextWrong], and changes nothing then. A
// rotation that a crash interrupted is finished when the home is next used, or
// has not happened.
func (a *Agent) Rotate(ctx context.Context, o Rotation) (Rotated, error) {
	if err := ctx.Err(); err != nil {
		return Rotated{}, err
	}
	a.publishing.Lock()
	defer a.publishing.Unlock()
	id, err := a.identity()
	if err != nil {
		return Rotated{}, err
	}
	if err := a.keepLast(ctx, id); err != nil {
		return Rotated{}, err
	}
	passphrase, err := a.passphrase(id)
	if err != nil {
		return Rotated{}, err
	}
	r, err := a.home.Rotate(home.RotateOptions{Passphrase: passphrase, Next: o.Next, Recovery: o.Recovery, WorkFactor: o.WorkFactor})
	if err != nil {
		return Rotated{}, err
	}
	stores, offline := a.joined(ctx)
	if err := a.lookForOwn(ctx, stores, offline); err != nil {
		return Rotated{}, err
	}
	last, err := a.lastOwn()
	if err != nil {
		return Rotated{}, err
	}
	mine, err := a.book.Published()
	if err != nil {
		return Rotated{}, err
	}
	card, err := a.card(home.Identity{Next: r.OldNext, Succession: r.Succession}, false)
	if err != nil {
		return Rotated{}, err
	}
	card.Successor = r.New.Pointer()
	// The sequence is above what the network has of the owner, where that can be
	// asked: a last record that is older than another leads nobody on, and can't
	// be signed again. The value is one that the owner published, and no thief of
	// the old key.
	record, err := pointer.Sign(r.Old, pointer.Fields{Value: mine.Value, Sequence: min(last.Sequence+1, pointer.MaxSequence), TTL: DefaultTTL,
		Expires: a.now().Add(MaxLifetime).Truncate(time.Second), Card: &card})
	if err != nil {
		return Rotated{}, err
	}
	// The sequence needs no reserving: until the rotation is committed nobody sees
	// the record, and after it this key signs no other.
	if err := r.Commit(record.Bytes()); err != nil {
		return Rotated{}, err
	}
	if err := a.book.SetOwnSuccession(r.Succession); err != nil {
		return Rotated{}, err
	}
	if _, err := a.home.RenewSealing(a.now(), 0); err != nil { // a thief of the one may have the others
		return Rotated{}, err
	}
	if id, err = a.identity(); err != nil {
		return Rotated{}, err
	}
	if err := a.keepLast(ctx, id); err != nil {
		a.log.Warn("last record of a former pointer not kept", "error", err) // it will be, when it is stored
	}
	a.events.publish(Event{Kind: RecordChanged})
	a.syncSoon() // channels with contacts are under the pointer
	out := Rotated{}
	for _, s := range r.Succession {
		out.Former = append(out.Former, s.Old)
	}
	out.Identity, err = a.Identity()
	return out, err
}

// keepLast puts the last record of the key before this among the home's: the
// rotation to this key left it in the identity key.
func (s *state) keepLast(ctx context.Context, id home.Identity) error {
	if id.Last == nil || len(id.Succession) == 0 {
		return nil
	}
	record, expired, err := pointer.OpenExpired(id.Succession[len(id.Succession)-1].Old, id.Last, s.now())
	if err != nil || expired {
		return nil // damaged, or too old: of no use to anybody, and no reason to stay
	}
	if have, _, err := s.held(record.Pointer()); err == nil && have.Sequence() >= record.Sequence() {
		return nil
	}
	_, err = s.records.Put(ctx, record.Pointer(), record.Bytes())
	return err
}
