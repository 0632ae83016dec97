package home

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// Of several last records of a former key the one that followers prefer counts, in any order: a
// device hands over what it has, and a thief of the former key can sign another one that ends
// soon, with a low sequence.
func TestTheBestLastRecordCounts(t *testing.T) {
	_, last, keys := rotatedOften(t, 1)
	card, _ := last[0].Card()
	id := Identity{Succession: card.Succession}
	signed := func(sequence uint64, life time.Duration) []byte {
		r, err := pointer.Sign(keys[0], pointer.Fields{Sequence: sequence, Expires: time.Now().Add(life), Card: &card})
		require.NoError(t, err)
		require.True(t, id.IsLast(r))
		return r.Bytes()
	}
	best := last[0].Bytes()
	other, err := pointer.Sign(keys[0], pointer.Fields{Sequence: pointer.MaxSequence, Expires: time.Now().AddDate(30, 0, 0)})
	require.NoError(t, err) // it names no successor
	for _, all := range [][][]byte{
		{signed(7, time.Hour), best, signed(pointer.MaxSequence, time.Hour), other.Bytes()},
		{[]byte("x"), signed(pointer.MaxSequence, time.Hour), signed(8, 200000*time.Hour), best},
	} {
		r, found := id.BestLast(keys[0].Pointer(), all, time.Now())
		require.True(t, found)
		require.Equal(t, best, r.Bytes())
	}
	_, found := id.BestLast(keys[0].Pointer(), [][]byte{other.Bytes(), nil}, time.Now())
	require.False(t, found)
}
