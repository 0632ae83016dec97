package kad

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-msgio"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// badAnswer answers a request other than FIND_NODE.
type badAnswer func(s network.Stream, req *dht_pb.Message)

// startMalicious starts a peer that answers FIND_NODE correctly, so that it
// gets into routing tables, and other requests by a badAnswer.
func startMalicious(t *testing.T, answer badAnswer) []string {
	t.Helper()
	h := startHost(t)
	h.SetStreamHandler("/ipfs/lan/kad/1.0.0", func(s network.Stream) {
		defer func() { _ = s.Reset() }()
		for {
			b, err := msgio.NewVarintReaderSize(s, 1<<20).ReadMsg()
			if err != nil {
				return
			}
			req := new(dht_pb.Message)
			if proto.Unmarshal(b, req) != nil {
				return
			}
			if req.GetType() == dht_pb.Message_FIND_NODE {
				send(s, dht_pb.NewMessage(dht_pb.Message_FIND_NODE, nil, 0))
				continue
			}
			answer(s, req)
		}
	})
	return stockAddrs(h)
}

func send(s network.Stream, m *dht_pb.Message) {
	b, _ := proto.Marshal(m)
	_, _ = s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
}

// answerWith returns a badAnswer that is a valid message: the request with a
// record.
func answerWith(key string, value []byte) badAnswer {
	return func(s network.Stream, req *dht_pb.Message) {
		m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
		m.Record = record.MakePutRecord(key, value)
		send(s, m)
	}
}

func randomPeer(t testing.TB) peer.ID {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	require.NoError(t, err)
	id, err := peer.IDFromPrivateKey(key)
	require.NoError(t, err)
	return id
}

