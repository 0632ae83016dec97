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
	ma "github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht"
)

// Join dials peers by multiaddrs that end in /p2p/ and the peer ID, and finds
// their neighbours by a walk towards the node's own ID. It returns the number
// of these peers that answered. If there are none, the error wraps
// [dht.ErrUnreachable] and contains the reason for each peer.
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
	n.dials.allow(infos)
	if connected, err = n.join(ctx, infos); err != nil {
		return connected, fmt.Errorf("kad: join: %w", err)
	}
	return connected, nil
}

// joinAtStart joins through the bootstrap peers and, at the same time, through
// the known peers of the previous run, since either may be gone. A node without
// bootstrap peers and without discovery dials no known peers: other peers had
// connected to it.
func (n *Node) joinAtStart(ctx context.Context) {
	var knownPeers []peer.AddrInfo
	if n.persistence != nil && (len(n.bootstrap) > 0 || n.discovery != nil) {
		knownPeers = n.persistence.knownPeers
	}
	var joining sync.WaitGroup
	knownErr := errors.New("none") // the error of joining through known peers
	if len(knownPeers) > 0 {
		joining.Go(func() { _, knownErr = n.join(ctx, knownPeers) })
	}
	if len(n.entryPeers()) > 0 {
		n.joinErr = n.enter(ctx)
	}
	joining.Wait()
	if knownErr == nil {
		n.log.Info("joined by peers known before", "peers", n.Peers())
	}
	switch {
	case n.joinErr == nil:
	case knownErr == nil:
		n.joinErr = nil
	default:
		n.log.Info("not joined", "error", n.joinErr)
	}
}

// JoinError returns the reason why [Start] could not join the network, with the
// error of each bootstrap peer. It returns nil if a peer answered, or if there
// was no peer to ask. Peers that connect to the node later do not change it.
func (n *Node) JoinError() error { return n.joinErr }

// explainFailure replaces an error of a join by one that the owner can act on:
// the peer is silent, another peer answers at its address, or the peer belongs
// to another network or is not a server.
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
	// Unlike Node.call, Host.NewStream waits until the peer has reported its
	// protocols.
	if s, serr := n.host.NewStream(ctx, p, n.protocol); serr == nil {
		_ = s.Reset()
		return err
	}
	protocols, perr := n.host.Peerstore().GetProtocols(p)
	if perr != nil || len(protocols) == 0 || slices.Contains(protocols, n.protocol) {
		return err
	}
	var others []string
	for _, s := range protocols {
		if strings.HasSuffix(string(s), "/kad/1.0.0") && len(s) <= 64 {
			others = append(others, strconv.Quote(string(s)))
		}
	}
	if len(others) == 0 {
		return fmt.Errorf("%w: it answers, but is no server of %s, nor of another DHT", errOtherNetwork, n.protocol)
	}
	return fmt.Errorf("%w: it answers, but serves %s, not %s", errOtherNetwork, strings.Join(others[:min(len(others), 3)], ", "), n.protocol)
}

// join dials peers, asks each for the neighbours of the node, and walks to the node's own
// ID. It returns the number of these peers that answered.
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
				// Another dial, perhaps by kad-dht, has just failed. An explicit join
				// dials again.
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
		return 0, fmt.Errorf("%w: no peers to join by except this node", dht.ErrUnreachable)
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
		n.widenReach(o.info)
		w.add(o.info)
		for _, p := range o.r.closer {
			w.add(p)
		}
	}
	if connected == 0 {
		return 0, fmt.Errorf("%w: %w", dht.ErrUnreachable, errors.Join(errs...))
	}
	// The walk fills the routing table. Its failure does not fail the join.
	_ = w.run(ctx, func(e event) bool {
		n.updateTable(ctx, e)
		return true
	})
	return connected, nil
}

// widenReach lowers the Reach after a connection with a peer that the owner named by
// a DNS name: the name may lead into a local network.
func (n *Node) widenReach(info peer.AddrInfo) {
	if !n.dials.mayDialPeer(info.ID) || !slices.ContainsFunc(info.Addrs, func(a ma.Multiaddr) bool { return nameOf(a) != "" }) {
		return
	}
	for _, c := range n.host.Network().ConnsToPeer(info.ID) {
		if c.Stat().Direction == network.DirOutbound {
			n.dials.widen(c.RemoteMultiaddr())
		}
	}
}
