package agent

import (
	"context"
	"errors"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// Rotation is how an identity rotates to its next key.
type Rotation struct {
	Next       string // the recovery file that has the next key; empty: the home has it
	Recovery   string // a new recovery file for the key after it; empty: the home, if it had the next one
	WorkFactor int    // scrypt's, log2, for what is locked by a passphrase; 0: age's own

	// DespiteCopy rotates although another copy of the home has rotated the key. If that
	// copy is still in use, followers receive two successions, and no longer advance. It also
	// rotates although another device, or a thief of the key, published what this device cannot
	// explain: see [UnmergedError].
	DespiteCopy bool
}

// Rotated is an identity after a rotation.
type Rotated struct {
	Identity
	Former []pointer.Pointer // the pointers until now, oldest first

	// Resumed reports that an earlier rotation, which was interrupted, was finished, and
	// that the key was not rotated again.
	Resumed bool
}

// Rotate replaces the identity key by the next one, and the owner's pointer with it.
// The old key signs a last record, which names its successor and is valid for 20 years,
// and is then erased from this home. [Agent.Publish] stores both records.
//
// The new key signs the removals of devices again, which a removed device with the old key could
// contest otherwise; so does each publication.
//
// If an earlier rotation was interrupted, Rotate finishes that one, once.
//
// Rotate fails with [home.ErrLocked], [home.ErrNextElsewhere] when the next key is in a
// recovery file, [home.ErrNextWrong], a [*ClockError], a [*CopiedError], or an [*UnmergedError],
// and changes nothing then. Before the last of these it exchanges entries with other devices.
// Beside a [*home.UnfinishedError] the result is valid: the identity has changed, and the rest is
// done when the home is next used. A rotation that a crash interrupted is finished at the next
// Open, or undone if the identity had not changed.
func (a *Agent) Rotate(ctx context.Context, o Rotation) (Rotated, error) {
	before := a.book.Identity()
	out, err := a.rotateOnce(ctx, o, false)
	if !errors.As(err, new(*UnmergedError)) {
		return out, err
	}
	a.syncUnmerged(ctx)
	if now := a.book.Identity(); now != before { // another device had rotated the key, and published nothing
		return Rotated{}, &CopiedError{Successor: now, Devices: true}
	}
	return a.rotateOnce(ctx, o, true)
}

// rotateOnce is Rotate without the exchange; exchanged, after it.
func (a *Agent) rotateOnce(ctx context.Context, o Rotation, exchanged bool) (Rotated, error) {
	if err := ctx.Err(); err != nil {
		return Rotated{}, err
	}
	a.publishing.Lock()
	defer a.publishing.Unlock()
	if err := a.finishRotation(); err != nil {
		return a.rotated(err)
	}
	if a.takeFinished(a.book.Identity()) {
		out, err := a.rotated(nil)
		out.Resumed = true
		return out, err
	}
	if err := a.checkClockOfBook(); err != nil {
		return Rotated{}, err
	}
	if err := a.adoptHanded(); err != nil {
		return Rotated{}, err
	}
	id, err := a.identity()
	if err != nil {
		return Rotated{}, err
	}
	if err := a.saveLastRecords(ctx, id); err != nil {
		return Rotated{}, err
	}
	passphrase, err := a.passphrase(id)
	if err == nil && (o.Next != "" || o.Recovery != "") { // recovery files are always encrypted
		passphrase, err = a.askPassphrase()
	}
	if err != nil {
		return Rotated{}, err
	}
	nickname, err := a.book.Nickname()
	if err != nil {
		return Rotated{}, err
	}
	r, err := a.home.Rotate(home.RotateOptions{Passphrase: passphrase, Next: o.Next, Recovery: o.Recovery, Nickname: nickname,
		WorkFactor: o.WorkFactor, Now: a.now, Newest: a.newestEntry(), Former: a.formerRecords(id)})
	if err != nil {
		return Rotated{}, err
	}
	last, err := a.lastRecord(ctx, r, o.DespiteCopy, exchanged)
	if err != nil {
		return Rotated{}, err
	}
	// The sequence is not reserved: until the rotation is committed the record is in
	// this process alone, and after it this key signs no other.
	err = r.Commit(last.Bytes())
	if err != nil && !errors.As(err, new(*home.UnfinishedError)) {
		return Rotated{}, err
	}
	if serr := a.book.SetOwnSuccession(r.Succession, r.Next); serr != nil {
		return Rotated{}, &home.UnfinishedError{Old: r.Old.Pointer(), New: r.New.Pointer(), Err: serr}
	}
	a.noteSealing()
	a.renewRemovals(r.New)
	if id, ierr := a.identity(); ierr == nil {
		a.unlocked(id, passphrase)
		if kerr := a.saveLastRecords(ctx, id); kerr != nil {
			a.log.Warn("last record of a former pointer not saved", "error", kerr) // putFormer saves it before it stores it
		}
	}
	a.events.publish(Event{Kind: RecordChanged})
	a.syncSoon() // the channels with contacts depend on the pointer
	return a.rotated(err)
}

// lastRecord returns the last record of the old key of a rotation. It has the highest
// sequence, as in a recovery file: a thief of the old key can sign none above it, and
// needs one with a later end (see [pointer.Record.Compare]). The value is one that the
// owner published, and not that of such a thief.
//
// It cannot be signed anew, and stays readable for 20 years whatever the owner changes
// afterwards. So its card has what followers need to advance, and the epoch that ends
// delegations, and nothing that the owner can withdraw: no edges, nickname, links, devices or
// nodes; and no sealing keys, which a thief of the old key may have.
func (a *Agent) lastRecord(ctx context.Context, r *home.Rotation, despiteCopy, exchanged bool) (pointer.Record, error) {
	stores, offline := a.joined(ctx)
	if err := a.lookUpOwn(ctx, stores, offline); err != nil {
		return pointer.Record{}, err
	}
	if _, err := a.checkRotatedElsewhere(); err != nil && !(despiteCopy && errors.As(err, new(*CopiedError))) {
		return pointer.Record{}, err
	}
	if offline == nil && !despiteCopy {
		// A copy that was made from a recovery file, or that has no step by this key, signs
		// with the next key only.
		looking, cancel := context.WithTimeout(ctx, lookUpTimeout)
		defer cancel()
		if _, err := a.resolver(stores...).Best(looking, r.New.Pointer(), dht.LevelFresh); err == nil {
			return pointer.Record{}, &CopiedError{Successor: r.New.Pointer(), Devices: a.othersSign(), NextElsewhere: a.nextElsewhere()}
		} else if errors.Is(err, context.Canceled) {
			return pointer.Record{}, err
		}
	}
	if err := a.checkUnmergedRotation(exchanged); err != nil && !despiteCopy {
		return pointer.Record{}, err
	}
	published, err := a.book.Published()
	if err != nil {
		return pointer.Record{}, err
	}
	epoch, err := a.epoch()
	if err != nil {
		return pointer.Record{}, err
	}
	card := pointer.Card{Next: r.OldNext, Epoch: epoch, Succession: home.CardSteps(r.Succession), Successor: r.New.Pointer()}
	return pointer.Sign(r.Old, pointer.Fields{Value: published.Value, Sequence: pointer.MaxSequence, TTL: defaultTTL,
		Expires: home.LastExpiry(a.now(), a.newestEntry()), Card: &card})
}

// rotated returns the identity with its earlier pointers, beside the error of a rotation
// that has changed the identity; nil: none.
func (a *Agent) rotated(unfinished error) (Rotated, error) {
	id, err := a.identity()
	var out Rotated
	if err == nil {
		for _, s := range id.Succession {
			out.Former = append(out.Former, s.Old)
		}
		out.Identity, err = a.Identity()
	}
	if unfinished != nil {
		return out, unfinished
	}
	return out, err
}
