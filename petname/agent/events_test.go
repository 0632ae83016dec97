package agent_test

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// watch collects the changes of an agent, until the test ends. It runs in a
// synctest bubble. The function that it returns waits for the changes until now
// and takes them.
func watch(t *testing.T, a *agent.Agent) func() []agent.Event {
	var mu sync.Mutex
	var all []agent.Event
	go func() {
		for e := range a.Changes(t.Context()) {
			mu.Lock()
			all = append(all, e)
			mu.Unlock()
		}
	}()
	synctest.Wait()
	return func() []agent.Event {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		taken := all
		all = nil
		return taken
	}
}

// introduced returns the statement of a contact about a new key, as text.
func introduced(t *testing.T, a *agent.Agent, by *pointer.Key, about pointer.Pointer) []byte {
	t.Helper()
	signed, err := introduce.Introduction{To: a.Pointer(), About: about, Suggested: "dora", Expires: time.Now().Add(time.Hour)}.Sign(by, nil, time.Now())
	require.NoError(t, err)
	return introduce.Armor(signed.Bytes())
}

// Each change of a home is an event of its kind, about its contact. What fails is
// none.
func TestEachChangeIsAnEventOfItsKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		alice, bob, dora := newKey(t), newKey(t).Pointer(), newKey(t).Pointer()
		taken := watch(t, a)
		ctx := t.Context()
		book := func(p pointer.Pointer) []agent.Event { return []agent.Event{{Kind: agent.BookChanged, Pointer: p}} }
		inbox := func(p pointer.Pointer) []agent.Event { return []agent.Event{{Kind: agent.InboxChanged, Pointer: p}} }
		both := func(p pointer.Pointer) []agent.Event { return append(book(p), inbox(p)...) }
		var none pointer.Pointer
		id := func() petname.SuggestionID {
			for s, err := range a.Inbox() {
				require.NoError(t, err)
				return s.ID
			}
			require.Fail(t, "the inbox is empty")
			return petname.SuggestionID{}
		}
		link := func(p pointer.Pointer) pointer.Link { return pointer.Link{Pointer: p} }
		for _, step := range []struct {
			name  string
			do    func() error
			want  []agent.Event
			fails bool
		}{
			{"add", func() error { _, err := a.Add("alice", link(alice.Pointer()), petname.Source{}); return err }, book(alice.Pointer()), false},
			{"add another", func() error { _, err := a.Add("bob", link(bob), petname.Source{}); return err }, book(bob), false},
			{"add under a name that is taken", func() error { _, err := a.Add("bob", link(dora), petname.Source{}); return err }, nil, true},
			{"rename", func() error { _, err := a.Rename("bob", "robert", petname.Source{}); return err }, book(bob), false},
			{"keep", func() error { return a.SetRepublished([]pointer.Pointer{bob}, true) }, book(bob), false},
			{"no longer keep", func() error { return a.SetRepublished([]pointer.Pointer{bob}, false) }, book(bob), false},
			{"share", func() error { _, err := a.Share([]string{"robert"}, "r"); return err }, book(bob), false},
			{"unshare", func() error { return a.Unshare("r") }, book(none), false},
			{"undo", func() error { _, err := a.Undo(); return err }, book(none), false},
			{"remove", func() error { _, err := a.Remove("robert"); return err }, book(bob), false},
			{"undo the removal", func() error { _, err := a.Undo(); return err }, book(bob), false},
			{"remove what is not there", func() error { _, err := a.Remove("nobody"); return err }, nil, true},
			{"receive", func() error { _, err := a.Receive(introduced(t, a, alice, dora)); return err }, inbox(none), false},
			{"accept under a name that is taken", func() error { _, err := a.Accept(id(), "robert", petname.Acceptance{}); return err }, nil, true},
			{"accept", func() error { _, err := a.Accept(id(), "dora", petname.Acceptance{}); return err }, both(dora), false},
			{"undo the acceptance", func() error { _, err := a.Undo(); return err }, both(dora), false},
			{"decline", func() error { _, err := a.Decline(ctx, id(), false); return err }, inbox(none), false},
			{"join", func() error { err := a.Join(ctx, "off"); return err }, []agent.Event{{Kind: agent.NetworkChanged}}, false},
			{"join a bad address", func() error { err := a.Join(ctx, "bad"); return err }, nil, true},
			{"publish", func() error { _, err := a.Publish(ctx, draft(agent.WaitNone)); return err }, []agent.Event{{Kind: agent.RecordChanged}}, false},
			{"publish a bad value", func() error { _, err := a.Publish(ctx, draft(agent.WaitNone, value("bad"))); return err }, nil, true},
			{"rotate", func() error { _, err := a.Rotate(ctx, agent.Rotation{}); return err }, []agent.Event{{Kind: agent.RecordChanged}}, false},
		} {
			err := step.do()
			require.Equal(t, step.fails, err != nil, "%s: %v", step.name, err)
			require.ElementsMatch(t, step.want, taken(), step.name)
		}
	})
}

