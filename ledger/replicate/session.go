package replicate

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

const (
	handshakeTime = 30 * time.Second // including the first message of the peer
	maxReceive    = 256 << 20        // bytes of records of one session
	maxSend       = 192 << 20        // bytes of entries of one session
	batchSize     = 1 << 20          // bytes of entries that are merged at once
	entriesSize   = 32 << 10         // bytes of entries after which they are sent
)

// Dial exchanges entries with a peer over a connection, as the side that opened it. device
// is the key of the ledger's device. Dial closes conn before it returns, and when ctx ends;
// a Close must end reads and writes that wait. Several sessions may run on one ledger.
//
// Errors are ErrNotAdmitted, ErrSelf, ErrNoAnswer, ErrNewer, the cause of ctx, and those of
// the connection, the ledger and Options.Receive.
func Dial(ctx context.Context, l *ledger.Ledger, device ed25519.PrivateKey, conn io.ReadWriteCloser, peer ledger.DeviceID, o Options) (Result, error) {
	s := newSession(ledgerStore{l, peer}, conn, o)
	return s.run(ctx, peer.String(), func() error {
		private, err := privateKey(l, device)
		switch {
		case err != nil:
			return err
		case peer == l.Device():
			return ErrSelf
		case !admitted(l, peer):
			return ErrNotAdmitted
		}
		if err := s.dial(l.Book(), private, peer); err != nil {
			return err
		}
		return s.helloFirst()
	})
}

// Accept is Dial for the side that accepted the connection. Result.Peer is the peer.
func Accept(ctx context.Context, l *ledger.Ledger, device ed25519.PrivateKey, conn io.ReadWriteCloser, o Options) (Result, error) {
	s := newSession(nil, conn, o)
	return s.run(ctx, "a device that connected", func() error {
		private, err := privateKey(l, device)
		if err != nil {
			return err
		}
		if err := s.accept(l, private); err != nil {
			return err
		}
		s.store = ledgerStore{l, s.Peer}
		return s.helloSecond()
	})
}

// privateKey returns the X25519 form of the key, which must be that of the ledger's device.
func privateKey(l *ledger.Ledger, device ed25519.PrivateKey) (key *ecdh.PrivateKey, err error) {
	if key, err = x25519.Private(device); err == nil && ledger.DeviceID(device.Public().(ed25519.PublicKey)) != l.Device() {
		err = errors.New("the key is not that of the ledger's device")
	}
	return key, err
}

// session is one Dial, Accept or Fetch.
type session struct {
	Result
	store store
	conn  *onceCloser
	o     Options
	in    recordReader
	out   recordWriter
	items *bufio.Reader // over in

	peer    hello
	limited bool          // entries are left for another session
	heads   []ledger.Head // before the entries to send were listed
	merged  chan struct{} // closed when all entries of the peer are merged
	ended   chan struct{} // closed when that has failed
}

// onceCloser closes a connection once, from any goroutine.
type onceCloser struct {
	io.ReadWriteCloser
	once sync.Once
}

func (c *onceCloser) Close() error {
	c.once.Do(func() { _ = c.ReadWriteCloser.Close() })
	return nil
}

func newSession(st store, conn io.ReadWriteCloser, o Options) *session {
	c := &onceCloser{ReadWriteCloser: conn}
	s := &session{store: st, conn: c, o: o, merged: make(chan struct{}), ended: make(chan struct{})}
	s.in = recordReader{r: c, buf: make([]byte, 1<<16), limit: cmp.Or(o.maxReceive, maxReceive)}
	s.out = recordWriter{w: c}
	s.items = bufio.NewReader(&s.in)
	return s
}

// run runs a session of which begin makes the handshake and exchanges the hellos.
func (s *session) run(ctx context.Context, peer string, begin func() error) (Result, error) {
	defer s.conn.Close()
	err := checkOffer(s.o.Offer)
	if err == nil {
		early, cancel := context.WithTimeoutCause(ctx, handshakeTime, fmt.Errorf("no handshake in %v", handshakeTime))
		err = s.until(early, begin)
		cancel()
	}
	if err == nil {
		err = s.until(ctx, s.exchange)
	}
	s.Bytes.Received, s.Bytes.Sent = s.in.n, s.out.n
	if err != nil {
		return s.Result, fmt.Errorf("sync with %s: %w", peer, err)
	}
	return s.Result, nil
}

