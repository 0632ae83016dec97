package republish

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const (
	queryTimeout = 10 * time.Second // for the own record, before it is put
	putTimeout   = 30 * time.Second
	warnMargin   = 24 * time.Hour // before the record expires, at the latest
	putGrace     = time.Minute    // for the publisher of a new record to store it
	renewEvery   = time.Minute    // minimum between two renewals, however short a lifetime is
)

// ownState is the entry of the owner's record, with the times of its renewal.
type ownState struct {
	Entry
	Record  string    `json:"record"`         // hash of its signed data, in hex
	Since   time.Time `json:"since,omitzero"` // when this record was first seen
	Expires time.Time `json:"expires,omitzero"`
	Renewed time.Time `json:"renewed,omitzero"` // the last attempt

	life     time.Duration // that the record was published with; 0: unknown
	peers    sample        // that answered the last query
	compared bool          // Record was compared with the home's record since the start
	reported string        // hash of the record passed to OwnStored, in the form of Record
}

// OwnStored records that the application has put the owner's record, with the
// given receipt, so that it is not put again at once. A record in the home that was
// not reported is due within a minute: it may have been signed without a network.
func (r *Republisher) OwnStored(rec pointer.Record, receipt dht.Receipt) {
	id := rec.ID()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.config.Now()
	r.own.reported = hex.EncodeToString(id[:])
	r.own.Put, r.own.Seen, r.own.Asked, r.own.Holders, r.own.Problem = now, now, receipt.Asked, receipt.Stored, ""
	r.schedule(&r.own.Entry, now)
}

// lifetime returns the lifetime of a renewal: that of the record, or else the time
// that was left when the record was first seen.
func (o ownState) lifetime() time.Duration {
	if o.life > 0 {
		return o.life
	}
	return max(0, o.Expires.Sub(o.Since))
}

// renewAt returns the time of the renewal: the middle of the lifetime.
func (o ownState) renewAt() time.Time { return o.Expires.Add(-o.lifetime() / 2) }

// fromTheFuture reports whether the record was signed under a clock that ran
// ahead: it expires later than its lifetime allows.
func (o ownState) fromTheFuture(now time.Time) bool {
	return o.life > 0 && o.Expires.Sub(now) > o.life+maxDrift
}

// warnAt returns the time from which a locked key is reported.
func (o ownState) warnAt() time.Time {
	if at := o.Expires.Add(-warnMargin); at.Before(o.renewAt()) {
		return at
	}
	return o.renewAt()
}

// ownDue reports whether the owner's record is to be put or renewed now. It
// schedules a record that was published since the last call.
func (r *Republisher) ownDue(now time.Time) bool {
	if r.config.Own == nil {
		return false
	}
	rec, ok, err := r.homeRecord(context.Background(), r.config.Own.Pointer())
	var life time.Duration
	if ok && err == nil && r.config.Own.Lifetime != nil {
		life = r.config.Own.Lifetime(rec)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || !ok {
		r.own = ownState{}
		return false
	}
	id := rec.ID()
	if hexID := hex.EncodeToString(id[:]); hexID != r.own.Record {
		r.own.Record, r.own.Since = hexID, now
		r.dirty = true
		if soon := now.Add(putGrace); hexID != r.own.reported && r.own.Next.After(soon) {
			r.own.Next = soon
			if !r.own.compared {
				r.own.Next = now // its publisher is a process that has ended
			}
		}
	}
	r.own.compared = true
	r.own.Expires, r.own.life = rec.Expires(), life
	if r.own.Next.IsZero() {
		r.own.Next = now
	}
	// After a failure only the retry counts.
	if renew := r.renewTime(now); r.own.Problem == "" && renew.Before(r.own.Next) {
		r.own.Next = renew
	}
	return !r.own.Next.After(now) && !r.pausedUntil.After(now)
}

// renewTime returns when the owner's record is to be signed again. While the
// identity is locked, it returns a time after now: no renewal is due.
func (r *Republisher) renewTime(now time.Time) time.Time {
	if r.config.Own.Locked() {
		return now.Add(maxInterval)
	}
	at := r.own.renewAt()
	if r.own.fromTheFuture(now) {
		at = now
	}
	if soonest := r.own.Renewed.Add(renewEvery); at.Before(soonest) {
		return soonest
	}
	return at
}

// republishOwn queries for a newer record, signed on another device, then renews
// the newest record or puts it again.
func (r *Republisher) republishOwn(ctx context.Context) {
	e, peers, err := r.renewOrPutOwn(ctx)
	if ctx.Err() != nil {
		return
	}
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if peers != nil {
		if !r.own.Looked.IsZero() {
			r.updateChurn(r.own.peers, peers, now.Sub(r.own.Looked))
		}
		r.own.peers, e.Looked = peers, now
	}
	e.Problem = ""
	if err != nil {
		e.Problem = err.Error()
	}
	r.schedule(&e, now)
	if err != nil {
		e.Next = now.Add(r.jittered(retryAfter))
		if errors.Is(err, dht.ErrUnreachable) {
			e.Next = now.Add(r.jittered(retryAfter / 6)) // sooner: it burdens no peer
		}
		if r.woken { // by Wake, during this attempt
			e.Next = now
		}
		r.log.Warn("own record not put", "error", err)
	}
	r.own.Entry = e
	r.last, r.outcome = now, summary(e)
}

// renewOrPutOwn returns the new entry of the owner's record, not yet scheduled, and
// the peers that answered the query, nil if it failed.
func (r *Republisher) renewOrPutOwn(ctx context.Context) (Entry, sample, error) {
	own := r.config.Own
	p := own.Pointer()
	r.mu.Lock()
	e := r.own.Entry
	r.mu.Unlock()
	result, err := r.evaluate(ctx, p, queryStore(ctx, own.Store, p))
	if err != nil {
		return e, nil, err
	}
	e.Asked, e.Holders = len(result.answered), len(result.holders)
	rec, ok, err := r.homeRecord(ctx, p)
	if err != nil || !ok {
		return e, sampleOf(result.answered), err
	}
	now := r.config.Now()
	r.mu.Lock()
	lifetime, renew := time.Duration(0), !r.renewTime(now).After(now)
	if id := rec.ID(); hex.EncodeToString(id[:]) != r.own.Record {
		renew = false // another device has published a newer one
	} else if renew {
		lifetime, r.own.Renewed = r.own.lifetime(), now
	}
	r.mu.Unlock()
	if renew {
		if err := own.Renew(ctx, rec, lifetime); err != nil {
			return e, sampleOf(result.answered), fmt.Errorf("not renewed: %w", err)
		}
		e.Put, e.Seen = now, now
		return e, sampleOf(result.answered), nil
	}
	if !now.Before(rec.Expires()) {
		if own.Former != nil {
			own.Former(ctx)
		}
		return e, sampleOf(result.answered), fmt.Errorf("the own record expired at %s", rec.Expires().Format(time.RFC3339))
	}
	bounded, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	receipt, err := own.Store.Put(bounded, p, rec.Bytes())
	if e.Asked, e.Holders = receipt.Asked, receipt.Stored; receipt.Stored > 0 {
		e.Put, e.Seen = now, now
	}
	return e, sampleOf(result.answered), err
}

// queryStore returns the answers of the network peers that a store queries.
func queryStore(ctx context.Context, s dht.Store, p pointer.Pointer) []answer {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	var answers []answer
	for a, err := range s.Get(ctx, p) {
		if a.Source == dht.SourceNetwork && a.Peer != "" {
			answers = append(answers, answer{a.Peer, a.Record, err})
		}
	}
	return answers
}
