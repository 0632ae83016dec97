package kad

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	busapi "github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"
	"github.com/stretchr/testify/require"
)

// conn is a connection with a direction.
type conn struct {
	network.Conn
	direction network.Direction
}

func (c conn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.direction}}
}

// Attack: any number of peers dial this node. Only those that it dialled count.
func TestPeersThatDialledShowNoTime(t *testing.T) {
	for direction, counted := range map[network.Direction]int{network.DirInbound: 0, network.DirOutbound: 2} {
		times := newPeerTimes()
		conns := func(peer.ID) []network.Conn { return []network.Conn{conn{direction: direction}} }
		times.handle(busapi.EvtPeerIdentificationCompleted{Peer: "a"}, conns)
		times.handle(busapi.EvtPeerIdentificationFailed{Peer: "b"}, conns)
		require.Len(t, times.ids, counted)
	}
}

// A client sees when the servers that it dialled signed their addresses.
func TestPeersShowWhenTheySignedTheirAddresses(t *testing.T) {
	began := time.Now()
	servers := startServers(t, 2)
	client := startClient(t, servers...)
	times := client.PeerTimes(within(t, time.Minute))
	require.Len(t, times, 2)
	for _, at := range times {
		require.WithinRange(t, at, began, time.Now())
	}
}

// PeerTimes of a peer that never reports ends with the context.
func TestPeerTimesEndsWithTheContext(t *testing.T) {
	server := startServers(t, 1)[0]
	client := startClient(t, server)
	client.PeerTimes(within(t, time.Minute))
	client.peerTimes = newPeerTimes() // as before the report
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, client.PeerTimes(ended))
}

// Attack: a peer signs a sequence that is no time, or very many peers report.
func TestPeerTimesIsBounded(t *testing.T) {
	key, _, err := crypto.GenerateEd25519Key(rand.NewChaCha8([32]byte{1}))
	require.NoError(t, err)
	id, err := peer.IDFromPrivateKey(key)
	require.NoError(t, err)
	now := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	for seq, want := range map[uint64]time.Time{
		uint64(now.UnixNano()):  now,
		uint64(now.UnixMilli()): {},
		uint64(now.Unix()):      {},
		0:                       {},
		1<<64 - 1:               {},
		1<<63 + 5:               {},
	} {
		signed, err := record.Seal(&peer.PeerRecord{PeerID: id, Seq: seq}, key)
		require.NoError(t, err)
		require.True(t, want.Equal(signedTime(busapi.EvtPeerIdentificationCompleted{Peer: id, SignedPeerRecord: signed})), seq)
	}
	require.Zero(t, signedTime(busapi.EvtPeerIdentificationCompleted{Peer: id}))
	times := newPeerTimes()
	for i := range 3 * maxPeerTimes {
		times.set(peer.ID([]byte{byte(i), byte(i >> 8)}), now.Add(time.Duration(i)))
	}
	newest, _, _ := times.current()
	require.Len(t, newest, maxPeerTimes)
	require.Len(t, times.signed, maxPeerTimes)
	require.Equal(t, now.Add(2*maxPeerTimes), newest[0])
}
