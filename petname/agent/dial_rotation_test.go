package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

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
