package kad

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// A message is accepted up to its size limit, and its memory is allocated only
// as its bytes arrive.
func TestTheLengthOfAMessage(t *testing.T) {
	message := func(size int) []byte { // a key that fills the message
		b := protowire.AppendTag(nil, 2, protowire.BytesType)
		key := size - len(b) - len(protowire.AppendVarint(nil, uint64(size)))
		b = protowire.AppendBytes(b, make([]byte, key))
		require.Len(t, b, size)
		return append(binary.AppendUvarint(nil, uint64(size)), b...)
	}
	m, err := readMessage(bytes.NewReader(message(maxMessage)))
	require.NoError(t, err)
	require.Greater(t, len(m.GetKey()), maxMessage-10)
	_, err = readMessage(bytes.NewReader(message(maxMessage + 1)))
	require.ErrorIs(t, err, errMalformed)
	_, err = readMessage(bytes.NewReader(message(100)[:100]))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "one byte is missing")
	long := append([]byte{0xe4, 0x80, 0x00}, make([]byte, 100)...) // 100, encoded in three bytes
	_, err = readMessage(bytes.NewReader(long))
	require.ErrorIs(t, err, errMalformed)
}

// A node keeps no more of an answer than an honest answer contains: 20 peers,
// 12 addresses of each, 256 bytes of each address, and a record of 10 KiB for
// the requested key.
func TestAnswersAreTruncatedToTheSizeOfHonestOnes(t *testing.T) {
	n := &Node{host: startHost(t), network: LAN}
	addr := func(size int) []byte { // exactly size bytes long
		b := ma.StringCast("/ip4/127.0.0.1/tcp/1").Bytes()
		path := ma.StringCast("/http-path/x").Bytes()
		code := path[:len(path)-2]
		rest := size - len(b) - len(code) - 2
		b = append(binary.AppendUvarint(append(b, code...), uint64(rest)), bytes.Repeat([]byte("y"), rest)...)
		require.Len(t, b, size)
		_, err := ma.NewMultiaddrBytes(b)
		require.NoError(t, err)
		return b
	}
	m := dht_pb.NewMessage(dht_pb.Message_GET_VALUE, []byte("key"), 0)
	for i := range maxCloser + 5 {
		p := &dht_pb.Message_Peer{Id: []byte(randomPeer(t))}
		switch i {
		case 0:
			for port := range maxAddrs + 5 {
				p.Addrs = append(p.Addrs, ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port+1)).Bytes())
			}
		case 1:
			p.Addrs = [][]byte{addr(maxAddr + 1), addr(maxAddr)}
		}
		m.CloserPeers = append(m.CloserPeers, p)
	}
	m.CloserPeers = append([]*dht_pb.Message_Peer{{Id: []byte(n.host.ID())}, {Id: []byte("none")}}, m.CloserPeers...)
	r, err := n.readReply("key", m)
	require.NoError(t, err)
	require.Len(t, r.closer, maxCloser)
	require.Len(t, r.closer[0].Addrs, maxAddrs)
	require.Len(t, r.closer[1].Addrs, 1)
	require.Len(t, r.closer[1].Addrs[0].Bytes(), maxAddr)

	for size, want := range map[int]bool{0: false, 1: true, pointer.MaxRecord: true, pointer.MaxRecord + 1: false} {
		m := dht_pb.NewMessage(dht_pb.Message_GET_VALUE, nil, 0)
		m.Record = record.MakePutRecord("key", make([]byte, size))
		r, err := n.readReply("key", m)
		require.Equal(t, want, err == nil, size)
		if want {
			require.Len(t, r.record, size)
		}
		_, err = n.readReply("another", m)
		require.ErrorIs(t, err, errMalformed)
	}
}

