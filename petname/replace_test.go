package petname

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// bobBesideFalse adds bob, and a contact robert by a false introduction of alice, and returns the
// introduction and a pairing with bob.
func bobBesideFalse(t *testing.T, b *Book) (lie []byte, paired SuggestionID) {
	t.Helper()
	mustAdd(t, b, "alice", "alice")
	mustAdd(t, b, "bob", "bob")
	lie = introduced(t, "alice", "me", "not bob")
	must(b.Accept(receive(t, b, lie), mustName("robert"), Acceptance{}))
	paired, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("bob"), Next: commitment("bob"), Channel: "link", Evidence: []byte("transcript")})
	require.NoError(t, err)
	return lie, paired
}

// The acceptance of a suggestion about a contact that has the name already records the contact
// that it replaces, with its evidence, and one undo reverts all of it.
func TestAnAcceptanceOfAKnownContactRecordsTheReplacement(t *testing.T) {
	for name, before := range map[string]func(*Book){
		"nothing is pinned": func(*Book) {},
		"its next key is pinned": func(b *Book) {
			must(b.Add(mustName("bob"), pointer.Link{Pointer: pointerOf("bob"), Next: commitment("bob")}, Source{}))
		},
		"a third party states another next key": func(b *Book) {
			require.NoError(t, addAll(b, []Naming{{mustName("bob"), pointer.Link{Pointer: pointerOf("bob"), Next: mustCommit("x")}, Source{Kind: "imported", By: pointerOf("alice").String()}}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTestBook(t)
			lie, id := bobBesideFalse(t, b)
			before(b)
			known, old := must(b.Find("bob")), must(b.Find("robert"))
			c := must(b.Accept(id, mustName("bob"), Acceptance{Replaces: pointerOf("not bob"), ReplacePin: true}))
			require.Equal(t, known.ID, c.ID)
			require.Equal(t, "bob", c.Name.String())
			require.Equal(t, commitment("bob"), c.Next)
			require.Empty(t, c.Contradictions)
			_, err := b.byName(mustName("robert"))
			require.ErrorIs(t, err, ErrNotFound)
			require.Empty(t, inbox(t, b))

			denial, err := introduce.Deny(subjectOf(lie), testKey("bob"), epoch)
			require.NoError(t, err)
			receive(t, b, denial.Bytes())
			require.Len(t, must(b.Contradictions(pointerOf("bob"))), 1, "the replaced contact is on record")

			require.Equal(t, "name", must(b.Undo()).Op)
			require.Equal(t, known, must(b.Find("bob")))
			require.Equal(t, old, must(b.Find("robert")))
			require.Len(t, inbox(t, b), 1)
			require.Empty(t, must(b.Contradictions(pointerOf("bob"))))
		})
	}
}

// A replacement of a lost branch is entered anew for a contact that the book has under that name.
func TestAReplacementIsEnteredAnew(t *testing.T) {
	for range 64 {
		var id SuggestionID
		f := newFork(t, lawtest.FastDir(t), func(b *Book) { _, id = bobBesideFalse(t, b) })
		must(f.one.Add(mustName("x"), link("other"), Source{}))
		must(f.two.Accept(id, mustName("bob"), Acceptance{Replaces: pointerOf("not bob")}))
		if !f.meet(t) || f.lost != f.two {
			f.close(t)
			continue
		}
		b, out := f.repaired(t, "new", nil)
		require.Empty(t, out.Conflicts)
		replaced := false
		for _, e := range must(b.Evidence(pointerOf("bob"))) {
			replaced = replaced || e.OfReplaced
		}
		require.True(t, replaced)
		require.Equal(t, "name", must(b.Undo()).Op)
		require.Equal(t, "robert", must(b.ByPointer(pointerOf("not bob"))).Name.String(), "one step, as it was")
		require.NoError(t, b.Close())
		f.close(t)
		return
	}
	require.Fail(t, "the second copy counts each time")
}

// The acceptance of a pairing moves no contact to the pointer of another one, by a step that waited
// for a proof: it is refused, and changes nothing.
func TestAnAcceptanceMovesNoContactOntoAnother(t *testing.T) {
	b := newTestBook(t)
	introducedBob(t, b, commitment("b"))
	require.NoError(t, b.applySuccession(pointerOf("b"), chain(step(t, "b")), "test"))
	must(b.Add(mustName("carol"), link("next b"), Source{}))
	id, _, err := b.Suggest(Suggestion{Kind: Paired, Pointer: pointerOf("b"), Next: commitment("b"), Channel: "link", Evidence: []byte("transcript")})
	require.NoError(t, err)
	n := entries(b)
	_, err = b.Accept(id, mustName("bob"), Acceptance{})
	require.ErrorAs(t, err, new(*ConflictError))
	require.ErrorContains(t, err, `your contact "carol"`)
	require.Equal(t, n, entries(b))
	must(b.Remove(pointerOf("next b")))
	require.Equal(t, pointerOf("next b"), must(b.Accept(id, mustName("bob"), Acceptance{})).Pointer)
}
