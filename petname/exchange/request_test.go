package exchange

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// cheap is a price that tests can pay: eight hashes are to be expected.
var cheap = request.Difficulty{Solutions: 2, Bits: 2}

// strangers are Alice, who hears strangers, and Sam, whom she doesn't know. He
// has her pointer.
func unknownSender(t testing.TB) (alice, sam *person) {
	c := newClock()
	network := &dht.Memory{Now: c.Now}
	alice, sam = newPerson(t, c, network, "alice"), newPerson(t, c, network, "sam")
	alice.difficulty = &cheap
	return alice, sam
}

func (p *person) requests(t testing.TB, to *person, note string) SentRequest {
	t.Helper()
	knocked, err := p.SendRequest(context.Background(), p.key, Request{To: pointerOf(to.name), Note: note, Difficulty: cheap})
	require.NoError(t, err)
	require.Equal(t, Stored, knocked.Delivery)
	return knocked
}

func TestAStrangerWhoPaidIsInTheInboxAndCanBeAnswered(t *testing.T) {
	alice, sam := unknownSender(t)
	sam.requests(t, alice, "we met on the market")
	report := alice.fetch(t)
	require.Len(t, report.Fresh, 1)
	s := report.Fresh[0]
	require.Equal(t, petname.ContactRequest, s.Kind)
	require.Equal(t, pointerOf("sam"), s.Pointer)
	require.Equal(t, pointerOf("sam"), s.By)
	require.Equal(t, sam.next(), s.Next)
	require.Equal(t, "sam", s.Suggested)
	require.Equal(t, "we met on the market", s.Note)
	require.Equal(t, "doorstep", s.Channel)
	require.Equal(t, alice.clock.now.Add(RequestLifetime), s.Expires)
	require.Equal(t, []petname.Suggestion{s}, alice.inbox(t))
	hashes := alice.verifier.Hashes()
	require.EqualValues(t, cheap.Solutions, hashes)

	// It comes once, also after a restart, and the work is checked once.
	require.Empty(t, alice.fetch(t).Fresh)
	require.Equal(t, hashes, alice.verifier.Hashes())
	alice.reopen(t)
	require.Empty(t, alice.fetch(t).Fresh)
	require.Zero(t, alice.verifier.Hashes())

	// Accepted, she can introduce people to him; he stops knocking when he hears it.
	n, err := name.Parse("market sam")
	require.NoError(t, err)
	_, err = alice.book.Accept(s.ID, n, petname.Acceptance{})
	require.NoError(t, err)
	sam.knows(t, alice)
	carol := newPerson(t, alice.clock, alice.network, "carol")
	_, err = alice.Send(context.Background(), alice.key, pointerOf("sam"), alice.introduces(t, carol, sam))
	require.NoError(t, err)
	require.Len(t, sam.fetch(t).Fresh, 1)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.False(t, was)
}

func TestWhoDoesntHearStrangersDoesntLook(t *testing.T) {
	alice, sam := unknownSender(t)
	alice.difficulty = nil
	sam.requests(t, alice, "hello")
	require.Empty(t, alice.fetch(t).Fresh)
	require.Empty(t, alice.inbox(t))
	// Unless asked to.
	report, err := alice.FetchRequests(context.Background(), cheap)
	require.NoError(t, err)
	require.Len(t, report.Fresh, 1)
}

// A letter lives four hours, and its writer longer.
func TestWhoIsAwayForDaysIsKnockedForAgain(t *testing.T) {
	alice, sam := unknownSender(t)
	sam.requests(t, alice, "hello")
	alice.clock.now = alice.clock.now.Add(3 * 24 * time.Hour)
	require.Empty(t, alice.fetch(t).Fresh, "the first letter is gone")
	sam.reopen(t)
	sam.fetch(t)
	require.Len(t, alice.fetch(t).Fresh, 1)
	first := alice.inbox(t)

	// Knocking again says the same: nothing new, and no work for her.
	hashes := alice.verifier.Hashes()
	alice.clock.now = alice.clock.now.Add(3 * time.Hour)
	sam.fetch(t)
	require.Empty(t, alice.fetch(t).Fresh)
	require.Equal(t, first, alice.inbox(t))
	require.Equal(t, hashes, alice.verifier.Hashes())

	// Declined, it stays so; and in the end it is over.
	_, err := alice.book.Decline(first[0].ID, false)
	require.NoError(t, err)
	alice.clock.now = alice.clock.now.Add(3 * time.Hour)
	sam.fetch(t)
	require.Empty(t, alice.fetch(t).Fresh)
	require.Empty(t, alice.inbox(t))
	alice.clock.now = alice.clock.now.Add(RequestLifetime)
	sam.fetch(t)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.False(t, was)
}

