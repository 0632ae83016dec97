package replicate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// Both devices have the entries of both afterwards, each knows with which device it spoke,
// and the side data has arrived before the entries were acknowledged.
func TestTwoDevicesExchangeEntriesOverAConnection(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a", "b")
	write(t, b[1], "c")
	seen := make(chan string, 2)
	options := func(name string) Options {
		return Options{Offer: []byte("of " + name), Receive: func(peer ledger.DeviceID, side []byte) error {
			seen <- peer.String() + string(side)
			return nil
		}}
	}
	d, a := connect(t, b[0], b[1], options("laptop"), options("phone"), nil)
	require.NoError(t, d.err)
	require.NoError(t, a.err)
	require.Equal(t, Result{Peer: b[1].Device(), Received: 1, Sent: 2, Equal: true, Side: []byte("of phone"), Heads: d.Heads, Bytes: d.Bytes}, d.Result)
	require.Equal(t, Result{Peer: b[0].Device(), Received: 2, Sent: 1, Equal: true, Side: []byte("of laptop"), Heads: a.Heads, Bytes: a.Bytes}, a.Result)
	for i, has := range [][]ledger.Head{a.Heads, d.Heads} {
		require.NotEmpty(t, has)
		lacks, err := b[i].Lacks(has)
		require.NoError(t, err)
		require.Empty(t, lacks, "the peer has all entries up to Heads")
	}
	require.Equal(t, d.Bytes.Received, a.Bytes.Sent)
	require.Equal(t, d.Bytes.Sent, a.Bytes.Received)
	require.ElementsMatch(t, []string{b[0].Device().String() + "of laptop", b[1].Device().String() + "of phone"}, []string{<-seen, <-seen})
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	// A second session exchanges nothing.
	x, y := syncBoth(t, b[1], b[0])
	require.True(t, x.Equal && y.Equal)
	require.Zero(t, x.Sent+x.Received+y.Sent+y.Received)
}

// After an error of Receive the peer does not take its entries for received, and they are.
func TestAnErrorOfReceiveEndsTheSession(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a")
	refuse := fmt.Errorf("not now")
	d, a := connect(t, b[0], b[1], Options{}, Options{Receive: func(ledger.DeviceID, []byte) error { return refuse }}, nil)
	require.ErrorIs(t, a.err, refuse)
	require.Error(t, d.err)
	require.False(t, d.Equal)
	require.Nil(t, d.Heads)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// Entries are acknowledged when they are merged and Receive has returned, and not before.
func TestNothingIsAcknowledgedBeforeItIsReceived(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[1], "a")
	list := missing(t, b[1].Ledger, b[0].Heads())
	synctest.Test(t, func(t *testing.T) {
		acknowledged := make(chan struct{})
		a := attack(t, "phone", b[0], Options{Receive: func(ledger.DeviceID, []byte) error {
			synctest.Wait()
			select {
			case <-acknowledged:
				return errors.New("it was acknowledged")
			default:
				return nil
			}
		}})
		require.NoError(t, a.sendItems(helloOf()))
		go func() {
			defer close(acknowledged)
			for {
				item, err := a.item()
				if err != nil {
					return
				}
				if _, err := parseDone(item); err == nil {
					return
				}
			}
		}()
		require.NoError(t, a.sendItems(entriesOf(stateLast, list...), done{Kind: kindDone, Digest: []byte{}}))
		r := <-a.accepted
		require.NoError(t, r.err)
		require.Equal(t, 1, r.Received)
		<-acknowledged
	})
}

func TestAnOfferIsBounded(t *testing.T) {
	b := book(t, "laptop", "phone")
	most := bytes.Repeat([]byte{7}, maxSide)
	d, a := connect(t, b[0], b[1], Options{Offer: most}, Options{Offer: most}, nil)
	require.NoError(t, d.err)
	require.NoError(t, a.err)
	require.Equal(t, most, a.Side)
	d, a = connect(t, b[0], b[1], Options{Offer: append(most, 7)}, Options{}, nil)
	require.ErrorContains(t, d.err, "at most 65536")
	require.Error(t, a.err)
	require.Error(t, NewPeer(b[1].Device()).Offer(append(most, 7)))
}

