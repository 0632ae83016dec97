package wansim

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kad-dht/pb"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/x/simlibp2p"
	"github.com/marcopolo/simnet"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

const (
	replication = 20 // Kademlia's k: the number of peers that store a record

	kadProtocol = protocol.ID("/ipfs/lan/kad/1.0.0")

	// The address of a host is derived from its number. The numbers of the
	// clients of one operation differ by a multiple of clientKinds, and these
	// clients have equal latencies to all peers.
	firstClient, clientKinds = 100_000, 10_000

	bandwidth = 50 * simlibp2p.OneMbps
)

// wan is the simulated network.
type wan struct {
	t      *testing.T
	seed   uint64
	net    *simnet.Simnet
	live   []*kaddht.IpfsDHT
	stores map[peer.ID]datastore.Batching
	dead   []peer.AddrInfo
	known  []peer.AddrInfo // live and dead: the candidates for routing tables

	mu       sync.Mutex
	requests map[peer.ID]int // received by live peers, by sender

	sybils  *sybils // of the attacked key; nil: no attack
	control bool    // kad-dht also puts and searches under attack
}

// Addresses are distributed over 20.0.0.0/8, so that hosts with successive
// numbers are in different address groups: 0x9e3779 is odd, and 0xb382c9 is its
// inverse modulo 2^24.
const addressMultiplier, addressInverse = 0x9e3779, 0xb382c9

func addrOf(i int) ma.Multiaddr {
	n := uint32(i) * addressMultiplier
	return ma.StringCast(fmt.Sprintf("/ip4/20.%d.%d.%d/udp/8000/quic-v1", byte(n>>16), byte(n>>8), byte(n)))
}

func numberOf(a net.Addr) uint32 {
	return binary.BigEndian.Uint32(a.(*net.UDPAddr).IP.To4()) * addressInverse & 0xffffff
}

// latency returns the latency of a packet as a hash of the two addresses.
func latency(seed uint64) func(*simnet.Packet) time.Duration {
	number := func(a net.Addr) uint64 {
		i := numberOf(a)
		if i >= firstClient {
			i = firstClient + (i-firstClient)%clientKinds
		}
		return uint64(i)
	}
	return func(p *simnet.Packet) time.Duration {
		a, b := number(p.From), number(p.To)
		h := mathrand.NewPCG(seed, min(a, b)<<32|max(a, b)).Uint64()
		return time.Duration(10+h%141) * time.Millisecond
	}
}

func newWAN(t *testing.T, live, dead int, seed uint64) *wan {
	w := &wan{t: t, seed: seed, stores: map[peer.ID]datastore.Batching{}, requests: map[peer.ID]int{}}
	w.net = &simnet.Simnet{LatencyFunc: latency(seed), Logger: slog.New(slog.DiscardHandler)}
	w.net.Start()
	for i := range live {
		d := w.newKadDHT(w.host(i, time.Second), kaddht.ModeServer)
		w.live = append(w.live, d)
		w.known = append(w.known, peer.AddrInfo{ID: d.PeerID(), Addrs: []ma.Multiaddr{addrOf(i)}})
	}
	for i := range dead {
		info := peer.AddrInfo{ID: idOf(t, w.key(live+i)), Addrs: []ma.Multiaddr{addrOf(live + i)}}
		w.dead = append(w.dead, info)
		w.known = append(w.known, info)
	}
	for i, d := range w.live {
		w.fill(d, uint64(i))
	}
	return w
}

func (w *wan) close() {
	for _, d := range w.live {
		w.closeKadDHT(d)
	}
	w.net.Close()
}

func (w *wan) closeKadDHT(d *kaddht.IpfsDHT) {
	_ = d.Close()
	_ = d.Host().Close()
}

func (w *wan) key(i int) crypto.PrivKey {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint64(seed, w.seed)
	binary.BigEndian.PutUint64(seed[8:], uint64(i)+1)
	return privKey(w.t, seed)
}

func privKey(t *testing.T, seed []byte) crypto.PrivKey {
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed))
	require.NoError(t, err)
	return key
}

func idOf(t *testing.T, key crypto.PrivKey) peer.ID {
	id, err := peer.IDFromPrivateKey(key)
	require.NoError(t, err)
	return id
}

// host returns host number i. dialing is its dial timeout; 0 is libp2p's
// default.
func (w *wan) host(i int, dialing time.Duration) *countingHost { return w.hostOf(w.key(i), i, dialing) }

func (w *wan) hostOf(key crypto.PrivKey, i int, dialing time.Duration) *countingHost {
	link := simnet.LinkSettings{BitsPerSecond: bandwidth}
	options := []libp2p.Option{
		libp2p.Identity(key), libp2p.ListenAddrs(addrOf(i)),
		simlibp2p.QUICSimnet(w.net, simnet.NodeBiDiLinkSettings{Downlink: link, Uplink: link}),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.Ping(false), libp2p.ForceReachabilityPrivate(),
		libp2p.UDPBlackHoleSuccessCounter(nil),
	}
	if dialing > 0 {
		options = append(options, libp2p.WithDialTimeout(dialing), libp2p.SwarmOpts(swarm.WithDialTimeoutLocal(dialing)))
	}
	h, err := libp2p.New(options...)
	require.NoError(w.t, err)
	return &countingHost{Host: h, streams: new(atomic.Int64)}
}

