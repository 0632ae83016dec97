package kad

import (
	"io"
	"maps"
	"net/netip"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	// acceptTimeout bounds the handshake of a connection that a peer opened.
	acceptTimeout = 10 * time.Second

	// maxHandshakes bounds the handshakes of one address at the same time: a half of those
	// that the host has in all, see resources. It applies to loopback as well, where the
	// limits of libp2p for each address do not.
	maxHandshakes = 128

	// maxHandshakeSources bounds the addresses that are counted.
	maxHandshakeSources = 4096
)

// handshakes has the connections of each address that were accepted and whose peer has not
// proven its key, for at most acceptTimeout. A new one above the bound of its address
// replaces the oldest, so that connections that send nothing exclude no peer at the same
// address. The zero value is ready. It is safe for concurrent use.
type handshakes struct {
	mu      sync.Mutex
	pending map[netip.Addr]map[string]handshake // by remote multiaddr
}

// handshake is one connection.
type handshake struct {
	accepted time.Time
	conn     io.Closer
}

// begin counts a connection from an address. It closes the oldest one of the address if
// there are too many.
func (h *handshakes) begin(remote ma.Multiaddr, conn io.Closer, now time.Time) {
	from, ok := handshakeSource(remote)
	if !ok {
		return
	}
	if oldest := h.add(from, remote.String(), handshake{now, conn}); oldest != nil {
		_ = oldest.Close()
	}
}

// add adds a connection of an address, and returns the one that it replaces.
func (h *handshakes) add(from netip.Addr, remote string, new handshake) (replaced io.Closer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.pending[from]
	if all == nil {
		if len(h.pending) >= maxHandshakeSources {
			maps.DeleteFunc(h.pending, func(_ netip.Addr, all map[string]handshake) bool { return expireHandshakes(all, new.accepted) == 0 })
		}
		if len(h.pending) >= maxHandshakeSources {
			return nil
		}
		if h.pending == nil {
			h.pending = map[netip.Addr]map[string]handshake{}
		}
		all = map[string]handshake{}
		h.pending[from] = all
	}
	if len(all) >= maxHandshakes && expireHandshakes(all, new.accepted) >= maxHandshakes {
		oldest := ""
		for at, one := range all {
			if oldest == "" || one.accepted.Before(all[oldest].accepted) {
				oldest = at
			}
		}
		replaced = all[oldest].conn
		delete(all, oldest)
	}
	all[remote] = new
	return replaced
}

// end ends the count of a connection: its peer has proven its key.
func (h *handshakes) end(remote ma.Multiaddr) {
	from, ok := handshakeSource(remote)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.pending[from], remote.String())
	if len(h.pending[from]) == 0 {
		delete(h.pending, from)
	}
}

// expireHandshakes removes the connections that were closed by their timeout, and returns
// the number of the others.
func expireHandshakes(all map[string]handshake, now time.Time) int {
	maps.DeleteFunc(all, func(_ string, one handshake) bool { return now.Sub(one.accepted).Abs() >= acceptTimeout })
	return len(all)
}

// handshakeSource returns the address of a connection, in IPv6 its /64; false for one
// through a relay.
func handshakeSource(remote ma.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(remote)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, _ := netip.AddrFromSlice(ip)
	addr = addr.Unmap()
	if addr.Is6() && !addr.IsLoopback() {
		addr = netip.PrefixFrom(addr, 64).Masked().Addr()
	}
	return addr, true
}
