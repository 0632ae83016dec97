package petname

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// The inbox is bounded over all introducers, not counting contact requests: it
// accepts 1000 introductions and refuses the next one.
func TestTheInboxIsBoundedOverAllIntroducers(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "dave", "dave")
	// Another device received these introductions, without regard to the bound
	// for each introducer.
	var bodies [][]byte
	for range maxInbox - 1 {
		signed := introduced(t, "alice", "me", "bob")
		w := fromIntroduction(must(introduce.Open(signed)), Introduced, "drop")
		bodies = append(bodies, marshal(act{Op: opSuggest, Suggestion: &w}))
	}
	_, err := b.Ledger().Append(bodies...)
	require.NoError(t, err)
	_, _, err = b.receiveStrangerBytes(contactRequest(t, "sam"), "doorstep", hasPaid)
	require.NoError(t, err)
	receive(t, b, introduced(t, "dave", "me", "carol"))
	require.Len(t, inbox(t, b), maxInbox+1)
	_, _, err = b.receiveBytes(introduced(t, "dave", "me", "erin"), "drop")
	require.ErrorIs(t, err, ErrInboxFull)
	_, _, err = b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("frank"), Channel: "code", Evidence: []byte("transcript")})
	require.NoError(t, err, "a pairing is accepted nevertheless")
	declined := 0
	for _, s := range inbox(t, b) {
		if s.By == pointerOf("alice") && declined < 2 {
			_, err = b.Decline(s.ID, false)
			require.NoError(t, err)
			declined++
		}
	}
	receive(t, b, introduced(t, "dave", "me", "erin"))
}

// Expired introductions do not count towards the bound of the inbox.
func TestExpiredIntroductionsDoNotCount(t *testing.T) {
	now := epoch
	options := testOptions()
	options.Now = func() time.Time { return now }
	b, err := Create(filepath.Join(lawtest.FastDir(t), "ledger.db"), testKey("me"), testKey("one"), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	mustAdd(t, b, "alice", "alice")
	for i := range MaxInboxFrom {
		receive(t, b, introduced(t, "alice", "me", fmt.Sprint(i), func(x *introduce.Introduction) { x.Expires = epoch.Add(time.Hour) }))
	}
	more := introduced(t, "alice", "me", "more")
	now = epoch.Add(time.Hour - time.Millisecond)
	_, _, err = b.receiveBytes(more, "drop")
	require.ErrorIs(t, err, ErrInboxFull)
	require.Len(t, inbox(t, b), MaxInboxFrom)
	id := inbox(t, b)[0].ID
	now = epoch.Add(time.Hour)
	require.Empty(t, inbox(t, b))
	_, err = b.Accept(id, mustName("late"), Acceptance{})
	require.ErrorIs(t, err, ErrDecided)
	receive(t, b, more)
}

// Accept refuses a suggestion that names no contact, and a replacement of a
// contact by itself.
func TestWhatCannotBeAcceptedIsRefused(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "bob", "bob")
	question, err := introduce.Question{To: pointerOf("me"), Subject: subjectOf(introduced(t, "dave", "alice", "me"))}.Sign(testKey("alice"), epoch)
	require.NoError(t, err)
	asked := receive(t, b, question.Bytes())
	id := receive(t, b, introduced(t, "alice", "me", "bob"))
	n, view := entries(b), dump(t, b)
	_, err = b.Accept(asked, mustName("x"), Acceptance{})
	require.ErrorContains(t, err, "can't be accepted with a name")
	_, err = b.Accept(id, mustName("robert"), Acceptance{Replaces: pointerOf("bob")})
	require.ErrorContains(t, err, "itself")
	_, err = b.Accept(id, mustName("robert"), Acceptance{Replaces: pointerOf("nobody")})
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.Accept(SuggestionID{1}, mustName("robert"), Acceptance{})
	require.ErrorIs(t, err, ErrNotFound)
	for _, decide := range []func(SuggestionID) error{b.Consent, b.Withdraw} {
		require.ErrorContains(t, decide(id), "not an offer")
		require.ErrorContains(t, decide(asked), "not an offer")
		require.ErrorIs(t, decide(SuggestionID{1}), ErrNotFound)
	}
	_, err = b.Decline(SuggestionID{1}, false)
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.Suggestion(id.String() + "0")
	require.ErrorIs(t, err, ErrNotFound)
	_, err = b.Suggestion("")
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, n, entries(b))
	require.Equal(t, view, dump(t, b))

	// Decline refuses an accepted suggestion.
	c, err := b.Accept(id, mustName("bob"), Acceptance{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("bob"), c.Pointer)
	_, err = b.Decline(id, false)
	require.ErrorIs(t, err, ErrDecided)
}

