package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

const (
	mine   = "/ipfs/bafkqaaa/mine"
	theirs = "/ipfs/bafkqaaa/theirs"
)

// publishedOffline publishes offline, as a restored or copied home does, and then joins a
// network that has a newer record with another value.
func publishedOffline(t *testing.T, publish ...func(*agent.Draft)) (*agent.Agent, *holding) {
	t.Helper()
	a := openedWith(t, agent.Options{})
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, publish...))
	require.ErrorIs(t, err, agent.ErrNotJoined)
	require.EqualValues(t, 1, out.Sequence)
	r := newer(t, a, theirs, 7)
	usesFake(t, a, r)
	return a, r
}

// A value that was published offline is not dropped for one with a higher sequence that
// this home did not make: the owner is told, nothing is signed, and either value can be
// chosen.
func TestAValuePublishedOfflineIsNotDropped(t *testing.T) {
	for _, choice := range []string{mine, theirs, "/ipfs/bafkqaaa/third"} {
		a, r := publishedOffline(t, value(mine))
		for range 2 {
			_, err := a.PublishDraft(t.Context(), nil)
			var superseded *agent.SupersededError
			require.ErrorAs(t, err, &superseded)
			require.Equal(t, mine, superseded.Unsent.Value)
			require.EqualValues(t, 1, superseded.Unsent.Sequence)
			require.Equal(t, theirs, superseded.Newest.Value)
			require.EqualValues(t, 7, superseded.Newest.Sequence)
			require.ErrorContains(t, err, mine)
			require.Zero(t, r.puts)
			id, err := a.Identity()
			require.NoError(t, err)
			require.EqualValues(t, 7, id.Sequence)
			require.Contains(t, check(a, t, "records").Detail, mine)
		}
		// Renewal keeps the owner's value, and the question open.
		require.NoError(t, agent.Renew(t.Context(), a, held(t, a, a.Pointer()), time.Hour))
		require.Equal(t, mine, held(t, a, a.Pointer()).Value())
		_, err := a.PublishDraft(t.Context(), nil)
		require.ErrorAs(t, err, new(*agent.SupersededError))

		out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(choice)))
		require.NoError(t, err)
		require.Equal(t, choice, out.Value)
		require.EqualValues(t, 9, out.Sequence)
		out, err = a.PublishDraft(t.Context(), nil)
		require.NoError(t, err, "it is decided")
		require.Equal(t, choice, out.Value)
		require.True(t, check(a, t, "records").OK)
	}
}

// An edit of an unsent value is asked about as well, and a newer record with the same
// value is no question.
func TestOnlyAnotherValueIsAQuestion(t *testing.T) {
	a, _ := publishedOffline(t, value(mine))
	_, err := a.PublishDraft(t.Context(), func(d *agent.Draft) error { d.Value += "/x"; return nil })
	require.ErrorAs(t, err, new(*agent.SupersededError))
	a, _ = publishedOffline(t, value(theirs))
	_, err = a.PublishDraft(t.Context(), nil)
	require.NoError(t, err)
	a, _ = publishedOffline(t) // the value was not changed, and the newer one is foreign
	asksAboutForeign(t, a, "/ipfs/bafkqaaa", theirs)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(theirs)))
	require.NoError(t, err)
	require.Equal(t, "/ipfs/bafkqaaa", held(t, a, a.Pointer()).Value()[:14])
	require.Equal(t, theirs, out.Value)
}

// A value that a store has received may be replaced, also if it was published again offline, and
// whatever stored it: the newer one is foreign, and not one that supersedes an unsent one.
func TestAStoredValueMayBeReplaced(t *testing.T) {
	for name, store := range map[string]func(a *agent.Agent) error{
		"publish": func(a *agent.Agent) error { _, err := a.PublishDraft(t.Context(), nil); return err },
		"republisher": func(a *agent.Agent) error {
			_, err := agent.OwnNetworkOf(a).Put(t.Context(), a.Pointer(), held(t, a, a.Pointer()).Bytes())
			return err
		},
	} {
		a := openedWith(t, agent.Options{})
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitNone, value(mine)))
		require.NoError(t, err)
		usesFake(t, a, &holding{})
		require.NoError(t, store(a), name)
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
		require.NoError(t, err)
		agent.SetRouter(a, routerURL, newer(t, a, theirs, 7))
		asksAboutForeign(t, a, mine, theirs)
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(theirs)))
		require.NoError(t, err, name)
		require.Equal(t, theirs, out.Value)
	}
}

