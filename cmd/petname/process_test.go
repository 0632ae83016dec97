package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age/armor"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/lawtest"
)

// process returns the command as a separate process: it runs this test binary.
func process(t testing.TB, args ...string) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), "PETNAME_TEST_RUN=1")
	return cmd
}

// result is the exit status and the output of a verb.
type result struct {
	exit   int
	stdout string
	stderr string
}

func (r result) failure(t testing.TB) failure {
	var failed struct{ Error failure }
	require.NoError(t, json.Unmarshal([]byte(r.stderr), &failed), "%q", r.stderr)
	return failed.Error
}

// verb runs a verb in this process.
func verb(home string, args ...string) result {
	var stdout, stderr bytes.Buffer
	exit := run(context.Background(), append([]string{"--home", home}, args...), strings.NewReader(""), &stdout, &stderr)
	return result{exit, stdout.String(), stderr.String()}
}

// run runs a verb in this process, with the bounds of a busy machine.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, timeout: patient}
	return a.run(args)
}

// began starts a verb in a separate process.
func began(t testing.TB, home string, args ...string) (cmd *exec.Cmd, end func() result) {
	cmd = process(t, append([]string{"--home", home}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Start())
	return cmd, sync.OnceValue(func() result {
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Errorf("%v: %v", args, err)
		}
		return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	})
}

func newHome(t testing.TB) string {
	home := filepath.Join(lawtest.FastDir(t), "home")
	r := verb(home, "init")
	require.Zero(t, r.exit, r.stderr)
	return home
}

func newPointer(t testing.TB) string {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	return key.Pointer().String()
}

// names returns the pointers of all contacts in a book, by name.
func names(t testing.TB, home string) map[string]string {
	r := verb(home, "list", "--json")
	require.Zero(t, r.exit, r.stderr)
	var out contactList
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
	all := map[string]string{}
	for _, c := range out.Contacts {
		all[c.Name] = c.Pointer
	}
	return all
}

// times returns the number of repetitions of a random test.
func times(usually int) int {
	if lawtest.Long() {
		return 4 * usually
	}
	return usually
}

// killer starts verbs and kills them at random moments.
type killer struct {
	random *rand.Rand
	within time.Duration // the window of these moments: about half of the verbs end before, on a machine of any speed
}

func newKiller(seed uint64) *killer {
	return &killer{rand.New(rand.NewPCG(seed, seed)), 100 * time.Millisecond}
}