// A contact's succession chain has at most 129 keys, those of an identity that rotated as
// often as it can, whatever its owner signs and whatever acts a device writes. An
// introduction contains the newest steps of the chain.
func TestASuccessionChainIsBounded(t *testing.T) {
	steps := successionOf(t, maxChain+6)
	b := newTestBook(t)
	_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")}, Source{})
	require.NoError(t, err)
	at := func(b *Book) pointer.Pointer { return must(b.Lookup(mustName("alice"))) }
	for _, i := range [][2]int{{0, 32}, {32, 64}, {64, 96}, {96, 100}} {
		require.NoError(t, b.applySuccession(steps[i[0]].Old, steps[i[0]:i[1]], "test"))
		require.Equal(t, pointerOf(fmt.Sprint("trail ", i[1])), at(b))
	}
	var tooLong *SuccessionError
	require.ErrorAs(t, b.applySuccession(pointerOf("trail 100"), steps[100:129], "test"), &tooLong)
	require.ErrorContains(t, tooLong, "over 129 keys long")
	require.Equal(t, pointerOf("trail 100"), at(b))
	require.NoError(t, b.applySuccession(pointerOf("trail 100"), steps[100:128], "test"))
	require.Equal(t, pointerOf("trail 128"), at(b))
	require.ErrorAs(t, b.applySuccession(pointerOf("trail 128"), steps[128:129], "test"), &tooLong)
	told, err := b.Succession(pointerOf("trail 0"))
	require.NoError(t, err)
	require.Equal(t, steps[128-maxSharedSteps:128], told)

	for _, piece := range [][]pointer.Succession{steps[128:], steps[125:131]} {
		evidence, err := pointer.EncodeSuccession(piece)
		require.NoError(t, err)
		_, err = b.Ledger().Append(marshal(act{Op: opAdvance, Contact: pointerOf("trail 0").Bytes(), Fact: &wireFact{Kind: factSuccession}, Chain: evidence}))
		require.NoError(t, err)
	}
	require.Equal(t, pointerOf("trail 129"), at(b), "the 129th after the first, and no further")
	c := must(b.byName(mustName("alice")))
	require.Len(t, c.Chain, maxChain+1)
	_, err = b.ByPointer(pointerOf("trail 130"))
	require.ErrorIs(t, err, ErrNotFound)
}

// A follower that was away is led on by the last record of each key, over more keys than
// are followed of a pointer that is no contact, to the last key that an identity can have.
func TestAnIdentityIsFollowedThroughAllItsRotations(t *testing.T) {
	steps, known := successionOf(t, pointer.MaxKept), pointer.MaxKept-maxSteps-2
	w := newWorld(t)
	must(w.book.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("trail 0"), Next: mustCommit("trail 1")}, Source{}))
	for i := 0; i < known; i += 32 {
		require.NoError(t, w.book.applySuccession(steps[i].Old, steps[i:min(i+32, known)], "test"))
	}
	for i := known; i < len(steps); i++ {
		w.put(fmt.Sprint("trail ", i), &pointer.Card{Successor: pointerOf(fmt.Sprint("trail ", i+1)), Succession: steps[i-1 : i]})
	}
	w.put(fmt.Sprint("trail ", len(steps)), &pointer.Card{Succession: steps[len(steps)-1:]})
	res, err := w.resolve("alice")
	require.NoError(t, err)
	last := pointerOf(fmt.Sprint("trail ", len(steps)))
	require.Equal(t, last, res.Last().Pointer)
	require.Len(t, res.Last().Former, maxSteps+2)
	require.Equal(t, last, must(w.book.Lookup(mustName("alice"))))
}

