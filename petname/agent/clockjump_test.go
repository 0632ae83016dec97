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
