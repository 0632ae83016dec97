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

// cheap is a difficulty for tests: about eight hashes.
var cheap = request.Difficulty{Solutions: 2, Bits: 2}

// unknownSender returns Alice, who fetches contact requests, and Sam, who has her pointer and is
// not in her book.
func unknownSender(t testing.TB) (alice, sam *person) {
	c := newClock()
	network := &dht.Memory{Now: c.Now}
	alice, sam = newPerson(t, c, network, "alice"), newPerson(t, c, network, "sam")
	alice.difficulty = &cheap
	return alice, sam
}

func (p *person) requests(t testing.TB, to *person, note string) SentRequest {
	t.Helper()
	sent, err := p.SendRequest(context.Background(), p.key, Request{To: pointerOf(to.name), Note: note, Difficulty: cheap})
	require.NoError(t, err)
	require.Equal(t, Stored, sent.Delivery)
	return sent
}

func TestARequestWithProofOfWorkIsInTheInboxAndCanBeAnswered(t *testing.T) {
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

	// It is received once, also after a restart, and its stamp is verified once.
	require.Empty(t, alice.fetch(t).Fresh)
	require.Equal(t, hashes, alice.verifier.Hashes())
	alice.reopen(t)
	require.Empty(t, alice.fetch(t).Fresh)
	require.Zero(t, alice.verifier.Hashes())

	// After she has accepted it she can send to him. Her message ends his request.
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

func TestRequestsAreNotFetchedUnlessEnabled(t *testing.T) {
	alice, sam := unknownSender(t)
	alice.difficulty = nil
	sam.requests(t, alice, "hello")
	require.Empty(t, alice.fetch(t).Fresh)
	require.Empty(t, alice.inbox(t))
	// They are fetched on demand.
	report, err := alice.FetchRequests(context.Background(), cheap)
	require.NoError(t, err)
	require.Len(t, report.Fresh, 1)
}

// A record is valid for four hours, and a request longer: the sender sends it again.
func TestARequestIsSentAgainUntilItExpires(t *testing.T) {
	alice, sam := unknownSender(t)
	sam.requests(t, alice, "hello")
	alice.clock.now = alice.clock.now.Add(3 * 24 * time.Hour)
	require.Empty(t, alice.fetch(t).Fresh, "the first record has expired")
	sam.reopen(t)
	sam.fetch(t)
	require.Len(t, alice.fetch(t).Fresh, 1)
	first := alice.inbox(t)

	// The request that is sent again is not new, and its stamp is not verified.
	hashes := alice.verifier.Hashes()
	alice.clock.now = alice.clock.now.Add(3 * time.Hour)
	sam.fetch(t)
	require.Empty(t, alice.fetch(t).Fresh)
	require.Equal(t, first, alice.inbox(t))
	require.Equal(t, hashes, alice.verifier.Hashes())

	// After she declines it, it stays declined. In the end it expires.
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

// leavesRequest puts any stamp and statement into the request mailbox of p.
func (p *person) leavesRequest(t testing.TB, stamp, statement []byte) {
	t.Helper()
	me, err := p.identity(context.Background())
	require.NoError(t, err)
	_, err = request.Send(context.Background(), p.network, pointerOf(p.name), me.Sealing, request.Message{Stamp: stamp, Statement: statement}, p.clock.now)
	require.NoError(t, err)
}

// requestStatement returns the statement of a contact request by p.
func (p *person) requestStatement(t testing.TB, to *person, note string) []byte {
	t.Helper()
	s, err := introduce.Introduction{To: pointerOf(to.name), About: pointerOf(p.name), Suggested: p.name, Note: note,
		Expires: p.clock.now.Add(IntroductionLifetime)}.Sign(p.key, rand.NewChaCha8(sha256.Sum256([]byte(p.name+to.name+note))), p.clock.now)
	require.NoError(t, err)
	return s.Bytes()
}

func (p *person) stampFor(t testing.TB, to *person, statement []byte, difficulty request.Difficulty, at time.Time) []byte {
	t.Helper()
	on := request.Challenge{To: pointerOf(to.name), From: pointerOf(p.name), Statement: introduce.Hash(statement)}
	stamp, err := request.MakeStamp(context.Background(), on, difficulty, at, nil)
	require.NoError(t, err)
	return stamp
}

// Each of these requests has an attack on the proof of work. None is in the inbox.
func TestARequestWithoutProofOfWorkIsNotInTheInbox(t *testing.T) {
	alice, sam := unknownSender(t)
	// Statements and stamps are the same in each run: none of the wrong stamps solves
	// all puzzles by chance.
	harder := request.Difficulty{Solutions: 8, Bits: 1}
	alice.difficulty = &harder
	bob := newPerson(t, alice.clock, alice.network, "bob")
	now := alice.clock.now
	statement, other := sam.requestStatement(t, alice, "hello"), sam.requestStatement(t, alice, "other")
	paid := sam.stampFor(t, alice, other, harder, now)
	toBob := sam.requestStatement(t, bob, "hello")
	for name, sent := range map[string]struct{ stamp, statement []byte }{
		"no stamp":                       {[]byte("stamp"), statement},
		"a cheaper stamp":                {sam.stampFor(t, alice, statement, request.Difficulty{Solutions: 7, Bits: 1}, now), statement},
		"a stamp of another message":     {paid, statement},
		"a stamp for another recipient":  {sam.stampFor(t, bob, statement, harder, now), statement},
		"a stamp of another sender":      {bob.stampFor(t, alice, statement, harder, now), statement},
		"a request to another recipient": {sam.stampFor(t, bob, toBob, harder, now), toBob},
		"an old stamp":                   {sam.stampFor(t, alice, statement, harder, now.Add(-3*request.EpochLength)), statement},
		"a stamp of a later epoch":       {sam.stampFor(t, alice, statement, harder, now.Add(request.EpochLength)), statement},
		"garbage":                        {[]byte("stamp"), []byte("garbage")},
	} {
		// Each has a network of its own, so that none replaces another.
		network := &dht.Memory{Now: alice.clock.Now}
		alice.network = network
		alice.reopen(t)
		alice.leavesRequest(t, sent.stamp, sent.statement)
		require.Empty(t, alice.fetch(t).Fresh, name)
		require.Empty(t, alice.inbox(t), name)
	}
	alice.leavesRequest(t, sam.stampFor(t, alice, statement, harder, now), statement)
	require.Len(t, alice.fetch(t).Fresh, 1, "a valid request is in the inbox")
}

// Attack: a request in the name of another sender, and one that has expired, both
// with proof of work. They are skipped.
func TestAForgedRequestIsSkipped(t *testing.T) {
	alice, sam := unknownSender(t)
	statement := sam.requestStatement(t, alice, "hello")
	forged := bytes.Clone(statement)
	forged[len(forged)-1] ^= 1
	entries := alice.book.Ledger().Heads()
	requireSkipped := func(statement []byte) {
		alice.leavesRequest(t, sam.stampFor(t, alice, statement, cheap, alice.clock.now), statement)
		report := alice.fetch(t)
		require.Empty(t, report.Fresh)
		require.Empty(t, report.Refused)
		require.Equal(t, entries, alice.book.Ledger().Heads())
	}
	requireSkipped(forged)
	alice.clock.now = alice.clock.now.Add(IntroductionLifetime)
	alice.publish(t)
	requireSkipped(statement)
}

// Requests with invalid stamps cost a bounded number of hashes a second, whatever their number,
// and none when they are fetched again.
func TestGarbageInTheRequestMailboxCostsLittle(t *testing.T) {
	alice, sam := unknownSender(t)
	difficulty := request.Difficulty{Solutions: 8, Bits: 30} // no stamp is valid by chance
	alice.difficulty = &difficulty
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
		require.Equal(t, before, alice.verifier.Hashes(), "the same garbage again")
	}
	require.LessOrEqual(t, before, uint64(request.VerifyRate), "at one time")
}

// A request mailbox can be blocked for an epoch. The sender receives an error, and its request
// is sent in the next epoch.
func TestABlockedRequestMailboxIsTriedAgain(t *testing.T) {
	alice, sam := unknownSender(t)
	network := &blockedStore{Store: alice.network, until: alice.clock.now.Add(time.Hour), now: alice.clock.Now}
	sam.network = network
	sam.reopen(t)
	sent, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: cheap})
	require.ErrorIs(t, err, dht.ErrOlder)
	require.Equal(t, Queued, sent.Delivery)
	require.Empty(t, alice.fetch(t).Fresh)
	alice.clock.now = alice.clock.now.Add(2 * time.Hour)
	sam.fetch(t)
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// blockedStore is a network that refuses every record as older until a time.
type blockedStore struct {
	dht.Store
	until time.Time
	now   func() time.Time
}

