package republish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// keepOne looks for one record, under a peer key of its own, and puts it if too
// few hold it.
func (k *Keeper) keepOne(ctx context.Context, r region, it *item) {
	e, peers, err := k.lookAndPut(ctx, r, it)
	if ctx.Err() != nil {
		return // it stays due
	}
	now := k.c.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	if errors.Is(err, errNotKept) {
		k.read = time.Time{} // drops it
		it.Next = now.Add(longest)
		return
	}
	if peers != nil {
		if !it.Looked.IsZero() {
			k.measure(it.peers, peers, now.Sub(it.Looked))
		}
		it.peers, e.Looked = peers, now
	}
	e.Problem = ""
	if err != nil {
		e.Problem = err.Error()
	}
	k.schedule(&e, now)
	if err != nil && !errors.Is(err, dht.ErrNotFound) {
		e.Next = now.Add(k.around(retryAfter))
	}
	it.Entry = e
	k.last, k.said = now, summary(e)
	k.log.Debug("kept", "pointer", it.pointer, "holders", e.Holders, "asked", e.Asked, "put", e.Put.Equal(now), "error", err)
}

func summary(e Entry) string {
	if e.Problem != "" {
		return e.Problem
	}
	return fmt.Sprintf("%d of %d asked hold it", e.Holders, e.Asked)
}

// errNotKept: the user changed their mind, or removed the contact.
var errNotKept = errors.New("no longer kept")

func (k *Keeper) stillKept(p pointer.Pointer) error {
	kept, err := k.c.Contacts.Keeps(p)
	if err == nil && !kept {
		err = errNotKept
	}
	return err
}

// lookAndPut gives what is known afterwards, and the peers that answered.
func (k *Keeper) lookAndPut(ctx context.Context, r region, it *item) (Entry, sample, error) {
	k.mu.Lock()
	e, before := it.Entry, it.peers
	k.mu.Unlock()
	if err := k.stillKept(it.pointer); err != nil {
		return e, nil, err
	}
	s, err := k.c.Network.Stranger(ctx)
	if err != nil {
		return e, nil, err
	}
	defer s.Close()
	peers := r.nearest(it.place)
	l, err := k.look(ctx, it.pointer, askAll(ctx, s, peers, it.pointer))
	if err != nil {
		return e, nil, err
	}
	e.Asked, e.Holders = len(peers), len(l.holders)
	switch {
	case len(l.answered) == 0:
		return e, nil, fmt.Errorf("%w: none of %d peers", dht.ErrUnreachable, len(peers))
	case !l.found:
		return e, sampleOf(l.answered), dht.ErrNotFound
	}
	now := k.c.Now()
	if e.Seen.IsZero() && len(l.holders) > 0 {
		e.Seen = now.Add(-unknownAge)
	}
	if !e.Looked.IsZero() && putByOthers(before, l) && e.Looked.After(e.Seen) {
		e.Seen = e.Looked
	}
	if len(l.holders) >= min(enough, len(l.answered)) && e.Seen.Add(forgotten).After(now.Add(shortest)) {
		return e, sampleOf(l.answered), nil
	}
	if err := k.stillKept(it.pointer); err != nil {
		return e, nil, err
	}
	stored := putAll(ctx, s, peers, l.best)
	if e.Holders = stored; stored > 0 {
		e.Put, e.Seen = k.c.Now(), k.c.Now()
	}
	if want := min(enough, len(l.answered)); stored < want {
		return e, sampleOf(l.answered), fmt.Errorf("stored by %d of %d peers, and %d are wanted", stored, len(peers), want)
	}
	return e, sampleOf(l.answered), nil
}

// putByOthers reports whether peers that were not there at the last look hold
// the record: then somebody has put it since. One or two may only have failed
// to answer then.
func putByOthers(before sample, l look) bool {
	if len(before) == 0 {
		return false
	}
	newcomers, holding := 0, 0
	for id := range l.answered {
		if !before.has(startOf(id)) {
			newcomers++
			if l.holders[id] {
				holding++
			}
		}
	}
	return holding >= 3 && 2*holding >= newcomers
}

// look is what peers said of one record.
type look struct {
	best     pointer.Record
	found    bool            // best is one, within its life and no older than the home knows
	answered map[string]bool // peers
	holders  map[string]bool // of these: have the best
}

// answer is one peer's.
type answer struct {
	peer   string
	record []byte
	err    error
}

func askAll(ctx context.Context, s Stranger, peers []located, p pointer.Pointer) []answer {
	answers := make([]answer, len(peers))
	all(peers, func(i int, to Peer) {
		b, err := s.Get(ctx, to, p)
		answers[i] = answer{to.ID, b, err}
	})
	return answers
}

func putAll(ctx context.Context, s Stranger, peers []located, rec pointer.Record) (stored int) {
	outcomes := make([]error, len(peers))
	all(peers, func(i int, to Peer) { outcomes[i] = s.Put(ctx, to, rec.Pointer(), rec.Bytes()) })
	for _, err := range outcomes {
		if err == nil {
			stored++
		}
	}
	return stored
}

func all(peers []located, do func(i int, p Peer)) {
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

// look weighs the answers against what the home has, and keeps a newer record
// there.
func (k *Keeper) look(ctx context.Context, p pointer.Pointer, answers []answer) (look, error) {
	l := look{answered: map[string]bool{}, holders: map[string]bool{}}
	now := k.c.Now()
	floor, have, err := k.held(ctx, p)
	if err != nil {
		return l, err
	}
	if have && now.Before(floor.Expires()) {
		l.best, l.found = floor, true
	}
	opened := map[string]pointer.Record{}
	for _, a := range answers {
		if a.err != nil {
			continue
		}
		l.answered[a.peer] = true
		if _, known := opened[string(a.record)]; a.record == nil || known {
			continue
		}
		rec, err := pointer.Open(p, a.record, now)
		if err != nil {
			continue // a lie costs its teller the count, and nothing else
		}
		opened[string(a.record)] = rec
		if have && floor.Compare(rec) > 0 || l.found && l.best.Compare(rec) >= 0 {
			continue
		}
		l.best, l.found = rec, true
	}
	for _, a := range answers {
		if rec, ok := opened[string(a.record)]; ok && l.found && a.err == nil && rec.ID() == l.best.ID() {
			l.holders[a.peer] = true
		}
	}
	if l.found && (!have || l.best.Compare(floor) > 0) {
		if _, err := k.c.Home.Put(ctx, p, l.best.Bytes()); err != nil {
			return l, fmt.Errorf("newer record not kept: %w", err)
		}
	}
	return l, nil
}

// held is the newest record that the home knows, maybe an expired one.
func (k *Keeper) held(ctx context.Context, p pointer.Pointer) (rec pointer.Record, ok bool, err error) {
	for a, err := range k.c.Home.Get(ctx, p) {
		if err != nil || a.Record == nil {
			if ctx.Err() != nil {
				return rec, false, ctx.Err()
			}
			return rec, false, nil // damaged: a look may bring it again
		}
		rec, err = pointer.Open(p, a.Record, k.c.Now())
		var old *pointer.ExpiredError
		if errors.As(err, &old) {
			return old.Record, true, nil
		}
		return rec, err == nil, nil
	}
	return rec, false, nil
}
