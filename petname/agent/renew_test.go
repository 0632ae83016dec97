package agent_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// unverified reports whether an error means that a record was rejected.
func unverified(err error) bool {
	return errors.Is(err, dht.ErrRejected) || errors.Is(err, pointer.ErrInvalid) || errors.Is(err, dht.ErrOlder) ||
		errors.As(err, new(*dht.RollbackError)) || errors.As(err, new(*pointer.ExpiredError))
}

// A renewal has the value, the TTL, the lifetime and the form of the old record,
// under the next sequence. It is signed with the passphrase of the agent.
func TestARenewalKeepsTheFieldsOfTheRecord(t *testing.T) {
	locked := openedWith(t, agent.Options{Transport: loopback(), Create: &agent.Profile{Passphrase: "horse", WorkFactor: 2}})
	wrong := locked.WithPassphrase(func() ([]byte, error) { return []byte("cow"), nil })
	a := locked.WithPassphrase(horse)
	r := newRouter(t)
	uses(t, a, r)
	for _, v1 := range []bool{false, true} {
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqaaa"), func(d *agent.Draft) {
			d.TTL, d.Lifetime, d.V1 = 7*time.Minute, 9*time.Hour, v1
		}))
		require.NoError(t, err)
		old := held(t, a, a.Pointer())
		require.Equal(t, v1, agent.HasV1(old.Bytes()))
		require.True(t, agent.IsLocked(locked))
		require.ErrorIs(t, agent.Renew(t.Context(), locked, old, 9*time.Hour), home.ErrLocked)
		require.ErrorIs(t, wrong.Unlock(), home.ErrPassphrase)
		require.True(t, agent.IsLocked(locked))
		require.NoError(t, a.Unlock())
		require.False(t, agent.IsLocked(a))
		require.NoError(t, agent.Renew(t.Context(), a, old, 9*time.Hour))
		renewed := held(t, a, a.Pointer())
		require.Equal(t, out.Sequence+1, renewed.Sequence())
		require.Equal(t, "/ipfs/bafkqaaa", renewed.Value())
		require.Equal(t, 7*time.Minute, renewed.TTL())
		require.Equal(t, v1, agent.HasV1(renewed.Bytes()))
		life := time.Until(renewed.Expires())
		require.Greater(t, life, 8*time.Hour)
		require.LessOrEqual(t, life, 9*time.Hour)
		// An unknown or too long lifetime is replaced by one that a publication
		// accepts.
		require.NoError(t, agent.Renew(t.Context(), a, old, 0))
		require.NoError(t, agent.Renew(t.Context(), a, old, 2*agent.MaxLifetime))
	}
	// A renewal fails if no peer stored it.
	old := held(t, a, a.Pointer())
	r.Close()
	require.True(t, agent.IsNetwork(agent.Renew(t.Context(), a, old, time.Hour)))
}