func TestOnlyMaliciousAnswersAreRejected(t *testing.T) {
	simulate(t, func(t *testing.T) {
		honest := startServers(t, 6)
		k := newKey(t)
		p := k.Pointer()
		key := routingKey(p)
		oldest, older, newest := sign(t, k, 1), sign(t, k, 2), sign(t, k, 3)
		for _, rec := range []pointer.Record{older, newest} {
			receipt, err := startClient(t, honest...).Put(within(t, 20*time.Second), p, rec.Bytes())
			require.NoError(t, err)
			require.Equal(t, 6, receipt.Stored)
		}
		tampered := newest.Bytes()
		tampered[len(tampered)-1] ^= 1
		other := sign(t, newKey(t), 9)
		deadPeers := dht_pb.NewMessage(dht_pb.Message_GET_VALUE, []byte(key), 0)
		for range 1000 {
			deadPeers.CloserPeers = append(deadPeers.CloserPeers, &dht_pb.Message_Peer{
				Id: []byte(randomPeer(t)), Addrs: [][]byte{ma.StringCast("/ip4/127.0.0.1/tcp/1").Bytes(), {0xff}, nil},
			})
		}

		malicious := map[string]struct {
			answer badAnswer
			reason string // in its rejection; "": the peer counts as unreachable
		}{
			"tampered":             {answerWith(key, tampered), "verify"},
			"rollback":             {answerWith(key, oldest.Bytes()), "none"}, // if it arrives first, a better one arrives later
			"other pointer's":      {answerWith(key, other.Bytes()), "verify"},
			"other key":            {answerWith(routingKey(other.Pointer()), other.Bytes()), "another key"},
			"record over 10 KiB":   {answerWith(key, make([]byte, pointer.MaxRecord+1)), "over 10240"},
			"message over 192 KiB": {answerWith(key, make([]byte, maxMessage)), "over 196608"},
			"length of 2^63": {func(s network.Stream, _ *dht_pb.Message) {
				_, _ = s.Write(binary.AppendUvarint(nil, 1<<63))
			}, "length"},
			"garbage": {func(s network.Stream, _ *dht_pb.Message) {
				_, _ = s.Write(append([]byte{40}, bytes.Repeat([]byte{0xff}, 40)...))
			}, "malformed"},
			"empty record": {answerWith(key, nil), "empty"},
			"never-ending": {func(s network.Stream, _ *dht_pb.Message) {
				_, _ = s.Write(binary.AppendUvarint(nil, maxMessage-1))
				for drip := time.NewTicker(50 * time.Millisecond); ; <-drip.C {
					if _, err := s.Write([]byte{0}); err != nil {
						return
					}
				}
			}, ""},
			"silent": {func(s network.Stream, _ *dht_pb.Message) {
				_, _ = s.Read(make([]byte, 1))
			}, ""},
			"resets": {func(s network.Stream, _ *dht_pb.Message) { _ = s.Reset() }, "refused"},
			"many dead peers": {func(s network.Stream, _ *dht_pb.Message) {
				send(s, deadPeers)
			}, "none"},
		}
		client := startNode(t, Config{})
		var addrs []string
		for _, n := range honest {
			addrs = append(addrs, n.Addrs()...)
		}
		nameOf := map[string]string{}
		for name, l := range malicious {
			a := startMalicious(t, l.answer)
			addrs = append(addrs, a...)
			nameOf[a[0][strings.LastIndex(a[0], "/")+1:]] = name
		}
		connected, err := client.Join(within(t, 20*time.Second), addrs)
		require.NoError(t, err)
		require.Equal(t, len(honest)+len(malicious), connected)

		r := dht.Resolver{Stores: []dht.Store{client}}
		res, err := r.Best(within(t, 20*time.Second), p, dht.LevelStrict)
		require.NoError(t, err)
		require.Equal(t, newest.Bytes(), res.Record.Bytes())
		require.Equal(t, dht.LevelStrict, res.Freshness)
		require.Equal(t, len(honest), res.Agreed)
		require.LessOrEqual(t, res.Asked, len(honest)+len(malicious)+maxCloser, "the peers of an answer are truncated to the number in an honest one")
		reasons := map[string]string{}
		for _, rej := range res.Rejected {
			require.Contains(t, nameOf, rej.Peer, "an honest peer was rejected: %s", rej.Reason)
			reasons[nameOf[rej.Peer]] = rej.Reason
		}
		for name, l := range malicious {
			switch l.reason {
			case "":
				require.NotContains(t, reasons, name)
			case "none":
			default:
				require.Contains(t, reasons[name], l.reason, name)
			}
		}

		// These peers also receive a put.
		newer := sign(t, k, 4)
		receipt, err := client.Put(within(t, 20*time.Second), p, newer.Bytes())
		short, ok := err.(interface{ Unwrap() error })
		require.True(t, ok)
		var e *dht.ShortError
		require.ErrorAs(t, short.Unwrap(), &e)
		require.Equal(t, len(honest), receipt.Stored, "only an echo of the record is an acknowledgement")
		require.Equal(t, receipt, e.Receipt)
		require.Equal(t, requiredAcks(len(honest)+len(malicious)), e.Want)
	})
}

func TestPeersThatNameTheNodeAndThemselvesCauseNoLoop(t *testing.T) {
	simulate(t, func(t *testing.T) {
		server := startServers(t, 1)[0]
		client := startNode(t, Config{})
		var echo []byte
		addrs := startMalicious(t, func(s network.Stream, req *dht_pb.Message) {
			m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
			for range 50 {
				m.CloserPeers = append(m.CloserPeers,
					&dht_pb.Message_Peer{Id: []byte(s.Conn().RemotePeer()), Addrs: [][]byte{ma.StringCast("/ip4/127.0.0.1/tcp/1").Bytes()}},
					&dht_pb.Message_Peer{Id: []byte(s.Conn().LocalPeer()), Addrs: [][]byte{ma.StringCast("/ip4/127.0.0.1/tcp/1").Bytes()}},
					&dht_pb.Message_Peer{Id: echo}, &dht_pb.Message_Peer{Id: []byte("no peer")})
			}
			send(s, m)
		})
		_, err := client.Join(within(t, 10*time.Second), append(addrs, server.Addrs()...))
		require.NoError(t, err)
		_, answers, _ := collect(within(t, 10*time.Second), client, newKey(t).Pointer())
		require.Equal(t, 2, answers)
	})
}

