package home

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Sealing keys that were made under a clock years ahead are replaced when the clock is
// right again, and decrypt what was sealed before.
func TestSealingKeysFromTheFutureAreReplaced(t *testing.T) {
	h, err := Create(filepath.Join(t.TempDir(), "home"), CreateOptions{})
	require.NoError(t, err)
	now := time.Now()
	future, err := h.RenewSealing(now.Add(10*365*24*time.Hour), 30*24*time.Hour)
	require.NoError(t, err)
	right, err := h.RenewSealing(now, 30*24*time.Hour)
	require.NoError(t, err)
	require.NotEqual(t, future.PublicKeys(), right.PublicKeys())
	require.WithinDuration(t, now, right.Made, time.Second)
	require.Equal(t, future.Current[0].PublicKey().Bytes(), right.PrivateKeys()[2].PublicKey().Bytes())
	// A clock that is a little behind replaces nothing.
	same, err := h.RenewSealing(now.Add(-time.Hour), 30*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, right.PublicKeys(), same.PublicKeys())
}

// Keys that were made and replaced under a clock that ran ahead are replaced once it is
// right, and all of them are erased after the retention from then.
func TestKeysOfAClockThatRanAheadAreReplacedAndErased(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	right := first.Made.Add(time.Hour)
	_, err = h.RenewSealing(right.AddDate(10, 0, 0), 0)
	require.NoError(t, err)
	renewed, err := h.RenewSealing(right, 365*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, right, renewed.Made)
	require.Len(t, renewed.PrivateKeys(), 6)
	kept, err := h.EraseSealing(right.Add(SealingRetention))
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 2)
	require.Equal(t, keyTexts(t, renewed)[:2], keyTexts(t, kept))
}
