package wansim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing/synctest"
	"time"

	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-msgio"
	mss "github.com/multiformats/go-multistream"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/pointer"
)

// The kinds of client of one operation. The client that gets a record is not the
// one that put it, and has another place.
const (
	kindPut = iota
	kindAny
	kindAgreed
	kindFresh
	kindStrict
	kindAgain
	kindKadPut
	kindKadPutTuned
	kindKadSearch
	kindKadSearchTuned
	kindOraclePut
	kindOracleGet
)

// getOffset separates the places of clients that get from those that put.
const getOffset = clientKinds / 2

func clientNumber(kind, place int) int { return firstClient + kind*clientKinds + place }

// startNode starts a new node of package kad.
func (w *wan) startNode(kind, place int) (*kad.Node, *countingHost) {
	h := w.host(clientNumber(kind, place), time.Second)
	n, err := kad.Start(w.t.Context(), kad.Config{Host: h})
	require.NoError(w.t, err)
	w.fill(n.DHT(), uint64(firstClient+place))
	return n, h
}

func (w *wan) closeNode(n *kad.Node, h *countingHost) {
	require.NoError(w.t, n.Close())
	_ = h.Close()
}

// startKadDHT starts an unmodified kad-dht client. Its routing table is filled
// as that of package kad's node at the same place.
func (w *wan) startKadDHT(kind, place int, dialing time.Duration) *kaddht.IpfsDHT {
	d := w.newKadDHT(w.host(clientNumber(kind, place), dialing), kaddht.ModeClient)
	w.fill(d, uint64(firstClient+place))
	return d
}

// publish measures a put by package kad and the holders after it.
func (w *wan) publish(place int, rec pointer.Record, m *measures) {
	n, h := w.startNode(kindPut, place)
	defer w.closeNode(n, h)
	began := time.Now()
	receipt, err := n.Put(w.t.Context(), rec.Pointer(), rec.Bytes())
	took := time.Since(began)
	if err != nil {
		m.failed++
		w.t.Logf("put %d: %v", place, err)
	}
	m.publish.add(took, int(h.streams.Load()))
	all, near := w.holders(rec)
	if receipt.Stored > all {
		m.untrueReports++
		w.t.Logf("put %d: %d peers acknowledged, %d have the record", place, receipt.Stored, all)
	}
	m.atReturn = append(m.atReturn, near)
	require.NoError(w.t, n.Wait(w.t.Context()))
	m.tail = append(m.tail, int(h.streams.Load()))
	_, near = w.holders(rec)
	m.after = append(m.after, near)
}

// resolve measures a look-up by a new client of package kad at a level. For
// kindAgain the same client has looked the record up before, and has no
// connections.
func (w *wan) resolve(kind, place int, rec pointer.Record, level dht.Level, s *series, m *measures) {
	n, h := w.startNode(kind, getOffset+place)
	defer w.closeNode(n, h)
	if kind == kindAgain {
		_, err := (&dht.Resolver{Stores: []dht.Store{n}}).Best(w.t.Context(), rec.Pointer(), level)
		require.NoError(w.t, err)
		require.NoError(w.t, n.Wait(w.t.Context()))
		w.disconnectAll(n, h, place)
		h.streams.Store(0)
	}
	began := time.Now()
	res, err := (&dht.Resolver{Stores: []dht.Store{n}}).Best(w.t.Context(), rec.Pointer(), level)
	took := time.Since(began)
	s.add(took, int(h.streams.Load()))
	if err != nil || !bytes.Equal(res.Record.Bytes(), rec.Bytes()) {
		m.failed++
		w.t.Logf("resolve %s %d: %v", level, place, err)
		return
	}
	if all, _ := w.holders(rec); res.Agreed > all {
		m.untrueReports++
		w.t.Logf("resolve %s %d: %d counted as agreeing, %d have the record", level, place, res.Agreed, all)
	}
	require.NoError(w.t, n.Wait(w.t.Context()))
}

