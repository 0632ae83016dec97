package kad

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/zeroconf/v2"
	ma "github.com/multiformats/go-multiaddr"
)

// Nodes find the peers of a local network by multicast DNS, as specified by
// libp2p, which Kubo's nodes also use. A node that listens answers queries; a
// node that only dials sends them. Announcements are not trusted: a connection
// proves the key of the peer.

const (
	maxFound   = 64              // announced peers that are dialled at one time
	retryAfter = 6 * time.Second // libp2p refuses to dial a peer for 5 s after a failed dial
	txtAddress = "dnsaddr="
)

// discovery finds peers of the local network while a node runs.
type discovery struct {
	node  *Node
	found chan struct{} // closed when the first peer has been joined
	once  sync.Once
	slots chan struct{}
	stop  func()
}

// discover starts the discovery.
func (n *Node) discover() (*discovery, error) {
	d := &discovery{node: n, found: make(chan struct{}), slots: make(chan struct{}, maxFound)}
	if len(n.host.Network().ListenAddresses()) > 0 {
		service := mdns.NewMdnsService(n.host, mdns.ServiceName, d)
		if err := service.Start(); err != nil {
			return nil, err
		}
		d.stop = func() { _ = service.Close() }
		return d, nil
	}
	ctx, cancel := context.WithCancel(n.ctx)
	entries := make(chan *zeroconf.ServiceEntry, maxFound)
	var wg sync.WaitGroup
	wg.Go(func() { d.read(ctx, entries) })
	wg.Go(func() {
		if err := zeroconf.Browse(ctx, mdns.ServiceName, "local", entries); err != nil {
			n.log.Warn("local network not searched", "error", err)
		}
	})
	d.stop = func() {
		cancel()
		wg.Wait()
	}
	return d, nil
}

// read handles announcements until ctx ends.
func (d *discovery) read(ctx context.Context, entries <-chan *zeroconf.ServiceEntry) {
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-entries:
			if !ok {
				return
			}
			for _, info := range announced(e.Text) {
				d.HandlePeerFound(info)
			}
		}
	}
}

// announced returns the peers in the TXT records of an announcement. It ignores
// texts that are not multiaddrs.
func announced(texts []string) []peer.AddrInfo {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		if len(text) <= len(txtAddress) || text[:len(txtAddress)] != txtAddress {
			continue
		}
		if a, err := ma.NewMultiaddr(text[len(txtAddress):]); err == nil {
			addrs = append(addrs, a)
		}
	}
	infos, err := peer.AddrInfosFromP2pAddrs(addrs...)
	if err != nil {
		return nil // an address without a peer ID: not from a libp2p node
	}
	return infos
}

// HandlePeerFound joins an announced peer in the background. After a failure it
// tries once more, since an announcement is not repeated soon. It ignores peers
// over maxFound at one time.
func (d *discovery) HandlePeerFound(info peer.AddrInfo) {
	n := d.node
	// Anyone on the local network can announce any address.
	info.Addrs = ma.FilterAddrs(info.Addrs, n.MayDial)
	if info.ID == n.host.ID() || len(info.Addrs) == 0 {
		return
	}
	select {
	case d.slots <- struct{}{}:
	default:
		return
	}
	ctx, leave, err := n.begin(n.ctx)
	if err != nil {
		<-d.slots
		return
	}
	go func() {
		defer func() { <-d.slots }()
		defer leave()
		err := d.join(ctx, info)
		if err != nil {
			select {
			case <-time.After(retryAfter):
				err = d.join(ctx, info)
			case <-ctx.Done():
			}
		}
		if err != nil {
			n.log.Debug("announced peer not joined", "peer", info.ID, "error", err)
			return
		}
		d.once.Do(func() { close(d.found) })
	}()
}

// join dials one announced peer, within its joinTimeout.
func (d *discovery) join(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, d.node.joinTimeout())
	defer cancel()
	_, err := d.node.join(ctx, []peer.AddrInfo{info})
	return err
}
