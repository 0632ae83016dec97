package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/pointer"
)

// demoNetwork is a network of DHT nodes on loopback, each with its own sockets.
type demoNetwork struct {
	nodes []*kad.Node
}

func (n *demoNetwork) start(ctx context.Context, count int) error {
	listen := []string{loopbackListen(canBind)}
	for range count {
		c := kad.Config{Listen: listen, Server: true, Timeout: demoTimeout}
		if len(n.nodes) > 0 {
			c.Bootstrap = n.nodes[0].Addrs()
		}
		node, err := kad.Start(ctx, c)
		if err != nil {
			return err
		}
		n.nodes = append(n.nodes, node)
	}
	// The first nodes joined before the others existed: join again to find those.
	var wg sync.WaitGroup
	errs := make([]error, len(n.nodes))
	for i, node := range n.nodes[1:] {
		wg.Go(func() { _, errs[i] = node.Join(ctx, n.nodes[0].Addrs()) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// bootstrapAddrs returns the addresses of the first three nodes.
func (n *demoNetwork) bootstrapAddrs() []string {
	var addrs []string
	for _, node := range n.nodes[:3] {
		addrs = append(addrs, node.Addrs()...)
	}
	return addrs
}

// stopNearest stops the node with the smallest XOR distance to the key of a pointer's
// record. It may be a bootstrap node: the homes know others.
func (n *demoNetwork) stopNearest(p pointer.Pointer) (string, error) {
	key := sha256.Sum256(append([]byte("/ipns/"), p.Bytes()...))
	best, at := []byte(nil), -1
	for i, node := range n.nodes {
		id, err := peer.Decode(node.ID())
		if err != nil {
			return "", err
		}
		distance := sha256.Sum256([]byte(id))
		for j := range distance {
			distance[j] ^= key[j]
		}
		if best == nil || bytes.Compare(distance[:], best) < 0 {
			best, at = distance[:], i
		}
	}
	if at < 0 {
		return "", fmt.Errorf("no node to stop")
	}
	id := n.nodes[at].ID()
	err := n.nodes[at].Close()
	n.nodes = append(n.nodes[:at:at], n.nodes[at+1:]...)
	return id, err
}

func (n *demoNetwork) close() {
	var wg sync.WaitGroup
	for _, node := range n.nodes {
		wg.Go(func() { node.Close() })
	}
	wg.Wait()
}