// disconnectAll resets a client except for its holder cache: it closes the
// connections, clears the dial back-offs, and fills the routing table again.
func (w *wan) disconnectAll(n *kad.Node, h *countingHost, place int) {
	for _, c := range h.Host.Network().Conns() {
		_ = c.Close()
	}
	synctest.Wait()
	backoff := h.Host.Network().(interface{ Backoff() *swarm.DialBackoff }).Backoff()
	for _, info := range w.known {
		backoff.Clear(info.ID)
	}
	w.fill(n.DHT(), uint64(firstClient+getOffset+place))
}

func (w *wan) kadPut(kind, place int, rec pointer.Record, dialing time.Duration, s *series) {
	d := w.startKadDHT(kind, place, dialing)
	defer w.closeKadDHT(d)
	began := time.Now()
	if err := d.PutValue(w.t.Context(), routingKey(rec.Pointer()), rec.Bytes()); err != nil {
		w.t.Logf("PutValue %d: %v", place, err)
	}
	s.add(time.Since(began), w.requestsOf(d.PeerID()))
}

// kadSearch measures a search by kad-dht and returns the last value.
func (w *wan) kadSearch(kind, place int, p pointer.Pointer, dialing time.Duration, first, end *series) (last []byte) {
	d := w.startKadDHT(kind, getOffset+place, dialing)
	defer w.closeKadDHT(d)
	began := time.Now()
	values, err := d.SearchValue(w.t.Context(), routingKey(p))
	require.NoError(w.t, err)
	for v := range values {
		if last == nil {
			first.add(time.Since(began), w.requestsOf(d.PeerID()))
		}
		last = v
	}
	end.add(time.Since(began), w.requestsOf(d.PeerID()))
	return last
}

func (w *wan) requestsOf(by peer.ID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[by]
}

// The oracle is a client that knows the closest live peers and asks all of them
// at the same time.

func (w *wan) oraclePut(place int, rec pointer.Record, s *series) {
	key := routingKey(rec.Pointer())
	req := dht_pb.NewMessage(dht_pb.Message_PUT_VALUE, []byte(key), 0)
	req.Record = record.MakePutRecord(key, rec.Bytes())
	took := w.oracle(kindOraclePut, place, key, req, func(resp *dht_pb.Message) bool {
		return bytes.Equal(resp.GetRecord().GetValue(), rec.Bytes())
	})
	require.GreaterOrEqual(w.t, len(took), 15)
	s.add(took[14], replication)
}

func (w *wan) oracleGet(place int, rec pointer.Record, first, third, fifth *series) {
	key := routingKey(rec.Pointer())
	req := dht_pb.NewMessage(dht_pb.Message_GET_VALUE, []byte(key), 0)
	took := w.oracle(kindOracleGet, getOffset+place, key, req, func(resp *dht_pb.Message) bool {
		return bytes.Equal(resp.GetRecord().GetValue(), rec.Bytes())
	})
	require.GreaterOrEqual(w.t, len(took), 5)
	first.add(took[0], replication)
	third.add(took[2], replication)
	fifth.add(took[4], replication)
}

// oracle returns the times of the answers for which good returns true, in
// order.
func (w *wan) oracle(kind, place int, key string, req *dht_pb.Message, good func(*dht_pb.Message) bool) []time.Duration {
	h := w.host(clientNumber(kind, place), time.Second)
	defer h.Close()
	peers := w.closest(key)
	answers := make(chan bool, len(peers))
	began := time.Now()
	for _, p := range peers {
		h.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
		go func() {
			resp, err := request(w.t.Context(), h, p.ID, req)
			answers <- err == nil && good(resp)
		}()
	}
	var took []time.Duration
	for range peers {
		if <-answers {
			took = append(took, time.Since(began))
		}
	}
	return took
}

// request sends one message on a new stream, in two round trips if the peer
// must be dialled, which is the minimum.
func request(ctx context.Context, h *countingHost, p peer.ID, req *dht_pb.Message) (*dht_pb.Message, error) {
	s, err := h.Network().NewStream(ctx, p)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if err := s.SetProtocol(kadProtocol); err != nil {
		return nil, err
	}
	rw := mss.NewMSSelect(s, kadProtocol)
	b, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	if _, err := rw.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
		return nil, err
	}
	answer, err := msgio.NewVarintReaderSize(bufio.NewReader(rw), 1<<20).ReadMsg()
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	resp := new(dht_pb.Message)
	return resp, proto.Unmarshal(answer, resp)
}
