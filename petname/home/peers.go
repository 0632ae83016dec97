package home

import (
	"fmt"
	"time"

	"github.com/multiformats/go-multiaddr"
)

const (
	maxPeersFile  = 64 << 10 // bytes
	maxKnownPeers = 32       // in peers.json
	maxPeerAddrs  = 4        // of one peer
	maxPeerAddr   = 256      // bytes of an address
	maxNetworkTag = 4 << 10  // bytes
)

// KnownPeer is a peer of a DHT that answered this home.
type KnownPeer struct {
	Addrs []string  `json:"addrs"` // multiaddrs that end in the same /p2p/ID
	Last  time.Time `json:"last"`  // when it answered last
	Days  int       `json:"days"`  // number of days on which it answered, at least 1
}

// ID returns the peer ID, as text.
func (p KnownPeer) ID() string {
	if len(p.Addrs) == 0 {
		return ""
	}
	a, err := multiaddr.NewMultiaddr(p.Addrs[0])
	if err != nil {
		return ""
	}
	return a[len(a)-1].Value()
}

// KnownPeers is the content of peers.json: peers by which to enter a network if the ones
// that the owner named do not answer. Whoever wrote the file decides what a node dials
// then: the reader filters the addresses.
type KnownPeers struct {
	Network string      `json:"network"` // which network they are of; the caller's text
	Peers   []KnownPeer `json:"peers"`   // the best first
}

type peersFileContent struct {
	Version int `json:"v"`
	KnownPeers
}

// KnownPeers returns the content of peers.json, at most 32 peers with 4 addresses each;
// the zero value without the file. It fails with a [*FileError] if the file is damaged.
func (h Home) KnownPeers() (KnownPeers, error) {
	var c peersFileContent
	if err := h.readJSON(peersFile, maxPeersFile, &c); err != nil {
		return KnownPeers{}, err
	}
	if err := c.check(); err != nil {
		return KnownPeers{}, h.damagedJSON(peersFile, err)
	}
	return c.KnownPeers, nil
}

// SetKnownPeers replaces peers.json atomically. It stores the first 32 peers.
func (h Home) SetKnownPeers(k KnownPeers) error {
	k.Peers = k.Peers[:min(len(k.Peers), maxKnownPeers)]
	if err := k.check(); err != nil {
		return fmt.Errorf("peers: %w", err)
	}
	return h.writeJSON(peersFile, peersFileContent{networkVersion, k})
}

func (k KnownPeers) check() error {
	if len(k.Peers) > maxKnownPeers || len(k.Network) > maxNetworkTag {
		return fmt.Errorf("%d peers, over %d, of a network with a name of %d bytes", len(k.Peers), maxKnownPeers, len(k.Network))
	}
	seen := map[string]bool{}
	for i, p := range k.Peers {
		if len(p.Addrs) == 0 || len(p.Addrs) > maxPeerAddrs || p.Days < 1 {
			return fmt.Errorf("peer %d has %d addresses and answered on %d days", i, len(p.Addrs), p.Days)
		}
		id := ""
		for _, text := range p.Addrs {
			a, err := multiaddr.NewMultiaddr(text)
			if err != nil || len(text) > maxPeerAddr {
				return fmt.Errorf("peer %d: %.*q is no multiaddr", i, maxPeerAddr, text)
			}
			last := a[len(a)-1]
			if last.Code() != multiaddr.P_P2P || len(a) < 2 || id != "" && last.Value() != id {
				return fmt.Errorf("peer %d: %q does not end in the ID of the peer", i, text)
			}
			id = last.Value()
		}
		if seen[id] {
			return fmt.Errorf("peer %s is there twice", id)
		}
		seen[id] = true
	}
	return nil
}
