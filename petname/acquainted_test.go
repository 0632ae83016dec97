package petname

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// introducedBoth returns an offer of a mutual introduction to the owner and a
// third party, and its transcript.
func introducedBoth(t testing.TB, by, me, third string) (offer, transcript []byte) {
	t.Helper()
	random := bytes.NewReader(bytes.Repeat([]byte{42}, 4096))
	i, out, err := mutual.Start(epoch, random, testKey(by), mutual.Party{Pointer: pointerOf(me)},
		mutual.Party{Pointer: pointerOf(third), Suggested: "The " + third, Note: "hello"}, epoch.Add(24*time.Hour))
	require.NoError(t, err)
	offer = out[0].Bytes
	invitees := map[pointer.Pointer]*mutual.Invitee{}
	keys := map[pointer.Pointer]string{pointerOf(me): me, pointerOf(third): third}
	type mail struct {
		from pointer.Pointer
		mutual.Outgoing
	}
	var queue []mail
	send := func(from pointer.Pointer, out []mutual.Outgoing) {
		for _, o := range out {
			queue = append(queue, mail{from, o})
		}
	}
	for _, o := range out {
		v, err := mutual.Receive(epoch, o.To, pointerOf(by), o.Bytes)
		require.NoError(t, err)
		invitees[o.To] = v
		out, err := v.Accept(epoch, random, testKey(keys[o.To]), pointer.Details{Next: commitment(keys[o.To]), Nickname: "~" + keys[o.To]})
		require.NoError(t, err)
		send(o.To, out)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		m := queue[0]
		if m.To == pointerOf(by) {
			out, err := i.Handle(epoch, m.from, m.Bytes)
			require.NoError(t, err)
			send(m.To, out)
			continue
		}
		v := invitees[m.To]
		out, err := v.Handle(epoch, m.from, m.Bytes)
		require.NoError(t, err)
		send(m.To, out)
		if v.NeedsKey() {
			out, err := v.Authenticate(epoch, random, testKey(keys[m.To]))
			require.NoError(t, err)
			send(m.To, out)
		}
	}
	return offer, invitees[pointerOf(me)].Transcript()
}

func TestAMutualIntroductionNamesNobodyUntilItIsAccepted(t *testing.T) {
	b := newTestBook(t)
	offer, transcript := introducedBoth(t, "alice", "me", "bob")
	_, _, err := b.Suggest(Suggestion{Kind: Mutual, Evidence: offer, Channel: "drop"})
	require.ErrorIs(t, err, ErrUnknownSender)
	mustAdd(t, b, "alice", "alice")
	id, fresh, err := b.Suggest(Suggestion{Kind: Mutual, Evidence: offer, Channel: "drop"})
	require.NoError(t, err)
	require.True(t, fresh)
	s := inbox(t, b)[0]
	require.Equal(t, "The bob", s.Suggested)
	require.Equal(t, pointerOf("alice"), s.By)
	require.True(t, s.Pointer.IsZero())
	require.Equal(t, epoch.Add(24*time.Hour), s.Expires)
	_, err = b.Accept(id, mustName("bob"), Acceptance{})
	require.Error(t, err, "who it is isn't known yet")

	require.NoError(t, b.Consent(id))
	require.NoError(t, b.Consent(id))
	require.Empty(t, inbox(t, b))
	s, err = b.Suggestion(id.String())
	require.NoError(t, err)
	require.Equal(t, Accepted, s.State)

	met, fresh, err := b.Suggest(Suggestion{Kind: Acquainted, Evidence: transcript, Channel: "drop"})
	require.NoError(t, err)
	require.True(t, fresh)
	_, err = b.ByPointer(pointerOf("bob"))
	require.ErrorIs(t, err, ErrNotFound)
	c, err := b.Accept(met, mustName("bob"), Acceptance{})
	require.NoError(t, err)
	require.Equal(t, pointerOf("bob"), c.Pointer)
	require.Equal(t, commitment("bob"), c.Next)
	evidence, err := b.Evidence(pointerOf("bob"))
	require.NoError(t, err)
	require.Len(t, evidence, 1)
	require.Equal(t, string(Acquainted), evidence[0].Kind)
	require.Equal(t, pointerOf("alice"), evidence[0].By)
	require.Equal(t, transcript, evidence[0].Statement)
}

