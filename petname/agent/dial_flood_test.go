package agent_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	golibp2p "github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/delegation"
	"github.com/petnames-go/petnames/pointer"
)

// Callers that are no contacts open bounded numbers of streams to a listener for Everybody, and
// use up none of those of contacts.
func TestStrangersDoNotUseUpTheStreamsOfContacts(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob, agent.Everybody))
	private, err := bob.Listen("example.org/private/1")
	require.NoError(t, err)
	go echo(private)
	card, _ := held(t, bob, bob.Pointer()).Card()
	opened := 0
	for range 20 {
		mallory := newAttacker(t, nil)
		own, err := delegation.Sign(newKey(t), mallory.peer, 0, time.Now(), time.Now().Add(time.Hour))
		require.NoError(t, err)
		for range 20 {
			s, err := mallory.OpenStream(t.Context(), binaryAddresses(t, bob), streamProtocol, true)
			require.NoError(t, err)
			hello, awaited, err := delegation.Call{Own: own, To: bob.Pointer(), Sealing: card.Sealing, Peer: s.Peer(), Protocol: echoProtocol}.Hello()
			require.NoError(t, err)
			_, err = s.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(hello))), hello...))
			require.NoError(t, err)
			length := make([]byte, 2)
			_, err = io.ReadFull(s, length)
			require.NoError(t, err)
			answer := make([]byte, binary.BigEndian.Uint16(length))
			_, err = io.ReadFull(s, answer)
			require.NoError(t, err)
			if state, _, err := awaited.Open(answer); err == nil && state == delegation.Accepted {
				opened++
			}
		}
	}
	require.LessOrEqual(t, opened, 256)
	require.Greater(t, opened, 16, "of one pointer")
	c, err := alice.Dial(t.Context(), "bob", "example.org/private/1")
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, accepts(t, alice, "bob"), "of the same protocol")
}

// infoOf returns a peer ID and an address of an agent that runs.
func infoOf(t *testing.T, a *agent.Agent) peer.AddrInfo {
	m, err := multiaddr.NewMultiaddr(addrs(t, a)[0])
	require.NoError(t, err)
	info, err := peer.AddrInfoFromP2pAddr(m)
	require.NoError(t, err)
	return *info
}

// idleHost returns a host of an attacker.
func idleHost(t *testing.T) host.Host {
	h, err := golibp2p.New(golibp2p.NoListenAddrs, golibp2p.ResourceManager(&network.NullResourceManager{}), golibp2p.DisableMetrics())
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// halfOpen opens a stream of a protocol to an agent from each of some hosts, and sends the first
// byte of a message.
func halfOpen(t *testing.T, to *agent.Agent, name string, hosts int) {
	info := infoOf(t, to)
	for range hosts {
		h := idleHost(t)
		require.NoError(t, h.Connect(t.Context(), info))
		s, err := h.NewStream(t.Context(), info.ID, protocol.ID(name))
		require.NoError(t, err)
		_, err = s.Write([]byte{0})
		require.NoError(t, err)
	}
}

// Half-open streams of more peers than are served at a time, one of each, keep no contact out.
func TestHalfOpenDialsOfManyPeersKeepNobodyOut(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	halfOpen(t, bob, streamProtocol, 140)
	require.NoError(t, accepts(t, alice, "bob"))
}

// Half-open streams of more peers than are served at a time, one of each, keep no device of the
// owner out.
func TestHalfOpenStreamsOfManyPeersKeepNoDeviceOut(t *testing.T) {
	hub := served(t, nil)
	laptop := served(t, addrs(t, hub))
	phone, _ := joinedBy(t, laptop, true, false)
	halfOpen(t, laptop, "/petnames/sync/1", 40)
	r, err := phone.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.Len(t, r.With, 1)
	require.Equal(t, agent.ByStream, r.With[0].By)
}

// Streams that name no protocol, as many as each of some peers may open, keep nobody out.
func TestStreamsWithoutAProtocolKeepNobodyOut(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	info := infoOf(t, bob)
	for range 8 {
		h := idleHost(t)
		require.NoError(t, h.Connect(t.Context(), info))
		for range 60 {
			s, err := h.Network().ConnsToPeer(info.ID)[0].NewStream(t.Context())
			if err != nil {
				break
			}
			_, _ = s.Write([]byte{0x13}) // the length of a name; those over the bounds are reset
		}
	}
	require.NoError(t, accepts(t, alice, "bob"))
	carol := served(t, addrs(t, bob))
	require.NoError(t, func() error { _, err := carol.Resolve(t.Context(), bob.Pointer().String(), dht.LevelFresh); return err }())
}

// A caller that states, without the signature of the earlier key, that it succeeds a contact is
// not looked for: else it would learn which pointers are in the book.
func TestAStrangerLearnsNotWhichPointersAreInTheBook(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	card, _ := held(t, bob, bob.Pointer()).Card()
	mallory := newAttacker(t, append(addrs(t, alice), addrs(t, bob)...))
	var asked atomic.Int32
	h := mallory.Node.(interface{ Host() host.Host }).Host()
	for _, p := range h.Mux().Protocols() {
		if strings.Contains(string(p), "kad") {
			h.SetStreamHandler(p, func(s network.Stream) { // it does not answer
				b := make([]byte, 1024)
				n, _ := s.Read(b)
				if bytes.Contains(b[:n], alice.Pointer().Bytes()) {
					asked.Add(1)
				}
			})
		}
	}
	for _, forge := range []bool{false, true} {
		key := newKey(t)
		step, err := pointer.Succeed(alice.Pointer(), key, pointer.Commitment{}, nil)
		require.NoError(t, err)
		if forge {
			step.OldSignature = make([]byte, 64)
		}
		r, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, Expires: time.Now().Add(time.Hour), Card: &pointer.Card{Succession: []pointer.Succession{step}}})
		require.NoError(t, err)
		own, err := delegation.Sign(key, mallory.peer, 0, time.Now(), time.Now().Add(time.Hour))
		require.NoError(t, err)
		require.Empty(t, mallory.say(t, bob, func(peer pointer.Pointer) []byte {
			b, _, err := delegation.Call{Own: own, To: bob.Pointer(), Sealing: card.Sealing, Peer: peer, Protocol: echoProtocol, Record: r.Bytes()}.Hello()
			require.NoError(t, err)
			return b
		}))
	}
	require.Zero(t, asked.Load())
}