// A node dials an address that another peer named only if the address is of the
// network's kind. It dials no address that needs name resolution or a relay,
// and a public network does not lead to a private address.
func TestWhichAddressesMayBeDialled(t *testing.T) {
	relay := "/p2p/" + randomPeer(t).String() + "/p2p-circuit"
	for addr, want := range map[string][2]bool{ // of a LAN, of IPFS
		"/ip4/8.8.8.8/tcp/1":             {true, true},
		"/ip6/2a00:1450:4001::1/tcp/1":   {true, true},
		"/ip4/192.168.1.1/udp/1/quic-v1": {true, false},
		"/ip4/127.0.0.1/tcp/1":           {true, false},
		"/ip6/fe80::1/tcp/1":             {true, false},
		"/ip4/0.0.0.0/tcp/1":             {false, false},
		"/ip6/::/tcp/1":                  {false, false},
		"/ip4/224.0.0.1/udp/1/quic-v1":   {false, false},
		"/ip6/ff02::1/udp/1/quic-v1":     {false, false},
		"/dns4/example.org/tcp/1":        {false, false},
		"/dnsaddr/example.org":           {false, false},
		"/ip4/8.8.8.8/tcp/1" + relay:     {false, false},
		"/unix/a":                        {false, false},
		"/ip4/8.8.8.8/tcp/1/ws":          {true, true},
		"/ip6/2001:db8::1/udp/1/quic-v1": {true, false}, // documentation
		"/ip4/100.64.0.1/udp/1/quic-v1":  {true, false}, // carrier-grade NAT
	} {
		a, err := ma.NewMultiaddr(addr)
		require.NoError(t, err)
		require.Equal(t, want[0], (&Node{network: LAN}).MayDial(a), "%s on a LAN", addr)
		require.Equal(t, want[1], (&Node{network: IPFS}).MayDial(a), "%s on IPFS", addr)
	}
}

// forge returns a record whose signature has one wrong bit and which is
// otherwise correct.
func forge(t testing.TB, rec pointer.Record) []byte {
	t.Helper()
	b := rec.Bytes()
	for rest := b; len(rest) > 0; {
		field, kind, n := protowire.ConsumeField(rest)
		require.Positive(t, n)
		if field == 8 { // signatureV2
			require.Equal(t, protowire.BytesType, kind)
			rest[n-1] ^= 1
			_, err := pointer.Open(rec.Pointer(), b, time.Now())
			require.ErrorContains(t, err, "signature")
			return b
		}
		rest = rest[n:]
	}
	t.Fatal("a record without a signature")
	return nil
}

// Peers that refuse a record make Put return ErrOlder only if they have a newer
// record that verifies.
func TestOnlyANewerRecordThatVerifiesMakesAPutOlder(t *testing.T) {
	simulate(t, func(t *testing.T) {
		k := newKey(t)
		mine, newer := sign(t, k, 2), sign(t, k, 3)
		forged := forge(t, newer)
		for name, c := range map[string]struct {
			have  []byte
			older bool
		}{
			"newer":      {newer.Bytes(), true},
			"forged":     {forged, false},
			"older":      {sign(t, k, 1).Bytes(), false},
			"of another": {sign(t, newKey(t), 9).Bytes(), false},
			"none":       {nil, false},
		} {
			refusing := func(req *dht_pb.Message) *dht_pb.Message {
				m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
				switch {
				case req.GetType() == dht_pb.Message_PUT_VALUE:
					return nil
				case req.GetType() == dht_pb.Message_GET_VALUE && c.have != nil:
					m.Record = record.MakePutRecord(string(req.GetKey()), c.have)
				}
				return m
			}
			n := startNode(t, Config{})
			for range 3 {
				acquaint(t, n, startScripted(t, [sha256.Size]byte{}, 0, 256, refusing).AddrInfo)
			}
			receipt, err := n.Put(t.Context(), k.Pointer(), mine.Bytes())
			require.Equal(t, dht.Receipt{Asked: 3, Refused: 3}, receipt, name)
			require.Equal(t, c.older, errors.Is(err, dht.ErrOlder), "%s: %v", name, err)
			var short *dht.ShortError
			require.ErrorAs(t, err, &short)
		}
	})
}

