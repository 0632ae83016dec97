package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
)

// interrupted returns an agent that has rotated, with the journal of the rotation left as
// by a crash, and its identity. sealing is the sum of the sealing keys before it.
func interrupted(t *testing.T, sealing string) (*agent.Agent, agent.Identity) {
	t.Helper()
	a := opened(t)
	old := a.Pointer()
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	id, err := a.Identity()
	require.NoError(t, err)
	journal := fmt.Sprintf("# petname rotation 1\n# from: %s\n# to: %s\n# next: %s\n# sealing: %s\n# recovery: \"\"\n", old, id.Pointer, id.Next, sealing)
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "rotation.journal"), []byte(journal), 0o600))
	return a, id
}

// A rotation that was interrupted stays on record after other calls in between, also by
// other processes: the next rotation returns it, and rotates no further. A publication
// ends that.
func TestAnInterruptedRotationStaysOnRecord(t *testing.T) {
	a, id := interrupted(t, "none")
	for _, published := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "b")
		b, err := copied(a, dir, agent.Options{})
		require.NoError(t, err)
		require.NoFileExists(t, filepath.Join(dir, "rotation.journal"))
		for range 2 { // other verbs
			require.NoError(t, b.Close())
			b, err = agent.Open(t.Context(), dir, agent.Options{})
			require.NoError(t, err)
			add(t, b, fmt.Sprintf("bob%s", newKey(t).Pointer().String()[50:]), newKey(t).Pointer())
		}
		defer b.Close()
		if published {
			_, err := b.Publish(t.Context(), draft(agent.WaitNone))
			require.NoError(t, err)
		}
		out, err := b.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		require.Equal(t, !published, out.Resumed)
		require.Equal(t, !published, out.Pointer == id.Pointer)
	}
}

// The notice of an interrupted rotation stays while the home is open, as in a node, until
// the owner publishes; that of a damaged identity key until it is whole again.
func TestANoticeStaysWhileItIsTrue(t *testing.T) {
	a, _ := interrupted(t, "none")
	b, err := copied(a, filepath.Join(t.TempDir(), "b"), agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	for range 2 {
		require.ErrorContains(t, b.Notice(), "has been finished")
	}
	_, err = b.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.NoError(t, b.Notice())
	require.NoError(t, b.Close())

	file := filepath.Join(b.Dir(), "identity.key")
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("garbage"), 0o600))
	b, err = agent.Open(t.Context(), b.Dir(), agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	for range 2 {
		require.ErrorContains(t, b.Notice(), "identity.key")
	}
	require.NoError(t, os.WriteFile(file, whole, 0o600))
	require.NoError(t, b.Notice())
}

// The sealing keys are damaged while a rotation is unfinished: the error names the file, and
// the rotation is finished once the keys were made anew.
func TestARotationIsFinishedAfterTheSealingKeysAreMadeAnew(t *testing.T) {
	a, id := interrupted(t, "none")
	dir := filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "sealing.key"), []byte("garbage"), 0o600))
	b, err := copied(a, dir, agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	_, err = b.Publish(t.Context(), draft(agent.WaitNone))
	require.Equal(t, "sealing.key", home.LostKey(err), "%v", err)
	require.Equal(t, []string{"sealing.key"}, b.LostKeys())
	_, err = b.NewKey("sealing.key")
	require.NoError(t, err)
	out, err := b.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.True(t, out.Resumed)
	require.Equal(t, id.Pointer, out.Pointer)
	_, err = b.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(dir, "rotation.journal"))
}

// The notice of a missing key ends when the key was made anew.
func TestANewKeyEndsTheNoticeOfAMissingOne(t *testing.T) {
	a := opened(t)
	dir := filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.Remove(filepath.Join(a.Dir(), "peer.key")))
	b, err := copied(a, dir, agent.Options{Transport: loopback()})
	require.NoError(t, err)
	defer b.Close()
	require.Equal(t, "peer.key", home.LostKey(b.Notice()))
	require.Equal(t, "peer.key", home.LostKey(b.Start(t.Context())))
	_, err = b.NewKey("peer.key")
	require.NoError(t, err)
	require.NoError(t, b.Notice())
	require.NoError(t, b.Start(t.Context()))
}

// A clock that is behind the book dates the new keys by the book: what was set aside is not
// erased when the clock is right again.
func TestNewSealingKeysUnderAClockThatIsBehindAreDatedByTheBook(t *testing.T) {
	a := opened(t)
	add(t, a, "bob", newKey(t).Pointer())
	dir := filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "sealing.key"), []byte("garbage"), 0o600))
	behind := func() time.Time { return time.Now().AddDate(0, 0, -40) }
	b, err := copied(a, dir, agent.Options{Now: behind})
	require.NoError(t, err)
	aside, err := b.NewKey("sealing.key")
	require.NoError(t, err)
	require.NoError(t, b.Close())
	b, err = agent.Open(t.Context(), dir, agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	_, err = b.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.FileExists(t, aside)
}
