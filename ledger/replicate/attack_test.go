package replicate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// attacker is the dialling end of a session of a device that is not bound to the protocol.
type attacker struct {
	*session
	conn     net.Conn
	accepted <-chan outcome
}

// attack makes a handshake with the key of a device, as another one's peer.
func attack(t require.TestingT, name string, victim *device, o Options) *attacker {
	near, far := net.Pipe()
	a := &attacker{newSession(nil, near, Options{}), near, accepting(context.Background(), victim, far, o)}
	private, err := x25519.Private(testKey(name))
	require.NoError(t, err)
	require.NoError(t, a.dial(victim.Book(), private, victim.Device()))
	return a
}

// sendItems sends items until one cannot be sent.
func (a *attacker) sendItems(items ...any) error {
	for _, item := range items {
		if raw, ok := item.(canonical.Raw); ok { // not even CBOR
			a.out.plain = bytestring.Append(a.out.plain, raw)
			continue
		}
		if err := a.out.writeItem(item); err != nil {
			return err
		}
	}
	return a.out.flush()
}

func helloOf(heads ...head) hello {
	if heads == nil {
		heads = []head{}
	}
	return hello{Kind: kindHello, Version: version, Heads: heads, Same: []byte{}, Side: []byte{}}
}

func entriesOf(state uint64, list ...[]byte) entries {
	if list == nil {
		list = [][]byte{}
	}
	return entries{Kind: kindEntries, State: state, Entries: list}
}

// drain reads what the victim sends.
func (a *attacker) drain() { go io.Copy(io.Discard, a.conn) }

// sessionFails runs a session of an attacker with these items, and requires that the ledger
// is as before.
func sessionFails(t *testing.T, victim *device, o Options, items ...any) error {
	t.Helper()
	before := digest(t, victim)
	a := attack(t, "phone", victim, o)
	a.drain()
	_ = a.sendItems(items...)
	r := <-a.accepted
	require.Error(t, r.err)
	require.False(t, r.Equal)
	require.Equal(t, before, digest(t, victim))
	return r.err
}

// A device without an admission learns nothing: its handshake is not answered, whatever it
// sends, and neither is that of a removed device or of a device of another book.
func TestOnlyDevicesOfTheBookAreAnswered(t *testing.T) {
	b := book(t, "laptop", "phone", "server")
	other := book(t, "phone", "laptop")
	require.NoError(t, b[0].RemoveDevice(testKey("identity"), idOf("server")))
	dial := func(bookID ledger.BookID, name string) (accepted outcome, dialled error) {
		near, far := net.Pipe()
		c := accepting(context.Background(), b[0], far, Options{})
		_, err := Fetch(context.Background(), bookID, testKey(name), near, b[0].Device(), io.Discard, Options{})
		return <-c, err
	}
	for name, c := range map[string]struct {
		book     ledger.BookID
		key      string
		accepted error
	}{
		"a stranger":      {b[0].Book(), "stranger", ErrNotAdmitted},
		"a removed one":   {b[0].Book(), "server", ErrNotAdmitted},
		"of another book": {other[0].Book(), "phone", errNoHandshake},
	} {
		a, err := dial(c.book, c.key)
		require.ErrorIs(t, err, ErrNoAnswer, name)
		require.ErrorIs(t, a.err, c.accepted, name)
		require.Zero(t, a.Bytes.Sent, name)
		require.Zero(t, a.Peer, name)
	}
	a, err := dial(b[0].Book(), "phone")
	require.NoError(t, err)
	require.NoError(t, a.err)
	// Two ledgers of different books, with the same keys.
	d, a := connect(t, other[1], b[1], Options{}, Options{}, nil)
	require.ErrorIs(t, d.err, ErrNoAnswer)
	require.Error(t, a.err)
}

// Nothing is sent to a device that the own book does not admit.
func TestNoRemovedDeviceIsDialled(t *testing.T) {
	b := book(t, "laptop", "phone", "server")
	require.NoError(t, b[0].RemoveDevice(testKey("identity"), b[1].Device()))
	d, a := connect(t, b[0], b[1], Options{}, Options{}, nil)
	require.ErrorIs(t, d.err, ErrNotAdmitted)
	require.Zero(t, d.Bytes.Sent)
	require.Zero(t, a.Bytes.Received)
	require.Error(t, a.err)
	for _, key := range [][]byte{nil, testKey("phone")} {
		_, err := Dial(context.Background(), b[0].Ledger, key, closed(), b[2].Device(), Options{})
		require.ErrorContains(t, err, "key")
	}
}

// A device that is removed while it is connected receives no more entries.
func TestARemovalEndsTheSession(t *testing.T) {
	b := book(t, "laptop", "phone", "server")
	require.NoError(t, b[0].RemoveDevice(testKey("identity"), b[1].Device()))
	removal := missing(t, b[0].Ledger, b[2].Heads())
	fill(t, b[2], 1000)
	merged := make(chan struct{})
	a := attack(t, "phone", b[2], Options{Receive: func(ledger.DeviceID, []byte) error { close(merged); return nil }})
	require.NoError(t, a.sendItems(helloOf()))
	require.NoError(t, a.readHello(nil))
	// It forwards its own removal: from here on it receives none of the entries that are
	// not on their way yet.
	require.NoError(t, a.sendItems(entriesOf(stateLast, removal...)))
	<-merged
	received := 0
	for {
		item, err := a.item()
		if err != nil {
			break
		}
		e, err := parseEntries(item)
		require.NoError(t, err)
		received += len(e.Entries)
	}
	r := <-a.accepted
	require.ErrorIs(t, r.err, ErrNotAdmitted)
	require.Less(t, received, 1000)
}

