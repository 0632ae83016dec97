package replicate

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/canonical"
)

// What is written while messages wait follows them, each entry once, and arrives with them.
func TestEntriesThatAreWrittenWhileMessagesWaitFollowThem(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	for _, body := range []string{"a", "b", "c"} {
		write(t, b[0], body)
		require.Equal(t, 1, p.send(0).Sent)
		require.Zero(t, p.send(0).Sent, "it is on its way")
		require.Zero(t, p.unsent(0))
	}
	require.Len(t, p.queue[0], 3)
	r := p.deliver(0, 1000)
	require.Equal(t, 3, r.Received)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	p.requireSilence(3)
	write(t, b[0], "d")
	require.Equal(t, 1, p.send(0).Sent, "no entry is sent again when all are acknowledged")
}

// The entries of several devices that are on their way are known until all are acknowledged.
func TestEntriesOfOtherDevicesThatAreOnTheirWayAreNotRepeated(t *testing.T) {
	b := book(t, "laptop", "phone", "server")
	p := newPair(t, b[0], b[1])
	p.settle()
	write(t, b[2], "of the server")
	syncBoth(t, b[0], b[2])
	require.Equal(t, 1, p.send(0).Sent)
	for _, body := range []string{"a", "b"} {
		write(t, b[0], body)
		require.Equal(t, 1, p.send(0).Sent)
	}
	p.deliver(0, 1000)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	p.requireSilence(3)
	require.Zero(t, p.unsent(0))
}

// What has no room behind the messages that wait is counted, and sent when these are acknowledged.
// However long the other device is away, the messages do not grow over the room.
func TestEntriesWithoutRoomAreCountedAsUnsent(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	sent, n := 0, 100
	for i := range n {
		write(t, b[0], fmt.Sprintf("%0120d", i))
		sent += p.send(0).Sent
		require.Equal(t, i+1, sent+p.unsent(0))
		require.LessOrEqual(t, sizeOf(p.queue[0]), p.room)
	}
	require.Greater(t, sent, 10)
	require.Less(t, sent, n)
	all, err := p.load(0).Unsent(b[0].Ledger, false)
	require.NoError(t, err)
	require.Equal(t, n, all, "of what was sent nothing is acknowledged")
	require.Equal(t, sent, p.deliver(0, 1000).Received)
	require.Equal(t, n-sent, p.send(0).Sent)
	require.Zero(t, p.unsent(0))
	p.settle()
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// While nothing is known of what the other device has, all entries are unsent.
func TestAllIsUnsentToADeviceOfWhichNothingIsKnown(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.send(0)
	write(t, b[0], "a")
	require.Zero(t, p.send(0).Sent)
	require.Equal(t, len(missing(t, b[0].Ledger, nil)), p.unsent(0))
	p.settle()
	require.Zero(t, p.unsent(0))
}

// A device that asks while messages are on their way to it may have lost what they build on: what
// follows has all that it lacks by its own word, and the next round does not repeat that.
func TestADeviceThatAsksMeanwhileReceivesAllItLacks(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	ledgerFile, state := snapshot(t, b[1]), p.state[1]
	write(t, b[0], "a")
	p.settle()
	write(t, b[0], "b")
	require.Equal(t, 1, p.send(0).Sent)
	restore(t, b[1], ledgerFile)
	p.state[1] = state
	peer := p.load(1)
	peer.Ask()
	var err error
	p.queue[1], err = peer.Outgoing(b[1].Ledger)
	require.NoError(t, err)
	p.store(1, peer)
	p.deliver(1, 1000)
	write(t, b[0], "c")
	require.Equal(t, 3, p.send(0).Sent)
	require.Zero(t, p.unsent(0))
	p.deliver(0, 1000)
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
	require.Zero(t, p.send(0).Sent)
}

// The state of a peer with messages on their way has the form that earlier programs stored and
// read, which sent one round at a time: what is written since follows that round.
func TestAStateOfAnEarlierProgramContinues(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	write(t, b[0], "a")
	p.send(0)
	var before peerState
	require.NoError(t, canonical.Unmarshal(p.state[0], &before, stateBounds))
	require.EqualValues(t, 1, before.Format)
	require.Len(t, before.SendingHeads, 1)
	require.Len(t, before.SendingAfter, 1)
	write(t, b[0], "b")
	p.send(0)
	var after peerState
	require.NoError(t, canonical.Unmarshal(p.state[0], &after, stateBounds))
	require.Len(t, after.SendingHeads, 1, "it replaces the head of the first round")
	require.NotEqual(t, before.SendingHeads, after.SendingHeads)
	require.NotEmpty(t, after.Sending, "an earlier program sends nothing before all is acknowledged")
	require.Equal(t, before.Known, after.Known)
	p.queue[0] = p.queue[0][1:]
	p.settle()
}
