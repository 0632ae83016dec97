package engine

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/petname/postage"
	"github.com/petnames-go/petnames/pointer"
)

// Every error that Classify recognizes has a code, an exit status and a next
// step, however deep it is wrapped. The table is complete.
func TestClassify(t *testing.T) {
	bob, err := name.Parse("bob's")
	require.NoError(t, err)
	_, badName := name.Parse("a/b")
	tested := map[string]bool{}
	for _, test := range []struct {
		err  error
		code string
		exit int
		next string
	}{
		{badName, "bad_name", 2, ""},
		{&petname.TakenError{Name: bob}, "name_taken", 8, `petname show 'bob'\''s'`},
		{&petname.LookalikeError{}, "lookalike", 5, "choose another name, or give it all the same with --allow-lookalike"},
		{&petname.NamedError{Name: bob}, "already_named", 8, `petname rename 'bob'\''s' NEW`},
		{&petname.ConflictError{Name: bob}, "conflict", 8, "petname rename POINTER NEW, or petname rm POINTER, for one of them"},
		{&petname.DuplicityError{}, "duplicity", 6, "ask the owner, over another way, for the link"},
		{&petname.SuccessionError{Err: errors.New("unsigned")}, "succession", 6, "ask the owner, over another way, for the link"},
		{&dht.RollbackError{}, "rollback", 6, "try again, or ask the owner to publish"},
		{&pointer.ExpiredError{}, "expired", 6, "ask the owner to publish again"},
		{dht.ErrRejected, "invalid", 6, ""},
		{pointer.ErrInvalid, "invalid", 6, ""},
		{dht.ErrOlder, "older", 6, ""},
		{&ledger.DamagedError{}, "damaged", 1, "petname doctor"},
		{&dht.ShortError{}, "network", 7, "check the network and try again: petname doctor"},
		{dht.ErrUnreachable, "network", 7, "check the network and try again: petname doctor"},
		{context.DeadlineExceeded, "network", 7, "check the network and try again: petname doctor"},
		{context.Canceled, "interrupted", 130, ""},
		{&introduce.ExpiredError{}, "expired", 6, "ask who introduced them to do it again"},
		{introduce.ErrInvalid, "invalid", 6, "ask who sent it to send it again"},
		{mutual.ErrInvalid, "invalid", 6, "ask who sent it to send it again"},
		{petname.ErrStranger, "stranger", 6, "petname add NAME LINK, for who says it, if you know them"},
		{petname.ErrNotForMe, "not_for_me", 6, "ask who introduces them to do it for you"},
		{petname.ErrMuted, "muted", 8, "petname add NAME LINK, if you know better now"},
		{petname.ErrInboxFull, "inbox_full", 8, "petname inbox"},
		{petname.ErrDecided, "decided", 8, "petname inbox"},
		{peer.ErrMalformed, "usage", 2, "petname pair --help"},
		{pair.ErrOccupied, "occupied", 8, "petname invite"},
		{pair.ErrWrongCode, "wrong_code", 6, "petname invite"},
		{pair.ErrBurnt, "code_used", 6, "petname invite"},
		{pair.ErrTampered, "tampered", 6, "petname invite"},
		{pair.ErrTimeout, "timeout", 7, "petname invite"},
		{pair.ErrSelf, "own_pointer", 8, "hand it to somebody else"},
		{&pair.RefusedError{}, "refused", 6, "ask for a new invitation"},
		{pair.ErrExpired, "expired", 6, "ask for a new invitation"},
		{peer.ErrNotOut, "not_found", 3, "petname invite"},
		{peer.ErrNoSealing, "no_sealing", 3, "ask them to publish again, or give it to them as a file: -o FILE"},
		{petname.ErrChanged, "conflict", 8, "petname log"},
		{home.ErrNextElsewhere, "locked", 4, "petname key rotate --next FILE --recovery NEWFILE --passphrase-file FILE"},
		{home.ErrNextWrong, "wrong_key", 6, "give the recovery file that was written last"},
		{petname.ErrOwnPointer, "own_pointer", 8, "petname id"},
		{petname.ErrNotFound, "not_found", 3, ""},
		{dht.ErrNotFound, "not_found", 3, ""},
		{petname.ErrNothingToUndo, "not_found", 3, ""},
		{peer.ErrKnocks, "too_many", 8, "petname knock --stop POINTER"},
		{home.ErrNoHome, "no_home", 3, "petname init"},
		{home.ErrExists, "home_exists", 8, "petname id"},
		{home.ErrInside, "usage", 2, "petname init --recovery FILE --passphrase-file FILE"},
		{home.ErrLocked, "locked", 4, "give the passphrase with --passphrase-file, or on a terminal"},
		{home.ErrPassphrase, "wrong_passphrase", 4, ""},
		{ledger.ErrInUse, "in_use", 7, "wait for the other petname to end, and try again"},
		{fs.ErrExist, "exists", 8, ""},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, "disk_full", 1, "make room on the disk and try again"},
		{errors.New("else"), "failure", 1, ""},
		{Usage("bad"), "usage", 2, ""},
		{Usage("bad").With("do"), "usage", 2, "do"},
		{errOff(), "not_joined", 7, errOff().Next},
	} {
		for _, err := range []error{test.err, fmt.Errorf("while at it: %w", test.err), errors.Join(errors.New("another"), test.err)} {
			got := Classify(err)
			require.Equal(t, test.code, got.Code, "%v", err)
			require.Equal(t, test.exit, got.Exit, "%v", err)
			require.Equal(t, test.next, got.Next, "%v", err)
			require.NotEmpty(t, got.Message, "%v", err)
		}
		tested[test.code+" "+test.next] = true
		tested[test.code] = true
	}
	classes := classes(t)
	require.Greater(t, len(classes), 40)
	for _, class := range classes {
		require.True(t, tested[class], "no row of the table is %q", class)
	}
	require.Nil(t, Classify(nil))
	require.Equal(t, "expired", Classify(fmt.Errorf("%w; %w", dht.ErrUnreachable, &pointer.ExpiredError{})).Code,
		"an expired record is the stronger word")
}