func (b *blockedStore) Put(ctx context.Context, p pointer.Pointer, record []byte) (dht.Receipt, error) {
	if b.now().Before(b.until) {
		return dht.Receipt{Asked: 1, Refused: 1}, dht.ErrOlder
	}
	return b.Store.Put(ctx, p, record)
}

func TestInterruptedWorkStoresNoRequest(t *testing.T) {
	alice, sam := unknownSender(t)
	ctx, cancel := context.WithCancel(context.Background())
	sent, err := sam.SendRequest(ctx, sam.key, Request{To: pointerOf("alice"), Difficulty: request.Difficulty{Solutions: request.MaxSolutions, Bits: 2},
		Progress: func(int, int) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, sent.Delivery)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.False(t, was)
	require.Empty(t, alice.fetch(t).Fresh)
}

// Work that was interrupted is resumed by the next Sync.
func TestIncompleteWorkIsResumed(t *testing.T) {
	alice, sam := unknownSender(t)
	alice.difficulty = &request.Difficulty{Solutions: 6, Bits: 2}
	_, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: *alice.difficulty})
	require.NoError(t, err)
	require.Equal(t, 1, sam.fetch(t).Requests)
	alice.clock.now = alice.clock.now.Add(3 * request.EpochLength)
	stored := func() (w wireRequest) {
		b, err := sam.getRow(tableRequests, pointerOf("alice").Bytes())
		require.NoError(t, err)
		require.NoError(t, canonical.UnmarshalLoose(b, &w, canonical.Bounds{}))
		return w
	}
	// The context of the work ends after the first puzzle.
	w := stored()
	ctx, cancel := context.WithCancel(context.Background())
	require.ErrorIs(t, sam.makeStamp(ctx, &w, pointerOf("alice"), func(int, int) { cancel() }), context.Canceled)
	require.NotEmpty(t, w.Stamp)
	require.False(t, w.Complete)
	require.NoError(t, sam.saveRequest(pointerOf("alice"), w))

	sam.fetch(t)
	require.Len(t, alice.fetch(t).Fresh, 1)
	whole := stored()
	require.True(t, whole.Complete && whole.Sent)
	const head = 8 // bytes before the answers
	require.Equal(t, w.Stamp[head:], whole.Stamp[head:len(w.Stamp)], "the solutions remain")
}

