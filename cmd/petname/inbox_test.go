package main

import (
	"crypto/rand"
	"crypto/sha256"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// offered returns verbs over a home whose inbox contains a contact's offer of a
// mutual introduction, without a stored session. decide acts on the offer before.
func offered(t *testing.T, decide func(*petname.Book, petname.SuggestionID)) (*verbs, petname.SuggestionID) {
	by := newKey(t)
	var id petname.SuggestionID
	v := opened(t, func(b *petname.Book) {
		alice, err := name.Parse("alice")
		require.NoError(t, err)
		_, err = b.Add(alice, pointer.Link{Pointer: by.Pointer()}, petname.Source{})
		require.NoError(t, err)
		_, out, err := mutual.Start(time.Now(), rand.Reader, by, mutual.Party{Pointer: b.Identity(), Suggested: "x"},
			mutual.Party{Pointer: newKey(t).Pointer(), Suggested: "y"}, time.Now().Add(time.Hour))
		require.NoError(t, err)
		id, _, err = b.Suggest(petname.Suggestion{Kind: petname.Mutual, Channel: "drop", Evidence: out[0].Bytes})
		require.NoError(t, err)
		if decide != nil {
			decide(b, id)
		}
	})
	return v, id
}

// An offer that is already decided accepts no consent.
func TestADecidedOfferAcceptsNoConsent(t *testing.T) {
	v, id := offered(t, func(b *petname.Book, id petname.SuggestionID) { require.NoError(t, b.Consent(id)) })
	_, err := v.accept(t.Context(), acceptArgs{ID: id.String()})
	require.Equal(t, "decided", classify(err).Code, "%v", err)
}

// An offer whose contact is not known yet cannot be declined for ever, and
// remains pending.
func TestAnOfferIsNotDeclinedForEver(t *testing.T) {
	v, id := offered(t, nil)
	_, err := v.decline(t.Context(), declineArgs{ID: id.String(), Never: true})
	require.ErrorContains(t, err, "for ever")
	s, err := v.agent.Suggestion(id.String())
	require.NoError(t, err)
	require.Equal(t, petname.Pending, s.State)
}

// If a contact is paired under a name that is taken, the contact waits in the
// inbox, and the error contains its pointer.
func TestAPairingStandsIfTheNameIsTaken(t *testing.T) {
	alice, status := started(t)
	bob := opened(t)
	_, err := bob.join(t.Context(), joinArgs{Targets: status.Addrs})
	require.NoError(t, err)
	_, err = bob.add(t.Context(), addArgs{Name: "alice", Target: newPointer(t)})
	require.NoError(t, err)
	require.NoError(t, homeOf(t, alice).SetConfig(home.Config{Network: "peers", Bootstrap: status.Addrs}))
	invited, err := alice.invite(t.Context(), inviteArgs{Expires: time.Hour, Uses: 1})
	require.NoError(t, err)
	out, err := bob.pair(t.Context(), pairArgs{Text: invited.Link, As: "alice"})
	require.Equal(t, "name_taken", classify(err).Code, "%v", err)
	require.Equal(t, alice.agent.Pointer().String(), out.Pointer)
	require.True(t, strings.HasPrefix(classify(err).Next, "for another person, under another name:\npetname accept "+out.Suggestion+" --as NAME\n"), classify(err).Next)
	waits, err := bob.agent.Suggestion(out.Suggestion)
	require.NoError(t, err)
	require.Equal(t, petname.Pending, waits.State)
}

// Knock refuses the owner's pointer.
func TestKnockRefusesTheOwnPointer(t *testing.T) {
	v := opened(t)
	_, err := v.knock(t.Context(), knockArgs{To: v.agent.Pointer().String(), Expires: time.Hour})
	require.Equal(t, "own_pointer", classify(err).Code, "%v", err)
}

// A suggestion that is not there is named in the failure, with the next step.
func TestANumberOfNoSuggestionIsNotFound(t *testing.T) {
	v := opened(t)
	_, err := v.accept(t.Context(), acceptArgs{ID: "123456", As: "bob"})
	require.Equal(t, &failure{Code: "not_found", Exit: exitNotFound, Message: `no suggestion has the number "123456"`, Next: "petname inbox"}, classify(err))
	require.NotErrorIs(t, err, agent.ErrNoSuggestion)
}

// A file with a statement whose signature was changed is refused, and nothing of
// it is stored.
func TestAForgedStatementInAFileIsRefused(t *testing.T) {
	v, alice := opened(t), newKey(t)
	_, err := v.add(t.Context(), addArgs{Name: "alice", Target: alice.Pointer().String()})
	require.NoError(t, err)
	i := introduce.Introduction{To: v.agent.Pointer(), About: newKey(t).Pointer(), Expires: time.Now().Add(time.Hour)}
	signed, err := i.Sign(alice, nil, time.Now())
	require.NoError(t, err)
	forged := signed.Bytes()
	forged[len(forged)-1] ^= 1
	before, err := v.log(t.Context(), logArgs{})
	require.NoError(t, err)
	_, err = v.inbox(t.Context(), inboxArgs{Texts: [][]byte{introduce.Armor(forged)}})
	require.Equal(t, exitUnverified, classify(err).Exit, "%v", err)
	_, err = v.accept(t.Context(), acceptArgs{Text: introduce.Armor(forged), As: "bob"})
	require.Equal(t, exitUnverified, classify(err).Exit, "%v", err)
	after, err := v.log(t.Context(), logArgs{})
	require.NoError(t, err)
	require.Equal(t, before, after)
	in, err := v.inbox(t.Context(), inboxArgs{Texts: [][]byte{introduce.Armor(signed.Bytes())}})
	require.NoError(t, err)
	require.Len(t, in.Suggestions, 1)
}

// The text of an empty inbox is that of a complete look-up only after one.
func TestTheTextOfAnEmptyInboxStatesWhatWasLookedFor(t *testing.T) {
	const complete = "nothing waits for you"
	require.Equal(t, complete, nothingText(inbox{Fetched: &fetched{Network: "ok"}}, false))
	for _, partial := range []inbox{{}, {Fetched: &fetched{Network: "off"}}, {Fetched: &fetched{Network: "ok", Problem: "x"}}} {
		require.NotContains(t, nothingText(partial, false), complete)
	}
	require.NotContains(t, nothingText(inbox{}, true), complete)
}

// A denial that answers no question is not shown as an answer: a contact can deny any key.
func TestADenialThatWasNotAskedForIsNoAnswer(t *testing.T) {
	dave, other := newKey(t).Pointer(), newKey(t).Pointer()
	v := opened(t, func(b *petname.Book) { addContact(t, b, "dave", dave) })
	require.False(t, v.proves(agent.Denial{By: dave, About: other}))
	require.False(t, v.proves(agent.Denial{By: other, About: dave}))
}

// Only a number that stands alone, or by itself in a text, selects a suggestion: no digits
// of the name of a file that is missing, of a date or of a path.
func TestTheNameOfAMissingFileSelectsNoSuggestion(t *testing.T) {
	for _, text := range []string{"./Downloads/dora-35.statement", "old/spam53.txt", "dora-356863.statement", "356863.txt", "./356863", "356863/x", "x356863", "dora 356863.statement",
		"dora-356863", "2026-11-30", "statement of 2026-11-30", "30-11-26", "dora 35", "no. 35", "1,2,3,4,5,6", "C:\\356863.txt", "356863_x"} {
		var id string
		err := new(app).suggestionOrFile(text, &id, new([]byte))
		require.Equal(t, exitUsage, classify(err).Exit, text)
		require.Empty(t, id, text)
	}
	for _, text := range []string{"356863", "356 863", "356-863.", "#356863", "no. 356863", "No.: 356 863", "<356863>", "petname accept 356863 --as NAME", "number: #356863.", "(356863)"} {
		var id string
		require.NoError(t, new(app).suggestionOrFile(text, &id, new([]byte)), text)
		require.Equal(t, "356863", id, text)
	}
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("356 863", []byte("nothing"), 0o600))
	var id string
	require.Error(t, new(app).suggestionOrFile("356 863", &id, new([]byte)), "a file of that name is read")
	require.Empty(t, id)
}

