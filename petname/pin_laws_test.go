package petname

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// The laws of pins. Alice's keys are "a", "next a" and "next next a". The
// histories are drawn from what owner, third parties, thieves of keys, the
// network and several devices can do.

var aliceKeys = []string{"a", "next a", "next next a"}

func alicesPointers() (all []pointer.Pointer) {
	for _, seed := range aliceKeys {
		all = append(all, pointerOf(seed))
	}
	return all
}

// pinWorld is one book on several devices, with a contact alice.
type pinWorld struct {
	*rapid.T
	books []*Book
	seeds []string // of the keys that thieves use as next keys
}

func newPinWorld(rt *rapid.T, dir string) *pinWorld {
	w := &pinWorld{rt, devices(rt, dir, rapid.IntRange(1, 3).Draw(rt, "devices")), []string{"evil 1", "evil 2"}}
	rt.Cleanup(func() {
		for _, b := range w.books {
			require.NoError(rt, b.Close())
		}
	})
	return w
}

func (w *pinWorld) book() *Book {
	return w.books[rapid.IntRange(0, len(w.books)-1).Draw(w.T, "device")]
}

func (w *pinWorld) key() string  { return rapid.SampledFrom(aliceKeys).Draw(w.T, "key") }
func (w *pinWorld) evil() string { return rapid.SampledFrom(w.seeds).Draw(w.T, "evil key") }

// named names the contact on the first device, and syncs.
func (w *pinWorld) named(l pointer.Link, s Source) {
	require.NoError(w.T, w.books[0].update(func(tx *ledger.Tx) error {
		return w.books[0].accept(tx, mustName("alice"), l, s, nil, nil)
	}))
	syncBooks(w.T, w.books...)
}

// claim is a third party's claim about one of alice's pointers that the owner
// accepted, whatever the book answers.
func (w *pinWorld) claim() {
	b, l := w.book(), pointer.Link{Pointer: pointerOf(w.key()), Next: mustCommit(w.evil())}
	kind := rapid.SampledFrom([]string{string(Introduced), "imported"}).Draw(w.T, "kind")
	_ = b.update(func(tx *ledger.Tx) error {
		return b.accept(tx, mustName("alice"), l, Source{Kind: kind, By: pointerOf("eve").String(), Channel: "test"}, nil, nil)
	})
}

// steps draws a chain of one or two steps from alice's keys: honest or to a
// thief's key, signed by the old key as far as thieves have it.
func (w *pinWorld) steps(honest, stolen bool) []pointer.Succession {
	i := rapid.IntRange(0, 1).Draw(w.T, "from")
	old := aliceKeys[i]
	signed := (stolen || honest) && rapid.Bool().Draw(w.T, "signed")
	to, commits := w.evil(), mustCommit(w.evil())
	if honest && rapid.Bool().Draw(w.T, "honest") {
		to, commits = aliceKeys[i+1], commitment(aliceKeys[i+1])
	} else if !stolen {
		signed = false
	}
	if !signed {
		return chain(unsigned(w.T, old, to, commits))
	}
	return chain(stepTo(w.T, old, to, commits))
}

func (w *pinWorld) apply(steps []pointer.Succession) {
	_ = w.book().applySuccession(steps[0].Old, steps, "test")
}

func (w *pinWorld) contact(b *Book) Contact {
	c, err := b.ByPointer(pointerOf("a"))
	if errors.Is(err, ErrNotFound) { // its addition was undone
		return Contact{ID: pointerOf("a"), Pointer: pointerOf("a"), Chain: []Step{{Pointer: pointerOf("a")}}}
	}
	require.NoError(w.T, err)
	return c
}

