package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// A device without the identity key states publications: the owner neither signs their value nor
// runs out of sequences, before and after the removal of the device.
func TestADeviceWithoutTheKeyChoosesNothingThatIsPublished(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, joined := joinedBy(t, a, false, false)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{}, a, phone)
	published := func(sequence uint64) {
		t.Helper()
		_, err := a.Publish(t.Context(), nil)
		require.NoError(t, err)
		r, err := hub.Resolve(t.Context(), a.Pointer().String(), dht.LevelFresh)
		require.NoError(t, err)
		require.Equal(t, "/ipfs/bafkqaaa", r.Value)
		require.Equal(t, sequence, r.Sequence)
	}
	state := func(sequence uint64) {
		t.Helper()
		require.NoError(t, agent.BookOf(phone).ReserveSequence(petname.Published{Value: "/ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", Sequence: sequence}))
		syncAll(t, agent.SyncOptions{}, a, phone)
	}
	state(9)
	published(2)
	state(pointer.MaxSequence)
	published(3)
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	published(4)
}