// A device does not speak with itself, and bytes that are sent back to it are no answer.
func TestReflectionIsNoPeer(t *testing.T) {
	b := book(t, "laptop", "phone")
	_, err := Dial(context.Background(), b[0].Ledger, b[0].key, closed(), b[0].Device(), Options{})
	require.ErrorIs(t, err, ErrSelf)
	_, err = Fetch(context.Background(), b[0].Book(), b[0].key, closed(), b[0].Device(), io.Discard, Options{})
	require.ErrorIs(t, err, ErrSelf)
	// A copy of the files dials the original.
	near, far := net.Pipe()
	c := accepting(context.Background(), b[0], far, Options{})
	s := newSession(nil, near, Options{})
	private, err := x25519.Private(b[0].key)
	require.NoError(t, err)
	require.ErrorIs(t, s.dial(b[0].Book(), private, b[0].Device()), ErrNoAnswer)
	require.ErrorIs(t, (<-c).err, ErrSelf)

	near, far = net.Pipe()
	go io.Copy(far, far)
	_, err = Dial(context.Background(), b[0].Ledger, b[0].key, near, b[1].Device(), Options{})
	require.ErrorIs(t, err, errProtocol)
}

// closed returns a connection that is closed.
func closed() net.Conn {
	conn, _ := net.Pipe()
	conn.Close()
	return conn
}

// recorder records what is written to a connection.
type recorder struct {
	io.ReadWriteCloser
	written *bytes.Buffer
}

func (r recorder) Write(p []byte) (int, error) {
	r.written.Write(p)
	return r.ReadWriteCloser.Write(p)
}

// Recorded bytes are answered by half a handshake, and lead to nothing else.
func TestARecordedSessionIsNotRepeated(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a")
	var recorded bytes.Buffer
	d, _ := connect(t, b[0], b[1], Options{}, Options{}, func(conn io.ReadWriteCloser) io.ReadWriteCloser { return recorder{conn, &recorded} })
	require.NoError(t, d.err)
	write(t, b[1], "new")
	before := digest(t, b[1])
	near, far := net.Pipe()
	c := accepting(context.Background(), b[1], far, Options{Receive: func(ledger.DeviceID, []byte) error { panic("received") }})
	go near.Write(recorded.Bytes())
	answer, _ := io.ReadAll(near)
	r := <-c
	require.ErrorIs(t, r.err, errProtocol)
	require.Len(t, answer, 2+secondSize)
	require.Equal(t, before, digest(t, b[1]))
}

// flipper flips one byte of those that are read.
type flipper struct {
	io.ReadWriteCloser
	at int
}

func (f *flipper) Read(p []byte) (int, error) {
	n, err := f.ReadWriteCloser.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}

// A session of which a byte is changed on the way, in either direction, fails: at once, or
// where the length of a record is changed with the context.
func TestAChangedByteEndsTheSession(t *testing.T) {
	b := book(t, "laptop", "phone")
	synctest.Test(t, func(t *testing.T) {
		for _, from := range []int{0, 1} {
			for at := 0; ; at += 7 {
				write(t, b[0], "a")
				f := &flipper{at: at}
				ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
				near, far := net.Pipe()
				c := accepting(ctx, b[1-from], wrapIf(from == 1, f, far), Options{})
				d, err := Dial(ctx, b[from].Ledger, b[from].key, wrapIf(from == 0, f, near), b[1-from].Device(), Options{})
				a := <-c
				cancel()
				require.NoError(t, d.Reported)
				require.NoError(t, a.Reported)
				if f.at >= 0 {
					require.NoError(t, err)
					require.NoError(t, a.err)
					require.Greater(t, at, 150)
					break
				}
				require.Error(t, errors.Join(err, a.err), "byte %d", at)
			}
			syncBoth(t, b[0], b[1])
			require.Equal(t, digest(t, b[0]), digest(t, b[1]))
		}
	})
}

func wrapIf(yes bool, f *flipper, conn net.Conn) io.ReadWriteCloser {
	if !yes {
		return conn
	}
	f.ReadWriteCloser = conn
	return f
}

// A peer of a later version is named, and changes nothing, in either role.
func TestANewerVersionChangesNothing(t *testing.T) {
	b := book(t, "laptop", "phone")
	newer := helloOf()
	newer.Version = 2
	require.ErrorIs(t, sessionFails(t, b[0], Options{}, newer), ErrNewer)
	further := canonical.MustMarshal([]any{kindHello, 24, "of another form"})
	require.ErrorIs(t, sessionFails(t, b[0], Options{}, canonical.Raw(further)), ErrNewer)
	m := canonical.MustMarshal([]any{2, "of another form"})
	require.ErrorIs(t, NewPeer(b[1].Device()).Incoming(b[0].Ledger, m), ErrNewer)
	newer.Side = make([]byte, 2*maxMessage)
	stream := append(appendItem(nil, newer), make([]byte, 2*maxMessage)...)
	p, refused := NewPeer(b[1].Device()), 0
	for _, m := range cut(channel(b[0].Book(), b[1].Device(), b[0].Device()), roundOf(stream), stream) {
		if err := p.Incoming(b[0].Ledger, m); err != nil {
			require.ErrorIs(t, err, ErrNewer)
			refused++
		}
	}
	require.Equal(t, 1, refused, "the rest of the round is passed over")
	require.Equal(t, NewPeer(b[1].Device()).s.Stated, p.s.Stated)
}
