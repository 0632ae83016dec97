package engine

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// Of labels that are shown alike, show gives the pointer of the one that
// resolve goes by, each time.
func TestAnInvisibleLabelHidesNoOther(t *testing.T) {
	key, err := pointer.NewKey(bytes.NewReader(make([]byte, 64)))
	require.NoError(t, err)
	other, err := pointer.NewKey(bytes.NewReader(bytes.Repeat([]byte{1}, 64)))
	require.NoError(t, err)
	next, err := pointer.Commit(other.Public())
	require.NoError(t, err)
	sly := pointer.Edge{Pointer: other.Pointer()}
	r, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Unix(1e10, 0), Card: &pointer.Card{Next: next,
		Edges: map[string]pointer.Edge{"b\u200bob": sly, "bob": {Pointer: key.Pointer()}, "bob\u2060": sly, "\u202ebob": sly}}})
	require.NoError(t, err)
	for range 20 {
		require.Equal(t, map[string]string{"bob": key.Pointer().String()}, card(r, false).Edges)
	}
}
