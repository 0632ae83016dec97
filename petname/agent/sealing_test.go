package agent_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

var madeLine = regexp.MustCompile(`(?m)^# made: .*$`)

// aged sets the creation time of the home's sealing keys to the given age.
func aged(t *testing.T, a *agent.Agent, ago time.Duration) {
	name := filepath.Join(a.Dir(), "sealing.key")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Regexp(t, madeLine, string(b))
	made := "# made: " + time.Now().Add(-ago).UTC().Format(time.RFC3339)
	require.NoError(t, os.WriteFile(name, madeLine.ReplaceAll(b, []byte(made)), 0o600))
}

// replaced adds former sealing keys to the home, replaced at the given age, and
// returns their lines.
func replaced(t *testing.T, a *agent.Agent, ago time.Duration) string {
	name := filepath.Join(a.Dir(), "sealing.key")
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	other, err := os.ReadFile(filepath.Join(opened(t).Dir(), "sealing.key"))
	require.NoError(t, err)
	lines := strings.SplitAfterN(string(other), "\n", 3)[2]
	text := string(b) + "# replaced: " + time.Now().Add(-ago).UTC().Format(time.RFC3339) + "\n" + lines
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return lines
}

// card returns the card of the owner's newest record.
func card(t *testing.T, a *agent.Agent) pointer.Card {
	t.Helper()
	c, ok := held(t, a, a.Pointer()).Card()
	require.True(t, ok)
	return c
}

// A card has the public sealing keys of its owner, and the home has the private
// ones.
func TestACardHasTheHomesSealingKeys(t *testing.T) {
	a := opened(t)
	_, err := a.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	keys, err := agent.HomeOf(a).Sealing()
	require.NoError(t, err)
	require.Len(t, card(t, a).Sealing, 2)
	require.Equal(t, keys.PublicKeys(), card(t, a).Sealing)
}

// A publication replaces sealing keys after 30 days, and not before. Its card
// contains the new keys.
func TestAPublicationReplacesSealingKeysThatAreOld(t *testing.T) {
	const day = 24 * time.Hour
	for ago, renewed := range map[time.Duration]bool{30*day - time.Hour: false, 30*day + time.Hour: true} {
		a := opened(t)
		before, err := agent.HomeOf(a).Sealing()
		require.NoError(t, err)
		aged(t, a, ago)
		_, err = a.Publish(t.Context(), draft(agent.WaitNone))
		require.NoError(t, err)
		after, err := agent.HomeOf(a).Sealing()
		require.NoError(t, err)
		if renewed {
			require.NotEqual(t, before.PublicKeys(), after.PublicKeys())
			require.Len(t, after.PrivateKeys(), 4, "the former keys open messages under way")
		} else {
			require.Equal(t, before.PublicKeys(), after.PublicKeys())
		}
		require.Equal(t, after.PublicKeys(), card(t, a).Sealing)
	}
}

// A home that never publishes erases sealing keys 30 days after they were
// replaced, whenever it fetches messages. It does not erase them while a
// publication is about to replace them.
func TestOldSealingKeysAreErasedWithoutAPublication(t *testing.T) {
	const day = 24 * time.Hour
	for ago, erased := range map[time.Duration]bool{30*day - time.Hour: false, 30*day + time.Hour: true} {
		a := opened(t)
		old := replaced(t, a, ago)
		file := filepath.Join(a.Dir(), "sealing.key")
		before, err := os.ReadFile(file)
		require.NoError(t, err)
		agent.WhilePublishing(a, func() {
			keys, err := agent.SealingOf(a)
			require.NoError(t, err)
			require.Len(t, keys, 4)
		})
		now, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, before, now)

		keys, err := agent.SealingOf(a)
		require.NoError(t, err)
		now, err = os.ReadFile(file)
		require.NoError(t, err)
		if erased {
			require.Len(t, keys, 2)
			require.NotContains(t, string(now), old)
		} else {
			require.Len(t, keys, 4)
			require.Equal(t, before, now)
		}
		require.Zero(t, sequence(t, a))
	}
}

// A rotation replaces the sealing keys of any age: a thief of the identity key
// may have the sealing keys too.
func TestARotationReplacesTheSealingKeys(t *testing.T) {
	a := opened(t)
	before, err := agent.HomeOf(a).Sealing()
	require.NoError(t, err)
	_, err = a.Rotate(t.Context(), agent.Rotation{})
	require.NoError(t, err)
	after, err := agent.HomeOf(a).Sealing()
	require.NoError(t, err)
	require.NotEqual(t, before.PublicKeys(), after.PublicKeys())
	require.Len(t, after.PrivateKeys(), 4)
	_, err = a.Publish(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.Equal(t, after.PublicKeys(), card(t, a).Sealing)
}
