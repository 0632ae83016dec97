package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// otherNext replaces the commitment in the header of a home's identity key, and returns
// a function that puts it back.
func otherNext(t *testing.T, dir, next string) (undo func()) {
	t.Helper()
	name := filepath.Join(dir, "identity.key")
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	other, err := pointer.Commit(newKey(t).Public())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(name, []byte(strings.Replace(string(whole), "# next: "+next, "# next: "+other.String(), 1)), 0o600))
	return func() { require.NoError(t, os.WriteFile(name, whole, 0o600)) }
}

func check(a *agent.Agent, t *testing.T, name string) agent.Check {
	for _, c := range a.Check(t.Context()) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no check %s", name)
	return agent.Check{}
}

// A commitment in the identity key that is not that of the next key is neither
// published nor shown, with and without a passphrase, and Check reports it.
func TestAWrongCommitmentIsNotPublished(t *testing.T) {
	pass := func() ([]byte, error) { return []byte("horse"), nil }
	for name, o := range map[string]agent.Options{
		"open":      {},
		"locked":    {Create: &agent.Profile{Passphrase: "horse", WorkFactor: 2}, Passphrase: pass},
		"elsewhere": {Create: &agent.Profile{Passphrase: "horse", WorkFactor: 2, Recovery: filepath.Join(t.TempDir(), "next")}, Passphrase: pass},
	} {
		a, r := openedWith(t, o), newRouter(t)
		uses(t, a, r)
		_, err := a.Publish(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
		_, puts := r.asked()
		id, err := a.Identity()
		require.NoError(t, err)
		require.True(t, check(a, t, "identity").OK)
		undo := otherNext(t, a.Dir(), id.Next.String())

		_, err = a.Publish(t.Context(), draft(agent.WaitSome))
		var header *home.HeaderError
		require.ErrorAs(t, err, &header, name)
		require.Equal(t, 3, header.Line)
		require.Contains(t, header.Next(), "# next: "+id.Next.String())
		_, again := r.asked()
		require.Equal(t, puts, again)
		_, err = a.Link()
		require.Error(t, err, "%s: the link has it, too", name)
		_, err = a.Rotate(t.Context(), agent.Rotation{})
		require.ErrorAs(t, err, &header)
		for _, a := range []*agent.Agent{a, a.WithPassphrase(nil)} {
			c := check(a, t, "identity")
			require.False(t, c.OK)
			require.Contains(t, c.Detail, "line 3")
			require.Contains(t, c.Detail, "identity.key")
		}
		undo()
		_, err = a.Publish(t.Context(), draft(agent.WaitSome))
		require.NoError(t, err)
	}
}

// A record that the home cannot store is reported as what it is: signed, and neither
// saved nor published. The next publication takes another sequence.
func TestARecordThatIsNotSavedIsNotPublished(t *testing.T) {
	a, r := opened(t), newRouter(t)
	uses(t, a, r)
	folder := filepath.Join(a.Dir(), "records", a.Pointer().String()+".record")
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "full"), 0o700)) // stands for a full disk
	out, err := a.PublishDraft(t.Context(), draft(agent.WaitSome))
	var unsaved *agent.UnsavedError
	require.ErrorAs(t, err, &unsaved)
	require.EqualValues(t, 1, unsaved.Sequence)
	require.ErrorContains(t, err, "neither saved nor published")
	require.Zero(t, out.Sequence)
	_, puts := r.asked()
	require.Zero(t, puts)
	require.NoError(t, os.RemoveAll(folder))
	out, err = a.PublishDraft(t.Context(), draft(agent.WaitSome))
	require.NoError(t, err)
	require.EqualValues(t, 2, out.Sequence)
}

// A change of shared edges that can neither be sent nor undone stands, and is reported
// as queued, with both reasons.
func TestAChangeThatCannotBeUndoneIsQueued(t *testing.T) {
	a := opened(t)
	bob := add(t, a, "bob", newKey(t).Pointer()) // without a card
	sent, err := agent.SendEdges(t.Context(), a, bob, func() error { return syscall.ENOSPC })
	require.Equal(t, agent.Queued, sent)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	undone := false
	sent, err = agent.SendEdges(t.Context(), a, bob, func() error { undone = true; return nil })
	require.Empty(t, sent)
	require.ErrorIs(t, err, dht.ErrUnreachable)
	require.True(t, undone)
}