// A slow receiver delays no change, gets no event twice, and loses contacts,
// but never the kind of a change.
func TestASlowReceiverLosesDetailsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		began, proceed := make(chan struct{}), make(chan struct{})
		var events []agent.Event
		go func() {
			for e := range a.Changes(t.Context()) {
				if events == nil {
					close(began)
					<-proceed
				}
				events = append(events, e)
			}
		}()
		synctest.Wait()
		first := add(t, a, "first", newKey(t).Pointer())
		<-began // it has the first event, and reads no other

		bob := add(t, a, "bob", newKey(t).Pointer())
		for range 3 {
			require.NoError(t, a.SetRepublished([]pointer.Pointer{bob.ID}, true))
			require.NoError(t, a.SetRepublished([]pointer.Pointer{bob.ID}, false))
		}
		more := agent.MaxPending + 10
		var last pointer.Pointer
		for range more {
			last = newKey(t).Pointer()
			agent.Notify(a, last)
		}
		_, err := a.Publish(t.Context(), draft(agent.WaitNone))
		require.NoError(t, err)
		join(t, a, "off")
		close(proceed)
		synctest.Wait()

		require.Equal(t, agent.Event{Kind: agent.BookChanged, Pointer: first.ID}, events[0])
		require.Equal(t, agent.Event{Kind: agent.BookChanged, Pointer: bob.ID}, events[1])
		require.Contains(t, events, agent.Event{Kind: agent.BookChanged}, "of those that did not fit")
		require.NotContains(t, events, agent.Event{Kind: agent.BookChanged, Pointer: last})
		require.Contains(t, events, agent.Event{Kind: agent.RecordChanged})
		require.Contains(t, events, agent.Event{Kind: agent.NetworkChanged})
		for i, e := range events {
			require.Equal(t, i, slices.Index(events, e), "an event was yielded twice")
		}
		require.LessOrEqual(t, len(events), 1+agent.MaxPending+3)
	})
}

// Two receivers get the same events, and each what changes from its start on.
func TestReceiversAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		one := watch(t, a)
		alice := add(t, a, "alice", newKey(t).Pointer())
		two := watch(t, a)
		bob := add(t, a, "bob", newKey(t).Pointer())
		require.Equal(t, []agent.Event{{Kind: agent.BookChanged, Pointer: alice.ID}, {Kind: agent.BookChanged, Pointer: bob.ID}}, one())
		require.Equal(t, []agent.Event{{Kind: agent.BookChanged, Pointer: bob.ID}}, two())
	})
}

// Changes ends with its context, with Close, and when the receiver stops. It
// leaves neither a goroutine nor a subscription behind.
func TestChangesEnds(t *testing.T) {
	for name, end := range map[string]func(a *agent.Agent, cancel func()){
		"with its context": func(_ *agent.Agent, cancel func()) { cancel() },
		"with Close":       func(a *agent.Agent, _ func()) { _ = a.Close() },
		"with a break":     func(a *agent.Agent, _ func()) { agent.Notify(a, a.Pointer()) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), agent.Options{Create: &agent.Profile{}})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				synctest.Wait()
				before := bubbled()
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for range a.Changes(ctx) {
						break
					}
				}()
				synctest.Wait()
				require.Equal(t, 1, agent.Subscribers(a))
				end(a, cancel)
				<-ended
				synctest.Wait()
				require.Zero(t, agent.Subscribers(a))
				require.Equal(t, before, bubbled())
				require.NoError(t, closed(a, name))
				for range a.Changes(context.Background()) { // ends at once when the agent is closed
				}
			})
		})
	}
}

// What changes between the call of Changes and its iteration is yielded. A sequence
// that is not iterated is released with its context.
func TestChangesYieldsFromItsCallOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, err := agent.Open(t.Context(), filepath.Join(t.TempDir(), "home"), agent.Options{Create: &agent.Profile{}})
		require.NoError(t, err)
		defer a.Close()
		ctx, cancel := context.WithCancel(t.Context())
		changes := a.Changes(t.Context())
		_ = a.Changes(ctx)
		bob := add(t, a, "bob", newKey(t).Pointer())
		for e := range changes {
			require.Equal(t, agent.Event{Kind: agent.BookChanged, Pointer: bob.Pointer}, e)
			break
		}
		require.Equal(t, 1, agent.Subscribers(a))
		cancel()
		synctest.Wait()
		require.Zero(t, agent.Subscribers(a))
	})
}