// countingHost is a host that counts the streams that its user opens, but not
// those of libp2p's own protocols. Each of package kad's streams carries one
// message, answered or not.
type countingHost struct {
	host.Host
	streams *atomic.Int64
}

func (h *countingHost) Network() network.Network { return countingNetwork{h.Host.Network(), h.streams} }

func (h *countingHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	h.streams.Add(1)
	return h.Host.NewStream(ctx, p, protocols...)
}

type countingNetwork struct {
	network.Network
	streams *atomic.Int64
}

func (n countingNetwork) NewStream(ctx context.Context, p peer.ID) (network.Stream, error) {
	n.streams.Add(1)
	return n.Network.NewStream(ctx, p)
}

// newKadDHT returns an unmodified kad-dht node.
func (w *wan) newKadDHT(h host.Host, mode kaddht.ModeOpt) *kaddht.IpfsDHT {
	store := dssync.MutexWrap(datastore.NewMapDatastore())
	if mode == kaddht.ModeServer {
		w.stores[h.ID()] = store
	}
	d, err := kaddht.New(h, kaddht.ProtocolPrefix("/ipfs/lan"), kaddht.Datastore(store), kaddht.Mode(mode),
		kaddht.DisableAutoRefresh(), kaddht.BootstrapPeers(), kaddht.OnRequestHook(w.countRequest),
		kaddht.Validator(record.NamespacedValidator{"ipns": ipns.Validator{KeyBook: h.Peerstore()}, "pk": record.PublicKeyValidator{}}))
	require.NoError(w.t, err)
	return d
}

// countRequest counts a request that a live peer received.
func (w *wan) countRequest(_ context.Context, s network.Stream, _ *dht_pb.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests[s.Conn().RemotePeer()]++
}

// addToTable adds peers to a routing table in a random order. A full bucket
// does not accept more.
func (w *wan) addToTable(d *kaddht.IpfsDHT, peers []peer.AddrInfo, order uint64) {
	peers = slices.Clone(peers)
	r := mathrand.New(mathrand.NewPCG(w.seed, order))
	r.Shuffle(len(peers), func(i, j int) { peers[i], peers[j] = peers[j], peers[i] })
	for _, info := range peers {
		if info.ID != d.PeerID() {
			if added, _ := d.RoutingTable().TryAddPeer(info.ID, true, false); added {
				d.Host().Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
			}
		}
	}
}

// routingKey returns the DHT key of a record (IPNS specification).
func routingKey(p pointer.Pointer) string { return "/ipns/" + string(p.Bytes()) }

type keyPlace [sha256.Size]byte

func (p keyPlace) distance(id peer.ID) keyPlace {
	d := keyPlace(sha256.Sum256([]byte(id)))
	for i := range d {
		d[i] ^= p[i]
	}
	return d
}

// nearestTo returns the n of the peers that are nearest to the key.
func nearestTo(key string, n int, peers []peer.AddrInfo) []peer.AddrInfo {
	target := keyPlace(sha256.Sum256([]byte(key)))
	return slices.SortedFunc(slices.Values(peers), func(a, b peer.AddrInfo) int {
		x, y := target.distance(a.ID), target.distance(b.ID)
		return cmp.Or(bytes.Compare(x[:], y[:]), cmp.Compare(a.ID, b.ID))
	})[:min(n, len(peers))]
}

// closest returns the live peers that are closest to the key.
func (w *wan) closest(key string) []peer.AddrInfo {
	return nearestTo(key, replication, w.known[:len(w.live)])
}

// holders counts the live peers with a record in their datastores: all of them,
// and those of the closest.
func (w *wan) holders(rec pointer.Record) (all, near int) {
	closest := w.closest(routingKey(rec.Pointer()))
	for id, store := range w.stores {
		res, err := store.Query(w.t.Context(), query.Query{})
		require.NoError(w.t, err)
		entries, err := res.Rest()
		require.NoError(w.t, err)
		if slices.ContainsFunc(entries, func(e query.Entry) bool { return bytes.Contains(e.Value, rec.Bytes()) }) {
			all++
			if slices.ContainsFunc(closest, func(i peer.AddrInfo) bool { return i.ID == id }) {
				near++
			}
		}
	}
	return all, near
}

// newRecords returns records of one new key, with sequences from 1.
func (w *wan) newRecords(n int) []pointer.Record {
	key, err := pointer.NewKey(rand.Reader)
	require.NoError(w.t, err)
	var recs []pointer.Record
	for i := range n {
		rec, err := pointer.Sign(key, pointer.Fields{
			Value: "/ipfs/bafkqaaa", Sequence: uint64(i) + 1, Expires: time.Now().Add(24 * time.Hour), TTL: time.Minute,
		})
		require.NoError(w.t, err)
		recs = append(recs, rec)
	}
	return recs
}
