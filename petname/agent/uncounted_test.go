package agent_test

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
)

// uncounted returns the only branch with acts that do not count.
func uncounted(t *testing.T, a *agent.Agent) agent.UncountedBranch {
	t.Helper()
	all, err := a.Uncounted()
	require.NoError(t, err)
	require.Len(t, all, 1)
	return all[0]
}

// A restored backup that went on writing, and whose branch counts, undoes on all devices what the
// lost home had synced. Each device names these acts, and the way that it states brings all back.
func TestWhatARestoredBackupUndoesIsNamedAndComesBack(t *testing.T) {
	hub := served(t, nil)
	gone, restored, other, names := fork(t, hub)
	require.NoError(t, gone.Close()) // and its folder with it
	_, err := other.Lookup(names[gone])
	require.ErrorIs(t, err, petname.ErrNotFound, "undone")
	for _, a := range []*agent.Agent{restored, other} {
		b := uncounted(t, a)
		require.Equal(t, a == restored, b.Device.This)
		require.Equal(t, 1, b.Acts)
		require.Equal(t, names[gone], b.Last.Name)
		notice := a.Notice()
		var named *agent.UncountedError
		require.ErrorAs(t, notice, &named)
		require.ErrorContains(t, notice, names[gone])
		require.NoError(t, a.Notice(), "once")
		found := check(a, t, "book")
		require.False(t, found.OK)
		require.Contains(t, found.Detail, "1 change, the last one name \""+names[gone]+"\"")
	}
	b := uncounted(t, other)
	_, err = other.RemoveDeviceAfter(b.Head)
	require.NoError(t, err)
	all, err := other.Uncounted()
	require.NoError(t, err)
	require.Empty(t, all)
	require.NoError(t, restored.Close())
	a, joined, _ := again(t, other, restored.Dir(), nil)
	require.Equal(t, 1, joined.Again.Entered)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, other)
	for _, one := range []*agent.Agent{a, other} {
		for _, name := range names {
			_, err := one.Lookup(name)
			require.NoError(t, err)
		}
		require.True(t, check(one, t, "book").OK)
		require.NoError(t, one.Notice())
	}
}

// A home that entered the acts of its branch anew names them no more, and the copy that does not
// count names its own by the notice of the fork.
func TestActsThatWereEnteredAnewAreNotNamed(t *testing.T) {
	hub := served(t, nil)
	lost, _, other, _ := fork(t, hub)
	all, err := lost.Uncounted()
	require.NoError(t, err)
	require.Empty(t, all)
	require.NoError(t, lost.Close())
	a, _, _ := again(t, other, lost.Dir(), nil)
	all, err = a.Uncounted()
	require.NoError(t, err)
	require.Empty(t, all)
	uncounted(t, other)
}

// A device that was removed has written acts that one device has received, and the one that removed
// it has not: the merge of the removal takes them back, names them, and logs them once.
func TestActsThatARemovalTakesBackAreNamed(t *testing.T) {
	var log bytes.Buffer
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	dir := b.Dir()
	require.NoError(t, b.Close())
	b, err := agent.Open(t.Context(), dir, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient, Log: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	phone, joined := joinedBy(t, a, false, false)
	add(t, phone, "early", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, b, phone)
	add(t, phone, "late", newKey(t).Pointer())
	add(t, phone, "later", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, b, phone)
	_, err = b.Lookup("later")
	require.NoError(t, err)
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	taken, err := b.TakenBack()
	require.NoError(t, err)
	require.Empty(t, taken)
	for range 2 {
		syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, b)
	}
	_, err = b.Lookup("later")
	require.ErrorIs(t, err, petname.ErrNotFound)
	_, err = b.Lookup("early")
	require.NoError(t, err)
	taken, err = b.TakenBack()
	require.NoError(t, err)
	require.Len(t, taken, 1)
	require.Equal(t, 2, taken[0].Acts)
	require.Equal(t, "later", taken[0].Last.Name)
	require.ErrorContains(t, errors.New(taken[0].String()), "was removed, and what it wrote after its entry 1 does not count: 2 changes, the last one name \"later\"")
	require.Equal(t, 1, strings.Count(log.String(), "was removed, and what it wrote"))
	all, err := b.Uncounted()
	require.NoError(t, err)
	require.Empty(t, all)
	require.NoError(t, b.Notice())
	require.True(t, check(b, t, "book").OK)
}

