package agent_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
)

// An act under a clock that is years ahead has its date. The hint stays nevertheless, for 30
// days or until the clock comes back, also after a restart.
func TestTheHintOfAJumpSurvivesItsEntries(t *testing.T) {
	c := &offClock{}
	dir := filepath.Join(t.TempDir(), "home")
	o := agent.Options{Create: &agent.Profile{}, Now: c.now}
	open := func() *agent.Agent {
		a, err := agent.Open(t.Context(), dir, o)
		require.NoError(t, err)
		return a
	}
	const hint = "the last entry of the book before a gap of over a year shows "
	a := open()
	require.NoError(t, a.Close())

	c.off = 20 * year
	a = open()
	require.Contains(t, a.ClockHint(), "the last entry of the book shows "+time.Now().UTC().Format("2006-01-02"))
	for _, name := range []string{"alice", "bob"} {
		add(t, a, name, newKey(t).Pointer())
		require.Contains(t, a.ClockHint(), hint+time.Now().UTC().Format("2006-01-02"))
		require.Contains(t, clockCheck(t, a).Detail, hint)
		require.NoError(t, a.Close())
		a = open()
	}
	c.off += 29 * 24 * time.Hour
	require.Contains(t, a.ClockHint(), hint)
	usesDated(t, a, time.Second)
	require.Empty(t, a.ClockHint(), "a router agrees with the clock")
	agent.SetRouters(a, nil)
	require.Contains(t, a.ClockHint(), hint)
	c.off += 2 * 24 * time.Hour
	require.Empty(t, a.ClockHint(), "a book that was not used for a year")

	c.off = 0
	require.NotContains(t, a.ClockHint(), "behind", "the clock has come back")
	for i, name := range []string{"carol", "dave"} {
		c.off = time.Duration(300*i) * 24 * time.Hour
		add(t, a, name, newKey(t).Pointer())
	}
	c.off = 400 * 24 * time.Hour
	require.Empty(t, a.ClockHint(), "and the jump was forgotten")

	// The clock jumps while the agent is open.
	c.off += 20 * year
	require.Error(t, a.Notice())
	add(t, a, "erin", newKey(t).Pointer())
	require.Contains(t, a.ClockHint(), hint)
	require.NoError(t, a.Close())

	// An application asks for no notice.
	c.off += 20 * year
	a = open()
	add(t, a, "frank", newKey(t).Pointer())
	require.Contains(t, a.ClockHint(), hint)
	require.NoError(t, a.Close())
}

// Attack on what was sealed: two acts under a clock that is 20 years ahead. The second finds
// the date of the first in the book, and erases no former keys all the same.
func TestASecondActUnderAFastClockErasesNoSealingKeys(t *testing.T) {
	c := &offClock{}
	a := c.opened(t)
	lines := replaced(t, a, time.Hour)
	c.off = 20 * year
	for range 3 {
		_, err := a.Publish(t.Context(), draft(agent.WaitNone, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		_, err = agent.SealingOf(a)
		require.NoError(t, err)
	}
	c.off = 0
	b, err := os.ReadFile(filepath.Join(a.Dir(), "sealing.key"))
	require.NoError(t, err)
	require.Contains(t, string(b), lines)
}

// Attack on what was sealed: a look at the inbox, a publication or the end of an interrupted
// rotation under a clock that is behind. Neither the former keys nor those of the last card are
// erased when the clock is right again.
func TestAnActUnderASlowClockErasesNoSealingKeys(t *testing.T) {
	for _, behind := range []time.Duration{31 * 24 * time.Hour, 200 * 24 * time.Hour, 20 * year} {
		c := &offClock{}
		a := c.opened(t)
		_, err := a.Publish(t.Context(), draft(agent.WaitNone, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		current := card(t, a).Sealing
		lines := replaced(t, a, time.Hour)
		c.off = -behind
		_, err = agent.SealingOf(a)
		require.NoError(t, err)
		_, err = a.Publish(t.Context(), draft(agent.WaitNone, value("/ipfs/bafkqaaa")))
		require.NoError(t, err)
		c.off = 0
		add(t, a, "bob", newKey(t).Pointer()) // any entry
		keys, err := agent.SealingOf(a)
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join(a.Dir(), "sealing.key"))
		require.NoError(t, err)
		require.Contains(t, string(b), lines)
		var public [][]byte
		for _, k := range keys {
			public = append(public, k.PublicKey().Bytes())
		}
		for _, k := range current {
			require.Contains(t, public, k.Key)
		}
	}
}

// One publication under a clock that is behind has its date, and there is no network. The check
// of the clock shows the entry before nevertheless, also after a restart, for 30 days or until
// the clock has reached it.
func TestAnEntryUnderASlowClockDoesNotSilenceTheCheck(t *testing.T) {
	const hint = "an entry of this device before its clock was set back shows "
	day := 24 * time.Hour
	c := &offClock{}
	dir := filepath.Join(t.TempDir(), "home")
	open := func() *agent.Agent {
		a, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{}, Now: c.now})
		require.NoError(t, err)
		return a
	}
	a := open()
	c.off = -40 * day
	_, err := a.Publish(t.Context(), draft(agent.WaitNone, value("/ipfs/bafkqaaa")))
	require.NoError(t, err)
	for range 2 {
		check := clockCheck(t, a)
		require.True(t, check.OK, "one source")
		require.Contains(t, check.Detail, hint+time.Now().UTC().Format("2006-01-02"))
		require.Contains(t, check.Detail, "960h0m0s ahead of this machine's clock")
		require.NoError(t, a.Close())
		a = open()
		add(t, a, "bob"+newKey(t).Pointer().String()[50:], newKey(t).Pointer())
	}
	usesDated(t, a, time.Second)
	require.Empty(t, clockCheck(t, a).Detail, "a router agrees with the clock")
	agent.SetRouters(a, nil)
	c.off -= 100 * day
	require.Contains(t, clockCheck(t, a).Detail, "the last entry of device")
	c.off += 100 * day
	c.off += 29 * day
	require.Contains(t, clockCheck(t, a).Detail, hint)
	c.off += 2 * day
	require.Empty(t, clockCheck(t, a).Detail, "the entry before may have been the wrong one")
	c.off = 0
	require.Empty(t, clockCheck(t, a).Detail)
	add(t, a, "carol", newKey(t).Pointer())
	c.off = -10 * day
	require.Contains(t, clockCheck(t, a).Detail, "the last entry of device")
	add(t, a, "dave", newKey(t).Pointer())
	require.Contains(t, clockCheck(t, a).Detail, hint, "again")
	c.off = 0
	require.Empty(t, clockCheck(t, a).Detail, "the clock has reached it")
	c.off = -25 * time.Hour
	require.NotContains(t, clockCheck(t, a).Detail, hint)

	// A clock that came back from years ahead is right.
	c.off = 20 * year
	require.Contains(t, a.ClockHint(), "the last entry of the book")
	add(t, a, "erin", newKey(t).Pointer())
	require.NoError(t, a.Close())
	c.off = 0
	a = open()
	require.Contains(t, clockCheck(t, a).Detail, "the last entry of device")
	add(t, a, "frank", newKey(t).Pointer())
	require.Empty(t, clockCheck(t, a).Detail)
	require.NoError(t, a.Close())
}
