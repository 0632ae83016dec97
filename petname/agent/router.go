package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/pointer"
)

// Router returns an HTTP router for others, to be served under /routing/v1/: it
// gets records from the DHT that the agent is in, and puts them there. The agent
// has to be started.
func (a *Agent) Router() *delegated.Server { return &delegated.Server{Network: ownDHT{state: a.state}} }

// ownDHT is the network of an agent's router: the DHT, and the records that the node
// holds of it. The routers that this home joined are not asked on behalf of others:
// one may be this node, or ask it in turn. While no DHT is joined and the node has no
// peers, the node is the whole network.
type ownDHT struct {
	state  *state
	client netip.Addr // for which requests are passed on; the zero value: unknown
}

var (
	_ delegated.ClientStore  = ownDHT{}
	_ delegated.HoldingStore = ownDHT{}
)

// ForClient returns the network for the requests of one client.
func (d ownDHT) ForClient(client netip.Addr) dht.Store { return ownDHT{d.state, client} }

// Held returns the record that the node stores, for its peers or for clients.
func (d ownDHT) Held(ctx context.Context, p pointer.Pointer) []byte {
	node, _, err := d.current()
	if err != nil {
		return nil
	}
	return node.Held(ctx, p)
}

// current returns the running node, and reports whether it is the whole network.
func (d ownDHT) current() (node Node, alone bool, err error) {
	s := d.state
	c, err := s.home.Config()
	if err != nil {
		return nil, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node == nil { // between two networks
		return nil, false, fmt.Errorf("%w: no DHT is running", dht.ErrUnreachable)
	}
	return s.node, c.Network == "off" && s.node.Peers() == 0, nil
}

// Get asks the DHT.
func (d ownDHT) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		node, alone, err := d.current()
		if err != nil {
			yield(dht.Answer{Source: dht.SourceNetwork}, err)
			return
		}
		for a, err := range node.ForClient(d.client).Get(ctx, p) {
			if alone && a.Peer == "" && errors.Is(err, dht.ErrUnreachable) {
				a, err = dht.Answer{Source: dht.SourceHome}, nil // that there is no peer to ask is no failure
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

// Put stores in the DHT; a node that is the whole network stores its own copy.
func (d ownDHT) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	node, alone, err := d.current()
	if err != nil {
		return dht.Receipt{}, err
	}
	receipt, err := node.ForClient(d.client).Put(ctx, p, record)
	if alone && receipt == (dht.Receipt{}) && errors.Is(err, dht.ErrUnreachable) {
		return dht.Receipt{Asked: 1, Stored: 1}, nil
	}
	return receipt, err
}
