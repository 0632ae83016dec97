package main

import (
	"bufio"
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Unshare does not state that nothing is public while the last record of a previous key, which an
// older version signed, shows the label that it withdraws.
func TestUnshareNamesWhatStaysInALastRecord(t *testing.T) {
	v := opened(t)
	id, err := homeOf(t, v).Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	_, err = v.add(t.Context(), addArgs{Name: "bob", Target: newPointer(t)})
	require.NoError(t, err)
	_, err = v.share(t.Context(), shareArgs{Names: []string{"bob"}, Label: "doc", Public: true})
	require.NoError(t, err)
	_, err = v.rotate(t.Context(), rotateArgs{})
	require.NoError(t, err)
	last, _, err := v.agent.Held(id.Pointer)
	require.NoError(t, err)
	card, _ := last.Card()
	card.Edges = map[string]pointer.Edge{"doc": {Pointer: id.Pointer}}
	older, err := pointer.Sign(key, pointer.Fields{Sequence: last.Sequence(), Expires: last.Expires(), Card: &card})
	require.NoError(t, err)
	require.NoError(t, v.agent.Close())
	book, err := homeOf(t, v).Book(petname.Options{})
	require.NoError(t, err)
	require.NoError(t, book.Update(func(_ *petname.Book, local *ledger.View) error { return home.PutLastRecord(local, older) }))
	require.NoError(t, book.Close())

	again, err := agent.Open(t.Context(), v.agent.Dir(), agent.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, again.Close()) })
	v = &verbs{agent: again}
	out, err := v.public(t.Context(), noArgs{})
	require.NoError(t, err)
	require.Empty(t, out.Retired, "it is public")
	out, err = v.unshare(t.Context(), unshareArgs{Label: "doc"})
	require.NoError(t, err)
	require.Equal(t, []retiredLabel{{"doc", id.Pointer.String(), older.Expires()}}, out.Retired)
	var text bytes.Buffer
	w := bufio.NewWriter(&text)
	printEdges(w, name.Plain, *out)
	require.NoError(t, w.Flush())
	require.Contains(t, text.String(), "STAYS READABLE until ")
	require.Contains(t, text.String(), id.Pointer.String())
	require.NotContains(t, text.String(), "nothing is public\n")
}
