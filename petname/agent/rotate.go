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

// Rotate replaces the identity key by the next one, and the owner's pointer with it.
// The old key signs a last record, which names its successor, and is then erased from
// this home. [Agent.Publish] stores both records.
//
// Rotate fails with [home.ErrLocked], [home.ErrNextElsewhere] when the next key
// is in a recovery file, or [home.ErrNextWrong], and changes nothing then. A
// rotation that a crash interrupted is finished when the home is next used, or has
// had no effect.
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
	if err := a.saveLastRecord(ctx, id); err != nil {
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
	if err := a.lookUpOwn(ctx, stores, offline); err != nil {
		return Rotated{}, err
	}
	last, err := a.lastOwn()
	if err != nil {
		return Rotated{}, err
	}
	published, err := a.book.Published()
	if err != nil {
		return Rotated{}, err
	}
	card, err := a.newCard(home.Identity{Next: r.OldNext, Succession: r.Succession}, false)
	if err != nil {
		return Rotated{}, err
	}
	card.Successor = r.New.Pointer()
	// The sequence is above that of the owner's record in the network, if the network
	// responds: a last record with a lower sequence is not used by resolvers, and can't
	// be signed again. The value is from the owner's book, not from a record that a
	// thief of the old key may have signed.
	record, err := pointer.Sign(r.Old, pointer.Fields{Value: published.Value, Sequence: min(last.Sequence+1, pointer.MaxSequence), TTL: defaultTTL,
		Expires: a.now().Add(MaxLifetime).Truncate(time.Second), Card: &card})
	if err != nil {
		return Rotated{}, err
	}
	// The sequence is not reserved: until the rotation is committed the record is in
	// this process alone, and after it this key signs no other.
	if err := r.Commit(record.Bytes()); err != nil {
		return Rotated{}, err
	}
	if err := a.book.SetOwnSuccession(r.Succession); err != nil {
		return Rotated{}, err
	}
	if _, err := a.home.RenewSealing(a.now(), 0); err != nil { // a thief of the identity key may have the sealing keys
		return Rotated{}, err
	}
	if id, err = a.identity(); err != nil {
		return Rotated{}, err
	}
	if err := a.saveLastRecord(ctx, id); err != nil {
		a.log.Warn("last record of a former pointer not saved", "error", err) // putFormer saves it before it stores it
	}
	a.events.publish(Event{Kind: RecordChanged})
	a.syncSoon() // the channels with contacts depend on the pointer
	out := Rotated{}
	for _, s := range r.Succession {
		out.Former = append(out.Former, s.Old)
	}
	out.Identity, err = a.Identity()
	return out, err
}

// saveLastRecord stores the last record of the previous key among the home's records:
// the rotation to this key left it in the file of the identity key.
func (s *state) saveLastRecord(ctx context.Context, id home.Identity) error {
	if id.Last == nil || len(id.Succession) == 0 {
		return nil
	}
	record, expired, err := pointer.OpenExpired(id.Succession[len(id.Succession)-1].Old, id.Last, s.now())
	if err != nil || expired {
		return nil // damaged or expired: no peer accepts it
	}
	if have, _, err := s.held(record.Pointer()); err == nil && have.Sequence() >= record.Sequence() {
		return nil
	}
	_, err = s.records.Put(ctx, record.Pointer(), record.Bytes())
	return err
}