// until calls fn, and closes the connection when ctx ends before.
func (s *session) until(ctx context.Context, fn func() error) error {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	err := fn()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// helloFirst sends the hello of the dialling device, and reads the other one.
func (s *session) helloFirst() error {
	if err := s.makeOffer(); err != nil {
		return err
	}
	own := s.hello()
	if err := s.out.writeItem(own); err != nil {
		return err
	}
	if err := s.out.flush(); err != nil {
		return err
	}
	return s.readHello(own.Heads)
}

// helloSecond reads the hello of the dialling device, and writes the other one, which states
// by their place the heads that both have. It is sent with the first entries.
func (s *session) helloSecond() error {
	if err := s.readHello(nil); err != nil {
		return err
	}
	if err := s.makeOffer(); err != nil {
		return err
	}
	own := s.hello()
	own.Same = make([]byte, (len(s.peer.Heads)+7)/8)
	for i, h := range s.peer.Heads {
		if at := slices.Index(own.Heads, h); at >= 0 {
			own.Same[i/8] |= 1 << (i % 8)
			own.Heads = slices.Delete(own.Heads, at, at+1)
		}
	}
	return s.out.writeItem(own)
}

// makeOffer sets the offer for the peer, which is known.
func (s *session) makeOffer() (err error) {
	if s.o.OfferTo == nil {
		return nil
	}
	if s.o.Offer, err = s.o.OfferTo(s.Peer); err != nil {
		return err
	}
	return checkOffer(s.o.Offer)
}

func (s *session) hello() hello {
	return hello{Kind: kindHello, Version: version, Heads: toHeads(s.store.heads()), Same: []byte{}, Side: append([]byte{}, s.o.Offer...)}
}

// readHello reads the hello of the peer, which may refer to the heads of this one's.
func (s *session) readHello(own []head) error {
	b, err := s.item()
	if err != nil {
		return err
	}
	if s.peer, err = parseHello(b); err != nil {
		return err
	}
	if len(s.peer.Same) > (len(own)+7)/8 {
		return broken("a hello for another one")
	}
	for i, h := range own {
		if i/8 < len(s.peer.Same) && s.peer.Same[i/8]>>(i%8)&1 == 1 {
			s.peer.Heads = append(s.peer.Heads, h)
		}
	}
	s.Side = s.peer.Side
	return nil
}

// item reads an item.
func (s *session) item() ([]byte, error) {
	b, err := bytestring.Read(s.items, maxItem)
	if errors.Is(err, bytestring.ErrMalformed) {
		return nil, broken("%w, or one over %d bytes", err, maxItem)
	}
	return b, err
}

// exchange sends what the peer lacks, and receives what it has, at the same time. What
// can still be received is received after a failure to send. It returns the first error.
func (s *session) exchange() error {
	var first error
	var once sync.Once
	fail := func(err error) { once.Do(func() { first = err }) }
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		if err := s.send(); err != nil {
			fail(err)
			if errors.Is(err, errWrite) {
				s.waitMerged()
			}
			s.conn.Close()
		}
	}()
	digest, err := s.receive()
	if err != nil {
		fail(err)
		s.conn.Close()
		close(s.ended)
	}
	<-sent
	s.More = s.More || s.limited
	if first != nil {
		return first
	}
	if !s.limited {
		s.Heads = s.heads // the done of the peer follows the merge of what was sent
	}
	own, err := s.store.digest()
	s.Equal = err == nil && len(own) > 0 && bytes.Equal(own, digest)
	return err
}

// waitMerged waits until all entries of the peer are merged, and reports whether they are.
func (s *session) waitMerged() bool {
	select {
	case <-s.merged:
		return true
	case <-s.ended:
		return false
	}
}

// errWrite is part of the errors of the connection while something is sent.
var errWrite = errors.New("writing to the connection")

// send sends the entries that the peer lacks and, when all of its entries are merged, a
// done.
func (s *session) send() error {
	write := func(item any) error {
		if err := s.out.writeItem(item); err != nil {
			return fmt.Errorf("%w: %w", errWrite, err)
		}
		return nil
	}
	next := entries{Kind: kindEntries, State: stateLast, Entries: [][]byte{}}
	total, size := int64(0), 0
	s.heads = s.store.heads()
	for e, err := range s.store.missing(fromHeads(s.peer.Heads)) {
		if err != nil {
			return err
		}
		if total > cmp.Or(s.o.maxSend, maxSend) {
			next.State, s.limited = stateLimited, true
			break
		}
		next.Entries = append(next.Entries, e)
		size, total = size+len(e), total+int64(len(e))
		if size < entriesSize {
			continue
		}
		if err := s.store.admits(); err != nil {
			return err
		}
		part := next
		part.State = stateMore
		if err := write(part); err != nil {
			return err
		}
		s.Sent += len(next.Entries)
		next.Entries, size = [][]byte{}, 0
	}
	if err := s.store.admits(); err != nil {
		return err
	}
	if err := write(next); err != nil {
		return err
	}
	if err := s.out.flush(); err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	s.Sent += len(next.Entries)
	if !s.waitMerged() {
		return nil
	}
	digest, err := s.store.digest()
	if err != nil {
		return err
	}
	if err := write(done{Kind: kindDone, Digest: digest}); err != nil {
		return err
	}
	if err := s.out.flush(); err != nil {
		return fmt.Errorf("%w: %w", errWrite, err)
	}
	return nil
}

// receive merges the entries of the peer, and returns the digest of its done.
func (s *session) receive() ([]byte, error) {
	limited, err := s.receiveEntries()
	if err != nil {
		return nil, err
	}
	if s.o.Receive != nil && !limited {
		if err := s.o.Receive(s.Peer, s.Side); err != nil {
			return nil, err
		}
	}
	close(s.merged)
	b, err := s.item()
	if err != nil {
		return nil, err
	}
	d, err := parseDone(b)
	return d.Digest, err
}

// receiveEntries merges entries, also those that came before an error. limited reports that the
// peer has more for another session.
func (s *session) receiveEntries() (limited bool, err error) {
	var batch [][]byte
	size := 0
	for {
		b, err := s.item()
		var e entries
		if err == nil {
			e, err = parseEntries(b)
		}
		batch = append(batch, e.Entries...)
		if size += len(b); err != nil || size >= batchSize || e.State != stateMore {
			if merr := s.mergeBatch(batch); merr != nil {
				return false, merr
			}
			batch, size = nil, 0
		}
		if err != nil || e.State != stateMore {
			limited = e.State == stateLimited
			s.More = s.More || limited
			return limited, err
		}
	}
}

func (s *session) mergeBatch(batch [][]byte) error {
	if len(batch) == 0 {
		return nil
	}
	added, waiting, reported, err := s.store.merge(batch)
	s.Received += added
	s.Waiting += waiting
	s.Reported = cmp.Or(s.Reported, reported)
	return err
}
