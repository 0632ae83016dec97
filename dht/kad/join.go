package kad

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

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
	ctx, leave, err := n.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	if connected, err = n.join(ctx, infos); err != nil {
		return connected, fmt.Errorf("kad: join: %w", err)
	}
	return connected, nil
}

// enterBy joins by the bootstrap peers and, where there are some, by the peers
// that a node before this one knew: side by side, since either may be gone. A
// node without any entrance knew its peers by their coming, and dials nobody.
func (n *Node) joinAtStart(ctx context.Context) {
	var known []peer.AddrInfo
	if n.persistence != nil && (len(n.bootstrap) > 0 || n.discovery != nil) {
		known = n.persistence.knownPeers
	}
	var joining sync.WaitGroup
	again := errors.New("none")
	if len(known) > 0 {
		joining.Go(func() { _, again = n.join(ctx, known) })
	}
	if len(n.bootstrap) > 0 {
		_, n.joinErr = n.join(ctx, n.bootstrap)
	}
	joining.Wait()
	if again == nil {
		n.log.Info("joined by peers known before", "peers", n.Peers())
	}
	switch {
	case n.joinErr == nil:
	case again == nil:
		n.joinErr = nil
	default:
		n.log.Info("not joined", "error", n.joinErr) // whoever started us asks Refused
	}
}

// Refused says why [Start] could not join: of each bootstrap peer what it
// failed of. Nil if one let us in, or there was none to ask. Being found by
// others later doesn't change it.
func (n *Node) JoinError() error { return n.joinErr }

// explain says what a person can do something about when a peer let us not in:
// it is silent, another peer answers at its address, or it is there, but of
// another network, or no server.
func (n *Node) explainFailure(ctx context.Context, p peer.ID, err error) error {
	var mismatch sec.ErrPeerIDMismatch
	switch {
	case errors.As(err, &mismatch):
		return fmt.Errorf("another peer answers there: %s", mismatch.Actual)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer: %w", context.DeadlineExceeded)
	}
	if n.host.Network().Connectedness(p) != network.Connected {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lastDeadline)
	defer cancel()
	// A stream like everybody's waits until the peer has said what it speaks.
	if s, serr := n.host.NewStream(ctx, p, n.protocol); serr == nil {
		_ = s.Reset()
		return err
	}
	speaks, perr := n.host.Peerstore().GetProtocols(p)
	if perr != nil || len(speaks) == 0 || slices.Contains(speaks, n.protocol) {
		return err
	}
	var others []string
	for _, s := range speaks {
		if strings.HasSuffix(string(s), "/kad/1.0.0") && len(s) <= 64 {
			others = append(others, strconv.Quote(string(s)))
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("%w: it is there, but is no server of %s, nor of any other DHT", errOtherNetwork, n.protocol)
	}
	return fmt.Errorf("%w: it is there, but serves %s, not %s", errOtherNetwork, strings.Join(others[:min(len(others), 3)], ", "), n.protocol)
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
			if s, ok := n.host.Network().(*swarm.Swarm); ok && errors.Is(err, swarm.ErrDialBackoff) {
				// Somebody, kad-dht itself perhaps, has just tried in vain. We were told to.
				s.Backoff().Clear(info.ID)
				r, err = n.query(ctx, peer.AddrInfo{ID: info.ID}, dht_pb.Message_FIND_NODE, self)
			}
			if err != nil {
				err = n.explainFailure(ctx, info.ID, err)
			}
			outcomes <- outcome{info, r, err}
		}()
	}
	if asked == 0 {
		return 0, fmt.Errorf("%w: no peers but ourselves to join by", dht.ErrUnreachable)
	}
	var errs []error
	w := n.newPlainWalk(self, dht_pb.Message_FIND_NODE)
	for range asked {
		o := <-outcomes
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", o.info.ID, o.err))
			continue
		}
		connected++
		w.add(o.info)
		for _, p := range o.r.closer {
			w.add(p)
		}
	}
	if connected == 0 {
		return 0, fmt.Errorf("%w: %w", dht.ErrUnreachable, errors.Join(errs...))
	}
	// Neighbours make the table; that some can't be found is no failure to join.
	_ = w.run(ctx, func(e event) bool {
		n.updateTable(ctx, e)
		return true
	})
	return connected, nil
}
