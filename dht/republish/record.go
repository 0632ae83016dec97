package republish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// republishOne queries for one record, under a peer key of its own, and puts it
// if too few peers hold it.
func (r *Republisher) republishOne(ctx context.Context, reg region, it *item) {
	e, peers, err := r.queryAndPut(ctx, reg, it)
	if ctx.Err() != nil {
		return // it stays due
	}
	now := r.config.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(err, errNotSelected) {
		r.contactsRead = time.Time{} // so that Run reads the contacts and removes the item
		it.Next = now.Add(maxInterval)
		return
	}
	if peers != nil {
		if !it.Looked.IsZero() {
			r.updateChurn(it.peers, peers, now.Sub(it.Looked))
		}
		it.peers, e.Looked = peers, now
	}
	e.Problem = ""
	if err != nil {
		e.Problem = err.Error()
	}
	r.schedule(&e, now)
	if err != nil && !errors.Is(err, dht.ErrNotFound) {
		e.Next = now.Add(r.jittered(retryAfter))
	}
	it.Entry = e
	r.last, r.outcome = now, summary(e)
	r.log.Debug("kept", "pointer", it.pointer, "holders", e.Holders, "asked", e.Asked, "put", e.Put.Equal(now), "error", err)
}

// summary returns the outcome of the last query or put, for people.
func summary(e Entry) string {
	if e.Problem != "" {
		return e.Problem
	}
	return fmt.Sprintf("%d of %d asked hold it", e.Holders, e.Asked)
}

// errNotSelected is returned when the contact was removed, or is no longer
// selected, since the contacts were read.
var errNotSelected = errors.New("no longer kept")

// checkSelected returns errNotSelected unless the pointer is to be republished now.
func (r *Republisher) checkSelected(p pointer.Pointer) error {
	selected, err := r.config.Contacts.Contains(p)
	if err == nil && !selected {
		err = errNotSelected
	}
	return err
}

// queryAndPut returns the new entry of the record, not yet scheduled, and the
// peers that answered.
func (r *Republisher) queryAndPut(ctx context.Context, reg region, it *item) (Entry, sample, error) {
	r.mu.Lock()
	e, before := it.Entry, it.peers
	r.mu.Unlock()
	if err := r.checkSelected(it.pointer); err != nil {
		return e, nil, err
	}
	client, err := r.config.Network.UnlinkableClient(ctx)
	if err != nil {
		return e, nil, err
	}
	defer client.Close()
	peers := reg.closestPeers(it.key)
	result, err := r.evaluate(ctx, it.pointer, queryAll(ctx, client, peers, it.pointer))
	if err != nil {
		return e, nil, err
	}
	e.Asked, e.Holders = len(peers), len(result.holders)
	switch {
	case len(result.answered) == 0:
		return e, nil, fmt.Errorf("%w: none of %d peers", dht.ErrUnreachable, len(peers))
	case !result.found:
		return e, sampleOf(result.answered), dht.ErrNotFound
	}
	now := r.config.Now()
	if e.Seen.IsZero() && len(result.holders) > 0 {
		e.Seen = now.Add(-assumedAge)
	}
	if !e.Looked.IsZero() && putByOthers(before, result) && e.Looked.After(e.Seen) {
		e.Seen = e.Looked
	}
	if len(result.holders) >= min(minHolders, len(result.answered)) && e.Seen.Add(maxPutAge).After(now.Add(minInterval)) {
		return e, sampleOf(result.answered), nil
	}
	if err := r.checkSelected(it.pointer); err != nil {
		return e, nil, err
	}
	stored := putAll(ctx, client, peers, result.best)
	if e.Holders = stored; stored > 0 {
		e.Put, e.Seen = r.config.Now(), r.config.Now()
	}
	if want := min(minHolders, len(result.answered)); stored < want {
		return e, sampleOf(result.answered), fmt.Errorf("stored by %d of %d peers, and %d are wanted", stored, len(peers), want)
	}
	return e, sampleOf(result.answered), nil
}