// A contact with more edges than one act can list can be removed.
func TestAContactWithMoreEdgesThanAnActHoldsIsRemoved(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	var bodies [][]byte
	for i := range maxActEdges + 5 {
		bodies = append(bodies, marshal(act{Op: opShare, Contact: pointerOf("alice").Bytes(), Label: fmt.Sprint("label ", i)}))
	}
	_, err := b.Ledger().Append(bodies...)
	require.NoError(t, err)
	require.Len(t, must(PublishableEdges(b.Edges())), maxActEdges+5)
	_, err = b.Remove(pointerOf("alice"))
	require.NoError(t, err)
	require.Empty(t, must(PublishableEdges(b.Edges())))
	must(b.Undo())
	require.Len(t, must(PublishableEdges(b.Edges())), maxActEdges+5)
}

// A contact with more names in conflict than one act can list can be removed.
func TestAContactWithMoreNamesThanAnActHoldsIsRemoved(t *testing.T) {
	a, b := twoDevices(t)
	was := make([]wirePrevious, maxPrevious)
	for i := range was {
		was[i].Name = fmt.Sprint("name ", i)
	}
	// An undo records many names at once; the other device records one more.
	require.NoError(t, b.SetNickname("me"))
	_, err := b.Ledger().Append(marshal(act{Op: opUndo, Number: 1, Contact: pointerOf("a").Bytes(), Previous: was}))
	require.NoError(t, err)
	must(a.Rename(pointerOf("a"), mustName("one more"), Source{}))
	syncBooks(t, a, b)
	require.Len(t, must(a.ByPointer(pointerOf("a"))).Conflict.Names, maxPrevious+1)
	_, err = a.Remove(pointerOf("a"))
	require.NoError(t, err)
	syncBooks(t, a, b)
	for _, book := range []*Book{a, b} {
		require.Empty(t, contacts(t, book))
		require.False(t, must(book.ByPointer(pointerOf("a"))).Removed.IsZero())
	}
}

// An act undoes an earlier act of its device. It cannot undo itself or a later
// one.
func TestAnUndoOfALaterActHasNoEffect(t *testing.T) {
	_, b := twoDevices(t)
	require.NoError(t, b.SetNickname("me"))
	own := func() (n uint64) {
		for _, h := range b.Ledger().Heads() {
			if h.Device == b.Ledger().Device() {
				n = h.Number
			}
		}
		return n
	}
	undo := func(number uint64) {
		_, err := b.Ledger().Append(marshal(act{Op: opUndo, Number: number, Contact: pointerOf("a").Bytes(), Previous: []wirePrevious{{Name: "undone"}}}))
		require.NoError(t, err)
	}
	view := dump(t, b)
	undo(own() + 1)
	undo(own() + 2)
	undo(1 << 60)
	require.Equal(t, view, dump(t, b))
	undo(own())
	require.Equal(t, "undone", must(b.ByPointer(pointerOf("a"))).Name.String(), "otherwise the acts have no effect for another reason")
}

// Concurrent publications of two devices merge to one: the one with the higher
// sequence, and for equal sequences the same value on both devices, in whatever
// order they arrive.
func TestPublicationsOfSeveralDevicesMergeToOne(t *testing.T) {
	low, high, other := Published{"/ipfs/low", 4}, Published{"/ipfs/b", 5}, Published{"/ipfs/a", 5}
	for _, c := range [][3]Published{{low, high, high}, {high, low, high}, {high, other, high}, {other, high, high}} {
		a, b := twoDevices(t)
		id := b.Ledger().Device()
		require.NoError(t, a.stateDevice(wireDevice{Device: id[:], Key: keyHeld}), "what a device without the key publishes does not count")
		require.NoError(t, a.ReserveSequence(c[0]))
		require.NoError(t, b.ReserveSequence(c[1]))
		syncBooks(t, a, b)
		require.Equal(t, dump(t, a), dump(t, b))
		for _, book := range []*Book{a, b} {
			require.Equal(t, c[2], must(book.Published()))
			err := book.ReserveSequence(Published{"/ipfs/z", 5})
			require.ErrorContains(t, err, "used already")
			var used *SequenceError
			require.ErrorAs(t, err, &used)
			require.Equal(t, SequenceError{Sequence: 5, Last: 5}, *used)
		}
	}
}

