package petname

import (
	"path/filepath"
	"slices"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// otherTables is the fold of a build with other Unicode tables, under which
// names that differ in case are not the same.
type otherTables struct{}

func (otherTables) Version() string { return "petname/3 unicode/1.1.0 categories/1.1.0" }

func (otherTables) Apply(v *ledger.View, e ledger.Entry, body []byte) error {
	a, err := decodeAct(body)
	if err != nil {
		return err
	}
	id, err := pointer.FromBytes(a.Contact)
	if err != nil {
		return err
	}
	return v.Put(tableNames, []byte(a.Name), claimant{id: id}.row())
}

// The view that a build with other tables made is made anew when the book is
// opened; names that were two under those tables and are one under these are in
// conflict then, and the user settles it.
func TestOtherUnicodeTablesMakeAConflict(t *testing.T) {
	require.Contains(t, fold{}.Version(), name.UnicodeVersion)
	require.Contains(t, fold{}.Version(), unicode.Version)
	path := filepath.Join(lawtest.FastDir(t), "ledger.db")
	o := testOptions()
	l, err := ledger.Create(path, ledger.Genesis{Identity: testKey("me"), Device: testKey("one"), DeviceName: "one"}, otherTables{}, o.ledger())
	require.NoError(t, err)
	for seed, name := range map[string]string{"a": "straße", "b": "STRASSE", "c": "Strasse", "d": "dora"} {
		_, err := l.Append(marshal(act{Op: opName, Contact: pointerOf(seed).Bytes(), Name: name}))
		require.NoError(t, err)
	}
	require.NoError(t, l.Close())

	b, err := Open(path, testKey("one"), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, b.Close()) }()
	checkBijection(t, b, []string{"straße", "strasse", "dora"})
	require.Equal(t, pointerOf("d"), must(b.Lookup(mustName("Dora"))))
	require.Equal(t, pointerOf("a"), must(b.Lookup(mustName("straße"))))
	_, err = b.Lookup(mustName("Strasse"))
	var conflict *ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Len(t, conflict.Contacts, 2)
	must(b.Rename(pointerOf("b"), mustName("the other street"), Source{}))
	require.Equal(t, pointerOf("c"), must(b.Lookup(mustName("Strasse"))))
}

// A name from a device with newer tables is a name of its own here: it is kept,
// shown escaped, equals no other, and can be renamed and undone.
func TestNamesThatTheseTablesDoNotKnow(t *testing.T) {
	a, b := twoDevices(t)
	newer := "ali\u0378ce"
	_, err := name.Parse(newer)
	require.Error(t, err)
	_, err = b.Ledger().Append(marshal(act{Op: opName, Contact: pointerOf("a").Bytes(), Name: newer}))
	require.NoError(t, err)
	pull(t, a, b)
	c := must(a.ByPointer(pointerOf("a")))
	require.Equal(t, `ali\u{378}ce`, c.Name.String())
	require.Equal(t, c.Name.String(), name.Clean(c.Name.String()))
	checkBijection(t, a, []string{"alice"})
	_, err = a.Lookup(mustName(`ali\u{378}ce`))
	require.ErrorIs(t, err, ErrNotFound, "what is typed is another name")
	must(a.Rename(c.ID, mustName("al"), Source{}))
	must(a.Undo())
	require.Equal(t, c.Name, must(a.ByPointer(pointerOf("a"))).Name)
	require.Len(t, slices.Collect(func(yield func(Contact) bool) {
		for c := range a.Prefix("") {
			yield(c)
		}
	}), 1)
}
