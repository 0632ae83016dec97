package kad

import (
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// limitedHost is the host on which kad-dht runs. It limits the streams of the
// DHT's protocol.
type limitedHost struct {
	host.Host
	limiter *limiter
}

// SetStreamHandler sets a handler for streams that the limiter admits.
func (h limitedHost) SetStreamHandler(p protocol.ID, handler network.StreamHandler) {
	h.Host.SetStreamHandler(p, h.limiter.handle(handler))
}

// removeHandlers ends what kad-dht, which is closed, serves on a host of the
// application: its Close leaves the handler and the streams of peers.
func (n *Node) removeHandlers() {
	n.host.RemoveStreamHandler(n.protocol)
	for _, c := range n.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == n.protocol && s.Stat().Direction == network.DirInbound {
				_ = s.Reset()
			}
		}
	}
}

// limitedStream is a stream of requests from a peer. The handler reads a
// request, handles it, writes the answer, and reads the next request, so that a
// request has ended at the next read or at the end of the stream. Except for
// lastRequest, only one goroutine uses it.
type limitedStream struct {
	network.Stream
	limiter     *limiter
	peer        peer.ID
	source      string
	lastRequest time.Time // guarded by the limiter's mu

	// The position in the requests' framing.
	length uint64
	shift  uint
	left   uint64 // bytes of the request's body

	// The current request.
	requestRead bool   // it was read to its end
	handling    bool   // it was decoded and passed to the handler
	refused     bool   // by the limiter
	putKey      string // the key that it puts; "": none
	answered    bool
}

// Read reads for the handler and parses the requests' framing. It resets the
// stream before the handler allocates memory for a request that is too long,
// and sets a deadline for the rest of a request that has begun.
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

// parseFrames advances the framing by the bytes read. It returns false if a
// request is too long.
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

// requestComplete is called at the end of a request.
func (s *limitedStream) requestComplete() {
	s.requestRead = true
	_ = s.SetReadDeadline(time.Time{}) // kad-dht itself resets a stream that is idle for a minute
}

// Write writes an answer within the limiter's ioTimeout, so that a peer that
// does not read it cannot block the handler.
func (s *limitedStream) Write(p []byte) (int, error) {
	if s.putKey != "" && !s.answered { // logged before it is confirmed
		s.limiter.log.Debug("record stored", "peer", s.peer.String(), "key", keyText(s.putKey))
	}
	_ = s.SetWriteDeadline(time.Now().Add(s.limiter.limits.ioTimeout))
	n, err := s.Stream.Write(p)
	s.answered = err == nil
	return n, err
}

// finishRequest counts strikes for the request that has ended.
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
	case full: // not abuse
		s.limiter.log.Debug("record refused", "peer", s.peer.String(), "key", keyText(s.putKey), "error", errFull)
	case s.putKey != "" && !s.answered:
		s.limiter.strike(s.peer, strikeRefused, "records that are refused")
	}
	s.requestRead, s.handling, s.refused, s.putKey, s.answered = false, false, false, "", false
}

// close is called when the handler has ended.
func (s *limitedStream) close() {
	s.finishRequest()
	s.limiter.mu.Lock()
	defer s.limiter.mu.Unlock()
	s.limiter.removeStream(s)
}
