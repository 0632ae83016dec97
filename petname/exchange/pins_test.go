package exchange

import (
	"context"
	"crypto/ecdh"
	"crypto/hpke"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// signCard signs a later record of a person with a card.
func (p *person) signCard(t *testing.T, n uint64, card pointer.Card) pointer.Record {
	t.Helper()
	r, err := pointer.Sign(p.key, pointer.Fields{Sequence: uint64(p.clock.Now().Unix()) + n, Expires: p.clock.Now().AddDate(0, 3, 0), TTL: time.Minute, Card: &card})
	require.NoError(t, err)
	return r
}

// putCard puts such a record, and lets the cached one expire.
func (p *person) putCard(t *testing.T, n uint64, card pointer.Card) {
	t.Helper()
	_, err := p.network.Put(t.Context(), pointerOf(p.name), p.signCard(t, n, card).Bytes())
	require.NoError(t, err)
	p.clock.now = p.clock.now.Add(5 * time.Minute)
}

func evilCommitment(t *testing.T) pointer.Commitment {
	t.Helper()
	c, err := pointer.Commit(testKey("evil").Public())
	require.NoError(t, err)
	return c
}

// The attack: a thief of bob's key signs a card that contradicts the book, and then
// one without a commitment, both with sealing keys of its own. Nothing is sealed to
// them.
func TestNothingIsSealedToACardInContradiction(t *testing.T) {
	alice, bob, _ := three(t)
	_, _, err := alice.contactDetails(t.Context(), pointerOf("bob"))
	require.NoError(t, err)
	thief, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	require.NoError(t, err)
	sealing := []pointer.SealingKey{{KEM: thief.KEM().ID(), Key: thief.PublicKey().Bytes()}}
	bob.putCard(t, 1, pointer.Card{Next: evilCommitment(t), Sealing: sealing})
	_, _, err = alice.contactDetails(t.Context(), pointerOf("bob"))
	require.ErrorAs(t, err, new(*petname.DuplicityError))
	bob.putCard(t, 2, pointer.Card{Sealing: sealing})
	_, _, err = alice.contactDetails(t.Context(), pointerOf("bob"))
	require.ErrorAs(t, err, new(*petname.DuplicityError))
}

// hiding hides the records of one pointer.
type hiding struct {
	dht.Store
	p pointer.Pointer
}

func (h hiding) Get(ctx context.Context, p pointer.Pointer) iter.Seq2[dht.Answer, error] {
	if p == h.p {
		return func(func(dht.Answer, error) bool) {}
	}
	return h.Store.Get(ctx, p)
}

// The statements of a contact in contradiction wait until the owner has settled it.
func TestStatementsInAContradictionAreNotLost(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := t.Context()
	dave := newPerson(t, alice.clock, alice.network, "dave")
	_, err := alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, dave, carol))
	require.NoError(t, err)
	_, err = carol.Sync(ctx, carol.key)
	require.NoError(t, err)
	_, err = carol.suggestPaired(paired(alice), petname.Paired, "")
	require.NoError(t, err)
	require.NoError(t, carol.book.LearnCard(alice.signCard(t, 1, pointer.Card{Next: alice.next()})))
	require.Error(t, carol.book.LearnCard(alice.signCard(t, 2, pointer.Card{Next: evilCommitment(t)}))) // by a thief
	network := carol.network
	carol.network = hiding{network, pointerOf("alice")}
	carol.open()
	_, err = alice.Send(ctx, alice.key, pointerOf("carol"), alice.introduces(t, bob, carol))
	require.NoError(t, err)
	report, err := carol.Sync(ctx, carol.key)
	require.NoError(t, err)
	require.Equal(t, []pointer.Pointer{pointerOf("alice")}, report.InDoubt)
	n, err := name.Parse("alice")
	require.NoError(t, err)
	_, err = carol.book.Add(n, alice.link(), petname.Source{ReplacePin: true})
	require.NoError(t, err)
	carol.network = network
	carol.open()
	for _, p := range []*person{carol, alice, carol} {
		_, err = p.Sync(ctx, p.key)
		require.NoError(t, err)
	}
	introduced := 0
	for _, s := range carol.inbox(t) {
		if s.Kind == petname.Introduced {
			introduced++
		}
	}
	require.Equal(t, 2, introduced)
}

// A Sync moves no contact that Resolve shows as unproven: a card that states its
// commitment and its successor at once proves neither.
func TestASyncMovesNoContactThatIsUnproven(t *testing.T) {
	alice, _, _ := three(t)
	ctx := t.Context()
	dave := newPerson(t, alice.clock, alice.network, "dave")
	n, err := name.Parse("dave")
	require.NoError(t, err)
	_, err = alice.book.Add(n, pointer.Link{Pointer: pointerOf("dave")}, petname.Source{})
	require.NoError(t, err)
	step, err := pointer.Succeed(pointerOf("dave"), testKey("evil"), pointer.Commitment{}, dave.key)
	require.NoError(t, err)
	evil := pointerOf("evil")
	dave.putCard(t, 1, pointer.Card{Next: evilCommitment(t), Successor: evil, Succession: []pointer.Succession{step}})
	r, err := pointer.Sign(testKey("evil"), pointer.Fields{Sequence: 1, Expires: alice.clock.Now().AddDate(0, 3, 0), TTL: time.Minute, Card: &pointer.Card{Succession: []pointer.Succession{step}}})
	require.NoError(t, err)
	_, err = alice.network.Put(ctx, evil, r.Bytes())
	require.NoError(t, err)
	res, err := alice.book.Resolve(ctx, alice.c.Records, "dave", dht.LevelFresh)
	require.NoError(t, err)
	require.Equal(t, evil, res.Last().Unproven)
	_, err = alice.Sync(ctx, alice.key)
	require.NoError(t, err)
	c, err := alice.book.Find("dave")
	require.NoError(t, err)
	require.Equal(t, pointerOf("dave"), c.Pointer)
}

// A contact without a channel whose next keys contradict each other is not polled, and
// the report names it.
func TestAContactInContradictionIsReported(t *testing.T) {
	alice, _, _ := three(t)
	ctx := t.Context()
	dave := newPerson(t, alice.clock, alice.network, "dave")
	n, err := name.Parse("dave")
	require.NoError(t, err)
	_, err = alice.book.Add(n, pointer.Link{Pointer: dave.link().Pointer, Next: evilCommitment(t)}, petname.Source{})
	require.NoError(t, err)
	require.Error(t, alice.book.LearnCard(dave.signCard(t, 1, pointer.Card{Next: dave.next()})))
	report, err := alice.Sync(ctx, alice.key)
	require.NoError(t, err)
	require.Equal(t, []pointer.Pointer{dave.link().Pointer}, report.InDoubt)
}
