package replicate

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
)

// pair is two devices with a channel of messages, as dht/drop is one: ordered, each once.
type pair struct {
	t     require.TestingT
	d     [2]*device
	state [2][]byte   // of the peer of each device, encoded
	queue [2][][]byte // messages of each device that have not arrived
	bytes int         // of all messages
	count int
	room  int // bytes that may wait, over which there is no Further
}

func newPair(t require.TestingT, a, b *device) *pair {
	p := &pair{t: t, d: [2]*device{a, b}, room: 9000}
	p.forget(0)
	p.forget(1)
	return p
}

// forget makes the state of a device's peer anew.
func (p *pair) forget(i int) { p.store(i, NewPeer(p.d[1-i].Device())) }

func (p *pair) store(i int, peer *Peer) {
	b, err := peer.MarshalBinary()
	require.NoError(p.t, err)
	p.state[i] = b
}

// load returns the peer of a device, and its state in the canonical encoding.
func (p *pair) load(i int) *Peer {
	peer := new(Peer)
	require.NoError(p.t, peer.UnmarshalBinary(p.state[i]))
	again, err := peer.MarshalBinary()
	require.NoError(p.t, err)
	require.Equal(p.t, p.state[i], again)
	return peer
}

// send queues a round of a device, also behind messages that have not arrived, and returns what it
// did.
func (p *pair) send(i int) Result {
	peer := p.load(i)
	var out [][]byte
	var err error
	if len(p.queue[i]) == 0 {
		peer.Acknowledged()
		out, err = peer.Outgoing(p.d[i].Ledger)
	} else {
		var further []byte
		room := p.room - sizeOf(p.queue[i])
		if further, err = peer.Further(p.d[i].Ledger, room); further != nil {
			require.LessOrEqual(p.t, len(further), room)
			out = [][]byte{further}
		}
	}
	if !errors.Is(err, ErrNotAdmitted) {
		require.NoError(p.t, err)
	}
	for _, m := range out {
		require.LessOrEqual(p.t, len(m), maxMessage)
		p.bytes += len(m)
	}
	require.LessOrEqual(p.t, len(out), 100)
	p.count += len(out)
	p.queue[i] = append(p.queue[i], out...)
	p.store(i, peer)
	return peer.Result
}

// deliver delivers up to n messages of a device.
func (p *pair) deliver(i, n int) (r Result) {
	peer := p.load(1 - i)
	for ; n > 0 && len(p.queue[i]) > 0; n-- {
		if err := peer.Incoming(p.d[1-i].Ledger, p.queue[i][0]); err != nil {
			require.True(p.t, IsRefused(err), "%v", err)
		}
		p.queue[i] = p.queue[i][1:]
	}
	p.store(1-i, peer)
	return peer.Result
}

// unsent returns what a device states of entries that the other one does not receive.
func (p *pair) unsent(i int) int {
	n, err := p.load(i).Unsent(p.d[i].Ledger, true)
	require.NoError(p.t, err)
	return n
}

// settle exchanges messages until neither device has any, and returns the number of turns.
func (p *pair) settle() int {
	for turns := 0; ; turns++ {
		require.Less(p.t, turns, 40, "the devices send for ever")
		p.send(0)
		p.send(1)
		if len(p.queue[0])+len(p.queue[1]) == 0 {
			return turns
		}
		p.deliver(0, 1000)
		p.deliver(1, 1000)
	}
}

// requireSilence requires that nothing is sent in k turns.
func (p *pair) requireSilence(k int) {
	before := p.count
	for range k {
		p.send(0)
		p.send(1)
	}
	require.Equal(p.t, before, p.count)
}

func TestTwoDevicesExchangeEntriesInMessages(t *testing.T) {
	b := book(t, "laptop", "phone")
	write(t, b[0], "a", "b")
	write(t, b[1], "c")
	p := newPair(t, b[0], b[1])
	require.LessOrEqual(t, p.settle(), 4)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	p.requireSilence(10)
	write(t, b[0], "d")
	require.Equal(t, 1, p.send(0).Sent)
	require.Len(t, p.queue[0], 1)
	p.send(1)
	require.Empty(t, p.queue[1])
	require.Empty(t, p.send(0).Sent, "the first is not acknowledged")
	require.Equal(t, 1, p.deliver(0, 1).Received)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	p.requireSilence(10)
}