// classes are the code and the next step of each error that Classify
// recognizes, read from its source. An entry has the code alone where Classify
// composes the step.
func classes(t *testing.T) (out []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	require.NoError(t, err)
	text := func(e ast.Expr) (string, bool) {
		l, ok := e.(*ast.BasicLit)
		if !ok {
			return "", false
		}
		s, err := strconv.Unquote(l.Value)
		require.NoError(t, err)
		return s, true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 3 {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "set" {
			return true
		}
		class, ok := text(call.Args[0])
		require.True(t, ok)
		if next, ok := text(call.Args[2]); ok {
			class += " " + next
		}
		out = append(out, class)
		return true
	})
	return out
}

// Arguments have bounds. A value at a bound is accepted. A value beyond it is a
// usage error and changes nothing.
func TestArgumentsHaveBounds(t *testing.T) {
	e := opened(t)
	ctx := context.Background()
	publish := func(change func(a *PublishArgs)) func() error {
		return func() error {
			a := PublishArgs{Path: "/ipfs/bafkqaaa", TTL: time.Minute, Lifetime: time.Hour, Wait: "none"}
			change(&a)
			return a.check()
		}
	}
	long := "/ipfs/bafkqaaa/" + strings.Repeat("x", maxPath)
	resolve := func(a ResolveArgs) func() error {
		return func() error {
			a.Path = e.book.Identity().String()
			_, err := e.Resolve(ctx, a)
			return err
		}
	}
	invite := func(a InviteArgs) func() error {
		return func() error { _, err := e.Invite(ctx, a); return err }
	}
	other, err := pointer.NewKey(nil)
	require.NoError(t, err)
	knock := func(a KnockArgs) func() error {
		return func() error {
			a.To = other.Pointer().String()
			_, err := e.Knock(ctx, a)
			return err
		}
	}
	for name, c := range map[string]struct{ good, bad func() error }{
		"path":          {publish(func(a *PublishArgs) { a.Path = long[:maxPath] }), publish(func(a *PublishArgs) { a.Path = long[:maxPath+1] })},
		"path's form":   {publish(func(a *PublishArgs) { a.Path = "/ipns/k51qzi5uqu5dj14f9vvbpgm71vgojks1ptxr1ucs1z2ojs8omwb4s0wbkjpnnr" }), publish(func(a *PublishArgs) { a.Path = "bafkqaaa" })},
		"lifetime":      {publish(func(a *PublishArgs) { a.Lifetime = maxLifetime }), publish(func(a *PublishArgs) { a.Lifetime = maxLifetime + 1 })},
		"no lifetime":   {publish(func(a *PublishArgs) { a.Lifetime, a.TTL = 1, 0 }), publish(func(a *PublishArgs) { a.Lifetime, a.TTL = 0, 0 })},
		"TTL":           {publish(func(a *PublishArgs) { a.TTL = time.Hour }), publish(func(a *PublishArgs) { a.TTL = time.Hour + 1 })},
		"negative TTL":  {publish(func(a *PublishArgs) { a.TTL = 0 }), publish(func(a *PublishArgs) { a.TTL = -1 })},
		"wait":          {publish(func(a *PublishArgs) { a.Wait = "all" }), publish(func(a *PublishArgs) { a.Wait = "" })},
		"timeout":       {resolve(ResolveArgs{Offline: true, Timeout: maxTimeout}), resolve(ResolveArgs{Offline: true, Timeout: maxTimeout + 1})},
		"no timeout":    {resolve(ResolveArgs{Offline: true, Timeout: 1}), resolve(ResolveArgs{Offline: true})},
		"level":         {resolve(ResolveArgs{Fresh: "strict", Timeout: patience}), resolve(ResolveArgs{Fresh: "any", Timeout: patience})},
		"fresh offline": {resolve(ResolveArgs{Fresh: "fresh", Timeout: patience}), resolve(ResolveArgs{Fresh: "fresh", Offline: true, Timeout: patience})},
		"expires":       {invite(InviteArgs{Expires: time.Minute, Uses: 1}), invite(InviteArgs{Expires: time.Minute - 1, Uses: 1})},
		"expires late":  {invite(InviteArgs{Expires: maxLifetime, Uses: 1}), invite(InviteArgs{Expires: maxLifetime + 1, Uses: 1})},
		"uses":          {invite(InviteArgs{Expires: time.Hour, Uses: pair.MaxUses}), invite(InviteArgs{Expires: time.Hour, Uses: pair.MaxUses + 1})},
		"no use":        {invite(InviteArgs{Expires: time.Hour, Uses: 1}), invite(InviteArgs{Expires: time.Hour})},
		"purpose": {invite(InviteArgs{Expires: time.Hour, Uses: 1, Purpose: strings.Repeat("x", pair.MaxPurpose)}),
			invite(InviteArgs{Expires: time.Hour, Uses: 1, Purpose: strings.Repeat("x", pair.MaxPurpose+1)})},
		"knock expires":      {knock(KnockArgs{Expires: time.Hour}), knock(KnockArgs{Expires: time.Hour - 1})},
		"knock expires late": {knock(KnockArgs{Expires: petname.MaxStrangerLife}), knock(KnockArgs{Expires: petname.MaxStrangerLife + 1})},
		"puzzles":            {knock(KnockArgs{Expires: time.Hour, Puzzles: postage.MaxPuzzles}), knock(KnockArgs{Expires: time.Hour, Puzzles: postage.MaxPuzzles + 1})},
		"negative puzzles":   {knock(KnockArgs{Expires: time.Hour}), knock(KnockArgs{Expires: time.Hour, Puzzles: -1})},
		"note": {knock(KnockArgs{Expires: time.Hour, Note: strings.Repeat("x", introduce.MaxNote)}),
			knock(KnockArgs{Expires: time.Hour, Note: strings.Repeat("x", introduce.MaxNote+1)})},
	} {
		if err := c.good(); err != nil { // the next missing thing is a network or a record
			require.Contains(t, []string{"not_joined", "not_found"}, Classify(err).Code, "%s: %v", name, err)
		}
		require.Equal(t, "usage", Classify(c.bad()).Code, name)
	}
}

