package kad

import (
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// guardedHost is a host whose streams for the DHT go by the guard. kad-dht is
// given it in place of the host.
type guardedHost struct {
	host.Host
	guard *guard
}

func (h guardedHost) SetStreamHandler(p protocol.ID, handler network.StreamHandler) {
	h.Host.SetStreamHandler(p, h.guard.handle(handler))
}

// guardedStream is a stream of requests from a stranger. The handler reads a
// request, handles it, writes the answer, and reads the next: so what is
// handled now is over at the next read or at the end. One goroutine uses it,
// except used, which is the guard's.
type guardedStream struct {
	network.Stream
	guard  *guard
	peer   peer.ID
	source string
	used   time.Time // of the last request; under the guard's lock

	// Where in the frames of requests the reading is.
	length uint64
	shift  uint
	left   uint64 // bytes of the request's body

	read     bool   // a whole request was read …
	handling bool   // … and understood, and is being handled
	refused  bool   // by the guard
	putting  string // the key that it is to store; "": none
	answered bool
}

// Read reads as the handler asks, and follows the requests' frames: one that
// says to be too long ends the stream before memory is taken for it, and one
// that comes too slowly when its time is out.
func (s *guardedStream) Read(p []byte) (int, error) {
	s.settle()
	n, err := s.Stream.Read(p)
	if n > 0 && !s.follow(p[:n]) {
		_ = s.Stream.Reset()
		s.guard.strike(s.peer, strikeBroken, errOversize.Error())
		return 0, errOversize
	}
	return n, err
}

// follow goes on through the frames; false means that one is too long.
func (s *guardedStream) follow(b []byte) bool {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(s.left, uint64(len(b)))
			s.left -= n
			b = b[n:]
			if s.left == 0 {
				s.complete()
			}
			continue
		}
		if s.length == 0 && s.shift == 0 { // the first byte
			_ = s.SetReadDeadline(time.Now().Add(s.guard.limits.slowest))
		}
		s.length |= uint64(b[0]&0x7f) << s.shift
		s.shift += 7
		if s.length > maxRequest || s.shift > 21 {
			return false
		}
		if b[0] < 0x80 {
			s.left, s.length, s.shift = s.length, 0, 0
			if s.left == 0 {
				s.complete()
			}
		}
		b = b[1:]
	}
	return true
}

func (s *guardedStream) complete() {
	s.read = true
	_ = s.SetReadDeadline(time.Time{}) // kad-dht ends a stream that is idle for a minute
}

// Write writes the answer, for a bounded time: who asks and doesn't read is not
// waited for.
func (s *guardedStream) Write(p []byte) (int, error) {
	if s.putting != "" && !s.answered { // logged before it is confirmed
		s.guard.log.Debug("record stored", "peer", s.peer.String(), "key", keyText(s.putting))
	}
	_ = s.SetWriteDeadline(time.Now().Add(s.guard.limits.slowest))
	n, err := s.Stream.Write(p)
	s.answered = err == nil
	return n, err
}

// settle draws the balance of the request before.
func (s *guardedStream) settle() {
	if !s.read {
		return
	}
	full := s.putting != "" && s.guard.store.settle(s.putting)
	switch {
	case !s.handling:
		s.guard.strike(s.peer, strikeBroken, "malformed requests")
	case s.refused:
		s.guard.strike(s.peer, strikeRefused, "more requests or stores than its rate")
	case full: // no fault of the peer's
		s.guard.log.Debug("record refused", "peer", s.peer.String(), "key", keyText(s.putting), "error", errFull)
	case s.putting != "" && !s.answered:
		s.guard.strike(s.peer, strikeRefused, "records that are refused")
	}
	s.read, s.handling, s.refused, s.putting, s.answered = false, false, false, "", false
}

// end is when the handler is done with the stream.
func (s *guardedStream) end() {
	s.settle()
	s.guard.mu.Lock()
	defer s.guard.mu.Unlock()
	s.guard.forget(s)
}

// gater keeps out, and doesn't dial, who is cut off.
type gater struct{ guard *guard }

var _ connmgr.ConnectionGater = gater{}

func (g gater) InterceptPeerDial(p peer.ID) bool             { return g.guard.allows(p) }
func (g gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool  { return true }
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.guard.allows(p)
}

func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
