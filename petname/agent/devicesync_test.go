package agent_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
)

func digest(t *testing.T, a *agent.Agent) string {
	t.Helper()
	h, err := a.Digest()
	require.NoError(t, err)
	return h.String()
}

// syncAll synchronizes until all devices have the same.
func syncAll(t *testing.T, o agent.SyncOptions, all ...*agent.Agent) {
	t.Helper()
	for _, a := range all {
		agent.SetPatience(a, 0) // they take turns
	}
	for range 50 {
		same := true
		for _, a := range all {
			_, err := a.Sync(t.Context(), o)
			require.NoError(t, err)
		}
		for _, a := range all {
			same = same && digest(t, a) == digest(t, all[0])
		}
		if same {
			return
		}
	}
	require.Fail(t, "the devices differ")
}

// Two devices exchange what they wrote: by stream, in stored messages and through a folder.
func TestDevicesExchangeWhatTheyWrote(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	require.Equal(t, digest(t, a), digest(t, b))

	add(t, a, "bob", newKey(t).Pointer())
	add(t, b, "carol", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{}, a, b) // neither runs: in stored messages
	for _, one := range []*agent.Agent{a, b} {
		for _, name := range []string{"bob", "carol"} {
			_, err := one.Lookup(name)
			require.NoError(t, err)
		}
	}
	s, err := b.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.Len(t, s.With, 1)
	require.Equal(t, agent.ByDrop, s.With[0].By)

	require.NoError(t, a.Start(t.Context()))
	syncAll(t, agent.SyncOptions{}, a, b) // b learns a's addresses
	add(t, a, "dan", newKey(t).Pointer())
	add(t, b, "erin", newKey(t).Pointer())
	s, err = b.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	require.Equal(t, agent.ByStream, s.With[0].By)
	require.Equal(t, digest(t, a), digest(t, b))

	dir := t.TempDir()
	add(t, a, "frank", newKey(t).Pointer())
	add(t, b, "grace", newKey(t).Pointer())
	syncAll(t, agent.SyncOptions{Dir: dir}, a, b)
	_, err = b.Lookup("frank")
	require.NoError(t, err)
}

// A sync of one device brings all that the other one wrote before its last sync, also if that one
// does no further sync; or else that one has counted what it could not store.
func TestASyncBringsWhatWasWrittenBeforeTheLastSync(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	sync := func(one *agent.Agent) agent.DeviceSync {
		agent.SetPatience(one, 0)
		s, err := one.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
		require.Len(t, s.With, 1)
		require.Equal(t, agent.ByDrop, s.With[0].By)
		return s.With[0]
	}
	for range 3 {
		sync(a)
		sync(b)
	}
	require.Positive(t, sync(b).Waiting, "it asks")
	add(t, b, "bob", newKey(t).Pointer())
	require.Zero(t, sync(b).Unsent)
	add(t, b, "carol", newKey(t).Pointer())
	require.Zero(t, sync(b).Unsent)
	require.NotEqual(t, digest(t, a), digest(t, b))
	sync(a)
	require.Equal(t, digest(t, a), digest(t, b))

	sync(b)
	for i := range 60 {
		add(t, b, fmt.Sprint("contact", i), newKey(t).Pointer())
	}
	require.Positive(t, sync(b).Unsent, "a record does not hold these")
	sync(a)
	require.NotEqual(t, digest(t, a), digest(t, b))
	syncAll(t, agent.SyncOptions{}, a, b)
	require.Zero(t, sync(b).Unsent)
}

