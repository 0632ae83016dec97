package petname

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// model is what a book should be, as plain maps. One device, so no conflicts.
type model struct {
	contacts  map[pointer.Pointer]modelContact
	edges     map[string]modelEdge // by the label's key
	undo      []snapshot           // what stood before each change that can be undone
	nickname  string
	published Published
}

type modelContact struct {
	name    string
	removed time.Time
	facts   []modelFact
	kept    bool
}

type modelFact struct {
	kind, by, channel, nickname string
	next                        pointer.Commitment
	stays                       bool // an undo does not remove it
}

type modelEdge struct {
	label string
	to    pointer.Pointer
}

type snapshot struct {
	contacts map[pointer.Pointer]modelContact
	edges    map[string]modelEdge
}

func (m *model) push() {
	m.undo = append(m.undo, snapshot{maps.Clone(m.contacts), maps.Clone(m.edges)})
}

// claims returns the commitments on record for a pointer: those of cards, and
// those that the owner entered.
func (m *model) claims(p pointer.Pointer) (cards, entered []pointer.Commitment) {
	for _, f := range m.contacts[p].facts {
		switch {
		case f.next.IsZero():
		case f.kind == "card" && !slices.Contains(cards, f.next):
			cards = append(cards, f.next)
		case f.kind != "card" && !slices.Contains(entered, f.next):
			entered = append(entered, f.next)
		}
	}
	return cards, entered
}

