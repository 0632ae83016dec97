package agent

import (
	"context"
	"crypto"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// Transport starts nodes of a DHT: package agent/libp2p has one. An agent
// without a Transport uses HTTP routers alone, and links no libp2p host.
type Transport interface {
	// Start starts a node and enters its network, for a bounded time. That no
	// peer responds is no error. The context bounds the start alone.
	Start(ctx context.Context, c NodeConfig) (Node, error)

	// Bootstrap returns the multiaddrs to enter a public network by: "ipfs".
	Bootstrap(network string) []string

	// CheckPeer returns an error for the multiaddr of a peer that no node can dial,
	// because it has not the transport.
	CheckPeer(addr string) error
}

// NodeConfig is how a [Transport] starts a node.
type NodeConfig struct {
	Network   string        // "ipfs", or anything else for a private or local network
	Bootstrap []string      // multiaddrs that end in /p2p/ID; they also show the kind of the network
	Entry     []string      // further ones to enter by, of the own node
	Known     []string      // peers of earlier nodes, for when none of the others answers; dialled as the word of others
	Discover  bool          // find peers of the local network by multicast, and be found
	Key       crypto.Signer // the peer key; nil: a key that is thrown away, and a node that only dials
	File      string        // where a node with a Key stores what it holds for others; empty: memory
	Ports     []ListenPort  // of earlier nodes with the Key, for addresses with port 0: used again if they are free
	Log       *slog.Logger
}

// ListenPort is the port that was bound for an address with port 0.
type ListenPort = home.ListenPort

// Node is a running node of a DHT. Its methods are safe for concurrent use.
type Node interface {
	dht.LevelStore
	dht.ConfirmingStore
	republish.Network

	ID() string       // the peer ID
	Addrs() []string  // multiaddrs that end in /p2p/ID
	Peers() int       // in the routing table
	JoinError() error // why Start could not join by the bootstrap peers; nil: it did, or there were none
	Status() Holding
	Ports() []ListenPort // bound for addresses with port 0

	// GoodPeers returns peers of the network that have answered, without those by which it
	// was entered: for each its multiaddrs, which end in /p2p/ID.
	GoodPeers() [][]string

	// Confirm counts the peers that return a record which was put, those that
	// acknowledged it first excluded.
	Confirm(ctx context.Context, p pointer.Pointer, record []byte) (int, error)

	// Held returns the record that the node itself stores, not verified; nil: none.
	Held(ctx context.Context, p pointer.Pointer) []byte

	// ForClient returns the network for requests that the node passes on for the
	// client at an address: bounded, so that its peers do not cut the node off, and
	// what it stores is held as the client's.
	ForClient(client netip.Addr) dht.Store
	// Wait waits for the puts that continue in the background.
	Wait(ctx context.Context) error

	// Serve answers other agents that get records from store or put some,
	// over streams of their own, until the node is closed.
	Serve(store dht.Store)

	// Dial returns the store of the agent at one of these addresses:
	// multiaddrs in binary form that end in /p2p/ID. They are the word of others, as
	// in cards and invitations: it resolves no names and uses no relays, and dials
	// loopback, link-local and private addresses only in a network whose Bootstrap
	// has such addresses, or of the kind "lan".
	Dial(addresses [][]byte) dht.Store

	// ServeStreams calls serve for each stream of a protocol that a peer opens, until the
	// node is closed: for a bounded number at a time, of which each ends when serve
	// returns. Nothing is known of the peer but its key. serve calls serving when it knows
	// the peer as one to serve: until then a stream of another peer may take its place, and
	// it is reset. serve closes the stream, or leaves it open for use after its return.
	ServeStreams(protocol string, b StreamBounds, serve func(s Stream, serving func()))

	// OpenStream opens a stream of a protocol to the agent at one of these addresses,
	// under the rules of Dial. With again it also tries peers that could not be reached a
	// moment ago.
	OpenStream(ctx context.Context, addresses [][]byte, protocol string, again bool) (Stream, error)

	Close() error
}

// Stream is a stream to a peer. Its Close ends reads and writes that wait. Its methods are
// safe for concurrent use, as those of [net.Conn] are.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error

	// Peer returns the key of the peer, which the connection has authenticated, as a
	// pointer: its multihash is the peer ID.
	Peer() pointer.Pointer
	Source() string // the group of addresses that the peer's belongs to, or its ID: for bounds
	Direct() bool   // not through a relay
}

// StreamBounds bounds how many calls of serve there are at a time: in all, for one peer,
// and for one group of addresses.
type StreamBounds struct{ Streams, Peer, Source int }

// Holding is what a node holds for its network, and which peers it has cut off.
type Holding struct {
	Records int // that it stores for others
	Bytes   int
	Limit   int // in bytes, with what the records cost besides
	CutOff  []CutOff
}

// CutOff is a peer that abused the node.
type CutOff struct {
	Peer   string
	Until  time.Time
	Reason string
}
