package kad

import (
	"bytes"
	"context"
	"crypto/sha256"
	"iter"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dht_pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/pointer"
)

// A throw-away host finds the peers around a place, and gets and puts records
// there, without the node's peer key.
func TestAThrowAwayHostWalksGetsAndPuts(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 12)
		client := startClient(t, nodes[3])
		ctx := within(t, 30*time.Second)
		s, err := client.UnlinkableClient(ctx)
		require.NoError(t, err)
		defer s.Close()
		rec := sign(t, newKey(t), 3)
		place := republish.Key(sha256.Sum256([]byte(routingKey(rec.Pointer()))))
		at, peers, err := s.Walk(ctx, place, 4)
		require.NoError(t, err)
		require.GreaterOrEqual(t, sharedBits(at, place), 4)
		require.NotEqual(t, place, at)

		// The peers are servers, sorted by distance. On a busy machine some of
		// them may be too slow.
		require.GreaterOrEqual(t, len(peers), len(nodes)*3/4)
		var last []byte
		for _, p := range peers {
			require.NotEmpty(t, p.Addrs)
			require.True(t, slices.ContainsFunc(nodes, func(n *Node) bool { return string(n.host.ID()) == p.ID }))
			d := sha256.Sum256([]byte(p.ID))
			for i := range d {
				d[i] ^= at[i]
			}
			require.Negative(t, bytes.Compare(last, d[:]))
			last = d[:]
		}

		for _, p := range peers {
			have, err := s.Get(ctx, p, rec.Pointer())
			require.NoError(t, err)
			require.Nil(t, have)
			require.NoError(t, s.Put(ctx, p, rec.Pointer(), rec.Bytes()))
			have, err = s.Get(ctx, p, rec.Pointer())
			require.NoError(t, err)
			require.Equal(t, rec.Bytes(), have)
		}
		require.Error(t, s.Put(ctx, peers[0], newKey(t).Pointer(), rec.Bytes()), "another's record")
		older := sign(t, newKey(t), 1)
		require.NoError(t, s.Put(ctx, peers[0], older.Pointer(), older.Bytes()))
	})
}

// Dead peers are reported as unreachable, and the throw-away host of a closed
// node returns errors.
func TestAThrowAwayHostOfDeadPeers(t *testing.T) {
	simulate(t, func(t *testing.T) {
		nodes := startServers(t, 3)
		client := startClient(t, nodes[0])
		ctx := within(t, 20*time.Second)
		s, err := client.UnlinkableClient(ctx)
		require.NoError(t, err)
		defer s.Close()
		gone := republish.Peer{ID: string(nodes[2].host.ID()), Addrs: []string{nodes[2].host.Addrs()[0].String()}}
		require.NoError(t, nodes[2].Close())
		_, err = s.Get(ctx, gone, newKey(t).Pointer())
		require.ErrorIs(t, err, dht.ErrUnreachable)
		require.NoError(t, client.Close())
		_, _, err = s.Walk(ctx, republish.Key{}, 0)
		require.Error(t, err)
		_, err = client.UnlinkableClient(ctx)
		require.ErrorIs(t, err, errClosed)

		lonely := startNode(t, Config{})
		s, err = lonely.UnlinkableClient(ctx)
		require.NoError(t, err)
		defer s.Close()
		_, _, err = s.Walk(ctx, republish.Key{}, 0)
		require.ErrorIs(t, err, dht.ErrUnreachable)
	})
}

// recordingPeer records the requests of each peer key, and otherwise answers as
// an ordinary peer.
type recordingPeer struct {
	mu       sync.Mutex
	requests map[peer.ID][]*dht_pb.Message
}

func (w *recordingPeer) watch(n *Node) {
	inner := n.protocol
	n.host.SetStreamHandler(inner, func(s network.Stream) {
		defer s.Close()
		m, err := readMessage(s)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.requests[s.Conn().RemotePeer()] = append(w.requests[s.Conn().RemotePeer()], m)
		w.mu.Unlock()
		resp := dht_pb.NewMessage(m.GetType(), m.GetKey(), 0)
		resp.Record = m.GetRecord()
		if m.GetType() != dht_pb.Message_PUT_VALUE {
			resp.Record = nil
		}
		b, err := proto.Marshal(resp)
		if err == nil {
			_, _ = s.Write(append(varintOf(len(b)), b...))
		}
	})
}

