package kad

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

const (
	maxRepairs     = 5           // peers that one look-up sends the best record to
	lateDeadline   = time.Second // for the answers that are still on their way
	repairDeadline = time.Second
)

// holders is what peers were seen to hold in one look-up.
type holders struct {
	open func([]byte) (pointer.Record, error)
	best pointer.Record // the zero record: none
	held map[*contact]pointer.Record
}

// note takes what a peer answered; a record that doesn't verify is as none.
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

// lags says whether a peer answered with less than the best.
func (h *holders) isBehind(c *contact) bool {
	rec, answered := h.held[c]
	return answered && !h.best.Pointer().IsZero() && (rec.Pointer().IsZero() || rec.ID() != h.best.ID())
}

// tail hears the requests out that a look-up left behind, remembers who held
// what, and repairs what lags.
func (g *get) finish(ctx context.Context) {
	w := g.walk
	timeout := time.NewTimer(lateDeadline)
	defer timeout.Stop()
	for hearing := true; hearing && w.hasState(asking, slow); {
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
			hearing = false
		case <-ctx.Done():
			return
		}
	}
	g.cacheHolders()
	g.repair(ctx)
}

func (w *walk) hasState(states ...state) bool {
	return slices.ContainsFunc(w.contacts, func(c *contact) bool { return slices.Contains(states, c.state) })
}

// remember keeps who held the best record, then who may hold it.
func (g *get) cacheHolders() {
	var holding, likely []*contact
	for _, c := range g.walk.nearest(2*nearPeers, candidate, asking, answered) {
		rec, told := g.holders.held[c]
		switch {
		case g.holders.best.Pointer().IsZero() || told && (rec.Pointer().IsZero() || rec.ID() != g.holders.best.ID()):
		case told:
			holding = append(holding, c)
		case !c.cached: // once is enough to be taken from memory unheard
			likely = append(likely, c)
		}
	}
	if len(holding) > 0 {
		g.node.holderCache.put(g.pointer, append(holding, likely...))
	}
}

// repair sends the best record to the closest that lack it. In a crowd the
// closest are no better than others, and the bound is the same.
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
