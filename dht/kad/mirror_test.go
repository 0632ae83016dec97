package kad

import (
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
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

// scripted is a peer that answers each request with a function, and records its
// requests.
type scripted struct {
	peer.AddrInfo
	mu    sync.Mutex
	asked []*dht_pb.Message
}

// startScripted starts a peer whose place shares at least least and at most
// most leading bits with the target. A nil answer resets the stream.
func startScripted(t testing.TB, target [sha256.Size]byte, least, most int, answer func(*dht_pb.Message) *dht_pb.Message) *scripted {
	t.Helper()
	var key crypto.PrivKey
	for {
		var err error
		key, _, err = crypto.GenerateEd25519Key(rand.Reader)
		require.NoError(t, err)
		id, err := peer.IDFromPrivateKey(key)
		require.NoError(t, err)
		if bits := sharedBits(sha256.Sum256([]byte(id)), target); bits >= least && bits <= most {
			break
		}
	}
	h := startHost(t, libp2p.Identity(key))
	s := &scripted{AddrInfo: peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}}
	h.SetStreamHandler("/ipfs/lan/kad/1.0.0", func(st network.Stream) {
		defer func() { _ = st.Close() }()
		for {
			b, err := msgio.NewVarintReaderSize(st, 1<<20).ReadMsg()
			if err != nil {
				return
			}
			req := new(dht_pb.Message)
			if proto.Unmarshal(b, req) != nil {
				return
			}
			s.mu.Lock()
			s.asked = append(s.asked, req)
			s.mu.Unlock()
			resp := answer(req)
			if resp == nil {
				_ = st.Reset()
				return
			}
			send(st, resp)
		}
	})
	return s
}

func (s *scripted) count(kind dht_pb.Message_MessageType) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.asked {
		if m.GetType() == kind {
			n++
		}
	}
	return n
}

// withCloser adds peers to an answer.
func withCloser(m *dht_pb.Message, peers ...*scripted) *dht_pb.Message {
	for _, p := range peers {
		named := &dht_pb.Message_Peer{Id: []byte(p.ID)}
		for _, a := range p.Addrs {
			named.Addrs = append(named.Addrs, a.Bytes())
		}
		m.CloserPeers = append(m.CloserPeers, named)
	}
	return m
}

// keeping answers as a peer that holds a record and acknowledges puts.
func answerAsHolder(rec pointer.Record, req *dht_pb.Message) *dht_pb.Message {
	m := dht_pb.NewMessage(req.GetType(), req.GetKey(), 0)
	switch req.GetType() {
	case dht_pb.Message_GET_VALUE:
		m.Record = record.MakePutRecord(routingKey(rec.Pointer()), rec.Bytes())
	case dht_pb.Message_PUT_VALUE:
		m.Record = req.GetRecord()
	}
	return m
}

// supposeSize sets the node's estimate of the network's size.
func supposeSize(n *Node, peers int) {
	for range minSamples {
		var spans []float64
		for i := range closest {
			spans = append(spans, float64(i+1)/float64(peers))
		}
		n.sampler.add(spans)
	}
}