// Confirm does not count the peers that acknowledged the put first. The number
// of puts whose first peers are stored is bounded.
func TestTheFirstAcknowledgingPeersConfirmNothing(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 4)
		client := startClient(t, nodes...)
		k := newKey(t)
		rec := sign(t, k, 1)
		_, err := client.PutAll(t.Context(), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		var all []string
		for i := range nodes {
			confirmed := func() int {
				n, err := client.Confirm(t.Context(), rec.Pointer(), rec.Bytes())
				require.NoError(t, err)
				return n
			}
			client.storeFirstAcks(rec.Pointer(), all)
			require.Equal(t, len(nodes)-i, confirmed())
			all = append(all, nodes[i].ID())
		}
		client.storeFirstAcks(rec.Pointer(), nil)
		n, err := client.Confirm(t.Context(), rec.Pointer(), sign(t, k, 2).Bytes())
		require.NoError(t, err)
		require.Zero(t, n, "the peers have an older record")
		own, err := nodes[0].Confirm(t.Context(), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, len(nodes)-1, own, "a server's own copy confirms nothing")
		for range 3 * maxFirstAcks {
			client.storeFirstAcks(newKey(t).Pointer(), all)
			require.LessOrEqual(t, len(client.firstAcks), maxFirstAcks)
		}
	})
}

// At every level a server yields its own copy last, with SourceHome and without
// a peer.
func TestAServersOwnCopyComesLast(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 3)
		rec := sign(t, newKey(t), 1)
		_, err := nodes[0].PutAll(t.Context(), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		for _, level := range []dht.Level{dht.LevelAny, dht.LevelFresh, dht.LevelStrict} {
			var answers []dht.Answer
			for a, err := range nodes[0].GetAt(t.Context(), rec.Pointer(), level) {
				require.NoError(t, err)
				require.Equal(t, rec.Bytes(), a.Record)
				answers = append(answers, a)
			}
			require.Len(t, answers, 3)
			for i, a := range answers {
				require.Equal(t, i == 2, a.Source == dht.SourceHome)
				require.Equal(t, i == 2, a.Peer == "")
			}
		}
	})
}

// A look-up adds the peers that answered to the routing table and removes those
// that could not be reached. It does not add a cached peer that answered.
func TestALookUpUpdatesTheRoutingTable(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 3)
		n := startNode(t, Config{})
		acquaint(t, n, peer.AddrInfo{ID: nodes[0].host.ID(), Addrs: nodes[0].host.Addrs()})
		gone := peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{silentAddr(t)}}
		acquaint(t, n, gone)
		_, answers, _ := collect(t.Context(), n, newKey(t).Pointer())
		require.Equal(t, len(nodes), answers)
		require.NoError(t, n.Wait(t.Context()))
		table := n.dht.RoutingTable()
		for _, node := range nodes {
			require.NotEmpty(t, table.Find(node.host.ID()))
		}
		require.Empty(t, table.Find(gone.ID))
	})
	n := startNode(t, Config{})
	g := &get{node: n}
	for name, c := range map[string]struct {
		known, cached bool
		err           error
		late, want    bool
	}{
		"answered":               {want: true},
		"cached, and answered":   {cached: true},
		"known, and answered":    {known: true, cached: true, want: true},
		"unreachable":            {known: true, err: dht.ErrUnreachable},
		"cached and unreachable": {known: true, cached: true, err: dht.ErrUnreachable},
		"lied":                   {known: true, err: errMalformed, want: true},
		"late":                   {known: true, err: dht.ErrUnreachable, late: true, want: true},
	} {
		c1 := &contact{AddrInfo: peer.AddrInfo{ID: randomPeer(t)}, cached: c.cached}
		if c.known {
			acquaint(t, n, c1.AddrInfo)
		}
		g.updateTable(t.Context(), event{contact: c1, err: c.err, late: c.late})
		require.Equal(t, c.want, n.dht.RoutingTable().Find(c1.ID) != "", name)
	}
}

