package petname

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
)

// What an Update changes in the book and in the device-local tables is one
// commit; it reads what it wrote, and a refusal leaves the rest of it standing.
func TestAnUpdateIsOneCommitOfBookAndTables(t *testing.T) {
	b := newTestBook(t)
	table := func() (value string) {
		require.NoError(t, b.Ledger().ReadLocal(func(local *ledger.View) error {
			v, err := local.Get("table", []byte("key"))
			value = string(v)
			return err
		}))
		return value
	}
	change := func(book *Book, local *ledger.View) error {
		_, err := book.Add(mustName("alice"), link("alice"), Source{})
		require.NoError(t, err)
		p, err := book.Lookup(mustName("alice"))
		require.NoError(t, err)
		require.Equal(t, pointerOf("alice"), p, "it reads what it wrote")
		_, err = book.Add(mustName("alice"), link("other"), Source{})
		require.ErrorAs(t, err, new(*TakenError))
		return local.Put("table", []byte("key"), []byte("value"))
	}
	failed := errors.New("failed")
	require.ErrorIs(t, b.Update(func(book *Book, local *ledger.View) error {
		return errors.Join(change(book, local), failed)
	}), failed)
	_, err := b.Lookup(mustName("alice"))
	require.ErrorIs(t, err, ErrNotFound)
	require.Empty(t, table())

	require.NoError(t, b.Update(change))
	_, err = b.Lookup(mustName("alice"))
	require.NoError(t, err)
	require.Equal(t, "value", table())
	for err := range b.Ledger().Verify(t.Context()) {
		require.NoError(t, err)
	}
}

// A book within an Update knows the owner's later pointers.
func TestABookWithinAnUpdateHasTheSameIdentity(t *testing.T) {
	b := newTestBook(t)
	p := pointerOf("next")
	moved := append(b.ownPointers(), p)
	b.own.Store(&moved)
	require.NoError(t, b.Update(func(book *Book, _ *ledger.View) error {
		require.Equal(t, p, book.Identity())
		require.True(t, book.IsOwn(b.Identity()))
		return nil
	}))
}
