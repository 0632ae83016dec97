package agent_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// A removal that failed after the entry that removes the device is finished by a repetition, or
// by a publication, once.
func TestARemovalThatWasInterruptedIsFinished(t *testing.T) {
	for _, by := range []string{"repetition", "publication"} {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		_, joined := joinedBy(t, a, true, false)
		h := agent.HomeOf(a)
		s, err := h.Sealing()
		require.NoError(t, err)
		stolen := s.PublicKeys()
		name := filepath.Join(a.Dir(), "sealing.key")
		require.NoError(t, os.Rename(name, name+".aside"))
		require.NoError(t, os.Mkdir(name, 0o700))
		_, err = a.RemoveDevice(joined.Device)
		require.ErrorContains(t, err, "is removed, but")
		_, err = a.FinishRemoval(joined.Device)
		require.Error(t, err)
		unfinished, err := a.UnfinishedRemovals()
		require.NoError(t, err)
		require.Len(t, unfinished, 1)
		require.True(t, unfinished[0].Removed)
		require.NoError(t, os.Remove(name))
		require.NoError(t, os.Rename(name+".aside", name))

		if by == "publication" {
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
			require.NoError(t, err)
		} else {
			finished, err := a.FinishRemoval(joined.Device)
			require.NoError(t, err)
			require.True(t, finished)
		}
		s, err = h.Sealing()
		require.NoError(t, err)
		require.NotEqual(t, stolen, s.PublicKeys())
		finished, err := a.FinishRemoval(joined.Device)
		require.NoError(t, err)
		require.False(t, finished)
		again, err := h.Sealing()
		require.NoError(t, err)
		require.Equal(t, s.PublicKeys(), again.PublicKeys())
	}
}
