package petname

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// The laws of petname systems. Sources: Stiegler, "An Introduction to Petname
// Systems" (2005), and Ferdous & Jøsang et al., "Security Usability of Petname
// Systems" (2009). That a pointer has one petname and a petname one pointer,
// after any history and any merge, is TestABookDoesWhatMapsDo and
// TestDevicesConvergeAndOnlyTheUserSettles (Stiegler: a bidirectional one-to-one
// mapping; Ferdous & Jøsang: petnames are unique within a user's scope).

// similarNames are names that could be mistaken for each other in several ways,
// and some that could not.
var similarNames = []string{"alice", "Alice", "ALICE", "аlice", "al1ce", "a1ice", "alicé", "Alice.", "José", "Jose", "JOSÉ", "Hà", "Hạ", "paypal", "paypaI", "vvolf", "wolf", "bob", "Bоb", "b0b", "me", "rne", "محمد", "مُحمد", "Bob Боб"}

// nicknames are hostile, and some look like one of similarNames.
var nicknames = []string{"", "", "alice", "wolf", "B\u043eb", "\x1b[2Jalice", "Jos\u00e9", "\u202ecilA"}

// Source: Ferdous & Jøsang 2009: "petnames should be sufficiently different, so
// that the user doesn't confuse them"; Stiegler 2005: the user agent warns of
// petnames that are too similar. No two names of a book can be mistaken for
// each other unless the owner confirmed the second one. A name equal to another
// is refused, confirmed or not. A contact's own names are no reason to refuse
// it a name.
func TestLawLookalikesAreAnswered(t *testing.T) {
	newDir := rapidDirs(t)
	refused, overridden, free := 0, 0, 0
	lawtest.Check(t, 50, func(rt *rapid.T) {
		b, err := Create(filepath.Join(newDir(rt), "ledger.db"), testKey("me"), testKey("one"), testOptions())
		require.NoError(rt, err)
		defer func() { require.NoError(rt, b.Close()) }()
		told := map[pointer.Pointer]map[string]bool{} // names that the owner confirmed
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			p := pointerOf(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "pointer"))
			n := mustName(rapid.SampledFrom(similarNames).Draw(rt, "name"))
			s := Source{Lookalike: rapid.IntRange(0, 3).Draw(rt, "told") == 0}
			before, view := contacts(rt, b), dump(rt, b)
			reasons, err := lookalikes(b, n.String(), p)
			require.NoError(rt, err)
			c, err := b.ByPointer(p)
			if known := err == nil; known {
				for _, own := range []string{c.Name.String(), c.Nickname} {
					like, err := lookalikes(b, own, p)
					require.NoError(rt, err)
					for _, l := range like { // a key that is named never collides with itself
						require.NotEqual(rt, c.ID, l.Contact.ID)
					}
				}
			}
			var was name.Name
			if op := rapid.IntRange(0, 5).Draw(rt, "op"); op == 0 {
				_, err = b.Remove(p)
				require.True(rt, err == nil || documented(err))
				continue
			} else if was = c.Name; op < 3 && !was.IsZero() {
				_, err = b.Rename(p, n, s)
			} else {
				_, err = b.Add(n, pointer.Link{Pointer: p, Nickname: rapid.SampledFrom(nicknames).Draw(rt, "nickname")}, s)
			}
			holder := slices.IndexFunc(before, func(o Contact) bool { return o.ID != p && o.Name.Key() == n.Key() })
			var like *LookalikeError
			var taken *TakenError
			switch {
			case holder >= 0:
				require.True(rt, errors.As(err, &taken) || documented(err), "%q is taken: %v", n, err)
			case errors.As(err, &like):
				require.False(rt, s.Lookalike, "who was told is not told again")
				require.NotEqual(rt, was.Key(), n.Key())
				require.Equal(rt, reasons, like.Like)
				refused++
			case err == nil && was.Key() != n.Key():
				require.True(rt, s.Lookalike || len(reasons) == 0, "%q was given and is like %v", n, reasons)
				if told[p] == nil {
					told[p] = map[string]bool{}
				}
				told[p][n.Key()] = s.Lookalike
				if s.Lookalike && len(reasons) > 0 {
					overridden++
				} else {
					free++
				}
			case err != nil:
				require.True(rt, documented(err), "%v", err)
			}
			if err != nil {
				require.Equal(rt, view, dump(rt, b), "what is refused leaves no trace")
			}
		}
		now := contacts(rt, b)
		for i, one := range now {
			for _, other := range now[i+1:] {
				require.NotEqual(rt, one.Name.Key(), other.Name.Key())
				if name.Alike(name.Looks(one.Name), name.Looks(other.Name)) { // numbers as numbers
					require.True(rt, told[one.ID][one.Name.Key()] || told[other.ID][other.Name.Key()], "%q and %q", one.Name, other.Name)
				}
			}
		}
		for ev, err := range b.Log() { // that it was overridden is on record
			require.NoError(rt, err)
			if ev.Op == "name" && ev.Lookalike {
				require.True(rt, ev.Name != "")
			}
		}
	})
	require.Positive(t, refused)
	require.Positive(t, overridden)
	require.Positive(t, free)
}

