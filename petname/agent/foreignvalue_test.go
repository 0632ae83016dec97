package agent_test

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/multiformats/go-multiaddr"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
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

// signsLike puts a record into a store that a thief of the key signs: with the owner's card,
// changed by edit.
func signsLike(t *testing.T, a *agent.Agent, net *shared, val string, seq uint64, life time.Duration, edit ...func(*pointer.Card)) {
	t.Helper()
	card, _ := held(t, a, a.Pointer()).Card()
	for _, change := range edit {
		change(&card)
	}
	r, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: val, Sequence: seq, Expires: time.Now().Add(life).Truncate(time.Second), TTL: time.Minute, Card: &card})
	require.NoError(t, err)
	_, err = net.Put(t.Context(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

// The attack: the thief first signs the owner's own value, which leaves nothing to decide, and
// then another one with the same sequence and a later end, after the owner has looked.
func TestAHarmlessRecordHidesNoForeignValueOfItsSequence(t *testing.T) {
	for above := range uint64(2) {
		a, net := opened(t), &shared{}
		usesFake(t, a, net)
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
		require.NoError(t, err)
		seq := sequence(t, a) + above
		signsLike(t, a, net, mine, seq, 49*time.Hour)
		seen := looks(t, a)
		require.NotNil(t, seen)
		require.Empty(t, seen.Value)
		signsLike(t, a, net, theirs, seq, 50*time.Hour)
		require.Equal(t, theirs, looks(t, a).Value)
		asksAboutForeign(t, a, mine, theirs)
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		asksAboutForeign(t, a, mine, theirs)
	}
}

// The attack: a record with the owner's next key comes first; the proof of theft has its sequence.
func TestAHarmlessRecordHidesNoOtherNextKeyOfItsSequence(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
	require.NoError(t, err)
	seq := sequence(t, a) + 1
	own, _ := held(t, a, a.Pointer()).Card()
	next := own.Next
	signsLike(t, a, net, mine, seq, time.Hour)
	require.NotNil(t, looks(t, a))
	signsLike(t, a, net, mine, seq, 40*time.Hour, func(card *pointer.Card) {
		card.Next, err = pointer.Commit(newKey(t).Public())
		require.NoError(t, err)
	})
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.ErrorAs(t, err, new(*agent.CopiedError))
	require.Contains(t, badCopies(t, a), "or a thief has its key")
	signsLike(t, a, net, mine, seq+1, 41*time.Hour, func(card *pointer.Card) { card.Next = next }) // takes no proof back
	require.NotNil(t, looks(t, a))
	require.Contains(t, badCopies(t, a), "or a thief has its key")
}

// The attack: the owner publishes a card without a value, and the thief one with a value.
func TestAThiefChoosesNoValueWhereTheOwnerHasNone(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	signsLike(t, a, net, theirs, sequence(t, a)+1, 40*time.Hour)
	asksAboutForeign(t, a, pointer.NoValue, theirs)
	require.NoError(t, agent.Renew(t.Context(), a, held(t, a, a.Pointer()), time.Hour))
	require.Equal(t, pointer.NoValue, held(t, a, a.Pointer()).Value())
	asksAboutForeign(t, a, pointer.NoValue, theirs)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	asksAboutForeign(t, a, pointer.NoValue, theirs)
	p, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(pointer.NoValue)))
	require.NoError(t, err)
	require.Equal(t, pointer.NoValue, p.Value)
	require.Empty(t, badCopies(t, a))
}

// The attack: this home has published nothing, and the first publication, also one with sequence
// 0, is that of a removed device. A renewal takes neither its value nor its options, and the next
// key signs nothing of it without the owner's decision.
func TestARemovedDeviceChoosesNoValueOfAHomeThatHasPublishedNothing(t *testing.T) {
	for seq := range uint64(2) {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		require.NoError(t, a.Start(t.Context()))
		_, joined := joinedBy(t, a, true, false)
		_, err := a.RemoveDevice(joined.Device)
		require.NoError(t, err)
		card := pointer.Card{Nodes: [][]byte{multiaddr.StringCast("/ip4/127.0.0.1/tcp/1").Bytes()}}
		stolen, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: theirs, Sequence: seq, Expires: time.Now().Add(time.Hour), TTL: time.Minute, Card: &card, V1: true})
		require.NoError(t, err)
		_, err = agent.RecordsOf(a).Put(t.Context(), stolen.Pointer(), stolen.Bytes())
		require.NoError(t, err)
		asksAboutForeign(t, a, pointer.NoValue, theirs)
		require.NoError(t, agent.Renew(t.Context(), a, stolen, time.Hour))
		renewed := held(t, a, a.Pointer())
		require.Equal(t, seq+1, renewed.Sequence())
		require.Equal(t, pointer.NoValue, renewed.Value())
		require.False(t, agent.HasV1(renewed.Bytes()))
		card, _ = renewed.Card()
		require.Empty(t, card.Nodes)
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		asksAboutForeign(t, a, pointer.NoValue, theirs)
	}
}

