package home

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sealingFileOf returns the content of a sealing.key with new keys.
func sealingFileOf(t *testing.T, made time.Time) (file, id []byte) {
	keys, err := generateSealing()
	require.NoError(t, err)
	file, err = Sealing{Made: made, Current: keys}.format()
	require.NoError(t, err)
	return file, sealingID(keys)
}

// A stolen device that made another one replace its keys as often as it may does not keep the two
// others from common keys after its removal.
func TestAFloodOfGenerationsEndsWithTheRemoval(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	a, tablet := create(t, CreateOptions{}), create(t, CreateOptions{})
	mergeBoth(t, a, tablet, now)
	var stolen []byte
	for i := range 60 {
		file, id := sealingFileOf(t, now.Add(time.Duration(i)*time.Second))
		if changed, err := tablet.MergeSealing(file, now); err == nil && changed {
			stolen = id
		}
	}
	require.Equal(t, stolen, sealingID(mustSealing(t, tablet).Current))
	for i, h := range []Home{tablet, a, a} { // the removal, and a rotation of a
		_, err := h.RenewSealing(now.Add(time.Hour+time.Duration(i)*time.Minute), now, 0)
		require.NoError(t, err)
	}
	at := now.Add(2 * time.Hour)
	file, err := a.SealingFile()
	require.NoError(t, err)
	_, err = tablet.MergeSealing(file, at)
	require.ErrorContains(t, err, "times within 30 days")
	_, err = tablet.MergeSealingAfter(file, at, SealingAfter{Removals: 1})
	require.NoError(t, err)
	require.Equal(t, sealingID(mustSealing(t, a).Current), sealingID(mustSealing(t, tablet).Current))
	_, err = parseSealing(string(must(tablet.SealingFile())))
	require.NoError(t, err)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// After a removal, keys that were not replaced are current on neither side, whatever their date
// and whatever each has as former keys; a device with all former keys that it may have included.
func TestKeysFromBeforeARemovalBecomeFormerOnes(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	file, other := sealingFileOf(t, now.Add(23*time.Hour))
	a := create(t, CreateOptions{})
	own := sealingID(mustSealing(t, a).Current)
	_, err := a.MergeSealingAfter(file, now, SealingAfter{Removals: 1, Other: true})
	require.NoError(t, err)
	s := mustSealing(t, a)
	require.Equal(t, own, sealingID(s.Current))
	require.Equal(t, other, sealingID(s.former[0].keys))

	file, other = sealingFileOf(t, now.Add(-time.Hour))
	for range 3 { // the first time it replaces the keys
		_, err = a.MergeSealingAfter(file, now, SealingAfter{Removals: 1, Own: true})
		require.NoError(t, err)
		s = mustSealing(t, a)
		require.Equal(t, other, sealingID(s.Current))
		require.Len(t, s.former, 2)
	}
	for range maxGenerations { // full
		_, err = a.RenewSealing(now, now, 0)
		require.NoError(t, err)
	}
	file, other = sealingFileOf(t, now)
	_, err = a.MergeSealingAfter(file, now, SealingAfter{Own: true})
	require.NoError(t, err)
	require.Equal(t, other, sealingID(mustSealing(t, a).Current))
	require.LessOrEqual(t, len(mustSealing(t, a).former), maxGenerations-1)

	_, err = a.MergeSealingAfter(file, now, SealingAfter{Own: true, Other: true})
	require.Error(t, err)
}