// Look-alike names that two devices bound independently are reported after the
// merge, on both: the same law, for merges.
func TestLawMergedLookalikesAreShown(t *testing.T) {
	newDir := rapidDirs(t)
	met := 0
	lawtest.Check(t, 50, func(rt *rapid.T) {
		books := devices(rt, newDir(rt), 2)
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		for i := range rapid.IntRange(2, 6).Draw(rt, "names") {
			n := mustName(rapid.SampledFrom(similarNames).Draw(rt, "name"))
			b := books[rapid.IntRange(0, 1).Draw(rt, "device")]
			_, err := b.Add(n, pointer.Link{Pointer: pointerOf(fmt.Sprint("contact ", i))}, Source{})
			require.True(rt, err == nil || documented(err) || errors.As(err, new(*LookalikeError)), "%v", err)
		}
		syncBooks(rt, books...)
		require.Equal(rt, dump(rt, books[0]), dump(rt, books[1]))
		for _, b := range books {
			now := contacts(rt, b)
			for _, one := range now {
				if one.Conflict != nil {
					continue
				}
				like, err := lookalikes(b, one.Name.String(), one.Pointer)
				require.NoError(rt, err)
				for _, other := range now {
					if other.ID == one.ID || other.Conflict != nil {
						continue
					}
					shown := slices.ContainsFunc(like, func(l Likeness) bool { return l.Kind == likeName && l.Contact.ID == other.ID })
					require.Equal(rt, name.Alike(name.Looks(one.Name), name.Looks(other.Name)), shown, "%q and %q", one.Name, other.Name)
					if shown {
						met++
					}
				}
			}
		}
	})
	require.Positive(t, met)
}

// Source: Stiegler 2005: only the user assigns a petname, nicknames and
// pointers come from elsewhere; Ferdous & Jøsang 2009: the assignment is an
// explicit act. Nothing from the network names, renames or restores a contact:
// cards, successions, resolved paths, another owner's ledger, noise.
func TestLawOnlyTheUserNames(t *testing.T) {
	w := newWorld(t)
	w.add("alice", "a")
	w.add("bob", "b")
	w.add("carol", "c")
	must(w.book.Remove(pointerOf("c")))
	must(w.book.Add(mustName("dora"), pointer.Link{Pointer: pointerOf("d"), Next: mustCommit("next d")}, Source{}))
	for _, seed := range []string{"a", "b", "c", "d", "x"} {
		w.publish(seed, commitment(seed), map[string]pointer.Edge{"alice": edge("x"), "carol": edge("c"), "stranger": edge("x")})
	}
	foreign := newTestBookOf(t, "mallory")
	must(foreign.Add(mustName("alice"), link("x"), Source{}))
	must(foreign.Add(mustName("stranger"), link("y"), Source{}))
	names := func() map[string]pointer.Pointer {
		all := map[string]pointer.Pointer{}
		for _, c := range contacts(t, w.book) {
			require.Nil(t, c.Conflict)
			all[c.Name.String()] = c.ID
		}
		return all
	}
	before := names()
	require.Len(t, before, 3)
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SampledFrom([]string{"a", "b", "c", "d", "x"}).Draw(rt, "who")
		var err error
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0:
			nickname := rapid.SampledFrom([]string{"alice", "carol", "stranger", "bob\nalice"}).Draw(rt, "nickname")
			err = w.book.learnCard(pointerOf(seed), pointer.Card{Nickname: nickname, Next: commitment(seed), Edges: edges("carol", "x")})
		case 1:
			err = w.book.applySuccession(pointerOf("d"), chain(step(rt, "d")), "test")
		case 2:
			_, err = w.resolve(rapid.SampledFrom([]string{"alice", "alice/stranger", "bob/alice", "alice/carol", pointerOf("x").String(), pointerOf("c").String() + "/alice"}).Draw(rt, "path"))
		case 3:
			_, err = w.book.Ledger().Merge(slices.Values(missing(rt, foreign, nil)))
			require.Error(rt, err, "another person's ledger")
		case 4:
			_, err = w.book.Ledger().Merge(slices.Values([][]byte{rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "noise")}))
		case 5:
			_, err = Render("@carol "+pointerOf(seed).String()+` @"stranger" `+pointer.Link{Pointer: pointerOf("x"), Nickname: "alice", Next: commitment("x")}.String(), w.book)
		}
		_ = err // whatever came of it
		require.Equal(rt, before, names())
	})
	c := must(w.book.ByPointer(pointerOf("c")))
	require.True(t, c.Name.IsZero())
	require.False(t, c.Removed.IsZero(), "removal sticks")
	require.Equal(t, dht.SourceNetwork, must(w.resolve("alice")).Last().Result.Source)
}