// A fork that was noted, and a home that joined again, prevent no publication.
func TestADevicePublishesAfterAForkWasNoted(t *testing.T) {
	hub := served(t, nil)
	lost, counts, other, _ := fork(t, hub)
	publishes := func(a *agent.Agent) {
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
	}
	for _, a := range []*agent.Agent{counts, other} {
		require.Error(t, a.Notice())
		publishes(a)
	}
	require.NoError(t, lost.Close())
	a, _, _ := again(t, other, lost.Dir(), nil)
	publishes(a)
}

// A backup is restored 40 days after the lost home wrote and synced "gone": the acts that its
// branch undoes are named.
func TestWhatAnOlderBackupUndoesIsNamed(t *testing.T) {
	for { // until the branch of the backup is the one that counts
		hub := served(t, nil)
		off := time.Duration(0)
		clock := func() time.Time { return time.Now().Add(off) }
		o := agent.Options{Create: &agent.Profile{}, Transport: loopback(), JoinTimeout: 2 * patient, Now: clock}
		one := openedWith(t, o)
		join(t, one, addrs(t, hub)...)
		invited, err := one.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: true, Awaited: true})
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { _, err := one.AwaitDevice(t.Context(), invited.ID); done <- err }()
		other, _, err := agent.JoinBook(t.Context(), filepath.Join(t.TempDir(), "phone"), agent.DeviceJoin{Invitation: invited.Link, Name: "phone"}, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient, Now: clock})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, other.Close()) })
		require.NoError(t, <-done)
		two, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient, Now: clock})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, two.Close()) })
		add(t, one, "gone", newKey(t).Pointer())
		dir := t.TempDir()
		for _, a := range []*agent.Agent{one, other} {
			_, err := a.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
		_, err = other.Lookup("gone")
		require.NoError(t, err)
		off = 40 * 24 * time.Hour
		add(t, two, "restored", newKey(t).Pointer())
		for _, a := range []*agent.Agent{two, other, two} {
			_, err := a.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
		if _, err = other.Lookup("gone"); err == nil {
			continue // the other branch counts
		}
		require.ErrorIs(t, err, petname.ErrNotFound)
		all, err := other.Uncounted()
		require.NoError(t, err)
		require.Len(t, all, 1)
		require.Equal(t, "gone", all[0].Last.Name)
		require.ErrorAs(t, other.Notice(), new(*agent.UncountedError))
		off += 29 * 24 * time.Hour
		require.Equal(t, "gone", uncounted(t, other).Last.Name)
		off += 2 * 24 * time.Hour
		all, err = other.Uncounted()
		require.NoError(t, err)
		require.Empty(t, all, "this device has named it for 30 days")
		require.NoError(t, other.Notice())
		rows, err := agent.UncountedRows(other)
		require.NoError(t, err)
		require.Equal(t, 1, rows, "the one that ends the naming")
		require.NoError(t, other.Notice())
		return
	}
}

// A removal that a removal by another device takes back, as the smaller hash of the two decides, is
// in the list of what the home that joins again did not enter: the owner removes the device again.
func TestARemovalThatIsTakenBackIsNamed(t *testing.T) {
	for { // until the hashes are so
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		b, _ := joinedBy(t, a, true, false)
		_, stolen := joinedBy(t, a, true, false)
		dir := t.TempDir()
		syncAll(t, agent.SyncOptions{Dir: dir}, a, b)
		_, err := a.RemoveDevice(stolen.Device)
		require.NoError(t, err)
		devices, err := b.Devices()
		require.NoError(t, err)
		_, err = b.RemoveDevice(devices[0].ID)
		require.NoError(t, err)
		for range 2 {
			for _, one := range []*agent.Agent{b, a} {
				_, err := one.Sync(t.Context(), agent.SyncOptions{Dir: dir})
				require.NoError(t, err)
			}
		}
		require.NoError(t, a.Close())
		_, joined, _ := again(t, b, a.Dir(), nil)
		devices, err = b.Devices()
		require.NoError(t, err)
		i := slices.IndexFunc(devices, func(d agent.Device) bool { return d.ID == stolen.Device })
		if devices[i].Removed {
			require.Empty(t, joined.Again.Conflicts)
			continue
		}
		named := uncounted(t, b)
		require.Len(t, named.Restored, 1)
		require.Equal(t, stolen.Device, named.Restored[0].ID)
		require.Contains(t, named.String(), "which is in your book")
		require.ErrorAs(t, b.Notice(), new(*agent.UncountedError))
		require.Len(t, joined.Again.Conflicts, 1)
		require.Equal(t, petname.OpRetire, joined.Again.Conflicts[0].Op)
		require.Equal(t, devices[i].Name, joined.Again.Conflicts[0].Mine)
		_, err = b.RemoveDevice(stolen.Device)
		require.NoError(t, err)
		return
	}
}

