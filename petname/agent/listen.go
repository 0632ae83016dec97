package agent

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/delegation"
	"github.com/petnames-go/petnames/pointer"
)

// ErrProtocolInUse is returned by Listen for a protocol that has a listener already.
var ErrProtocolInUse = errors.New("the protocol has a listener already")

// ListenOption is an option of [Agent.Listen].
type ListenOption int

// Everybody lets any party that proves a pointer open streams, also one that is no contact. It
// learns that the owner is at this peer: otherwise the agent answers contacts alone.
const Everybody ListenOption = 1

// acceptBacklog is how many streams of a listener wait for Accept.
const acceptBacklog = 16

// streamBounds bounds the handshakes at a time.
var streamBounds = StreamBounds{Streams: 128, Peer: 32, Source: 64}

// Listen accepts streams of a protocol that others open with [Agent.Dial], while the agent runs: of
// contacts without contradictions and of the owner's own devices, or of Everybody. Accept
// returns values of the type [*Conn]. A stream ends when its contact is removed.
//
// There is one listener for a protocol, or else the error wraps [ErrProtocolInUse]. It ends with
// its Close, or with the agent's; Accept then fails with [net.ErrClosed].
func (a *Agent) Listen(protocol string, options ...ListenOption) (net.Listener, error) {
	if err := delegation.CheckProtocol(protocol); err != nil {
		return nil, &ArgumentError{"protocol", err.Error()}
	}
	if a.transport == nil {
		return nil, ErrNoTransport
	}
	l := &listener{agent: a.state, protocol: protocol, everybody: slices.Contains(options, Everybody),
		slots: make(chan struct{}, acceptBacklog), queue: make(chan *Conn, acceptBacklog), closed: make(chan struct{})}
	if a.isClosed() {
		return nil, ErrClosed
	}
	a.listening.Lock()
	defer a.listening.Unlock()
	if a.listeners[protocol] != nil {
		return nil, &net.OpError{Op: "listen", Net: addrNetwork, Addr: l.Addr(), Err: ErrProtocolInUse}
	}
	if a.listeners == nil {
		a.listeners = map[string]*listener{}
	}
	a.listeners[protocol] = l
	return l, nil
}

// listener is the result of Listen.
type listener struct {
	agent     *state
	protocol  string
	everybody bool

	slots  chan struct{} // one for each stream in the queue, or about to be
	queue  chan *Conn
	closed chan struct{}
	once   sync.Once
}

// Accept returns the next stream.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
	default:
		select {
		case c := <-l.queue:
			<-l.slots
			return c, nil
		case <-l.closed:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: addrNetwork, Addr: l.Addr(), Err: net.ErrClosed}
}

// Close ends Accept, and closes the streams that it did not return.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.once.Do(func() {
		err = nil
		l.agent.listening.Lock()
		delete(l.agent.listeners, l.protocol)
		l.agent.listening.Unlock()
		close(l.closed)
		l.drain()
	})
	if err != nil {
		return &net.OpError{Op: "close", Net: addrNetwork, Addr: l.Addr(), Err: err}
	}
	return nil
}

func (l *listener) drain() {
	for {
		select {
		case c := <-l.queue:
			_ = c.Close()
			<-l.slots
		default:
			return
		}
	}
}

// Addr returns the owner's pointer, as an [Addr].
func (l *listener) Addr() net.Addr { return Addr{l.agent.book.Identity()} }

// reserve reserves a place in the queue; false: it is full.
func (l *listener) reserve() bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// offer puts a stream into the place that was reserved.
func (l *listener) offer(c *Conn) {
	l.queue <- c
	select {
	case <-l.closed:
		l.drain()
	default:
	}
}

// closeListeners ends all listeners.
func (s *state) closeListeners() {
	s.listening.Lock()
	var all []*listener
	for _, l := range s.listeners {
		all = append(all, l)
	}
	s.listening.Unlock()
	for _, l := range all {
		_ = l.Close()
	}
}

// serveStreams answers the streams of applications, while the node can be reached.
func (a *Agent) serveStreams(node Node) {
	local, err := pointer.Parse(node.ID())
	if err != nil {
		a.log.Warn("no streams are answered", "error", err)
		return
	}
	node.ServeStreams(streamProtocol, streamBounds, func(s Stream, serving func()) {
		if err := a.serveStream(s, local, serving); err != nil {
			_ = s.Close()
			a.log.Info("stream not accepted", "error", err)
		}
	})
}

// Errors of streams that are not answered.
var (
	errOtherPointer = errors.New("it is for another pointer")
	errNoContact    = errors.New("the caller is no contact")
)