// leaves puts a letter onto somebody's doorstep that no honest side would.
func (p *person) leavesRequest(t testing.TB, stamp, statement []byte) {
	t.Helper()
	me, err := p.identity(context.Background())
	require.NoError(t, err)
	_, err = request.Send(context.Background(), p.network, pointerOf(p.name), me.Sealing, request.Message{Stamp: stamp, Statement: statement}, p.clock.now)
	require.NoError(t, err)
}

// says is what a stranger says of itself to somebody.
func (p *person) requestStatement(t testing.TB, to *person, note string) []byte {
	t.Helper()
	s, err := introduce.Introduction{To: pointerOf(to.name), About: pointerOf(p.name), Suggested: p.name, Note: note,
		Expires: p.clock.now.Add(IntroductionLifetime)}.Sign(p.key, rand.NewChaCha8(sha256.Sum256([]byte(p.name+to.name+note))), p.clock.now)
	require.NoError(t, err)
	return s.Bytes()
}

func (p *person) stampFor(t testing.TB, to *person, statement []byte, price request.Difficulty, at time.Time) []byte {
	t.Helper()
	on := request.Challenge{To: pointerOf(to.name), From: pointerOf(p.name), Statement: introduce.Hash(statement)}
	stamp, err := request.MakeStamp(context.Background(), on, price, at, nil)
	require.NoError(t, err)
	return stamp
}

// Each is an attack on the price: none is heard.
func TestWhoDidntPayIsNotHeard(t *testing.T) {
	alice, sam := unknownSender(t)
	// Statements and stamps are the same in each run, and none of the wrong
	// stamps solves all puzzles by chance.
	dear := request.Difficulty{Solutions: 8, Bits: 1}
	alice.difficulty = &dear
	bob := newPerson(t, alice.clock, alice.network, "bob")
	now := alice.clock.now
	said, other := sam.requestStatement(t, alice, "hello"), sam.requestStatement(t, alice, "other")
	paid := sam.stampFor(t, alice, other, dear, now)
	toBob := sam.requestStatement(t, bob, "hello")
	for name, letter := range map[string]struct{ stamp, statement []byte }{
		"no stamp":                   {[]byte("stamp"), said},
		"a cheaper stamp":            {sam.stampFor(t, alice, said, request.Difficulty{Solutions: 7, Bits: 1}, now), said},
		"a stamp of another message": {paid, said},
		"a stamp for somebody else":  {sam.stampFor(t, bob, said, dear, now), said},
		"another's stamp":            {bob.stampFor(t, alice, said, dear, now), said},
		"a letter to somebody else":  {sam.stampFor(t, bob, toBob, dear, now), toBob},
		"an old stamp":               {sam.stampFor(t, alice, said, dear, now.Add(-3*request.EpochLength)), said},
		"a stamp of the future":      {sam.stampFor(t, alice, said, dear, now.Add(request.EpochLength)), said},
		"garbage":                    {[]byte("stamp"), []byte("garbage")},
	} {
		// Each on a network of its own, so that none hides another.
		network := &dht.Memory{Now: alice.clock.Now}
		alice.network = network
		alice.reopen(t)
		alice.leavesRequest(t, letter.stamp, letter.statement)
		require.Empty(t, alice.fetch(t).Fresh, name)
		require.Empty(t, alice.inbox(t), name)
	}
	alice.leavesRequest(t, sam.stampFor(t, alice, said, dear, now), said)
	require.Len(t, alice.fetch(t).Fresh, 1, "and the honest one is")
}

// Attack: a request in the name of another sender, and one that has expired, both
// with proof of work. They are passed over.
func TestAForgedRequestIsPassedOver(t *testing.T) {
	alice, sam := unknownSender(t)
	said := sam.requestStatement(t, alice, "hello")
	forged := bytes.Clone(said)
	forged[len(forged)-1] ^= 1
	entries := alice.book.Ledger().Heads()
	passedOver := func(statement []byte) {
		alice.leavesRequest(t, sam.stampFor(t, alice, statement, cheap, alice.clock.now), statement)
		report := alice.fetch(t)
		require.Empty(t, report.Fresh)
		require.Empty(t, report.Refused)
		require.Equal(t, entries, alice.book.Ledger().Heads())
	}
	passedOver(forged)
	alice.clock.now = alice.clock.now.Add(IntroductionLifetime)
	alice.publish(t)
	passedOver(said)
}