// A book that is larger than the bound of a session arrives in several.
func TestASessionSendsABoundedNumberOfBytes(t *testing.T) {
	b := book(t, "laptop", "phone")
	fill(t, b[0], 1000)
	sessions := 0
	for more := true; more; sessions++ {
		called := 0
		receive := func(ledger.DeviceID, []byte) error { called++; return nil }
		d, a := connect(t, b[0], b[1], Options{maxSend: 100_000}, Options{Receive: receive}, nil)
		require.NoError(t, d.err)
		require.NoError(t, a.err)
		require.Equal(t, d.More, a.More)
		require.Equal(t, !a.More, called == 1, "side data waits for all entries")
		require.NotEqual(t, a.More, a.Equal)
		more = a.More
	}
	require.Equal(t, 4, sessions)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// cutOff ends a connection after a number of bytes in both directions together.
type cutOff struct {
	io.ReadWriteCloser
	left *atomic.Int64
}

func newCutOff(conn io.ReadWriteCloser, left int) cutOff {
	c := cutOff{conn, new(atomic.Int64)}
	c.left.Store(int64(left))
	return c
}

func (c cutOff) pass(p []byte, fn func([]byte) (int, error)) (int, error) {
	over := int(max(0, -c.left.Add(-int64(len(p)))))
	if over == 0 {
		return fn(p)
	}
	n, _ := fn(p[:max(0, len(p)-over)])
	c.Close()
	return n, io.ErrClosedPipe
}

func (c cutOff) Write(p []byte) (int, error) { return c.pass(p, c.ReadWriteCloser.Write) }

func (c cutOff) Read(p []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(p)
	if err != nil {
		return n, err
	}
	return c.pass(p[:n], func(p []byte) (int, error) { return len(p), nil })
}

// A session that is cut off after any number of sent bytes leaves both ledgers as they were
// or with whole entries, and the next one completes it.
func TestASessionCutOffAnywhereLosesNothing(t *testing.T) {
	b := book(t, "laptop", "phone")
	step := lawtest.Size(17, 1)
	merged := false
	for cut := 0; ; cut += step {
		write(t, b[0], fmt.Sprint("of laptop ", cut), strings.Repeat("x", 300))
		write(t, b[1], fmt.Sprint("of phone ", cut))
		d, a := connect(t, b[0], b[1], Options{}, Options{}, func(conn io.ReadWriteCloser) io.ReadWriteCloser {
			return newCutOff(conn, cut)
		})
		if d.err == nil {
			require.NoError(t, a.err)
			require.Greater(t, cut, 1000)
			break
		}
		require.False(t, d.Equal, "it was not cut off")
		merged = merged || a.err != nil && a.Received > 0
		syncBoth(t, b[cut%2], b[1-cut%2])
		require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	}
	require.True(t, merged, "no entry before the cut was merged")
}

// What arrived before a cut is not sent again.
func TestASessionContinuesWhereItWasCutOff(t *testing.T) {
	b := book(t, "laptop", "phone")
	fill(t, b[0], 2000)
	_, a := connect(t, b[0], b[1], Options{}, Options{}, func(conn io.ReadWriteCloser) io.ReadWriteCloser { return newCutOff(conn, 400_000) })
	require.Error(t, a.err)
	require.Greater(t, a.Received, 900)
	_, second := syncBoth(t, b[0], b[1])
	require.Equal(t, 2000, a.Received+second.Received)
}

// A device without a ledger fetches the book into a file, of which what is whole counts at
// the next attempt, wherever the first one was cut off and whatever stands at its end.
func TestANewcomerFetchesTheBook(t *testing.T) {
	b := book(t, "laptop")
	fill(t, b[0], 300)
	admit(t, b[0], "phone")
	fill(t, b[0], 100)
	fetch := func(w io.Writer, left int) outcome {
		near, far := net.Pipe()
		c := accepting(context.Background(), b[0], newCutOff(far, left), Options{Offer: []byte("side")})
		r, err := Fetch(context.Background(), b[0].Book(), testKey("phone"), near, b[0].Device(), w, Options{})
		<-c
		return outcome{r, err}
	}
	path := filepath.Join(t.TempDir(), "entries")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	received := 0
	for _, left := range []int{0, 30, 60_000, 100, 66_000, 1 << 20} {
		r := fetch(file, left)
		require.Equal(t, left == 1<<20, r.err == nil, "%v", r.err)
		received += r.Received
		if r.err != nil {
			_, err = file.Write([]byte("\x59\x01\x00torn"))
			require.NoError(t, err)
		}
	}
	require.Equal(t, 402, received, "an entry was sent twice")
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	var entries [][]byte
	for e, err := range Read(file) {
		require.NoError(t, err)
		entries = append(entries, e)
	}
	phone := joinEntries(t, "phone", entries)
	require.Equal(t, digest(t, b[0]), digest(t, phone))
	// Again: nothing is missing, and what is torn is cut off.
	_, err = file.Write([]byte("\x59\x01\x00torn"))
	require.NoError(t, err)
	r := fetch(file, 1<<20)
	require.NoError(t, r.err)
	require.Zero(t, r.Received)
	require.Equal(t, "side", string(r.Side))
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	for _, err := range Read(file) {
		require.NoError(t, err)
	}
	// Without the methods of a file, all is written.
	var buffer bytes.Buffer
	r = fetch(&buffer, 1<<20)
	require.NoError(t, r.err)
	require.Equal(t, 402, r.Received)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, len(content), buffer.Len())
}

