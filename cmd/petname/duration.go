package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// duration is the value of a flag: a duration of Go, or with days and weeks before it,
// such as 2w, 1d12h or 365d.
type duration time.Duration

// durationFlag adds a flag with a duration.
func durationFlag(f *pflag.FlagSet, d *time.Duration, name string, value time.Duration, usage string) {
	*d = value
	f.Var((*duration)(d), name, usage)
}

func (d *duration) Set(text string) error {
	parsed, err := parseDuration(text)
	if err == nil {
		*d = duration(parsed)
	}
	return err
}

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Type() string { return "duration" }

var errDuration = errors.New("is no duration")

// parseDuration is [time.ParseDuration], and accepts whole days and weeks before the rest.
func parseDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	var sum time.Duration
	days := false
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, found := strings.Cut(rest, unit.letter)
		n, err := strconv.ParseUint(number, 10, 31)
		switch {
		case !found:
			continue
		case err != nil, n > uint64((math.MaxInt64-sum)/unit.length):
			return 0, errDuration
		}
		sum, rest, days = sum+time.Duration(n)*unit.length, after, true
	}
	if rest != "" || !days {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > math.MaxInt64-sum {
			return 0, errDuration
		}
		sum += d
	}
	if negative {
		sum = -sum
	}
	return sum, nil
}
