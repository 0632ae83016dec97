package replicate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Heads are bounded in their number; those of unknown devices, of huge numbers, or in any
// number of one log, are no harm.
func TestForgedHeads(t *testing.T) {
	b := book(t, "laptop", "phone")
	fill(t, b[0], 50)
	many := make([]head, 1<<20)
	require.Error(t, sessionFails(t, b[0], Options{}, canonical.Raw(canonical.MustMarshal(helloOf(many[:maxHeads+1]...)))))
	_, err := parseHello(canonical.MustMarshal(helloOf(many...)))
	require.ErrorIs(t, err, errProtocol)

	forged := many[:maxHeads]
	for i := range forged {
		forged[i] = head{Device: b[i%2].Device(), Number: math.MaxUint64 - uint64(i), Hash: [32]byte{byte(i), byte(i >> 8)}}
		if i%3 == 0 {
			forged[i].Device = [32]byte{byte(i), byte(i >> 8), 1}
		}
	}
	forged[0].Number = 0
	a := attack(t, "phone", b[0], Options{})
	require.NoError(t, a.sendItems(helloOf(forged...)))
	a.drain()
	require.NoError(t, a.sendItems(entriesOf(stateLast), done{Kind: kindDone, Digest: []byte{}}))
	r := <-a.accepted
	require.NoError(t, r.err)
	require.False(t, r.Equal)
	p := NewPeer(b[1].Device())
	stream := appendItem(appendItem(nil, helloOf(forged...)), entriesOf(stateLast))
	for _, m := range cut(channel(b[0].Book(), b[1].Device(), b[0].Device()), roundOf(stream), stream) {
		require.NoError(t, p.Incoming(b[0].Ledger, m))
	}
	out, err := p.Outgoing(b[0].Ledger)
	require.NoError(t, err)
	require.NotEmpty(t, out)
	state, err := p.MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(state), 512<<10)
}

// What has not the form of the protocol ends a session at once.
func TestMalformedItemsEndTheSession(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a")
	same := helloOf()
	same.Same = []byte{1}
	side := helloOf()
	side.Side = make([]byte, maxSide+1)
	for name, items := range map[string][]any{
		"no hello":           {entriesOf(stateLast)},
		"a hello twice":      {helloOf(), helloOf()},
		"a done too early":   {helloOf(), done{Kind: kindDone, Digest: []byte{}}},
		"an unknown state":   {helloOf(), entriesOf(3)},
		"no digest":          {helloOf(), entriesOf(stateLast), done{Kind: kindDone, Digest: []byte{1}}},
		"entries after last": {helloOf(), entriesOf(stateLast), entriesOf(stateLast)},
		"null for a list":    {helloOf(), entries{Kind: kindEntries}},
		"same of no hello":   {same},
		"side data too long": {side},
		"version 0":          {hello{Kind: kindHello, Heads: []head{}, Same: []byte{}, Side: []byte{}}},
		"no CBOR":            {helloOf(), canonical.Raw{0x82}},
		"another kind":       {helloOf(), []int{4, 0}},
		"text":               {"petnames"},
	} {
		require.ErrorIs(t, sessionFails(t, b[0], Options{}, items...), errProtocol, name)
	}
	// The length of an item is checked before it is read.
	a := attack(t, "phone", b[0], Options{})
	a.drain()
	a.out.plain = append(a.out.plain, 0x5a, 0xff, 0xff, 0xff, 0xff)
	require.NoError(t, a.out.flush())
	require.ErrorIs(t, (<-a.accepted).err, errProtocol)
}

// Entries that do not verify are reported, and do not prevent the others.
func TestEntriesThatDoNotVerify(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[1], "a", "b")
	good := missing(t, b[1].Ledger, b[0].Heads())
	forged := bytes.Clone(good[1])
	forged[len(forged)-2] ^= 1 // its body
	unsigned := bytes.Clone(good[0])
	unsigned[len(unsigned)-3-10] ^= 1 // its signature
	foreign := missing(t, book(t, "phone")[0].Ledger, nil)
	a := attack(t, "phone", b[0], Options{})
	a.drain()
	list := append(foreign, nil, []byte("entry"), unsigned, forged)
	require.NoError(t, a.sendItems(helloOf(), entriesOf(stateMore, list...), entriesOf(stateLast, good...), done{Kind: kindDone, Digest: []byte{}}))
	r := <-a.accepted
	require.NoError(t, r.err)
	require.Equal(t, 2, r.Received)
	require.ErrorIs(t, r.Reported, ledger.ErrRefused)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

func TestEntriesThatWaitForEverAreCountedAndNotKept(t *testing.T) {
	b := book(t, "laptop", "phone")
	fill(t, b[1], 200)
	list := missing(t, b[1].Ledger, b[0].Heads())[1:] // the first one is withheld
	a := attack(t, "phone", b[0], Options{maxReceive: 40 << 20})
	a.drain()
	require.NoError(t, a.sendItems(helloOf()))
	base, most := heap(), uint64(0)
	sent := 0
	for a.sendItems(entriesOf(stateMore, list...)) == nil {
		if sent += len(list); sent%(199*50) == 0 {
			most = max(most, heap())
		}
	}
	r := <-a.accepted
	require.ErrorIs(t, r.err, errProtocol)
	require.ErrorContains(t, r.err, "over 41943040 bytes")
	require.Zero(t, r.Received)
	require.Greater(t, r.Waiting, 100_000)
	require.Less(t, int64(most)-int64(base), int64(16<<20))
}