// closed closes an agent that the test has not closed yet.
func closed(a *agent.Agent, name string) error {
	if name == "with Close" {
		return nil
	}
	return a.Close()
}

// An agent that runs reacts to what changes in the book, whatever method changed
// it: the republisher reads the book again, and messages are fetched soon.
func TestAChangeOfTheBookWakesAnAgentThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		alice, bob, dora := newKey(t), newKey(t).Pointer(), newKey(t).Pointer()
		add(t, a, "alice", alice.Pointer())
		_, err := a.Receive(introduced(t, a, alice, dora))
		require.NoError(t, err)
		_, err = a.Publish(t.Context(), draft(agent.WaitNone, func(d *agent.Draft) { d.Lifetime = 48 * time.Hour }))
		require.NoError(t, err)
		r := &refusing{own: a.Pointer()}
		usesFake(t, a, r)
		require.NoError(t, a.Start(t.Context()))
		kept := func() int {
			s, err := a.Status()
			require.NoError(t, err)
			return s.Republisher.Records
		}
		var item petname.SuggestionID
		for s, err := range a.Inbox() {
			require.NoError(t, err)
			item = s.ID
		}
		for _, step := range []struct {
			name  string
			do    func() error
			kept  int
			syncs bool
		}{
			{"add", func() error { _, err := a.Add("bob", pointer.Link{Pointer: bob}, petname.Source{}); return err }, 0, true},
			{"keep", func() error { return a.SetRepublished([]pointer.Pointer{bob, alice.Pointer()}, true) }, 2, false},
			{"rename", func() error { _, err := a.Rename("bob", "robert", petname.Source{}); return err }, 2, true},
			{"remove", func() error { _, err := a.Remove("robert"); return err }, 1, true},
			{"undo", func() error { _, err := a.Undo(); return err }, 2, true},
			{"accept", func() error { _, err := a.Accept(item, "dora", petname.Acceptance{}); return err }, 2, true},
			{"no longer keep", func() error { return a.SetRepublished([]pointer.Pointer{bob}, false) }, 1, false},
		} {
			time.Sleep(2 * agent.SyncMinInterval) // what came before is done
			synctest.Wait()
			own, others := r.counts()
			require.NoError(t, step.do(), step.name)
			synctest.Wait()
			require.Equal(t, step.kept, kept(), "%s: the republisher has read the book", step.name)
			nowOwn, _ := r.counts()
			require.Greater(t, nowOwn, own, "%s: the republisher was not woken", step.name)
			time.Sleep(2 * agent.SyncMinInterval)
			synctest.Wait()
			if _, now := r.counts(); step.syncs {
				require.Greater(t, now, others, "%s: no message was fetched", step.name)
			}
		}
		require.Less(t, time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), agent.SyncEvery, "no look was due by itself")
	})
}

// A network that is joined wakes an agent that runs: it puts what it could not.
func TestAJoinWakesTheRepublisher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := openedWith(t, agent.Options{})
		_, err := a.Publish(t.Context(), draft(agent.WaitNone, func(d *agent.Draft) { d.Lifetime = 48 * time.Hour }))
		require.NoError(t, err)
		r := &refusing{own: a.Pointer()}
		agent.SetRouter(a, routerURL, r)
		require.NoError(t, agent.HomeOf(a).SetConfig(home.Config{Network: "off"}))
		require.NoError(t, a.Start(t.Context()))
		synctest.Wait()
		own, _ := r.counts()
		require.Zero(t, own)
		err = a.Join(t.Context(), routerURL)
		require.NoError(t, err)
		synctest.Wait()
		own, _ = r.counts()
		require.NotZero(t, own)
	})
}

// A change between the call of Changes and its use is not lost: what a caller reads
// after the call is never older than the first event.
func TestChangesBeginWithTheCall(t *testing.T) {
	a := openedWith(t, agent.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changes := a.Changes(ctx)
	bob := newKey(t).Pointer()
	add(t, a, "bob", bob)
	for e := range changes {
		require.Equal(t, agent.Event{Kind: agent.BookChanged, Pointer: bob}, e)
		break
	}
	require.Zero(t, agent.Subscribers(a))
	unused, end := context.WithCancel(ctx)
	a.Changes(unused)
	require.Equal(t, 1, agent.Subscribers(a))
	end()
	require.Eventually(t, func() bool { return agent.Subscribers(a) == 0 }, patience, time.Millisecond)
}
