package petname

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestMain(m *testing.M) { os.Exit(lawtest.Main(m)) }

// tb is what testing.TB and rapid.T have in common.
type tb interface {
	require.TestingT
	Helper()
}

func testKey(seed string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte("petname test " + seed))
	return ed25519.NewKeyFromSeed(h[:])
}

func pointerOf(seed string) pointer.Pointer {
	p, err := pointer.FromPublicKey(testKey(seed).Public())
	if err != nil {
		panic(err)
	}
	return p
}

func commitment(seed string) pointer.Commitment {
	c, err := pointer.Commit(testKey("next " + seed).Public())
	if err != nil {
		panic(err)
	}
	return c
}

// mustCommit is the commitment to one of the keys itself.
func mustCommit(seed string) pointer.Commitment {
	c, err := pointer.Commit(testKey(seed).Public())
	if err != nil {
		panic(err)
	}
	return c
}

func link(seed string) pointer.Link { return pointer.Link{Pointer: pointerOf(seed)} }

func mustName(s string) name.Name {
	n, err := name.Parse(s)
	if err != nil {
		panic(err)
	}
	return n
}

// receiveBytes opens a statement and receives it.
func (b *Book) receiveBytes(signed []byte, channel string) (SuggestionID, bool, error) {
	s, err := introduce.Open(signed)
	if err != nil {
		return SuggestionID{}, false, err
	}
	return b.Receive(s, channel)
}

// receiveStrangerBytes opens a statement and receives it from an unknown sender.
func (b *Book) receiveStrangerBytes(signed []byte, channel string, paid func(introduce.Introduction) error) (SuggestionID, bool, error) {
	s, err := introduce.Open(signed)
	if err != nil {
		return SuggestionID{}, false, err
	}
	return b.ReceiveContactRequest(s, channel, paid)
}

// opened returns a statement, and its content as an introduction.
func opened(signed []byte) (introduce.Statement, introduce.Introduction) {
	s := must(introduce.Open(signed))
	i, _ := s.Introduction()
	return s, i
}

// checked checks a suggestion as the fold does.
func verifySuggestion(w wireSuggestion) error {
	if err := w.check(); err != nil {
		return err
	}
	return w.verify(introduce.Open)
}

func subjectOf(introduction []byte) introduce.Subject {
	return must(introduce.OpenSubject(introduction))
}

// noise is seeded randomness.
type noise struct{ h [32]byte }