// Garbage that looks like letters costs some hashes a second, however many have
// paid nothing, and no more when it lies there on.
func TestGarbageOnTheDoorstepCostsLittle(t *testing.T) {
	alice, sam := unknownSender(t)
	price := request.Difficulty{Solutions: 8, Bits: 30} // nobody gets one right by chance
	alice.difficulty = &price
	stamp := sam.stampFor(t, alice, []byte("x"), request.Difficulty{Solutions: 8, Bits: 1}, alice.clock.now)
	before := uint64(0)
	for round := range 5 {
		for i := range request.Slots {
			alice.leavesRequest(t, stamp, sam.requestStatement(t, alice, fmt.Sprint(round, " ", i)))
		}
		report := alice.fetch(t)
		require.Empty(t, report.Fresh)
		require.LessOrEqual(t, alice.verifier.Hashes(), uint64((round+1)*request.Slots))
		before = alice.verifier.Hashes()
		alice.fetch(t)
		require.Equal(t, before, alice.verifier.Hashes(), "the same garbage, again")
	}
	require.LessOrEqual(t, before, uint64(request.VerifyRate), "at one moment")
}

// Who blocks the doorstep for two hours blocks it: the letter waits, is told to,
// and gets there in the next.
func TestABlockedDoorstepIsTriedAgain(t *testing.T) {
	alice, sam := unknownSender(t)
	squatted := &blocked{Store: alice.network, until: alice.clock.now.Add(time.Hour), now: alice.clock.Now}
	sam.network = squatted
	sam.reopen(t)
	knocked, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: cheap})
	require.ErrorIs(t, err, dht.ErrOlder)
	require.Equal(t, Queued, knocked.Delivery)
	require.Empty(t, alice.fetch(t).Fresh)
	alice.clock.now = alice.clock.now.Add(2 * time.Hour)
	sam.fetch(t)
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// blocked is a network in which somebody is always a little ahead.
type blocked struct {
	dht.Store
	until time.Time
	now   func() time.Time
}

func (b *blocked) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if b.now().Before(b.until) {
		return dht.Receipt{Asked: 1, Refused: 1}, dht.ErrOlder
	}
	return b.Store.Put(ctx, p, record)
}

func TestInterruptedWorkLeavesNothing(t *testing.T) {
	alice, sam := unknownSender(t)
	ctx, cancel := context.WithCancel(context.Background())
	knocked, err := sam.SendRequest(ctx, sam.key, Request{To: pointerOf("alice"), Difficulty: request.Difficulty{Solutions: request.MaxSolutions, Bits: 2},
		Progress: func(int, int) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, knocked.Delivery)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.False(t, was)
	require.Empty(t, alice.fetch(t).Fresh)
}

// A Sync has little time, and the work may take longer: it is gone on with.
func TestWorkThatASyncHasNoTimeForGoesOn(t *testing.T) {
	alice, sam := unknownSender(t)
	alice.difficulty = &request.Difficulty{Solutions: 6, Bits: 2}
	_, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: *alice.difficulty})
	require.NoError(t, err)
	require.Equal(t, 1, sam.fetch(t).Requests)
	alice.clock.now = alice.clock.now.Add(3 * request.EpochLength)
	kept := func() (w wireRequest) {
		b, err := sam.getRow(tableRequests, pointerOf("alice").Bytes())
		require.NoError(t, err)
		require.NoError(t, canonical.UnmarshalLoose(b, &w, canonical.Bounds{}))
		return w
	}
	// One whose time is over after the first puzzle.
	w := kept()
	ctx, cancel := context.WithCancel(context.Background())
	require.ErrorIs(t, sam.makeStamp(ctx, &w, pointerOf("alice"), func(int, int) { cancel() }), context.Canceled)
	require.NotEmpty(t, w.Stamp)
	require.False(t, w.Complete)
	require.NoError(t, sam.saveRequest(pointerOf("alice"), w))

	sam.fetch(t)
	require.Len(t, alice.fetch(t).Fresh, 1)
	whole := kept()
	require.True(t, whole.Complete && whole.Sent)
	const head = 8 // bytes before the answers
	require.Equal(t, w.Stamp[head:], whole.Stamp[head:len(w.Stamp)], "what was done is kept")
}

