package agent_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
)

// Two copies of a home whose device was removed join again. What the first one entered anew, and
// the owner has changed or removed since, the second one brings back only by a decision.
func TestASecondCopyOfARemovedDeviceBringsNothingBack(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	x, old := joinedBy(t, a, true, false)
	add(t, a, "bob", newKey(t).Pointer())
	dir := t.TempDir()
	syncAll(t, agent.SyncOptions{Dir: dir}, a, x)
	_, err := a.RemoveDevice(old.Device)
	require.NoError(t, err)
	add(t, x, "late", newKey(t).Pointer()) // after the removal, which it does not know of
	_, err = x.Rename("bob", "robert", petname.Source{})
	require.NoError(t, err)
	o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient}
	y, err := copied(x, filepath.Join(t.TempDir(), "copy"), o)
	require.NoError(t, err)
	require.NoError(t, x.Close())
	require.NoError(t, y.Close())

	x2, first, _ := again(t, a, x.Dir(), nil)
	require.Equal(t, 2, first.Again.Entered)
	_, err = x2.Remove("late")
	require.NoError(t, err)
	_, err = x2.Rename("robert", "bobby", petname.Source{})
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{Dir: dir}, a, x2)
	var asked []petname.ReentryReason
	y2, second, _ := again(t, a, y.Dir(), func(c petname.ReentryConflict) (bool, error) {
		asked = append(asked, c.Reason)
		return false, nil
	})
	require.Equal(t, []petname.ReentryReason{petname.ReentryRemoved, petname.ReentryChanged}, asked)
	require.Zero(t, second.Again.Entered)
	require.Len(t, second.Again.Conflicts, 2)
	syncAll(t, agent.SyncOptions{Dir: dir}, a, x2, y2)
	require.Equal(t, []string{"bobby false"}, names(t, a))
}

// The same of two copies of a home that does not count.
func TestASecondCopyThatDoesNotCountBringsNothingBack(t *testing.T) {
	hub := served(t, nil)
	lost, counts, other, written := fork(t, hub)
	o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient}
	second, err := copied(lost, filepath.Join(t.TempDir(), "copy2"), o)
	require.NoError(t, err)
	require.NoError(t, second.Close())
	require.NoError(t, lost.Close())
	x, joined, _ := again(t, counts, lost.Dir(), nil)
	require.Equal(t, 1, joined.Again.Entered)
	_, err = x.Remove(written[lost])
	require.NoError(t, err)
	dir := t.TempDir()
	syncAll(t, agent.SyncOptions{Dir: dir}, x, counts, other)
	y, joined, _ := again(t, other, second.Dir(), nil)
	require.Zero(t, joined.Again.Entered)
	require.Len(t, joined.Again.Conflicts, 1)
	syncAll(t, agent.SyncOptions{Dir: dir}, x, counts, other, y)
	_, err = counts.Lookup(written[lost])
	require.ErrorIs(t, err, petname.ErrNotFound)
}

// A joining that fails after it has taken over a rotated key leaves a home that opens, has followed
// the rotation and still does not count; the same call without the failure completes it.
func TestARejoiningThatFailsAfterARotationIsRepeated(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	x, _ := joinedBy(t, a, true, false)
	dir := t.TempDir()
	syncAll(t, agent.SyncOptions{Dir: dir}, a, x)
	o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient}
	y, err := copied(x, filepath.Join(t.TempDir(), "copy"), o)
	require.NoError(t, err)
	t.Cleanup(func() { y.Close() })
	bob := newKey(t).Pointer()
	add(t, x, "x", bob) // a conflict, about which the joining asks
	add(t, y, "y", bob)
	for range 2 {
		for _, one := range []*agent.Agent{a, x, y} {
			_, err := one.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
	}
	lost, counts := y, x
	if f, err := x.Fork(); err == nil && f.Lost != nil {
		lost, counts = x, y
	}
	rotated, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.NoError(t, lost.Close())
	invited, err := a.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: true, Awaited: true})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := a.AwaitDevice(t.Context(), invited.ID)
		done <- err
	}()
	failed := errors.New("no terminal")
	j := agent.DeviceJoin{Invitation: invited.Link, Name: "again", Again: true,
		Decide: func(petname.ReentryConflict) (bool, error) { return false, failed }}
	_, _, err = agent.JoinBook(t.Context(), lost.Dir(), j, o)
	require.ErrorIs(t, err, failed)
	require.NoError(t, <-done)
	l, err := agent.Open(t.Context(), lost.Dir(), agent.Options{Transport: loopback()})
	require.NoError(t, err)
	require.ErrorContains(t, l.Notice(), "does not count")
	require.Equal(t, rotated.Pointer, l.Pointer())
	_, err = l.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.ErrorIs(t, err, ledger.ErrFork)
	require.NoError(t, l.Close())
	j.Decide = nil
	z, joined, err := agent.JoinBook(t.Context(), lost.Dir(), j, o)
	require.NoError(t, err)
	defer z.Close()
	require.Len(t, joined.Again.Conflicts, 1)
	require.Equal(t, rotated.Pointer, z.Pointer())
	syncAll(t, agent.SyncOptions{Dir: dir}, a, z, counts)
	require.Equal(t, names(t, a), names(t, z))
}
