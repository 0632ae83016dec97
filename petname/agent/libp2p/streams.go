package libp2p

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/dht/share"
	"github.com/petnames-go/petnames/pointer"
)

// recordsProtocol is one request and one answer a stream:
//
//	request  = operation (1 byte: 0 get, 1 put) ‖ length (2 bytes, big-endian) ‖ pointer
//	           ‖ length ‖ record
//	answer   = status (1 byte: 0 done, 1 refused) ‖ length ‖ record, or nothing
//
// A stream proves nothing and says nothing about its ends: records are asked for
// and stored under pointers that only the two parties can derive, and are sealed
// and signed inside.
const recordsProtocol protocol.ID = "/petnames/records/1"

const (
	opGet = 0
	opPut = 1

	statusDone    = 0
	statusRefused = 1

	maxPointer      = 64              // bytes of a multihash
	streamTime      = 5 * time.Second // for a request and its answer
	dialTime        = 2 * time.Second
	maxAddresses    = 16               // of one party
	maxPeers        = 4                // of one party, at these addresses
	unreachableTime = 30 * time.Second // for which an unreachable peer is not tried again

	maxStreams       = 32 // that are served at a time
	maxPeerStreams   = 8  // of one peer
	maxSourceStreams = 16 // of one address group: see kad.SourceOf
)

// serveRecords answers others out of a store, until the host is closed. The store
// receives well-formed pointers only, and records of at most pointer.MaxRecord
// bytes that it has to verify. Streams over the bounds are reset at once: see
// package share.
func serveRecords(h host.Host, store dht.Store) {
	slots := share.New(maxStreams, maxPeerStreams, maxSourceStreams)
	h.SetStreamHandler(recordsProtocol, func(s network.Stream) {
		ctx, cancel := context.WithTimeout(context.Background(), streamTime)
		defer cancel()
		id := s.Conn().RemotePeer()
		slot := slots.Acquire(func() {
			cancel()
			_ = s.Reset()
		}, string(id), kad.SourceOf(id, s.Conn().RemoteMultiaddr()))
		if slot == nil {
			_ = s.Reset()
			return
		}
		defer slot.Release()
		_ = s.SetDeadline(time.Now().Add(streamTime))
		if err := answer(ctx, s, store, func() { slot.SetServing(true) }); err != nil {
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
}

// answer reads a request and writes its answer. It calls serving when the request was
// read.
func answer(ctx context.Context, s io.ReadWriter, store dht.Store, serving func()) error {
	op, p, record, err := readRequest(s)
	if err != nil {
		return err
	}
	serving()
	if op == opPut {
		status := byte(statusDone)
		if _, err := store.Put(ctx, p, record); err != nil {
			status = statusRefused
		}
		_, err := s.Write([]byte{status, 0, 0}) // no record: length 0
		return err
	}
	var found []byte
	for a, err := range store.Get(ctx, p) {
		if err == nil && len(a.Record) <= pointer.MaxRecord {
			found = a.Record
		}
		break
	}
	_, err = s.Write(appendField([]byte{statusDone}, found))
	return err
}

func appendField(b, field []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(field))), field...)
}

