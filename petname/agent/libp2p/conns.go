package libp2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/dht/share"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// peerStream is a stream with a Close that ends reads and writes that wait.
type peerStream struct {
	network.Stream
	peer pointer.Pointer
}

// newStream returns a stream of a peer with a key of a kind that pointers have. It resets any
// other one.
func newStream(s network.Stream) (peerStream, error) {
	p, err := pointer.FromBytes([]byte(s.Conn().RemotePeer()))
	if err != nil {
		_ = s.Reset()
	}
	return peerStream{s, p}, err
}

func (s peerStream) Close() error {
	err := s.Stream.Close()
	_ = s.SetDeadline(time.Unix(1, 0)) // past
	return err
}

func (s peerStream) Read(b []byte) (int, error) {
	n, err := s.Stream.Read(b)
	return n, standard(err)
}

func (s peerStream) Write(b []byte) (int, error) {
	n, err := s.Stream.Write(b)
	return n, standard(err)
}

func (s peerStream) Peer() pointer.Pointer { return s.peer }

func (s peerStream) Source() string {
	return kad.SourceOf(s.Conn().RemotePeer(), s.Conn().RemoteMultiaddr())
}

func (s peerStream) Direct() bool { return !s.Conn().Stat().Limited }

// standard returns an error of a libp2p stream as those of package net are.
func standard(err error) error {
	var timeout interface{ Timeout() bool }
	switch {
	case err == nil, err == io.EOF:
		return err
	case errors.Is(err, network.ErrReset):
		return fmt.Errorf("%w: %w", syscall.ECONNRESET, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return os.ErrDeadlineExceeded
	}
	return err
}

// ServeStreams calls serve for each stream of a protocol that a peer opens, until the node
// is closed. Streams over the bounds are reset at once: see package share.
func (n *node) ServeStreams(name string, b agent.StreamBounds, serve func(s agent.Stream, serving func())) {
	slots := share.New(b.Streams, b.Peer, b.Source)
	n.Host().SetStreamHandler(protocol.ID(name), func(s network.Stream) {
		id := s.Conn().RemotePeer()
		slot := slots.Acquire(func() { _ = s.Reset() }, string(id), kad.SourceOf(id, s.Conn().RemoteMultiaddr()))
		if slot == nil {
			_ = s.Reset()
			return
		}
		defer slot.Release()
		if served, err := newStream(s); err == nil {
			serve(served, func() { slot.SetServing(true) })
		}
	})
}

// OpenStream opens a stream to the first peer at these addresses that responds.
func (n *node) OpenStream(ctx context.Context, addresses [][]byte, name string, again bool) (agent.Stream, error) {
	s := dialRecords(n.Host(), addresses, n.MayDial, n.unreachable).(*store)
	infos, err := peer.AddrInfosFromP2pAddrs(s.addresses...)
	if err != nil {
		return nil, fmt.Errorf("address: %w", err)
	}
	failed := errors.New("no address that can be dialled is known")
	for _, info := range infos {
		if info.ID == n.Host().ID() || !again && n.unreachable.contains(info.ID) {
			continue
		}
		opened, err := openStream(ctx, n.Host(), info, protocol.ID(name))
		if err == nil {
			return newStream(opened)
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		n.unreachable.add(info.ID)
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