func (n *noise) Read(p []byte) (int, error) {
	for i := range p {
		if i%32 == 0 {
			n.h = sha256.Sum256(n.h[:])
		}
		p[i] = n.h[i%32]
	}
	return len(p), nil
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// clockFrom advances by a second with every call.
func clockFrom(t time.Time) func() time.Time {
	return func() time.Time { t = t.Add(time.Second); return t }
}

func testOptions() Options { return Options{Now: clockFrom(epoch), Rand: &noise{}, DeviceName: "one"} }

func newTestBook(t testing.TB) *Book {
	t.Helper()
	b, err := Create(filepath.Join(lawtest.FastDir(t), "ledger.db"), testKey("me"), testKey("one"), testOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// devices are one book on several devices, the clocks of which are years apart.
func devices(t tb, dir string, n int) []*Book {
	t.Helper()
	clocks := []time.Time{epoch, epoch.AddDate(-40, 0, 0), epoch.AddDate(30, 0, 0), epoch.AddDate(3, 0, 0)}
	names := []string{"one", "two", "three", "four"}
	options := func(i int) Options {
		return Options{Now: clockFrom(clocks[i]), Rand: &noise{h: [32]byte{byte(i)}}, DeviceName: names[i]}
	}
	first, err := Create(filepath.Join(dir, "one.db"), testKey("me"), testKey("one"), options(0))
	require.NoError(t, err)
	books := []*Book{first}
	for _, name := range names[1:n] {
		require.NoError(t, first.Ledger().AdmitDevice(testKey("me"), testKey(name).Public().(ed25519.PublicKey), name))
	}
	for i, name := range names[1:n] {
		b, err := Join(filepath.Join(dir, name+".db"), first.Identity(), testKey(name), slices.Values(missing(t, first, nil)), options(i+1))
		require.NoError(t, err)
		books = append(books, b)
	}
	return books
}

func testDevices(t *testing.T, n int) []*Book {
	books := devices(t, lawtest.FastDir(t), n)
	t.Cleanup(func() {
		for _, b := range books {
			require.NoError(t, b.Close())
		}
	})
	return books
}

func missing(t tb, b *Book, heads []ledger.Head) (entries [][]byte) {
	t.Helper()
	for e, err := range b.Ledger().Missing(heads) {
		require.NoError(t, err)
		entries = append(entries, e)
	}
	return entries
}

// pull brings what from has to b.
func pull(t tb, b, from *Book) {
	t.Helper()
	_, err := b.Ledger().Merge(slices.Values(missing(t, from, b.Ledger().Heads())))
	require.NoError(t, err)
}

// sync brings all to all.
func syncBooks(t tb, books ...*Book) {
	t.Helper()
	for range 2 {
		for _, b := range books {
			for _, from := range books {
				if b != from {
					pull(t, b, from)
				}
			}
		}
	}
}

var allTables = []string{tableContacts, tableSuccessors, tableKept, tableNames, tableRivals, tableEdges, tableUndo, tableProfile, tablePublished, tableLooks,
	tableInbox, tablePending, tableEnds, tableAbout, tableMuted, tableRetracted, tablePrivateEdges, tableReplaced, tableRelayed, tableRelayedEnds,
	tableListEntries, tableOldLists}

// dump is the whole view.
func dump(t tb, b *Book) string {
	t.Helper()
	var s strings.Builder
	require.NoError(t, b.Ledger().Read(func(v *ledger.View) error {
		for _, table := range allTables {
			for kv, err := range v.Scan(table, nil) {
				if err != nil {
					return err
				}
				fmt.Fprintf(&s, "%s %q %x\n", table, kv.Key, kv.Value)
			}
		}
		return nil
	}))
	return s.String()
}

// Naming is one element of addAll.
type Naming struct {
	Name   name.Name
	Link   pointer.Link
	Source Source
}

// addAll adds all namings in one transaction, or none.
func addAll(b *Book, namings []Naming) error {
	return b.Update(func(book *Book, _ *ledger.View) error {
		for _, n := range namings {
			if _, err := book.Add(n.Name, n.Link, n.Source); err != nil {
				return fmt.Errorf("%q: %w", n.Name, err)
			}
		}
		return nil
	})
}

// lookalikes returns the reasons for which Add refuses text, a name or nickname, as
// a name of p.
func lookalikes(b *Book, text string, p pointer.Pointer) ([]Likeness, error) {
	n, some := name.OfNickname(text)
	if !some {
		return nil, nil
	}
	var like []Likeness
	err := b.read(func(v *ledger.View) error {
		id, err := contactIDOf(v, p)
		if err == nil {
			like, err = likenesses(v, n, id)
		}
		return err
	})
	return like, err
}

// setKept marks one contact, and reads it again.
func setKept(b *Book, p pointer.Pointer, on bool) (Contact, error) {
	if err := b.SetRepublished([]pointer.Pointer{p}, on); err != nil {
		return Contact{}, err
	}
	return b.ByPointer(p)
}

func entries(b *Book) (n uint64) {
	for _, h := range b.Ledger().Heads() {
		n += h.Number
	}
	return n
}

func contacts(t tb, b *Book) (all []Contact) {
	t.Helper()
	for c, err := range b.Contacts() {
		require.NoError(t, err)
		all = append(all, c)
	}
	return all
}

// checkBijection: a name that resolves has one contact, and the contact has no
// other name. A name that does not resolve is in conflict, and the conflict
// lists its contacts.
func checkBijection(t tb, b *Book, names []string) {
	t.Helper()
	byKey := make(map[string]pointer.Pointer)
	byPointer := make(map[pointer.Pointer]name.Name)
	seen := make(map[pointer.Pointer]bool)
	for _, c := range contacts(t, b) {
		require.Falsef(t, seen[c.ID], "%s is listed twice", c.ID)
		seen[c.ID] = true
		if c.Conflict != nil {
			require.True(t, c.Name.IsZero())
			require.Truef(t, len(c.Conflict.Names) > 1 || len(c.Conflict.Names) == 1 && (c.Conflict.Removed || len(c.Conflict.Pointers) > 0), "%+v", c)
			for _, n := range c.Conflict.Names {
				_, err := b.Lookup(n)
				var conflict *ConflictError
				require.ErrorAsf(t, err, &conflict, "%q", n)
				require.True(t, slices.ContainsFunc(conflict.Contacts, func(o Contact) bool { return o.ID == c.ID }))
			}
			continue
		}
		require.False(t, c.Name.IsZero())
		require.True(t, c.Removed.IsZero())
		require.NotContainsf(t, byKey, c.Name.Key(), "%q is two contacts' name", c.Name)
		byKey[c.Name.Key()] = c.Pointer
		p, err := b.Lookup(c.Name)
		require.NoError(t, err)
		require.Equal(t, c.Pointer, p)
		require.NotContainsf(t, byPointer, p, "%s is two contacts'", p)
		byPointer[p] = c.Name
	}
	checkKept(t, b)
	for _, text := range names {
		n := mustName(text)
		p, err := b.Lookup(n)
		byName, errByName := b.byName(n)
		var conflict *ConflictError
		switch {
		case err == nil:
			require.Equal(t, byKey[n.Key()], p)
			require.NoError(t, errByName)
			require.Equal(t, p, byName.Pointer)
		case errors.As(err, &conflict):
			require.NotContains(t, byKey, n.Key())
			require.NotEmpty(t, conflict.Contacts)
			require.ErrorAs(t, errByName, &conflict)
			for _, c := range conflict.Contacts {
				require.NotNil(t, c.Conflict)
			}
		default:
			require.ErrorIs(t, err, ErrNotFound)
			require.NotContains(t, byKey, n.Key())
		}
	}
}

// checkKept: Republished yields exactly the kept contacts, none of which is removed or
// without a name.
func checkKept(t tb, b *Book) {
	t.Helper()
	var listed, marked []pointer.Pointer
	for c, err := range b.Republished() {
		require.NoError(t, err)
		require.True(t, c.Republished)
		require.True(t, c.Removed.IsZero())
		require.True(t, !c.Name.IsZero() || c.Conflict != nil && !c.Conflict.Removed)
		listed = append(listed, c.ID)
	}
	for _, c := range contacts(t, b) {
		if c.Republished {
			marked = append(marked, c.ID)
		}
	}
	require.ElementsMatch(t, marked, listed)
}

// rapidDirs returns a new directory for each run of a law.
func rapidDirs(t *testing.T) func(rt *rapid.T) string {
	root, runs := lawtest.FastDir(t), 0
	return func(rt *rapid.T) string {
		runs++
		dir := filepath.Join(root, fmt.Sprint(runs))
		require.NoError(rt, os.Mkdir(dir, 0o700))
		rt.Cleanup(func() { require.NoError(rt, os.RemoveAll(dir)) }) // thousands of books are more than a small memory holds
		return dir
	}
}

// sample returns every n-th element of a list, or all of it if the tests run at
// full size.
func sample[T any](all []T, n int) []T {
	if lawtest.Long() {
		return all
	}
	var some []T
	for i := 0; i < len(all); i += n {
		some = append(some, all[i])
	}
	return some
}
