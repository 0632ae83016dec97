package agent_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// The owner removes a device and publishes: a device that does not know of it does not bring the
// keys of the removed device back into the card, by a publication or a renewal, before it has
// exchanged entries.
func TestAPublicationBringsNoKeysOfARemovedDeviceBack(t *testing.T) {
	a, tablet, phone, joined := threeDevices(t)
	agent.SetPatience(tablet, 0)
	stolen := sealingOf(t, phone)
	_, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)

	_, err = tablet.PublishDraft(t.Context(), draft(agent.WaitAll))
	var unmerged *agent.UnmergedError
	require.ErrorAs(t, err, &unmerged)
	require.Equal(t, sequence(t, a), unmerged.Sequence)
	agent.MarkMerged(tablet)
	require.Error(t, agent.RenewForDevices(t.Context(), tablet))
	require.NotEqual(t, stolen, card(t, a).Sealing[0].Key)

	agent.SetPatience(a, 0)
	_, err = a.Sync(t.Context(), agent.SyncOptions{}) // puts what the publication fetches
	require.NoError(t, err)
	_, err = tablet.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	require.NotEqual(t, stolen, card(t, tablet).Sealing[0].Key)
}

// A publication of a device that lacks the end of a public edge does not make it public again; one
// whose owner insists does.
func TestAPublicationEndsNoChangeOfAnotherDevice(t *testing.T) {
	a, b := twoSigners(t)
	_, err := b.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err, "it knows of the publication")
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err, "the cards are equal")

	require.NoError(t, a.Unshare("xa"))
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	_, err = b.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.ErrorAs(t, err, new(*agent.UnmergedError))
	require.Empty(t, card(t, b).Edges, "as its look-up returned")
	_, err = b.PublishDraft(t.Context(), draft(agent.WaitAll, func(d *agent.Draft) { d.DespiteCopy = true }))
	require.NoError(t, err)
	require.Len(t, card(t, b).Edges, 1)

	received := false
	for range 3 {
		_, err := a.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
		s, err := b.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
		require.Equal(t, s.Received > 0, s.CardChanged)
		received = received || s.Received > 0
	}
	require.True(t, received)
	require.NoError(t, agent.RenewForDevices(t.Context(), b))
	require.Empty(t, card(t, b).Edges)
	agent.MarkMerged(a)
	require.NoError(t, agent.RenewForDevices(t.Context(), a))
	require.Equal(t, sequence(t, b), held(t, a, a.Pointer()).Sequence(), "the other device has published it")
}

// That a removed device had the identity key makes a device undo nothing after the key was rotated.
func TestARemovedDeviceWithAFormerKeyEndsNoCheck(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	tablet, _ := joinedBy(t, a, true, false)
	_, joined := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, tablet)
	agent.SetPatience(tablet, 0)
	add(t, a, "bob", newKey(t).Pointer())
	_, err := a.Share([]string{"bob"}, "xa")
	require.NoError(t, err)
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	_, err = a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	dir := t.TempDir()
	syncAll(t, agent.SyncOptions{Dir: dir}, a, tablet)
	syncAll(t, agent.SyncOptions{}, a, tablet)
	require.Equal(t, a.Pointer(), tablet.Pointer())
	require.NoError(t, a.Unshare("xa"))
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	_, err = tablet.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.ErrorAs(t, err, new(*agent.UnmergedError))
}

// After a rotation a removed device has the key only if another device handed it over, which no
// device is told: the error of a record that nothing explains states that, and the next rotation
// ends it.
func TestAnUnmergedRecordCanBeOfARemovedDevice(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	tablet, _ := joinedBy(t, a, true, false)
	_, joined := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, tablet)
	for _, removes := range []bool{false, true} {
		if removes {
			_, err := a.RemoveDevice(joined.Device)
			require.NoError(t, err)
			_, err = a.Rotate(t.Context(), agent.Rotation{})
			require.NoError(t, err)
			syncAll(t, agent.SyncOptions{}, a, tablet)
		}
		agent.SetPatience(a, 0)
		_, err := tablet.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		contact := fmt.Sprint("bob ", removes)
		add(t, tablet, contact, newKey(t).Pointer())
		_, err = tablet.Share([]string{contact}, fmt.Sprint("bob", removes))
		require.NoError(t, err)
		_, err = tablet.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
		var unmerged *agent.UnmergedError
		require.ErrorAs(t, err, &unmerged)
		require.Equal(t, removes, unmerged.RemovedHolder)
		syncAll(t, agent.SyncOptions{}, a, tablet)
	}
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
}
