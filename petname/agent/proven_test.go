package agent_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// lockedHome returns a function that opens a new home which is locked by a passphrase, with
// the passphrase or without.
func lockedHome(t *testing.T) func(passphrase bool) *agent.Agent {
	dir := filepath.Join(t.TempDir(), "home")
	_, err := home.Create(dir, home.CreateOptions{Passphrase: "horse", WorkFactor: 2})
	require.NoError(t, err)
	var last *agent.Agent
	t.Cleanup(func() { require.NoError(t, last.Close()) })
	return func(passphrase bool) *agent.Agent {
		if last != nil {
			require.NoError(t, last.Close())
		}
		o := agent.Options{}
		if passphrase {
			o.Passphrase = horse
		}
		a, err := agent.Open(t.Context(), dir, o)
		require.NoError(t, err)
		last = a
		return a
	}
}

// signedElsewhere puts a record into the home that another holder of its key has signed,
// with another next key.
func signedElsewhere(t *testing.T, a *agent.Agent) {
	t.Helper()
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	key, err := id.Key("horse")
	require.NoError(t, err)
	next, err := pointer.Commit(newKey(t).Public())
	require.NoError(t, err)
	r, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 100, Expires: time.Now().Add(time.Hour), Card: &pointer.Card{Next: next, Sealing: []pointer.SealingKey{{KEM: 1, Key: []byte("another")}}}})
	require.NoError(t, err)
	_, err = agent.RecordsOf(a).Put(t.Context(), r.Pointer(), r.Bytes())
	require.NoError(t, err)
}

// Attack: another holder of the key publishes a record that commits to another next key. The
// owner's home is locked. What the passphrase proved stays right, before that record and
// after it, and the record is reported as one of another copy.
func TestARecordOfAnotherHolderDamagesNoLockedHome(t *testing.T) {
	for _, before := range []bool{true, false} {
		open := lockedHome(t)
		if before {
			require.NoError(t, open(true).Unlock())
		}
		a := open(false)
		signedElsewhere(t, a)
		_, err := a.Identity()
		if !before {
			require.ErrorAs(t, err, new(*agent.NextError))
			require.False(t, check(a, t, "identity").OK)
			_, err = a.Link()
			require.ErrorAs(t, err, new(*agent.NextError))
			a = open(true)
			require.True(t, check(a, t, "identity").OK, "%+v", check(a, t, "identity"))
			a = open(false)
			_, err = a.Identity()
		}
		require.NoError(t, err)
		require.True(t, check(a, t, "identity").OK)
		require.True(t, check(a, t, "files").OK, "its sealing keys are another holder's")
		require.False(t, check(a, t, "copies").OK)
		require.Contains(t, check(a, t, "copies").Detail, "this home has another one")
		_, err = a.Link()
		require.NoError(t, err)
	}
}

// A line of the header that was changed since the key was unlocked is found without the
// passphrase, also in a home without a record, or with a record that agrees with the change.
func TestAHeaderThatWasChangedSinceItWasProvenIsFound(t *testing.T) {
	for _, record := range []bool{false, true} {
		open := lockedHome(t)
		a := open(true)
		id, err := a.Identity()
		require.NoError(t, err)
		require.NoError(t, a.Unlock())
		a = open(false)
		if record {
			signedElsewhere(t, a)
		}
		undo := otherNext(t, a.Dir(), id.Next.String())
		var changed *agent.NextError
		_, err = a.Identity()
		require.ErrorAs(t, err, &changed)
		require.Contains(t, err.Error(), "when it was last unlocked")
		require.Equal(t, id.Next, changed.Record)
		a = open(true)
		require.False(t, check(a, t, "identity").OK)
		require.ErrorAs(t, a.Unlock(), new(*home.HeaderError))
		undo()
		a = open(false)
		_, err = a.Identity()
		require.NoError(t, err)
	}
}
