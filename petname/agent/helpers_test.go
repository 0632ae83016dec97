package agent_test

import (
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

func TestMain(m *testing.M) {
	agent.SetPollInterval(20 * time.Millisecond) // a network on one machine can be asked often
	os.Exit(lawtest.Main(m))
}

// patience is a guard against a hang: the operations that it bounds take
// milliseconds.
const patience = 2 * time.Minute

// patient bounds a request to a peer: a slow response on a busy machine must not
// count as a dead peer.
const patient = 15 * time.Second

// loopback returns a transport that listens on loopback.
func loopback() agent.Transport {
	return libp2p.New(libp2p.Options{Timeout: patient, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
}

// opened returns an agent of a new home. Its transport listens on loopback.
func opened(t testing.TB) *agent.Agent {
	return openedWith(t, agent.Options{Transport: loopback(), JoinTimeout: 2 * patient})
}

func openedWith(t testing.TB, o agent.Options) *agent.Agent {
	t.Helper()
	if o.Create == nil {
		o.Create = &agent.Profile{}
	}
	a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return a
}

// served returns an agent that has joined the peers at some addresses, if any, and
// runs.
func served(t testing.TB, bootstrap []string) *agent.Agent {
	t.Helper()
	a := opened(t)
	if bootstrap != nil {
		join(t, a, bootstrap...)
	}
	require.NoError(t, a.Start(t.Context()))
	return a
}

func join(t testing.TB, a *agent.Agent, targets ...string) {
	t.Helper()
	err := a.Join(t.Context(), targets...)
	require.NoError(t, err)
}

func addrs(t testing.TB, a *agent.Agent) []string {
	t.Helper()
	s, err := a.Status()
	require.NoError(t, err)
	require.NotEmpty(t, s.Addrs)
	return s.Addrs
}

func newKey(t testing.TB) *pointer.Key {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key
}

func add(t testing.TB, a *agent.Agent, name string, p pointer.Pointer) petname.Contact {
	t.Helper()
	c, err := a.Add(name, pointer.Link{Pointer: p}, petname.Source{Channel: "argument", Lookalike: true})
	require.NoError(t, err)
	return c
}

// draft is an edit that makes a record for an hour, and waits for as many peers.
func draft(wait agent.Wait, more ...func(*agent.Draft)) func(*agent.Draft) error {
	return func(d *agent.Draft) error {
		d.TTL, d.Lifetime, d.Wait = 0, time.Hour, wait
		for _, change := range more {
			change(d)
		}
		return nil
	}
}

// value is a change of a draft.
func value(path string) func(*agent.Draft) { return func(d *agent.Draft) { d.Value = path } }

// held returns the newest record of a pointer that the home of an agent holds.
func held(t *testing.T, a *agent.Agent, p pointer.Pointer) pointer.Record {
	t.Helper()
	r, _, err := a.Held(p)
	require.NoError(t, err)
	return r
}

// sequence returns the last sequence that the book has reserved.
func sequence(t *testing.T, a *agent.Agent) uint64 {
	t.Helper()
	last, err := agent.BookOf(a).Published()
	require.NoError(t, err)
	return last.Sequence
}

// ownKey returns the key of an identity that is not locked.
func ownKey(t *testing.T, a *agent.Agent) *pointer.Key {
	t.Helper()
	id, err := agent.HomeOf(a).Identity()
	require.NoError(t, err)
	key, err := id.Key("")
	require.NoError(t, err)
	return key
}

// router is an HTTP router without records. It accepts the records that it
// receives and counts its requests.
type router struct {
	*httptest.Server
	put func(record []byte) // called with each record before the response; nil: no call

	mu         sync.Mutex
	gets, puts int
}

func newRouter(t *testing.T) *router {
	r := &router{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if q.Method != http.MethodPut {
			r.gets++
			http.Error(w, "no record", http.StatusNotFound)
			return
		}
		r.puts++
		b, err := io.ReadAll(q.Body)
		if err == nil && r.put != nil {
			r.put(b)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// asked returns the numbers of GET and PUT requests so far.
func (r *router) asked() (gets, puts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gets, r.puts
}

// uses configures a router for the home without sending it a request.
func uses(t *testing.T, a *agent.Agent, r *router) {
	require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "off", Routers: []string{r.URL}}))
}

// copied opens a copy of a home as it is on the disk at this moment.
func copied(a *agent.Agent, dir string, o agent.Options) (*agent.Agent, error) {
	if err := os.CopyFS(dir, os.DirFS(a.Dir())); err != nil {
		return nil, err
	}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			err = os.Chmod(name, 0o600)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return agent.Open(context.Background(), dir, o)
}

// unreached requires that the agent entered no network.
func unreached(t *testing.T, a *agent.Agent) {
	t.Helper()
	require.Nil(t, agent.NodeOf(a), "a network was entered")
	require.Nil(t, agent.UnlinkableOf(a))
}
