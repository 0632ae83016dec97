package agent_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// horse returns the passphrase of a test.
func horse() ([]byte, error) { return []byte("horse"), nil }

// A rotation of the identity waits for a publication, and a publication waits
// for a rotation. A record is signed by a key before that key is removed.
func TestARotationAndAPublicationDoNotOverlap(t *testing.T) {
	a := opened(t)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if i%3 == 0 {
				_, err := a.Rotate(context.Background(), agent.Rotation{})
				assert.NoError(t, err)
				return
			}
			_, err := a.Publish(context.Background(), draft(agent.WaitNone))
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	require.Len(t, id.Succession, 4)
	require.Equal(t, id.Pointer, a.Pointer())
	for _, s := range id.Succession { // the last record of each key names its successor
		card, ok := held(t, a, s.Old).Card()
		require.True(t, ok)
		require.False(t, card.Successor.IsZero())
	}
}

// After many rotations a card has only the last steps of the succession: the ones
// that lead to the current key.
func TestACardHasTheLastSteps(t *testing.T) {
	a := opened(t)
	for range 8 + 2 {
		_, err := a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
	}
	_, err := a.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	card, ok := held(t, a, a.Pointer()).Card()
	require.True(t, ok)
	require.Len(t, card.Succession, 8)
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	require.Equal(t, id.Succession[2].Old, card.Succession[0].Old)
	to, err := card.Succession[7].Verify()
	require.NoError(t, err)
	require.Equal(t, a.Pointer(), to)
}

// A rotation that fails publishes no successor: the key after it, to which the
// record commits, would be lost, and another rotation would contradict it.
func TestARotationThatFailsNamesNoSuccessor(t *testing.T) {
	dir := t.TempDir()
	next := filepath.Join(dir, "next.key")
	a := openedWith(t, agent.Options{Create: &agent.Profile{Passphrase: "horse", Recovery: next, WorkFactor: 10}, Passphrase: horse})
	_, err := a.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	old := a.Pointer()
	before := held(t, a, old)

	_, err = a.Rotate(t.Context(), agent.Rotation{Next: next, Recovery: filepath.Join(dir, "not there", "n2.key"), WorkFactor: 10})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.Equal(t, before.Bytes(), held(t, a, old).Bytes())
	require.Equal(t, old, a.Pointer())
}

// A rotation is complete even if the process ends right after it: the last record
// of the old key is stored beside the key that it names.
func TestTheLastRecordSurvivesTheProcess(t *testing.T) {
	a := opened(t)
	_, err := a.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	old := a.Pointer()
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	last := held(t, a, old)
	files, err := filepath.Glob(filepath.Join(a.Dir(), "records", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
	_, _, err = a.Held(old)
	require.ErrorIs(t, err, dht.ErrNotFound)
	require.NoError(t, agent.SaveLastRecord(t.Context(), a))
	again := held(t, a, old)
	require.Equal(t, last.Bytes(), again.Bytes())
	card, ok := again.Card()
	require.True(t, ok)
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	require.Equal(t, id.Pointer, card.Successor)
	require.Equal(t, id.Succession, card.Succession)
	require.Empty(t, card.Sealing, "nothing is to be sealed to a retired key")
}

// The last record has the highest sequence: no record that a home which was restored
// from a copy does not know is above it. The attack: a thief of the old key
// used the highest sequence, too. That prevents neither the rotation nor a publication
// under the new key, whose value is not the thief's.
func TestTheLastRecordIsAboveTheNetworks(t *testing.T) {
	for _, sequence := range []uint64{9, pointer.MaxSequence - 2, pointer.MaxSequence} {
		hub, err := kad.Start(t.Context(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
		require.NoError(t, err)
		t.Cleanup(func() { hub.Close() })
		a := opened(t)
		ctx := t.Context()
		join(t, a, hub.Addrs()...)
		_, err = a.Publish(ctx, draft(agent.WaitSome, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		theirs, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: "/ipfs/bafkqabdumvzxi", Sequence: sequence, Expires: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		stores, err := agent.JoinedStores(ctx, a)
		require.NoError(t, err)
		require.Len(t, stores, 1)
		_, err = stores[0].Put(ctx, theirs.Pointer(), theirs.Bytes())
		require.NoError(t, err)

		_, err = a.Rotate(ctx, agent.Rotation{})
		require.NoError(t, err)
		last := held(t, a, theirs.Pointer())
		require.EqualValues(t, pointer.MaxSequence, last.Sequence())
		require.Equal(t, "/ipfs/bafkqaaa", last.Value(), "not the thief's")
		asksAboutForeign(t, a, "/ipfs/bafkqaaa", "/ipfs/bafkqabdumvzxi")
		for _, more := range [][]func(*agent.Draft){{value("/ipfs/bafkqaaa")}, nil} {
			out, err := a.PublishDraft(ctx, draft(agent.WaitSome, more...))
			require.NoError(t, err)
			require.Equal(t, "/ipfs/bafkqaaa", out.Value)
			require.Less(t, out.Sequence, uint64(9))
			require.Equal(t, []pointer.Pointer{theirs.Pointer()}, out.Former)
		}
	}
}

// A home without a passphrase writes a recovery file, which is encrypted, with the passphrase that
// is given for it, and the next rotation reads that file. The home stays without one.
func TestAHomeWithoutAPassphraseWritesARecoveryFile(t *testing.T) {
	a := opened(t)
	file := filepath.Join(t.TempDir(), "a.key")
	_, err := a.Rotate(t.Context(), agent.Rotation{Recovery: file, WorkFactor: 10})
	require.ErrorContains(t, err, "passphrase")
	require.NoFileExists(t, file)
	given := a.WithPassphrase(horse)
	out, err := given.Rotate(t.Context(), agent.Rotation{Recovery: file, WorkFactor: 10})
	require.NoError(t, err)
	require.FileExists(t, file)
	require.NoError(t, a.Unlock())
	before := out.Pointer
	out, err = given.Rotate(t.Context(), agent.Rotation{Next: file, Recovery: file + ".2", WorkFactor: 10})
	require.NoError(t, err)
	require.NotEqual(t, before, out.Pointer)
	require.NoError(t, a.Unlock())
}

// The attack: after a rotation the file of the keys for messages is put back from a copy of before,
// as for a file that was lost. A thief of the former home has its keys: the next card has new ones,
// and what was sealed to those of the file can still be read.
func TestKeysForMessagesOfBeforeARotationAreNotPublishedAgain(t *testing.T) {
	for _, published := range []bool{false, true} {
		a := opened(t)
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitNone))
		require.NoError(t, err)
		file := filepath.Join(a.Dir(), "sealing.key")
		stolen, err := os.ReadFile(file)
		require.NoError(t, err)
		keys := card(t, a).Sealing
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		if published {
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
			require.NoError(t, err)
		}
		require.NoError(t, os.WriteFile(file, stolen, 0o600))
		for range 2 {
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
			require.NoError(t, err)
			for _, key := range card(t, a).Sealing {
				for _, old := range keys {
					require.NotEqual(t, old.Key, key.Key)
				}
			}
		}
		s, err := agent.HomeOf(a).Sealing()
		require.NoError(t, err)
		require.Len(t, s.PrivateKeys(), 4, "two generations: they are replaced once")
		require.Equal(t, keys[0].Key, s.PrivateKeys()[2].PublicKey().Bytes())
	}
}
