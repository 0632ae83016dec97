package replicate

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// world is the devices of a book that a law draws operations for.
type world struct {
	t      *testing.T
	rt     *rapid.T
	d      []*device
	names  []string // of devices that are not admitted yet
	copies int
}

func newWorld(t *testing.T, rt *rapid.T) *world {
	w := &world{t: t, rt: rt, names: []string{"laptop", "phone", "server", "tablet", "desk"}}
	n := rapid.IntRange(2, 3).Draw(rt, "devices")
	w.d = book(t, w.names[:n]...)
	w.names = w.names[n:]
	return w
}

func (w *world) draw(label string) int { return rapid.IntRange(0, len(w.d)-1).Draw(w.rt, label) }

// write writes an entry, unless what the device writes does not count any more.
func (w *world) write(d *device, body string) {
	_, err := d.Append([]byte(body))
	if err != nil {
		require.True(w.rt, errors.Is(err, ledger.ErrFork) || errors.Is(err, ledger.ErrRefused), "%v", err)
	}
}

// remove removes a device other than the first one.
func (w *world) remove(by *device, id ledger.DeviceID) {
	if id == w.d[0].Device() || id == by.Device() {
		return
	}
	if err := by.RemoveDevice(testKey("identity"), id); err != nil {
		w.rt.Log("not removed:", err)
	}
}

// live returns the devices that are not removed, as the first one knows.
func (w *world) live() (out []*device) {
	for _, d := range w.d {
		if d.Device() == w.d[0].Device() || admitted(w.d[0].Ledger, d.Device()) {
			out = append(out, d)
		}
	}
	return out
}

// equal reports whether the same entries count on all devices that are not removed.
func (w *world) equal() bool {
	for _, d := range w.live() {
		if digest(w.rt, d) != digest(w.rt, w.d[0]) {
			return false
		}
	}
	return true
}

// String describes what each device has, for failures.
func (w *world) String() string {
	var b strings.Builder
	for i, d := range w.d {
		fmt.Fprintf(&b, "\n%d, %v, has %v:", i, d.Device().String()[:4], digest(w.rt, d).String()[:4])
		for _, e := range d.Devices() {
			fmt.Fprintf(&b, " %v=%d,%v,%d", e.ID.String()[:4], e.Head, e.Removed, e.Last)
		}
		for _, h := range d.Heads() {
			fmt.Fprintf(&b, " %v.%d:%v", h.Device.String()[:4], h.Number, h.Hash.String()[:4])
		}
	}
	return b.String()
}

// session runs a session, which may end after some bytes; 0: it does not.
func (w *world) session(a, b *device, cut int) {
	d, c := connect(w.rt, a, b, Options{}, Options{}, func(conn io.ReadWriteCloser) io.ReadWriteCloser {
		if cut == 0 {
			return conn
		}
		return newCutOff(conn, cut)
	})
	for _, o := range []outcome{d, c} {
		if cut == 0 && !errors.Is(d.err, ErrNotAdmitted) && !errors.Is(c.err, ErrNotAdmitted) && !errors.Is(d.err, ErrNoAnswer) && !errors.Is(d.err, ErrSelf) {
			require.NoError(w.rt, o.err)
		}
	}
}

// A law: devices that are admitted, write, are copied with their keys, are removed, and
// have sessions with each other in any order, some of which are cut off anywhere, end the
// same when all have had sessions. Copies have none with each other (ErrSelf): what they
// exchange otherwise counts the same.
func TestLawAnySessionsLeadToOneBook(t *testing.T) {
	lawtest.Check(t, 15, func(rt *rapid.T) {
		w := newWorld(t, rt)
		for i := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			d := w.d[w.draw("device")]
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0, 1, 2:
				w.write(d, fmt.Sprint(i))
			case 3, 4:
				w.session(d, w.d[w.draw("with")], 0)
			case 5, 6:
				w.session(d, w.d[w.draw("with")], rapid.IntRange(1, 3000).Draw(rt, "bytes"))
			case 7:
				w.fetch(d)
			case 8:
				w.remove(d, w.d[w.draw("removed")].Device())
			case 9:
				if w.copies < 2 {
					w.copies++
					w.d = append(w.d, copyOf(t, d))
				}
			}
		}
		rounds := 0
		for ; rounds < 8 && !w.equal(); rounds++ {
			for i, a := range w.d {
				for _, b := range w.d[i+1:] {
					w.session(a, b, 0)
					if a.Device() == b.Device() { // as through a folder
						merge(rt, a, b)
						merge(rt, b, a)
					}
				}
			}
		}
		require.True(rt, w.equal(), "after %d rounds: %s", rounds, w)
	})
}

