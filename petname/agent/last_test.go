package agent_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// stolen signs a record as a thief of a key does: above all others, for longer.
func stolen(t *testing.T, key *pointer.Key, card pointer.Card) pointer.Record {
	t.Helper()
	r, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqabdumvzxi", Sequence: pointer.MaxSequence, Expires: time.Now().AddDate(50, 0, 0), Card: &card})
	require.NoError(t, err)
	return r
}

// The attack: a thief of two former keys publishes records above their last records, and
// the owner's home sees them. It does not take them for its own last records: it states
// that they are above, and stores its own ones again in a network that has forgotten.
func TestAThiefsRecordOfAFormerKeyReplacesNoLastRecord(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	var keys []*pointer.Key
	var last []pointer.Record
	for range 2 {
		publishes(t, a)
		keys = append(keys, ownKey(t, a))
		_, err := a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		publishes(t, a)
		last = append(last, held(t, a, keys[len(keys)-1].Pointer()))
	}
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	thief := newKey(t)
	for _, card := range []pointer.Card{
		{},
		{Next: id.Next},
		{Successor: thief.Pointer()},
		{Successor: a.Pointer()}, // of the own chain, without a step
		{Successor: a.Pointer(), Succession: id.Succession},
	} {
		for i, key := range keys {
			theirs := stolen(t, key, card)
			net.records[key.Pointer()] = theirs.Bytes()
			_, err := a.Resolve(t.Context(), key.Pointer().String(), dht.LevelFresh)
			require.NoError(t, err)
			require.Equal(t, theirs.Bytes(), held(t, a, key.Pointer()).Bytes(), "it is the newest record")
			now, err := a.Identity()
			require.NoError(t, err)
			require.Equal(t, agent.LastRecord{Pointer: key.Pointer(), Until: last[i].Expires(), Above: theirs.Sequence()}, now.LastRecords[i])
		}
		net.records = nil // the network has forgotten
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
		require.Equal(t, []pointer.Pointer{keys[0].Pointer(), keys[1].Pointer()}, out.Former)
		for i, key := range keys {
			require.Equal(t, last[i].Bytes(), net.records[key.Pointer()])
		}
	}
	// A copy of the home has them too.
	b, err := copied(a, filepath.Join(t.TempDir(), "copy"), agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	got, err := b.Identity()
	require.NoError(t, err)
	require.Equal(t, last[0].Expires(), got.LastRecords[0].Until)
}

// The attack: a thief of a former key publishes above a rotation's last record. One with
// any lower sequence loses against it. One with the highest and a later end hides the
// successor, until a follower with a confirmed pin sees the successor's own card: that
// has the step that both keys signed.
func TestAThiefOfAFormerKeyIsBelowItsLastRecord(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	publishes(t, a)
	link, err := a.Link()
	require.NoError(t, err)
	f := opened(t)
	usesFake(t, f, net)
	_, err = f.Add("ana", link, petname.Source{})
	require.NoError(t, err)
	_, err = f.Resolve(t.Context(), "ana", dht.LevelFresh)
	require.NoError(t, err)
	key := ownKey(t, a)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	publishes(t, a)
	last := held(t, a, key.Pointer())
	low, err := pointer.Sign(key, pointer.Fields{Sequence: pointer.MaxSequence - 1, Expires: time.Now().AddDate(50, 0, 0), Card: &pointer.Card{Next: link.Next}})
	require.NoError(t, err)
	require.Positive(t, last.Compare(low))

	net.records[key.Pointer()] = stolen(t, key, pointer.Card{Next: link.Next}).Bytes()
	res, err := f.Resolve(t.Context(), "ana", dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, key.Pointer(), res.Pointer, "it hides the successor")
	_, err = f.Resolve(t.Context(), a.Pointer().String(), dht.LevelFresh)
	require.NoError(t, err)
	res, err = f.Resolve(t.Context(), "ana", dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, a.Pointer(), res.Pointer)
}

// A rotation under a clock that is over a day behind this device's last entry is refused,
// before anything has changed.
func TestARotationUnderASlowClockIsRefused(t *testing.T) {
	var off time.Duration
	a := openedWith(t, agent.Options{Now: func() time.Time { return time.Now().Add(off) }})
	add(t, a, "alice", newKey(t).Pointer())
	old := a.Pointer()
	for _, off = range []time.Duration{-25 * time.Hour, -50 * 365 * 24 * time.Hour} {
		_, err := a.Rotate(t.Context(), agent.Rotation{})
		var refused *agent.ClockError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, old, a.Pointer())
	}
	off = -23 * time.Hour
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
}

// refusesOne is a network in which peers have a newer record of one pointer.
type refusesOne struct {
	shared
	of pointer.Pointer
}

func (r *refusesOne) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if p == r.of {
		return dht.Receipt{Asked: 3, Stored: 1, Refused: 2}, nil
	}
	return r.shared.Put(ctx, p, record)
}

// The attack: a thief of the old key has published above the last record. The last record
// does not count as stored, even if a peer accepts it.
func TestALastRecordThatPeersRefuseIsNotStored(t *testing.T) {
	a := opened(t)
	old := a.Pointer()
	net := &refusesOne{of: old}
	usesFake(t, a, net)
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	require.Empty(t, out.Former)
	require.Equal(t, []pointer.Pointer{old}, out.FormerNotStored)
}

// The attack: a thief of the lost key has published above its last record, with a later
// end. The recovery states that followers are not led on.
func TestARecoveryStatesThatFollowersAreNotLedOn(t *testing.T) {
	hub, err := kad.Start(t.Context(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
	require.NoError(t, err)
	t.Cleanup(func() { hub.Close() })
	file, link, dir := lost(t, hub.Addrs()...)
	h, err := home.Open(dir)
	require.NoError(t, err)
	id, err := h.Identity()
	require.NoError(t, err)
	key, err := id.Key("horse")
	require.NoError(t, err)
	theirs := stolen(t, key, pointer.Card{Next: link.Next})
	thief := opened(t)
	join(t, thief, hub.Addrs()...)
	_, err = thief.PutRecord(t.Context(), theirs)
	require.NoError(t, err)

	a, out := recovers(t, file, hub.Addrs()...)
	require.ErrorIs(t, out.Problem, agent.ErrNotLedOn)
	require.Positive(t, out.Receipt.Stored)
	require.Empty(t, out.Former)
	now, err := a.Identity()
	require.NoError(t, err)
	require.Equal(t, theirs.Sequence(), now.LastRecords[0].Above)
}
