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

// Peers of a local network are found by multicast DNS, as libp2p's mDNS
// specification has it, so that Kubo's nodes are among them. A node that
// listens answers the queries of others; one that only dials just asks. What
// is announced is hostile until a peer has proved its key.

const (
	maxFound   = 64              // peers that announcements may make us dial at one time
	retryAfter = 6 * time.Second // libp2p refuses to dial a peer for 5 s after it failed to
	txtAddress = "dnsaddr="
)

// discovery is what looks for peers while a node runs.
type discovery struct {
	node  *Node
	found chan struct{} // closed when the first peer was joined
	once  sync.Once
	slots chan struct{}
	stop  func()
}

// discover starts to look.
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

// read takes announcements until ctx ends.
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

// announced reads the TXT records of an announcement, and passes over what is
// no address of a peer.
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
		return nil // one of them names no peer: nobody of ours wrote it
	}
	return infos
}

// HandlePeerFound joins a peer that announced itself, behind the caller's back,
// and tries once more if that fails: an announcement isn't repeated soon. Past
// [maxFound] at one time a peer is passed over.
func (d *discovery) HandlePeerFound(info peer.AddrInfo) {
	n := d.node
	if info.ID == n.host.ID() {
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

func (d *discovery) join(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	_, err := d.node.join(ctx, []peer.AddrInfo{info})
	return err
}