// merge merges what a device has into another one.
func merge(t require.TestingT, from, to *device) {
	if _, _, err := to.MergePart(slices.Values(missing(t, from.Ledger, to.Heads()))); err != nil {
		require.True(t, errors.Is(err, ledger.ErrFork) || errors.Is(err, ledger.ErrRefused), "%v", err)
	}
}

// file is a file in memory.
type file struct {
	b  []byte
	at int
}

func (f *file) Read(p []byte) (int, error) {
	if f.at == len(f.b) {
		return 0, io.EOF
	}
	n := copy(p, f.b[f.at:])
	f.at += n
	return n, nil
}

func (f *file) Write(p []byte) (int, error) {
	f.b = append(f.b[:f.at], p...)
	f.at = len(f.b)
	return len(p), nil
}

func (f *file) Seek(offset int64, whence int) (int64, error) {
	f.at = int(offset) // from the start
	return offset, nil
}

func (f *file) Truncate(size int64) error {
	f.b = f.b[:size]
	return nil
}

// fetch admits a device, and joins it by a Fetch that may be cut off.
func (w *world) fetch(from *device) {
	if len(w.names) == 0 {
		return
	}
	name := w.names[0]
	if err := from.AdmitDevice(testKey("identity"), testKey(name).Public().(ed25519.PublicKey), name); err != nil {
		w.rt.Log("not admitted:", err)
		return
	}
	w.names = w.names[1:]
	file := &file{}
	for attempt := 0; ; attempt++ {
		left := 1 << 30
		if attempt < 3 {
			left = rapid.IntRange(0, 3000).Draw(w.rt, "bytes")
		}
		near, far := net.Pipe()
		c := accepting(context.Background(), from, newCutOff(far, left), Options{})
		_, err := Fetch(context.Background(), from.Book(), testKey(name), near, from.Device(), file, Options{})
		accepted := <-c
		if err == nil && accepted.err == nil {
			break
		}
		require.Less(w.rt, left, 1<<30, "%v", err)
	}
	var entries [][]byte
	for e, err := range Read(strings.NewReader(string(file.b))) {
		require.NoError(w.rt, err)
		entries = append(entries, e)
	}
	w.d = append(w.d, joinEntries(w.t, name, entries))
}

// A law: whenever a device that sends has no unsent entries, the messages on their way alone bring
// the other one all that it has: with entries written at any time, rounds that cross, and messages
// that arrive in parts.
func TestLawWhatIsNotUnsentArrives(t *testing.T) {
	arrived := 0
	lawtest.Check(t, 100, func(rt *rapid.T) {
		n := rapid.IntRange(2, 3).Draw(rt, "devices")
		d := book(t, []string{"laptop", "phone", "server"}[:n]...)
		pairs := []*pair{newPair(rt, d[0], d[1])}
		if n == 3 {
			pairs = append(pairs, newPair(rt, d[0], d[2]), newPair(rt, d[1], d[2]))
		}
		if rapid.Bool().Draw(rt, "exchanged") {
			for _, p := range pairs {
				p.settle()
			}
		}
		for i := range rapid.IntRange(1, 60).Draw(rt, "steps") {
			p := rapid.SampledFrom(pairs).Draw(rt, "pair")
			side := rapid.IntRange(0, 1).Draw(rt, "side")
			switch rapid.IntRange(0, 8).Draw(rt, "what") {
			case 0, 1:
				write(rt, p.d[side], fmt.Sprint(i)+strings.Repeat("x", rapid.SampledFrom([]int{1, 100, 20_000}).Draw(rt, "size")))
			case 2, 3:
				p.send(side)
			case 4, 5:
				p.deliver(side, rapid.SampledFrom([]int{1, 2, 1000}).Draw(rt, "messages"))
			case 6:
				if peer := p.load(side); len(p.queue[side]) == 0 {
					peer.Acknowledged()
					peer.Ask()
					var err error
					p.queue[side], err = peer.Outgoing(p.d[side].Ledger)
					require.NoError(rt, err)
					p.store(side, peer)
				}
			case 7, 8:
				p.room = rapid.SampledFrom([]int{0, 1000, 9000, 50_000}).Draw(rt, "room")
				p.send(side)
				if p.unsent(side) > 0 {
					continue
				}
				heads := p.d[side].Heads()
				p.deliver(side, 1000)
				lacks, err := p.d[1-side].Lacks(heads)
				require.NoError(rt, err)
				require.Empty(rt, lacks)
				arrived++
			}
		}
		for range 3 {
			for _, p := range pairs {
				p.settle()
			}
		}
		for _, p := range pairs {
			require.Equal(rt, digest(rt, p.d[0]), digest(rt, p.d[1]))
			require.Zero(rt, p.unsent(0)+p.unsent(1))
			p.requireSilence(3)
		}
	})
	require.Greater(t, arrived, 50)
}

