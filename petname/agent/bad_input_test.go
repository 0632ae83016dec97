package agent_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// digests returns a digest and the mode of each file under a folder, by path. A
// folder that is not there has none.
func digests(t *testing.T, dir string) map[string]any {
	t.Helper()
	all := map[string]any{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var sum [sha256.Size]byte
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			sum = sha256.Sum256(b)
		}
		all[path] = [2]any{info.Mode(), sum}
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) {
		require.NoError(t, err)
	}
	return all
}

// unchanged returns a function that requires that a folder is as it is now.
func unchanged(t *testing.T, dir string) func() {
	t.Helper()
	before := digests(t, dir)
	return func() {
		t.Helper()
		require.Equal(t, before, digests(t, dir), "files have changed")
	}
}

// closedHome returns the folder of a home that no agent has open.
func closedHome(t *testing.T, p agent.Profile) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "home")
	_, err := home.Create(dir, p)
	require.NoError(t, err)
	return dir
}

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// A home that cannot be opened is a typed error, and nothing on the disk changes.
func TestOpenOfABadHomeChangesNothing(t *testing.T) {
	none := func() string { return filepath.Join(t.TempDir(), "none") }
	inside, there := none(), filepath.Join(t.TempDir(), "next.key")
	require.NoError(t, os.WriteFile(there, []byte("x"), 0o600))
	recovery := func(file string) agent.Options {
		return agent.Options{Create: &agent.Profile{Passphrase: "horse", WorkFactor: 2, Recovery: file}}
	}
	create := agent.Options{Create: &agent.Profile{Nickname: "Ana"}}
	inUse := opened(t).Dir()
	for name, c := range map[string]struct {
		ctx  context.Context
		dir  string
		o    agent.Options
		want error // nil: any
	}{
		"no home":                        {t.Context(), none(), agent.Options{}, home.ErrNoHome},
		"an empty folder":                {t.Context(), t.TempDir(), agent.Options{}, home.ErrNoHome},
		"in use":                         {t.Context(), inUse, agent.Options{}, ledger.ErrInUse},
		"in use, to be created":          {t.Context(), inUse, create, ledger.ErrInUse},
		"in use, after a wait":           {t.Context(), inUse, agent.Options{Wait: time.Millisecond}, ledger.ErrInUse},
		"a cancelled context":            {cancelled(t), closedHome(t, agent.Profile{}), agent.Options{}, context.Canceled},
		"a cancelled context, no home":   {cancelled(t), none(), create, context.Canceled},
		"a recovery file in the home":    {t.Context(), inside, recovery(filepath.Join(inside, "next.key")), home.ErrRecoveryInHome},
		"a recovery file that is there":  {t.Context(), filepath.Join(filepath.Dir(there), "none"), recovery(there), fs.ErrExist},
		"a nickname that cannot be used": {t.Context(), none(), agent.Options{Create: &agent.Profile{Nickname: "a/b"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			same := unchanged(t, filepath.Dir(c.dir))
			a, err := agent.Open(c.ctx, c.dir, c.o)
			require.Nil(t, a)
			if c.want == nil {
				require.Error(t, err)
			} else {
				require.ErrorIs(t, err, c.want)
			}
			same()
		})
	}
}

// A folder that has files and no home is left alone.
func TestCreateDoesNotUseAFolderOfFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("x"), 0o600))
	same := unchanged(t, dir)
	_, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{}})
	require.Error(t, err)
	same()
}

// Create does not change a home that is there.
func TestCreateLeavesAHomeAlone(t *testing.T) {
	dir := closedHome(t, agent.Profile{Nickname: "Ana"})
	a, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{Nickname: "Eve"}})
	require.NoError(t, err)
	defer a.Close()
	id, err := a.Identity()
	require.NoError(t, err)
	require.Equal(t, "Ana", id.Nickname)
}

