package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// fork returns two copies of a home, of which lost does not count, and another device of the
// owner, all after they have met through a folder. The first copy has the names of both slices.
func fork(t *testing.T, hub *agent.Agent) (lost, counts, other *agent.Agent, names map[*agent.Agent]string) {
	one := opened(t)
	join(t, one, addrs(t, hub)...)
	other, _ = joinedBy(t, one, true, false)
	add(t, one, "before", newKey(t).Pointer())
	two, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	names = map[*agent.Agent]string{one: "of one", two: "of two"}
	for _, a := range []*agent.Agent{one, two} {
		add(t, a, names[a], newKey(t).Pointer())
	}
	dir := t.TempDir()
	for range 3 {
		for _, a := range []*agent.Agent{one, two, other} {
			_, err := a.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
	}
	lost, counts = two, one
	if f, err := one.Fork(); err == nil && f.Lost != nil {
		lost, counts = one, two
	}
	if lost == two || counts == two {
		t.Cleanup(func() { two.Close() })
	}
	return lost, counts, other, names
}

// again joins the home in a folder again by an invitation of a device.
func again(t *testing.T, by *agent.Agent, dir string, decide func(petname.ReentryConflict) (bool, error)) (*agent.Agent, agent.JoinedBook, string) {
	t.Helper()
	invited, err := by.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: true, Awaited: true})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := by.AwaitDevice(t.Context(), invited.ID)
		done <- err
	}()
	a, joined, err := agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: invited.Link, Name: "again", Decide: decide, Again: true}, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	require.NoError(t, <-done)
	return a, joined, invited.Link
}

// Two copies of a home are found through a folder by all devices. The copy that does not count
// refuses every change, joins again as a new device, and loses nothing.
func TestACopyThatDoesNotCountJoinsAgainAndLosesNothing(t *testing.T) {
	hub := served(t, nil)
	lost, counts, other, names := fork(t, hub)
	_, err := lost.Add("late", pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{})
	var forked *ledger.ForkError
	require.ErrorAs(t, err, &forked)
	require.Equal(t, uint64(1), forked.Entries)
	require.ErrorContains(t, lost.Notice(), "does not count")
	require.ErrorContains(t, lost.Notice(), "does not count", "until it is put right")
	require.ErrorContains(t, counts.Notice(), "another copy of this home writes as this device")
	require.NoError(t, counts.Notice(), "once")
	require.ErrorContains(t, other.Notice(), names[lost], "what does not count is named everywhere")
	require.NoError(t, other.Notice(), "once")
	for _, a := range []*agent.Agent{lost, counts, other} {
		devices, err := a.Devices()
		require.NoError(t, err)
		require.True(t, devices[0].Forked)
		require.False(t, devices[1].Forked)
		bad := map[string]bool{}
		for _, c := range a.Check(t.Context()) {
			bad[c.Name] = !c.OK
		}
		require.Equal(t, a != other, bad["copies"])
		require.True(t, bad["book"])
	}
	before, err := counts.Identity()
	require.NoError(t, err)
	dir := lost.Dir()
	nextBefore, err := os.ReadFile(filepath.Join(dir, "identity.key"))
	require.NoError(t, err)
	require.NoError(t, lost.Close())

	a, joined, link := again(t, other, dir, nil)
	require.Equal(t, before.Pointer, joined.Pointer)
	require.NotNil(t, joined.Again)
	require.Equal(t, 1, joined.Again.Entered)
	require.Empty(t, joined.Again.Conflicts)
	require.FileExists(t, joined.Again.OldBook)
	devices, err := other.Devices()
	require.NoError(t, err)
	require.Equal(t, devices[0].ID, joined.Again.Device)
	require.Equal(t, uncounted(t, other).Head.Number, joined.Again.Remains.Number)
	require.NotEqual(t, uncounted(t, other).Head.Hash, joined.Again.Remains.Hash, "of the branch that counts")
	require.Equal(t, 3, joined.Names)
	after, err := os.ReadFile(filepath.Join(dir, "identity.key"))
	require.NoError(t, err)
	require.Equal(t, nextBefore, after, "with the next key, which no device hands over")
	require.NoError(t, a.Notice())
	stick := t.TempDir()
	syncAll(t, agent.SyncOptions{Dir: stick}, a, counts, other)
	for _, one := range []*agent.Agent{a, counts, other} {
		for _, name := range names {
			_, err := one.Lookup(name)
			require.NoError(t, err)
		}
		devices, err := one.Devices()
		require.NoError(t, err)
		require.Len(t, devices, 3)
		require.True(t, devices[2].IdentityKey)
	}

	// The same command again has the same result; any other is of a home that exists.
	want := digest(t, a)
	require.NoError(t, a.Close())
	repeated, second, err := agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: link}, agent.Options{Transport: loopback()})
	require.NoError(t, err)
	require.Equal(t, joined.Again.Entered, second.Again.Entered)
	require.Equal(t, joined.Device, second.Device)
	require.Equal(t, want, digest(t, repeated))
	require.NoError(t, repeated.Close())
	_, _, err = agent.JoinBook(t.Context(), dir, agent.DeviceJoin{Invitation: "device-1-a-b-c"}, agent.Options{Transport: loopback()})
	require.ErrorIs(t, err, home.ErrExists)
}