// A law: the same for devices that exchange messages, of which some arrive again later,
// and which lose the state of a peer or return to a backup; and after the end nothing more
// is sent. Each device writes once at the end, since nothing shows a loss before.
func TestLawAnyMessagesLeadToOneBook(t *testing.T) {
	lawtest.Check(t, 15, func(rt *rapid.T) {
		w := newWorld(t, rt)
		pairs := map[[2]int]*pair{}
		link := func() {
			for i := range w.d {
				for j := i + 1; j < len(w.d); j++ {
					if pairs[[2]int{i, j}] == nil {
						pairs[[2]int{i, j}] = newPair(rt, w.d[i], w.d[j])
					}
				}
			}
		}
		link()
		between := func(a, b int) (*pair, int) { return pairs[[2]int{min(a, b), max(a, b)}], map[bool]int{true: 1}[a > b] }
		type backup struct {
			device int
			file   []byte
			states map[int][]byte
		}
		var backups []backup
		var old [][]byte
		for i := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			a, b := w.draw("device"), w.draw("with")
			p, side := between(a, b)
			switch rapid.IntRange(0, 12).Draw(rt, "what") {
			case 12: // as two syncs with an entry between them, that a message behind others has
				if p != nil {
					p.send(side)
					w.write(w.d[a], fmt.Sprint(i))
					p.send(side)
					old = append(old, p.queue[side]...)
				}
			case 0, 1:
				w.write(w.d[a], fmt.Sprint(i)+strings.Repeat("x", rapid.SampledFrom([]int{1, 100, 20_000}).Draw(rt, "size")))
			case 2, 3, 4:
				if p != nil {
					p.send(side)
					old = append(old, p.queue[side]...)
				}
			case 5, 6, 7:
				if p != nil {
					p.deliver(side, rapid.SampledFrom([]int{1, 2, 1000}).Draw(rt, "messages"))
				}
			case 8:
				if p != nil && len(old) > 0 {
					p.queue[side] = append(p.queue[side], rapid.SampledFrom(old).Draw(rt, "again"))
				}
			case 9:
				if rapid.IntRange(0, 2).Draw(rt, "of peer") == 0 && p != nil {
					p.forget(side)
				} else if rapid.Bool().Draw(rt, "admit") && len(w.names) > 0 {
					admit(rt, w.d[0], w.names[0])
					w.d = append(w.d, join(t, w.d[0], w.names[0]))
					w.names = w.names[1:]
					link()
				} else {
					w.remove(w.d[0], w.d[a].Device())
				}
			case 10:
				if a != 0 {
					k := backup{a, snapshot(t, w.d[a]), map[int][]byte{}}
					for other := range w.d {
						if p, side := between(a, other); p != nil {
							k.states[other] = p.state[side]
						}
					}
					backups = append(backups, k)
				}
			case 11:
				if len(backups) > 0 {
					k := rapid.SampledFrom(backups).Draw(rt, "backup")
					restore(t, w.d[k.device], k.file)
					for other, state := range k.states {
						p, side := between(k.device, other)
						p.state[side] = state
					}
				}
			}
		}
		settle := func() {
			for turn, before := 0, -1; before != 0; turn++ {
				require.Less(rt, turn, 8, "the devices send for ever")
				before = 0
				for i := range w.d {
					for j := i + 1; j < len(w.d); j++ {
						before += pairs[[2]int{i, j}].settle()
					}
				}
			}
		}
		settle()
		for i, d := range w.d {
			w.write(d, fmt.Sprint("last of ", i))
		}
		settle()
		require.True(rt, w.equal())
		for _, p := range pairs {
			p.requireSilence(3)
		}
	})
}
