package ledger

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// Lacks returns the heads that are not stored, whatever another device states; and an entry
// states the same of itself to a device without a ledger.
func TestLacksReturnsTheHeadsThatAreNotStored(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, a, b)
	_, err := b.Append([]byte("k=1"), []byte("k=2"))
	require.NoError(t, err)
	before := a.Heads()
	var written []Head
	for _, e := range missing(t, b, before) {
		h, prev, err := a.Identify(e)
		require.NoError(t, err)
		again, prevAgain, err := b.Book().Identify(e)
		require.NoError(t, err)
		require.Equal(t, h, again)
		require.Equal(t, prev, prevAgain)
		written = append(written, h)
	}
	require.Len(t, written, 2)
	other := before[0]
	other.Hash[0] ^= 1
	forged := []Head{other, {Device: DeviceID{1}, Number: 1}, {Device: b.Device(), Number: math.MaxUint64}, {Device: b.Device()}}
	lacking, err := a.Lacks(append(append(before, written...), forged...))
	require.NoError(t, err)
	require.Equal(t, append(written, forged...), lacking)
	lacking, err = b.Lacks(append(before, written...))
	require.NoError(t, err)
	require.Empty(t, lacking)
}
