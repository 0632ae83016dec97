package agent_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// shared is a router that holds the last record that it received for each pointer.
type shared struct {
	mu      sync.Mutex
	records map[pointer.Pointer][]byte
	always  map[pointer.Pointer][]byte // returned instead
}

func (r *shared) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return r.GetAt(ctx, p, dht.LevelAny)
}

func (r *shared) GetAt(_ context.Context, p pointer.Pointer, _ dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		r.mu.Lock()
		record := r.records[p]
		if b := r.always[p]; b != nil {
			record = b
		}
		r.mu.Unlock()
		yield(dht.Answer{Record: record, Source: dht.SourceNetwork, Asked: 1}, nil)
	}
}

func (r *shared) Put(_ context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.records == nil {
		r.records = map[pointer.Pointer][]byte{}
	}
	r.records[p] = record
	return dht.Receipt{Asked: 1, Stored: 1}, nil
}

func (*shared) Check(context.Context) error { return nil }
func (*shared) Close() error                { return nil }

// publishes publishes and returns the evidence of another copy.
func publishes(t *testing.T, a *agent.Agent) *agent.OtherCopy {
	t.Helper()
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	return out.OtherCopy
}

// twoCopies returns a home that has published, and a copy of it, on one network.
func twoCopies(t *testing.T) (a, b *agent.Agent, net *shared) {
	t.Helper()
	a, net = opened(t), &shared{}
	usesFake(t, a, net)
	require.Nil(t, publishes(t, a))
	b, err := copied(a, filepath.Join(t.TempDir(), "copy"), agent.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	usesFake(t, b, net)
	return a, b, net
}

// badCopies returns what Check reports about other copies; "" if nothing.
func badCopies(t *testing.T, a *agent.Agent) string {
	t.Helper()
	for _, c := range a.Check(t.Context()) {
		if c.Name == "copies" && !c.OK {
			return c.Detail
		}
	}
	return ""
}

// Two copies of a home that publish find each other: at a publication, at a look, and in
// a check. A home that was restored each time remains the other explanation.
func TestACopyOfTheHomeThatPublishesIsFound(t *testing.T) {
	a, b, _ := twoCopies(t)
	require.Empty(t, badCopies(t, b))
	require.Nil(t, publishes(t, a)) // sequence 2
	require.Contains(t, badCopies(t, b), "another copy of this home is in use, or this home was restored from an older copy")
	c, err := b.OtherCopy(t.Context(), true)
	require.NoError(t, err)
	require.EqualValues(t, 2, c.Sequence)
	require.EqualValues(t, 1, c.Signed)
	require.Equal(t, 1, c.Times)
	c = publishes(t, b) // sequence 3
	require.NotNil(t, c)
	require.True(t, c.Successor.IsZero())
	require.Nil(t, publishes(t, b))
	require.Empty(t, badCopies(t, b), "one backup that was restored is no reason to warn for ever")
	c = publishes(t, a)
	require.NotNil(t, c)
	require.EqualValues(t, 4, c.Sequence)
	c = publishes(t, b)
	require.NotNil(t, c)
	require.Equal(t, 2, c.Times)
	require.Nil(t, publishes(t, b))
	text := badCopies(t, b)
	require.Contains(t, text, "another copy of this home is in use: ")
	require.Contains(t, text, "restored from an older copy each time")
}

// A home that cannot be written keeps no record that it looks up: what the other copy signed is
// found nevertheless, also by a check.
func TestACopyIsFoundByAHomeThatCannotBeWritten(t *testing.T) {
	for _, rotates := range []bool{false, true} {
		a, b, _ := twoCopies(t)
		require.Nil(t, publishes(t, a)) // sequence 2
		if rotates {
			_, err := a.Rotate(t.Context(), agent.Rotation{})
			require.NoError(t, err)
			publishes(t, a)
		}
		file := filepath.Join(b.Dir(), "records")
		held, err := filepath.Glob(filepath.Join(file, "*.record"))
		require.NoError(t, err)
		require.NotEmpty(t, held)
		require.NoError(t, os.Rename(file, file+".away"))
		require.NoError(t, os.WriteFile(file, nil, 0o600)) // nothing can be kept in it
		require.Contains(t, badCopies(t, b), "another copy of this home is in use")
	}
}

// Evidence that was seen twice, under a clock that was 20 years ahead, is not shown until that
// time.
func TestACopySeenUnderAFastClockIsNotReportedForYears(t *testing.T) {
	a, c := opened(t), &offClock{}
	net := &shared{}
	usesFake(t, a, net)
	require.Nil(t, publishes(t, a))
	b, err := copied(a, filepath.Join(t.TempDir(), "copy"), agent.Options{Now: c.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	usesFake(t, b, net)
	c.off = 20 * year
	for range 2 {
		publishes(t, a)
		require.NotNil(t, publishes(t, b))
	}
	require.NotEmpty(t, badCopies(t, b))
	c.off = 0
	require.Empty(t, badCopies(t, b))
}

// Two copies that signed one sequence offline find each other by the content of the
// record.
func TestACopyWithTheSameSequenceIsFound(t *testing.T) {
	a, b, net := twoCopies(t)
	theirs, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqabdumvzxi"), func(d *agent.Draft) { d.Lifetime = 2 * time.Hour }))
	require.NoError(t, err)
	record := net.records[a.Pointer()]
	net.records[a.Pointer()] = nil
	require.Nil(t, publishes(t, b))
	require.Equal(t, theirs.Sequence, sequence(t, b))
	require.Empty(t, badCopies(t, b))
	net.records[a.Pointer()] = record
	require.Contains(t, badCopies(t, b), "sequence 2, and this home has signed another one with it")
	asksAboutForeign(t, b, "/ipfs/bafkqaaa", "/ipfs/bafkqabdumvzxi")
	out, err := b.PublishDraft(t.Context(), draft(agent.WaitSome, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	c := out.OtherCopy
	require.NotNil(t, c)
	require.Equal(t, c.Sequence, c.Signed)
	require.Nil(t, publishes(t, b))
}

// A recovery file that is used on two machines makes two homes with one key. The second
// one is notified.
func TestASecondRecoveryFromOneFileIsFound(t *testing.T) {
	hub, err := kad.Start(t.Context(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
	require.NoError(t, err)
	t.Cleanup(func() { hub.Close() })
	file, _, _ := lost(t, hub.Addrs()...)
	_, first := recovers(t, file, hub.Addrs()...)
	require.Nil(t, first.OtherCopy)
	require.NoError(t, os.Rename(file+".next", file+"2"))
	_, second := recovers(t, file, hub.Addrs()...)
	require.NotNil(t, second.OtherCopy)
	require.Equal(t, first.New, second.New)
}

// The evidence is stored: also a renewal in the background, which is above the other
// copy's record, leaves it to be shown.
func TestEvidenceOfACopyIsShownLater(t *testing.T) {
	a, b, _ := twoCopies(t)
	publishes(t, a)
	require.NotNil(t, publishes(t, b)) // as the republisher does: nobody looks at the result
	c, err := b.OtherCopy(t.Context(), false)
	require.NoError(t, err)
	require.NotNil(t, c)
	c, err = b.OtherCopy(t.Context(), false)
	require.NoError(t, err)
	require.Nil(t, c, "it was shown")
}

// The attack: a network returns old records of the owner, forged ones, those of others,
// or of the highest sequence signed by another key. Nothing of it is evidence of a copy.
func TestALyingNetworkIsNoEvidenceOfACopy(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	publishes(t, a)
	own := a.Pointer()
	first := net.records[own]
	publishes(t, a)
	thief := newKey(t)
	theirs, err := pointer.Sign(thief, pointer.Fields{Sequence: pointer.MaxSequence, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	forged := append([]byte(nil), net.records[own]...)
	forged[len(forged)-1] ^= 1
	for i, lie := range [][]byte{first, nil, theirs.Bytes(), forged, []byte("x"), net.records[own]} {
		net.always = map[pointer.Pointer][]byte{own: lie}
		c, err := a.OtherCopy(t.Context(), true)
		require.NoError(t, err)
		require.Nil(t, c, i)
		require.Nil(t, publishes(t, a), i)
		require.Empty(t, badCopies(t, a), i)
	}
}

// If one copy has rotated, the other does not publish over the record that leads
// followers on, and does not rotate by itself: that would be two successions.
func TestACopyDoesNotPublishOverARotation(t *testing.T) {
	a, b, net := twoCopies(t)
	old := a.Pointer()
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.Nil(t, publishes(t, a))
	last := net.records[old]
	before, err := b.Identity()
	require.NoError(t, err)
	var copied *agent.CopiedError
	_, err = b.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.ErrorAs(t, err, &copied)
	require.Equal(t, a.Pointer(), copied.Successor)
	require.ErrorContains(t, err, "another copy of this home is in use")
	_, err = b.Rotate(t.Context(), agent.Rotation{})
	require.ErrorAs(t, err, &copied)
	require.Contains(t, badCopies(t, b), a.Pointer().String())
	require.Equal(t, last, net.records[old])
	after, err := b.Identity()
	require.NoError(t, err)
	require.Equal(t, before.Pointer, after.Pointer)
	require.Equal(t, before.Next, after.Next)

	// A home that was restored from a backup of before the rotation can go on.
	_, err = b.Rotate(t.Context(), agent.Rotation{DespiteCopy: true})
	require.NoError(t, err)
	require.Equal(t, a.Pointer(), b.Pointer())
	// Both have the new key, with different next keys: that is proof, and a publication
	// would show followers a duplicity.
	theirs := net.records[b.Pointer()]
	for range 2 {
		_, err = b.PublishDraft(t.Context(), draft(agent.WaitSome))
		require.ErrorAs(t, err, &copied)
		require.True(t, copied.Successor.IsZero())
		id, err := a.Identity()
		require.NoError(t, err)
		require.Equal(t, id.Next, copied.Next)
		require.Equal(t, theirs, net.records[b.Pointer()])
		require.Contains(t, badCopies(t, b), copied.Next.String(), "also for a home that has published nothing yet")
	}
	_, err = b.Rotate(t.Context(), agent.Rotation{})
	require.ErrorAs(t, err, &copied)
	out, err := b.PublishDraft(t.Context(), func(d *agent.Draft) error {
		d.DespiteCopy = true
		return draft(agent.WaitSome)(d)
	})
	require.NoError(t, err)
	require.Equal(t, copied.Next, out.OtherCopy.Next)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.ErrorAs(t, err, &copied)
	require.NotEmpty(t, badCopies(t, b), "proof is shown for some time")
}

// A copy that was made from a recovery file has no step by the old key: it is found by
// the records of the next key.
func TestARotationLooksForTheNextKey(t *testing.T) {
	a, b, net := twoCopies(t)
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	publishes(t, a)
	for p := range net.records {
		if p != a.Pointer() {
			delete(net.records, p)
		}
	}
	var copied *agent.CopiedError
	_, err = b.Rotate(t.Context(), agent.Rotation{})
	require.ErrorAs(t, err, &copied)
	require.Equal(t, a.Pointer(), copied.Successor)
	_, err = b.Rotate(t.Context(), agent.Rotation{DespiteCopy: true})
	require.NoError(t, err)
}

// A home with an identity key that cannot be read has no pointer to compare: its own
// last record is no evidence of a copy.
func TestADamagedIdentityKeyIsNoOtherCopy(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	publishes(t, a)
	_, err := a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	publishes(t, a)
	dir := a.Dir()
	require.NoError(t, a.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "identity.key"), nil, 0o600))
	a, err = agent.Open(t.Context(), dir, agent.Options{Transport: loopback()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	require.Empty(t, badCopies(t, a))
}

// The attack: a thief of the current key names a successor of its own. That is no
// rotation of a copy, and stops neither a publication nor the rotation to the next key.
func TestAThiefsSuccessorIsNoRotationOfACopy(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	publishes(t, a)
	key, thief := ownKey(t, a), newKey(t)
	id, err := a.Identity()
	require.NoError(t, err)
	step, err := pointer.Succeed(key.Pointer(), thief, id.Next, key)
	require.NoError(t, err)
	card := pointer.Card{Next: id.Next, Succession: []pointer.Succession{step}, Successor: thief.Pointer()}
	theirs, err := pointer.Sign(key, pointer.Fields{Sequence: 9, Expires: time.Now().Add(time.Hour), Card: &card})
	require.NoError(t, err)
	net.records[key.Pointer()] = theirs.Bytes()
	c := publishes(t, a)
	require.NotNil(t, c)
	require.True(t, c.Successor.IsZero())
	net.records[key.Pointer()] = theirs.Bytes()

	// The public half of the next key, as of a rotation in another copy, proves none.
	other, err := copied(a, filepath.Join(t.TempDir(), "copy"), agent.Options{})
	require.NoError(t, err)
	defer other.Close()
	_, err = other.Rotate(t.Context(), agent.Rotation{DespiteCopy: true})
	require.NoError(t, err)
	forged := pointer.Succession{Old: key.Pointer(), New: ownKey(t, other).Public().(ed25519.PublicKey), NewSignature: make([]byte, 64)}
	card = pointer.Card{Next: id.Next, Succession: []pointer.Succession{forged}, Successor: other.Pointer()}
	theirs, err = pointer.Sign(key, pointer.Fields{Sequence: 19, Expires: time.Now().Add(time.Hour), Card: &card})
	require.NoError(t, err)
	net.records[key.Pointer()] = theirs.Bytes()
	c = publishes(t, a)
	require.NotNil(t, c)
	require.True(t, c.Successor.IsZero())
	net.records[key.Pointer()] = theirs.Bytes()

	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.Greater(t, held(t, a, key.Pointer()).Sequence(), uint64(19))
}

// A home that has never published asks nobody about its pointer.
func TestAnUnpublishedPointerIsNotLookedUp(t *testing.T) {
	a, r := opened(t), newRouter(t)
	uses(t, a, r)
	_, err := a.OtherCopy(t.Context(), true)
	require.NoError(t, err)
	gets, puts := r.asked()
	require.Equal(t, "0 0", fmt.Sprint(gets, puts))
}

// The same, if the record of the other copy ends before ours: a look-up prefers ours, and
// the next put replaces the other one. Our own record is no evidence, also when it was
// renewed, returned by many peers, or has expired.
func TestACopyWithTheSameSequenceAndAnEarlierEndIsFound(t *testing.T) {
	a, b, net := twoCopies(t)
	first := net.records[a.Pointer()]
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, func(d *agent.Draft) { d.Lifetime, d.TTL = 30*time.Minute, time.Minute }))
	require.NoError(t, err)
	theirs := net.records[a.Pointer()]
	net.records[a.Pointer()] = first
	require.Nil(t, publishes(t, b)) // for longer
	ours := net.records[a.Pointer()]
	require.Empty(t, badCopies(t, b))
	for _, own := range [][]byte{first, ours, nil} {
		net.always = map[pointer.Pointer][]byte{b.Pointer(): own}
		require.Empty(t, badCopies(t, b))
	}

	net.always = map[pointer.Pointer][]byte{b.Pointer(): theirs}
	require.Contains(t, badCopies(t, b), "sequence 2, and this home has signed another one with it")
	require.True(t, bytes.Equal(ours, held(t, b, b.Pointer()).Bytes()), "the home keeps its own")
	net.always = nil
	c, err := b.OtherCopy(t.Context(), false)
	require.NoError(t, err)
	require.NotNil(t, c, "it is the last that this home has signed")
	require.Equal(t, c.Sequence, c.Signed)
	require.NotNil(t, publishes(t, a), "the other way round, ours ends later")
	net.always = map[pointer.Pointer][]byte{b.Pointer(): theirs}
	require.NotNil(t, publishes(t, b))
	require.Nil(t, publishes(t, b), "an older sequence is no evidence")
}

// A node finds it, too, when it looks for its record before it puts that: the put replaces
// the record of the other copy, which was published while this home was offline.
func TestARepublisherFindsACopyWithTheSameSequence(t *testing.T) {
	hub, err := kad.Start(t.Context(), kad.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Server: true})
	require.NoError(t, err)
	t.Cleanup(func() { hub.Close() })
	a := opened(t)
	b, err := copied(a, filepath.Join(t.TempDir(), "copy"), agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
	require.NoError(t, err)
	_, err = b.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.ErrorIs(t, err, agent.ErrNotJoined)
	require.NoError(t, a.Join(t.Context(), hub.Addrs()...))
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome, func(d *agent.Draft) { d.Lifetime, d.TTL = 30*time.Minute, time.Minute }))
	require.NoError(t, err)
	require.NoError(t, b.Join(t.Context(), hub.Addrs()...))
	found := 0
	for answer, err := range agent.OwnNetworkOf(b).Get(t.Context(), b.Pointer()) {
		require.NoError(t, err)
		if answer.Record != nil {
			found++
		}
	}
	require.NotZero(t, found)
	require.NoError(t, b.Close())
	b, err = agent.Open(t.Context(), b.Dir(), agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	c, err := b.OtherCopy(t.Context(), false)
	require.NoError(t, err)
	require.NotNil(t, c)
	require.EqualValues(t, 1, c.Sequence)
}

// A device of the owner that has not received the key of a rotation on another one is checked:
// the check names the other device, as a publication does.
func TestARotationOfAnotherDeviceIsNamedAsOne(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, _ := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, phone)
	_, err := phone.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll))
	var rotated *agent.CopiedError
	require.ErrorAs(t, err, &rotated)
	require.Contains(t, badCopies(t, phone), rotated.Error())
	require.Contains(t, badCopies(t, phone), "another device of yours")
}
