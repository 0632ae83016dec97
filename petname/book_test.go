package petname

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	stdsync "sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func TestCreateAndOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	_, err := Open(path, testKey("one"), testOptions())
	require.ErrorIs(t, err, fs.ErrNotExist)
	b, err := Create(path, testKey("me"), testKey("one"), testOptions())
	require.NoError(t, err)
	require.Equal(t, pointerOf("me"), b.Identity())
	_, err = Create(path, testKey("me"), testKey("one"), testOptions())
	require.ErrorIs(t, err, fs.ErrExist)
	_, err = Open(path, testKey("one"), testOptions())
	require.ErrorIs(t, err, ledger.ErrInUse)
	require.NoError(t, b.Close())
	_, err = b.Add(mustName("alice"), link("a"), Source{})
	require.Error(t, err)
	for _, err := range b.Contacts() {
		require.Error(t, err)
	}
}

// many is a book of n contacts, "contact 0000" and so on, some in conflict and
// more than one chunk of them.
func many(t *testing.T, n int) *Book {
	b := newTestBook(t)
	var namings []Naming
	for i := range n {
		namings = append(namings, Naming{mustName(fmt.Sprintf("contact %04d", i)), pointer.Link{Pointer: pointerOf(fmt.Sprint(i)), Nickname: fmt.Sprint("Nick ", i)}, Source{}})
	}
	require.NoError(t, addAll(b, namings))
	return b
}

// Iterators hold no transaction while the caller has the turn: it may write to
// the book, and what it does shows in what follows.
func TestTheBookCanBeChangedWhileItIsListed(t *testing.T) {
	b := many(t, 3*chunk+7)
	n := 0
	for c, err := range b.Contacts() {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("contact %04d", n), c.Name.String())
		if n++; n%100 == 1 {
			_, err := b.Rename(c.ID, mustName(fmt.Sprintf("a contact %04d", n)), Source{}) // behind the turn
			require.NoError(t, err)
		}
	}
	require.Equal(t, 3*chunk+7, n)
	n = 0
	for _, err := range b.Search("NICK 70") {
		require.NoError(t, err)
		require.NoError(t, b.SetNickname(fmt.Sprint("me ", n)))
		n++
	}
	require.Equal(t, 11, n) // 70, and 700 to 709
	n = 0
	for c, err := range b.Prefix("CONTACT 000") {
		require.NoError(t, err)
		require.NoError(t, b.learnCard(c.ID, pointer.Card{Next: commitment("x")}))
		n++
	}
	require.Equal(t, 9, n) // the first one was renamed
	for ev, err := range b.Log() {
		require.NoError(t, err)
		if ev.Op == "profile" {
			require.NoError(t, b.SetNickname("in the log "+ev.Name[len(ev.Name)-1:]))
			break
		}
	}
	must(b.SharePublic(pointerOf("5"), mustName("five")))
	for e, err := range b.Edges() {
		require.NoError(t, err)
		must(b.Unshare(mustName(e.Label)))
	}
	for range b.Contacts() {
		break // ending early is fine
	}
}

// Contacts in conflict are listed and searched once, under each of their names.
func TestContactsInConflictAreListedOnce(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Rename(pointerOf("a"), mustName("zoe"), Source{}))
	must(b.Rename(pointerOf("a"), mustName("ann"), Source{}))
	syncBooks(t, a, b)
	require.Len(t, contacts(t, a), 1)
	for _, text := range []string{"zoe", "ann", "Z", "nn"} {
		n := 0
		for _, err := range a.Search(text) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 1, n, text)
	}
	require.Equal(t, 2, must(a.Count()), "names")
}

// Readers see whole states only, however many write: a name has its contact,
// and the contact its name, within one answer.
func TestReadersAndWritersAtOnce(t *testing.T) {
	b := newTestBook(t)
	names := []name.Name{mustName("alice"), mustName("bob"), mustName("carol")}
	const writers, rounds = 3, 40
	var writing, reading stdsync.WaitGroup
	done := make(chan struct{})
	problems := make(chan error, 1000)
	for w := range writers {
		writing.Go(func() {
			p := pointerOf(fmt.Sprint("w", w))
			for i := range rounds {
				var err error
				switch n := names[(w+i)%len(names)]; i % 4 {
				case 0, 1:
					_, err = b.Add(n, pointer.Link{Pointer: p}, Source{})
				case 2:
					_, err = b.Rename(p, n, Source{})
				case 3:
					_, err = b.Undo()
				}
				if err != nil && !documented(err) {
					problems <- err
				}
			}
		})
	}
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, n := range names {
					if c, err := b.byName(n); err == nil && c.Name.Key() != n.Key() {
						problems <- fmt.Errorf("%q is called %q", n, c.Name)
					} else if err != nil && !errors.Is(err, ErrNotFound) {
						problems <- err
					}
				}
				for _, err := range b.Contacts() {
					if err != nil {
						problems <- err
					}
				}
			}
		})
	}
	writing.Wait()
	close(done)
	reading.Wait()
	close(problems)
	for err := range problems {
		t.Error(err)
	}
	checkBijection(t, b, []string{"alice", "bob", "carol"})
	view := dump(t, b)
	require.NoError(t, b.Ledger().Rebuild())
	require.Equal(t, view, dump(t, b))
}

