package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDurationsHaveDaysAndWeeks(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"1d": day, "365d": 365 * day, "2w": 14 * day, "1w2d3h": 9*day + 3*time.Hour, "1d12h": 36 * time.Hour,
		"0d": 0, "-1d": -day, "-1d1h": -25 * time.Hour, "90s": 90 * time.Second, "1h30m": 90 * time.Minute, "0": 0,
		"15250w1d": 106751 * day,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "d", "w", "1", "soon", "1.5d", "1D", "1d2w", "1h1d", "1d1d", "1d 1h", "1 d", "+1d", "--1d", "1d-1h", "1d+",
		"106752d", "15251w", "15250w2d", "4294967296d", "106751d24h", "1y", "1d1"} {
		_, err := parseDuration(text)
		require.Error(t, err, text)
	}
	for text, want := range map[string]error{"100000000d": errTooLong, "-15251w": errTooLong, "106751d24h": errTooLong, "99999999999h": errTooLong, "4294967296d1s": errTooLong,
		"1d1d": errDuration, "1": errDuration, "soon": errDuration, "": errDuration, "-": errDuration} {
		_, err := parseDuration(text)
		require.ErrorIs(t, err, want, text)
	}
}

// What Go writes is read as Go reads it, and days before it add to it.
func TestDurationsOfGoAreUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "d"))
		days := rapid.IntRange(0, 1000).Draw(t, "days")
		got, err := parseDuration(d.String())
		require.NoError(t, err)
		require.Equal(t, d, got)
		got, err = parseDuration(fmt.Sprintf("%dd%s", days, d))
		require.NoError(t, err)
		require.Equal(t, d+time.Duration(days)*24*time.Hour, got)
	})
}

// Each flag with a duration takes days.
func TestEveryDurationOfAFlagTakesDays(t *testing.T) {
	flags := 0
	for verb := range verbTree((&app{ctx: t.Context()}).root()) {
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "duration" {
				return
			}
			flags++
			require.NoError(t, f.Value.Set("1w2d"), "%s --%s", verb.CommandPath(), f.Name)
			require.Equal(t, "216h0m0s", f.Value.String())
		})
	}
	require.Greater(t, flags, 6)
}
