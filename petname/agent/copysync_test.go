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
