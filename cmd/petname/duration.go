package main

import (
	"errors"
	"math"
	"regexp"
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

var (
	errDuration = errors.New("is no duration")
	errTooLong  = errors.New("is too long: over 290 years")
)

// durationForm matches what has the form of a duration, whether or not it can be represented.
func durationForm() *regexp.Regexp {
	return regexp.MustCompile(`^-?(?:[0-9]+w)?(?:[0-9]+d)?(?:[0-9]+(?:\.[0-9]*)?(?:ns|us|µs|μs|ms|s|m|h))*$`)
}

// parseDuration is [time.ParseDuration], and accepts whole days and weeks before the rest. It
// fails with errTooLong for a duration that a [time.Duration] does not hold, and with
// errDuration for other texts.
func parseDuration(text string) (time.Duration, error) {
	d, ok := durationOf(text)
	switch {
	case ok:
		return d, nil
	case strings.ContainsAny(text, "0123456789") && durationForm().MatchString(text):
		return 0, errTooLong
	}
	return 0, errDuration
}

func durationOf(text string) (d time.Duration, ok bool) {
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
			return 0, false
		}
		sum, rest, days = sum+time.Duration(n)*unit.length, after, true
	}
	if rest != "" || !days {
		d, err := time.ParseDuration(rest)
		if err != nil || d < 0 || d > math.MaxInt64-sum {
			return 0, false
		}
		sum += d
	}
	if negative {
		sum = -sum
	}
	return sum, true
}