// serveStream makes the handshake of the callee. After an error the stream gets no answer, or
// one that refuses it.
func (a *Agent) serveStream(s Stream, local pointer.Pointer, serving func()) error {
	if err := s.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	message, err := readFrame(s, delegation.MaxHello)
	if err != nil {
		return err
	}
	keys, err := a.sealing()
	if err != nil {
		return err
	}
	hello, err := delegation.OpenHello(keys, local, s.Peer(), message)
	if err != nil {
		return err
	}
	if hello.To != a.book.Identity() {
		return errOtherPointer
	}
	by := hello.By.By()
	id, known, err := a.caller(hello)
	if err != nil {
		return err
	}
	a.listening.Lock()
	l := a.listeners[hello.Protocol]
	a.listening.Unlock()
	if !known && (l == nil || !l.everybody) {
		return errNoContact
	}
	if known {
		serving()
	}
	own, err := a.delegationTo(local)
	if err != nil {
		return err
	}
	answer := func(state delegation.State) error {
		b, err := hello.Answer(own, state)
		if err != nil {
			return err
		}
		return writeFrame(s, b)
	}
	if l == nil {
		return errors.Join(ErrNotListening, answer(delegation.NotServed))
	}
	c := &Conn{stream: s, local: own.By(), remote: by, id: id, stranger: !known, protocol: hello.Protocol, agent: a.state, inbound: true}
	c.ended = func() { a.removeConn(c) }
	if !l.reserve() {
		return errors.Join(ErrBusy, answer(delegation.Busy))
	}
	if !a.addConn(c) {
		<-l.slots
		return errors.Join(ErrBusy, answer(delegation.Busy))
	}
	err = answer(delegation.Accepted)
	if err == nil {
		err = s.SetDeadline(time.Time{})
	}
	if err != nil {
		a.removeConn(c)
		<-l.slots
		return err
	}
	l.offer(c)
	if !a.isStillContact(c) { // it was removed meanwhile
		_ = c.Close()
	}
	return nil
}

// caller returns the contact that has sent a hello, and reports whether it is one, or a device
// of the owner. It fails if the delegation is not valid.
func (a *Agent) caller(h delegation.Hello) (id pointer.Pointer, known bool, err error) {
	by := h.By.By()
	epoch, err := a.epochOf(by)
	if by == a.book.Identity() {
		epoch, err = a.epoch()
	}
	if err != nil {
		return id, false, err
	}
	if err := h.By.Check(a.now(), epoch); err != nil {
		return id, false, err
	}
	if by == a.book.Identity() {
		return id, true, nil
	}
	c, known := a.knownContact(by)
	if !known && len(h.Record) > 0 {
		a.followCaller(by, h.Record)
		c, known = a.knownContact(by)
	}
	return c.ID, known, nil
}

// followEvery bounds how often the record of a contact is looked for because of a hello.
const followEvery = time.Minute

// followCaller looks for the newest record of a contact that may have rotated its key to that of a
// caller, according to the caller's record.
func (a *Agent) followCaller(by pointer.Pointer, record []byte) {
	r, err := pointer.Open(by, record, a.now())
	if err != nil {
		return
	}
	card, _ := r.Card()
	c, follows := a.followed(by, card.Succession)
	if !follows || !a.mayFollow(c) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime/2)
	defer cancel()
	if _, err := a.Resolve(ctx, c.Pointer.String(), dht.LevelFresh); err != nil {
		a.log.Info("the contact that a caller succeeds is not resolved", "contact", c.Name, "error", err)
	}
}

// followed returns the contact that the last steps of a chain lead to a pointer, by the commitment on
// record. Nothing else is looked for: anybody can name any pointer as its
// former one, and would learn which ones are in the book.
func (s *state) followed(by pointer.Pointer, chain []pointer.Succession) (petname.Contact, bool) {
	for i, step := range chain {
		c, known := s.knownContact(step.Old)
		if !known {
			continue
		}
		to, _, err := pointer.Follow(c.Pointer, c.Next, chain[i:])
		return c, err == nil && to == by
	}
	return petname.Contact{}, false
}

// mayFollow reports whether the record of a contact may be looked for now.
func (s *state) mayFollow(c petname.Contact) bool {
	s.listening.Lock()
	defer s.listening.Unlock()
	now := s.now()
	if s.followedAt == nil {
		s.followedAt = map[pointer.Pointer]time.Time{}
	}
	if last, ok := s.followedAt[c.ID]; ok && now.Sub(last).Abs() < followEvery {
		return false
	}
	s.followedAt[c.ID] = now
	return true
}
