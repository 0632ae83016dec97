package libp2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/dht/share"
)

// Bounds of the streams of one protocol that are served at a time.
const (
	maxConns       = 32
	maxPeerConns   = 2
	maxSourceConns = 8
)

// directStream is a stream with a Close that ends reads and writes that wait.
type directStream struct{ network.Stream }

func (c directStream) Close() error {
	err := c.Stream.Close()
	_ = c.SetReadDeadline(time.Unix(1, 0)) // past
	return err
}

// ServeStreams calls serve for each stream of a protocol that a peer opens, until the node
// is closed. Streams over the bounds are reset at once: see package share.
func (n *node) ServeStreams(name string, serve func(io.ReadWriteCloser)) {
	slots := share.New(maxConns, maxPeerConns, maxSourceConns)
	n.Host().SetStreamHandler(protocol.ID(name), func(s network.Stream) {
		id := s.Conn().RemotePeer()
		slot := slots.Acquire(func() { _ = s.Reset() }, string(id), kad.SourceOf(id, s.Conn().RemoteMultiaddr()))
		if slot == nil {
			_ = s.Reset()
			return
		}
		defer slot.Release()
		slot.SetServing(true)
		serve(directStream{s})
	})
}

// OpenStream opens a stream to the first peer at these addresses that responds.
func (n *node) OpenStream(ctx context.Context, addresses [][]byte, name string) (io.ReadWriteCloser, error) {
	s := dialRecords(n.Host(), addresses, n.MayDial, n.unreachable).(*store)
	infos, err := peer.AddrInfosFromP2pAddrs(s.addresses...)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	failed := errors.New("no address that can be dialled is known")
	for _, info := range infos {
		if info.ID == n.Host().ID() || n.unreachable.contains(info.ID) {
			continue
		}
		opened, err := openStream(ctx, n.Host(), info, protocol.ID(name))
		if err == nil {
			return directStream{opened}, nil
		}
		if ctx.Err() == nil {
			n.unreachable.add(info.ID)
		}
		failed = err
	}
	return nil, fmt.Errorf("%w: %w", dht.ErrUnreachable, failed)
}

// openStream connects to a peer and opens a stream, in dialTime.
func openStream(ctx context.Context, h host.Host, info peer.AddrInfo, name protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	if err := h.Connect(ctx, info); err != nil {
		return nil, err
	}
	return h.NewStream(ctx, info.ID, name)
}
