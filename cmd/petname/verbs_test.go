package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// counted is a transport that counts the nodes that it starts.
type counted struct {
	agent.Transport
	starts atomic.Int64
}

func (c *counted) Start(ctx context.Context, n agent.NodeConfig) (agent.Node, error) {
	c.starts.Add(1)
	return c.Transport.Start(ctx, n)
}

// opened returns the verbs over the agent of a new home. The agent listens on
// loopback when it is started. prepare changes the home's book before.
func opened(t *testing.T, prepare ...func(*petname.Book)) *verbs {
	v, _ := openedCounted(t, prepare...)
	return v
}

func openedCounted(t *testing.T, prepare ...func(*petname.Book)) (*verbs, *counted) {
	t.Helper()
	h, err := home.Create(filepath.Join(t.TempDir(), "home"), home.CreateOptions{})
	require.NoError(t, err)
	for _, change := range prepare {
		book, err := h.Book(petname.Options{})
		require.NoError(t, err)
		change(book)
		require.NoError(t, book.Close())
	}
	transport := &counted{Transport: libp2p.New(libp2p.Options{Timeout: patient, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})}
	a, err := agent.Open(t.Context(), h.Dir, agent.Options{Transport: transport})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, a.Close()) })
	return &verbs{agent: a}, transport
}

// started returns verbs over an agent that runs, and its status.
func started(t *testing.T) (*verbs, *nodeStatus) {
	t.Helper()
	v := opened(t)
	require.NoError(t, v.agent.Start(t.Context()))
	s, err := v.status(t.Context(), noArgs{})
	require.NoError(t, err)
	return v, s
}

// homeOf returns the folder of the verbs' agent.
func homeOf(t *testing.T, v *verbs) home.Home {
	t.Helper()
	h, err := home.Open(v.agent.Dir())
	require.NoError(t, err)
	return h
}

func newKey(t testing.TB) *pointer.Key {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key
}

// Arguments that cannot be decoded, and verbs that don't exist, are errors.
func TestDo(t *testing.T) {
	v := opened(t)
	wrong := `{"name":1,"target":1,"path":1,"names":1,"targets":1,"record":1,"label":1,"text":1,"old":1,"id":1,"to":1,"for":1,"offline":1,"next":1,"device":1,"with":1}`
	var takeNone []string
	for verb := range ops {
		for _, args := range []string{"", "[]", `"x"`, "{", wrong} {
			_, failed := v.do(context.Background(), verb, []byte(args))
			switch {
			case args == wrong && (failed == nil || !strings.HasPrefix(failed.Message, "arguments: ")):
				takeNone = append(takeNone, verb)
			default:
				require.NotNil(t, failed, "%s %q", verb, args)
				require.Contains(t, failed.Message, "arguments: ", "%s %q", verb, args)
			}
		}
	}
	require.ElementsMatch(t, []string{"devices", "doctor", "hash", "id", "kept", "list", "public", "status", "undo"}, takeNone)
	_, failed := v.do(context.Background(), "bogus", []byte("{}"))
	require.Equal(t, exitUsage, failed.Exit)
}

