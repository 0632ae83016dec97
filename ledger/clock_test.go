package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// setClock sets the clock of a ledger.
func setClock(l *Ledger, at time.Time) { l.now = func() time.Time { return at } }

// appended appends an entry and returns its time.
func appended(t *testing.T, l *Ledger, body string) time.Time {
	t.Helper()
	entries, err := l.Append([]byte(body))
	require.NoError(t, err)
	return entries[0].Time()
}

// An entry that was made under a clock years ahead dates neither the later entries of
// its device nor those of others: they have the date of their machine's clock. All
// devices accept them, in any order.
func TestAClockThatRanAheadDatesNothingLater(t *testing.T) {
	for _, ahead := range []time.Duration{25 * time.Hour, 10 * 365 * 24 * time.Hour} {
		a, _ := newBook(t)
		b := join(t, a, "two")
		pull(t, b, a)
		now := a.now().Add(time.Hour).Truncate(time.Millisecond)
		setClock(a, now.Add(ahead))
		require.Equal(t, now.Add(ahead), appended(t, a, "k=1"))
		pull(t, b, a)
		setClock(a, now)
		setClock(b, now)
		require.Equal(t, now, appended(t, a, "k=2"))
		require.Equal(t, now, appended(t, a, "k=3"))
		require.Equal(t, now, appended(t, b, "k=4"))
		pull(t, b, a)
		pull(t, a, b)
		require.Equal(t, dump(t, a), dump(t, b))
		for _, d := range a.Devices() {
			require.WithinDuration(t, now, d.At, time.Second)
		}
		c := join(t, a, "three") // receives all at once
		pull(t, c, a)
		require.Equal(t, a.Heads()[0].Number, c.Heads()[0].Number)
		require.NoError(t, a.Rebuild())
		require.Equal(t, dump(t, a), dump(t, b))
	}
}

// While a clock goes back by a day or less, the clock of entries stands, and counts.
func TestASmallStepBackKeepsTheOrder(t *testing.T) {
	a, _ := newBook(t)
	now := a.now().Add(time.Hour).Truncate(time.Millisecond)
	setClock(a, now.Add(24*time.Hour))
	first := appended(t, a, "k=1")
	setClock(a, now)
	require.Equal(t, first, appended(t, a, "k=2"))
}

// Other devices' clocks of up to a day ahead count as well. Near the bound the clock
// never returns by less than others accept.
func TestTheClockOfAnotherDeviceBarelyAhead(t *testing.T) {
	a, _ := newBook(t)
	b := join(t, a, "two")
	pull(t, b, a)
	now := a.now().Add(time.Hour).Truncate(time.Millisecond)
	setClock(b, now.Add(24*time.Hour))
	appended(t, b, "k=1")
	setClock(a, now.Add(25*time.Hour))
	last := appended(t, a, "k=2")
	pull(t, a, b)
	setClock(a, now)
	require.Equal(t, last, appended(t, a, "k=3"))
	pull(t, b, a)
}