// Log yields each act with its fields.
func TestLog(t *testing.T) {
	a, b := twoDevices(t)
	must(a.Rename(pointerOf("a"), mustName("al"), Source{}))
	must(a.SharePublic(pointerOf("a"), mustName("friend")))
	must(a.Remove(pointerOf("a")))
	ev := must(a.Undo())
	require.Equal(t, "remove", ev.Op)
	require.NoError(t, a.ReserveSequence(Published{"/ipfs/bafkqaaa", 4}))
	require.NoError(t, a.SetNickname("Me"))
	_, err := b.Ledger().Append([]byte("from a later version"))
	require.NoError(t, err)
	syncBooks(t, a, b)
	got := map[string]Event{}
	for ev, err := range a.Log() {
		require.NoError(t, err)
		require.False(t, ev.At.IsZero())
		id := ev.ID
		ev.ID, ev.At = ledger.ID{}, ev.At.Truncate(1<<62)
		if ev.Fact != nil {
			require.Equal(t, id, ev.Fact.Entry)
			ev.Fact = &Fact{Kind: ev.Fact.Kind, By: ev.Fact.By, Channel: ev.Fact.Channel}
		}
		key := ev.Op
		if ev.Was != nil && ev.Op == "name" {
			key = "rename"
		}
		got[key] = ev
	}
	p := pointerOf("a")
	for key, want := range map[string]Event{
		"genesis": {Op: "genesis"}, "admit": {Op: "admit"}, "unknown": {Op: "unknown"},
		"name":    {Op: "name", Contact: p, Name: "alice", Fact: &Fact{Kind: "typed", By: "me", Channel: "api"}},
		"rename":  {Op: "name", Contact: p, Name: "al", Was: []string{"alice"}},
		"share":   {Op: "share", Contact: p, Label: "friend"},
		"remove":  {Op: "remove", Contact: p, Was: []string{"al"}, Labels: 1},
		"undo":    {Op: "undo", Contact: p, Was: []string{"al"}, Undoes: 6},
		"publish": {Op: "publish", Value: "/ipfs/bafkqaaa", Sequence: 4},
		"profile": {Op: "profile", Name: "Me"},
	} {
		want.At = got[key].At
		require.Equal(t, want, got[key], key)
	}
}

// Errors name what was given, and say what to do next.
func TestErrorTexts(t *testing.T) {
	a, _ := nameConflict(t)
	text := func(_ Contact, err error) string { require.Error(t, err); return err.Error() }
	pa, pb := pointerOf("a").String(), pointerOf("b").String()
	require.Equal(t, `the name "alice" is in use for `+pa+`: choose another, or rename that contact first`, text(a.Rename(pointerOf("b"), mustName("alice"), Source{})))
	require.Equal(t, pa+` is already called "alice": rename it instead`, text(a.Add(mustName("al"), link("a"), Source{})))
	require.Equal(t, `"bob" is in conflict: `+pointerOf("c").String()+` "bob"; `+pb+` "bob": rename or remove one by its pointer`, text(a.byName(mustName("bob"))))
	require.Equal(t, `"nobody": not in the book`, text(a.Find("nobody")))
	require.Equal(t, `name "a/b" has a slash: it reads as a path, not as one name`, text(a.Find("a/b")))
	require.Equal(t, "that is your own pointer", text(a.Add(mustName("x"), link("me"), Source{})))
}

// The book of a further device has what the first one has, and only the identity's book is
// joined.
func TestABookIsJoinedByTheIdentitysDevicesAlone(t *testing.T) {
	books := testDevices(t, 2)
	_, err := books[0].Add(mustName("alice"), link("alice"), Source{})
	require.NoError(t, err)
	pull(t, books[1], books[0])
	p, err := books[1].Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, pointerOf("alice"), p)
	dir := t.TempDir()
	for name, join := range map[string]func(file string) (*Book, error){
		"a device that is not admitted": func(file string) (*Book, error) {
			return Join(file, books[0].Identity(), testKey("three"), slices.Values(missing(t, books[0], nil)), testOptions())
		},
		"another identity": func(file string) (*Book, error) {
			return Join(file, pointerOf("mallory"), testKey("two"), slices.Values(missing(t, books[0], nil)), testOptions())
		},
		"without the start": func(file string) (*Book, error) {
			return Join(file, books[0].Identity(), testKey("two"), slices.Values(missing(t, books[0], nil)[1:]), testOptions())
		},
	} {
		file := filepath.Join(dir, "ledger.db")
		_, err := join(file)
		require.ErrorIs(t, err, ledger.ErrRefused, name)
		require.NoFileExists(t, file)
	}
}