// run draws a history of the given acts, beside syncs, and checks the law after
// each act on every device, and that all devices come to one view.
func (w *pinWorld) run(acts []func(), law func(Contact)) {
	for range rapid.IntRange(1, 14).Draw(w.T, "acts") {
		i := rapid.IntRange(0, len(acts)).Draw(w.T, "act")
		if i == len(acts) {
			pull(w.T, w.book(), w.book())
		} else {
			acts[i]()
		}
		for _, b := range w.books {
			law(w.contact(b))
		}
	}
	syncBooks(w.T, w.books...)
	for _, b := range w.books {
		require.Equal(w.T, dump(w.T, w.books[0]), dump(w.T, b))
		law(w.contact(b))
		view := dump(w.T, b)
		require.NoError(w.T, b.Ledger().Rebuild())
		require.Equal(w.T, view, dump(w.T, b))
	}
}

// With a confirmed pin no history moves a contact to a key that the commitment
// does not open: whatever third parties claim and sign, although thieves have
// the current key and the retired ones, and although the network hides records.
func TestLawAConfirmedPinIsOpenedByItsKeyAlone(t *testing.T) {
	newDir := rapidDirs(t)
	contradicted, advanced := 0, 0
	lawtest.Check(t, 60, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		w.named(pointer.Link{Pointer: pointerOf("a"), Next: commitment("a")}, Source{})
		require.NoError(rt, w.books[0].learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
		syncBooks(rt, w.books...)
		w.run([]func(){
			w.claim,
			func() { w.apply(w.steps(true, true)) },
			func() { // a card by a thief of a current or a retired key
				_ = w.book().learnCard(pointerOf(w.key()), pointer.Card{Next: mustCommit(w.evil())})
			},
			func() { seed := w.key(); _ = w.book().learnCard(pointerOf(seed), pointer.Card{Next: commitment(seed)}) },
			func() {
				_, _ = w.book().Add(mustName("alice"), pointer.Link{Pointer: pointerOf("a"), Next: mustCommit(w.evil())}, Source{})
			},
		}, func(c Contact) {
			require.Contains(rt, alicesPointers(), c.Pointer)
			if len(c.Contradictions) > 0 {
				contradicted++
			}
			if c.Pointer != c.ID {
				advanced++
			}
		})
	})
	require.Positive(t, contradicted)
	require.Positive(t, advanced)
}

// On the owner's claim alone, true or false, no history moves a contact without
// the signature of the old key or an act of the owner.
func TestLawAClaimAdvancesNothingWithoutTheOldKey(t *testing.T) {
	newDir := rapidDirs(t)
	proposed := 0
	lawtest.Check(t, 60, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		next := commitment("a")
		if rapid.Bool().Draw(rt, "altered") {
			next = mustCommit(w.evil())
		}
		w.named(pointer.Link{Pointer: pointerOf("a"), Next: next}, Source{})
		w.run([]func(){
			w.claim,
			func() { w.apply(w.steps(false, false)) },
			func() { w.apply(chain(unsigned(rt, "a", "next a", commitment("next a")))) },
		}, func(c Contact) {
			require.Equal(rt, pointerOf("a"), c.Pointer)
			if !c.Unproven.IsZero() {
				proposed++
			}
		})
	})
	require.Positive(t, proposed)
}

// On the claims of third parties alone no history moves a contact without an act
// of the owner, although thieves have the contact's key.
func TestLawAThirdPartysClaimAdvancesNothing(t *testing.T) {
	newDir := rapidDirs(t)
	proposed := 0
	lawtest.Check(t, 60, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		w.named(pointer.Link{Pointer: pointerOf("a"), Next: mustCommit(w.evil())},
			Source{Kind: string(Introduced), By: pointerOf("eve").String(), Channel: "test"})
		w.run([]func(){w.claim, func() { w.apply(w.steps(true, true)) }}, func(c Contact) {
			require.Equal(rt, pointerOf("a"), c.Pointer)
			if !c.Unproven.IsZero() {
				proposed++
			}
		})
	})
	require.Positive(t, proposed)
}