// The owner's nicknames that two devices set concurrently merge to one, the
// same on both.
func TestNicknamesOfSeveralDevicesMergeToOne(t *testing.T) {
	for _, names := range [][2]string{{"Ann", "Zoe"}, {"Zoe", "Ann"}} {
		a, b := twoDevices(t)
		require.NoError(t, a.SetNickname(names[0]))
		require.NoError(t, b.SetNickname(names[1]))
		syncBooks(t, a, b)
		require.Equal(t, dump(t, a), dump(t, b))
		require.Equal(t, must(a.Nickname()), must(b.Nickname()))
		require.NoError(t, b.SetNickname("Eve"))
		syncBooks(t, a, b)
		require.Equal(t, "Eve", must(a.Nickname()))
	}
}

// The names of a contact in conflict are not available to another contact. Add
// returns the conflict.
func TestANameOfAContactInConflictIsNotAvailable(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
	must(b.Rename(pointerOf("a"), mustName("ali"), Source{}))
	syncBooks(t, a, b)
	for _, name := range []string{"al", "ali"} {
		_, err := a.Add(mustName(name), link("b"), Source{})
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict, name)
		require.Len(t, conflict.Contacts, 1)
		require.Equal(t, pointerOf("a"), conflict.Contacts[0].ID)
	}
}

// A nickname that two facts contain is known as long as one of them is in
// effect.
func TestANicknameInTwoFactsStaysWhenOneIsUndone(t *testing.T) {
	a, b := twoDevices(t)
	lissy := pointer.Link{Pointer: pointerOf("a"), Nickname: "Lissy", Next: commitment("a")}
	must(a.Add(mustName("alice"), lissy, Source{}))
	pull(t, b, a)
	must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
	must(b.Rename(pointerOf("a"), mustName("ali"), Source{}))
	syncBooks(t, a, b)
	must(a.Add(mustName("al"), lissy, Source{})) // resolves the conflict and states the nickname again
	must(a.Undo())
	require.NotNil(t, must(a.ByPointer(pointerOf("a"))).Conflict)
	like := must(lookalikes(a, "lissy", pointerOf("b")))
	require.Len(t, like, 1)
	require.Equal(t, likeNickname, like[0].Kind)
}

// Attack: a thief of a key publishes a card under a successor that the old key
// did not sign. Another device recorded the card before it knew of the theft.
// The card pins nothing. A link from the user pins the next key.
func TestACardPinsNothingAtAKeyThatTheOldKeyDidNotSign(t *testing.T) {
	for kind, pins := range map[string]bool{factCard: false, "link": true} {
		b := newTestBook(t)
		confirmedAlice(t, b)
		require.NoError(t, b.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", commitment("next a"))), "test"))
		_, err := b.Ledger().Append(marshal(act{Op: opLearn, Contact: pointerOf("a").Bytes(), Of: pointerOf("next a").Bytes(),
			Fact: &wireFact{Kind: kind, By: byOwner, Channel: "record", Next: mustCommit("thief").Bytes()}}))
		require.NoError(t, err)
		require.NoError(t, b.applySuccession(pointerOf("next a"), chain(stepTo(t, "next a", "thief", commitment("thief"))), "test"))
		c := must(b.byName(mustName("alice")))
		require.Equal(t, pins, c.Pointer == pointerOf("thief"), kind)
	}
}

// A contact with two commitments on record advances to neither next key.
func TestAContactInDuplicityDoesNotAdvance(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{}))
	must(b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: mustCommit("thief")}, Source{}))
	syncBooks(t, a, b)
	require.NotEmpty(t, must(a.ByPointer(pointerOf("a"))).Contradictions)
	n := entries(a)
	for _, to := range []pointer.Succession{step(t, "a"), stepTo(t, "a", "thief", commitment("thief"))} {
		require.NoError(t, a.applySuccession(pointerOf("a"), chain(to), "test"))
		require.Equal(t, n, entries(a))
		require.Equal(t, pointerOf("a"), must(a.Lookup(mustName("alice"))))
	}
}

