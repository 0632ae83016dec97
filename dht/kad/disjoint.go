package kad

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Disjoint paths: liars on the way can lead a walk among themselves. Walks that
// start from different peers and never ask the same one are led astray only
// each by its own. What they have found is then asked together.
//
// Source: Baumgart and Mies, "S/Kademlia" (2007), §4.4.
const (
	paths     = 3
	pathPeers = 10 // closest peers that each path looks for
	pathSlots = 8
)

// errTaken marks a peer that another path has asked.
var errOtherPath = errors.New("asked by another path")

// said is what one peer answered to any of the paths.
type pathAnswer struct {
	path int
	done chan struct{}
	r    reply
	err  error
}

// disjoint finds the region by paths that share no peer, yields what these
// peers answer, and leaves the walk knowing all that they heard of, and not
// asking anybody again.
func (g *get) disjointPaths(ctx context.Context) error {
	n := g.node
	ctx, cancel := context.WithTimeoutCause(ctx, maxWalk, errWalkLimit)
	defer cancel()
	var mu sync.Mutex
	answers := map[peer.ID]*pathAnswer{}
	g.yielded = map[peer.ID]bool{}
	ask := g.walk.ask
	through := func(path int) func(context.Context, peer.AddrInfo) (reply, error) {
		return func(ctx context.Context, p peer.AddrInfo) (reply, error) {
			mu.Lock()
			s := answers[p.ID]
			if s != nil && (path < 0 || s.path != path) {
				mu.Unlock()
				if path >= 0 {
					return reply{}, errOtherPath
				}
				<-s.done
				return s.r, s.err
			}
			s = &pathAnswer{path: path, done: make(chan struct{})}
			answers[p.ID] = s
			mu.Unlock()
			defer close(s.done)
			s.r, s.err = ask(ctx, p)
			if s.err != nil && errors.Is(ctx.Err(), context.Canceled) {
				mu.Lock() // the path has ended, and the peer has not had its time
				delete(answers, p.ID)
				mu.Unlock()
			}
			return s.r, s.err
		}
	}
	walks := make([]*walk, paths)
	for i := range walks {
		walks[i] = n.newPlainWalk(g.key, dht_pb.Message_GET_VALUE)
		walks[i].k, walks[i].slots, walks[i].ask = pathPeers, pathSlots, through(i)
	}
	for i, c := range g.walk.contacts {
		walks[i%paths].add(c.AddrInfo)
	}
	events := make(chan event)
	var running sync.WaitGroup
	for _, w := range walks {
		running.Go(func() {
			// A path that comes to no end has said what it could.
			_ = w.run(ctx, func(e event) bool {
				select {
				case events <- e:
					return true
				case <-ctx.Done():
					return false
				}
			})
		})
	}
	go func() {
		running.Wait()
		close(events)
	}()
	for e := range events {
		if e.late || g.stopped || errors.Is(e.err, errOtherPath) {
			continue
		}
		n.updateTable(ctx, e)
		g.asked++
		g.yielded[e.contact.ID] = true
		if g.handleAnswer(e); g.stopped {
			cancel()
		}
	}
	if g.stopped {
		return nil
	}
	if ctx.Err() != nil && !errors.Is(context.Cause(ctx), errWalkLimit) {
		return context.Cause(ctx)
	}
	for _, w := range walks {
		for _, c := range w.contacts[:min(len(w.contacts), maxAsked)] {
			g.walk.add(c.AddrInfo)
		}
	}
	g.walk.ask = through(-1)
	return nil
}
