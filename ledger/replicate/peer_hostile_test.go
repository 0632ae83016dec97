package replicate

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Nothing is exchanged with a removed device, oneself, or between other devices and books.
func TestMessagesAreForTheirDevice(t *testing.T) {
	b := book(t, "laptop", "phone", "server")
	p := newPair(t, b[0], b[1])
	write(t, b[0], "a")
	p.send(0)
	m := p.queue[0][0]
	for name, wrong := range map[string]struct {
		l    *device
		peer ledger.DeviceID
	}{
		"another recipient": {b[2], b[0].Device()},
		"another sender":    {b[1], b[2].Device()},
		"reflected":         {b[0], b[1].Device()},
		"another book":      {book(t, "phone", "laptop")[0], b[0].Device()},
	} {
		require.ErrorIs(t, NewPeer(wrong.peer).Incoming(wrong.l.Ledger, m), errProtocol, name)
	}
	self := NewPeer(b[0].Device())
	_, err := self.Outgoing(b[0].Ledger)
	require.ErrorIs(t, err, ErrSelf)
	require.ErrorIs(t, self.Incoming(b[0].Ledger, m), ErrSelf)
	p.settle()
	require.NoError(t, b[0].RemoveDevice(testKey("identity"), b[1].Device()))
	removed := p.load(0)
	_, err = removed.Outgoing(b[0].Ledger)
	require.ErrorIs(t, err, ErrNotAdmitted)
	write(t, b[1], "b")
	p.send(1)
	require.ErrorIs(t, removed.Incoming(b[0].Ledger, p.queue[1][0]), ErrNotAdmitted)
}

// A message that is cut off or changed at any byte is refused, or is repeated harmlessly.
func TestAChangedMessageIsRefused(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	write(t, b[0], "a", "b")
	p.send(0)
	m := p.queue[0][0]
	before, backup := digest(t, b[1]), snapshot(t, b[1])
	var whole []int
	for at := range m {
		peer := p.load(1)
		require.True(t, IsRefused(peer.Incoming(b[1].Ledger, m[:at])))
		changed := bytes.Clone(m)
		changed[at] ^= 1
		_ = peer.Incoming(b[1].Ledger, changed)
		if digest(t, b[1]) != before { // the byte is of no entry, or of the last one
			whole = append(whole, at)
			restore(t, b[1], backup)
		}
	}
	require.NotEmpty(t, whole)
	require.Equal(t, before, digest(t, b[1]))
	p.settle()
	require.Equal(t, digest(t, b[0]), digest(t, b[1]))
}

// A round of more messages than any device sends is refused, so that none goes on for ever.
func TestARoundIsBounded(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := NewPeer(b[1].Device())
	stream := appendItem(nil, helloOf())
	for len(stream) < 2*maxRound*maxData {
		stream = appendItem(stream, entriesOf(stateMore))
	}
	var err error
	n := 0
	for _, m := range cut(channel(b[0].Book(), b[1].Device(), b[0].Device()), roundOf(stream), stream) {
		if err = p.Incoming(b[0].Ledger, m); err != nil {
			break
		}
		n++
	}
	require.True(t, IsRefused(err), "%v", err)
	require.Equal(t, maxRound, n)
}

// A peer that sends no end of an item, or items of no form, is bounded, and asked for
// nothing: its rounds cannot make this device send for ever.
func TestHostileMessagesAreBounded(t *testing.T) {
	b := book(t, "laptop", "phone")
	p := newPair(t, b[0], b[1])
	p.settle()
	ch := channel(b[0].Book(), b[1].Device(), b[0].Device())
	peer := p.load(0)
	long := append([]byte{0x5a, 0, 0x03, 0, 0}, make([]byte, maxItem)...)
	for _, m := range cut(ch, []byte("01234567"), long[:maxItem]) {
		require.NoError(t, peer.Incoming(b[0].Ledger, m))
	}
	state, err := peer.MarshalBinary()
	require.NoError(t, err)
	require.Less(t, len(state), 256<<10)
	for name, stream := range map[string][]byte{
		"too long":        {0x5a, 0, 0x03, 0, 1},
		"no byte string":  {0},
		"no hello":        appendItem(nil, entriesOf(stateLast)),
		"two hellos":      appendItem(appendItem(nil, helloOf()), helloOf()),
		"after the end":   append(appendItem(appendItem(nil, helloOf()), entriesOf(stateLast)), 0),
		"an unknown item": appendItem(appendItem(nil, helloOf()), []int{9}),
	} {
		for _, m := range cut(ch, roundOf(stream), stream) {
			require.ErrorIs(t, peer.Incoming(b[0].Ledger, m), errProtocol, name)
		}
	}
	for name, m := range map[string]message{
		"number": {Version: version, Channel: ch, Round: []byte("76543210"), Number: 7, Data: []byte{}},
		"round":  {Version: version, Channel: ch, Round: []byte("7654321"), Data: []byte{}},
		"size":   {Version: version, Channel: ch, Round: []byte("76543210"), Data: make([]byte, maxMessage)},
	} {
		require.ErrorIs(t, peer.Incoming(b[0].Ledger, canonical.MustMarshal(m)), errProtocol, name)
	}
	require.Error(t, new(Peer).UnmarshalBinary(nil))
	require.Error(t, new(Peer).UnmarshalBinary(state[:len(state)-1]))
	other := canonical.MustMarshal(peerState{Format: 2})
	require.ErrorContains(t, new(Peer).UnmarshalBinary(other), "version 2")
}
