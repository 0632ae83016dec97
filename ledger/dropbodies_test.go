package ledger

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dropping is a fold that removes what dropped entries wrote.
type dropping struct {
	multi
	applied *int
	drops   *int
	replay  bool // answers that a replay is needed
	err     error
}

func (d dropping) Apply(v *View, e Entry, body []byte) error {
	*d.applied++
	return d.multi.Apply(v, e, body)
}

func (d dropping) Drop(v *View, dropped []EntryBody) (bool, error) {
	*d.drops++
	for _, e := range dropped {
		key, _, _ := strings.Cut(string(e.Body), "=")
		id := e.ID()
		if err := v.Delete("writes", binary.BigEndian.AppendUint64(append([]byte(key+"\x00"), id.Device[:]...), id.Number)); err != nil {
			return false, err
		}
		if err := d.multi.Apply(v, e.Entry, nil); err != nil {
			return false, err
		}
	}
	return !d.replay, d.err
}

// Several bodies are dropped in one transaction. A fold that removes what they wrote is
// not run again, and another one is.
func TestBodiesAreDroppedTogether(t *testing.T) {
	for _, replay := range []bool{false, true} {
		l, _ := newBook(t)
		applied, drops := 0, 0
		l.fold = dropping{applied: &applied, drops: &drops, replay: replay}
		es, err := l.Append([]byte("a=1"), []byte("b=2"), []byte("c=3"))
		require.NoError(t, err)
		require.Equal(t, 3, applied)
		chosen := func(*View) ([]ID, error) { return []ID{es[0].ID(), es[2].ID()}, nil }
		require.NoError(t, l.DropBodies(chosen))
		require.Equal(t, replay, applied > 3)
		require.Empty(t, get(t, l, "a"))
		require.Empty(t, get(t, l, "c"))
		require.Equal(t, []string{"2"}, get(t, l, "b"))
		for i, want := range []bool{false, true, false} {
			_, body, err := l.Entry(es[i].ID())
			require.NoError(t, err)
			require.Equal(t, want, body != nil)
		}
		view := dump(t, l)
		require.NoError(t, l.DropBodies(chosen), "they are dropped already")
		require.Equal(t, view, dump(t, l))
		require.Equal(t, 1, drops)
		require.NoError(t, l.Rebuild())
		require.Equal(t, view, dump(t, l))
		verified(t, l)
	}
}

// After an error nothing is dropped.
func TestBodiesAreDroppedAllOrNone(t *testing.T) {
	l, _ := newBook(t)
	applied, drops := 0, 0
	l.fold = dropping{applied: &applied, drops: &drops, err: errors.New("no")}
	es, err := l.Append([]byte("a=1"), []byte("b=2"))
	require.NoError(t, err)
	for _, choose := range []func(*View) ([]ID, error){
		func(*View) ([]ID, error) { return []ID{es[0].ID(), {l.Device(), 99}}, nil },
		func(*View) ([]ID, error) { return []ID{es[0].ID(), {l.Device(), 1}}, nil }, // the genesis
		func(*View) ([]ID, error) { return []ID{es[0].ID()}, errors.New("no") },
		func(*View) ([]ID, error) { return []ID{es[0].ID()}, nil }, // Drop fails
	} {
		require.Error(t, l.DropBodies(choose))
		_, body, err := l.Entry(es[0].ID())
		require.NoError(t, err)
		require.NotNil(t, body)
		require.Equal(t, []string{"1"}, get(t, l, "a"))
	}
}