// The record that supersedes an unsent one is evidence of another copy as well, before
// and with the publication that decides; and that publication is renewed for its
// lifetime.
func TestASupersedingRecordIsEvidenceOfAnotherCopy(t *testing.T) {
	a, _ := publishedOffline(t, value(mine))
	_, err := a.PublishDraft(t.Context(), nil)
	require.ErrorAs(t, err, new(*agent.SupersededError))
	other, err := a.OtherCopy(t.Context(), false)
	require.NoError(t, err)
	require.NotNil(t, other)
	require.EqualValues(t, 7, other.Sequence)
	require.EqualValues(t, 1, other.Signed)
	require.Equal(t, 1, other.Times, "asking again is no further evidence")

	const life = 3 * time.Hour
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine), func(d *agent.Draft) { d.Lifetime = life }))
	require.NoError(t, err)
	require.NotNil(t, out.OtherCopy)
	require.EqualValues(t, 7, out.OtherCopy.Sequence)
	record := held(t, a, a.Pointer())
	require.EqualValues(t, 8, record.Sequence())
	require.Equal(t, life, agent.LifetimeOf(a, record))
	out, err = a.PublishDraft(t.Context(), nil)
	require.NoError(t, err)
	require.Nil(t, out.OtherCopy)
}

// refusesOthers is a router that refuses every record but the one that it has.
type refusesOthers struct{ *holding }

func (r refusesOthers) Put(_ context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if !bytes.Equal(record, r.record) {
		return dht.Receipt{Asked: 1, Refused: 1}, fmt.Errorf("put for %s: %w", p, dht.ErrOlder)
	}
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

// A republisher that stores the newer record logs once that another publication is superseded by
// it, without the values, and Status has both.
func TestARepublisherReportsASupersededPublication(t *testing.T) {
	var log bytes.Buffer
	a := openedWith(t, agent.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
	require.ErrorIs(t, err, agent.ErrNotJoined)
	own := held(t, a, a.Pointer())
	usesFake(t, a, refusesOthers{newer(t, a, theirs, 7)})
	receipt, err := agent.OwnNetworkOf(a).Put(t.Context(), a.Pointer(), own.Bytes())
	require.Error(t, err)
	require.Equal(t, 1, receipt.Refused)
	_, err = a.PublishDraft(t.Context(), nil)
	require.ErrorAs(t, err, new(*agent.SupersededError))
	store := agent.OwnNetworkOf(a)
	found := held(t, a, a.Pointer())
	require.EqualValues(t, 7, found.Sequence())
	for range 3 {
		_, _ = store.Put(t.Context(), a.Pointer(), own.Bytes()) // refused, and no verb returns that
		_, err = store.Put(t.Context(), a.Pointer(), found.Bytes())
		require.NoError(t, err)
	}
	require.Equal(t, 1, strings.Count(log.String(), "stored nowhere"), log.String())
	require.Contains(t, log.String(), "sequence=1 newer=7")
	require.NotContains(t, log.String(), "bafk")
	_, err = a.PublishDraft(t.Context(), nil)
	require.ErrorAs(t, err, new(*agent.SupersededError), "the question stays")
}

// A value that a device published offline is not dropped when it adopts the rotation of another
// device, which published without it: a publication and a check name it, a renewal keeps the
// question open, and either value can be chosen.
func TestAValuePublishedOfflineSurvivesTheRotationOfAnotherDevice(t *testing.T) {
	for _, choice := range []string{mine, "/ipfs/bafkqaaa"} {
		a, b := twoSigners(t)
		_, err := b.PublishDraft(t.Context(), draft(agent.WaitNone, value(mine))) // stored nowhere
		require.NoError(t, err)
		old := a.Pointer()
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
		syncAll(t, agent.SyncOptions{}, a, b)
		require.NotEqual(t, old, b.Pointer())
		require.Equal(t, a.Pointer(), b.Pointer())

		for range 2 {
			_, err = b.PublishDraft(t.Context(), draft(agent.WaitAll))
			var superseded *agent.SupersededError
			require.ErrorAs(t, err, &superseded)
			require.Equal(t, mine, superseded.Unsent.Value)
			require.Zero(t, superseded.Unsent.Sequence, "of the former pointer")
			require.Equal(t, "/ipfs/bafkqaaa", superseded.Newest.Value)
			require.Contains(t, check(b, t, "records").Detail, mine)
			require.NoError(t, agent.Renew(t.Context(), b, held(t, b, b.Pointer()), time.Hour))
		}
		out, err := b.PublishDraft(t.Context(), draft(agent.WaitAll, value(choice)))
		require.NoError(t, err)
		require.Equal(t, choice, out.Value)
		out, err = b.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err, "it is decided")
		require.Equal(t, choice, out.Value)
		require.True(t, check(b, t, "records").OK)
	}
}

// A value that a device published offline and continues with after its own rotation is asked about
// no more once a store has it.
func TestAnUnsentValueThatTheNextKeySignsIsSent(t *testing.T) {
	a := openedWith(t, agent.Options{})
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
	require.ErrorIs(t, err, agent.ErrNotJoined)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	usesFake(t, a, newer(t, a, theirs, 7))
	_, err = a.PublishDraft(t.Context(), nil)
	var superseded *agent.SupersededError
	require.ErrorAs(t, err, &superseded, "the mark is that of the current pointer")
	require.EqualValues(t, 1, superseded.Unsent.Sequence)
	require.False(t, superseded.Foreign)
	for _, choice := range []string{mine, theirs} {
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome, value(choice)))
		require.NoError(t, err)
		_, err = a.PublishDraft(t.Context(), nil)
		require.NoError(t, err)
	}
}