// A verb whose caller cancelled it reports only the cancellation. A verb fails
// for lack of a network if another verb removes that network during the call.
func TestACancelledVerbReportsTheCancellation(t *testing.T) {
	v := opened(t)
	defer delete(ops, "test")
	for name, err := range map[string]error{"cancelled": context.Canceled, "network": dht.ErrUnreachable, "deadline": context.DeadlineExceeded} {
		ops["test"] = func(*verbs, context.Context, json.RawMessage) (any, error) {
			return "found out before", fmt.Errorf("while at it: %w", err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		out, failed := v.do(gone, "test", []byte("{}"))
		require.Nil(t, out, name)
		require.Equal(t, &failure{Code: "interrupted", Message: "interrupted", Exit: exitInterrupted}, failed, name)
		out, failed = v.do(t.Context(), "test", []byte("{}"))
		require.Equal(t, `"found out before"`, string(out), name)
		require.Equal(t, "network", failed.Code, name)
		require.Equal(t, exitNetwork, failed.Exit, name)
	}
}

// Arguments have bounds. A value at a bound is accepted. A value beyond it is a
// usage error and changes nothing.
func TestArgumentsHaveBounds(t *testing.T) {
	const maxPath = 4 << 10
	v := opened(t)
	ctx := t.Context()
	publish := func(change func(a *publishArgs)) func() error {
		return func() error {
			a := publishArgs{Path: "/ipfs/bafkqaaa", TTL: time.Minute, Lifetime: time.Hour, Wait: "none"}
			change(&a)
			_, err := v.publish(ctx, a)
			return err
		}
	}
	long := "/ipfs/bafkqaaa/" + strings.Repeat("x", maxPath)
	resolve := func(a resolveArgs) func() error {
		return func() error {
			a.Path = v.agent.Pointer().String()
			_, err := v.resolve(ctx, a)
			return err
		}
	}
	invite := func(a inviteArgs) func() error {
		return func() error { _, err := v.invite(ctx, a); return err }
	}
	other := newKey(t)
	knock := func(a knockArgs) func() error {
		return func() error {
			a.To = other.Pointer().String()
			_, err := v.knock(ctx, a)
			return err
		}
	}
	sequence := func() uint64 {
		id, err := v.agent.Identity()
		require.NoError(t, err)
		return id.Sequence
	}
	flags := map[string]string{ // that the message names
		"wait": "--wait", "level": "--fresh", "fresh offline": "--offline", "expires": "--expires", "expires late": "--expires", "uses": "--uses", "no use": "--uses",
		"purpose": "--purpose", "knock expires": "--expires", "knock expires late": "--expires", "puzzles": "--puzzles", "negative puzzles": "--puzzles", "note": "--note",
	}
	for name, c := range map[string]struct{ good, bad func() error }{
		"path":          {publish(func(a *publishArgs) { a.Path = long[:maxPath] }), publish(func(a *publishArgs) { a.Path = long[:maxPath+1] })},
		"path's form":   {publish(func(a *publishArgs) { a.Path = "/ipns/k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr" }), publish(func(a *publishArgs) { a.Path = "bafkqaaa" })},
		"lifetime":      {publish(func(a *publishArgs) { a.Lifetime = agent.MaxLifetime }), publish(func(a *publishArgs) { a.Lifetime = agent.MaxLifetime + 1 })},
		"no lifetime":   {publish(func(a *publishArgs) { a.Lifetime, a.TTL = 2*time.Second, 0 }), publish(func(a *publishArgs) { a.Lifetime, a.TTL = 0, 0 })},
		"TTL":           {publish(func(a *publishArgs) { a.TTL = time.Hour }), publish(func(a *publishArgs) { a.TTL = time.Hour + 1 })},
		"negative TTL":  {publish(func(a *publishArgs) { a.TTL = 0 }), publish(func(a *publishArgs) { a.TTL = -1 })},
		"wait":          {publish(func(a *publishArgs) { a.Wait = "all" }), publish(func(a *publishArgs) { a.Wait = "" })},
		"timeout":       {resolve(resolveArgs{Offline: true, Timeout: agent.MaxTimeout}), resolve(resolveArgs{Offline: true, Timeout: agent.MaxTimeout + 1})},
		"no timeout":    {resolve(resolveArgs{Offline: true, Timeout: 1}), resolve(resolveArgs{Offline: true})},
		"level":         {resolve(resolveArgs{Fresh: "strict", Timeout: patience}), resolve(resolveArgs{Fresh: "any", Timeout: patience})},
		"fresh offline": {resolve(resolveArgs{Fresh: "fresh", Timeout: patience}), resolve(resolveArgs{Fresh: "fresh", Offline: true, Timeout: patience})},
		"expires":       {invite(inviteArgs{Expires: time.Minute, Uses: 1}), invite(inviteArgs{Expires: time.Minute - 1, Uses: 1})},
		"expires late":  {invite(inviteArgs{Expires: agent.MaxLifetime, Uses: 1}), invite(inviteArgs{Expires: agent.MaxLifetime + 1, Uses: 1})},
		"uses":          {invite(inviteArgs{Expires: time.Hour, Uses: pair.MaxUses}), invite(inviteArgs{Expires: time.Hour, Uses: pair.MaxUses + 1})},
		"no use":        {invite(inviteArgs{Expires: time.Hour, Uses: 1}), invite(inviteArgs{Expires: time.Hour})},
		"purpose": {invite(inviteArgs{Expires: time.Hour, Uses: 1, Purpose: strings.Repeat("x", pair.MaxPurpose)}),
			invite(inviteArgs{Expires: time.Hour, Uses: 1, Purpose: strings.Repeat("x", pair.MaxPurpose+1)})},
		"knock expires":      {knock(knockArgs{Expires: time.Hour}), knock(knockArgs{Expires: time.Hour - 1})},
		"knock expires late": {knock(knockArgs{Expires: agent.MaxRequestLifetime}), knock(knockArgs{Expires: agent.MaxRequestLifetime + 1})},
		"puzzles":            {knock(knockArgs{Expires: time.Hour, Puzzles: agent.MaxSolutions}), knock(knockArgs{Expires: time.Hour, Puzzles: agent.MaxSolutions + 1})},
		"negative puzzles":   {knock(knockArgs{Expires: time.Hour}), knock(knockArgs{Expires: time.Hour, Puzzles: -1})},
		"note": {knock(knockArgs{Expires: time.Hour, Note: strings.Repeat("x", introduce.MaxNote)}),
			knock(knockArgs{Expires: time.Hour, Note: strings.Repeat("x", introduce.MaxNote+1)})},
	} {
		if err := c.good(); err != nil { // the next missing thing is a network or a record
			require.Contains(t, []string{"not_joined", "not_found"}, classify(err).Code, "%s: %v", name, err)
		}
		before := sequence()
		err := c.bad()
		require.Equal(t, "usage", classify(err).Code, name)
		require.ErrorContains(t, err, flags[name], name)
		require.Equal(t, before, sequence(), name)
	}
}

// Completion suggests at most as many names as it can show.
func TestSuggestionsAreBounded(t *testing.T) {
	v := opened(t, func(b *petname.Book) {
		for i := range maxSuggestions + 1 {
			n, err := name.Parse(fmt.Sprintf("bob %d", i))
			require.NoError(t, err)
			_, err = b.Add(n, pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{Lookalike: true})
			require.NoError(t, err)
		}
	})
	out, err := v.suggest(t.Context(), findArgs{Text: "bob"})
	require.NoError(t, err)
	require.Len(t, out.Contacts, maxSuggestions)
}

// An introduction that was signed and could not be sent shows what was signed,
// beside the error. A mutual one that was not made shows nothing.
func TestAnIntroductionThatIsNotSentShows(t *testing.T) {
	v := opened(t)
	bob, err := v.agent.Add("bob", pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{})
	require.NoError(t, err)
	carol, err := v.agent.Add("carol", pointer.Link{Pointer: newKey(t).Pointer()}, petname.Source{})
	require.NoError(t, err)
	args := introduceArgs{Name: "bob", To: "carol", As: "Bob", Expires: time.Hour}
	out, err := v.introduce(t.Context(), args)
	require.Equal(t, "not_joined", classify(err).Code)
	require.NotNil(t, out)
	require.NotEmpty(t, out.ID)
	require.Equal(t, []string{bob.Pointer.String(), carol.Pointer.String(), "carol", "Bob", ""}, []string{out.Pointer, out.To, out.ToName, out.Suggested, out.Sent})
	args.Both, args.Expires = true, 0
	out, err = v.introduce(t.Context(), args)
	require.ErrorIs(t, err, mutual.ErrInvalid)
	require.Nil(t, out)
}