// apart returns two copies of a home that have written, another device of the owner, and a tablet
// that the second copy admitted with the key and that has written, all after they have met.
func apart(t *testing.T) (one, two, other, tablet *agent.Agent, id ledger.DeviceID) {
	hub := served(t, nil)
	one = opened(t)
	join(t, one, addrs(t, hub)...)
	other, _ = joinedBy(t, one, true, false)
	two, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	t.Cleanup(func() { two.Close() })
	add(t, one, "of one", newKey(t).Pointer())
	tablet, joined := joinedBy(t, two, true, false)
	add(t, tablet, "of the tablet", newKey(t).Pointer())
	dir := t.TempDir()
	for range 3 {
		for _, a := range []*agent.Agent{one, two, other, tablet} {
			_, err := a.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
	}
	return one, two, other, tablet, joined.Device
}

// The branch of a lost home is to count, not that of its restored backup, which has admitted a
// tablet: that the tablet is no device of the book any more is named by all devices and by the
// backup when it joins again, and nothing of the tablet's is lost when that joins again.
func TestADeviceThatARestoredBackupAdmittedIsNamed(t *testing.T) {
	one, restored, other, tablet, id := apart(t)
	require.NoError(t, one.Close()) // and its folder with it
	devices, err := other.Devices()
	require.NoError(t, err)
	_, err = other.RemoveDevice(devices[0].ID)
	var choice *agent.BranchError
	require.ErrorAs(t, err, &choice)
	i := slices.IndexFunc(choice.Branches, func(b agent.Branch) bool { return b.Acts[len(b.Acts)-1].Name == "of one" })
	_, err = other.RemoveDeviceAfter(choice.Branches[i].Head)
	require.NoError(t, err)
	_, err = other.Lookup("of the tablet")
	require.ErrorIs(t, err, petname.ErrNotFound)
	b := uncounted(t, other)
	require.True(t, b.Unadmitted)
	require.Equal(t, "of the tablet", b.Last.Name)
	require.Equal(t, id, b.Device.ID)
	require.Contains(t, b.String(), "is in your book no more")
	require.ErrorAs(t, other.Notice(), new(*agent.UncountedError))
	require.NoError(t, other.Notice(), "once")
	require.False(t, check(other, t, "book").OK)
	require.NoError(t, restored.Close())
	a, joined, _ := again(t, other, restored.Dir(), nil)
	require.Len(t, joined.Again.Conflicts, 1)
	require.Equal(t, petname.OpAdmit, joined.Again.Conflicts[0].Op)
	require.Equal(t, b.Device.Name, joined.Again.Conflicts[0].Mine)
	require.NoError(t, tablet.Close())
	back, joined, _ := again(t, other, tablet.Dir(), nil)
	require.Empty(t, joined.Again.Conflicts)
	require.True(t, joined.WithKey)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, other, back)
	for _, one := range []*agent.Agent{a, other, back} {
		for _, name := range []string{"of one", "of the tablet"} {
			_, err := one.Lookup(name)
			require.NoError(t, err)
		}
	}
}

// A device that a branch admitted with the key which does not count has the key, and is listed so,
// until its removal as well. It can be confirmed.
func TestADeviceThatABranchAdmittedHasTheKey(t *testing.T) {
	for { // until the other branch counts
		_, _, other, _, id := apart(t)
		d := deviceIn(t, other, id)
		require.False(t, d.Removed)
		require.True(t, d.IdentityKey)
		if !d.Unconfirmed {
			continue
		}
		_, err := other.ConfirmDevice(id)
		require.NoError(t, err)
		d = deviceIn(t, other, id)
		require.True(t, d.IdentityKey)
		require.False(t, d.Unconfirmed)
		d, err = other.RemoveDevice(id)
		require.NoError(t, err)
		require.True(t, d.IdentityKey)
		return
	}
}

// What a home noted of a branch that does not count is deleted when the branch counts. Until then it
// is named once.
func TestWhatWasNotedOfABranchIsDeletedWithIt(t *testing.T) {
	hub := served(t, nil)
	lost, _, other, _ := fork(t, hub)
	rows := func() int {
		n, err := agent.UncountedRows(other)
		require.NoError(t, err)
		return n
	}
	require.ErrorAs(t, other.Notice(), new(*agent.UncountedError))
	require.Equal(t, 2, rows(), "notified, and logged")
	require.NoError(t, other.Notice())
	require.Equal(t, 2, rows())
	require.NoError(t, lost.Close())
	_, err := other.RemoveDeviceAfter(uncounted(t, other).Head)
	require.NoError(t, err)
	require.NoError(t, other.Notice())
	require.Zero(t, rows())
}

