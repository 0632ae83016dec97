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
	future, err := h.RenewSealing(now.Add(10*365*24*time.Hour), time.Time{}, 30*24*time.Hour)
	require.NoError(t, err)
	right, err := h.RenewSealing(now, time.Time{}, 30*24*time.Hour)
	require.NoError(t, err)
	require.NotEqual(t, future.PublicKeys(), right.PublicKeys())
	require.WithinDuration(t, now, right.Made, time.Second)
	require.Equal(t, future.Current[0].PublicKey().Bytes(), right.PrivateKeys()[2].PublicKey().Bytes())
	// A clock that is a little behind replaces nothing.
	same, err := h.RenewSealing(now.Add(-time.Hour), time.Time{}, 30*24*time.Hour)
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
	_, err = h.RenewSealing(right.AddDate(10, 0, 0), time.Time{}, 0)
	require.NoError(t, err)
	renewed, err := h.RenewSealing(right, time.Time{}, 365*24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, right, renewed.Made)
	require.Len(t, renewed.PrivateKeys(), 6)
	kept, err := h.EraseSealing(right.Add(SealingRetention), time.Time{})
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 2)
	require.Equal(t, keyTexts(t, renewed)[:2], keyTexts(t, kept))
}

// One act under a clock 100 days ahead erases nothing that was replaced an hour ago: the
// newest entry of the book shows that the clock may be wrong. When an entry shows the
// time, too, the keys are erased.
func TestAClockAheadOfTheBookErasesNoSealingKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	now := first.Made.Add(time.Hour)
	_, err = h.RenewSealing(now, now, 0)
	require.NoError(t, err)
	for _, ahead := range []time.Duration{100 * 24 * time.Hour, 50 * 365 * 24 * time.Hour} {
		kept, err := h.EraseSealing(now.Add(ahead), now)
		require.NoError(t, err)
		require.Len(t, kept.PrivateKeys(), 4)
		renewed, err := h.RenewSealing(now.Add(ahead), now.Add(24*time.Hour), 200*365*24*time.Hour)
		require.NoError(t, err)
		require.Len(t, renewed.PrivateKeys(), 4)
	}
	kept, err := h.EraseSealing(now.Add(SealingRetention), now.Add(SealingRetention-24*time.Hour-time.Second))
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 4)
	kept, err = h.EraseSealing(now.Add(SealingRetention), now.Add(SealingRetention-24*time.Hour))
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 2)
}

// Attack on what was sealed: one act under a clock that is behind the newest entry of the
// book. The keys that it replaces, and those that were replaced before, are erased after the
// retention from that entry, and not before, however far the clock was behind.
func TestAClockBehindTheBookErasesNoSealingKeys(t *testing.T) {
	for _, behind := range []time.Duration{2 * time.Hour, 31 * 24 * time.Hour, 200 * 24 * time.Hour, 100 * 365 * 24 * time.Hour} {
		h := create(t, CreateOptions{})
		first, err := h.Sealing()
		require.NoError(t, err)
		entry := first.Made.Add(time.Hour)
		_, err = h.RenewSealing(entry, entry, 0)
		require.NoError(t, err)

		kept, err := h.EraseSealing(entry.Add(-behind), entry)
		require.NoError(t, err)
		require.Len(t, kept.PrivateKeys(), 4)
		renewed, err := h.RenewSealing(entry.Add(-behind), entry, 0)
		require.NoError(t, err)
		require.Len(t, renewed.PrivateKeys(), 6)
		kept, err = h.EraseSealing(entry.Add(SealingRetention-time.Second), entry.Add(SealingRetention))
		require.NoError(t, err)
		require.Len(t, kept.PrivateKeys(), 6, behind)
		kept, err = h.EraseSealing(entry.Add(SealingRetention), entry.Add(SealingRetention))
		require.NoError(t, err)
		require.Len(t, kept.PrivateKeys(), 2, behind)
	}
}

// A clock that was ahead wrote the newest entry, too. Former keys are erased after the retention
// from when an entry shows the right time again.
func TestAnEntryFromTheFutureKeepsFormerKeysUntilTheNext(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	right := first.Made.Add(time.Hour)
	ahead := right.Add(100 * 24 * time.Hour)
	_, err = h.RenewSealing(ahead, ahead, 0)
	require.NoError(t, err)
	for _, tc := range []struct {
		now, newest time.Time
		want        int
	}{{right, ahead, 4}, {right, right, 4}, {right.Add(SealingRetention - time.Second), right.Add(SealingRetention), 4}, {right.Add(SealingRetention), right.Add(SealingRetention), 2}} {
		kept, err := h.EraseSealing(tc.now, tc.newest)
		require.NoError(t, err)
		require.Len(t, kept.PrivateKeys(), tc.want)
	}
}

// A clock that is behind puts no erasure off: a time of replacement before the newest entry
// stays.
func TestAClockBehindTheBookPutsNoErasureOff(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	replaced := first.Made.Add(time.Hour)
	_, err = h.RenewSealing(replaced, replaced, 0)
	require.NoError(t, err)
	entry := replaced.Add(10 * 24 * time.Hour)
	_, err = h.EraseSealing(replaced.Add(-31*24*time.Hour), entry)
	require.NoError(t, err)
	kept, err := h.EraseSealing(replaced.Add(SealingRetention), replaced.Add(SealingRetention))
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 2)
}

// A rotation erases no sealing keys by the clock.
func TestARotationUnderAFastClockErasesNoSealingKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	for range 2 {
		r, err := h.Rotate(RotateOptions{Now: func() time.Time { return time.Now().AddDate(1, 0, 0) }})
		require.NoError(t, err)
		require.NoError(t, r.Commit(nil))
	}
	kept, err := h.Sealing()
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 6)
	r, err := h.Rotate(RotateOptions{Now: func() time.Time { return time.Now().AddDate(20, 0, 0) }})
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	kept, err = h.Sealing()
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 8)
}

// A rotation that is finished under a clock that is behind the book dates the former keys by
// the book, and erases none.
func TestARotationFinishedUnderASlowClockErasesNoSealingKeys(t *testing.T) {
	h := create(t, CreateOptions{})
	first, err := h.Sealing()
	require.NoError(t, err)
	entry := first.Made.Add(time.Hour)
	slow := func() time.Time { return entry.Add(-100 * 24 * time.Hour) }
	r, err := h.Rotate(RotateOptions{Now: slow, Newest: entry})
	require.NoError(t, err)
	require.NoError(t, r.Commit(nil))
	kept, err := h.EraseSealing(entry.Add(SealingRetention-time.Second), entry.Add(SealingRetention))
	require.NoError(t, err)
	require.Len(t, kept.PrivateKeys(), 4)
}
