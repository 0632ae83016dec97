package agent_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
)

// A contact that has rotated its key is answered by a callee that knows its earlier pointer, and
// reached by a caller that knows it.
func TestStreamsFollowARotation(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, alice))
	go echo(listen(t, bob))
	require.NoError(t, accepts(t, alice, "bob"))
	old := alice.Pointer()
	_, err := alice.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	publishAddresses(t, alice)
	require.NotEqual(t, old, alice.Pointer())
	require.NoError(t, accepts(t, alice, "bob"))
	require.NoError(t, accepts(t, bob, "alice"))
	c, err := bob.Lookup("alice")
	require.NoError(t, err)
	require.Equal(t, alice.Pointer(), c.Pointer)
}

// A stream that the former key of a contact has opened ends when the contact moves to another one:
// the former key may be a thief's.
func TestStreamsOfAFormerKeyEnd(t *testing.T) {
	alice, bob := acquainted(t)
	go echo(listen(t, bob))
	open, err := alice.Dial(t.Context(), "bob", echoProtocol)
	require.NoError(t, err)
	_, err = alice.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	publishAddresses(t, alice)
	_, err = bob.Resolve(t.Context(), "alice", dht.LevelFresh)
	require.NoError(t, err)
	require.NoError(t, open.SetReadDeadline(time.Now().Add(patience)))
	_, err = open.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// The devices of an owner open streams to each other by the owner's pointer.
func TestStreamsBetweenDevicesOfAnOwner(t *testing.T) {
	hub := served(t, nil)
	laptop := opened(t)
	join(t, laptop, addrs(t, hub)...)
	phone, _ := joinedBy(t, laptop, true, false)
	require.NoError(t, laptop.Start(t.Context()))
	publishAddresses(t, laptop)
	go echo(listen(t, laptop))
	require.NoError(t, accepts(t, phone, laptop.Pointer().String()))
}