// meter samples the heap while bytes are received.
type meter struct {
	io.ReadWriteCloser
	received int
	most     *uint64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.ReadWriteCloser.Read(p)
	if m.received += n; m.received >= 4<<20 {
		m.received = 0
		*m.most = max(*m.most, heap())
	}
	return n, err
}

// The memory of a session does not grow with what it exchanges, in either direction.
func TestTheMemoryOfASessionIsBounded(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // see lawtest.Main
	b := book(t, "laptop", "phone")
	for range 80 {
		var bodies []string
		for i := range 20 {
			bodies = append(bodies, strings.Repeat(fmt.Sprint(i%10), 40_000))
		}
		write(t, b[0], bodies...)
		write(t, b[1], bodies...)
	}
	base, most := heap(), uint64(0)
	d, a := connect(t, b[0], b[1], Options{}, Options{}, func(conn io.ReadWriteCloser) io.ReadWriteCloser {
		return &meter{ReadWriteCloser: conn, most: &most}
	})
	require.NoError(t, d.err)
	require.NoError(t, a.err)
	require.Greater(t, d.Bytes.Received, int64(60<<20))
	t.Logf("%d MiB each way, %d KiB of the heap", d.Bytes.Received>>20, (int64(most)-int64(base))>>10)
	require.NotZero(t, most)
	require.Less(t, int64(most)-int64(base), int64(48<<20), "of both devices, which hold some batches of each direction")
}

// The bytes of a session are those of its entries and 200 for each device, whatever the
// size of the book.
func TestASessionCostsItsDifference(t *testing.T) {
	for _, size := range sizes() {
		b := book(t, "laptop", "phone")
		write(t, b[1], "of phone")
		syncBoth(t, b[0], b[1])
		fill(t, b[0], size)
		all := sizeOf(missing(t, b[0].Ledger, b[1].Heads()))
		first, took := measured(t, b[0], b[1])
		heads := b[0].Heads()
		fill(t, b[0], 5)
		lacking := sizeOf(missing(t, b[0].Ledger, heads))
		cost, short := measured(t, b[0], b[1])
		none, _ := measured(t, b[1], b[0])
		t.Logf("book of %d: the first session of %d bytes of entries cost %d, %v; 5 entries of %d bytes cost %d, %v; nothing new costs %d", size, all, first, took, lacking, cost, short, none)
		require.LessOrEqual(t, float64(first), 1.1*float64(all)+2*200)
		require.LessOrEqual(t, float64(cost), 1.1*float64(lacking)+2*200)
	}
}
