package agent

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/idna"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/delegation"
	"github.com/petnames-go/petnames/pointer"
)

// streamProtocol carries the streams of all protocols of applications: which one is named in the
// sealed hello of package delegation. Both messages have a length (2 bytes, big-endian).
const streamProtocol = "/petnames/stream/1"

// handshakeTime bounds a handshake.
const handshakeTime = 10 * time.Second

// Errors of streams. Those of [Agent.Dial] are wrapped in a [*net.OpError].
var (
	// ErrNoAddress is returned by Dial when the record of the pointer has no addresses.
	ErrNoAddress = errors.New("its record has no addresses at which it can be reached")

	// ErrNotAnswered is returned by Dial when the peer ended the handshake: the other party does
	// not have the owner as a contact, its identity key is locked, it is another party, or it
	// serves too many others.
	ErrNotAnswered = errors.New("the peer did not answer: it answers its owner's contacts only, or too many streams are open there")

	// ErrNotListening is returned by Dial when no program there serves the protocol.
	ErrNotListening = errors.New("no program there serves the protocol")

	// ErrBusy is returned by Dial when the other party has too many streams open.
	ErrBusy = errors.New("too many streams are open there")
)

// Dial opens a stream of a protocol, such as "example.org/chat/1", to the party that a path of
// names leads to: see [Agent.Resolve]. Both ends have proved their pointers when it returns. The
// caller shows its pointer to the holder of the sealing keys in the callee's card alone.
//
// An agent that runs uses its own peer key, another one a throw-away key. Errors are those of
// Resolve, [ErrNoTransport], [ErrNotJoined], [home.ErrLocked] if a new delegation of the peer
// key is needed, or a [*net.OpError] that wraps [dht.ErrUnreachable], [ErrNoSealing],
// [ErrNoAddress], [ErrNotAnswered], [ErrNotListening], [ErrBusy], or if the peer did not prove the
// pointer [delegation.ErrWrongParty], [delegation.ErrEpoch], [delegation.ErrExpired] or
// [delegation.ErrInvalid].
func (a *Agent) Dial(ctx context.Context, path, protocol string) (*Conn, error) {
	if err := delegation.CheckProtocol(protocol); err != nil {
		return nil, &ArgumentError{"protocol", err.Error()}
	}
	res, err := a.Resolve(ctx, path, dht.LevelAny)
	if err != nil {
		return nil, err
	}
	c, err := a.dialRecord(ctx, res, protocol)
	if err == nil || ctx.Err() != nil || res.Freshness >= dht.LevelFresh || !mayHaveMoved(err) {
		return c, err
	}
	// The record may be an old one: the party has other addresses or other keys now.
	fresh, ferr := a.Resolve(ctx, path, dht.LevelFresh)
	if ferr != nil || fresh.Pointer == res.Pointer && fresh.Sequence == res.Sequence {
		return nil, err
	}
	return a.dialRecord(ctx, fresh, protocol)
}

// mayHaveMoved reports whether a newer record may lead to an agent that answers.
func mayHaveMoved(err error) bool {
	for _, e := range []error{dht.ErrUnreachable, ErrNoSealing, ErrNoAddress, ErrNotAnswered, delegation.ErrWrongParty, delegation.ErrInvalid} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// DialContext returns the field of that name of an [http.Transport]: it dials the host of an
// address with a protocol, and ignores the port. So "http://alice/" leads to the contact alice.
func (a *Agent) DialContext(protocol string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		if text, err := idna.Punycode.ToUnicode(host); err == nil { // package http has encoded it
			host = text
		}
		c, err := a.Dial(ctx, host, protocol)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// dialRecord opens a stream to the holder of a record.
func (a *Agent) dialRecord(ctx context.Context, res Resolution, protocol string) (*Conn, error) {
	failed := func(err error) (*Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: addrNetwork, Addr: Addr{res.Pointer}, Err: err}
	}
	r, _, err := pointer.OpenExpired(res.Pointer, res.Record, a.now())
	if err != nil {
		return failed(err)
	}
	card, _ := r.Card()
	if len(card.Sealing) == 0 {
		return failed(ErrNoSealing)
	}
	if a.transport == nil {
		return failed(ErrNoTransport)
	}
	if len(card.Nodes) == 0 {
		return failed(ErrNoAddress)
	}
	node, err := a.network(ctx)
	if err != nil {
		return nil, err
	}
	peer, err := pointer.Parse(node.ID())
	if err != nil {
		return failed(err)
	}
	own, err := a.delegationTo(peer)
	if err != nil {
		return nil, err
	}
	stream, err := node.OpenStream(ctx, card.Nodes, streamProtocol, true)
	if err != nil {
		return failed(err)
	}
	call := delegation.Call{Own: own, To: res.Pointer, Sealing: card.Sealing, Peer: stream.Peer(), Protocol: protocol, Record: a.rotatedRecord()}
	if err := a.call(ctx, stream, call, card.Epoch); err != nil {
		_ = stream.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return failed(err)
	}
	c := &Conn{stream: stream, local: own.By(), remote: res.Pointer, protocol: protocol, agent: a.state}
	if contact, known := a.knownContact(res.Pointer); known {
		c.id = contact.ID
	}
	c.ended = func() { a.removeConn(c) }
	a.addConn(c)
	if !a.isStillContact(c) { // it was removed meanwhile
		_ = c.Close()
	}
	return c, nil
}

// rotatedRecord returns the owner's record if its key was rotated, for contacts that know an earlier
// pointer; nil: there is none.
func (s *state) rotatedRecord() []byte {
	r, _, err := s.held(s.book.Identity())
	if err != nil {
		return nil
	}
	if card, _ := r.Card(); len(card.Succession) == 0 {
		return nil
	}
	return r.Bytes()
}

// call makes the handshake of the caller.
func (a *Agent) call(ctx context.Context, stream Stream, c delegation.Call, epoch uint64) error {
	hello, awaited, err := c.Hello()
	if err != nil {
		return err
	}
	ends := time.Now().Add(handshakeTime)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(ends) {
		ends = deadline
	}
	if err := stream.SetDeadline(ends); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	if err := writeFrame(stream, hello); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAnswered, err)
	}
	answer, err := readFrame(stream, delegation.MaxAnswer)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAnswered, err)
	}
	state, callee, err := awaited.Open(answer)
	if err != nil {
		return err
	}
	if err := callee.Check(a.now(), epoch); err != nil {
		return err
	}
	switch state {
	case delegation.Accepted:
	case delegation.NotServed:
		return ErrNotListening
	default:
		return ErrBusy
	}
	if !stop() {
		return ctx.Err()
	}
	return stream.SetDeadline(time.Time{})
}

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

func readFrame(r io.Reader, most int) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n > most {
		return nil, fmt.Errorf("message of %d bytes, over %d", n, most)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}