func TestOneKnocksAtSoManyDoors(t *testing.T) {
	alice, sam := unknownSender(t)
	require.NoError(t, sam.saveRequest(pointerOf("alice"), wireRequest{}))
	for i := range maxRequests - 1 {
		h := sha256.Sum256(fmt.Append(nil, "door ", i))
		require.NoError(t, sam.saveRequest(pointerOf(string(h[:])), wireRequest{}))
	}
	_, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: cheap})
	require.ErrorIs(t, err, ErrTooManyRequests)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.True(t, was)
	sam.requests(t, alice, "hello")
}

func TestNobodyKnocksWhereNothingCanBeSealed(t *testing.T) {
	alice, sam := unknownSender(t)
	_, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("nobody"), Difficulty: cheap})
	require.ErrorIs(t, err, dht.ErrNotFound)
	_, err = sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("sam"), Difficulty: cheap})
	require.Error(t, err)
	_, err = sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: cheap, Lifetime: petname.MaxRequestLifetime + time.Hour})
	require.ErrorContains(t, err, "30 days")
	require.Empty(t, alice.fetch(t).Fresh)
}

// A card says whether its owner looks, and how many puzzles it asks for.
func TestTheCardSaysWhatToPay(t *testing.T) {
	alice, sam := unknownSender(t)
	alice.difficulty = &request.Difficulty{Solutions: 3, Bits: 1}
	require.False(t, sam.requests(t, alice, "hello").Open, "it says nothing, and they may not be heard")
	alice.fetch(t)
	require.Empty(t, alice.inbox(t), "two puzzles are too few")

	alice.links = []pointer.CardLink{request.CardLink(3)}
	alice.clock.now = alice.clock.now.Add(2 * time.Minute)
	alice.publish(t)
	knocked, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: request.Difficulty{Bits: 1}})
	require.NoError(t, err)
	require.True(t, knocked.Open)
	require.Equal(t, 3, knocked.Difficulty.Solutions)
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// A contact request is signed by a key. When that key is rotated, the request
// ends.
func TestKnockingEndsWithTheKeyThatSigned(t *testing.T) {
	alice, sam := unknownSender(t)
	sam.requests(t, alice, "hello")
	sam.rotates(t)
	require.Zero(t, sam.fetch(t).Requests)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.False(t, was)
}

// A Sync does the proof of work for one message at most.
func TestASyncDoesTheWorkForOneMessage(t *testing.T) {
	alice, sam := unknownSender(t)
	sue := newPerson(t, alice.clock, alice.network, "sue")
	sam.requests(t, alice, "hello")
	sam.requests(t, sue, "hello")
	alice.clock.now = alice.clock.now.Add(2 * request.EpochLength)
	made := func() (n int) {
		for _, b := range sam.rows(t, tableRequests, nil) {
			var w wireRequest
			if canonical.UnmarshalLoose(b, &w, canonical.Bounds{}) == nil && w.Epoch == request.EpochAt(alice.clock.now) && w.Sent {
				n++
			}
		}
		return n
	}
	for want := range 3 {
		require.Equal(t, want, made())
		require.Equal(t, 2, sam.fetch(t).Requests)
	}
	require.Equal(t, 2, made())
}

// A stamp that the verifier has seen, but whose message the book has not
// stored, counts as paid.
func TestAPaidMessageIsAcceptedLater(t *testing.T) {
	alice, sam := unknownSender(t)
	said := sam.requestStatement(t, alice, "hello")
	stamp := sam.stampFor(t, alice, said, cheap, alice.clock.now)
	on := request.Challenge{To: pointerOf("alice"), From: pointerOf("sam"), Statement: introduce.Hash(said)}
	require.NoError(t, alice.verifier.Verify(stamp, on, cheap)) // and then the inbox was full
	alice.leavesRequest(t, stamp, said)
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// A sender whose clock is ahead is not refused: its message waits until its
// time has come. A message without proof of work is refused, and the report
// lists it.
func TestAStampAheadOfItsTimeWaits(t *testing.T) {
	alice, sam := unknownSender(t)
	said := sam.requestStatement(t, alice, "hello")
	alice.leavesRequest(t, sam.stampFor(t, alice, said, cheap, alice.clock.now.Add(request.EpochLength)), said)
	report := alice.fetch(t)
	require.Empty(t, report.Fresh)
	require.Empty(t, report.Refused)
	alice.leavesRequest(t, []byte("stamp"), said)
	require.Len(t, alice.fetch(t).Refused, 1)
	alice.clock.now = alice.clock.now.Add(request.EpochLength)
	require.Len(t, alice.fetch(t).Fresh, 1)
}
