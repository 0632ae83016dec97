package kad

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/petnames-go/petnames/dht"
)

// Join dials peers by full multiaddrs (ending in /p2p/ and the peer ID), and
// gets to know their neighbours by a walk towards ourselves. It returns how
// many of the peers answered; none is an error that wraps
// [dht.ErrUnreachable] and says what each failed of.
func (n *Node) Join(ctx context.Context, addrs []string) (connected int, err error) {
	infos, err := parseAddrs(addrs)
	if err != nil {
		return 0, fmt.Errorf("kad: join: %w", err)
	}
	ctx, leave, err := n.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	if connected, err = n.join(ctx, infos); err != nil {
		return connected, fmt.Errorf("kad: join: %w", err)
	}
	return connected, nil
}

func (n *Node) join(ctx context.Context, infos []peer.AddrInfo) (connected int, err error) {
	self := string(n.host.ID())
	type outcome struct {
		info peer.AddrInfo
		r    reply
		err  error
	}
	outcomes := make(chan outcome, len(infos))
	asked := 0
	for _, info := range infos {
		if info.ID == n.host.ID() {
			continue
		}
		asked++
		n.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.RecentlyConnectedAddrTTL)
		go func() {
			r, err := n.query(ctx, peer.AddrInfo{ID: info.ID}, dht_pb.Message_FIND_NODE, self)
			outcomes <- outcome{info, r, err}
		}()
	}
	if asked == 0 {
		return 0, fmt.Errorf("%w: no peers but ourselves to join by", dht.ErrUnreachable)
	}
	var errs []error
	w := n.bareWalk(self, dht_pb.Message_FIND_NODE)
	for range asked {
		o := <-outcomes
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.info.ID, o.err))
			continue
		}
		connected++
		w.hear(o.info)
		for _, p := range o.r.closer {
			w.hear(p)
		}
	}
	if connected == 0 {
		return 0, fmt.Errorf("%w: %w", dht.ErrUnreachable, errors.Join(errs...))
	}
	// Neighbours make the table; that some can't be found is no failure to join.
	_ = w.run(ctx, func(e event) bool {
		n.learn(ctx, e)
		return true
	})
	return connected, nil
}
