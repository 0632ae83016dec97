package exchange

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
)

// What waits for a pointer that an undo took out of the book, as that of a successor that the
// owner believed by mistake, is not sent, and counts as waiting.
func TestNothingIsSentToAPointerThatNoContactHas(t *testing.T) {
	alice, bob, carol := three(t)
	b, err := message{Kind: kindStatement, Body: alice.introduces(t, carol, bob).Bytes()}.encode()
	require.NoError(t, err)
	alice.edit(t, func(local *ledger.View) error { return enqueue(local, pointerOf("bob"), b) })
	for range 100 {
		c, err := alice.book.ByPointer(pointerOf("bob"))
		if err == nil && c.Name.IsZero() || errors.Is(err, petname.ErrNotFound) {
			break
		}
		_, err = alice.book.Undo()
		require.NoError(t, err)
	}
	report := alice.fetch(t)
	require.Equal(t, 1, report.Waiting[pointerOf("bob")])
	require.Len(t, alice.rows(t, tableOutbox, nil), 1)
	require.Zero(t, len(bob.fetch(t).Fresh))
}
