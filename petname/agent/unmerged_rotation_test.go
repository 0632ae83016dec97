package agent_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// twoSigners returns two devices of an owner that both hold the key, have merged, and know a
// publication with a value and the public label xa.
func twoSigners(t *testing.T) (a, b *agent.Agent) {
	t.Helper()
	hub := served(t, nil)
	a = opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ = joinedBy(t, a, true, false)
	agent.SetPatience(a, 0)
	agent.SetPatience(b, 0)
	add(t, a, "bob", newKey(t).Pointer())
	_, err := a.Share([]string{"bob"}, "xa")
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	syncAll(t, agent.SyncOptions{}, a, b)
	return a, b
}

// changesOfB are publications of another device, and whether the card is the same as before.
var changesOfB = map[string]struct {
	publish func(t *testing.T, b *agent.Agent)
	value   bool
}{
	"label": {publish: func(t *testing.T, b *agent.Agent) {
		require.NoError(t, b.Unshare("xa"))
		_, err := b.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
	}},
	"value": {value: true, publish: func(t *testing.T, b *agent.Agent) {
		_, err := b.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa/b")))
		require.NoError(t, err)
	}},
}

// requireMerged requires that a publication of a has what b published.
func requireMerged(t *testing.T, a *agent.Agent, value bool) {
	t.Helper()
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	if value {
		require.Equal(t, "/ipfs/bafkqaaa/b", out.Value)
		return
	}
	require.Empty(t, out.Edges)
	require.Empty(t, card(t, a).Edges)
}

// A rotation does not undo what another device has published and this one lacks: the last record
// and the first record of the next key would have the label that was withdrawn, and the value
// before. It changes nothing then, also the key, unless its owner insists.
func TestARotationEndsNoChangeOfAnotherDevice(t *testing.T) {
	for name, change := range changesOfB {
		t.Run(name, func(t *testing.T) {
			a, b := twoSigners(t)
			change.publish(t, b)
			old := a.Pointer()
			_, err := a.Rotate(t.Context(), agent.Rotation{})
			var unmerged *agent.UnmergedError
			require.ErrorAs(t, err, &unmerged)
			require.Equal(t, agent.UnmergedError{Sequence: 2, Value: change.value, Rotating: true}, *unmerged)
			require.Equal(t, old, a.Pointer())

			_, err = b.Sync(t.Context(), agent.SyncOptions{})
			require.NoError(t, err)
			_, err = a.Rotate(t.Context(), agent.Rotation{})
			require.NoError(t, err, "it exchanges entries first")
			require.NotEqual(t, old, a.Pointer())
			if change.value {
				require.Equal(t, "/ipfs/bafkqaaa/b", held(t, a, old).Value())
			}
			requireMerged(t, a, change.value)
		})
		t.Run(name+", despite it", func(t *testing.T) {
			a, b := twoSigners(t)
			change.publish(t, b)
			_, err := a.Rotate(t.Context(), agent.Rotation{DespiteCopy: true})
			require.NoError(t, err)
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll, func(d *agent.Draft) { d.DespiteCopy = true }))
			require.NoError(t, err)
		})
	}
}

// The first publication after a rotation does not undo what another device has published under the
// former pointer since, or before if the rotation was offline; also if the last record, which replaces that record in the
// network, was stored in between. A value of its own decides about the value.
func TestTheFirstPublicationAfterARotationEndsNoChangeOfAnotherDevice(t *testing.T) {
	for name, change := range changesOfB {
		for _, replaced := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				a, b := twoSigners(t)
				old := a.Pointer()
				_, err := a.Rotate(t.Context(), agent.Rotation{})
				require.NoError(t, err)
				change.publish(t, b)
				if replaced {
					agent.PutFormerAlone(t.Context(), a)
				}
				for range 2 {
					_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
					var unmerged *agent.UnmergedError
					require.ErrorAs(t, err, &unmerged)
					require.Equal(t, agent.UnmergedError{Sequence: 2, Value: change.value}, *unmerged)
					require.Zero(t, sequence(t, a))
				}
				if change.value && replaced {
					out, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa/c")))
					require.NoError(t, err)
					require.Equal(t, "/ipfs/bafkqaaa/c", out.Value)
					return
				}
				_, err = b.Sync(t.Context(), agent.SyncOptions{})
				require.NoError(t, err)
				requireMerged(t, a, change.value)
				require.EqualValues(t, pointer.MaxSequence, held(t, a, old).Sequence())
				_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
				require.NoError(t, err)
			})
		}
	}
}

// A removed device that holds the key prevents neither the rotation nor the first publication
// after it, by what it signs before or in between, while another device of the owner has the key.
func TestARemovedDevicePreventsNoRotation(t *testing.T) {
	for _, between := range []bool{false, true} {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		tablet, _ := joinedBy(t, a, true, false)
		phone, joined := joinedBy(t, a, true, false)
		syncAll(t, agent.SyncOptions{}, a, tablet, phone)
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		steal := func() {
			contact := add(t, phone, "mallory", newKey(t).Pointer())
			_, err := phone.Share([]string{contact.Name.String()}, "m")
			require.NoError(t, err)
			_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa/m"), func(d *agent.Draft) { d.DespiteCopy = true }))
			require.NoError(t, err)
		}
		_, err = a.RemoveDevice(joined.Device)
		require.NoError(t, err)
		if !between {
			steal()
		}
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		if between {
			steal()
		}
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
		require.Equal(t, "/ipfs/bafkqaaa", out.Value)
		require.Empty(t, out.Edges)
	}
}
