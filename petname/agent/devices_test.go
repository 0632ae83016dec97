package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
)

// joinedBy returns the agent of a new device of a's owner.
func joinedBy(t *testing.T, a *agent.Agent, withKey, byCode bool, progress ...func(paired bool, bytes int64)) (*agent.Agent, agent.JoinedBook) {
	t.Helper()
	invited, err := a.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: withKey, Awaited: true})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := a.AwaitDevice(t.Context(), invited.ID)
		done <- err
	}()
	j := agent.DeviceJoin{Invitation: invited.Link, Name: "phone"}
	if len(progress) > 0 {
		j.Progress = progress[0]
	}
	if byCode {
		config, err := agent.HomeOf(a).Config()
		require.NoError(t, err)
		j.Invitation, j.Networks = invited.Code, config.Bootstrap
	}
	b, joined, err := agent.JoinBook(t.Context(), filepath.Join(t.TempDir(), "phone"), j, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	require.NoError(t, <-done)
	return b, joined
}

// A device that joins by code or link has the book, and with the key it publishes.
func TestADeviceJoinsTheBookOfItsOwner(t *testing.T) {
	hub := served(t, nil)
	for _, withKey := range []bool{true, false} {
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		bob := newKey(t).Pointer()
		add(t, a, "bob", bob)
		b, joined := joinedBy(t, a, withKey, withKey)
		require.Equal(t, agent.JoinedBook{Pointer: a.Pointer(), Device: joined.Device, WithKey: withKey, Names: 1}, joined)
		require.Equal(t, a.Pointer(), b.Pointer())
		c, err := b.Lookup("bob")
		require.NoError(t, err)
		require.Equal(t, bob, c.Pointer)
		link, err := a.Link()
		require.NoError(t, err)
		theirs, err := b.Link()
		require.NoError(t, err)
		require.Equal(t, link, theirs)
		_, err = b.Rotate(t.Context(), agent.Rotation{})
		_, perr := b.Publish(t.Context(), func(d *agent.Draft) error { d.Value = "/ipfs/bafkqaaa"; return nil })
		if withKey {
			require.ErrorIs(t, err, home.ErrNextElsewhere, "it never has the next key")
			require.NoError(t, perr)
		} else {
			require.ErrorIs(t, err, home.ErrKeyElsewhere)
			require.ErrorIs(t, perr, home.ErrKeyElsewhere)
			require.ErrorIs(t, perr, home.ErrLocked)
			id, err := b.Identity()
			require.NoError(t, err)
			require.Equal(t, link.Next, id.Next)
		}
		for _, one := range []*agent.Agent{a, b} {
			devices, err := one.Devices()
			require.NoError(t, err)
			require.Len(t, devices, 2)
			require.Equal(t, "phone", devices[1].Name)
			require.Equal(t, withKey, devices[1].IdentityKey)
			require.Equal(t, one == b, devices[1].This)
		}
		for _, check := range b.Check(t.Context()) {
			require.True(t, check.OK, "%s: %s", check.Name, check.Detail)
		}
	}
}

// A joining that ended before its result was seen is repeated: the same call has the same result,
// and what the device has learnt of the other one was stored with the home.
func TestACompletedJoiningCanBeRepeated(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	add(t, a, "bob", newKey(t).Pointer())
	require.NoError(t, a.Start(t.Context())) // it has an address
	for _, withKey := range []bool{true, false} {
		completedJoining(t, a, withKey)
	}
}

func completedJoining(t *testing.T, a *agent.Agent, withKey bool) {
	invited, err := a.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: withKey})
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "phone")
	var first agent.JoinedBook
	for n := range 3 {
		j := agent.DeviceJoin{Invitation: invited.Link, Name: "phone"}
		b, joined, err := agent.JoinBook(t.Context(), dir, j, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
		require.NoError(t, err)
		if n == 0 {
			first = joined
			require.Nil(t, first.Again)
		}
		require.Equal(t, first, joined)
		addresses, err := agent.DeviceAddresses(b, agent.BookOf(a).Ledger().Device())
		require.NoError(t, err)
		require.NotEmpty(t, addresses)
		require.NoError(t, b.Close())
	}
	_, _, err = agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: "device-1-a-b-c"}, agent.Options{Transport: loopback()})
	require.ErrorIs(t, err, home.ErrExists)

	// Not if the device does not count any more.
	_, err = a.RemoveDevice(first.Device)
	require.NoError(t, err)
	b, err := agent.Open(t.Context(), dir, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	_, err = agent.BookOf(b).Ledger().Merge(func(yield func([]byte) bool) {
		for entry, err := range agent.BookOf(a).Ledger().Missing(nil) {
			require.NoError(t, err)
			if !yield(entry) {
				return
			}
		}
	})
	require.NoError(t, err)
	_, counts, err := agent.BookOf(b).Ledger().Own()
	require.NoError(t, err)
	require.False(t, counts)
	require.NoError(t, b.Close())
	_, _, err = agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: invited.Link}, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.ErrorContains(t, err, "the invitation has been used")
}

