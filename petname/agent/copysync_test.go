package agent_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// Two copies of a home that meet the other device by messages alone are found at once: each notice,
// and each check, names the other copy, and what both wrote arrives everywhere on the first day.
func TestCopiesThatSyncByMessagesAloneAreNamed(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	one, _ := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, one)
	two, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, two.Close()) })
	agent.SetPatience(two, 0)
	names := map[*agent.Agent]string{one: "of one", two: "of two"}
	for x, name := range names {
		add(t, x, name, newKey(t).Pointer())
	}
	named := map[*agent.Agent]int{} // round
	for round := 1; round <= 16; round++ {
		for _, x := range []*agent.Agent{one, two, a} {
			_, _ = x.Sync(t.Context(), agent.SyncOptions{}) // the fork is reported once
			f, err := x.Fork()
			require.NoError(t, err)
			if x == a || f.IsZero() || named[x] > 0 {
				continue
			}
			named[x] = round
			notice := x.Notice()
			require.ErrorContains(t, notice, "another copy of this home")
			if f.Stated > 0 {
				require.ErrorContains(t, notice, "states that it has entry 1 of this device")
				require.NoError(t, x.Notice(), "once")
				require.False(t, check(x, t, "copies").OK)
				require.EqualValues(t, 1, f.Stated)
				devices, err := x.Devices()
				require.NoError(t, err)
				require.Equal(t, devices[0].ID, f.StatedBy)
				add(t, x, "more "+names[x], newKey(t).Pointer()) // it is a notice, and no more
			}
		}
	}
	for x, round := range named {
		require.LessOrEqual(t, round, 6, names[x])
	}
	require.Len(t, named, 2)
	lost := 0
	for _, x := range []*agent.Agent{one, two, a} {
		require.Equal(t, digest(t, a), digest(t, x))
		f, err := x.Fork()
		require.NoError(t, err)
		require.Zero(t, f.Stated, "the entries are here")
		require.Equal(t, x != a, f.Forked)
		if f.Lost != nil {
			lost++
		}
	}
	require.Equal(t, 1, lost)
}

// A restored backup that writes one entry more is named at its first sync, also by messages alone,
// although the home from which the backup was made is there no more.
func TestARestoredBackupIsNamedAtItsFirstSync(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	one, _ := joinedBy(t, a, true, false)
	add(t, one, "zero", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, one)
	back, err := copied(one, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, back.Close()) })
	agent.SetPatience(back, 0)
	add(t, one, "of one", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, one)
	require.NoError(t, one.Close())
	add(t, back, "of back", newKey(t).Pointer())
	_, err = back.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, back.Notice(), "states that it has entry 2 of this device")
	for range 4 {
		for _, x := range []*agent.Agent{a, back} {
			_, _ = x.Sync(t.Context(), agent.SyncOptions{}) // the fork is reported once
		}
	}
	require.Equal(t, digest(t, a), digest(t, back))
	devices, err := a.Devices()
	require.NoError(t, err)
	require.True(t, devices[1].Forked, "what it wrote is at the other device as well")
}