// A method that needs a locked identity key fails with ErrLocked without a
// passphrase and with ErrPassphrase with a wrong one, and nothing on the disk
// changes. It works with the right one.
func TestALockedIdentityChangesNothing(t *testing.T) {
	refuses := errors.New("nobody is there")
	asked := 0
	locked := openedWith(t, agent.Options{Create: &agent.Profile{Passphrase: "horse", WorkFactor: 2}})
	bob, carol := add(t, locked, "bob", newKey(t).Pointer()), add(t, locked, "carol", newKey(t).Pointer())
	r := newRouter(t)
	uses(t, locked, r)
	ctx := t.Context()
	for method, call := range map[string]func(*agent.Agent) error{
		"Unlock":       func(a *agent.Agent) error { return a.Unlock() },
		"Publish":      func(a *agent.Agent) error { _, err := a.Publish(ctx, nil); return err },
		"PublishDraft": func(a *agent.Agent) error { _, err := a.PublishDraft(ctx, draft(agent.WaitNone)); return err },
		"Rotate":       func(a *agent.Agent) error { _, err := a.Rotate(ctx, agent.Rotation{WorkFactor: 2}); return err },
		"Invite": func(a *agent.Agent) error {
			_, err := a.Invite(ctx, agent.InvitationTerms{Uses: 1, Lifetime: time.Hour})
			return err
		},
		"Pair": func(a *agent.Agent) error { _, err := a.Pair(ctx, "742-tunnel-orbit-candy"); return err },
		"RequestContact": func(a *agent.Agent) error {
			_, err := a.RequestContact(ctx, agent.Request{To: newKey(t).Pointer().String(), As: "me"})
			return err
		},
		"Introduce": func(a *agent.Agent) error {
			_, err := a.Introduce(ctx, agent.Introduction{About: "bob", To: "carol", As: "b", Lifetime: time.Hour})
			return err
		},
		"ShareWith": func(a *agent.Agent) error { _, _, err := a.ShareWith(ctx, "bob", []string{"carol"}, "c"); return err },
		"Retract":   func(a *agent.Agent) error { _, err := a.Retract(ctx, "bob", "carol"); return err },
		"Dispute":   func(a *agent.Agent) error { _, err := a.Dispute(ctx, "bob", true); return err },
	} {
		for want, ask := range map[error]func() ([]byte, error){
			home.ErrLocked:     nil,
			home.ErrPassphrase: func() ([]byte, error) { return []byte("cow"), nil },
			refuses:            func() ([]byte, error) { asked++; return nil, refuses },
		} {
			same := unchanged(t, locked.Dir())
			err := call(locked.WithPassphrase(ask))
			require.ErrorIs(t, err, want, method)
			if want == refuses {
				require.ErrorIs(t, err, home.ErrLocked, method)
			}
			same()
		}
	}
	require.NotZero(t, asked)
	gets, puts := r.asked()
	require.Zero(t, gets+puts)
	require.NoError(t, locked.WithPassphrase(horse).Unlock())
	_, err := locked.Remove("bob") // the book needs no identity key
	require.NoError(t, err)
	_, err = locked.Rename("carol", "caroline", petname.Source{})
	require.NoError(t, err)
	require.NotEqual(t, bob.ID, carol.ID)
}