func TestPendingRequestsAreBounded(t *testing.T) {
	alice, sam := unknownSender(t)
	require.NoError(t, sam.saveRequest(pointerOf("alice"), wireRequest{}))
	for i := range maxRequests - 1 {
		h := sha256.Sum256(fmt.Append(nil, "recipient ", i))
		require.NoError(t, sam.saveRequest(pointerOf(string(h[:])), wireRequest{}))
	}
	_, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: cheap})
	require.ErrorIs(t, err, ErrTooManyRequests)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.True(t, was)
	sam.requests(t, alice, "hello")
}

func TestARequestNeedsASealingKeyOfItsRecipient(t *testing.T) {
	alice, sam := unknownSender(t)
	_, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("nobody"), Difficulty: cheap})
	require.ErrorIs(t, err, dht.ErrNotFound)
	_, err = sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("sam"), Difficulty: cheap})
	require.Error(t, err)
	_, err = sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: cheap, Lifetime: petname.MaxRequestLifetime + time.Hour})
	require.ErrorContains(t, err, "30 days")
	require.Empty(t, alice.fetch(t).Fresh)
}

// A card states whether its owner fetches requests, and the number of solutions they need.
func TestTheCardStatesTheRequiredSolutions(t *testing.T) {
	alice, sam := unknownSender(t)
	alice.difficulty = &request.Difficulty{Solutions: 3, Bits: 1}
	require.False(t, sam.requests(t, alice, "hello").Open, "the card states nothing")
	alice.fetch(t)
	require.Empty(t, alice.inbox(t), "two solutions are too few")

	alice.links = []pointer.CardLink{request.CardLink(3)}
	alice.clock.now = alice.clock.now.Add(2 * time.Minute)
	alice.publish(t)
	sent, err := sam.SendRequest(context.Background(), sam.key, Request{To: pointerOf("alice"), Difficulty: request.Difficulty{Bits: 1}})
	require.NoError(t, err)
	require.True(t, sent.Open)
	require.Equal(t, 3, sent.Difficulty.Solutions)
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// A contact request is signed by a key. When that key is rotated, the request
// ends.
func TestARequestEndsWithTheKeyThatSignedIt(t *testing.T) {
	alice, sam := unknownSender(t)
	sam.requests(t, alice, "hello")
	sam.rotates(t)
	require.Zero(t, sam.fetch(t).Requests)
	was, err := sam.CancelRequest(pointerOf("alice"))
	require.NoError(t, err)
	require.False(t, was)
}

// A Sync does the proof of work for one request at most.
func TestASyncDoesTheWorkForOneRequest(t *testing.T) {
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

// A stamp that was verified before is accepted if the book has not stored its request.
func TestAUsedStampOfAnUnstoredRequestIsAccepted(t *testing.T) {
	alice, sam := unknownSender(t)
	statement := sam.requestStatement(t, alice, "hello")
	stamp := sam.stampFor(t, alice, statement, cheap, alice.clock.now)
	on := request.Challenge{To: pointerOf("alice"), From: pointerOf("sam"), Statement: introduce.Hash(statement)}
	require.NoError(t, alice.verifier.Verify(stamp, on, cheap)) // for example, and then the inbox was full
	alice.leavesRequest(t, stamp, statement)
	require.Len(t, alice.fetch(t).Fresh, 1)
}

// A request of a sender with a fast clock is not refused: it waits for the epoch of its stamp.
// A request without proof of work is refused, and the report lists it.
func TestAStampOfALaterEpochWaits(t *testing.T) {
	alice, sam := unknownSender(t)
	statement := sam.requestStatement(t, alice, "hello")
	alice.leavesRequest(t, sam.stampFor(t, alice, statement, cheap, alice.clock.now.Add(request.EpochLength)), statement)
	report := alice.fetch(t)
	require.Empty(t, report.Fresh)
	require.Empty(t, report.Refused)
	alice.leavesRequest(t, []byte("stamp"), statement)
	require.Len(t, alice.fetch(t).Refused, 1)
	alice.clock.now = alice.clock.now.Add(request.EpochLength)
	require.Len(t, alice.fetch(t).Fresh, 1)
}
