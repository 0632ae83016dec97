package exchange

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
)

// A denial that is received, by whichever process, is returned once, and Check reads the
// rows of those that were not returned yet.
func TestDenialsAreReturnedOnce(t *testing.T) {
	alice, bob, carol := three(t)
	ctx := context.Background()
	subject, err := introduce.OpenSubject(alice.introduces(t, carol, bob).Bytes())
	require.NoError(t, err)
	signed, err := introduce.Deny(subject, bob.key, alice.clock.now)
	require.NoError(t, err)
	all, err := alice.TakeDenials()
	require.NoError(t, err)
	require.Empty(t, all)

	_, err = bob.Send(ctx, bob.key, pointerOf("alice"), signed)
	require.NoError(t, err)
	alice.fetch(t)
	require.Empty(t, Check(alice.book))
	again := alice.afterKill(t)
	all, err = again.TakeDenials()
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, pointerOf("bob"), all[0].By)
	for _, p := range []*person{again, again.afterKill(t)} {
		all, err = p.TakeDenials()
		require.NoError(t, err)
		require.Empty(t, all)
	}

	alice.edit(t, func(local *ledger.View) error { return local.Put(tableDenials, make([]byte, 32), signed.Bytes()) })
	require.Len(t, Check(alice.book), 1)
}