// killed starts a verb and kills it, unless it ends first.
func (k *killer) killed(t *testing.T, home string, args ...string) result {
	cmd, end := began(t, home, args...)
	timer := time.AfterFunc(time.Duration(k.random.Int64N(int64(k.within))), func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	r := end()
	if r.exit == 0 {
		k.within = max(k.within*3/4, time.Microsecond)
	} else {
		k.within = min(k.within*4/3, time.Minute)
	}
	return r
}

// If add is killed at any moment, no confirmed contact is lost, and the book opens.
func TestKilledAdd(t *testing.T) {
	t.Parallel()
	killer := newKiller(1)
	home := newHome(t)
	confirmed := map[string]string{}
	cut, unconfirmed := 0, 0
	for i := range times(50) {
		name, p := fmt.Sprintf("name%d", i), newPointer(t)
		if r := killer.killed(t, home, "add", name, p); r.exit == 0 {
			confirmed[name] = p
		} else {
			cut++
		}
		have := names(t, home)
		for name, p := range confirmed {
			require.Equal(t, p, have[name], "round %d: %s was confirmed", i, name)
		}
		if have[name] != "" && confirmed[name] == "" { // durable, but it had no time to say so
			require.Equal(t, p, have[name])
			confirmed[name] = p
			unconfirmed++
		}
		require.Len(t, have, len(confirmed), "round %d", i)
	}
	require.NotZero(t, cut, "none was killed in time: nothing was tested")
	require.NotEmpty(t, confirmed, "every verb was killed in time: nothing was tested")
	t.Logf("within %s: %d killed, %d of them after the entry was durable, %d names", killer.within, cut, unconfirmed, len(confirmed))
	r := verb(home, "log", "--verify")
	require.Zero(t, r.exit, r.stderr)
	r = verb(home, "doctor")
	require.Zero(t, r.exit, r.stderr)
}

// If init is killed at any moment, it leaves a home, or none, which the verbs report.
func TestKilledInit(t *testing.T) {
	t.Parallel()
	killer := newKiller(2)
	whole, none, cut := 0, 0, 0
	for range times(30) {
		home := filepath.Join(t.TempDir(), "home")
		first := killer.killed(t, home, "init")
		id := verb(home, "id", "--json")
		if id.exit == 0 {
			whole++
			require.Equal(t, exitConflict, verb(home, "init", "--json").exit)
			require.Zero(t, verb(home, "doctor").exit)
			continue
		}
		require.NotZero(t, first.exit, "it was confirmed")
		require.Equal(t, "no_home", id.failure(t).Code, id.stderr)
		again := verb(home, "init", "--json")
		if again.exit == 0 {
			none++
			continue
		}
		cut++
		require.Equal(t, exitConflict, again.exit)
		require.Contains(t, again.failure(t).Message, "cut short")
	}
	require.NotZero(t, whole, "every verb was killed in time: nothing was tested")
	require.NotZero(t, none+cut, "none was killed in time: nothing was tested")
	t.Logf("within %s: %d whole, %d nothing yet, %d cut short", killer.within, whole, none, cut)
}

// Ten concurrent verbs succeed, without a node and with one, and no change is lost.
func TestParallelAdds(t *testing.T) {
	t.Parallel()
	for _, withNode := range []bool{false, true} {
		t.Run(fmt.Sprintf("node=%v", withNode), func(t *testing.T) {
			t.Parallel()
			home := newHome(t)
			if withNode {
				serving(t, home)
			}
			want := map[string]string{}
			var ends []func() result
			for i := range 10 {
				name, p := fmt.Sprintf("name%d", i), newPointer(t)
				want[name] = p
				_, end := began(t, home, "add", name, p, "--json")
				ends = append(ends, end)
			}
			for _, end := range ends {
				r := end()
				require.Zero(t, r.exit, r.stderr)
			}
			require.Equal(t, want, names(t, home))
		})
	}
}

// Of ten concurrent verbs that assign one name, one succeeds, and the others fail.
func TestParallelSameName(t *testing.T) {
	t.Parallel()
	home := newHome(t)
	var ends []func() result
	for range 10 {
		_, end := began(t, home, "add", "bob", newPointer(t), "--json")
		ends = append(ends, end)
	}
	won := 0
	for _, end := range ends {
		r := end()
		if r.exit == 0 {
			won++
			continue
		}
		require.Equal(t, exitConflict, r.exit, r.stderr)
		require.Equal(t, "name_taken", r.failure(t).Code)
	}
	require.Equal(t, 1, won)
}

// serving runs a node of a home in a process of its own until the test ends.
func serving(t testing.TB, home string, args ...string) *background {
	cmd := process(t)
	n := startNode(cmd.Path, cmd.Env, append([]string{"--home", home, "node"}, args...))
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.done
	})
	select {
	case n.line = <-n.first:
	case <-n.done:
		t.Fatalf("the node ended: %v: %s", n.err, n.stderr.String())
	case <-time.After(patience):
		t.Fatal("the node said nothing")
	}
	return n
}

// silent returns a bootstrap address that accepts connections and sends nothing: a verb
// that sends it a request waits until its deadline. A channel reports each connection.
func silent(t *testing.T) (addr string, asked <-chan struct{}) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	hit := make(chan struct{}, 100)
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, c)
			hit <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	port := l.Addr().(*net.TCPAddr).Port
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/12D3KooWGQh4PZmNNXHpLHPVGNWQx9VHjKVWcMVLwMtHaSd7LqKC", port), hit
}