// After a link has pinned a commitment, a later signature of the old key for
// another commitment is recorded as evidence. The contact is then shown as in
// duplicity.
func TestALaterSignatureAgainstALinkIsKeptAsEvidence(t *testing.T) {
	b := newTestBook(t)
	confirmedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(unsigned(t, "a", "next a", commitment("next a"))), "test"))
	must(b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf("next a"), Next: commitment("linked")}, Source{}))
	facts := len(must(b.byName(mustName("alice"))).Provenance)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	c := must(b.byName(mustName("alice")))
	require.Len(t, c.Provenance, facts+1)
	require.NotEmpty(t, c.Contradictions)
	require.Equal(t, pointerOf("next a"), c.Pointer)
}

// ShareWith refuses to share a contact with the contact itself, whether an
// earlier or a current pointer names either of them.
func TestAContactIsNotSharedWithItself(t *testing.T) {
	b := newTestBook(t)
	pinnedAlice(t, b)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	n := entries(b)
	for _, audience := range []string{"a", "next a"} {
		for _, shared := range []string{"a", "next a"} {
			_, err := b.ShareWith(pointerOf(audience), pointerOf(shared), mustName("me too"))
			require.ErrorContains(t, err, "leads to its own recipient")
		}
	}
	require.Equal(t, n, entries(b))
}

// SetRepublished skips a contact whose removal is in conflict.
func TestAContactWhoseRemovalIsInConflictIsNotKept(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
	must(b.Remove(pointerOf("a")))
	syncBooks(t, a, b)
	mustAdd(t, a, "bob", "bob")
	n := entries(a)
	require.NoError(t, a.SetRepublished([]pointer.Pointer{pointerOf("a")}, true))
	require.Equal(t, n, entries(a))
	require.NoError(t, a.SetRepublished([]pointer.Pointer{pointerOf("a"), pointerOf("bob")}, true))
	require.True(t, isKept(t, a, "bob"))
	require.False(t, isKept(t, a, "a"))
}

// A contact's denial of an introduction of its own other key is no
// contradiction if that introduction replaced no contact.
func TestADenialWithoutAReplacedContactProvesNothing(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	pinned := pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}
	must(b.Add(mustName("bob"), pinned, Source{}))
	truth := introduced(t, "alice", "me", "a")
	receive(t, b, truth)
	require.NoError(t, b.applySuccession(pointerOf("a"), chain(step(t, "a")), "test"))
	denial, err := introduce.Deny(subjectOf(truth), testKey("next a"), epoch)
	require.NoError(t, err)
	receive(t, b, denial.Bytes())
	evidence := must(b.Evidence(pointerOf("a")))
	require.Len(t, evidence, 2)
	proof, err := b.Contradictions(pointerOf("a"))
	require.NoError(t, err)
	require.Empty(t, proof)
}

// The evidence contains as many of the contacts that replaced one another as
// fit one list.
func TestTheEvidenceOfReplacedContactsIsBounded(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	var bodies [][]byte
	for i := range maxRivals + 6 {
		about := fmt.Sprint("bob ", i)
		signed := introduced(t, "alice", "me", about)
		w := fromIntroduction(must(introduce.Open(signed)), Introduced, "drop")
		bodies = append(bodies, marshal(act{Op: opSuggest, Suggestion: &w}))
		if i > 0 {
			bodies = append(bodies, marshal(act{Op: opName, Contact: pointerOf(about).Bytes(), Name: about,
				Fact: &wireFact{Kind: string(Introduced), By: "me", Channel: "drop"}, Replaced: pointerOf(fmt.Sprint("bob ", i-1)).Bytes()}))
		}
	}
	_, err := b.Ledger().Append(bodies...)
	require.NoError(t, err)
	for i, want := range map[int]int{maxRivals - 2: maxRivals - 1, maxRivals - 1: maxRivals, maxRivals + 5: maxRivals} {
		require.Len(t, must(b.Evidence(pointerOf(fmt.Sprint("bob ", i)))), want, i)
	}
}