func TestConsentCanBeTakenBackAndAnOfferWithdrawn(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	for _, third := range []string{"bob", "carol"} {
		offer, _ := introducedBoth(t, "alice", "me", third)
		id, _, err := b.Suggest(Suggestion{Kind: Mutual, Evidence: offer})
		require.NoError(t, err)
		require.NoError(t, b.Consent(id))
		if third == "bob" {
			s, err := b.Decline(id, false)
			require.NoError(t, err)
			require.Equal(t, Declined, s.State)
			continue
		}
		require.NoError(t, b.Withdraw(id))
		s, err := b.Suggestion(id.String())
		require.NoError(t, err)
		require.Equal(t, Withdrawn, s.State)
	}
}

// No device and no other party can attribute a statement to an introducer.
func TestAMutualIntroductionIsVerifiedWhereverItComesFrom(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	offer, transcript := introducedBoth(t, "alice", "me", "bob")
	others, met := introducedBoth(t, "alice", "carol", "bob")
	for kind, evidence := range map[SuggestionKind][]byte{Mutual: others, Acquainted: met} {
		_, _, err := b.Suggest(Suggestion{Kind: kind, Evidence: evidence})
		require.ErrorIs(t, err, ErrWrongRecipient)
	}
	for kind, evidence := range map[SuggestionKind][]byte{Mutual: transcript, Acquainted: offer} {
		_, _, err := b.Suggest(Suggestion{Kind: kind, Evidence: evidence})
		require.ErrorIs(t, err, mutual.ErrInvalid)
	}
	for kind, evidence := range map[SuggestionKind][]byte{Mutual: offer, Acquainted: transcript} {
		w, _, err := fromMutual(kind, evidence, "drop")
		require.NoError(t, err)
		require.NoError(t, verifySuggestion(w))
		for name, lie := range map[string]func(w *wireSuggestion){
			"by":        func(w *wireSuggestion) { w.By = pointerOf("dave").Bytes() },
			"about":     func(w *wireSuggestion) { w.About = pointerOf("dave").Bytes() },
			"next":      func(w *wireSuggestion) { w.Next = commitment("dave").Bytes() },
			"suggested": func(w *wireSuggestion) { w.Suggested = "Dave" },
			"nickname":  func(w *wireSuggestion) { w.Nickname = "Dave" },
			"evidence":  func(w *wireSuggestion) { w.Evidence = bytes.Clone(w.Evidence); w.Evidence[200] ^= 1 },
		} {
			forged := w
			lie(&forged)
			require.Error(t, verifySuggestion(forged), name)
		}
	}
	paired, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("bob"), Evidence: []byte("transcript")})
	require.NoError(t, err)
	require.Error(t, b.Consent(paired), "there is nothing to consent to")
	require.ErrorIs(t, b.Withdraw(SuggestionID{1}), ErrNotFound)
}

// The introducer named a false key to one party. The holder of the true key
// denies it, and the redacted transcript proves it.
func TestAMutualIntroductionToAWrongKeyCanBeProven(t *testing.T) {
	b := newTestBook(t)
	mustAdd(t, b, "alice", "alice")
	_, transcript := introducedBoth(t, "alice", "me", "not bob")
	id, _, err := b.Suggest(Suggestion{Kind: Acquainted, Evidence: transcript, Channel: "drop"})
	require.NoError(t, err)
	_, err = b.Accept(id, mustName("bob"), Acceptance{})
	require.NoError(t, err)
	met, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("bob"), Channel: "code", Evidence: []byte("transcript")})
	require.NoError(t, err)
	_, err = b.Accept(met, mustName("bob"), Acceptance{Replaces: pointerOf("not bob")})
	require.NoError(t, err)

	all, err := b.Evidence(pointerOf("bob"))
	require.NoError(t, err)
	var subject introduce.Subject
	for _, e := range all {
		if e.OfReplaced {
			var introduced bool
			subject, introduced, err = e.Subject()
			require.NoError(t, err)
			require.True(t, introduced)
		}
	}
	require.NotContains(t, string(subject.Bytes()), "~not bob", "what was told in confidence stays")
	question, err := introduce.Question{To: pointerOf("bob"), Subject: subject}.Sign(testKey("me"), epoch)
	require.NoError(t, err)
	q, asked := question.Question()
	require.True(t, asked)
	said := q.Subject.Introduction()
	require.Equal(t, pointerOf("alice"), said.By)
	require.Equal(t, pointerOf("not bob"), said.About)
	denial, err := introduce.Deny(q.Subject, testKey("bob"), epoch)
	require.NoError(t, err)
	receive(t, b, denial.Bytes())
	proof, err := b.Contradictions(pointerOf("bob"))
	require.NoError(t, err)
	require.Len(t, proof, 1)
	found, err := introduce.OpenContradiction(proof[0].Bytes())
	require.NoError(t, err)
	require.Equal(t, pointerOf("alice"), found.Introduction().By)
	require.Equal(t, "The not bob", found.Introduction().Suggested)
}