// A stolen copy of a home that forks to have its branch counted takes nothing from the owner: a
// removal after the last entry of the owner ends it, and what the owner entered counts.
func TestAThiefOfAHomeTakesNothingFromTheOwner(t *testing.T) {
	hub := served(t, nil)
	owner, thief, other, names := fork(t, hub) // the branch of the thief counts
	_, err := other.Lookup(names[owner])
	require.ErrorIs(t, err, petname.ErrNotFound)
	devices, err := other.Devices()
	require.NoError(t, err)
	_, err = other.RemoveDevice(devices[0].ID)
	var choice *agent.BranchError
	require.ErrorAs(t, err, &choice)
	require.Len(t, choice.Branches, 2)
	require.True(t, choice.Branches[0].Counts())
	require.Equal(t, names[thief], choice.Branches[0].Acts[0].Name)
	require.Equal(t, names[owner], choice.Branches[1].Acts[0].Name)
	_, err = other.RemoveDeviceAfter(choice.Branches[1].Head)
	require.NoError(t, err)
	_, err = other.Lookup(names[owner])
	require.NoError(t, err)
	_, err = other.Lookup(names[thief])
	require.ErrorIs(t, err, petname.ErrNotFound)
	add(t, thief, "evil", newKey(t).Pointer())
	dir := t.TempDir()
	for range 2 {
		for _, a := range []*agent.Agent{thief, other} {
			_, err := a.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
	}
	_, err = other.Lookup("evil")
	require.ErrorIs(t, err, petname.ErrNotFound)
	require.NoError(t, owner.Close())
	a, joined, _ := again(t, other, owner.Dir(), nil)
	require.Zero(t, joined.Again.Entered, "all of it counts")
	_, err = a.Lookup(names[owner])
	require.NoError(t, err)
	_, err = a.Lookup(names[thief])
	require.ErrorIs(t, err, petname.ErrNotFound)
	_, err = a.Add("late", pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{})
	require.NoError(t, err)
}

// What a device wrote after its removal, which it does not know of, is entered by its new device.
func TestARemovedDeviceJoinsAgain(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, old := joinedBy(t, a, true, false)
	bob := newKey(t).Pointer()
	add(t, a, "bob", bob)
	_, err := a.RemoveDevice(old.Device)
	require.NoError(t, err)
	add(t, b, "late", newKey(t).Pointer())
	add(t, b, "robert", bob)
	require.NoError(t, b.Close())
	_, _, err = agent.JoinBook(t.Context(), b.Dir(), agent.DeviceJoin{Invitation: "petname-device:"}, agent.Options{Transport: loopback()})
	require.ErrorIs(t, err, home.ErrExists, "its book shows no reason")

	asked := 0
	c, joined, _ := again(t, a, b.Dir(), func(conflict petname.ReentryConflict) (bool, error) {
		asked++
		require.Equal(t, petname.ReentryChanged, conflict.Reason)
		require.Equal(t, "robert", conflict.Mine)
		require.Equal(t, "bob", conflict.Theirs)
		return true, nil
	})
	require.Equal(t, 1, asked)
	require.Equal(t, 2, joined.Again.Entered)
	require.Empty(t, joined.Again.Conflicts)
	require.Zero(t, joined.Again.Remains, "it was removed")
	for _, name := range []string{"late", "robert"} {
		_, err = c.Lookup(name)
		require.NoError(t, err)
	}
	_, err = c.Lookup("bob")
	require.ErrorIs(t, err, petname.ErrNotFound)
}

// A linear copy is named once on the home that did not write, and it goes on.
func TestALinearCopyIsNamedOnce(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, err := copied(a, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	add(t, a, "bob", newKey(t).Pointer())
	dir := t.TempDir()
	for _, one := range []*agent.Agent{a, b, a} {
		_, err := one.Sync(t.Context(), agent.SyncOptions{Dir: dir})
		require.NoError(t, err)
	}
	require.NoError(t, a.Notice())
	require.ErrorContains(t, b.Notice(), "another copy of this home is in use")
	require.NoError(t, b.Notice())
	ok := map[string]bool{}
	for _, c := range b.Check(t.Context()) {
		ok[c.Name] = c.OK
	}
	require.False(t, ok["copies"])
	add(t, b, "carol", newKey(t).Pointer())
}

// Another identity's invitation, and that of a home that is whole, change nothing.
func TestAnInvitationOfAnotherIdentityChangesNothing(t *testing.T) {
	hub := served(t, nil)
	lost, _, _, _ := fork(t, hub)
	stranger := opened(t)
	join(t, stranger, addrs(t, hub)...)
	require.NoError(t, lost.Close())
	for _, byCode := range []bool{false, true} {
		ctx, cancel := context.WithCancel(t.Context())
		invited, err := stranger.InviteDevice(ctx, agent.DeviceTerms{WithKey: true, Awaited: true})
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = stranger.AwaitDevice(ctx, invited.ID)
		}()
		j := agent.DeviceJoin{Invitation: invited.Link}
		if byCode {
			j = agent.DeviceJoin{Invitation: invited.Code, Networks: addrs(t, hub)}
		}
		_, _, err = agent.JoinBook(ctx, lost.Dir(), j, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
		require.ErrorIs(t, err, home.ErrExists)
		require.NoDirExists(t, filepath.Join(lost.Dir(), ".rejoining"))
		cancel()
		<-done
	}
	a, err := agent.Open(t.Context(), lost.Dir(), agent.Options{})
	require.NoError(t, err)
	defer a.Close()
	require.ErrorContains(t, a.Notice(), "does not count")
}

// A joining that was interrupted after the pairing leaves the home as it was, or as it is in the
// end, and the same call continues it.
func TestAnInterruptedRejoiningContinues(t *testing.T) {
	hub := served(t, nil)
	lost, _, other, names := fork(t, hub)
	require.NoError(t, lost.Close())
	invited, err := other.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: true, Awaited: true})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := other.AwaitDevice(t.Context(), invited.ID)
		done <- err
	}()
	ctx, cancel := context.WithCancel(t.Context())
	j := agent.DeviceJoin{Invitation: invited.Link, Progress: func(bool, int64) { cancel() }}
	o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient}
	_, _, err = agent.JoinBook(ctx, lost.Dir(), j, o)
	require.ErrorIs(t, err, context.Canceled)
	_, err = os.Lstat(filepath.Join(lost.Dir(), ".rejoining"))
	begun := err == nil
	a, err := agent.Open(t.Context(), lost.Dir(), agent.Options{})
	require.NoError(t, err)
	require.Equal(t, begun, a.Notice() != nil)
	require.NoError(t, a.Close())
	j.Progress = nil
	a, joined, err := agent.JoinBook(t.Context(), lost.Dir(), j, o)
	require.NoError(t, err)
	defer a.Close()
	require.NoError(t, <-done)
	require.Equal(t, 1, joined.Again.Entered)
	for _, name := range names {
		_, err := a.Lookup(name)
		require.NoError(t, err)
	}
	require.NoDirExists(t, filepath.Join(lost.Dir(), ".rejoining"))
}