// What is quoted comes out of a shell as it went in: checked by rule, since a
// quote can't be left within one.
func TestShellWord(t *testing.T) {
	for word, want := range map[string]string{
		"bob": "bob", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'", "`x`": "'`x`'", "a\nb": "'a\nb'",
		"/ip4/127.0.0.1/tcp/1": "/ip4/127.0.0.1/tcp/1", "~": "'~'", "#x": "'#x'", "é": "'é'", "\\": `'\'`, "a&b": "'a&b'",
	} {
		require.Equal(t, want, ShellWord(word))
	}
}

// What can be joined combines, in any order; what can't be is said.
func TestParseJoin(t *testing.T) {
	const peer = "/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC"
	public := len(kad.PublicBootstrap()) // which nothing dials here
	for _, test := range []struct {
		targets string
		network string
		peers   int
		routers string
	}{
		{"off", "off", 0, ""}, {"lan", "lan", 0, ""}, {"lan lan", "lan", 0, ""}, {"ipfs", "ipfs", public, ""},
		{"/ip4/127.0.0.1/tcp/4001" + peer, "peers", 1, ""},
		{"/ip4/10.0.0.1/udp/4001/quic-v1" + peer + " /ip6/::1/tcp/1" + peer, "peers", 2, ""},
		{"/ip4/127.0.0.1/tcp/1" + peer + " lan", "lan", 1, ""},
		{"ipfs /ip4/127.0.0.1/tcp/1" + peer, "ipfs", public + 1, ""},
		{"http://127.0.0.1:80", "off", 0, "http://127.0.0.1"},
		{"HTTPS://A.example/routing/v1/ http://b.example https://a.example", "off", 0, "https://a.example http://b.example"},
		{"lan http://a.example /ip4/127.0.0.1/tcp/1" + peer, "lan", 1, "http://a.example"},
		{"http://a.example ipfs", "ipfs", public, "http://a.example"},
		{"http://a.example /ip4/127.0.0.1/tcp/1" + peer, "peers", 1, "http://a.example"},
	} {
		c, err := parseJoin(strings.Fields(test.targets))
		require.NoError(t, err)
		require.Equal(t, test.network, c.Network, test.targets)
		require.Len(t, c.Bootstrap, test.peers, test.targets)
		require.Equal(t, test.routers, strings.Join(c.Routers, " "), test.targets)
		require.NotNil(t, c.Bootstrap, "[] in JSON")
		require.NotNil(t, c.Routers, "[] in JSON")
	}
	for _, bad := range []string{"x", "OFF", "ipfs lan", "off off", "off lan", "off http://a.example", "http://a.example off",
		"/ip4/127.0.0.1/tcp/1", "/ip4/300.0.0.1/tcp/1" + peer, "/ip4/127.0.0.1/tcp/1" + peer + " off", "/p2p/x",
		"http://", "http:a.example", "ftp://a.example", "http://user:secret@a.example", "https://a.example/x", "lan http://a.example:0", "a.example:80"} {
		_, err := parseJoin(strings.Fields(bad))
		require.Equal(t, ExitUsage, Classify(err).Exit, bad)
		require.NotContains(t, Classify(err).Next, "secret")
	}
}