// No third party makes a contact with a confirmed pin unresolvable.
func TestLawNoThirdPartyStopsAConfirmedContact(t *testing.T) {
	newDir := rapidDirs(t)
	lawtest.Check(t, 60, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		// The first device confirmed the pin; the others may not know it yet.
		b := w.books[0]
		w.named(link("a"), Source{})
		require.NoError(rt, b.learnCard(pointerOf("a"), pointer.Card{Next: commitment("a")}))
		law := func(c Contact) {
			require.Empty(rt, c.Contradictions)
			require.Equal(rt, commitment("a"), c.Next)
			require.Equal(rt, pointerOf("a"), c.Pointer)
		}
		w.run([]func(){
			w.claim,
			func() { w.apply(w.steps(false, false)) },
			func() { law(w.contact(b)) },
		}, func(Contact) { law(w.contact(b)) })
		for _, other := range w.books {
			law(w.contact(other))
		}
	})
}

// Whatever happened, the owner gets back to the true pointer by links from alice
// alone, and every device comes to the same.
func TestLawTheOwnerGetsBackToTheTruePointer(t *testing.T) {
	newDir := rapidDirs(t)
	contradicted, astray := 0, 0
	lawtest.Check(t, 60, func(rt *rapid.T) {
		w := newPinWorld(rt, newDir(rt))
		w.named(pointer.Link{Pointer: pointerOf("a"), Next: rapid.SampledFrom([]pointer.Commitment{{}, commitment("a"), mustCommit("evil 1")}).Draw(rt, "first")}, Source{})
		w.run([]func(){
			w.claim,
			func() { w.apply(w.steps(true, true)) },
			func() { _ = w.book().learnCard(pointerOf(w.key()), pointer.Card{Next: mustCommit(w.evil())}) },
			func() { seed := w.key(); _ = w.book().learnCard(pointerOf(seed), pointer.Card{Next: commitment(seed)}) },
			func() {
				l := pointer.Link{Pointer: pointerOf(w.key()), Next: mustCommit(w.evil())}
				_, _ = w.book().Add(mustName("alice"), l, Source{ReplacePin: rapid.Bool().Draw(rt, "replace")})
			},
			func() { // a thief of alice's key follows an altered link: chance alone seldom does
				w.apply(chain(stepTo(rt, "a", "evil 1", mustCommit(w.evil()))))
			},
			func() { _, _ = w.book().Confirm(pointerOf("a"), Confirmation{}) },
			func() { _, _ = w.book().Undo() },
			func() { _, _ = w.book().Remove(pointerOf("a")) },
		}, func(c Contact) {
			if len(c.Contradictions) > 0 {
				contradicted++
			}
			if !slices.Contains(alicesPointers(), c.Pointer) {
				astray++
			}
		})
		b := w.book()
		// The removal of a key's own claim to another contact's name comes first.
		for id, c := range contactsByID(rt, b) {
			if id != pointerOf("a") && slices.Contains(alicesPointers(), c.ID) {
				_, err := b.Remove(id)
				require.NoError(rt, err)
			}
		}
		for i, seed := range aliceKeys {
			c := w.contact(b)
			if i > 0 && !slices.ContainsFunc(c.Chain, func(s Step) bool { return s.Pointer == pointerOf(seed) }) {
				break
			}
			_, err := b.Add(mustName("alice"), pointer.Link{Pointer: pointerOf(seed), Next: commitment(seed)}, Source{ReplacePin: true})
			require.NoError(rt, err, seed)
		}
		syncBooks(rt, w.books...)
		for _, other := range w.books {
			c := w.contact(other)
			require.Contains(rt, alicesPointers(), c.Pointer)
			require.Empty(rt, c.Contradictions, "%+v", c.Contradictions)
			require.Equal(rt, "alice", c.Name.String())
			p, err := other.Lookup(mustName("alice"))
			require.NoError(rt, err)
			require.Equal(rt, c.Pointer, p)
			require.Equal(rt, dump(rt, b), dump(rt, other))
		}
	})
	require.Positive(t, contradicted)
	require.Positive(t, astray)
}