func readField(r io.Reader, most int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > most {
		return nil, fmt.Errorf("field of %d bytes, over %d", n, most)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

func readRequest(r io.Reader) (op byte, p pointer.Pointer, record []byte, err error) {
	var first [1]byte
	if _, err = io.ReadFull(r, first[:]); err != nil {
		return 0, p, nil, err
	}
	if op = first[0]; op > opPut {
		return 0, p, nil, fmt.Errorf("operation %d", op)
	}
	mh, err := readField(r, maxPointer)
	if err != nil {
		return 0, p, nil, err
	}
	if p, err = pointer.FromBytes(mh); err != nil {
		return 0, p, nil, err
	}
	most := 0
	if op == opPut {
		most = pointer.MaxRecord
	}
	record, err = readField(r, most)
	return op, p, record, err
}

// store is the mailbox of another agent.
type store struct {
	host        host.Host
	addresses   []ma.Multiaddr
	unreachable *unreachablePeers
}

// dialRecords returns the store of the agent at one of these addresses, multiaddrs
// in binary form that end in /p2p/. It dials when it is asked, up to 4 peers, each for
// 2 seconds at most; a peer that did not respond is not dialled again for a while.
// Addresses that are none, have no peer ID, or that mayDial refuses are passed over.
func dialRecords(h host.Host, addresses [][]byte, mayDial func(ma.Multiaddr) bool, unreachable *unreachablePeers) dht.Store {
	s := &store{host: h, unreachable: unreachable}
	peers := map[peer.ID]bool{}
	for _, b := range addresses {
		m, err := ma.NewMultiaddrBytes(b)
		if err != nil || len(s.addresses) == maxAddresses || !mayDial(m) {
			continue
		}
		id, err := peer.IDFromP2PAddr(m)
		if err != nil || !peers[id] && len(peers) == maxPeers {
			continue
		}
		peers[id] = true
		s.addresses = append(s.addresses, m)
	}
	return s
}

var errRefused = errors.New("the recipient does not wait for such a record")

// Get asks for one record.
func (s *store) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		_, record, peer, err := s.ask(ctx, append(appendField([]byte{opGet}, p.Bytes()), 0, 0))
		a := dht.Answer{Source: dht.SourceNetwork, Peer: peer, Asked: 1}
		if err != nil {
			a.Peer = "direct" // a peer that did not respond: mostly, the agent is offline
			yield(a, fmt.Errorf("%w: %w", dht.ErrUnreachable, err))
			return
		}
		if len(record) > 0 {
			a.Record = record
		}
		yield(a, nil)
	}
}

// Put hands one record over.
func (s *store) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if len(record) > pointer.MaxRecord {
		return dht.Receipt{}, fmt.Errorf("record of %d bytes, over %d", len(record), pointer.MaxRecord)
	}
	status, _, _, err := s.ask(ctx, appendField(appendField([]byte{opPut}, p.Bytes()), record))
	switch {
	case err != nil:
		return dht.Receipt{Asked: 1, Unreachable: 1}, fmt.Errorf("%w: %w", dht.ErrUnreachable, err)
	case status != statusDone:
		return dht.Receipt{Asked: 1, Refused: 1}, errRefused
	}
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

// ask sends a request to the addresses in turn, until one responds.
func (s *store) ask(ctx context.Context, request []byte) (status byte, record []byte, who string, err error) {
	infos, err := peer.AddrInfosFromP2pAddrs(s.addresses...)
	if err != nil {
		return 0, nil, "", fmt.Errorf("address: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, streamTime)
	defer cancel()
	failed := []error{errors.New("no address of the contact is known")}
	for _, info := range infos {
		if info.ID == s.host.ID() || s.unreachable.contains(info.ID) {
			continue
		}
		status, record, err = exchange(ctx, s.host, info, request)
		if err == nil {
			return status, record, info.ID.String(), nil
		}
		if ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
			s.unreachable.add(info.ID)
		}
		failed = append(failed, err)
	}
	return 0, nil, "", failed[len(failed)-1]
}

func exchange(ctx context.Context, h host.Host, info peer.AddrInfo, request []byte) (byte, []byte, error) {
	s, err := openStream(ctx, h, info, recordsProtocol)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = s.Close() }()
	_ = s.SetDeadline(time.Now().Add(streamTime))
	if _, err := s.Write(request); err != nil {
		_ = s.Reset()
		return 0, nil, err
	}
	_ = s.CloseWrite()
	status, record, err := readAnswer(s)
	if err != nil {
		_ = s.Reset()
	}
	return status, record, err
}

func readAnswer(r io.Reader) (byte, []byte, error) {
	var status [1]byte
	if _, err := io.ReadFull(r, status[:]); err != nil {
		return 0, nil, err
	}
	if status[0] > statusRefused {
		return 0, nil, fmt.Errorf("status %d", status[0])
	}
	record, err := readField(r, pointer.MaxRecord)
	return status[0], record, err
}