// The same law, by the shape of the API. A Name comes from name.Parse, and so from
// what is handed to it, or from the book: nothing decodes into one, nothing that
// comes over the network holds one, and what takes one is an act of the user or
// a question. (That `name.Name{"alice", "alice"}` doesn't compile outside of
// the package is Go's.)
func TestLawNamesAreNotDecoded(t *testing.T) {
	typ := reflect.TypeFor[name.Name]()
	for i := range typ.NumField() {
		require.False(t, typ.Field(i).IsExported())
	}
	for _, decoder := range []reflect.Type{
		reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler](), reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[cbor.Unmarshaler](),
	} {
		require.False(t, reflect.PointerTo(typ).Implements(decoder), "%v fills a Name", decoder)
	}
	var naming Naming
	require.Error(t, json.Unmarshal([]byte(`{"Name":"alice"}`), &naming))
	require.NoError(t, json.Unmarshal([]byte(`{"Name":{"text":"alice","key":"alice"}}`), &naming))
	require.True(t, naming.Name.IsZero())
	require.NoError(t, cbor.Unmarshal(must(cbor.Marshal(map[string]any{"Name": map[string]string{"text": "alice", "key": "alice"}})), &naming))
	require.True(t, naming.Name.IsZero())
	for _, network := range []reflect.Type{
		reflect.TypeFor[pointer.Card](), reflect.TypeFor[pointer.Link](), reflect.TypeFor[pointer.Record](), reflect.TypeFor[pointer.Succession](),
		reflect.TypeFor[dht.Answer](), reflect.TypeFor[dht.Result](), reflect.TypeFor[Hop](), reflect.TypeFor[Resolution](), reflect.TypeFor[name.Nickname](), reflect.TypeFor[Fact](),
		reflect.TypeFor[Suggestion](), reflect.TypeFor[Evidence](), reflect.TypeFor[introduce.Introduction](), reflect.TypeFor[introduce.Edges](),
	} {
		require.False(t, holds(network, typ, nil), "%v holds a petname", network)
	}
	var takers []string
	book := reflect.TypeFor[*Book]()
	for i := range book.NumMethod() {
		m := book.Method(i)
		for j := 1; j < m.Type.NumIn(); j++ {
			if holds(m.Type.In(j), typ, nil) {
				takers = append(takers, m.Name)
				break
			}
		}
	}
	require.Equal(t, []string{"Accept", "Add", "Choose", "Lookup", "Rename", "SharePublic", "ShareWith", "Unshare", "UnshareWith"}, takers)
}

// holds reports whether a value of a type can hold one of another.
func holds(t, what reflect.Type, seen []reflect.Type) bool {
	if t == what {
		return true
	}
	if slices.Contains(seen, t) {
		return false
	}
	seen = append(seen, t)
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if holds(t.Field(i).Type, what, seen) {
				return true
			}
		}
	case reflect.Slice, reflect.Array, reflect.Pointer:
		return holds(t.Elem(), what, seen)
	case reflect.Map:
		return holds(t.Key(), what, seen) || holds(t.Elem(), what, seen)
	}
	return false
}

// What isn't given is not accepted: an empty name, no pointer, no list.
func TestLawNothingIsAcceptedInSilence(t *testing.T) {
	b := newTestBook(t)
	n := entries(b)
	require.NoError(t, addAll(b, nil))
	for _, naming := range []Naming{{}, {Link: link("a")}, {Name: mustName("alice")}} {
		_, err := b.Add(naming.Name, naming.Link, naming.Source)
		require.Error(t, err)
		require.Error(t, addAll(b, []Naming{{mustName("bob"), link("b"), Source{}}, naming}))
	}
	must(b.Add(mustName("bob"), link("b"), Source{}))
	_, err := b.Rename(pointerOf("b"), name.Name{}, Source{Lookalike: true})
	require.Error(t, err)
	require.Equal(t, n+1, entries(b))
}