// Fewer digits than are shown select no suggestion, though no other one has them: the
// sender has a choice of them.
func TestAFewDigitsSelectNoSuggestion(t *testing.T) {
	v, id := offered(t, nil)
	for n := 1; n < leastDigits; n++ {
		few := id.String()[:n]
		_, err := v.accept(t.Context(), acceptArgs{ID: few})
		require.Equal(t, exitChoose, classify(err).Exit, "%v", err)
		require.ErrorContains(t, err, id.String()[:leastDigits])
		_, err = v.decline(t.Context(), declineArgs{ID: few})
		require.Equal(t, exitChoose, classify(err).Exit, "%v", err)
		_, err = v.deny(t.Context(), denyArgs{ID: few})
		require.Equal(t, exitChoose, classify(err).Exit, "%v", err)
	}
	other := "1"
	if id.String()[0] == '1' {
		other = "2"
	}
	_, err := v.accept(t.Context(), acceptArgs{ID: other})
	require.Equal(t, exitNotFound, classify(err).Exit, "%v", err)
	s, err := v.agent.Suggestion(id.String())
	require.NoError(t, err)
	require.Equal(t, petname.Pending, s.State)
}

// Digits that several suggestions have select none: the owner chooses. The attack: a
// contact searches for a statement whose number begins as that of another one, in about a
// thousand tries.
func TestDigitsOfSeveralSuggestionsSelectNone(t *testing.T) {
	v, alice := opened(t), newKey(t)
	_, err := v.add(t.Context(), addArgs{Name: "alice", Target: alice.Pointer().String()})
	require.NoError(t, err)
	about, now := newKey(t).Pointer(), time.Now()
	first := map[string]introduce.Statement{}
	var same string
	var two []introduce.Statement
	for n := 0; two == nil; n++ {
		require.Less(t, n, 100_000)
		i := introduce.Introduction{To: v.agent.Pointer(), About: about, Suggested: strconv.Itoa(n), Expires: now.Add(time.Hour)}
		s, err := i.Sign(alice, nil, now)
		require.NoError(t, err)
		sum := sha256.Sum256(append([]byte("petnames/suggestion/v1\x00"+string(petname.Introduced)+"\x00"), s.Bytes()...))
		same = petname.SuggestionID(sum[:16]).String()[:leastDigits]
		if other, found := first[same]; found {
			two = []introduce.Statement{other, s}
		}
		first[same] = s
	}
	in, err := v.inbox(t.Context(), inboxArgs{Texts: [][]byte{introduce.Armor(two[0].Bytes()), introduce.Armor(two[1].Bytes())}})
	require.NoError(t, err)
	require.Len(t, in.Suggestions, 2)
	for _, act := range []func() error{
		func() error { _, err := v.accept(t.Context(), acceptArgs{ID: same, As: "bob"}); return err },
		func() error { _, err := v.decline(t.Context(), declineArgs{ID: same}); return err },
		func() error { _, err := v.deny(t.Context(), denyArgs{ID: same}); return err },
	} {
		f := classify(act())
		require.Equal(t, "ambiguous", f.Code, f.Message)
		require.Equal(t, exitChoose, f.Exit)
		require.Equal(t, "petname inbox", f.Next)
		require.Equal(t, `several suggestions start with "`+same+`": type more digits`, f.Message)
	}
	for _, s := range in.Suggestions {
		require.Greater(t, len(s.Digits), leastDigits)
		_, err := v.decline(t.Context(), declineArgs{ID: s.Digits})
		require.NoError(t, err)
	}
}
