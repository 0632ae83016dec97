package kad

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Disjoint paths. Malicious peers on the way can misdirect a walk to one
// another. If several walks start from different peers and never ask the same
// peer, malicious peers on one path do not misdirect the others. Another walk
// then asks all peers that the paths have found.
//
// Source: Baumgart and Mies, "S/Kademlia" (2007), §4.4.
const (
	paths     = 3
	pathPeers = 10 // closest peers that each path looks for
	pathSlots = 8
)

// errOtherPath is returned for a peer that another path has asked.
var errOtherPath = errors.New("asked by another path")

// pathAnswer is the answer of one peer to the path that asked it.
type pathAnswer struct {
	path int
	done chan struct{}
	r    reply
	err  error
}

// disjointPaths finds the region by paths that share no peer and yields the
// answers of their peers. Afterwards the walk knows all contacts of the paths,
// and receives the answers of the peers that a path has asked without asking
// them again.
func (g *get) disjointPaths(ctx context.Context) error {
	n := g.node
	ctx, cancel := context.WithTimeoutCause(ctx, maxWalk, errWalkLimit)
	defer cancel()
	var mu sync.Mutex
	answers := map[peer.ID]*pathAnswer{}
	g.askedByPath = map[peer.ID]bool{}
	ask := g.walk.ask
	askOnPath := func(path int) func(context.Context, peer.AddrInfo) (reply, error) {
		return func(ctx context.Context, p peer.AddrInfo) (reply, error) {
			mu.Lock()
			answer := answers[p.ID]
			if answer != nil && (path < 0 || answer.path != path) {
				mu.Unlock()
				if path >= 0 {
					return reply{}, errOtherPath
				}
				<-answer.done
				return answer.r, answer.err
			}
			answer = &pathAnswer{path: path, done: make(chan struct{})}
			answers[p.ID] = answer
			mu.Unlock()
			defer close(answer.done)
			answer.r, answer.err = ask(ctx, p)
			if answer.err != nil && errors.Is(ctx.Err(), context.Canceled) {
				mu.Lock() // the path ended before the peer's time to answer was over
				delete(answers, p.ID)
				mu.Unlock()
			}
			return answer.r, answer.err
		}
	}
	walks := make([]*walk, paths)
	for i := range walks {
		walks[i] = n.newPlainWalk(g.key, dht_pb.Message_GET_VALUE)
		walks[i].k, walks[i].slots, walks[i].ask = pathPeers, pathSlots, askOnPath(i)
	}
	for i, c := range g.walk.contacts {
		walks[i%paths].add(c.AddrInfo)
	}
	events := make(chan event)
	var running sync.WaitGroup
	for _, w := range walks {
		running.Go(func() {
			// The answers of an incomplete path are useful as well.
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
		g.askedByPath[e.contact.ID] = true
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
	g.walk.ask = askOnPath(-1)
	return nil
}
