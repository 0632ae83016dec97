package agent_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/agent"
)

// A removal that failed after the entry that removes the device is finished by a repetition, or
// by a publication, once.
func TestARemovalThatWasInterruptedIsFinished(t *testing.T) {
	unfinished := func(a *agent.Agent) bool {
		return slices.ContainsFunc(a.Check(t.Context()), func(c agent.Check) bool {
			return !c.OK && strings.Contains(c.Detail, "not replaced yet: remove it again, or publish")
		})
	}
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
		var unfinishedRemoval *agent.UnfinishedRemovalError
		require.ErrorAs(t, err, &unfinishedRemoval)
		require.Equal(t, joined.Device, unfinishedRemoval.Device)
		_, err = a.FinishRemoval(joined.Device)
		require.Error(t, err)
		require.True(t, unfinished(a))
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
		require.False(t, unfinished(a))
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

// A rotation signs the removals again under the new key, and so does a publication after
// an exchange with a device that did not know of the rotation; a repeated removal as well.
func TestARotationSignsRemovalsAgain(t *testing.T) {
	for _, repeated := range []bool{false, true} {
		testSignedAgain(t, repeated)
	}
}

// A thief has the key that the owner has rotated since, and removes the device of the owner that
// has the current one. Another device merges that removal, and publishes: it signs it not again,
// and when the owner removes the thief's device, that one alone is out.
func TestNoPublicationSignsTheRemovalOfAThiefAgain(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, _ := joinedBy(t, a, true, false)
	thief, stolen := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, phone)
	_, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{}, a, phone)
	own := agent.BookOf(a).Ledger().Device()
	_, err = thief.RemoveDevice(own)
	require.NoError(t, err)
	dir := t.TempDir()
	for _, one := range []*agent.Agent{thief, phone} {
		_, err := one.Sync(t.Context(), agent.SyncOptions{Dir: dir})
		require.NoError(t, err)
	}
	require.True(t, deviceIn(t, phone, own).Removed)
	_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	require.Contains(t, check(phone, t, "book").Detail, "with a former identity key")
	_, err = a.RemoveDevice(stolen.Device)
	require.NoError(t, err)
	dir = t.TempDir()
	for range 2 {
		for _, one := range []*agent.Agent{a, phone} {
			_, err := one.Sync(t.Context(), agent.SyncOptions{Dir: dir})
			require.NoError(t, err)
		}
	}
	for _, one := range []*agent.Agent{a, phone} {
		require.False(t, deviceIn(t, one, own).Removed)
		require.True(t, deviceIn(t, one, stolen.Device).Removed)
	}
	require.Contains(t, check(phone, t, "book").Detail, "it had removed device")
}

func testSignedAgain(t *testing.T, repeated bool) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	tablet, _ := joinedBy(t, a, true, false)
	_, phone := joinedBy(t, a, true, false)
	_, watch := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, tablet)
	removals := func(id ledger.DeviceID) (n int) {
		all, err := agent.BookOf(a).Ledger().Statements()
		require.NoError(t, err)
		for _, s := range all {
			if s.Kind == ledger.KindRemove && s.Device == id {
				n++
			}
		}
		return n
	}
	_, err := a.RemoveDevice(phone.Device)
	require.NoError(t, err)
	_, err = a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
	require.NoError(t, err)
	require.Equal(t, 2, removals(phone.Device))

	_, err = tablet.RemoveDevice(watch.Device)
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{Dir: t.TempDir()}, a, tablet)
	require.Equal(t, 1, removals(watch.Device))
	if repeated {
		renewed, err := a.RenewRemoval(watch.Device)
		require.NoError(t, err)
		require.True(t, renewed)
	} else {
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		require.Equal(t, 1, removals(watch.Device), "it may be a thief's")
		book := check(a, t, "book")
		require.False(t, book.OK)
		require.Contains(t, book.Detail, "with a former identity key")
		return
	}
	require.Equal(t, 2, removals(watch.Device))
	require.True(t, check(a, t, "book").OK)
	renewed, err := a.RenewRemoval(phone.Device)
	require.NoError(t, err)
	require.False(t, renewed, "the current key signed it")
	require.Equal(t, 2, removals(phone.Device))
}
