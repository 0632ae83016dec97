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
type limitedHost struct {
	host.Host
	limiter *limiter
}

func (h limitedHost) SetStreamHandler(p protocol.ID, handler network.StreamHandler) {
	h.Host.SetStreamHandler(p, h.limiter.handle(handler))
}

// guardedStream is a stream of requests from a stranger. The handler reads a
// request, handles it, writes the answer, and reads the next: so what is
// handled now is over at the next read or at the end. One goroutine uses it,
// except used, which is the guard's.
type limitedStream struct {
	network.Stream
	limiter     *limiter
	peer        peer.ID
	source      string
	lastRequest time.Time // of the last request; under the guard's lock

	// Where in the frames of requests the reading is.
	length uint64
	shift  uint
	left   uint64 // bytes of the request's body

	requestRead bool   // a whole request was read …
	handling    bool   // … and understood, and is being handled
	refused     bool   // by the guard
	putKey      string // the key that it is to store; "": none
	answered    bool
}

// Read reads as the handler asks, and follows the requests' frames: one that
// says to be too long ends the stream before memory is taken for it, and one
// that comes too slowly when its time is out.
func (s *limitedStream) Read(p []byte) (int, error) {
	s.finishRequest()
	n, err := s.Stream.Read(p)
	if n > 0 && !s.parseFrames(p[:n]) {
		_ = s.Stream.Reset()
		s.limiter.strike(s.peer, strikeMalformed, errOversize.Error())
		return 0, errOversize
	}
	return n, err
}

// follow goes on through the frames; false means that one is too long.
func (s *limitedStream) parseFrames(b []byte) bool {
	for len(b) > 0 {
		if s.left > 0 {
			n := min(s.left, uint64(len(b)))
			s.left -= n
			b = b[n:]
			if s.left == 0 {
				s.requestComplete()
			}
			continue
		}
		if s.length == 0 && s.shift == 0 { // the first byte
			_ = s.SetReadDeadline(time.Now().Add(s.limiter.limits.ioTimeout))
		}
		s.length |= uint64(b[0]&0x7f) << s.shift
		s.shift += 7
		if s.length > maxRequest || s.shift > 21 {
			return false
		}
		if b[0] < 0x80 {
			s.left, s.length, s.shift = s.length, 0, 0
			if s.left == 0 {
				s.requestComplete()
			}
		}
		b = b[1:]
	}
	return true
}

func (s *limitedStream) requestComplete() {
	s.requestRead = true
	_ = s.SetReadDeadline(time.Time{}) // kad-dht ends a stream that is idle for a minute
}

// Write writes the answer, for a bounded time: who asks and doesn't read is not
// waited for.
func (s *limitedStream) Write(p []byte) (int, error) {
	if s.putKey != "" && !s.answered { // logged before it is confirmed
		s.limiter.log.Debug("record stored", "peer", s.peer.String(), "key", keyText(s.putKey))
	}
	_ = s.SetWriteDeadline(time.Now().Add(s.limiter.limits.ioTimeout))
	n, err := s.Stream.Write(p)
	s.answered = err == nil
	return n, err
}

// settle draws the balance of the request before.
func (s *limitedStream) finishRequest() {
	if !s.requestRead {
		return
	}
	full := s.putKey != "" && s.limiter.store.finishPut(s.putKey)
	switch {
	case !s.handling:
		s.limiter.strike(s.peer, strikeMalformed, "malformed requests")
	case s.refused:
		s.limiter.strike(s.peer, strikeRefused, "more requests or stores than its rate")
	case full: // no fault of the peer's
		s.limiter.log.Debug("record refused", "peer", s.peer.String(), "key", keyText(s.putKey), "error", errFull)
	case s.putKey != "" && !s.answered:
		s.limiter.strike(s.peer, strikeRefused, "records that are refused")
	}
	s.requestRead, s.handling, s.refused, s.putKey, s.answered = false, false, false, "", false
}

// end is when the handler is done with the stream.
func (s *limitedStream) close() {
	s.finishRequest()
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	s.limiter.removeStream(s)
}

// gater keeps out, and doesn't dial, who is cut off.
type gater struct{ limiter *limiter }

var _ connmgr.ConnectionGater = gater{}

func (g gater) InterceptPeerDial(p peer.ID) bool             { return g.limiter.mayConnect(p) }
func (g gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }
func (g gater) InterceptAccept(network.ConnMultiaddrs) bool  { return true }
func (g gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.limiter.mayConnect(p)
}

func (g gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
