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
	lookTime   = 10 * time.Second // for my own record, before it is put
	putTime    = 30 * time.Second
	warnBefore = 24 * time.Hour // of the end, at the latest
	putGrace   = time.Minute    // for whoever published a record to store it
	renewEvery = time.Minute    // at most, however short a life is
)

// ownState is my own record's entry, and since when it is known.
type ownState struct {
	Entry
	Record  string    `json:"record"` // hash of its signed data, in hex
	Since   time.Time `json:"since,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
	Renewed time.Time `json:"renewed,omitzero"` // the last attempt

	peers  sample // that answered the last look
	met    bool   // Record was compared with the home's since the start
	stored string // the record that somebody else is known to have stored, as Record
}

// Stored tells that my record was just stored by others, as widely as wanted: it
// need not be put at once. One that the keeper finds in the home, and was told
// nothing of, is put before long: it may have been signed without a network.
func (k *Keeper) Stored(rec pointer.Record, r dht.Receipt) {
	id := rec.ID()
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.c.Now()
	k.own.stored = hex.EncodeToString(id[:])
	k.own.Put, k.own.Seen, k.own.Asked, k.own.Holders, k.own.Problem = now, now, r.Asked, r.Stored, ""
	k.schedule(&k.own.Entry, now)
}

// half is when half of the life that was left when the record was first seen
// is over: then it is renewed.
func (o ownState) half() time.Time { return o.Since.Add(o.Expires.Sub(o.Since) / 2) }

// warn is from when a key that is locked is told of.
func (o ownState) warn() time.Time {
	if at := o.Expires.Add(-warnBefore); at.Before(o.half()) {
		return at
	}
	return o.half()
}

// ownDue reports whether my own record is to be put or renewed, and takes note
// of one that was published meanwhile.
func (k *Keeper) ownDue(now time.Time) bool {
	if k.c.Own == nil {
		return false
	}
	rec, ok, err := k.held(context.Background(), k.c.Own.Pointer())
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil || !ok {
		k.own = ownState{}
		return false
	}
	id := rec.ID()
	if hexID := hex.EncodeToString(id[:]); hexID != k.own.Record {
		k.own.Record, k.own.Since = hexID, now
		k.dirty = true
		if soon := now.Add(putGrace); hexID != k.own.stored && k.own.Next.After(soon) {
			k.own.Next = soon
			if !k.own.met {
				k.own.Next = now // whoever published it has ended
			}
		}
	}
	k.own.met = true
	k.own.Expires = rec.Expires()
	if k.own.Next.IsZero() {
		k.own.Next = now
	}
	// What failed waits until its next turn.
	if renew := k.renewal(now); k.own.Problem == "" && renew.Before(k.own.Next) {
		k.own.Next = renew
	}
	return !k.own.Next.After(now) && !k.pause.After(now)
}

// renewal is when my own record is to be signed anew; far off when the
// identity is locked.
func (k *Keeper) renewal(now time.Time) time.Time {
	if k.c.Own.Locked() {
		return now.Add(longest)
	}
	at := k.own.half()
	if soonest := k.own.Renewed.Add(renewEvery); at.Before(soonest) {
		return soonest
	}
	return at
}

// keepOwn looks for a newer record of mine, by another device, then renews the
// newest or puts it again.
func (k *Keeper) keepOwn(ctx context.Context) {
	e, peers, err := k.putOwn(ctx)
	if ctx.Err() != nil {
		return
	}
	now := k.c.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if peers != nil {
		if !k.own.Looked.IsZero() {
			k.measure(k.own.peers, peers, now.Sub(k.own.Looked))
		}
		k.own.peers, e.Looked = peers, now
	}
	e.Problem = ""
	if err != nil {
		e.Problem = err.Error()
	}
	k.schedule(&e, now)
	if err != nil {
		e.Next = now.Add(k.around(retryAfter))
		if errors.Is(err, dht.ErrUnreachable) {
			e.Next = now.Add(k.around(retryAfter / 6))
		}
		k.log.Warn("own record not put", "error", err)
	}
	k.own.Entry = e
	k.last, k.said = now, summary(e)
}

func (k *Keeper) putOwn(ctx context.Context) (Entry, sample, error) {
	own := k.c.Own
	p := own.Pointer()
	k.mu.Lock()
	e := k.own.Entry
	k.mu.Unlock()
	l, err := k.look(ctx, p, lookBy(ctx, own.Store, p))
	if err != nil {
		return e, nil, err
	}
	e.Asked, e.Holders = len(l.answered), len(l.holders)
	rec, ok, err := k.held(ctx, p)
	if err != nil || !ok {
		return e, sampleOf(l.answered), err
	}
	now := k.c.Now()
	k.mu.Lock()
	life, renew := time.Duration(0), !k.renewal(now).After(now)
	if id := rec.ID(); hex.EncodeToString(id[:]) != k.own.Record {
		renew = false // another device was first
	} else if renew {
		life, k.own.Renewed = max(0, rec.Expires().Sub(k.own.Since)), now
	}
	k.mu.Unlock()
	if renew {
		if err := own.Renew(ctx, rec, life); err != nil {
			return e, sampleOf(l.answered), fmt.Errorf("not renewed: %w", err)
		}
		e.Put, e.Seen = now, now
		return e, sampleOf(l.answered), nil
	}
	if !now.Before(rec.Expires()) {
		return e, sampleOf(l.answered), fmt.Errorf("my record expired at %s", rec.Expires().Format(time.RFC3339))
	}
	bounded, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	receipt, err := own.Store.Put(bounded, p, rec.Bytes())
	if e.Asked, e.Holders = receipt.Asked, receipt.Stored; receipt.Stored > 0 {
		e.Put, e.Seen = now, now
	}
	return e, sampleOf(l.answered), err
}

// lookBy gathers what the peers of a store say.
func lookBy(ctx context.Context, s dht.Store, p pointer.Pointer) []answer {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var answers []answer
	for a, err := range s.Get(ctx, p) {
		if a.Source == dht.SourceNetwork && a.Peer != "" {
			answers = append(answers, answer{a.Peer, a.Record, err})
		}
	}
	return answers
}