// A holder's record that does not verify counts as no record, and only peers
// that answered lag behind the best record.
func TestHoldersOfTheBest(t *testing.T) {
	k := newKey(t)
	h := &holders{open: func(b []byte) (pointer.Record, error) { return pointer.Open(k.Pointer(), b, time.Now()) }}
	at := make([]*contact, 6)
	for i := range at {
		at[i] = &contact{}
	}
	forged := forge(t, sign(t, k, 9))
	h.add(at[0], nil)
	h.add(at[1], forged)
	require.False(t, h.isBehind(at[0]) || h.isBehind(at[1]), "behind nothing")
	h.add(at[2], sign(t, k, 1).Bytes())
	require.False(t, h.isBehind(at[2]))
	newest := sign(t, k, 2)
	h.add(at[3], newest.Bytes())
	h.add(at[4], sign(t, k, 1).Bytes())
	require.Equal(t, newest.ID(), h.best.ID())
	for i, want := range []bool{true, true, true, false, true, false} {
		require.Equal(t, want, h.isBehind(at[i]), i)
	}
}

// Fewer than eight closest peers are not a sample. A table of fewer than twenty
// peers yields no estimate. Samples of random keys take precedence over the
// table.
func TestTheSourcesOfTheSizeEstimate(t *testing.T) {
	var s sampler
	s.add(make([]float64, fewestSampled-1))
	require.Zero(t, s.count())
	s.add(make([]float64, fewestSampled))
	require.Equal(t, 1, s.count())
	for i := range 2 * maxSamples {
		s.add(slices.Repeat([]float64{float64(i)}, closest))
	}
	require.Len(t, s.samples, maxSamples)
	for i, spans := range s.samples {
		require.InDelta(t, maxSamples+i, spans[0], 0, "the newest are kept")
	}

	n := startNode(t, Config{})
	for range closest - 1 {
		acquaint(t, n, peer.AddrInfo{ID: randomPeer(t)})
	}
	require.Zero(t, n.size())
	acquaint(t, n, peer.AddrInfo{ID: randomPeer(t)})
	got := n.size()
	require.InDelta(t, 20, got.peers, 19)
	require.Positive(t, got.relError)
	supposeSize(n, 5000)
	require.InEpsilon(t, 5000, n.size().peers, 0.01)
}

// Wait ends with its context, or when no operation is in progress.
func TestWaitEndsWithItsContext(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		_, leave, err := n.begin(t.Context())
		require.NoError(t, err)
		leave = sync.OnceFunc(leave)
		t.Cleanup(leave) // otherwise Close waits for the operation
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, n.Wait(ctx), context.Canceled)
		waited := make(chan error, 1)
		bounded := within(t, time.Minute)
		go func() { waited <- n.Wait(bounded) }()
		synctest.Wait()
		require.Empty(t, waited, "an operation is in progress")
		leave()
		require.NoError(t, <-waited)
		require.NoError(t, n.Wait(ctx), "there is nothing to wait for")
	})
}

// Close returns after the operations that it cancels have ended.
func TestCloseWaitsForCancelledOperations(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startNode(t, Config{})
		ctx, leave, err := n.begin(t.Context())
		require.NoError(t, err)
		closed := make(chan error, 1)
		go func() { closed <- n.Close() }()
		synctest.Wait()
		require.ErrorIs(t, context.Cause(ctx), errClosed)
		require.Empty(t, closed)
		leave()
		require.NoError(t, <-closed)
	})
}

// A node does not join a network by itself.
func TestANodeDoesNotJoinByItself(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startServers(t, 1)[0]
		connected, err := n.Join(t.Context(), n.Addrs())
		require.Zero(t, connected)
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.ErrorContains(t, err, "no peers to join by except this node")
	})
}

