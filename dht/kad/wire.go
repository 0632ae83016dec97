package kad

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	mss "github.com/multiformats/go-multistream"
	"github.com/multiformats/go-varint"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

const (
	// maxMessage bounds an answer, in bytes. A record and 20 peers with a dozen
	// addresses each take a third of it.
	maxMessage = 192 << 10

	// maxCloser bounds the peers used of one answer. An honest answer has at most
	// 20.
	maxCloser = 20

	// maxAddrs bounds the addresses used of one peer, and maxAddr the length of
	// each in bytes. Addresses with WebTransport's certificate hashes are the
	// longest.
	maxAddrs = 12
	maxAddr  = 256
)

// errMalformed is returned for an answer that violates the protocol.
var errMalformed = errors.New("malformed answer")

// errRefused is returned when a peer received a request and reset or ended the
// stream without an answer, or echoed another record.
var errRefused = errors.New("refused")

// call sends one request on a new stream and reads the answer. It does not use
// host.NewStream, which waits for identify (a round trip), and it sends the
// protocol's name together with the request (another).
//
// An error wraps dht.ErrUnreachable if the peer did not answer, errRefused if
// it ended the stream without an answer, errMalformed if the answer is malformed,
// and errBusy if nothing was sent.
func (n *Node) call(ctx context.Context, p peer.AddrInfo, req *dht_pb.Message) (*dht_pb.Message, error) {
	client, store := clientOf(ctx), req.GetType() == dht_pb.Message_PUT_VALUE
	if client != "" {
		if err := n.hops.takeShare(p.ID, client, store, wallTime()); err != nil {
			return nil, err
		}
	}
	if err := n.hops.take(p.ID, store, client != "", wallTime()); err != nil {
		return nil, err
	}
	if len(p.Addrs) > 0 && n.host.Network().Connectedness(p.ID) != network.Connected {
		n.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
	}
	s, err := n.host.Network().NewStream(network.WithDialPeerTimeout(ctx, n.dialTimeout), p.ID)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", dht.ErrUnreachable, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	resp, err := n.roundTrip(ctx, s, req)
	if err == nil {
		_ = s.Close()
		return resp, nil
	}
	gone := s.Conn().IsClosed()
	_ = s.Reset()
	switch {
	case errors.Is(err, errMalformed):
		return nil, err
	case ctx.Err() == nil && !gone && (errors.Is(err, network.ErrReset) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil, fmt.Errorf("%w: %w", dht.ErrUnreachable, err)
}

// roundTrip writes a request to a stream and reads the answer.
func (n *Node) roundTrip(ctx context.Context, s network.Stream, req *dht_pb.Message) (*dht_pb.Message, error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(deadline)
	}
	if err := s.SetProtocol(n.protocol); err != nil {
		return nil, err
	}
	rw := mss.NewMSSelect(s, n.protocol)
	b, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	if _, err := rw.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		return nil, err
	}
	return readMessage(rw)
}

// readMessage reads one length-prefixed message of at most maxMessage bytes. It
// allocates memory as bytes arrive, not for the announced length.
func readMessage(r io.Reader) (*dht_pb.Message, error) {
	br := bufio.NewReader(r)
	length, err := varint.ReadUvarint(br)
	if errors.Is(err, varint.ErrOverflow) || errors.Is(err, varint.ErrNotMinimal) {
		return nil, fmt.Errorf("%w: length: %w", errMalformed, err)
	}
	if err != nil {
		return nil, err
	}
	if length > maxMessage {
		return nil, fmt.Errorf("%w: %d bytes, over %d", errMalformed, length, maxMessage)
	}
	b, err := io.ReadAll(io.LimitReader(br, int64(length)))
	if err != nil {
		return nil, err
	}
	if uint64(len(b)) < length {
		return nil, io.ErrUnexpectedEOF
	}
	m := new(dht_pb.Message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return m, nil
}

// reply is the part of an answer that a walk uses.
type reply struct {
	record []byte // nil: none
	closer []peer.AddrInfo
}

// readReply checks a message for the requested key and returns its record and
// peers, within the bounds.
func (n *Node) readReply(key string, m *dht_pb.Message) (reply, error) {
	var r reply
	if rec := m.GetRecord(); rec != nil {
		switch {
		case !bytes.Equal(rec.GetKey(), []byte(key)):
			return reply{}, fmt.Errorf("%w: a record of another key", errMalformed)
		case len(rec.GetValue()) > pointer.MaxRecord:
			return reply{}, fmt.Errorf("%w: a record of %d bytes, over %d", errMalformed, len(rec.GetValue()), pointer.MaxRecord)
		case len(rec.GetValue()) == 0:
			return reply{}, fmt.Errorf("%w: an empty record", errMalformed)
		}
		r.record = rec.GetValue()
	}
	for _, p := range m.GetCloserPeers() {
		if len(r.closer) == maxCloser {
			break
		}
		id, err := peer.IDFromBytes(p.GetId())
		if err != nil || id == n.host.ID() {
			continue
		}
		info := peer.AddrInfo{ID: id}
		for _, b := range p.GetAddrs() {
			if len(info.Addrs) == maxAddrs {
				break
			}
			if len(b) > maxAddr {
				continue
			}
			if a, err := ma.NewMultiaddrBytes(b); err == nil && n.MayDial(a) {
				info.Addrs = append(info.Addrs, a)
			}
		}
		r.closer = append(r.closer, info)
	}
	return r, nil
}

// MayDial reports whether the node may dial an address that others named, such as
// a peer or a card: a dialable one within Config.Reach.
func (n *Node) MayDial(a ma.Multiaddr) bool { return dialable(a, n.reach()) }

// reach returns the Reach for addresses that others named.
func (n *Node) reach() Reach {
	switch {
	case n.network == IPFS:
		return ReachPublic
	case n.dials == nil:
		return ReachHost
	}
	return n.dials.currentReach()
}

// requestTimeout is the default timeout of one request, including the dial.
const requestTimeout = 2500 * time.Millisecond

// query asks one peer for the key's record, depending on the type, and for
// closer peers.
func (n *Node) query(ctx context.Context, p peer.AddrInfo, t dht_pb.Message_MessageType, key string) (reply, error) {
	m, err := n.call(ctx, p, dht_pb.NewMessage(t, []byte(key), 0))
	if err != nil {
		return reply{}, err
	}
	return n.readReply(key, m)
}