// A device that can reach the other one fetches the book over a stream.
func TestADeviceFetchesTheBookDirectly(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	for i := range 300 {
		add(t, a, fmt.Sprint("contact", i), newKey(t).Pointer())
	}
	require.NoError(t, a.Start(t.Context()))
	inMessages := int64(0)
	b, joined := joinedBy(t, a, true, false, func(_ bool, n int64) { inMessages = n })
	require.Less(t, inMessages, int64(32<<10), "the rest came over the stream")
	require.Equal(t, 300, joined.Names)
	require.Equal(t, digest(t, a), digest(t, b))
	require.NoDirExists(t, filepath.Join(b.Dir(), ".joining"))
}

// What does not admit a device leaves nothing behind.
func TestAJoiningThatFailsLeavesNothing(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	contact, err := a.Invite(t.Context(), agent.InvitationTerms{Uses: 1, Lifetime: pair.CodeLife})
	require.NoError(t, err)
	for _, tt := range []struct {
		invitation string
		networks   []string
		want       error
	}{
		{contact.Link, nil, pair.ErrNoDevice},
		{contact.Link, addrs(t, hub), pair.ErrNoDevice},
		{"742-tunnel-orbit-candy", nil, agent.ErrNoNetworks},
		{"nonsense", addrs(t, hub), agent.ErrMalformed},
		{"petname-device:AAAA", addrs(t, hub), agent.ErrMalformed},
		{"petname-device:AAAA", nil, agent.ErrMalformed},
	} {
		dir := filepath.Join(t.TempDir(), "new")
		_, _, err := agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: tt.invitation, Networks: tt.networks}, agent.Options{Transport: loopback()})
		require.ErrorIs(t, err, tt.want, tt.invitation)
		require.NoDirExists(t, dir)
	}
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "note"), nil, 0o600))
	_, _, err = agent.JoinBook(t.Context(), full, agent.DeviceJoin{Invitation: "742-tunnel-orbit-candy", Networks: addrs(t, hub)}, agent.Options{Transport: loopback()})
	require.ErrorIs(t, err, home.ErrNotEmpty)
	_, _, err = agent.JoinBook(t.Context(), a.Dir(), agent.DeviceJoin{Invitation: "742-tunnel-orbit-candy", Networks: addrs(t, hub)}, agent.Options{Transport: loopback()})
	require.ErrorIs(t, err, home.ErrExists)
	_, err = a.InviteDevice(t.Context(), agent.DeviceTerms{Lifetime: 2 * agent.MaxDeviceLifetime})
	require.ErrorAs(t, err, new(*agent.ArgumentError))
	_, err = opened(t).InviteDevice(t.Context(), agent.DeviceTerms{})
	require.ErrorIs(t, err, agent.ErrNotJoined)
}

// What a device writes after it has joined is on the other one after one sync of each, in stored
// messages: the first message has it.
func TestTheFirstSyncOfADeviceSendsWhatItWrote(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	add(t, b, "bob", newKey(t).Pointer())
	for _, one := range []*agent.Agent{b, a} {
		agent.SetPatience(one, 0)
		_, err := one.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
	}
	_, err := a.Lookup("bob")
	require.NoError(t, err)
}

// Of two devices that call themselves the same, the second one gets a number, so that a name means
// one device; the name of a removed device is free. For a new device the owner can choose no name of another one.
func TestASecondDeviceOfOneNameGetsANumber(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	name := func(joined agent.JoinedBook) string {
		t.Helper()
		return deviceIn(t, a, joined.Device).Name
	}
	_, first := joinedBy(t, a, false, false)
	require.Equal(t, "phone", name(first))
	b, second := joinedBy(t, a, false, true)
	require.Equal(t, "phone 2", name(second))
	require.Equal(t, "phone 2", deviceIn(t, b, second.Device).Name)
	_, err := a.RemoveDevice(first.Device)
	require.NoError(t, err)
	_, third := joinedBy(t, a, false, false)
	require.Equal(t, "phone", name(third))

	for _, text := range []string{"phone", "Phone", "ph\u043ene 2"} {
		_, err = a.InviteDevice(t.Context(), agent.DeviceTerms{Name: text, Awaited: true})
		require.ErrorAs(t, err, new(*petname.DeviceNameError), "%q", text)
	}
	_, err = a.InviteDevice(t.Context(), agent.DeviceTerms{Name: "\u202e", Awaited: true})
	require.Error(t, err, "it has nothing to show")
	invited, err := a.InviteDevice(t.Context(), agent.DeviceTerms{Name: "handset", Awaited: true})
	require.NoError(t, err)
	_, err = a.RenameDevice(third.Device, "handset") // meanwhile
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := a.AwaitDevice(t.Context(), invited.ID)
		done <- err
	}()
	c, fourth, err := agent.JoinBook(t.Context(), filepath.Join(t.TempDir(), "home"), agent.DeviceJoin{Invitation: invited.Link, Name: "x"}, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, <-done)
	require.Equal(t, "handset 2", name(fourth))
}
