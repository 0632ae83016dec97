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
	tailDeadline   = time.Second // for the answers that are still on their way
	repairDeadline = time.Second
)

// holders is what peers were seen to hold in one look-up.
type holders struct {
	open func([]byte) (pointer.Record, error)
	best pointer.Record // the zero record: none
	has  map[*contact]pointer.Record
}

// note takes what a peer answered; a record that doesn't verify is as none.
func (h *holders) note(c *contact, record []byte) {
	if h.has == nil {
		h.has = map[*contact]pointer.Record{}
	}
	h.has[c] = pointer.Record{}
	if record == nil {
		return
	}
	rec, err := h.open(record)
	if err != nil {
		return
	}
	h.has[c] = rec
	if h.best.Pointer().IsZero() || rec.Compare(h.best) > 0 {
		h.best = rec
	}
}

// lags says whether a peer answered with less than the best.
func (h *holders) lags(c *contact) bool {
	rec, answered := h.has[c]
	return answered && !h.best.Pointer().IsZero() && (rec.Pointer().IsZero() || rec.ID() != h.best.ID())
}

// tail hears the requests out that a look-up left behind, remembers who held
// what, and repairs what lags.
func (g *get) tail(ctx context.Context) {
	w := g.walk
	timeout := time.NewTimer(tailDeadline)
	defer timeout.Stop()
	for hearing := true; hearing && w.waitsFor(asking, slow); {
		select {
		case e := <-w.events:
			if e.contact == nil {
				continue
			}
			w.take(e)
			g.learn(ctx, e)
			if e.err == nil {
				g.holders.note(e.contact, e.reply.record)
			}
		case <-timeout.C:
			hearing = false
		case <-ctx.Done():
			return
		}
	}
	g.remember()
	g.repair(ctx)
}

func (w *walk) waitsFor(states ...state) bool {
	return slices.ContainsFunc(w.contacts, func(c *contact) bool { return slices.Contains(states, c.state) })
}

// remember keeps who held the best record, then who may hold it.
func (g *get) remember() {
	var holding, likely []*contact
	for _, c := range g.walk.nearest(2*nearPeers, heard, asking, answered) {
		rec, told := g.holders.has[c]
		switch {
		case g.holders.best.Pointer().IsZero() || told && (rec.Pointer().IsZero() || rec.ID() != g.holders.best.ID()):
		case told:
			holding = append(holding, c)
		case !c.remembered: // once is enough to be taken from memory unheard
			likely = append(likely, c)
		}
	}
	if len(holding) > 0 {
		g.node.memory.keep(g.pointer, append(holding, likely...))
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
		if !g.holders.lags(c) || g.walk.size.peers > 0 && !g.walk.near(c) {
			continue
		}
		sent++
		puts.Go(func() {
			if err := g.node.store(ctx, c.AddrInfo, g.key, g.holders.best.Bytes()); err != nil {
				g.node.log.Debug("not repaired", "peer", c.ID, "error", err)
			}
		})
	}
}
