package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

// asksAboutForeign publishes without a value, and requires the question about two.
func asksAboutForeign(t *testing.T, a *agent.Agent, own, foreign string) {
	t.Helper()
	before, err := a.Identity()
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
	var question *agent.SupersededError
	require.ErrorAs(t, err, &question)
	require.True(t, question.Foreign)
	require.Equal(t, own, question.Unsent.Value)
	require.Equal(t, foreign, question.Newest.Value)
	require.ErrorContains(t, err, own)
	require.ErrorContains(t, err, foreign)
	after, err := a.Identity()
	require.NoError(t, err)
	require.GreaterOrEqual(t, after.Sequence, before.Sequence)
}

// The attack: a removed device, which has the old key, publishes a value. Neither a renewal, nor
// a publication without a value, nor the key after it, which that device never had, signs it.
func TestARemovedDeviceChoosesNoValueOfTheNextKey(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	const mine, thiefs = "/ipfs/bafkqabdnnfxgk", "/ipfs/bafkqabtimvwgy3yk"
	phone, joined := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, phone)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
	require.NoError(t, err)
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value(thiefs)))
	require.NoError(t, err)

	asksAboutForeign(t, a, mine, thiefs)
	require.NoError(t, agent.Renew(t.Context(), a, held(t, a, a.Pointer()), time.Hour))
	require.Equal(t, mine, held(t, a, a.Pointer()).Value())
	asksAboutForeign(t, a, mine, thiefs) // still: a renewal is no decision
	require.Contains(t, badCopies(t, a), thiefs)

	old := a.Pointer()
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	require.Equal(t, mine, held(t, a, old).Value())
	require.Contains(t, badCopies(t, a), thiefs, "until the owner decides")
	asksAboutForeign(t, a, mine, thiefs)
	p, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
	require.NoError(t, err)
	require.Equal(t, mine, p.Value)
	require.NotEqual(t, old, p.Pointer)
	require.Empty(t, badCopies(t, a))
	p, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.NoError(t, err)
	require.Equal(t, mine, p.Value)
}

// The attack: a thief with a copy of the home publishes with other options. A renewal has those
// of this home, and puts no address of the owner into the card.
func TestAThiefsRecordChoosesNoOptionOfARenewal(t *testing.T) {
	a, b, _ := twoCopies(t)
	require.NoError(t, a.Start(t.Context()))
	own := func(d *agent.Draft) { d.TTL, d.Lifetime = 7*time.Minute, 3*time.Hour }
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine), own))
	require.NoError(t, err)
	_, err = b.PublishDraft(t.Context(), draft(agent.WaitSome, value(theirs), func(d *agent.Draft) {
		d.TTL, d.Lifetime, d.V1 = 61*time.Second, 62*time.Second, true
	}))
	require.NoError(t, err)
	require.NotNil(t, looks(t, a))
	stolen := held(t, a, a.Pointer())
	require.Equal(t, theirs, stolen.Value())
	require.NoError(t, agent.Renew(t.Context(), a, stolen, time.Minute))
	renewed := held(t, a, a.Pointer())
	require.Equal(t, mine, renewed.Value())
	require.Equal(t, 7*time.Minute, renewed.TTL())
	require.Equal(t, 3*time.Hour, agent.LifetimeOf(a, renewed))
	require.False(t, agent.HasV1(renewed.Bytes()))

	// The thief's card has addresses; then this home's is renewed with those that it published.
	for _, addresses := range []bool{true, false} {
		_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine), func(d *agent.Draft) { d.Addresses = addresses }))
		require.NoError(t, err)
		card, _ := held(t, a, a.Pointer()).Card()
		require.Equal(t, addresses, len(card.Nodes) > 0)
		card.Nodes = nil
		if !addresses {
			card.Nodes = stolenNodes(t, a)
		}
		record, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: theirs, Sequence: sequence(t, a) + 1, Expires: time.Now().Add(time.Hour), Card: &card})
		require.NoError(t, err)
		_, err = agent.RecordsOf(a).Put(t.Context(), record.Pointer(), record.Bytes())
		require.NoError(t, err)
		require.NoError(t, agent.Renew(t.Context(), a, record, time.Minute))
		card, _ = held(t, a, a.Pointer()).Card()
		require.Equal(t, addresses, len(card.Nodes) > 0)
	}
}

// stolenNodes returns addresses for a card.
func stolenNodes(t *testing.T, a *agent.Agent) [][]byte {
	t.Helper()
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, func(d *agent.Draft) { d.Addresses = true }))
	require.NoError(t, err)
	card, _ := held(t, a, a.Pointer()).Card()
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	return card.Nodes
}

// looks returns the evidence of another copy after a look-up.
func looks(t *testing.T, a *agent.Agent) *agent.OtherCopy {
	t.Helper()
	c, err := a.OtherCopy(t.Context(), true)
	require.NoError(t, err)
	return c
}

// The attack: the home has a device without the key, and the thief uses the sequence that this
// home used last. Its value is foreign all the same.
func TestAThiefsRecordOfTheSameSequenceIsForeign(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	joinedBy(t, a, false, false)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
	require.NoError(t, err)
	record, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: theirs, Sequence: sequence(t, a), Expires: time.Now().Add(5 * time.Hour)})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), record.Pointer(), record.Bytes())
	require.NoError(t, err)
	require.NoError(t, agent.Renew(t.Context(), a, record, time.Hour))
	require.Equal(t, mine, held(t, a, a.Pointer()).Value())
	asksAboutForeign(t, a, mine, theirs)
}

// Devices of one owner publish in turn: a value of another one is not foreign, before the books
// are synced and after.
func TestAValueOfAnotherDeviceIsNotForeign(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, _ := joinedBy(t, a, true, false)
	syncAll(t, agent.SyncOptions{}, a, phone)
	for i, turn := range []struct{ first, second *agent.Agent }{{a, phone}, {phone, a}, {a, phone}} {
		path := []string{mine, theirs, "/ipfs/bafkqaaa/third"}[i]
		_, err := turn.first.PublishDraft(t.Context(), draft(agent.WaitAll, value(path)))
		require.NoError(t, err)
		if i == 1 {
			syncAll(t, agent.SyncOptions{}, a, phone)
		}
		out, err := turn.second.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
		require.Equal(t, path, out.Value)
		require.NoError(t, agent.Renew(t.Context(), turn.first, held(t, turn.second, a.Pointer()), time.Hour))
		require.Equal(t, path, held(t, turn.first, a.Pointer()).Value())
		require.Empty(t, badCopies(t, a))
	}
}