// An address for HTTP is one of this machine, with a port.
func TestCheckHTTP(t *testing.T) {
	for _, good := range []string{"127.0.0.1:0", "localhost:8080", "[::1]:65535", "0.0.0.0:1", ":8080"} {
		require.NoError(t, checkHTTP(good), good)
	}
	for _, bad := range []string{"", "127.0.0.1", "8080", ":", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:-1", "::1:80",
		"http://127.0.0.1:80", "router.example:80", "127.0.0.1:0/x", "256.0.0.1:80", "127.0.0.1:0\n"} {
		require.Equal(t, ExitUsage, Classify(checkHTTP(bad)).Exit, "%q", bad)
	}
}

// A node on loopback is not to be had under any other name: a page of the web
// could have its own name lead there.
func TestIsLocal(t *testing.T) {
	for _, good := range []string{"127.0.0.1", "127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]", "[::1]:80", "127.9.9.9:1", "[::ffff:127.0.0.1]:1"} {
		require.True(t, isLocal(good), good)
	}
	for _, bad := range []string{"", "rebound.example", "rebound.example:8080", "localhost.example", "192.0.2.1", "127.0.0.1.example", "[2001:db8::1]:80"} {
		require.False(t, isLocal(bad), bad)
	}
}

// A node keeps the ports that it was given when it joins another network.
func TestBound(t *testing.T) {
	addrs := []string{"/ip4/127.0.0.1/tcp/4001/p2p/x", "/ip4/127.0.0.1/udp/4002/quic-v1/p2p/x", "/ip4/127.0.0.1/tcp/4003/p2p/x"}
	require.Equal(t, []string{"/ip4/127.0.0.1/tcp/4001", "/ip4/127.0.0.1/udp/4002/quic-v1", "/ip4/0.0.0.0/tcp/4003", "/ip4/1.2.3.4/tcp/9", "/dns/x"},
		bound([]string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0", "/ip4/1.2.3.4/tcp/9", "/dns/x"}, addrs))
	require.Equal(t, []string{"/ip6/::1/tcp/0"}, bound([]string{"/ip6/::1/tcp/0"}, addrs), "nothing of that kind")
}

// patience is a guard against a hang: the operations that it bounds take
// milliseconds.
const patience = 2 * time.Minute

func opened(t *testing.T) *Engine {
	dir := t.TempDir() + "/home"
	_, err := home.Create(dir, home.Plan{})
	require.NoError(t, err)
	e, err := Open(dir, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// Arguments that are none, and verbs that don't exist, are errors.
func TestDo(t *testing.T) {
	e := opened(t)
	wrong := `{"name":1,"target":1,"path":1,"names":1,"targets":1,"record":1,"label":1,"text":1,"old":1,"id":1,"to":1,"for":1,"offline":1,"next":1}`
	var takeNone []string
	for verb := range ops {
		for _, args := range []string{"", "[]", `"x"`, "{", wrong} {
			_, failed := e.Do(context.Background(), verb, []byte(args))
			switch {
			case args == wrong && (failed == nil || !strings.HasPrefix(failed.Message, "arguments: ")):
				takeNone = append(takeNone, verb)
			default:
				require.NotNil(t, failed, "%s %q", verb, args)
				require.Contains(t, failed.Message, "arguments: ", "%s %q", verb, args)
			}
		}
	}
	require.ElementsMatch(t, []string{"doctor", "id", "kept", "list", "public", "status", "undo"}, takeNone)
	_, failed := e.Do(context.Background(), "bogus", []byte("{}"))
	require.Equal(t, ExitUsage, failed.Exit)
}

// A join while a node resolves: the verb fails as one of the network, or not
// at all; nothing is interrupted, nothing races, and the addresses stay.
func TestJoinDuringResolve(t *testing.T) {
	hub, node := opened(t), opened(t)
	at, err := hub.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	before, err := node.Serve(context.Background(), []string{"/ip4/127.0.0.1/tcp/0"})
	require.NoError(t, err)
	join := func(targets ...string) {
		_, err := node.Join(context.Background(), JoinArgs{Targets: targets})
		require.NoError(t, err)
	}
	join(at.Addrs...)
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	done := make(chan *Error)
	for range 4 {
		go func() {
			var odd *Error
			for range 20 {
				_, failed := node.Do(context.Background(), "resolve", []byte(fmt.Sprintf(`{"path":%q,"fresh":"fresh","timeout":%d}`, key.Pointer(), patience)))
				if failed == nil || failed.Exit != ExitNetwork && failed.Exit != ExitNotFound {
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
	after, err := node.Status(context.Background(), NoArgs{})
	require.NoError(t, err)
	require.Equal(t, before.Addrs, after.Addrs)
	require.Equal(t, before.Peer, after.Peer)
}

// Two publications at once use two sequences.
func TestPublishTwice(t *testing.T) {
	e := opened(t)
	sequences := make(chan string, 10)
	for range 10 {
		go func() {
			out, _ := e.Do(context.Background(), "publish", []byte(fmt.Sprintf(`{"ttl":0,"lifetime":%d,"wait":"none"}`, time.Hour)))
			_, sequence, _ := strings.Cut(string(out), `"sequence":`)
			sequence, _, _ = strings.Cut(sequence, ",")
			sequences <- sequence
		}()
	}
	seen := map[string]bool{}
	for range 10 {
		seen[<-sequences] = true
	}
	require.Len(t, seen, 10)
	require.True(t, seen["10"])
}
