package kad

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"
)

// Streams that name no protocol are bounded for a peer and for a group of addresses, and those of
// a new peer are opened beside them; one that has negotiated its protocol, or has ended, does not
// count any more.
func TestStreamsWithoutAProtocolAreShared(t *testing.T) {
	r, err := resources()
	require.NoError(t, err)
	defer r.Close()
	m := newTransients(r, func(p peer.ID) string { return string(p[:1]) })
	open := func(p peer.ID, most int) (all []network.StreamManagementScope) {
		for range most {
			s, err := m.OpenStream(p, network.DirInbound)
			if err != nil {
				break
			}
			all = append(all, s)
		}
		return all
	}
	first := open("a0", 100)
	require.Len(t, first, maxPeerTransient)
	n := len(first)
	for i := range 10 {
		n += len(open(peer.ID(fmt.Sprint("a1", i)), 100))
	}
	require.Equal(t, maxSourceTransient, n)
	other := open("b", 100)
	require.Len(t, other, maxPeerTransient)

	require.NoError(t, first[0].SetProtocol("/x"))
	require.Len(t, open("a0", 100), 1)
	first[0].Done() // it counts once
	require.Empty(t, open("a0", 100))
	first[1].Done()
	first[1].Done()
	require.Len(t, open("a0", 100), 1)

	s, err := m.OpenStream("a0", network.DirOutbound)
	require.NoError(t, err, "those of the node itself are not counted")
	s.Done()
}