// putByOthers reports whether the record was put by others since the last query:
// at least 3 peers that did not answer then hold it, and these are at least half
// of the new peers. One or two may only have failed to answer the last query.
func putByOthers(before sample, result lookup) bool {
	if len(before) == 0 {
		return false
	}
	newcomers, holding := 0, 0
	for id := range result.answered {
		if !before.contains(keyPrefix(id)) {
			newcomers++
			if result.holders[id] {
				holding++
			}
		}
	}
	return holding >= 3 && 2*holding >= newcomers
}

// lookup is the result of a query for one record.
type lookup struct {
	best     pointer.Record
	found    bool            // best is set: not expired, and not older than the home's record
	answered map[string]bool // peers
	holders  map[string]bool // peers with the best record
}

// answer is the answer of one peer.
type answer struct {
	peer   string
	record []byte
	err    error
}

// queryAll requests the record from all peers at the same time, and returns the
// answer of each.
func queryAll(ctx context.Context, client Client, peers []keyedPeer, p pointer.Pointer) []answer {
	answers := make([]answer, len(peers))
	forEachPeer(peers, func(i int, to Peer) {
		b, err := client.Get(ctx, to, p)
		answers[i] = answer{to.ID, b, err}
	})
	return answers
}

// putAll puts the record at all peers at the same time, and returns the number of
// peers that stored it.
func putAll(ctx context.Context, client Client, peers []keyedPeer, rec pointer.Record) (stored int) {
	outcomes := make([]error, len(peers))
	forEachPeer(peers, func(i int, to Peer) { outcomes[i] = client.Put(ctx, to, rec.Pointer(), rec.Bytes()) })
	for _, err := range outcomes {
		if err == nil {
			stored++
		}
	}
	return stored
}

// forEachPeer calls do for each peer in a goroutine of its own, and returns when all
// calls have returned.
func forEachPeer(peers []keyedPeer, do func(i int, p Peer)) {
	done := make(chan struct{})
	for i, p := range peers {
		go func() {
			do(i, p.Peer)
			done <- struct{}{}
		}()
	}
	for range peers {
		<-done
	}
}

// evaluate verifies the answers and selects the newest record among them and the
// home's, which no older one replaces. It stores a newer record in the home.
func (r *Republisher) evaluate(ctx context.Context, p pointer.Pointer, answers []answer) (lookup, error) {
	result := lookup{answered: map[string]bool{}, holders: map[string]bool{}}
	now := r.config.Now()
	floor, haveFloor, err := r.homeRecord(ctx, p)
	if err != nil {
		return result, err
	}
	if haveFloor && now.Before(floor.Expires()) {
		result.best, result.found = floor, true
	}
	opened := map[string]pointer.Record{}
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		result.answered[a.peer] = true
		if _, seen := opened[string(a.record)]; a.record == nil || seen {
			continue
		}
		rec, err := pointer.Open(p, a.record, now)
		if err != nil {
			continue // the peer does not count as a holder
		}
		opened[string(a.record)] = rec
		if haveFloor && floor.Compare(rec) > 0 || result.found && result.best.Compare(rec) >= 0 {
			continue
		}
		result.best, result.found = rec, true
	}
	for _, a := range answers {
		if rec, ok := opened[string(a.record)]; ok && result.found && a.err == nil && rec.ID() == result.best.ID() {
			result.holders[a.peer] = true
		}
	}
	if result.found && (!haveFloor || result.best.Compare(floor) > 0) {
		if _, err := r.config.Home.Put(ctx, p, result.best.Bytes()); err != nil {
			return result, fmt.Errorf("newer record not kept: %w", err)
		}
	}
	return result, nil
}

// homeRecord returns the newest record in the home, even if it has expired. ok
// is false if there is none.
func (r *Republisher) homeRecord(ctx context.Context, p pointer.Pointer) (rec pointer.Record, ok bool, err error) {
	for a, err := range r.config.Home.Get(ctx, p) {
		if err != nil || a.Record == nil {
			if ctx.Err() != nil {
				return rec, false, ctx.Err()
			}
			return rec, false, nil // damaged: a query may return it again
		}
		rec, err = pointer.Open(p, a.Record, r.config.Now())
		var expired *pointer.ExpiredError
		if errors.As(err, &expired) {
			return expired.Record, true, nil
		}
		return rec, err == nil, nil
	}
	return rec, false, nil
}