func TestAServerRefusesInvalidAndOlderRecords(t *testing.T) {
	simulate(t, func(t *testing.T) {
		server := startServers(t, 1)[0]
		client := startClient(t, server)
		k := newKey(t)
		older, newer := sign(t, k, 1), sign(t, k, 2)
		to := peer.AddrInfo{ID: server.host.ID()}
		ctx := within(t, 20*time.Second)
		key := routingKey(k.Pointer())
		require.NoError(t, client.putTo(ctx, to, key, newer.Bytes()))
		for name, b := range map[string][]byte{
			"older":           older.Bytes(),
			"another's":       sign(t, newKey(t), 3).Bytes(),
			"garbage":         []byte("garbage"),
			"over 10 KiB":     append(newer.Bytes(), make([]byte, pointer.MaxRecord)...),
			"truncated":       newer.Bytes()[:100],
			"nothing at all ": nil,
		} {
			require.ErrorIs(t, client.putTo(ctx, to, key, b), errRefused, name)
		}
		found, _, _ := collect(ctx, client, k.Pointer())
		require.Equal(t, [][]byte{newer.Bytes()}, found)
	})
}

// addSilent adds peers to a node's routing table that accept packets and never
// answer.
func addSilent(t testing.TB, n *Node, count int) {
	t.Helper()
	for range count {
		acquaint(t, n, peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{silentAddr(t)}})
	}
}

// silentAddr returns an address that accepts packets and never answers.
func silentAddr(t testing.TB) ma.Multiaddr {
	t.Helper()
	if s := simulationOf(t); s != nil {
		return s.addr()
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, port, err := net.SplitHostPort(conn.LocalAddr().String())
	require.NoError(t, err)
	return ma.StringCast("/ip4/127.0.0.1/udp/" + port + "/quic-v1")
}

func TestSilentPeersDoNotDelayALookUp(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 24)
		// With a dial timeout above the bound, only the soft deadline can end the
		// dial.
		client := startNode(t, Config{Bootstrap: nodes[0].Addrs(), DialTimeout: 30 * time.Second})
		addSilent(t, client, 8)
		rec := sign(t, newKey(t), 1)
		began := time.Now()
		receipt, err := client.Put(within(t, 30*time.Second), rec.Pointer(), rec.Bytes())
		took := time.Since(began)
		require.NoError(t, err)
		t.Logf("put with 8 of 32 silent: %v, %+v", took, receipt)
		require.Less(t, took, requestTimeout)
		require.GreaterOrEqual(t, receipt.Stored, 15)

		other := startNode(t, Config{Bootstrap: nodes[0].Addrs(), DialTimeout: 30 * time.Second})
		addSilent(t, other, 8)
		began = time.Now()
		found, _, _ := collect(within(t, 30*time.Second), other, rec.Pointer())
		took = time.Since(began)
		t.Logf("get to its end with 8 of 32 silent: %v, %d found", took, len(found))
		require.Less(t, took, requestTimeout)
		require.GreaterOrEqual(t, len(found), 15)
	})
}

func TestKilledPeersAreSkipped(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 12)
		client := startClient(t, nodes[0])
		for _, n := range nodes[4:7] {
			require.NoError(t, n.Close())
		}
		rec := sign(t, newKey(t), 1)
		began := time.Now()
		receipt, err := client.Put(within(t, 20*time.Second), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.Equal(t, 9, receipt.Stored)
		require.Less(t, time.Since(began), 2*requestTimeout)
	})
}