// The attack: the device that made all publications was stolen, and is removed by one that made
// none. A renewal takes neither an option of it, nor another value under the last sequence.
func TestARemovedPublisherChoosesNothingOfARenewal(t *testing.T) {
	for above := range uint64(2) {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		require.NoError(t, a.Start(t.Context()))
		phone, _ := joinedBy(t, a, true, false)
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine), func(d *agent.Draft) { d.Addresses = true }))
		require.NoError(t, err)
		syncAll(t, agent.SyncOptions{}, a, phone)
		require.NoError(t, phone.Start(t.Context()))
		devices, err := phone.Devices()
		require.NoError(t, err)
		_, err = phone.RemoveDevice(devices[0].ID)
		require.NoError(t, err)
		card, _ := held(t, a, a.Pointer()).Card()
		require.NotEmpty(t, card.Nodes)
		stolen, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: theirs, Sequence: sequence(t, a) + above, Expires: time.Now().Add(49 * time.Hour),
			TTL: 61 * time.Second, Card: &card, V1: true})
		require.NoError(t, err)
		_, err = agent.RecordsOf(phone).Put(t.Context(), stolen.Pointer(), stolen.Bytes())
		require.NoError(t, err)
		require.NoError(t, agent.Renew(t.Context(), phone, stolen, time.Minute))
		renewed := held(t, phone, a.Pointer())
		require.Equal(t, mine, renewed.Value())
		require.Equal(t, agent.DefaultTTL, renewed.TTL())
		require.Equal(t, agent.DefaultLifetime, agent.LifetimeOf(phone, renewed))
		require.False(t, agent.HasV1(renewed.Bytes()))
		card, _ = renewed.Card()
		require.Empty(t, card.Nodes)
		asksAboutForeign(t, phone, mine, theirs)
	}
}

// What a device with the key published before its removal is the owner's value, if its entries were
// synced or another device has renewed it. The next key signs it.
func TestAValuePublishedBeforeTheRemovalIsTheOwners(t *testing.T) {
	for _, synced := range []bool{true, false} {
		hub := served(t, nil)
		a := opened(t)
		join(t, a, addrs(t, hub)...)
		phone, joined := joinedBy(t, a, true, false)
		_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
		require.NoError(t, err)
		syncAll(t, agent.SyncOptions{}, a, phone)
		_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value(theirs)))
		require.NoError(t, err)
		if synced {
			syncAll(t, agent.SyncOptions{}, a, phone)
		} else {
			require.NoError(t, agent.Renew(t.Context(), a, held(t, a, a.Pointer()), time.Hour))
		}
		_, err = a.RemoveDevice(joined.Device)
		require.NoError(t, err)
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.NoError(t, err)
		out, err := a.PublishDraft(t.Context(), draft(agent.WaitAll))
		require.NoError(t, err)
		require.Equal(t, theirs, out.Value)
	}
}

// The attack: after the owner has decided for a value, the thief signs another one again.
func TestADecisionIsForNoLaterForeignValue(t *testing.T) {
	a, net := opened(t), &shared{}
	usesFake(t, a, net)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
	require.NoError(t, err)
	signsLike(t, a, net, theirs, sequence(t, a)+1, 40*time.Hour)
	asksAboutForeign(t, a, mine, theirs)
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
	require.NoError(t, err)
	signsLike(t, a, net, theirs, out.Sequence, 60*time.Hour)
	asksAboutForeign(t, a, mine, theirs)
	require.NoError(t, agent.Renew(t.Context(), a, held(t, a, a.Pointer()), time.Hour))
	require.Equal(t, mine, held(t, a, a.Pointer()).Value())
	asksAboutForeign(t, a, mine, theirs)
}