// next returns what is pinned for a pointer, and an error of the type for what
// contradicts next, or for what contradicts itself whatever next is; zero: none.
func (m *model) next(p pointer.Pointer, next pointer.Commitment) (pointer.Commitment, error) {
	cards, entered := m.claims(p)
	all := slices.Clone(cards)
	for _, e := range entered {
		if !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	switch {
	case len(cards) > 1:
		return pointer.Commitment{}, &DuplicityError{}
	case len(all) > 1:
		return pointer.Commitment{}, &ContradictionError{}
	case len(all) == 0:
		return pointer.Commitment{}, nil
	case next.IsZero() || next == all[0]:
		return all[0], nil
	case len(cards) == 1:
		return all[0], &DuplicityError{}
	}
	return all[0], &ContradictionError{}
}

func (m *model) heard(p pointer.Pointer) bool {
	c := m.contacts[p]
	return c.name != "" || !c.removed.IsZero() || len(c.facts) > 0
}

func (m *model) holder(n name.Name) (pointer.Pointer, bool) {
	for p, c := range m.contacts {
		if c.name != "" && mustName(c.name).Key() == n.Key() {
			return p, true
		}
	}
	return pointer.Pointer{}, false
}

func (m *model) learn(p pointer.Pointer, f modelFact) {
	c := m.contacts[p]
	c.facts = append(slices.Clone(c.facts), f)
	m.contacts[p] = c
}

// add returns the error that the book must return, or applies the naming and
// reports whether it changed anything.
func (m *model) add(n name.Name, l pointer.Link, me pointer.Pointer) (want error, changed bool) {
	c := m.contacts[l.Pointer]
	pinned, differs := m.next(l.Pointer, l.Next)
	other, taken := m.holder(n)
	cards, entered := m.claims(l.Pointer)
	if l.Next.IsZero() || pinned.IsZero() && len(cards) == 1 && l.Next == cards[0] {
		differs = nil // the owner agrees with the card
	}
	kind := "typed"
	if l.Nickname != "" || !l.Next.IsZero() {
		kind = "link"
	}
	switch {
	case l.Pointer == me:
		return ErrOwnPointer, false
	case differs != nil && len(cards) == 1 && !pinned.IsZero(): // it is confirmed
		return &ContradictionError{}, false
	case differs != nil:
		isNew := !slices.Contains(cards, l.Next) && !slices.Contains(entered, l.Next)
		if errors.As(differs, new(*ContradictionError)) && isNew && c.name != "" && mustName(c.name).Key() == n.Key() {
			m.push()
			m.learn(l.Pointer, modelFact{kind, "me", "test", l.Nickname, l.Next, false})
			return differs, true
		}
		return differs, false
	case taken && other != l.Pointer:
		return &TakenError{n, other}, false
	case c.name != "" && mustName(c.name).Key() != n.Key():
		return &NamedError{mustName(c.name), l.Pointer}, false
	case c.name != "" && (l.Next.IsZero() || l.Next == pinned):
		return nil, false
	}
	m.push()
	if c.name == "" {
		c.name, c.removed = n.String(), time.Time{}
	}
	m.contacts[l.Pointer] = c
	m.learn(l.Pointer, modelFact{kind, "me", "test", l.Nickname, l.Next, false})
	return nil, true
}

var modelNames = []string{"alice", "Alice", "ＡＬＩＣＥ", "bob", "Bob  W", "bob w", "ünal", "dora"}

// A book does what plain maps do, whatever is asked of it and in whatever order;
// what it refuses, it refuses by the documented error and without a trace.
func TestABookDoesWhatMapsDo(t *testing.T) {
	newDir := rapidDirs(t)
	var pool []pointer.Pointer
	for _, seed := range []string{"a", "b", "c", "d", "me"} {
		pool = append(pool, pointerOf(seed))
	}
	me := pointerOf("me")
	lawtest.Check(t, 25, func(rt *rapid.T) {
		path := filepath.Join(newDir(rt), "ledger.db")
		o := testOptions()
		b, err := Create(path, testKey("me"), testKey("one"), o)
		require.NoError(rt, err)
		defer func() { require.NoError(rt, b.Close()) }()
		m := &model{contacts: map[pointer.Pointer]modelContact{}, edges: map[string]modelEdge{}}

		pointers := rapid.SampledFrom(pool)
		drawName := func() name.Name { return mustName(rapid.SampledFrom(modelNames).Draw(rt, "name")) }
		drawNext := func() pointer.Commitment {
			return rapid.SampledFrom([]pointer.Commitment{{}, {}, commitment("x"), commitment("y")}).Draw(rt, "next")
		}
		drawLink := func() pointer.Link {
			return pointer.Link{Pointer: pointers.Draw(rt, "pointer"), Next: drawNext(), Nickname: rapid.SampledFrom([]string{"", "Rob\x1b"}).Draw(rt, "nickname")}
		}
		// try makes one change: the error is the one wanted, and what isn't to
		// change anything leaves the view and the log as they were.
		try := func(want error, changes bool, do func() error) {
			view, n := dump(rt, b), entries(b)
			err := do()
			if want == nil {
				require.NoError(rt, err)
			} else if want == ErrNotFound || want == ErrOwnPointer || want == ErrNothingToUndo {
				require.ErrorIs(rt, err, want)
			} else if errors.As(want, new(*DuplicityError)) {
				require.ErrorAs(rt, err, new(*DuplicityError))
			} else if errors.As(want, new(*ContradictionError)) {
				require.ErrorAs(rt, err, new(*ContradictionError))
			} else {
				require.Equal(rt, want, err)
			}
			if changes {
				require.Greater(rt, entries(b), n)
			} else {
				require.Equal(rt, n, entries(b))
				require.Equal(rt, view, dump(rt, b))
			}
		}
		source := Source{Channel: "test"}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				n, l := drawName(), drawLink()
				want, changes := m.add(n, l, me)
				try(want, changes, func() error { _, err := b.Add(n, l, source); return err })
			},
			"add all": func(rt *rapid.T) {
				before := *m
				before.contacts = maps.Clone(m.contacts)
				var namings []Naming
				var want error
				changed := false
				for range rapid.IntRange(0, 4).Draw(rt, "n") {
					n, l := drawName(), drawLink()
					namings = append(namings, Naming{n, l, source})
					if want == nil {
						var changes bool
						want, changes = m.add(n, l, me)
						changed = changed || changes
					}
				}
				if want != nil {
					*m, changed = before, false
				}
				view, n := dump(rt, b), entries(b)
				err := addAll(b, namings)
				switch {
				case want == nil:
					require.NoError(rt, err)
				case errors.As(want, new(*DuplicityError)):
					require.ErrorAs(rt, err, new(*DuplicityError))
				case errors.As(want, new(*ContradictionError)):
					require.ErrorAs(rt, err, new(*ContradictionError))
				default:
					require.ErrorContains(rt, err, want.Error())
				}
				if !changed {
					require.Equal(rt, n, entries(b))
					require.Equal(rt, view, dump(rt, b))
				}
			},
			"rename": func(rt *rapid.T) {
				p, n := pointers.Draw(rt, "pointer"), drawName()
				c := m.contacts[p]
				other, taken := m.holder(n)
				var want error
				changes := false
				switch {
				case c.name == "":
					want = ErrNotFound
				case taken && other != p:
					want = &TakenError{n, other}
				case c.name != n.String():
					m.push()
					c.name, changes = n.String(), true
					m.contacts[p] = c
				}
				try(want, changes, func() error { _, err := b.Rename(p, n, Source{}); return err })
			},
			"remove": func(rt *rapid.T) {
				p := pointers.Draw(rt, "pointer")
				c := m.contacts[p]
				if c.name == "" {
					try(ErrNotFound, false, func() error { _, err := b.Remove(p); return err })
					return
				}
				m.push()
				try(nil, true, func() error { r, err := b.Remove(p); c.name, c.removed, c.kept = "", r.Removed, false; return err })
				require.False(rt, c.removed.IsZero())
				m.contacts[p] = c
				maps.DeleteFunc(m.edges, func(_ string, e modelEdge) bool { return e.to == p })
			},
			"keep": func(rt *rapid.T) {
				p, on := pointers.Draw(rt, "pointer"), rapid.Bool().Draw(rt, "on")
				c := m.contacts[p]
				if c.name == "" {
					try(ErrNotFound, false, func() error { _, err := setKept(b, p, on); return err })
					return
				}
				changes := c.kept != on
				if changes {
					m.push()
				}
				c.kept = on
				m.contacts[p] = c
				try(nil, changes, func() error { r, err := setKept(b, p, on); require.Equal(rt, on, r.Republished); return err })
			},
			"undo": func(rt *rapid.T) {
				if len(m.undo) == 0 {
					try(ErrNothingToUndo, false, func() error { _, err := b.Undo(); return err })
					return
				}
				was := m.undo[len(m.undo)-1]
				m.undo = m.undo[:len(m.undo)-1]
				for p, now := range m.contacts { // what cards taught stays
					c := was.contacts[p]
					for _, f := range now.facts[len(c.facts):] {
						if f.stays {
							c.facts = append(slices.Clone(c.facts), f)
						}
					}
					was.contacts[p] = c
				}
				m.contacts, m.edges = was.contacts, was.edges
				try(nil, true, func() error { _, err := b.Undo(); return err })
			},
			"share": func(rt *rapid.T) {
				p, label := pointers.Draw(rt, "pointer"), drawName()
				e, shared := m.edges[label.Key()]
				_, contested := m.next(p, pointer.Commitment{})
				switch {
				case m.contacts[p].name == "":
					try(ErrNotFound, false, func() error { _, err := b.SharePublic(p, label); return err })
				case contested != nil:
					try(contested, false, func() error { _, err := b.SharePublic(p, label); return err })
				case shared && e.to != p:
					try(&TakenError{label, e.to}, false, func() error { _, err := b.SharePublic(p, label); return err })
				default:
					if !shared {
						m.push()
						m.edges[label.Key()] = modelEdge{label.String(), p}
					}
					try(nil, !shared, func() error { _, err := b.SharePublic(p, label); return err })
				}
			},
			"unshare": func(rt *rapid.T) {
				label := drawName()
				_, shared := m.edges[label.Key()]
				if !shared {
					try(ErrNotFound, false, func() error { _, err := b.Unshare(label); return err })
					return
				}
				m.push()
				delete(m.edges, label.Key())
				try(nil, true, func() error { _, err := b.Unshare(label); return err })
			},
			"learn": func(rt *rapid.T) {
				p, card := pointers.Draw(rt, "pointer"), pointer.Card{Nickname: "card", Next: drawNext()}
				var want error
				changes := false
				if !card.Next.IsZero() && m.heard(p) {
					if cards, _ := m.claims(p); !slices.Contains(cards, card.Next) {
						changes = true
						m.learn(p, modelFact{"card", p.String(), "record", "card", card.Next, true})
					}
					_, want = m.next(p, card.Next)
				}
				try(want, changes, func() error { return b.learnCard(p, card) })
			},
			"nickname": func(rt *rapid.T) {
				n := rapid.SampledFrom([]string{"", "Me", "Myself"}).Draw(rt, "nickname")
				try(nil, n != m.nickname, func() error { return b.SetNickname(n) })
				m.nickname = n
			},
			"reserve": func(rt *rapid.T) {
				p := Published{rapid.SampledFrom([]string{"/ipfs/a", "/ipfs/b"}).Draw(rt, "value"), rapid.Uint64Range(0, 8).Draw(rt, "sequence")}
				if p.Sequence <= m.published.Sequence {
					n := entries(b)
					require.ErrorContains(rt, b.ReserveSequence(p), "used already")
					require.Equal(rt, n, entries(b))
					return
				}
				m.published = p
				try(nil, true, func() error { return b.ReserveSequence(p) })
			},
			"reopen": func(rt *rapid.T) {
				view := dump(rt, b)
				require.NoError(rt, b.Close())
				b, err = Open(path, testKey("one"), o)
				require.NoError(rt, err)
				require.Equal(rt, view, dump(rt, b))
			},
			"rebuild": func(rt *rapid.T) {
				view := dump(rt, b)
				require.NoError(rt, b.Ledger().Rebuild())
				require.Equal(rt, view, dump(rt, b))
			},
			"": func(rt *rapid.T) { m.compare(rt, b, pool) },
		})
		for len(m.undo) > 0 { // back to the start
			_, err := b.Undo()
			require.NoError(rt, err)
			m.undo = m.undo[:len(m.undo)-1]
		}
		require.Empty(rt, contacts(rt, b))
		for _, p := range pool {
			c, _ := b.ByPointer(p)
			require.True(rt, c.Removed.IsZero())
			for _, f := range c.Provenance {
				require.Contains(rt, []string{"card", "link"}, f.Kind)
			}
		}
	})
}