// Several contacts are shared together, or none is.
func TestSeveralAreSharedTogetherOrNoneIs(t *testing.T) {
	a := opened(t)
	add(t, a, "bob", newKey(t).Pointer())
	_, err := a.Share([]string{"bob", "bob"}, "")
	require.Error(t, err)
	_, err = a.Share([]string{"bob"}, "bob")
	require.NoError(t, err)
	n := 0
	for _, err := range a.Edges() {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 1, n)
}

// Without the identity key, the rest of a home is checked: the book stands.
func TestAHomeWithoutItsIdentityKeyIsChecked(t *testing.T) {
	a := opened(t)
	add(t, a, "bob", newKey(t).Pointer())
	require.NoError(t, a.Close())
	require.NoError(t, os.Remove(filepath.Join(a.Dir(), "identity.key")))
	_, err := agent.Open(t.Context(), a.Dir(), agent.Options{Create: &agent.Profile{}})
	require.ErrorAs(t, err, new(*home.IncompleteError), "and no home is created over it")
	checks, err := agent.CheckClosed(a.Dir(), err)
	require.NoError(t, err)
	found := map[string]agent.Check{}
	for _, c := range checks {
		found[c.Name] = c
	}
	require.False(t, found["files"].OK)
	require.Contains(t, found["identity"].Detail, "identity.key is missing")
	require.True(t, found["book"].OK, found["book"].Detail)
	require.Contains(t, found["book"].Detail, "1 name,")
}

// Sealing keys that are not those of the owner's card, and a folder of records that is
// gone, are reported.
func TestLostFilesAreReported(t *testing.T) {
	a := opened(t)
	_, err := a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.True(t, check(a, t, "files").OK)
	require.NoError(t, os.Remove(filepath.Join(a.Dir(), "sealing.key")))
	c := check(a, t, "files")
	require.False(t, c.OK)
	require.Contains(t, c.Detail, "sealing.key")
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.Equal(t, "sealing.key", home.LostKey(err), "%v", err)
	require.NoFileExists(t, filepath.Join(a.Dir(), "sealing.key"))
	_, err = a.NewKey("sealing.key")
	require.NoError(t, err)
	_, err = a.PublishDraft(t.Context(), draft(agent.WaitNone))
	require.NoError(t, err)
	require.True(t, check(a, t, "files").OK, "the new card has the new keys")

	require.NoError(t, a.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(a.Dir(), "records")))
	b, err := agent.Open(t.Context(), a.Dir(), agent.Options{})
	require.NoError(t, err)
	defer b.Close()
	require.ErrorContains(t, b.Notice(), "records is missing")
	require.Contains(t, check(b, t, "files").Detail, "records was missing")
}

// Notice has all that an Open found: missing files, a rotation that cannot be finished
// or undone, and a clock that does not agree with the book.
func TestNoticeHasAllThatOpenFound(t *testing.T) {
	a := opened(t)
	require.NoError(t, a.Notice())
	add(t, a, "bob", newKey(t).Pointer())
	require.NoError(t, a.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(a.Dir(), "records")))
	require.NoError(t, os.WriteFile(filepath.Join(a.Dir(), "rotation.journal"), []byte("garbage\n"), 0o600))
	b, err := agent.Open(t.Context(), a.Dir(), agent.Options{Now: func() time.Time { return time.Now().AddDate(2, 0, 0) }})
	require.NoError(t, err)
	defer b.Close()
	for _, part := range []string{"records is missing", "a rotation was interrupted", "over a year after the last entry"} {
		require.ErrorContains(t, b.Notice(), part)
	}
	c := check(b, t, "files")
	require.False(t, c.OK)
	require.Contains(t, c.Detail, "rotation.journal")
}
