package home

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

func mustSealing(t *testing.T, h Home) Sealing {
	s, err := h.Sealing()
	require.NoError(t, err)
	return s
}

// mergeBoth exchanges the sealing keys of two devices, in both directions.
func mergeBoth(t *testing.T, a, b Home, now time.Time) {
	for range 2 {
		file, err := a.SealingFile()
		require.NoError(t, err)
		_, err = b.MergeSealing(file, now)
		require.NoError(t, err)
		a, b = b, a
	}
}

// Keys that one device replaced are current on no other one, also if they are dated after those
// that replaced them: by a clock that is an hour ahead, or by a thief.
func TestReplacedSealingKeysAreNotCurrentAgain(t *testing.T) {
	for _, lead := range []time.Duration{time.Hour, 23 * time.Hour, sealingLead} {
		a, b, late := create(t, CreateOptions{}), create(t, CreateOptions{}), create(t, CreateOptions{})
		now := time.Now()
		_, err := b.RenewSealing(now.Add(lead), time.Time{}, 0)
		require.NoError(t, err)
		mergeBoth(t, a, b, now)
		mergeBoth(t, a, late, now)
		stolen := mustSealing(t, a).Current
		require.Equal(t, sealingID(stolen), sealingID(mustSealing(t, late).Current))
		_, err = a.RenewSealing(now.Add(10*time.Minute), time.Time{}, 0)
		require.NoError(t, err)
		mergeBoth(t, a, b, now.Add(10*time.Minute))
		for _, h := range []Home{a, b} {
			require.NotEqual(t, sealingID(stolen), sealingID(mustSealing(t, h).Current), lead)
		}
		require.Equal(t, sealingID(mustSealing(t, a).Current), sealingID(mustSealing(t, b).Current))
		if lead == sealingLead {
			continue // later keys cannot be dated after them
		}
		// A device that was away until the former keys were erased.
		after := now.Add(SealingRetention + 2*24*time.Hour)
		_, err = a.EraseSealing(after, after)
		require.NoError(t, err)
		require.Empty(t, mustSealing(t, a).former)
		mergeBoth(t, a, late, after)
		require.NotEqual(t, sealingID(stolen), sealingID(mustSealing(t, a).Current))
	}
}

// If each device replaced the keys of the other one, both have new keys.
func TestSealingKeysThatBothDevicesReplacedAreMadeAnew(t *testing.T) {
	a, b := create(t, CreateOptions{}), create(t, CreateOptions{})
	now := time.Now()
	sa, sb := mustSealing(t, a), mustSealing(t, b)
	sa.former = []formerSealing{{now, sb.Current}}
	sb.former = []formerSealing{{now, sa.Current}}
	for h, s := range map[Home]Sealing{a: sa, b: sb} {
		file, err := s.format()
		require.NoError(t, err)
		require.NoError(t, h.replace(sealingFile, file))
	}
	mergeBoth(t, a, b, now)
	got := mustSealing(t, a)
	require.Equal(t, sealingID(got.Current), sealingID(mustSealing(t, b).Current))
	require.NotEqual(t, sealingID(sa.Current), sealingID(got.Current))
	require.NotEqual(t, sealingID(sb.Current), sealingID(got.Current))
	require.True(t, got.hasFormer(sa.Current) && got.hasFormer(sb.Current))
}

// A stolen device makes another one forget no keys that its published card has, by one file or by
// many.
func TestNoOtherDeviceEvictsTheKeysOfThePublishedCard(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	fresh := func(made time.Time) Sealing {
		keys, err := generateSealing()
		require.NoError(t, err)
		return Sealing{Made: made, Current: keys}
	}
	for name, forge := range map[string]func(own Sealing, i int) Sealing{
		"by many former keys": func(own Sealing, i int) Sealing {
			s := fresh(now.Add(23*time.Hour + time.Duration(i)*time.Second))
			for range maxGenerations - 1 {
				s.former = append(s.former, formerSealing{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), fresh(now).Current})
			}
			return s
		},
		"by an early replacement": func(own Sealing, i int) Sealing {
			s := fresh(now.Add(23*time.Hour + time.Duration(i)*time.Second))
			s.former = []formerSealing{{time.Unix(0, 0).UTC(), own.Current}}
			return s
		},
	} {
		a := create(t, CreateOptions{})
		own := mustSealing(t, a)
		refused := 0
		for i := range 70 {
			file, err := forge(own, i).format()
			require.NoError(t, err)
			if _, err := a.MergeSealing(file, now); err != nil {
				refused++
			}
		}
		require.Positive(t, refused, name)
		_, err := a.RenewSealing(now, now, 0) // the owner removes the device
		require.NoError(t, err)
		s, err := a.EraseSealing(now, now)
		require.NoError(t, err)
		require.True(t, s.hasFormer(own.Current), name)
		require.LessOrEqual(t, len(s.former), maxGenerations-1)
		s, err = a.EraseSealing(now.Add(SealingRetention), now.Add(SealingRetention))
		require.NoError(t, err)
		require.Empty(t, s.former, "a late date puts off no erasure")
	}
}

// Devices that replace and exchange their keys in any order have the same current keys in the
// end, and none that one of them replaced.
func TestLawSealingKeysOfDevicesConverge(t *testing.T) {
	for seed := range uint64(lawtest.Size(3, 10)) {
		r := rand.New(rand.NewPCG(seed, 3))
		all := []Home{create(t, CreateOptions{}), create(t, CreateOptions{}), create(t, CreateOptions{})}
		now := time.Now()
		var replaced [][]byte
		for range 20 {
			now = now.Add(time.Minute)
			i, j := r.IntN(3), r.IntN(3)
			if i != j {
				mergeBoth(t, all[i], all[j], now)
				continue
			}
			replaced = append(replaced, sealingID(mustSealing(t, all[i]).Current))
			_, err := all[i].RenewSealing(now.Add(time.Duration(r.IntN(120)-60)*time.Minute), time.Time{}, 0)
			require.NoError(t, err)
		}
		for range 3 {
			mergeBoth(t, all[0], all[1], now)
			mergeBoth(t, all[1], all[2], now)
		}
		for _, h := range all {
			current := sealingID(mustSealing(t, h).Current)
			require.Equal(t, sealingID(mustSealing(t, all[0]).Current), current, "seed %d", seed)
			for _, id := range replaced {
				require.False(t, bytes.Equal(id, current), "seed %d", seed)
			}
		}
	}
}