// If Sybils surround the key and hide the honest peers of its half of the key
// space, a look-up finds a record that only the mirror has, and a put stores
// there. A look-up queries the mirror only if the key is surrounded.
func TestARecordOnlyAtTheMirrorIsFound(t *testing.T) {
	simulate(t, func(t *testing.T) {
		k := newKey(t)
		old, newest := sign(t, k, 1), sign(t, k, 2)
		target := sha256.Sum256([]byte(routingKey(k.Pointer())))
		opposite := target
		opposite[0] ^= 0x80
		// The place of the mirror and the places near it share all bits of the
		// target except the first.
		mirror := startScripted(t, opposite, 4, 256, func(req *dht_pb.Message) *dht_pb.Message { return answerAsHolder(newest, req) })
		gone := &scripted{AddrInfo: peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{silentAddr(t)}}}
		var sybils []*scripted
		lying := func(req *dht_pb.Message) *dht_pb.Message {
			m := answerAsHolder(old, req)
			if at := sha256.Sum256(req.GetKey()); sharedBits(at, opposite) >= 4 {
				return withCloser(m, mirror, gone) // the attackers own no peers in the other half
			}
			return withCloser(m, sybils...)
		}
		for range 10 {
			sybils = append(sybils, startScripted(t, target, 8, 256, lying))
		}
		for range 3 { // with an older record, at the expected places
			sybils = append(sybils, startScripted(t, target, 3, 5, lying))
		}
		client := func() *Node {
			n := startNode(t, Config{})
			for _, c := range sybils {
				acquaint(t, n, c.AddrInfo)
			}
			return n
		}
		look := func(n *Node, level dht.Level) (sequences []uint64, last error) {
			for a, err := range n.GetAt(t.Context(), k.Pointer(), level) {
				if last = err; a.Record == nil {
					continue
				}
				rec, err := pointer.Open(k.Pointer(), a.Record, time.Now())
				require.NoError(t, err)
				sequences = append(sequences, rec.Sequence())
			}
			return sequences, last
		}
		n := client()
		got, err := look(n, dht.LevelFresh)
		require.NoError(t, err)
		require.NotContains(t, got, uint64(2), "the mirror alone has it")
		require.NoError(t, n.Wait(t.Context()))
		require.Zero(t, len(mirror.asked), "without Sybils no look-up goes to the mirror")

		n = client()
		supposeSize(n, 200)
		got, err = look(n, dht.LevelFresh)
		require.ErrorIs(t, err, dht.ErrSurrounded)
		require.Equal(t, []uint64{1, 2}, got[:2], "it must not come after the agreement on an older one")
		require.Greater(t, len(got), 2)
		require.Less(t, len(got), len(sybils), "the crowd's agreement is not counted")
		require.NoError(t, n.Wait(t.Context()))
		require.Equal(t, 1, mirror.count(dht_pb.Message_GET_VALUE))

		n = client()
		supposeSize(n, 200)
		got, _ = look(n, dht.LevelAny)
		require.Equal(t, len(sybils)+1, len(got), "if agreement is not counted, all answers are yielded")

		n = client()
		supposeSize(n, 200)
		receipt, _, err := n.put(t.Context(), k.Pointer(), sign(t, k, 3).Bytes(), true)
		require.NoError(t, err)
		require.Equal(t, len(sybils)+1, receipt.Asked, "those at the mirror that answered")
		require.NoError(t, n.Wait(t.Context()))
		require.Equal(t, 1, mirror.count(dht_pb.Message_PUT_VALUE))
	})
}

// A peer that is near both the key and its mirror, as every peer in a small
// network is, receives a record once, is asked for it once, and counts once.
func TestAPeerNearTheKeyAndItsMirrorCountsOnce(t *testing.T) {
	simulate(t, func(t *testing.T) {
		rec := sign(t, newKey(t), 1)
		var peers []*scripted
		for range 12 {
			peers = append(peers, startScripted(t, [sha256.Size]byte{}, 0, 256, func(req *dht_pb.Message) *dht_pb.Message { return answerAsHolder(rec, req) }))
		}
		client := func() *Node {
			n := startNode(t, Config{})
			for _, p := range peers {
				acquaint(t, n, p.AddrInfo)
			}
			supposeSize(n, 1)
			return n
		}
		n := client()
		receipt, err := n.Put(t.Context(), rec.Pointer(), rec.Bytes())
		require.NoError(t, err)
		require.NoError(t, n.Wait(t.Context()))
		require.Equal(t, len(peers), receipt.Asked)
		require.Equal(t, len(peers), receipt.Stored)
		asked := 0
		for a, err := range client().Get(t.Context(), rec.Pointer()) {
			if err != nil {
				require.ErrorIs(t, err, dht.ErrSurrounded, "so few are expected there")
			}
			asked = max(asked, a.Asked)
		}
		require.Equal(t, len(peers), asked)
		for _, p := range peers {
			require.Equal(t, 1, p.count(dht_pb.Message_PUT_VALUE))
			require.Equal(t, 1, p.count(dht_pb.Message_GET_VALUE))
		}
	})
}