// An address that cannot be used is an AddressError of its kind, which has the
// address; a DHT without a transport is ErrNoTransport. Nothing on the disk
// changes.
func TestJoinOfABadAddressChangesNothing(t *testing.T) {
	const peer = "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	a, without := opened(t), openedWith(t, agent.Options{})
	r := newRouter(t)
	join(t, a, r.URL)
	gets, _ := r.asked()
	for _, c := range []struct {
		targets       []string
		kind, address string
	}{
		{[]string{r.URL, "off"}, "network", "off"},
		{[]string{"lan", "ipfs"}, "network", "ipfs"},
		{[]string{"http://127.0.0.1/x"}, "router", "http://127.0.0.1/x"},
		{[]string{r.URL, "ftp://a.example"}, "router", "ftp://a.example"},
		{[]string{"a.example:80"}, "peer", "a.example:80"},
		{[]string{peer, ""}, "peer", ""},
		{[]string{peer, "/ip4/127.0.0.1/tcp/4001"}, "peer ID", "/ip4/127.0.0.1/tcp/4001"},
	} {
		for _, a := range []*agent.Agent{a, without} {
			same := unchanged(t, a.Dir())
			err := a.Join(t.Context(), c.targets...)
			var bad *agent.AddressError
			require.ErrorAs(t, err, &bad, "%q", c.targets)
			require.Equal(t, c.kind, bad.Kind, "%q", c.targets)
			require.Equal(t, c.address, bad.Address, "%q", c.targets)
			require.NotEmpty(t, bad.Error())
			require.NotErrorAs(t, err, new(*agent.JoinError))
			same()
		}
	}
	for _, target := range []string{"lan", "ipfs", peer} {
		same := unchanged(t, without.Dir())
		err := without.Join(t.Context(), r.URL, target)
		require.ErrorIs(t, err, agent.ErrNoTransport, target)
		require.NotErrorAs(t, err, new(*agent.JoinError))
		same()
	}
	now, _ := r.asked()
	require.Equal(t, gets, now, "no router was asked")
}

// A home that was configured for a DHT is used without one: methods that need it
// fail with ErrNoTransport.
func TestADHTNeedsATransport(t *testing.T) {
	a := openedWith(t, agent.Options{})
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "lan"}))
	_, err := a.Publish(t.Context(), draft(agent.WaitSome))
	require.ErrorIs(t, err, agent.ErrNoTransport)
	require.Zero(t, sequence(t, a))
}

// A closed agent joins nothing, saves nothing in a home that another process may
// have open by now, and enters no network.
func TestAClosedAgentEntersNoNetwork(t *testing.T) {
	other := addrs(t, served(t, nil))[0]
	key := newKey(t)
	record, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	a := opened(t)
	join(t, a, other)
	require.NoError(t, a.Close())
	same := unchanged(t, a.Dir())
	require.ErrorIs(t, a.Join(t.Context(), "off"), agent.ErrClosed)
	_, err = a.PutRecord(t.Context(), record)
	require.ErrorIs(t, err, agent.ErrClosed)
	_, err = agent.UnlinkableNode(t.Context(), a, 0)
	require.ErrorIs(t, err, agent.ErrClosed)
	unreached(t, a)
	same()
}

// A mutual introduction cannot be signed only.
func TestAMutualIntroductionIsNotSignedOnly(t *testing.T) {
	a := opened(t)
	add(t, a, "bob", newKey(t).Pointer())
	add(t, a, "carol", newKey(t).Pointer())
	same := unchanged(t, a.Dir())
	out, err := a.Introduce(t.Context(), agent.Introduction{About: "bob", To: "carol", As: "b", Lifetime: time.Hour, Both: true, SignOnly: true})
	require.ErrorAs(t, err, new(*agent.ArgumentError))
	require.Zero(t, out)
	same()
}

// A method with a cancelled context fails with the context's error, and nothing on
// the disk changes, with a network and without.
func TestACancelledContextChangesNothing(t *testing.T) {
	ctx := cancelled(t)
	r := newRouter(t)
	joined, off := opened(t), opened(t)
	uses(t, joined, r)
	for _, a := range []*agent.Agent{joined, off} {
		for method, call := range map[string]func() error{
			"Join":         func() error { err := a.Join(ctx, "off"); return err },
			"Publish":      func() error { _, err := a.Publish(ctx, draft(agent.WaitSome)); return err },
			"PublishDraft": func() error { _, err := a.PublishDraft(ctx, draft(agent.WaitNone)); return err },
			"Rotate":       func() error { _, err := a.Rotate(ctx, agent.Rotation{}); return err },
			"Start":        func() error { return a.Start(ctx) },
			"Run":          func() error { return a.Run(ctx) },
		} {
			same := unchanged(t, a.Dir())
			require.ErrorIs(t, call(), context.Canceled, method)
			same()
		}
		unreached(t, a)
	}
	gets, puts := r.asked()
	require.Zero(t, gets+puts)
}