// heap returns the bytes of the heap that are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A flood of entries that are known already, or of nothing, ends at the bound.
func TestAFloodEndsAtTheBound(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[1], strings.Repeat("x", ledger.MaxBody))
	list := missing(t, b[1].Ledger, b[0].Heads())
	for name, item := range map[string]any{"one entry": entriesOf(stateMore, list...), "nothing": entriesOf(stateMore)} {
		a := attack(t, "phone", b[0], Options{maxReceive: 4 << 20})
		a.drain()
		require.NoError(t, a.sendItems(helloOf()))
		for a.sendItems(item) == nil {
		}
		r := <-a.accepted
		require.ErrorContains(t, r.err, "over 4194304 bytes", name)
		require.LessOrEqual(t, r.Bytes.Received, int64(5<<20))
	}
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// A peer that sends a byte at a time, or nothing, ends with the handshake's time, or
// with the context.
func TestASlowPeerEndsWithTheDeadline(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[1], "a")
	list := missing(t, b[1].Ledger, b[0].Heads())
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		near, far := net.Pipe()
		c := accepting(context.Background(), b[0], far, Options{})
		go func(conn net.Conn) {
			for b := byte(0); ; b = firstSize { // the length, and a message of that byte
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}(near)
		r := <-c
		require.ErrorContains(t, r.err, "no handshake in 30s")
		require.LessOrEqual(t, time.Since(began), handshakeTime)

		near, far = net.Pipe()
		go io.Copy(io.Discard, far)
		_, err := Dial(context.Background(), b[0].Ledger, b[0].key, near, b[1].Device(), Options{})
		require.ErrorContains(t, err, "no handshake in 30s")

		began = time.Now()
		near, far = net.Pipe()
		stop := errors.New("stop")
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Minute, stop)
		defer cancel()
		c = accepting(ctx, b[0], far, Options{})
		a := &attacker{newSession(nil, near, Options{}), near, c}
		private, err := x25519.Private(testKey("phone"))
		require.NoError(t, err)
		require.NoError(t, a.dial(b[0].Book(), private, b[0].Device()))
		require.NoError(t, a.sendItems(helloOf()))
		a.drain()
		require.NoError(t, a.sendItems(entriesOf(stateMore, list...)))
		for a.sendItems(entriesOf(stateMore)) == nil {
			time.Sleep(time.Second)
		}
		r = <-c
		require.ErrorIs(t, r.err, stop)
		require.LessOrEqual(t, time.Since(began), 10*time.Minute+time.Second)
		require.Equal(t, 1, r.Received, "what arrived before is merged")
	})
}

// A peer that closes its half of the connection does not hold the other one up.
func TestAHalfClosedConnectionEnds(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	far, err := listener.Accept()
	require.NoError(t, err)
	c := accepting(context.Background(), b[0], far, Options{})
	a := &attacker{newSession(nil, conn, Options{}), conn, c}
	private, err := x25519.Private(testKey("phone"))
	require.NoError(t, err)
	require.NoError(t, a.dial(b[0].Book(), private, b[0].Device()))
	require.NoError(t, a.sendItems(helloOf()))
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	r := <-c
	require.ErrorIs(t, r.err, io.ErrUnexpectedEOF)
	require.Equal(t, idOf("phone"), r.Peer)
}

// The writer of a session that fails does not stop what the peer has sent.
func TestWhatHasArrivedIsMergedWhenSendingFails(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a")
	write(t, b[1], "b")
	d, _ := connect(t, b[0], b[1], Options{}, Options{}, func(conn io.ReadWriteCloser) io.ReadWriteCloser {
		return &deaf{ReadWriteCloser: conn, writes: 2}
	})
	require.ErrorIs(t, d.err, io.ErrShortWrite)
	require.Equal(t, 1, d.Received)
}

// deaf fails to write after a number of writes.
type deaf struct {
	io.ReadWriteCloser
	writes int
}

func (d *deaf) Write(p []byte) (int, error) {
	if d.writes--; d.writes < 0 {
		return 0, io.ErrShortWrite
	}
	return d.ReadWriteCloser.Write(p)
}

// A stolen device states entries of this device's log that there are not. This shows as its word,
// and this device writes and exchanges entries as before.
func TestForgedOwnHeadsKeepNoDeviceFromWriting(t *testing.T) {
	b := book(t, "laptop", "phone")
	lap, phone := b[0], b[1]
	forged := helloOf(head{Device: lap.Device(), Number: 1 << 40, Hash: [32]byte{1}}, head{Device: idOf("other"), Number: 9})
	stream := appendItem(appendItem(nil, forged), entriesOf(stateLast))
	p := NewPeer(phone.Device())
	for _, m := range cut(channel(lap.Book(), phone.Device(), lap.Device()), roundOf(stream), stream) {
		require.NoError(t, p.Incoming(lap.Ledger, m))
	}
	unknown, err := p.UnknownOwn(lap.Ledger)
	require.NoError(t, err)
	require.Equal(t, []ledger.Head{{Device: lap.Device(), Number: 1 << 40, Hash: [32]byte{1}}}, unknown)
	write(t, lap, "a")
	syncBoth(t, lap, phone)
	require.Equal(t, digest(t, lap), digest(t, phone))
}