// If a node is killed or stopped while it runs a verb, the verb fails with an error
// that states this, and the next verbs are not affected.
func TestNodeEndsMidVerb(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("signals")
	}
	for _, how := range []string{"KILL", "TERM"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			home := newHome(t)
			n := serving(t, home)
			require.Zero(t, verb(home, "add", "bob", newPointer(t)).exit)
			addr, asked := silent(t)
			_, end := began(t, home, "join", addr, "--json") // through the node, which now waits for an answer
			<-asked
			require.NoError(t, n.cmd.Process.Signal(signals[how]))
			r := end()
			require.NotZero(t, r.exit)
			require.NotEmpty(t, r.failure(t).Message)
			ended(t, n)
			if how == "TERM" {
				require.Zero(t, n.cmd.ProcessState.ExitCode(), n.stderr.String())
			}
			require.Contains(t, names(t, home), "bob")
			require.Zero(t, verb(home, "add", "carol", newPointer(t)).exit)
			require.Zero(t, verb(home, "log", "--verify").exit)
		})
	}
}

// A verb that is interrupted while it waits for the network ends at once with status
// 130, in its own process and in a node, which continues to run.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("signals")
	}
	for _, withNode := range []bool{false, true} {
		for _, args := range [][]string{{"join"}, {"resolve", "bob", "--timeout", "60s", "--json"}, {"publish", "--json"}} {
			if withNode && args[0] != "join" {
				continue // a node has just found out that nobody is there, and fails at once
			}
			t.Run(fmt.Sprintf("%s/node=%v", args[0], withNode), func(t *testing.T) {
				t.Parallel()
				home := newHome(t)
				require.Zero(t, verb(home, "add", "bob", newPointer(t)).exit)
				addr, asked := silent(t)
				var n *background
				if args[0] == "join" {
					args = []string{"join", addr, "--json"}
				} else {
					config := fmt.Sprintf("network = \"peers\"\nbootstrap = [%q]\n", addr)
					require.NoError(t, os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o600))
				}
				if withNode {
					n = serving(t, home)
				}
				for len(asked) > 0 {
					<-asked
				}
				cmd, end := began(t, home, args...)
				select {
				case <-asked:
				case <-time.After(patience):
					t.Fatal("the network was never asked")
				}
				require.NoError(t, cmd.Process.Signal(os.Interrupt))
				r := end()
				require.Equal(t, exitInterrupted, r.exit, "%s %s", r.stdout, r.stderr)
				require.Equal(t, "interrupted", r.failure(t).Code)
				require.Empty(t, r.stdout)
				if n != nil {
					require.Contains(t, names(t, home), "bob")
					require.Zero(t, verb(home, "node", "status").exit)
				}
			})
		}
	}
}

// The node stores a record that was published with --wait none.
func TestPublishLater(t *testing.T) {
	t.Parallel()
	hub, home := newHome(t), newHome(t)
	cmd := process(t)
	n := startNode(cmd.Path, cmd.Env, []string{"--home", hub, "node", "--json"})
	t.Cleanup(func() {
		_ = n.cmd.Process.Kill()
		<-n.done
	})
	var started struct{ Addrs []string }
	require.NoError(t, json.Unmarshal([]byte(<-n.first), &started))
	serving(t, home)
	r := verb(home, "join", started.Addrs[0])
	require.Zero(t, r.exit, r.stderr)
	r = verb(home, "publish", firstPath, "--wait", "none", "--json")
	require.Zero(t, r.exit, r.stderr)
	var out published
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
	// A third person resolves it as soon as it is stored.
	other := newHome(t)
	require.Zero(t, verb(other, "join", started.Addrs[0]).exit)
	require.Eventually(t, func() bool {
		return verb(other, "resolve", out.Pointer).exit == 0
	}, patience, 10*time.Millisecond)
}

// init locks files with age's default work factor: about a second for each
// guess.
func TestAPassphraseIsLockedWithAgesDefaultWorkFactor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	require.NoError(t, os.WriteFile(pass, []byte("horse\n"), 0o600))
	_, end := began(t, filepath.Join(dir, "home"), "init", "--passphrase-file", pass)
	r := end()
	require.Zero(t, r.exit, r.stderr)
	b, err := os.ReadFile(filepath.Join(dir, "home", "identity.key"))
	require.NoError(t, err)
	plain, err := io.ReadAll(armor.NewReader(bytes.NewReader(b[bytes.Index(b, []byte(armor.Header)):])))
	require.NoError(t, err)
	stanza := bytes.SplitN(plain, []byte("\n"), 3)[1]
	require.Regexp(t, `^-> scrypt [A-Za-z0-9+/]+ 18$`, string(stanza))
}