// A device that has written nothing joins again, and leaves no device that nothing uses.
func TestADeviceThatHasWrittenNothingJoinsAgain(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	add(t, a, "bob", newKey(t).Pointer())
	b, old := joinedBy(t, a, true, false)
	require.NoError(t, b.Close())
	c, joined, _ := again(t, a, b.Dir(), nil)
	require.NotEqual(t, old.Device, joined.Device)
	require.Zero(t, joined.Again.Entered)
	require.Empty(t, joined.Again.Conflicts)
	_, err := c.Lookup("bob")
	require.NoError(t, err)
	devices, err := c.Devices()
	require.NoError(t, err)
	require.Len(t, devices, 3)
}

// A home that joins again by a device code of its own is refused, and the code is not used: no
// other device would answer it.
func TestAHomeDoesNotJoinByItsOwnCode(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	invited, err := a.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: true, Awaited: true})
	require.NoError(t, err)
	require.NoError(t, a.Close())
	for _, code := range []string{invited.Code, strings.TrimPrefix(invited.Code, "device-")} {
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		_, _, err = agent.JoinBook(ctx, a.Dir(), agent.DeviceJoin{Invitation: code, Networks: addrs(t, hub), Again: true}, agent.Options{Transport: loopback()})
		cancel()
		require.ErrorIs(t, err, pair.ErrSelf)
	}
}

// A home that has rotated its key joins again by an invitation under a later key of its owner,
// which the home does not know.
func TestAHomeThatHasRotatedJoinsAgainByALaterKey(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, old := joinedBy(t, a, true, false)
	rotate := func() {
		_, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
		require.NoError(t, err)
	}
	rotate()
	for range 5 {
		syncAll(t, agent.SyncOptions{}, a, phone)
	}
	require.Equal(t, a.Pointer(), phone.Pointer())
	add(t, phone, "late", newKey(t).Pointer())
	_, err := a.RemoveDevice(old.Device)
	require.NoError(t, err)
	rotate()
	require.NoError(t, phone.Close())
	_, joined, _ := again(t, a, phone.Dir(), nil)
	require.Equal(t, a.Pointer(), joined.Pointer)
	require.Equal(t, 1, joined.Again.Entered)
}
