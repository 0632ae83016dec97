package agent

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// Addr is the address of an end of a [Conn]: a pointer.
type Addr struct {
	Pointer pointer.Pointer
}

// Network returns "petname".
func (Addr) Network() string { return addrNetwork }

// String returns the pointer as text.
func (a Addr) String() string { return a.Pointer.String() }

const addrNetwork = "petname"

// Conn is a stream between two agents. Each end has proved its pointer to the other one, and
// what is sent is encrypted between the two peers. It is a [net.Conn]: its methods are safe
// for concurrent use, and errors are [*net.OpError] values that wrap [os.ErrDeadlineExceeded],
// [net.ErrClosed], [syscall.ECONNRESET] or another error, but for [io.EOF].
type Conn struct {
	stream   Stream
	local    pointer.Pointer
	remote   pointer.Pointer
	id       pointer.Pointer // of the contact; zero: the other end is none
	protocol string
	agent    *state
	inbound  bool // the other end has dialled
	stranger bool // and is no contact
	writing  sync.Mutex
	closed   atomic.Bool
	ended    func() // called once, when the Conn is closed
}

var _ net.Conn = (*Conn)(nil)

// Pointer returns the pointer that the other end has proved.
func (c *Conn) Pointer() pointer.Pointer { return c.remote }

// Contact returns the contact that the other end is now, and reports whether it is one.
func (c *Conn) Contact() (petname.Contact, bool) { return c.agent.knownContact(c.remote) }

// Protocol returns the protocol of the stream.
func (c *Conn) Protocol() string { return c.protocol }

// Direct reports whether the stream leads to the other agent directly, not through a relay.
func (c *Conn) Direct() bool { return c.stream.Direct() }

// Read reads what the other end has sent; [io.EOF]: it has closed its direction.
func (c *Conn) Read(b []byte) (int, error) {
	n, err := c.stream.Read(b)
	return n, c.failed("read", err)
}

// Write sends b.
func (c *Conn) Write(b []byte) (int, error) {
	c.writing.Lock() // concurrent writes of a stream of yamux pass its window, and end the whole connection
	defer c.writing.Unlock()
	n, err := c.stream.Write(b)
	return n, c.failed("write", err)
}

// CloseWrite closes the direction to the other end, which then reads [io.EOF].
func (c *Conn) CloseWrite() error { return c.failed("close", c.stream.CloseWrite()) }

// Close closes both directions, and ends reads and writes that wait.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.failed("close", net.ErrClosed)
	}
	c.ended()
	err := c.stream.Close()
	if err != nil {
		return &net.OpError{Op: "close", Net: addrNetwork, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
	}
	return nil
}

// LocalAddr returns the owner's pointer, as an [Addr].
func (c *Conn) LocalAddr() net.Addr { return Addr{c.local} }

// RemoteAddr returns the other end's pointer, as an [Addr].
func (c *Conn) RemoteAddr() net.Addr { return Addr{c.remote} }

// SetDeadline bounds reads and writes: see [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error { return c.set(c.stream.SetDeadline, t) }

// SetReadDeadline bounds reads: see [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.set(c.stream.SetReadDeadline, t) }

// SetWriteDeadline bounds writes: see [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.set(c.stream.SetWriteDeadline, t) }

func (c *Conn) set(deadline func(time.Time) error, t time.Time) error {
	if c.closed.Load() {
		return c.failed("set", net.ErrClosed)
	}
	err := deadline(t)
	if c.closed.Load() { // Close has set one, which has to stand
		_ = c.stream.Close()
	}
	return c.failed("set", err)
}

// failed returns the error of an operation as package net does.
func (c *Conn) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	if c.closed.Load() {
		err = net.ErrClosed
	} else if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return &net.OpError{Op: op, Net: addrNetwork, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// conns is the open streams of an agent. The zero value is ready.
type conns struct {
	mu   sync.Mutex
	open map[*Conn]struct{}
	stop func() // ends the goroutine that closes those of removed contacts; nil: there is none
}

// Bounds of the open streams that others have opened: of contacts, and of the others, which do not
// use up those of contacts.
const (
	maxInbound        = 1024
	maxContactInbound = 128

	maxStrangers      = 256
	maxStranger       = 16 // of one pointer
	maxStrangerSource = 64 // of one group of addresses
)

// add registers a stream, unless there are too many that others have opened.
func (s *state) addConn(c *Conn) bool {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	if c.inbound && !s.conns.mayAdd(c) {
		return false
	}
	if s.conns.open == nil {
		s.conns.open = map[*Conn]struct{}{}
	}
	s.conns.open[c] = struct{}{}
	if s.conns.stop == nil {
		s.conns.stop = s.closeRemoved()
	}
	return true
}

// mayAdd reports whether a stream that another party opens is within the bounds. The caller holds
// mu.
func (s *conns) mayAdd(c *Conn) bool {
	all, same, source := 0, 0, 0
	for o := range s.open {
		if !o.inbound || o.stranger != c.stranger {
			continue
		}
		all++
		if o.remote == c.remote {
			same++
		}
		if c.stranger && o.stream.Source() == c.stream.Source() {
			source++
		}
	}
	if c.stranger {
		return all < maxStrangers && same < maxStranger && source < maxStrangerSource
	}
	return all < maxInbound && same < maxContactInbound
}

func (s *state) removeConn(c *Conn) {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	delete(s.conns.open, c)
	if len(s.conns.open) == 0 && s.conns.stop != nil {
		s.conns.stop()
		s.conns.stop = nil
	}
}

// openConns returns the streams for which choose reports true.
func (s *state) openConns(choose func(*Conn) bool) (all []*Conn) {
	s.conns.mu.Lock()
	defer s.conns.mu.Unlock()
	for c := range s.conns.open {
		if choose(c) {
			all = append(all, c)
		}
	}
	return all
}

// closeConns closes all streams.
func (s *state) closeConns() {
	for _, c := range s.openConns(func(*Conn) bool { return true }) {
		_ = c.Close()
	}
}

// closeRemoved closes the streams of contacts that are none any more, until its result is
// called.
func (s *state) closeRemoved() (stop func()) {
	sub := s.events.subscribe()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-sub.ready:
			case <-sub.closed:
				return
			case <-done:
				return
			}
			for _, e := range sub.take() {
				if e.Kind == BookChanged {
					s.closeStrangers()
					break
				}
			}
		}
	}()
	return func() {
		s.events.unsubscribe(sub)
		close(done)
	}
}

// closeStrangers closes the streams that were opened with a contact which is none now, or has
// another pointer: its former key may be a thief's.
func (s *state) closeStrangers() {
	for _, c := range s.openConns(func(c *Conn) bool { return !s.isStillContact(c) }) {
		_ = c.Close()
	}
}

// isStillContact reports whether the other end of a stream is the contact that it was when the
// stream was opened, if it was one.
func (s *state) isStillContact(c *Conn) bool {
	if c.id.IsZero() {
		return true
	}
	still, err := s.book.ByID(c.id)
	return err == nil && isCurrent(still) && still.Pointer == c.remote
}

// isCurrent reports whether a contact has a name, and its key is not in doubt.
func isCurrent(c petname.Contact) bool {
	return !c.Name.IsZero() && c.Removed.IsZero() && len(c.Contradictions) == 0
}

// knownContact returns the contact that has a pointer now.
func (s *state) knownContact(p pointer.Pointer) (petname.Contact, bool) {
	c, err := s.book.ByPointer(p)
	if err != nil || c.Pointer != p || !isCurrent(c) {
		return petname.Contact{}, false
	}
	return c, true
}