// A rotation on one device reaches the others: the key to those that hold it, and the
// header alone to the others.
func TestARotationReachesTheOtherDevices(t *testing.T) {
	for _, passphrase := range []string{"", "secret"} {
		hub := served(t, nil)
		a := openedWith(t, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient,
			Create:     &agent.Profile{Passphrase: passphrase, WorkFactor: 10},
			Passphrase: func() ([]byte, error) { return []byte(passphrase), nil }})
		join(t, a, addrs(t, hub)...)
		b, _ := joinedBy(t, a, true, false)
		c, _ := joinedBy(t, a, false, false)
		syncAll(t, agent.SyncOptions{}, a, b, c)
		r, err := a.Rotate(t.Context(), agent.Rotation{WorkFactor: 10})
		require.NoError(t, err)
		add(t, a, "bob", newKey(t).Pointer())
		syncAll(t, agent.SyncOptions{}, a, b, c)
		for _, one := range []*agent.Agent{b, c} {
			require.Equal(t, r.Pointer, one.Pointer())
			link, err := one.Link()
			require.NoError(t, err)
			require.Equal(t, r.Next, link.Next)
		}
		unlocked := b.WithPassphrase(func() ([]byte, error) { return []byte(passphrase), nil })
		require.NoError(t, unlocked.Unlock())
		require.ErrorIs(t, c.Unlock(), home.ErrKeyElsewhere)
		_, err = unlocked.Publish(t.Context(), func(d *agent.Draft) error { d.Value = "/ipfs/bafkqaaa"; return nil })
		require.NoError(t, err)
	}
}

// A device that was removed is not asked, and receives nothing more.
func TestARemovedDeviceReceivesNothing(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, joined := joinedBy(t, a, true, false)
	d, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	require.True(t, d.Removed && d.IdentityKey)
	add(t, a, "bob", newKey(t).Pointer())
	_, err = a.Sync(t.Context(), agent.SyncOptions{})
	require.ErrorIs(t, err, agent.ErrNoDevices)
	require.NoError(t, a.Start(t.Context()))
	_, err = b.Sync(t.Context(), agent.SyncOptions{})
	require.NoError(t, err)
	_, err = b.Lookup("bob")
	require.Error(t, err)
}

// A sync that receives the removal of a device from another one, and has not exchanged entries
// with the removed one yet, has no problem.
func TestASyncThatReceivesARemovalHasNoProblem(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	_, joined := joinedBy(t, a, false, false)
	require.NoError(t, a.Start(t.Context()))
	devices, err := a.Devices()
	require.NoError(t, err)
	for digest(t, a) != digest(t, b) {
		_, err := b.Sync(t.Context(), agent.SyncOptions{With: devices[0].ID})
		require.NoError(t, err)
	}
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	for range 5 {
		s, err := b.Sync(t.Context(), agent.SyncOptions{})
		require.NoError(t, err)
		for _, one := range s.With {
			require.NoError(t, one.Problem)
		}
		if digest(t, a) == digest(t, b) {
			return
		}
	}
	require.Fail(t, "the removal has not arrived")
}

// Two devices that publish in turn, or at one moment, are no copies of each other: the later
// record is above the earlier one, and of two at one moment the peers keep one.
func TestDevicesPublishInTurn(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	b, _ := joinedBy(t, a, true, false)
	publish := func(x *agent.Agent, path string) uint64 {
		p, err := x.PublishDraft(t.Context(), draft(agent.WaitAll, value(path)))
		require.NoError(t, err)
		require.Nil(t, p.OtherCopy)
		return p.Sequence
	}
	first := publish(a, "/ipfs/bafkqabtgn5wgizls")
	second := publish(b, "/ipfs/bafkqablnn53gkza")
	require.Greater(t, second, first)
	require.Greater(t, publish(a, "/ipfs/bafkqabtgn5wgizls"), second)

	// At one moment.
	errs := make(chan error, 2)
	for _, x := range []*agent.Agent{a, b} {
		go func() {
			_, err := x.PublishDraft(t.Context(), draft(agent.WaitAll, value("/ipfs/bafkqaaa")))
			errs <- err
		}()
	}
	first2 := <-errs
	second2 := <-errs
	require.False(t, first2 != nil && second2 != nil, "one of them is stored: %v, %v", first2, second2)
	syncAll(t, agent.SyncOptions{}, a, b)
	third := publish(b, "/ipfs/bafkqablnn53gkza")
	for _, x := range []*agent.Agent{a, b} {
		r, err := x.Resolve(t.Context(), "me", dht.LevelFresh)
		require.NoError(t, err)
		require.Equal(t, third, r.Sequence)
		require.Equal(t, "/ipfs/bafkqablnn53gkza", r.Value)
		c, err := x.OtherCopy(t.Context(), true)
		require.NoError(t, err)
		require.Nil(t, c)
	}
}