// afterBackup returns two devices of the owner of a fork that both know: a lost home removed a
// stolen device, and its restored backup, whose branch counts, wrote something else. The branches
// are those of the device as the first of the two devices shows them.
func afterBackup(t *testing.T) (server, other, stolen *agent.Agent, choice *agent.BranchError) {
	for { // until the branch of the backup counts
		hub := served(t, nil)
		server = opened(t)
		join(t, server, addrs(t, hub)...)
		desk, joined := joinedBy(t, server, true, false)
		other, _ = joinedBy(t, server, true, false)
		thief, of := joinedBy(t, server, true, false)
		dir := t.TempDir()
		syncAll(t, agent.SyncOptions{Dir: dir}, server, desk, other, thief)
		backup, err := copied(desk, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, backup.Close()) })
		_, err = desk.RemoveDevice(of.Device)
		require.NoError(t, err)
		add(t, desk, "of the desk", newKey(t).Pointer())
		add(t, backup, "of the backup", newKey(t).Pointer())
		for range 2 {
			for _, a := range []*agent.Agent{desk, backup, server, other} {
				_, err := a.Sync(t.Context(), agent.SyncOptions{Dir: dir})
				require.NoError(t, err)
			}
		}
		for _, a := range []*agent.Agent{server, other} {
			require.True(t, deviceIn(t, a, of.Device).Removed, "a fork undoes no removal")
		}
		_, err = server.RemoveDevice(joined.Device)
		require.ErrorAs(t, err, &choice)
		if _, err := server.Lookup("of the backup"); err == nil {
			return server, other, thief, choice
		}
	}
}

// A choice of a branch gives no device back that the other branch removed: the choice names it
// before, and its removal is signed again. What stands is not counted as what does not.
func TestAChoiceOfABranchKeepsRemovalsOfTheOther(t *testing.T) {
	server, other, thief, choice := afterBackup(t)
	stolen := agent.BookOf(thief).Ledger().Device()
	for _, a := range []*agent.Agent{server, other} {
		b := uncounted(t, a)
		require.Equal(t, 1, b.Acts, "without the removal, which stands")
		require.Equal(t, "of the desk", b.Last.Name)
		require.ErrorAs(t, a.Notice(), new(*agent.UncountedError))
	}
	counts := choice.Branches[0]
	require.True(t, counts.Counts())
	require.Len(t, counts.Effect.Kept, 1)
	require.Equal(t, stolen, counts.Effect.Kept[0].ID)
	require.Empty(t, choice.Branches[1].Effect.Kept)
	require.Len(t, choice.Effect.Kept, 1, "of the last shared entry as well")
	_, err := server.RemoveDeviceAfter(counts.Head)
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, server, other)
	for _, a := range []*agent.Agent{server, other} {
		require.True(t, deviceIn(t, a, stolen).Removed)
		require.True(t, deviceIn(t, a, choice.Device.ID).Removed)
		all, err := a.Uncounted()
		require.NoError(t, err)
		require.Empty(t, all)
	}
}

// A device that comes back by a choice of a branch is named once by each device, although the
// branch that had removed it was known before.
func TestADeviceThatComesBackIsNamedByEachDevice(t *testing.T) {
	for { // until the hashes of the removals are so
		server, other, thief, choice := afterBackup(t)
		stolen := agent.BookOf(thief).Ledger().Device()
		for _, a := range []*agent.Agent{server, other} {
			require.ErrorAs(t, a.Notice(), new(*agent.UncountedError))
			require.Empty(t, uncounted(t, a).Restored)
		}
		_, err := server.RemoveDeviceAfter(choice.Branches[0].Head, stolen)
		require.NoError(t, err)
		syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, server, other)
		if deviceIn(t, server, stolen).Removed {
			continue
		}
		for _, a := range []*agent.Agent{server, other} {
			require.False(t, deviceIn(t, a, stolen).Removed)
			b := uncounted(t, a)
			require.Len(t, b.Restored, 1)
			require.Equal(t, stolen, b.Restored[0].ID)
			notice := a.Notice()
			require.ErrorAs(t, notice, new(*agent.UncountedError))
			require.ErrorContains(t, notice, "which is in your book")
			require.NoError(t, a.Notice(), "once")
		}
		return
	}
}
