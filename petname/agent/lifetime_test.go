package agent_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// An agent that starts shortly before the owner's record expires renews it for the
// lifetime that publish was asked for, also after a restart.
func TestARenewalHasTheLifetimeThatWasAskedFor(t *testing.T) {
	for _, life := range []time.Duration{5 * time.Minute, 30 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "home")
			a, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{}})
			require.NoError(t, err)
			_, err = a.Publish(t.Context(), draft(agent.WaitNone, func(d *agent.Draft) { d.Lifetime = life }))
			require.NoError(t, err)
			require.NoError(t, a.Close())
			time.Sleep(life - 2*time.Minute)

			a, err = agent.Open(t.Context(), dir, agent.Options{})
			require.NoError(t, err)
			defer a.Close()
			r := &holding{}
			usesFake(t, a, r)
			require.NoError(t, a.Start(t.Context()))
			time.Sleep(2 * time.Second)
			synctest.Wait()
			renewed := held(t, a, a.Pointer())
			require.EqualValues(t, 2, renewed.Sequence())
			require.WithinDuration(t, time.Now().Add(life), renewed.Expires(), 5*time.Second)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			require.EqualValues(t, 2, held(t, a, a.Pointer()).Sequence(), "not each minute")
		})
	}
}

// The lifetime of a record of an older version is unknown. Its renewal is not for
// the minutes that were left.
func TestARenewalOfAnUnknownLifetimeIsForTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		id, err := agent.HomeOf(a).Identity()
		require.NoError(t, err)
		key, err := id.Key("")
		require.NoError(t, err)
		old, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 7, Expires: time.Now().Add(2 * time.Minute)})
		require.NoError(t, err)
		_, err = agent.RecordsOf(a).Put(t.Context(), old.Pointer(), old.Bytes())
		require.NoError(t, err)
		require.Zero(t, agent.LifetimeOf(a, old))
		r := &holding{}
		usesFake(t, a, r)
		require.NoError(t, a.Start(t.Context()))
		time.Sleep(90 * time.Second)
		synctest.Wait()
		renewed := held(t, a, a.Pointer())
		require.EqualValues(t, 8, renewed.Sequence())
		require.WithinDuration(t, time.Now().Add(agent.DefaultLifetime), renewed.Expires(), time.Minute)
		require.Equal(t, agent.DefaultLifetime, agent.LifetimeOf(a, renewed))
	})
}
