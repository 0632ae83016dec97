package kad

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

const (
	maxRepairs     = 5           // peers to which one look-up sends the best record
	lateDeadline   = time.Second // for answers that arrive after the end of the walk
	repairDeadline = time.Second
)

// holders is the record that each peer returned in one look-up.
type holders struct {
	open func([]byte) (pointer.Record, error)
	best pointer.Record              // the zero record: none
	held map[*contact]pointer.Record // the zero record: none, or an invalid one
}

// add adds the answer of a peer. A record that does not verify counts as none.
func (h *holders) add(c *contact, record []byte) {
	if h.held == nil {
		h.held = map[*contact]pointer.Record{}
	}
	h.held[c] = pointer.Record{}
	if record == nil {
		return
	}
	rec, err := h.open(record)
	if err != nil {
		return
	}
	h.held[c] = rec
	if h.best.Pointer().IsZero() || rec.Compare(h.best) > 0 {
		h.best = rec
	}
}

// isBehind reports whether a peer answered with an older record than the best
// or with none.
func (h *holders) isBehind(c *contact) bool {
	rec, answered := h.held[c]
	return answered && !h.best.Pointer().IsZero() && (rec.Pointer().IsZero() || rec.ID() != h.best.ID())
}

// finish handles the late answers of a look-up, caches the holders, and repairs
// peers that are behind.
func (g *get) finish(ctx context.Context) {
	w := g.walk
	timeout := time.NewTimer(lateDeadline)
	defer timeout.Stop()
	for waiting := true; waiting && w.hasState(asking, slow); {
		select {
		case e := <-w.events:
			if e.contact == nil {
				continue
			}
			w.apply(e)
			g.updateTable(ctx, e)
			if e.err == nil {
				g.holders.add(e.contact, e.reply.record)
			}
		case <-timeout.C:
			waiting = false
		case <-ctx.Done():
			return
		}
	}
	g.cacheHolders()
	g.repair(ctx)
}

// hasState reports whether a contact is in one of these states.
func (w *walk) hasState(states ...state) bool {
	return slices.ContainsFunc(w.contacts, func(c *contact) bool { return slices.Contains(states, c.state) })
}

// cacheHolders caches the peers that hold the best record, then peers that may
// hold it.
func (g *get) cacheHolders() {
	var holding, likely []*contact
	for _, c := range g.walk.nearest(2*nearPeers, candidate, asking, answered) {
		rec, answered := g.holders.held[c]
		switch {
		// No peer has a record, or this one is behind: not cached.
		case g.holders.best.Pointer().IsZero() || answered && (rec.Pointer().IsZero() || rec.ID() != g.holders.best.ID()):
		case answered:
			holding = append(holding, c)
		case !c.cached: // a cached peer that did not answer is not cached again
			likely = append(likely, c)
		}
	}
	if len(holding) > 0 {
		g.node.holderCache.put(g.pointer, append(holding, likely...))
	}
}

// repair sends the best record to some of the closest peers that are behind. In
// a dense region the number is the same, since the closest peers may be Sybils.
func (g *get) repair(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, repairDeadline)
	defer cancel()
	var puts sync.WaitGroup
	defer puts.Wait()
	sent := 0
	for _, c := range g.walk.live() {
		if sent == maxRepairs {
			return
		}
		if !g.holders.isBehind(c) || g.walk.size.peers > 0 && !g.walk.near(c) {
			continue
		}
		sent++
		puts.Go(func() {
			if err := g.node.putTo(ctx, c.AddrInfo, g.key, g.holders.best.Bytes()); err != nil {
				g.node.log.Debug("not repaired", "peer", c.ID, "error", err)
			}
		})
	}
}