// The attack: before its removal, a stolen phone states that the owner's tablet holds the key. The
// tablet is then no other device that may have signed the thief's record.
func TestARemovedDeviceNamesNoOtherSigner(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, joined := joinedBy(t, a, true, false)
	_, tablet := joinedBy(t, a, false, false)
	syncAll(t, agent.SyncOptions{}, a, phone)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitAll, value(mine)))
	require.NoError(t, err)
	require.NoError(t, agent.BookOf(phone).AdmitDevice(ownKey(t, phone), tablet.Device[:], "tablet", true))
	syncAll(t, agent.SyncOptions{}, a, phone)
	_, err = a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value(theirs), func(d *agent.Draft) { d.DespiteCopy = true }))
	require.NoError(t, err)
	asksAboutForeign(t, a, mine, theirs)
}

// answers is a network with several records of one sequence, of which each look-up has all.
type answers struct {
	*shared
	all [][]byte // nil: those of shared
}

func (n *answers) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	return n.GetAt(ctx, p, dht.LevelAny)
}

func (n *answers) GetAt(ctx context.Context, p pointer.Pointer, l dht.Level) iter.Seq2[dht.Answer, error] {
	if n.all == nil {
		return n.shared.GetAt(ctx, p, l)
	}
	return func(yield func(dht.Answer, error) bool) {
		for _, r := range n.all {
			if !yield(dht.Answer{Record: r, Source: dht.SourceNetwork, Asked: 1}, nil) {
				return
			}
		}
	}
}

// The attack: the thief signs two records with the owner's last sequence, one with a value or a
// next key of its own and a later end, which the home holds, and a harmless one, which each later
// look-up sees as well. The harmless one is not compared in the place of the other.
func TestAHarmlessRecordIsNotComparedInThePlaceOfTheHeldOne(t *testing.T) {
	for _, order := range [][]int{{0, 1}, {1, 0}, {0}} { // the last: one after the other
		for _, next := range []bool{false, true} {
			a, net := opened(t), &answers{shared: &shared{}}
			usesFake(t, a, net)
			_, err := a.PublishDraft(t.Context(), draft(agent.WaitSome, value(mine)))
			require.NoError(t, err)
			own, _ := held(t, a, a.Pointer()).Card()
			sign := func(v string, life time.Duration, card pointer.Card) []byte {
				r, err := pointer.Sign(ownKey(t, a), pointer.Fields{Value: v, Sequence: sequence(t, a), Expires: time.Now().Add(life).Truncate(time.Second), TTL: time.Minute, Card: &card})
				require.NoError(t, err)
				return r.Bytes()
			}
			bad := own
			if next {
				bad.Next, err = pointer.Commit(newKey(t).Public())
				require.NoError(t, err)
			}
			both := [][]byte{sign(map[bool]string{true: mine, false: theirs}[next], 60*time.Hour, bad), sign(mine, 50*time.Hour, own)}
			for _, i := range order {
				net.all = append(net.all, both[i])
			}
			if len(order) == 1 {
				_, err = a.Resolve(t.Context(), a.Pointer().String(), dht.LevelFresh)
				require.NoError(t, err)
				net.all = both[1:]
			}
			_, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
			if next {
				require.ErrorAs(t, err, new(*agent.CopiedError))
				continue
			}
			require.ErrorAs(t, err, new(*agent.SupersededError))
			asksAboutForeign(t, a, mine, theirs)
		}
	}
}

// The attack: a device states before its removal that it does not hold the key, which it has. That
// is no reason to believe it afterwards.
func TestADeviceThatDeniesItsKeyChoosesNoValueAfterItsRemoval(t *testing.T) {
	hub := served(t, nil)
	a := opened(t)
	join(t, a, addrs(t, hub)...)
	phone, joined := joinedBy(t, a, true, false)
	require.NoError(t, agent.BookOf(phone).StateOwnKey(false))
	syncAll(t, agent.SyncOptions{}, a, phone)
	d, err := a.RemoveDevice(joined.Device)
	require.NoError(t, err)
	require.True(t, d.IdentityKey, "it may have the key: the owner is to rotate")
	_, err = phone.PublishDraft(t.Context(), draft(agent.WaitAll, value(theirs)))
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitAll))
	require.ErrorAs(t, err, new(*agent.SupersededError))
}
