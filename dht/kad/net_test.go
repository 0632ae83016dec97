package kad

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/libp2p/go-libp2p"
	kaddht "github.com/libp2p/go-libp2p-kad-dht"
	kb "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// All nodes of these tests listen on ephemeral ports of 127.0.0.1 and know no
// peers but each other.
var loopback = []string{"/ip4/127.0.0.1/tcp/0"}

// within bounds a test's network calls.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func startNode(t testing.TB, c Config) *Node {
	t.Helper()
	if s := simulationOf(t); s != nil {
		c.adjustHost, c.Listen = s.connect, nil
	}
	n, err := Start(within(t, time.Minute), c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// startServers creates a network of n servers that know each other as if they
// had joined. Connecting all of them would take most of the time to create the
// network.
func startServers(t testing.TB, n int) []*Node {
	t.Helper()
	nodes := make([]*Node, n)
	for i := range nodes {
		nodes[i] = startNode(t, Config{Listen: loopback, Server: true, DialTimeout: 10 * time.Second}) // a slow answer on a busy machine must not count as a dead peer
	}
	for _, node := range nodes {
		for _, other := range nodes {
			if other != node {
				acquaint(t, node, peer.AddrInfo{ID: other.host.ID(), Addrs: other.host.Addrs()})
			}
		}
	}
	return nodes
}

// acquaint adds a peer to a node's routing table. As when nodes join, a bucket
// that is full of other peers, as chance may have it, accepts no more.
func acquaint(t testing.TB, n *Node, info peer.AddrInfo) {
	t.Helper()
	n.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	_, err := n.dht.RoutingTable().TryAddPeer(info.ID, true, false)
	if !errors.Is(err, kb.ErrPeerRejectedNoCapacity) {
		require.NoError(t, err)
	}
}

func startClient(t testing.TB, of ...*Node) *Node {
	t.Helper()
	c := Config{DialTimeout: 10 * time.Second}
	for _, n := range of {
		c.Bootstrap = append(c.Bootstrap, n.Addrs()...)
	}
	return startNode(t, c)
}

// startStock makes an ordinary go-libp2p-kad-dht node, as others run them.
func startStock(t testing.TB, mode kaddht.ModeOpt, bootstrap ...string) *kaddht.IpfsDHT {
	t.Helper()
	h := startHost(t)
	d, err := kaddht.New(h, kaddht.ProtocolPrefix("/ipfs/lan"), kaddht.Mode(mode),
		kaddht.Validator(record.NamespacedValidator{"ipns": ipns.Validator{KeyBook: h.Peerstore()}, "pk": record.PublicKeyValidator{}}),
		kaddht.BootstrapPeers())
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	infos, err := parseAddrs(bootstrap)
	require.NoError(t, err)
	for _, info := range infos {
		require.NoError(t, h.Connect(within(t, 10*time.Second), info))
	}
	return d
}

func startHost(t testing.TB, more ...libp2p.Option) host.Host {
	t.Helper()
	options := append([]libp2p.Option{
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ForceReachabilityPrivate(), libp2p.DisableIdentifyAddressDiscovery(),
	}, more...)
	if s := simulationOf(t); s != nil {
		options = append(options, s.options()...)
	} else {
		options = append(options, libp2p.ListenAddrStrings(loopback...))
	}
	h, err := libp2p.New(options...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func stockAddrs(h host.Host) []string {
	var addrs []string
	for _, a := range h.Addrs() {
		addrs = append(addrs, fmt.Sprintf("%s/p2p/%s", a, h.ID()))
	}
	return addrs
}

func newKey(t testing.TB) *pointer.Key {
	t.Helper()
	k, err := pointer.NewKey(rand.Reader)
	require.NoError(t, err)
	return k
}

func sign(t testing.TB, k *pointer.Key, sequence uint64) pointer.Record {
	t.Helper()
	rec, err := pointer.Sign(k, pointer.Fields{
		Value: "/ipfs/bafkqaaa", Sequence: sequence, Expires: time.Now().Add(time.Hour), TTL: time.Minute,
	})
	require.NoError(t, err)
	return rec
}

// collect gathers a whole look-up.
func collect(ctx context.Context, s dht.Store, p pointer.Pointer) (found [][]byte, answers int, errs []error) {
	for a, err := range s.Get(ctx, p) {
		switch {
		case err != nil:
			errs = append(errs, err)
		case a.Record != nil:
			found = append(found, a.Record)
			answers++
		default:
			answers++
		}
	}
	return found, answers, errs
}