// Source: Ferdous & Jøsang 2009: a user may edit petnames; Stiegler 2005:
// without touching what they are for. Renaming, however often, on whatever
// device, keeps pointer, provenance and history, and shows at once.
func TestLawRenamingKeepsAllElse(t *testing.T) {
	newDir := rapidDirs(t)
	lawtest.Check(t, 30, func(rt *rapid.T) {
		books := devices(rt, newDir(rt), 2)
		defer func() {
			for _, b := range books {
				require.NoError(rt, b.Close())
			}
		}()
		l := pointer.Link{Pointer: pointerOf("a"), Next: commitment("x"), Nickname: rapid.SampledFrom(nicknames).Draw(rt, "nickname")}
		before, err := books[0].Add(mustName("first"), l, Source{Channel: "test"})
		require.NoError(rt, err)
		syncBooks(rt, books...)
		history := logIDs(rt, books[0])
		for i := range rapid.IntRange(1, 6).Draw(rt, "renames") {
			b := books[rapid.IntRange(0, 1).Draw(rt, "device")]
			n := mustName(fmt.Sprintf("%s %d", rapid.SampledFrom(similarNames).Draw(rt, "name"), i))
			after, err := b.Rename(l.Pointer, n, Source{Lookalike: true})
			require.NoError(rt, err)
			want := before
			want.Name = n
			require.Equal(rt, want, after)
			require.Contains(rt, must(Render(l.Pointer.String(), b)).Text, n.String())
			syncBooks(rt, books...)
			for _, b := range books {
				log := logIDs(rt, b)
				for _, id := range history {
					require.Contains(rt, log, id)
				}
				require.Len(rt, log, len(history)+i+1)
				require.Equal(rt, l.Pointer, must(b.Lookup(n)))
			}
		}
	})
}

// logIDs are the entries of a book's log.
func logIDs(t tb, b *Book) (ids []string) {
	for ev, err := range b.Log() {
		require.NoError(t, err)
		ids = append(ids, ev.ID.String())
	}
	return ids
}

func newTestBookOf(t testing.TB, who string) *Book {
	t.Helper()
	b, err := Create(filepath.Join(lawtest.FastDir(t), "ledger.db"), testKey(who), testKey(who+" device"), testOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// A nickname is a reason to refuse a new name to another contact only, as long
// as its own contact has a name, and it is removed with the act that recorded
// it.
func TestNicknamesOfOthersAreReasons(t *testing.T) {
	b := newTestBook(t)
	al := pointer.Link{Pointer: pointerOf("a"), Nickname: "Alice L"}
	must(b.Add(mustName("sister"), al, Source{}))
	like := func(text, seed string) (kinds []string) {
		t.Helper()
		for _, l := range must(lookalikes(b, text, pointerOf(seed))) {
			kinds = append(kinds, l.Kind)
		}
		return kinds
	}
	require.Equal(t, []string{likeNickname}, like("alice l", "b"))
	require.Equal(t, []string{likeNickname}, like("A1ice L.", "b"))
	require.Empty(t, like("alice l", "a"))
	require.NoError(t, b.learnCard(pointerOf("a"), pointer.Card{Nickname: "Lissy", Next: commitment("a")}))
	require.Equal(t, []string{likeNickname}, like("lissy", "b"))
	must(b.Undo())
	require.Empty(t, like("alice l", "b"), "what was known from the act alone is forgotten with it")
	must(b.Add(mustName("sister"), pointer.Link{Pointer: pointerOf("a")}, Source{}))
	require.Empty(t, like("alice l", "b"))
	require.Equal(t, []string{likeNickname}, like("lissy", "b"), "what a card taught stays")
	must(b.Remove(pointerOf("a")))
	require.Empty(t, like("lissy", "b"), "a stranger's nickname is in nobody's way")
	require.Equal(t, []string{likeReserved}, like("Rne", "b"))
	require.Equal(t, []string{likeScripts}, like("Bob Боб", "b"))
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, []string(nil), like("lissy", "b"))
}

// Many nicknames hide no contact: the book compares a name with a bounded
// number of nicknames, and with one more the name counts as alike.
func TestManyNicknamesHideNoContact(t *testing.T) {
	b := newTestBook(t)
	like := func() (kinds []string) {
		for _, l := range must(lookalikes(b, "alicé", pointerOf("x"))) {
			kinds = append(kinds, l.Kind)
		}
		return kinds
	}
	var crowd []Naming
	for i := range maxLooks {
		crowd = append(crowd, Naming{benchName(i), pointer.Link{Pointer: benchPointer(i), Nickname: "alicẹ"}, Source{Lookalike: true}})
	}
	require.NoError(t, addAll(b, crowd))
	require.Empty(t, like())
	must(b.Add(benchName(maxLooks), pointer.Link{Pointer: benchPointer(maxLooks), Nickname: "alicẹ"}, Source{Lookalike: true}))
	require.Contains(t, like(), likeNickname)
	_, err := b.Add(mustName("alicé"), link("x"), Source{})
	require.ErrorAs(t, err, new(*LookalikeError))
}
