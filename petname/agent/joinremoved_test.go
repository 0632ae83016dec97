package agent_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
)

// A joining that is interrupted after the admission, of which the device is removed then, ends
// when it is repeated; and another invitation joins in the same folder, with a new device key,
// whether or not the first one was repeated. The same in a home that joins again.
func TestAnInterruptedJoiningOfARemovedDeviceEnds(t *testing.T) {
	for name, c := range map[string]struct{ again, repeated bool }{
		"new": {false, false}, "new, repeated": {false, true}, "again": {true, false}, "again, repeated": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			hub := served(t, nil)
			a := opened(t)
			join(t, a, addrs(t, hub)...)
			dir := filepath.Join(t.TempDir(), "phone")
			if c.again {
				b, old := joinedBy(t, a, true, false)
				dir = b.Dir()
				require.NoError(t, b.Close())
				_, err := a.RemoveDevice(old.Device)
				require.NoError(t, err)
			}
			o := agent.Options{Transport: loopback(), JoinTimeout: 2 * patient}
			invite := func(await func(ctx context.Context, id string) error) (agent.DeviceJoin, chan error) {
				invited, err := a.InviteDevice(t.Context(), agent.DeviceTerms{WithKey: true, Awaited: true})
				require.NoError(t, err)
				done := make(chan error, 1)
				go func() { done <- await(t.Context(), invited.ID) }()
				return agent.DeviceJoin{Invitation: invited.Link, Name: "phone", Again: c.again}, done
			}
			ctx, cancel := context.WithCancel(t.Context())
			first, done := invite(func(_ context.Context, id string) error { return agent.AwaitPairing(ctx, a, id) })
			interrupted := first
			interrupted.Progress = func(bool, int64) { cancel() }
			_, _, err := agent.JoinBook(ctx, dir, interrupted, o)
			require.ErrorIs(t, err, context.Canceled)
			<-done
			provisional := filepath.Join(dir, ".joining")
			if c.again {
				provisional = filepath.Join(dir, ".rejoining")
			}
			dangling, err := agent.AdmitJoining(a, provisional)
			require.NoError(t, err)
			_, err = a.RemoveDevice(dangling)
			require.NoError(t, err)

			if c.repeated {
				require.NoError(t, agent.StepInvitations(t.Context(), a), "it is answered in the network, and forgotten")
				_, _, err = agent.JoinBook(t.Context(), dir, first, o)
				require.ErrorIs(t, err, petname.ErrDeviceRemoved)
			}
			second, done := invite(func(ctx context.Context, id string) error {
				_, err := a.AwaitDevice(ctx, id)
				return err
			})
			b, joined, err := agent.JoinBook(t.Context(), dir, second, o)
			require.NoError(t, err)
			defer b.Close()
			require.NoError(t, <-done)
			require.NotEqual(t, dangling, joined.Device)
		})
	}
}