// compare holds all that a book answers against the model.
func (m *model) compare(t tb, b *Book, pool []pointer.Pointer) {
	t.Helper()
	checkBijection(t, b, modelNames)
	named := 0
	keeping := map[pointer.Pointer]bool{}
	for c, err := range b.Republished() {
		require.NoError(t, err)
		require.True(t, c.Republished)
		keeping[c.ID] = true
	}
	for _, p := range pool {
		want := m.contacts[p]
		require.Equal(t, want.kept, keeping[p])
		c, err := b.ByPointer(p)
		if !m.heard(p) {
			require.ErrorIs(t, err, ErrNotFound)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, want.name, c.Name.String())
		require.Equal(t, want.removed, c.Removed)
		require.Equal(t, want.kept, c.Republished)
		pinned, _ := m.next(p, pointer.Commitment{})
		require.Equal(t, pinned, c.Next)
		require.Nil(t, c.Conflict)
		_, contested := m.next(p, pointer.Commitment{})
		require.Equal(t, contested != nil, len(c.Contradictions) > 0)
		require.Equal(t, p, c.Pointer)
		var facts []modelFact
		for _, f := range c.Provenance {
			require.False(t, f.At.IsZero())
			facts = append(facts, modelFact{f.Kind, f.By, f.Channel, f.Nickname, f.Next, false})
		}
		wanted := slices.Clone(want.facts)
		for i := range wanted {
			wanted[i].stays = false
		}
		require.Equal(t, wanted, facts)
		if want.name != "" {
			named++
			found, err := b.Find(want.name)
			require.NoError(t, err)
			require.Equal(t, c, found)
			found, err = b.Find(p.String())
			require.NoError(t, err)
			require.Equal(t, c, found)
		}
	}
	n, err := b.Count()
	require.NoError(t, err)
	require.Equal(t, named, n)
	edges := map[string]modelEdge{}
	for e, err := range b.Edges() {
		require.NoError(t, err)
		require.False(t, e.Conflict)
		edges[mustName(e.Label).Key()] = modelEdge{e.Label, e.Pointer}
	}
	require.Equal(t, m.edges, edges)
	public, err := PublishableEdges(b.Edges())
	require.NoError(t, err)
	want := make(map[string]pointer.Edge)
	for _, e := range m.edges {
		if next, contested := m.next(e.to, pointer.Commitment{}); contested == nil {
			want[e.label] = pointer.Edge{Pointer: e.to, Next: next}
		}
	}
	require.Equal(t, want, public)
	nickname, err := b.Nickname()
	require.NoError(t, err)
	require.Equal(t, m.nickname, nickname)
	published, err := b.Published()
	require.NoError(t, err)
	require.Equal(t, m.published, published)
}

// Renaming and removing do not change the facts about a contact.
func TestRenamingKeepsPointerAndProvenance(t *testing.T) {
	b := newTestBook(t)
	l := pointer.Link{Pointer: pointerOf("a"), Next: commitment("x"), Nickname: "Al"}
	before, err := b.Add(mustName("alice"), l, Source{Kind: "link", By: "me", Channel: "stdin"})
	require.NoError(t, err)
	after, err := b.Rename(l.Pointer, mustName("al"), Source{})
	require.NoError(t, err)
	before.Name = mustName("al")
	require.Equal(t, before, after)
	removed, err := b.Remove(l.Pointer)
	require.NoError(t, err)
	require.False(t, removed.Removed.IsZero())
	before.Name, before.Removed = name.Name{}, removed.Removed
	require.Equal(t, before, removed)
	require.Equal(t, []Fact{{Pointer: l.Pointer, Kind: "link", By: "me", Channel: "stdin", At: before.Provenance[0].At, Nickname: "Al", Next: commitment("x"), Entry: ledger.ID{Device: b.Ledger().Device(), Number: 2}}}, removed.Provenance)
}
