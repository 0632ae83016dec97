package engine

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

func newKey(t *testing.T) *pointer.Key {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key
}

// offered returns an opened home whose inbox contains a contact's offer of a
// mutual introduction, without a stored session.
func offered(t *testing.T) (*Engine, petname.SuggestionID) {
	e, by := opened(t), newKey(t)
	_, err := e.Add(t.Context(), AddArgs{Name: "alice", Target: by.Pointer().String()})
	require.NoError(t, err)
	_, out, err := mutual.Start(time.Now(), rand.Reader, by, mutual.Party{Pointer: e.book.Identity(), Suggested: "x"},
		mutual.Party{Pointer: newKey(t).Pointer(), Suggested: "y"}, time.Now().Add(time.Hour))
	require.NoError(t, err)
	id, _, err := e.book.Suggest(petname.Suggestion{Kind: petname.Mutual, Channel: "drop", Evidence: out[0].Bytes})
	require.NoError(t, err)
	return e, id
}

// A file with a statement whose signature was changed is refused, and nothing of
// it is stored.
func TestAForgedStatementInAFileIsRefused(t *testing.T) {
	e, alice := opened(t), newKey(t)
	_, err := e.Add(t.Context(), AddArgs{Name: "alice", Target: alice.Pointer().String()})
	require.NoError(t, err)
	i := introduce.Introduction{To: e.book.Identity(), About: newKey(t).Pointer(), Expires: time.Now().Add(time.Hour)}
	signed, err := i.Sign(alice, nil, time.Now())
	require.NoError(t, err)
	forged := signed.Bytes()
	forged[len(forged)-1] ^= 1
	heads := e.book.Ledger().Heads()
	_, err = e.Inbox(t.Context(), InboxArgs{Texts: [][]byte{introduce.Armor(forged)}})
	require.Equal(t, ExitUnverified, Classify(err).Exit, "%v", err)
	_, err = e.Accept(t.Context(), AcceptArgs{Text: introduce.Armor(forged), As: "bob"})
	require.Equal(t, ExitUnverified, Classify(err).Exit, "%v", err)
	require.Equal(t, heads, e.book.Ledger().Heads())
	in, err := e.Inbox(t.Context(), InboxArgs{Texts: [][]byte{introduce.Armor(signed.Bytes())}})
	require.NoError(t, err)
	require.Len(t, in.Suggestions, 1)
}

// An offer that is already decided accepts no consent.
func TestADecidedOfferAcceptsNoConsent(t *testing.T) {
	e, id := offered(t)
	require.NoError(t, e.book.Consent(id))
	_, err := e.Accept(t.Context(), AcceptArgs{ID: id.String()})
	require.Equal(t, "decided", Classify(err).Code, "%v", err)
}

// An offer whose contact is not known yet cannot be declined for ever, and
// remains pending.
func TestAnOfferIsNotDeclinedForEver(t *testing.T) {
	e, id := offered(t)
	_, err := e.Decline(t.Context(), DeclineArgs{ID: id.String(), Never: true})
	require.ErrorContains(t, err, "for ever")
	s, err := e.book.Suggestion(id.String())
	require.NoError(t, err)
	require.Equal(t, petname.Pending, s.State)
}

// A link that pins another next key than the contact's causes duplicity. The
// result shows the contact as it is in the book.
func TestALinkWithAnotherNextKeyIsDuplicity(t *testing.T) {
	e, bob := opened(t), newKey(t)
	link := func() (string, pointer.Commitment) {
		next, err := pointer.Commit(newKey(t).Public())
		require.NoError(t, err)
		return pointer.Link{Pointer: bob.Pointer(), Next: next}.String(), next
	}
	mine, next := link()
	_, err := e.Add(t.Context(), AddArgs{Name: "bob", Target: mine})
	require.NoError(t, err)
	other, _ := link()
	for target, code := range map[string]string{bob.Pointer().String(): "", mine: "", other: "duplicity"} {
		c, err := e.Whois(t.Context(), WhoisArgs{Target: target})
		require.Equal(t, "bob", c.Name)
		require.Equal(t, next.String(), c.Next)
		if code == "" {
			require.NoError(t, err)
		} else {
			require.Equal(t, code, Classify(err).Code, "%v", err)
		}
	}
}

// Knock refuses the owner's pointer.
func TestKnockRefusesTheOwnPointer(t *testing.T) {
	e := opened(t)
	_, err := e.Knock(t.Context(), KnockArgs{To: e.book.Identity().String(), Expires: time.Hour})
	require.Equal(t, "own_pointer", Classify(err).Code, "%v", err)
}

// An invalid pointer for a record is a usage error, with a home and without.
func TestAnInvalidPointerIsAUsageError(t *testing.T) {
	e := opened(t)
	for _, text := range []string{"a/b", "k51qzi5uqu5dlvj"} {
		a := InspectArgs{Record: []byte("record"), Pointer: text}
		_, err := InspectAlone(a)
		require.Equal(t, ExitUsage, Classify(err).Exit, "%v", err)
		require.ErrorContains(t, err, "--pointer", text)
		_, err = e.Inspect(t.Context(), a)
		require.Contains(t, []int{ExitUsage, ExitNotFound}, Classify(err).Exit, "%v", err)
	}
}

// Keep --all requires an explicit yes even if the book has only one contact.
func TestKeepAllRequiresAnExplicitYes(t *testing.T) {
	e := opened(t)
	_, err := e.Add(t.Context(), AddArgs{Name: "bob", Target: newKey(t).Pointer().String()})
	require.NoError(t, err)
	_, err = e.Keep(t.Context(), KeepArgs{All: true})
	require.Equal(t, ExitChoose, Classify(err).Exit, "%v", err)
	kept, err := e.ListKept(t.Context(), NoArgs{})
	require.NoError(t, err)
	require.Empty(t, kept.Kept)
	kept, err = e.Keep(t.Context(), KeepArgs{All: true, Yes: true})
	require.NoError(t, err)
	require.Len(t, kept.Kept, 1)
}
