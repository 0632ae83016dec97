package engine

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// A record that names a successor is seen by nobody before that successor is
// there: the key after it, to which it commits, would be lost, and another turn
// would contradict it.
func TestATurnThatFailsNamesNoSuccessor(t *testing.T) {
	dir := t.TempDir()
	next := filepath.Join(dir, "next.key")
	h, err := home.Create(filepath.Join(dir, "home"), home.Plan{Passphrase: "horse", Recovery: next, WorkFactor: 10})
	require.NoError(t, err)
	e, err := Open(h.Dir, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	e.SetWorkFactor(10)
	ctx := context.Background()
	_, err = e.Publish(ctx, PublishArgs{Lifetime: time.Hour, Wait: "none", Passphrase: "horse"})
	require.NoError(t, err)
	old := e.book.Identity()
	before, _, err := e.held(old)
	require.NoError(t, err)

	args := RotateArgs{Passphrase: "horse", Next: next, Recovery: filepath.Join(dir, "not there", "n2.key")}
	_, err = e.Rotate(ctx, args)
	require.ErrorIs(t, err, os.ErrNotExist)
	after, _, err := e.held(old)
	require.NoError(t, err)
	require.Equal(t, before.Bytes(), after.Bytes())
	require.Equal(t, old, e.book.Identity())
}

// A turn that was made is all there, though the process ended right after: the
// last record stands beside the key that it names.
func TestTheLastRecordIsNotLostWithTheProcess(t *testing.T) {
	e := opened(t)
	ctx := context.Background()
	_, err := e.Publish(ctx, PublishArgs{Lifetime: time.Hour, Wait: "none"})
	require.NoError(t, err)
	old := e.book.Identity()
	_, err = e.Rotate(ctx, RotateArgs{})
	require.NoError(t, err)
	last, _, err := e.held(old)
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(e.home.Dir, "records", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		require.NoError(t, os.Remove(file))
	}
	_, _, err = e.held(old)
	require.Equal(t, "not_found", Classify(err).Code)
	id, err := e.identity()
	require.NoError(t, err)
	require.NoError(t, e.keepLast(ctx, id))
	again, _, err := e.held(old)
	require.NoError(t, err)
	require.Equal(t, last.Bytes(), again.Bytes())
	card, ok := again.Card()
	require.True(t, ok)
	require.Equal(t, id.Pointer, card.Successor)
	require.Equal(t, id.Succession, card.Succession)
}

// The last record stands above what the network has, which a home that was put
// back from a copy doesn't know. The attack: a thief of the old key took the
// highest sequence; that hinders neither the turn nor the new key, whose value is
// none of the thief's.
func TestTheLastRecordIsAboveTheNetworks(t *testing.T) {
	for _, sequence := range []uint64{9, pointer.MaxSequence - 2, pointer.MaxSequence} {
		hub, err := kad.Start(context.Background(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
		require.NoError(t, err)
		t.Cleanup(func() { hub.Close() })
		e := opened(t)
		ctx := context.Background()
		_, err = e.Join(ctx, JoinArgs{Targets: hub.Addrs()})
		require.NoError(t, err)
		publish := PublishArgs{Path: "/ipfs/bafkqaaa", Lifetime: time.Hour, Wait: "some"}
		_, err = e.Publish(ctx, publish)
		require.NoError(t, err)
		id, err := e.identity()
		require.NoError(t, err)
		key, err := id.Key("")
		require.NoError(t, err)
		theirs, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqabdumvzxi", Sequence: sequence, Expires: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		network, err := e.store(ctx)
		require.NoError(t, err)
		_, err = network.Put(ctx, theirs.Pointer(), theirs.Bytes())
		require.NoError(t, err)

		_, err = e.Rotate(ctx, RotateArgs{})
		require.NoError(t, err)
		last, _, err := e.held(theirs.Pointer())
		require.NoError(t, err)
		require.Equal(t, min(sequence+1, pointer.MaxSequence), last.Sequence())
		publish.Path = ""
		for range 2 {
			out, err := e.Publish(ctx, publish)
			require.NoError(t, err)
			require.Equal(t, "/ipfs/bafkqaaa", out.Value)
			require.Less(t, out.Sequence, uint64(9))
			require.Equal(t, []string{theirs.Pointer().String()}, out.Former)
		}
	}
}