func TestAnUnreachableBootstrapPeerIsReportedInTime(t *testing.T) {
	simulate(t, func(t *testing.T) {
		for name, addr := range map[string]string{
			"refuses": "/ip4/127.0.0.1/tcp/1",
			"silent":  silentAddr(t).String(),
		} {
			id := randomPeer(t).String()
			began := time.Now()
			n := startNode(t, Config{Bootstrap: []string{addr + "/p2p/" + id}})
			require.Zero(t, n.Peers())
			rec := sign(t, newKey(t), 1)
			_, err := n.Put(within(t, 20*time.Second), rec.Pointer(), rec.Bytes())
			require.ErrorIs(t, err, dht.ErrUnreachable, name)
			require.ErrorContains(t, err, id)
			r := dht.Resolver{Stores: []dht.Store{n}}
			_, err = r.Best(within(t, 20*time.Second), rec.Pointer(), dht.LevelAny)
			require.ErrorIs(t, err, dht.ErrUnreachable, name)
			require.LessOrEqual(t, time.Since(began), 3*time.Second, name)
		}
		n := startNode(t, Config{})
		_, err := n.Put(within(t, 20*time.Second), newKey(t).Pointer(), nil)
		require.Error(t, err)
		_, _, errs := collect(within(t, 20*time.Second), n, newKey(t).Pointer())
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], dht.ErrUnreachable)
		require.ErrorContains(t, errs[0], "bootstrap")
	})
}

func TestMalformedConfigsAreRefused(t *testing.T) {
	long := peerKey(t)
	for name, c := range map[string]Config{
		"network":          {Network: "internet"},
		"bootstrap":        {Bootstrap: []string{"example.org:4001"}},
		"bootstrap, no id": {Bootstrap: []string{"/ip4/127.0.0.1/tcp/1"}},
		"listen":           {Listen: []string{"127.0.0.1:0"}},
		"key":              {Key: ed25519.PrivateKey(make([]byte, 5))},
		"long key":         {Key: append(long, long[32:]...)},
		"no key":           {Key: ed25519.PrivateKey(nil)},
		"RSA key":          {Key: &rsa.PrivateKey{}},
	} {
		n, err := Start(t.Context(), c)
		require.Error(t, err, name)
		require.Nil(t, n, name)
	}
}

func TestANodeWithoutBootstrapPeersDialsNone(t *testing.T) {
	for _, network := range []Network{LAN, IPFS} {
		n := startNode(t, Config{Network: network, Listen: loopback, Server: network == LAN})
		rec := sign(t, newKey(t), 1)
		_, err := n.Put(within(t, 5*time.Second), rec.Pointer(), rec.Bytes())
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.Empty(t, n.host.Network().Conns())
		require.Equal(t, 1, len(n.host.Peerstore().Peers()), "only the node itself")
		require.Len(t, n.Addrs(), 1)
		require.True(t, strings.HasPrefix(n.Addrs()[0], "/ip4/127.0.0.1/"))
	}
	require.NotEmpty(t, PublicBootstrap())
}

func TestCloseEndsRunningOperations(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 3)
		client := startClient(t, nodes[0])
		addSilent(t, client, 5)
		got := make(chan error, 1)
		first := make(chan struct{})
		begun := sync.OnceFunc(func() { close(first) })
		go func() {
			var last error
			for _, err := range client.Get(context.Background(), newKey(t).Pointer()) {
				begun()
				last = err
			}
			got <- last
		}()
		<-first
		began := time.Now()
		require.NoError(t, client.Close())
		require.ErrorIs(t, <-got, errClosed)
		require.Less(t, time.Since(began), requestTimeout)
		buf := make([]byte, 8<<20)
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(stack, "kad.(*walk)") || strings.Contains(stack, "kad.(*delivery)") {
				t.Errorf("left running: %s", stack)
			}
		}
		rec := sign(t, newKey(t), 1)
		_, err := client.Put(t.Context(), rec.Pointer(), rec.Bytes())
		require.ErrorIs(t, err, errClosed)
		_, err = client.Join(t.Context(), nodes[0].Addrs())
		require.ErrorIs(t, err, errClosed)
		require.NoError(t, client.Close(), "Close can be called twice")
	})
}