// Rounds that cross are followed by no further ones, when nothing is new.
func TestCrossingRoundsEnd(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	for i := range 5 {
		write(t, b[0], fmt.Sprint("laptop", i))
		write(t, b[1], fmt.Sprint("phone", i))
		p.send(0)
		p.send(1)
		p.deliver(0, 1000)
		p.deliver(1, 1000)
		require.Equal(t, digest(t, b[0]), digest(t, b[1]))
		p.requireSilence(10)
	}
}

// The bytes of a round are those of its entries and 200 for each device.
func TestARoundCostsItsDifference(t *testing.T) {
	for _, size := range []int{10, 2000} {
		b := book(t, "laptop", "phone")
		fill(t, b[0], size)
		p := newPair(t, b[0], b[1])
		all := sizeOf(missing(t, b[0].Ledger, b[1].Heads()))
		turns := p.settle()
		first, messages := p.bytes, p.count
		heads := b[0].Heads()
		fill(t, b[0], 5)
		lacking := sizeOf(missing(t, b[0].Ledger, heads))
		p.settle()
		t.Logf("book of %d: the first exchange of %d bytes of entries cost %d in %d messages and %d turns; 5 entries of %d bytes cost %d", size, all, first, messages, turns, lacking, p.bytes-first)
		require.LessOrEqual(t, float64(p.bytes-first), 1.1*float64(lacking)+2*200)
		require.LessOrEqual(t, float64(first), 1.1*float64(all)+4*200)
	}
}