func varintOf(n int) (b []byte) {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// keptContacts are the contacts with records to republish.
type keptContacts []pointer.Pointer

func (f keptContacts) Pointers() iter.Seq2[pointer.Pointer, error] {
	return func(yield func(pointer.Pointer, error) bool) {
		for _, p := range f {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func (f keptContacts) Contains(p pointer.Pointer) (bool, error) { return slices.Contains(f, p), nil }

// Attack: all peers of a network record the requests of each peer key. While a
// node republishes the records of several contacts, none of these keys is the
// node's, none requests the records of two contacts, and none that walks requests
// any.
func TestPeersCannotLinkRepublishedContacts(t *testing.T) {
	simulate(t, func(t *testing.T) {
		w := &recordingPeer{requests: map[peer.ID][]*dht_pb.Message{}}
		nodes := startServers(t, 6)
		client := startClient(t, nodes...)
		for _, n := range nodes {
			w.watch(n)
		}
		var contacts keptContacts
		home := &dht.Memory{}
		for range 4 {
			rec := sign(t, newKey(t), 1)
			_, err := home.Put(t.Context(), rec.Pointer(), rec.Bytes())
			require.NoError(t, err)
			contacts = append(contacts, rec.Pointer())
		}
		ctx, cancel := context.WithCancel(within(t, 60*time.Second))
		defer cancel()
		k := republish.New(republish.Config{Network: client, Contacts: contacts, Home: home})
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		require.Eventually(t, func() bool {
			put := 0
			for _, e := range k.Entries() {
				if !e.Put.IsZero() {
					require.Equal(t, len(nodes), e.Holders)
					put++
				}
			}
			return put == len(contacts)
		}, 50*time.Second, 20*time.Millisecond)
		cancel()
		<-done
		w.mu.Lock()
		defer w.mu.Unlock()
		keyOf := map[string]bool{}
		for _, p := range contacts {
			keyOf[routingKey(p)] = true
		}
		speakers := map[string]int{}
		for from, requests := range w.requests {
			if from == client.host.ID() {
				for _, m := range requests {
					require.False(t, keyOf[string(m.GetKey())], "the node used its own key for a contact's record")
				}
				continue
			}
			about := map[string]bool{}
			walked := false
			for _, m := range requests {
				if m.GetType() == dht_pb.Message_FIND_NODE {
					walked = true
					require.False(t, keyOf[string(m.GetKey())])
				}
				if keyOf[string(m.GetKey())] {
					about[string(m.GetKey())] = true
				}
			}
			require.LessOrEqual(t, len(about), 1)
			require.False(t, walked && len(about) > 0)
			for key := range about {
				speakers[key]++
			}
		}
		require.Len(t, speakers, len(contacts))
	})
}

// A throw-away host ends with its node, and dials only addresses that a node
// would. If a peer refuses a record that it already has, in a copy with extra
// fields, the host counts the peer as having it.
func TestAThrowAwayHostChecksAddressesAndCopies(t *testing.T) {
	simulate(t, func(t *testing.T) {
		rec := sign(t, newKey(t), 1)
		carried := protowire.AppendVarint(protowire.AppendTag(rec.Bytes(), 99, protowire.VarintType), 1)
		refusing := func(have []byte) *scripted {
			return startScripted(t, [sha256.Size]byte{}, 0, 256, func(req *dht_pb.Message) *dht_pb.Message {
				if req.GetType() == dht_pb.Message_PUT_VALUE {
					return nil
				}
				m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
				if have != nil {
					m.Record = record.MakePutRecord(string(req.GetKey()), have)
				}
				return m
			})
		}
		as := func(p *scripted) republish.Peer {
			return republish.Peer{ID: string(p.ID), Addrs: []string{p.Addrs[0].String()}}
		}
		n := startNode(t, Config{})
		made, err := n.UnlinkableClient(t.Context())
		require.NoError(t, err)
		s := made.(*throwAwayHost)
		require.NoError(t, s.Put(t.Context(), as(refusing(carried)), rec.Pointer(), rec.Bytes()))
		require.ErrorIs(t, s.Put(t.Context(), as(refusing(nil)), rec.Pointer(), rec.Bytes()), errRefused)
		require.ErrorIs(t, s.Put(t.Context(), as(refusing(sign(t, newKey(t), 1).Bytes())), rec.Pointer(), rec.Bytes()), errRefused)

		id := randomPeer(t)
		for _, addr := range []string{"/dns4/example.org/tcp/1", "/ip4/10.0.0.1/tcp/1"} {
			n.host.Peerstore().AddAddr(id, ma.StringCast(addr), peerstore.PermanentAddrTTL)
		}
		require.Equal(t, []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.1/tcp/1")}, s.addrInfo(peer.AddrInfo{ID: id}).Addrs)
		own := []ma.Multiaddr{ma.StringCast("/ip4/10.0.0.2/tcp/1")}
		require.Equal(t, own, s.addrInfo(peer.AddrInfo{ID: id, Addrs: own}).Addrs)

		require.NotEmpty(t, s.client.host.Network().Conns())
		require.NoError(t, n.Close())
		synctest.Wait()
		require.Empty(t, s.client.host.Network().Conns())
	})
}

// A random key contains no information except the requested bits.
func TestRandomKeys(t *testing.T) {
	near := republish.Key(sha256.Sum256([]byte("somewhere")))
	further := 0
	for range 64 {
		key := randomKey(near, 8)
		require.NoError(t, peer.ID(key).Validate())
		at := sha256.Sum256([]byte(key))
		require.GreaterOrEqual(t, sharedBits(at, near), 8)
		if sharedBits(at, near) > 8 {
			further++
		}
	}
	require.InDelta(t, 32, further, 28)
}

func BenchmarkThrowAwayHost(b *testing.B) {
	n := startNode(b, Config{})
	for b.Loop() {
		s, err := n.UnlinkableClient(b.Context())
		require.NoError(b, err)
		require.NoError(b, s.Close())
	}
}
