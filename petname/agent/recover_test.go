package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// lost creates a home with a recovery file and publishes. It returns the file, the
// link, and the closed home's folder.
func lost(t *testing.T, network ...string) (file string, link pointer.Link, dir string) {
	t.Helper()
	dir, file = filepath.Join(t.TempDir(), "home"), filepath.Join(t.TempDir(), "next.key")
	a, err := agent.Open(t.Context(), dir, agent.Options{Transport: loopback(), Passphrase: horse,
		Create: &agent.Profile{Nickname: "Ana", Passphrase: "horse", Recovery: file, WorkFactor: 10}})
	require.NoError(t, err)
	if len(network) > 0 {
		join(t, a, network...)
		_, err = a.Publish(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqabdumvzxi")))
		require.NoError(t, err)
	}
	link, err = a.Link()
	require.NoError(t, err)
	require.NoError(t, a.Close())
	return file, link, dir
}

func recovers(t *testing.T, file string, network ...string) (*agent.Agent, agent.Recovered) {
	t.Helper()
	a, out, err := agent.Recover(t.Context(), filepath.Join(t.TempDir(), "new"), home.RecoverOptions{File: file, Passphrase: "horse", WorkFactor: 10},
		agent.Options{Transport: loopback(), Passphrase: horse}, network...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a, out
}

// After the loss of a home, its recovery file leads followers on: the old pointer's own
// last record, for 20 years, and the record of the new pointer are published on a real
// network. The lost home, when it is found, publishes nothing over them.
func TestFollowersAreLedOnToARecoveredIdentity(t *testing.T) {
	hub, err := kad.Start(t.Context(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
	require.NoError(t, err)
	t.Cleanup(func() { hub.Close() })
	file, link, dir := lost(t, hub.Addrs()...)
	pinned := opened(t)
	join(t, pinned, hub.Addrs()...)
	_, err = pinned.Add("ana", link, petname.Source{})
	require.NoError(t, err)
	a, out := recovers(t, file, hub.Addrs()...)
	require.NoError(t, out.Problem)
	require.Equal(t, []pointer.Pointer{link.Pointer}, out.Former)
	require.NotZero(t, out.Receipt.Stored)
	for range 2 {
		r, err := pinned.Resolve(t.Context(), "ana", dht.LevelFresh)
		require.NoError(t, err)
		require.Equal(t, out.New, r.Pointer)
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
	}

	found, err := agent.Open(t.Context(), dir, agent.Options{Transport: loopback(), Passphrase: horse})
	require.NoError(t, err)
	defer found.Close()
	_, err = found.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.ErrorAs(t, err, new(*agent.CopiedError))
}

// Offline a recovery does all but publish: both records are in the home.
func TestARecoveryOfflineKeepsBothRecords(t *testing.T) {
	file, link, _ := lost(t)
	a, out := recovers(t, file)
	require.ErrorIs(t, out.Problem, agent.ErrNotJoined)
	require.EqualValues(t, 1, out.Sequence)
	last := held(t, a, link.Pointer)
	require.WithinDuration(t, time.Now().AddDate(20, 0, 0), last.Expires(), time.Hour)
	require.Equal(t, out.New, held(t, a, out.New).Pointer())
	id, err := a.Identity()
	require.NoError(t, err)
	require.Equal(t, []agent.LastRecord{{Pointer: link.Pointer, Until: last.Expires()}}, id.LastRecords)
	net := &shared{}
	usesFake(t, a, net)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	require.Equal(t, last.Bytes(), net.records[link.Pointer])
	require.NotNil(t, net.records[out.New])
	// boxo, and so Kubo, accepts the record.
	rec, err := ipns.UnmarshalRecord(last.Bytes())
	require.NoError(t, err)
	require.NoError(t, ipns.ValidateWithName(rec, ipns.NameFromPeer(peer.ID(link.Pointer.Bytes()))))
}

// A network that cannot be used is named before anything is made.
func TestARecoveryIntoNoNetworkMakesNothing(t *testing.T) {
	file, _, _ := lost(t)
	dir := filepath.Join(t.TempDir(), "new")
	_, _, err := agent.Recover(t.Context(), dir, home.RecoverOptions{File: file, Passphrase: "horse", WorkFactor: 10}, agent.Options{}, "nowhere")
	require.ErrorAs(t, err, new(*agent.AddressError))
	require.NoDirExists(t, dir)
	require.NoFileExists(t, file+".next")
}

// A recovery file that is not the newest makes a home that publishes nothing over the
// rotation that followed it.
func TestAnOldRecoveryFilePublishesNothingOverANewerKey(t *testing.T) {
	dir := t.TempDir()
	first, second, third := filepath.Join(dir, "1.key"), filepath.Join(dir, "2.key"), filepath.Join(dir, "3.key")
	a := openedWith(t, agent.Options{Passphrase: horse, Create: &agent.Profile{Passphrase: "horse", Recovery: first, WorkFactor: 10}})
	net := &shared{}
	usesFake(t, a, net)
	for _, r := range []agent.Rotation{{Next: first, Recovery: second, WorkFactor: 10}, {Next: second, Recovery: third, WorkFactor: 10}} {
		_, err := a.Rotate(t.Context(), r)
		require.NoError(t, err)
		require.Nil(t, publishes(t, a))
	}
	b, out := recovers(t, first)
	last := net.records[out.New]
	usesFake(t, b, net)
	_, err := b.PublishDraft(t.Context(), draft(agent.WaitSome))
	var copied *agent.CopiedError
	require.ErrorAs(t, err, &copied)
	require.Equal(t, a.Pointer(), copied.Successor)
	require.Equal(t, last, net.records[out.New])
}

// A rotation that was interrupted after the identity had changed is finished at the next
// open, with a notice. The next rotation returns it, and rotates no further; the one
// after that rotates.
func TestAnInterruptedRotationIsFinishedOnce(t *testing.T) {
	a := opened(t)
	old := a.Pointer()
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	id, err := a.Identity()
	require.NoError(t, err)
	journal := fmt.Sprintf("# petname rotation 1\n# from: %s\n# to: %s\n# next: %s\n# sealing: none\n# recovery: \"\"\n", old, id.Pointer, id.Next)
	file := filepath.Join(a.Dir(), "rotation.journal")
	require.NoError(t, os.WriteFile(file, []byte(journal), 0o600))
	b, err := copied(a, filepath.Join(t.TempDir(), "b"), agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	require.ErrorContains(t, b.Notice(), fmt.Sprintf("a rotation from %s to %s was interrupted and has been finished", old, id.Pointer))
	for _, open := range []*agent.Agent{a, b} { // in a, the journal is of a rotation that failed in this process
		out, err := open.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		require.True(t, out.Resumed)
		require.Equal(t, id.Pointer, out.Pointer)
		require.Equal(t, []pointer.Pointer{old}, out.Former)
		require.NoFileExists(t, filepath.Join(open.Dir(), "rotation.journal"))
		out, err = open.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		require.False(t, out.Resumed)
		require.Len(t, out.Former, 2)
	}
}

// While an interrupted rotation cannot be finished, nothing is published with the sealing
// keys that a thief may have, and the error states the pointer.
func TestNothingIsPublishedBeforeARotationIsFinished(t *testing.T) {
	a, id := interrupted(t, "00")
	sealing := filepath.Join(a.Dir(), "sealing.key")
	b, err := os.ReadFile(sealing)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(sealing, []byte("damaged"), 0o600))
	var unfinished *home.UnfinishedError
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.ErrorAs(t, err, &unfinished)
	out, err := a.Rotate(t.Context(), agent.Rotation{})
	require.ErrorAs(t, err, &unfinished)
	require.Equal(t, id.Pointer, out.Pointer)
	require.ErrorContains(t, err, "the pointer is now "+id.Pointer.String())
	require.NoError(t, os.WriteFile(sealing, b, 0o600))
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	out, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.False(t, out.Resumed, "the owner has gone on since")
}

// The last record of a rotation is valid for 20 years, and a key that was rotated by an
// older version states when its record ends.
func TestALastRecordIsValidFor20Years(t *testing.T) {
	a := opened(t)
	old := a.Pointer()
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().AddDate(20, 0, 0), held(t, a, old).Expires(), time.Minute)
	id, err := a.Identity()
	require.NoError(t, err)
	require.Equal(t, held(t, a, old).Expires(), id.LastRecords[0].Until)
	require.NoError(t, os.Remove(filepath.Join(a.Dir(), "records", old.String()+".record")))
	again, err := a.Identity()
	require.NoError(t, err)
	require.Equal(t, id, again, "identity.key has it as well")
}

// A recovery file has the last record of one key. Those of the keys before it are found
// in the network, and stored again from then on.
func TestEarlierLastRecordsAreFoundInTheNetwork(t *testing.T) {
	file, link, _ := lost(t)
	net := &shared{}
	first, out := recovers(t, file)
	usesFake(t, first, net)
	_, err := first.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	second, again := recovers(t, out.RecoveryFile)
	_, _, err = second.Held(link.Pointer)
	require.Error(t, err)
	usesFake(t, second, net)
	published, err := second.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	require.Equal(t, []pointer.Pointer{link.Pointer, out.New}, published.Former)
	require.Equal(t, net.records[link.Pointer], held(t, second, link.Pointer).Bytes())
	id, err := second.Identity()
	require.NoError(t, err)
	require.Equal(t, again.New, id.Pointer)
	require.WithinDuration(t, time.Now().AddDate(20, 0, 0), id.LastRecords[0].Until, time.Hour)
}

// An agent that runs with a locked identity stores the last records of earlier pointers
// after its own record has expired, and not with each retry.
func TestLastRecordsAreStoredAfterTheOwnRecordHasExpired(t *testing.T) {
	file, link, _ := lost(t)
	a, _ := recovers(t, file)
	net := &shared{}
	usesFake(t, a, net)
	agent.PutFormerAlone(t.Context(), a)
	require.NotNil(t, net.records[link.Pointer])
	delete(net.records, link.Pointer)
	agent.PutFormerAlone(t.Context(), a)
	require.Nil(t, net.records[link.Pointer], "it was stored within 12 hours")
}