// A round has a bounded size. An entry that does not fit in a message is divided.
func TestRoundsAreBoundedAndLargeEntriesAreDivided(t *testing.T) {
	b := book(t, "laptop", "phone")
	for range 20 {
		write(t, b[0], strings.Repeat("x", ledger.MaxBody))
	}
	p := newPair(t, b[0], b[1])
	rounds := 0
	for ; rounds < 10; rounds++ {
		p.bytes = 0
		p.send(0)
		require.LessOrEqual(t, p.bytes, 768<<10)
		p.deliver(0, 3) // an entry is divided between two deliveries
		p.deliver(0, 1000)
		p.send(1)
		p.deliver(1, 1000)
		if p.bytes == 0 {
			break
		}
	}
	require.Equal(t, 4, rounds)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// Side data is sent when it changes, in rounds of its own if need be.
func TestSideDataIsSentWhenItChanges(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	for _, side := range []string{"key", strings.Repeat("k", maxSide), "", "key"} {
		peer := p.load(0)
		require.NoError(t, peer.Offer([]byte(side)))
		p.store(0, peer)
		p.settle()
		require.Equal(t, side, string(p.load(1).Side()))
		require.Equal(t, side, string(p.load(1).Result.Side))
		p.requireSilence(3)
	}
}

// Side data is not available before all entries that the peer sends with it are merged, in
// several messages and several rounds.
func TestSideDataWaitsForTheEntriesBesideIt(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	for range 12 {
		write(t, b[0], strings.Repeat("x", ledger.MaxBody))
	}
	peer := p.load(0)
	require.NoError(t, peer.Offer([]byte("key")))
	p.store(0, peer)
	early := 0
	for range 1000 {
		p.send(0)
		for len(p.queue[0]) > 0 {
			p.deliver(0, 1)
			if digest(t, b[0]) == digest(t, b[1]) {
				continue
			}
			require.Empty(t, p.load(1).Side())
			early++
		}
		p.send(1)
		p.deliver(1, 1000)
		if digest(t, b[0]) == digest(t, b[1]) {
			break
		}
	}
	require.Greater(t, early, 20)
	p.settle()
	require.Equal(t, "key", string(p.load(1).Side()))
}

// Messages that are repeated, from any earlier time, change nothing, and lead to no more
// than a few messages.
func TestRepeatedMessagesAreHarmless(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	var old [][]byte
	for i := range 4 {
		write(t, b[0], fmt.Sprint(i), strings.Repeat("x", 20_000))
		p.send(0)
		old = append(old, p.queue[0]...)
		p.settle()
	}
	require.GreaterOrEqual(t, len(old), 10)
	before := digest(t, b[1])
	for from := range old {
		p.queue[0] = append([][]byte{}, old[from:]...)
		p.deliver(0, 1000)
		require.Equal(t, before, digest(t, b[1]))
		p.settle()
		p.requireSilence(3)
	}
	// Each message twice.
	write(t, b[0], strings.Repeat("y", 10_000)+strings.Repeat("z", 40_000))
	p.send(0)
	var twice [][]byte
	for _, m := range p.queue[0] {
		twice = append(twice, m, m)
	}
	p.queue[0] = twice
	p.deliver(0, 1000)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	require.Empty(t, p.send(1).Sent)
}

// Messages that are lost are asked for again when a later one arrives.
func TestLostMessagesAreAskedForAgain(t *testing.T) {
	for lost := range 5 {
		b := book(t, "laptop", "phone")
		p := newPair(t, b[0], b[1])
		p.settle()
		write(t, b[0], "a", strings.Repeat("x", 40_000), "b")
		p.send(0)
		require.Equal(t, 5, len(p.queue[0]))
		p.queue[0] = append(p.queue[0][:lost:lost], p.queue[0][lost+1:]...)
		p.settle()
		if lost == 4 { // nothing came after it
			require.NotEqual(t, digest(t, b[0]), digest(t, b[1]))
			write(t, b[0], "c")
			p.settle()
		}
		require.Equal(t, digest(t, b[0]), digest(t, b[1]), lost)
		p.requireSilence(3)
	}
}

// A device that returned to a backup receives what it has lost, when either device writes.
func TestARestoredBackupConverges(t *testing.T) {
	for _, writer := range []int{0, 1} {
		b := book(t, "laptop", "phone", "server")
		p := newPair(t, b[0], b[1])
		p.settle()
		ledgerFile, state := snapshot(t, b[1]), p.state[1]
		write(t, b[0], "a", strings.Repeat("x", 20_000))
		p.settle()
		write(t, b[0], "b")
		p.send(0)
		p.deliver(0, 1000)
		restore(t, b[1], ledgerFile)
		p.state[1] = state
		p.settle()
		write(t, b[writer], "c")
		p.settle()
		require.Equal(t, digest(t, b[0]), digest(t, b[1]), writer)
		p.requireSilence(3)
		// Or it has lost all of its state.
		p.forget(1 - writer)
		p.settle()
		p.requireSilence(3)
	}
}

// A device that returned to a backup while a round was on its way asks for what that round
// builds on, and receives all of it.
func TestARoundThatBuildsOnLostEntriesIsSentAgain(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	ledgerFile, state := snapshot(t, b[1]), p.state[1]
	write(t, b[0], "a")
	p.settle()
	write(t, b[0], "b")
	p.send(0)
	restore(t, b[1], ledgerFile)
	p.state[1] = state
	require.Equal(t, 1, p.deliver(0, 1000).Waiting)
	p.send(1)
	p.deliver(1, 1000)
	p.settle()
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// After an error of the ledger a message is processed again.
func TestAnErrorOfTheLedgerLosesNoMessage(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	write(t, b[0], "a")
	p.send(0)
	peer := p.load(1)
	require.NoError(t, b[1].Close())
	err := peer.Incoming(b[1].Ledger, p.queue[0][0])
	require.Error(t, err)
	require.False(t, IsRefused(err))
	p.store(1, peer)
	b[1].Ledger = reopen(t, b[1].key, b[1].path)
	p.settle()
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// What is known of a peer does not grow with the rounds that it acknowledges.
func TestTheStateOfAPeerDoesNotGrow(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	for i := range 20 {
		write(t, b[0], fmt.Sprint(i))
		p.send(0)
		p.deliver(0, 1000)
	}
	require.Less(t, len(p.state[0]), 600)
}

// The devices of a fork, of which one has a branch that the other lacks, converge.
func TestForksConvergeInMessages(t *testing.T) {
	b := book(t, "laptop", "phone", "server")
	c := copyOf(t, b[2])
	write(t, b[2], "1", "2", "3", "4", "5")
	write(t, c, "one")
	syncBoth(t, b[0], b[2])
	syncBoth(t, b[1], c)
	write(t, b[1], "after one")
	write(t, b[0], "after five")
	p := newPair(t, b[0], b[1])
	p.settle()
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	require.Equal(t, b[0].Heads(), b[1].Heads())
	p.requireSilence(3)
}

// A device that asks receives the heads of the other one, and what it lacks, whatever both
// stored of each other; asked once, neither sends any more.
func TestAskingFindsWhatABackupLost(t *testing.T) {
	for _, asking := range []int{0, 1} {
		b := book(t, "laptop", "phone")
		p := newPair(t, b[0], b[1])
		p.settle()
		ledgerFile, state := snapshot(t, b[1]), p.state[1]
		write(t, b[0], "a")
		p.settle()
		restore(t, b[1], ledgerFile)
		p.state[1] = state
		require.Zero(t, p.settle(), "each believes that the other one has everything")
		require.NotEqual(t, digest(t, b[0]), digest(t, b[1]))
		peer := p.load(asking)
		peer.Ask()
		out, err := peer.Outgoing(b[asking].Ledger)
		require.NoError(t, err)
		require.True(t, peer.Asked())
		p.queue[asking] = out
		p.store(asking, peer)
		p.settle()
		require.Equal(t, digest(t, b[0]), digest(t, b[1]))
		p.requireSilence(3)
	}
}

// What the peer states of the log of this device, and is not here, shows a copy of this device, or
// that it was restored from a backup. It is shown until the entries are here.
func TestEntriesOfTheOwnLogThatThePeerHasAreShown(t *testing.T) {
	b := book(t, "laptop", "phone")
	lap, phone := b[0], b[1]
	two := copyOf(t, lap)
	write(t, lap, "of one")
	write(t, two, "of two")
	syncBoth(t, phone, two)
	p := newPair(t, lap, phone)
	requireUnknown := func(want ...ledger.Head) {
		t.Helper()
		got, err := p.load(0).UnknownOwn(lap.Ledger)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	requireUnknown()
	p.send(1)
	p.deliver(1, 1000)
	own := headOf(t, two, lap.Device())
	requireUnknown(own)
	write(t, lap, "more")
	p.settle()
	requireUnknown()
	require.Equal(t, digest(t, lap), digest(t, phone))
}

// headOf returns the only head of a device in a ledger.
func headOf(t *testing.T, d *device, of ledger.DeviceID) (found ledger.Head) {
	t.Helper()
	for _, h := range d.Heads() {
		if h.Device == of {
			require.Zero(t, found.Number)
			found = h
		}
	}
	return found
}

// A device that returns to a backup in the middle of a round is told apart from a peer that breaks
// the protocol: the error names the missing message, and the round is sent again.
func TestABackupInTheMiddleOfARoundIsNamed(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	write(t, b[0], "a", strings.Repeat("x", 40_000))
	before := p.state[1]
	p.send(0)
	require.Greater(t, len(p.queue[0]), 2)
	p.deliver(0, 1)
	p.state[1] = before
	peer := p.load(1)
	err := peer.Incoming(b[1].Ledger, p.queue[0][0])
	require.ErrorIs(t, err, ErrMissing)
	require.True(t, IsRefused(err))
	require.NotContains(t, err.Error(), "broke the protocol")
	p.deliver(0, 1000)
	p.settle()
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	p.requireSilence(3)
}