// An acknowledgement contains the record under its key. Three of four are
// enough, two are not. A quarter of the peers that acknowledged are reported
// as the first.
func TestAcknowledgementsAreCounted(t *testing.T) {
	simulate(t, func(t *testing.T) {
		rec := sign(t, newKey(t), 1)
		acknowledge := func(req *dht_pb.Message) *dht_pb.Message { return answerAsHolder(rec, req) }
		refuse := func(change func(*dht_pb.Message)) func(*dht_pb.Message) *dht_pb.Message {
			return func(req *dht_pb.Message) *dht_pb.Message {
				m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
				if req.GetType() == dht_pb.Message_PUT_VALUE {
					m.Record = req.GetRecord()
					change(m)
				}
				return m
			}
		}
		otherKey := refuse(func(m *dht_pb.Message) { m.Record.Key = []byte("/ipns/another") })
		otherValue := refuse(func(m *dht_pb.Message) { m.Record.Value = append(m.Record.Value, 0) })
		noRecord := refuse(func(m *dht_pb.Message) { m.Record = nil })
		put := func(answers ...func(*dht_pb.Message) *dht_pb.Message) (dht.Receipt, []string, error) {
			n := startNode(t, Config{})
			for _, answer := range answers {
				acquaint(t, n, startScripted(t, [sha256.Size]byte{}, 0, 256, answer).AddrInfo)
			}
			return n.put(t.Context(), rec.Pointer(), rec.Bytes(), true)
		}
		receipt, first, err := put(acknowledge, acknowledge, acknowledge, otherKey)
		require.NoError(t, err)
		require.Equal(t, dht.Receipt{Asked: 4, Stored: 3, Refused: 1}, receipt)
		require.Empty(t, first, "a quarter of three")
		receipt, _, err = put(acknowledge, acknowledge, otherValue, noRecord)
		require.Equal(t, dht.Receipt{Asked: 4, Stored: 2, Refused: 2}, receipt)
		var short *dht.ShortError
		require.ErrorAs(t, err, &short)
		require.Equal(t, 3, short.Want)
		_, first, err = put(slices.Repeat([]func(*dht_pb.Message) *dht_pb.Message{acknowledge}, 9)...)
		require.NoError(t, err)
		require.Len(t, first, 2)
	})
}

// A server whose own copy is newer puts no older record, whatever peers it
// knows.
func TestAServerPutsNothingOlderThanItsOwnCopy(t *testing.T) {
	simulate(t, func(t *testing.T) {
		n := startServers(t, 1)[0]
		k := newKey(t)
		newer, older := sign(t, k, 2), sign(t, k, 1)
		_, err := n.Put(t.Context(), k.Pointer(), newer.Bytes())
		require.ErrorIs(t, err, dht.ErrUnreachable)
		_, err = n.Put(t.Context(), k.Pointer(), older.Bytes())
		require.ErrorIs(t, err, dht.ErrOlder)
		peer := startScripted(t, [sha256.Size]byte{}, 0, 256, func(req *dht_pb.Message) *dht_pb.Message { return answerAsHolder(older, req) })
		acquaint(t, n, peer.AddrInfo)
		_, err = n.Put(t.Context(), k.Pointer(), older.Bytes())
		require.ErrorIs(t, err, dht.ErrOlder)
		require.Zero(t, peer.count(dht_pb.Message_PUT_VALUE))
		_, err = n.Put(t.Context(), k.Pointer(), newer.Bytes())
		require.NoError(t, err)
	})
}

// A disconnected peer has no connection and is not in the routing table.
func TestDisconnectingRemovesAPeer(t *testing.T) {
	simulate(t, func(t *testing.T) {
		server := startServers(t, 1)[0]
		n := startClient(t, server)
		require.Equal(t, 1, n.Peers())
		require.Len(t, n.host.Network().ConnsToPeer(server.host.ID()), 1)
		time.Sleep(time.Second) // until kad-dht has detected that the peer is a server
		n.disconnectPeer(server.host.ID())
		require.Zero(t, n.Peers())
		require.Empty(t, n.host.Network().ConnsToPeer(server.host.ID()))
	})
}