func contactsByID(t tb, b *Book) map[pointer.Pointer]Contact {
	all := make(map[pointer.Pointer]Contact)
	for c, err := range b.Contacts() {
		require.NoError(t, err)
		all[c.ID] = c
	}
	return all
}

// The trail and what contradicts on it are functions of the facts on record, in
// whatever order they came: facts as rows of the view are shuffled.
func TestLawPinsDoNotDependOnTheOrderOfFacts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := chainFacts{undone: map[ledger.ID][]ledger.ID{}}
		for i := range rapid.IntRange(1, 10).Draw(rt, "facts") {
			f := pinFact{Fact: Fact{Pointer: pointerOf(rapid.SampledFrom(aliceKeys).Draw(rt, "pointer")),
				Kind:  rapid.SampledFrom([]string{"link", factCard, string(Introduced), string(Paired), factConfirm}).Draw(rt, "kind"),
				By:    rapid.SampledFrom([]string{byOwner, pointerOf("eve").String()}).Draw(rt, "by"),
				Next:  rapid.SampledFrom([]pointer.Commitment{commitment("a"), commitment("next a"), mustCommit("evil 1")}).Draw(rt, "next"),
				Entry: ledger.ID{Number: uint64(i + 1)}}}
			if f.Kind == factConfirm {
				f.decision = &decision{rejected: []pointer.Commitment{mustCommit("evil 1")}}
				if i > 0 && rapid.Bool().Draw(rt, "replaces") {
					f.decision.replaces = []ledger.ID{{Number: uint64(i)}}
				}
			}
			if f.Kind == factConfirm && rapid.IntRange(0, 3).Draw(rt, "undone") == 0 {
				h.undone[f.Entry] = f.decision.replaces
				continue
			}
			if f.Kind == factCard && rapid.Bool().Draw(rt, "differs") {
				f.differs = []pointer.Commitment{mustCommit("evil 1")}
			}
			h.facts = append(h.facts, f)
		}
		for range rapid.IntRange(0, 4).Draw(rt, "steps") {
			old := rapid.SampledFrom(aliceKeys[:2]).Draw(rt, "old")
			to := rapid.SampledFrom([]string{"next " + old, "evil 1"}).Draw(rt, "to")
			s := stepTo(rt, old, to, commitment(to))
			if rapid.Bool().Draw(rt, "unsigned") {
				s = unsigned(rt, old, to, commitment(to))
			}
			rests := chainStep{Succession: s}
			if rapid.Bool().Draw(rt, "rests") {
				rests.restsOn = []ledger.ID{{Number: uint64(rapid.IntRange(1, 10).Draw(rt, "on"))}}
			}
			h.steps = append(h.steps, rests)
		}
		first := Contact{ID: pointerOf("a")}
		first.walkChain(&h)
		shuffled := chainFacts{rapid.Permutation(h.facts).Draw(rt, "order"), rapid.Permutation(h.steps).Draw(rt, "order of steps"), h.undone, nil}
		second := Contact{ID: pointerOf("a")}
		second.walkChain(&shuffled)
		require.Equal(rt, summary(first), summary(second))
	})
}

// summary is what the law compares: the order in which equal claims are listed,
// and which of several equal sources is named, are for display.
func summary(c Contact) string {
	s := fmt.Sprint(c.Pointer, c.Next, c.Pin, c.Unproven)
	for _, step := range c.Chain {
		s += fmt.Sprint(" ", step)
	}
	for _, one := range c.Contradictions {
		var claims []string
		for _, claim := range one.Claims {
			claims = append(claims, fmt.Sprint(claim.Next, claim.Pin))
		}
		slices.Sort(claims)
		s += fmt.Sprint(" ", one.Pointer, one.Duplicity, claims)
	}
	return s
}
