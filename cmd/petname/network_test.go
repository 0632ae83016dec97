package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

// emptyRouter is an HTTP router without records. It accepts the records that it
// receives and counts its requests.
type emptyRouter struct {
	*httptest.Server

	mu         sync.Mutex
	gets, puts int
}

func newEmptyRouter(t *testing.T) *emptyRouter {
	r := &emptyRouter{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		if q.Method == http.MethodPut {
			r.puts++
			return
		}
		r.gets++
		http.Error(w, "no record", http.StatusNotFound)
	}))
	t.Cleanup(r.Close)
	return r
}

// asked returns the numbers of GET and PUT requests so far.
func (r *emptyRouter) asked() (gets, puts int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gets, r.puts
}

// Without a joined network no verb enters one. A verb that needs a network
// reports that.
func TestNoVerbSendsRequestsWithoutAJoinedNetwork(t *testing.T) {
	v, transport := openedCounted(t)
	ctx, key := t.Context(), newKey(t)
	other := key.Pointer().String()
	_, err := v.add(ctx, addArgs{Name: "bob", Target: other})
	require.NoError(t, err)
	record, err := pointer.Sign(key, pointer.Fields{Sequence: 1, Expires: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	for name, do := range map[string]func() error{
		"publish": func() error {
			_, err := v.publish(ctx, publishArgs{Lifetime: time.Hour, Wait: "some"})
			return err
		},
		"resolve": func() error {
			_, err := v.resolve(ctx, resolveArgs{Path: "bob", Timeout: patience})
			return err
		},
		"resolve --fresh": func() error {
			_, err := v.resolve(ctx, resolveArgs{Path: "bob", Fresh: "fresh", Timeout: patience})
			return err
		},
		"record put": func() error {
			_, err := v.put(ctx, inspectArgs{Record: record.Bytes(), Pointer: other})
			return err
		},
		"knock": func() error {
			_, err := v.knock(ctx, knockArgs{To: other, As: "me", Expires: time.Hour})
			return err
		},
		"invite": func() error {
			_, err := v.invite(ctx, inviteArgs{Uses: 1, Expires: time.Hour})
			return err
		},
	} {
		err := do()
		require.Equal(t, "not_joined", classify(err).Code, "%s: %v", name, err)
		require.Equal(t, exitNetwork, classify(err).Exit, name)
	}
	in, err := v.inbox(ctx, inboxArgs{})
	require.NoError(t, err)
	require.Equal(t, &fetched{Network: "off"}, in.Fetched)
	_, err = v.doctor(ctx, doctorArgs{})
	require.NoError(t, err)
	_, err = v.rotate(ctx, rotateArgs{})
	require.NoError(t, err)
	require.Zero(t, transport.starts.Load(), "a network was entered")
}

// A verb queries a joined network only if it must: not for a record that the
// home has, and not for one that is fresh enough.
func TestAVerbQueriesTheNetworkOnlyIfNeeded(t *testing.T) {
	v, transport := openedCounted(t)
	r, ctx, key := newEmptyRouter(t), t.Context(), newKey(t)
	// The DHT cannot be entered: every attempt fails.
	require.NoError(t, homeOf(t, v).SetConfig(home.Config{Network: "peers", Bootstrap: []string{"/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"}, Routers: []string{r.URL}}))
	_, err := v.add(ctx, addArgs{Name: "bob", Target: key.Pointer().String()})
	require.NoError(t, err)
	record, err := pointer.Sign(key, pointer.Fields{Value: "/ipfs/bafkqaaa", Sequence: 1, TTL: time.Hour, Expires: time.Now().Add(2 * time.Hour)})
	require.NoError(t, err)
	_, err = v.resolve(ctx, resolveArgs{Path: "bob", Offline: true, Timeout: patience})
	require.Equal(t, "not_found", classify(err).Code)
	records, err := homeOf(t, v).Records()
	require.NoError(t, err)
	_, err = records.Put(ctx, record.Pointer(), record.Bytes())
	require.NoError(t, err)
	for _, a := range []resolveArgs{{Path: "bob", Offline: true}, {Path: "bob"}} {
		a.Timeout = patience
		res, err := v.resolve(ctx, a)
		require.NoError(t, err)
		require.True(t, res.Verified)
		require.Zero(t, res.Asked)
	}
	_, err = v.inbox(ctx, inboxArgs{Offline: true})
	require.NoError(t, err)
	for _, verb := range []string{"id", "list", "log", "kept", "public"} {
		_, failed := v.do(ctx, verb, []byte("{}"))
		require.Nil(t, failed)
	}
	_, err = v.export(ctx, exportArgs{Name: "bob"})
	require.NoError(t, err)
	_, err = v.inspect(ctx, inspectArgs{Record: record.Bytes()})
	require.NoError(t, err)
	_, err = v.publish(ctx, publishArgs{Path: "relative", Lifetime: time.Hour, Wait: "some"})
	require.Equal(t, exitUsage, classify(err).Exit)
	gets, puts := r.asked()
	require.Zero(t, gets)
	require.Zero(t, puts)
	require.Zero(t, transport.starts.Load(), "a network was entered")

	// A record that does not verify is not put anywhere.
	forged := slices.Clone(record.Bytes())
	forged[len(forged)-1] ^= 1
	_, err = v.put(ctx, inspectArgs{Record: forged, Pointer: "bob"})
	require.Equal(t, exitUnverified, classify(err).Exit, "%v", err)
	_, puts = r.asked()
	require.Zero(t, puts)
	// --fresh queries the network.
	_, err = v.resolve(ctx, resolveArgs{Path: "bob", Fresh: "agreed", Timeout: patience})
	require.Error(t, err)
	gets, _ = r.asked()
	require.NotZero(t, gets)
}

// If no peer stores the record of publish --wait some, the record is saved and
// its sequence is used. The error states that, and the next record has a higher
// sequence.
func TestAFailedPublicationIsSavedAndReported(t *testing.T) {
	v, r := opened(t), newEmptyRouter(t)
	require.NoError(t, homeOf(t, v).SetConfig(home.Config{Network: "off", Routers: []string{r.URL}}))
	r.Close()
	out, err := v.publish(t.Context(), publishArgs{Path: "/ipfs/bafkqaaa", Lifetime: time.Hour, Wait: "some"})
	c := classify(err)
	require.Equal(t, exitNetwork, c.Exit)
	require.Contains(t, c.Message, "signed and saved here, but stored by no peer yet")
	require.Contains(t, c.Message, r.URL, "the failed router is named")
	require.Equal(t, "petname publish", c.Next)
	require.Zero(t, out.Stored)
	held, _, err := v.agent.Held(v.agent.Pointer())
	require.NoError(t, err)
	require.Equal(t, out.Sequence, held.Sequence())
}

// A join while a node resolves: the verb fails as one of the network, or not at
// all; nothing is interrupted, nothing races, and the addresses stay.
func TestJoinDuringResolve(t *testing.T) {
	_, at := started(t)
	node, before := started(t)
	join := func(targets ...string) {
		_, err := node.join(context.Background(), joinArgs{Targets: targets})
		require.NoError(t, err)
	}
	join(at.Addrs...)
	p := newPointer(t)
	done := make(chan *failure)
	for range 4 {
		go func() {
			var odd *failure
			for range 20 {
				_, failed := node.do(context.Background(), "resolve", []byte(fmt.Sprintf(`{"path":%q,"fresh":"fresh","timeout":%d}`, p, patience)))
				if failed == nil || failed.Exit != exitNetwork && failed.Exit != exitNotFound {
					odd = failed
				}
			}
			done <- odd
		}()
	}
	for range 5 {
		join(at.Addrs...)
		join("off")
	}
	for range 4 {
		require.Nil(t, <-done)
	}
	join(at.Addrs...)
	after, err := node.status(context.Background(), noArgs{})
	require.NoError(t, err)
	require.Equal(t, before.Addrs, after.Addrs)
	require.Equal(t, before.Peer, after.Peer)
}

// Only a node of the public network uses relays. A node of another network does
// not start with any.
func TestRelaysAreForThePublicNetwork(t *testing.T) {
	relay := "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	home := newHome(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	node := &app{ctx: ctx, home: home, stdout: ends{cancel}, stderr: io.Discard}
	logger, end, err := node.logger("", false)
	require.NoError(t, err)
	defer end()
	err = node.serve(nodeOptions{listen: []string{"/ip4/127.0.0.1/tcp/0"}, relays: []string{relay}, logger: logger})
	require.Equal(t, exitUsage, classify(err).Exit, "%v", err)
	require.NoFileExists(t, filepath.Join(home, "dht.db"), "no node was started")
}

// ends is standard output that ends the command.
type ends struct{ end func() }

func (e ends) Write(b []byte) (int, error) {
	e.end()
	return len(b), nil
}

// silentNode is a node of a DHT that never responds. It notes how much time each
// request has.
type silentNode struct {
	agent.Node
	gets chan time.Duration
}

func (n *silentNode) Start(context.Context, agent.NodeConfig) (agent.Node, error) { return n, nil }
func (*silentNode) Bootstrap(string) []string                                     { return nil }
func (*silentNode) CheckPeer(string) error                                        { return nil }
func (*silentNode) Peers() int                                                    { return 1 }
func (*silentNode) GoodPeers() [][]string                                         { return nil }
func (*silentNode) Close() error                                                  { return nil }

func (n *silentNode) GetAt(ctx context.Context, _ pointer.Pointer, _ dht.Level) iter.Seq2[dht.Answer, error] {
	return func(yield func(dht.Answer, error) bool) {
		deadline, _ := ctx.Deadline()
		n.gets <- time.Until(deadline)
		<-ctx.Done()
		yield(dht.Answer{Source: dht.SourceNetwork}, ctx.Err())
	}
}

// resolve passes --timeout on to the network: a network that never responds costs
// that time and no more.
func TestResolvePassesItsTimeoutOn(t *testing.T) {
	for _, a := range []resolveArgs{{Timeout: 3 * time.Second}, {Fresh: "fresh", Timeout: 2 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "home")
			node := &silentNode{gets: make(chan time.Duration, 1)}
			ag, err := agent.Open(t.Context(), dir, agent.Options{Create: &agent.Profile{}, Transport: node})
			require.NoError(t, err)
			defer ag.Close()
			v := &verbs{agent: ag}
			require.NoError(t, homeOf(t, v).SetConfig(home.Config{Network: "lan"}))
			a.Path = newPointer(t)
			began := time.Now()
			_, err = v.resolve(t.Context(), a)
			require.Equal(t, exitNetwork, classify(err).Exit)
			require.Equal(t, a.Timeout, time.Since(began))
			require.Equal(t, a.Timeout, <-node.gets)
		})
	}
}
