package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/edwards25519"
	"github.com/multiformats/go-multibase"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/petnames-go/petnames/pointer"
)

// TestScript tells the stories in testdata/script, one a file, with the command
// as a process of its own. Beside testscript's, they use
//
//	exits STATUS petname …      run it: with exactly this exit status. Every output is
//	                            checked for secrets and, with --json, for its form
//	fields NAME…                stdout is one object with exactly these fields after v, in
//	                            this order; ?NAME may be missing
//	[!] json PATH OP VALUE      in the object on stdout: = ~ (regexp) >= < len
//	get VAR PATH                the value there becomes an environment variable
//	node NAME HOME ARG…         start a node; its first line goes to stdout, an address to $NAME
//	end NAME SIGNAL STATUS      send it a signal ("none": none), wait for it, check its status
//	snapshot DIR                remember all that is in a folder …
//	unchanged DIR               … and compare
//	damage FILE cut|flip N      cut a file to N bytes (under 0: so many from the end), or flip a bit
//	repeat FILE TEXT N          write a text N times
func TestScript(t *testing.T) {
	kubo, err := filepath.Abs("../../pointer/testdata/kubo")
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("KUBO", kubo)
			e.Setenv("TZ", "UTC")
			e.Setenv("HOME", filepath.Join(e.WorkDir, "nobody"))
			e.Setenv("PETNAME_HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_RUNTIME_DIR", filepath.Join(e.WorkDir, "run"))
			e.Setenv("FIRST", firstPath)
			e.Setenv("SECOND", secondPath)
			for name, point := range badPoints(t) {
				e.Setenv(name, point)
			}
			e.Setenv("EVIL", evil)
			link, record := hostile(t)
			e.Setenv("HOSTILELINK", link.String())
			e.Setenv("HOSTILEPTR", link.Pointer.String())
			e.Setenv("HOSTILERECORD", filepath.Join(e.WorkDir, "hostile.record"))
			require.NoError(t, os.WriteFile(filepath.Join(e.WorkDir, "hostile.record"), record, 0o600))
			e.Values[nodes{}] = map[string]*background{}
			e.Values[snapshots{}] = map[string]string{}
			return nil
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "mount":
				return canMount(), nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits, "fields": fields, "json": jsonCmd, "get": get, "node": node, "end": end,
			"snapshot": snapshot, "unchanged": unchanged, "damage": damage, "repeat": repeat, "tmpfs": tmpfs,
		},
	})
}

// badPoints are pointers that look right and hold no good key: of low order,
// not in their canonical form, not on the curve.
func badPoints(t *testing.T) map[string]string {
	text := func(point []byte) string {
		s, err := multibase.Encode(multibase.Base36, append([]byte{1, 0x72, 0, 36, 8, 1, 18, 32}, point...))
		require.NoError(t, err)
		return s
	}
	first := func(encode func(i byte) []byte, good bool) string {
		for i := byte(2); i < 19; i++ {
			if _, err := new(edwards25519.Point).SetBytes(encode(i)); (err == nil) == good {
				return text(encode(i))
			}
		}
		t.Fatal("no such point")
		return ""
	}
	small := func(i byte) []byte { return append([]byte{i}, make([]byte, 31)...) }
	overflowing := func(i byte) []byte { // 2^255-19+i
		return append(append([]byte{0xed + i}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f)
	}
	return map[string]string{
		"LOWORDER": text(small(1)), "OFFCURVE": first(small, false), "NONCANONICAL": first(overflowing, true),
	}
}

// evil clears the screen, asks for a password, and turns the text round.
const evil = "\x1b[2J\x1b]0;x\x07a\r\nPassword: \u202e\u200b\x9b"

// hostile is somebody who says hostile things of itself, as far as a link and a
// record that verify let it.
func hostile(t *testing.T) (pointer.Link, []byte) {
	key, err := pointer.NewKey(nil)
	require.NoError(t, err)
	next, err := pointer.NewKey(nil)
	require.NoError(t, err)
	commitment, err := pointer.Commit(next.Public())
	require.NoError(t, err)
	link := pointer.Link{Pointer: key.Pointer(), Next: commitment}
	for _, nickname := range []string{evil, "x\nPassword: \u202e", "x\nPassword:", "Password:"} {
		link.Nickname = nickname
		if _, err := pointer.ParseLink(link.String()); err == nil {
			break
		}
	}
	var record pointer.Record
	for _, value := range []string{"/ipfs/bafkqaaa/" + evil, "/ipfs/bafkqaaa/Password:"} {
		for _, text := range []string{evil, "\u202ePassword:", "a  pointer → k51"} {
			for _, nickname := range []string{evil, "\u202ePassword:", `bob" k51qzi…kjpnnr  paired`} {
				card := pointer.Card{Nickname: nickname, Next: commitment,
					Edges: map[string]pointer.Edge{text: {Pointer: key.Pointer()}}, Links: []pointer.CardLink{{Rel: text, Target: text}}}
				record, err = pointer.Sign(key, pointer.Fields{Value: value, Sequence: 1, Expires: time.Now().Add(time.Hour), Card: &card})
				if err == nil {
					return link, record.Bytes()
				}
			}
		}
	}
	t.Fatalf("nothing hostile at all can be said: %v", err)
	return link, nil
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	status := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		status = exit.ExitCode()
	}
	if status != want {
		ts.Fatalf("exit status %d, want %d", status, want)
	}
	stdout, stderr := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	ts.Check(checkOutput(args[2:], status, stdout, stderr))
}

// checkOutput holds every output of every script to the rules.
func checkOutput(args []string, status int, stdout, stderr string) error {
	for _, out := range []string{stdout, stderr} {
		if strings.Contains(strings.ToUpper(out), "PETNAME-SECRET-KEY") {
			return errors.New("a secret key in the output")
		}
		if strings.ContainsAny(out, "\x00\x07\x08\x1b\x7f\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200b\u009b") {
			return fmt.Errorf("a control, an escape or a bidi override in the output: %q", out)
		}
	}
	if !slices.Contains(args, "--json") || slices.Contains(args, "--help") {
		return nil
	}
	if stdout != "" {
		if !strings.HasPrefix(stdout, `{"v":1`) {
			return fmt.Errorf("stdout should start with its version: %q", stdout)
		}
		if err := oneObject(stdout, &map[string]any{}); err != nil {
			return fmt.Errorf("stdout: %w", err)
		}
	} else if status == 0 || status >= 5 && status <= 8 {
		return fmt.Errorf("no object on stdout, with exit status %d", status)
	}
	if status == 0 {
		if stderr != "" {
			return fmt.Errorf("success with something on stderr: %q", stderr)
		}
		return nil
	}
	var failed struct {
		V     *int
		Error map[string]*string
	}
	if err := oneObject(stderr, &failed); err != nil {
		return fmt.Errorf("stderr: %w: %q", err, stderr)
	}
	e := failed.Error
	if failed.V == nil || *failed.V != 1 || len(e) != 3 || e["code"] == nil || e["message"] == nil || e["next"] == nil || *e["code"] == "" || *e["message"] == "" {
		return fmt.Errorf("stderr is no error object: %q", stderr)
	}
	return nil
}

// oneObject decodes exactly one object on exactly one line.
func oneObject(text string, into any) error {
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		return fmt.Errorf("should be one line")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something after the object")
	}
	return nil
}

func fields(ts *testscript.TestScript, neg bool, args []string) {
	keys, err := topLevel(ts.ReadFile("stdout"))
	ts.Check(err)
	want := append([]string{"v"}, args...)
	for _, key := range keys {
		for len(want) > 0 && strings.HasPrefix(want[0], "?") && want[0] != "?"+key {
			want = want[1:]
		}
		if len(want) == 0 || strings.TrimPrefix(want[0], "?") != key {
			ts.Fatalf("fields %v, want %v", keys, args)
		}
		want = want[1:]
	}
	for _, w := range want {
		if !strings.HasPrefix(w, "?") {
			ts.Fatalf("fields %v: %s is missing", keys, w)
		}
	}
}

// topLevel gives the keys of an object in their order.
func topLevel(text string) ([]string, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var keys []string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key.(string))
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// lookUp gives what is at a path such as contacts.0.name.
func lookUp(ts *testscript.TestScript, path string) any {
	text := ts.ReadFile("stdout")
	if rest, ok := strings.CutPrefix(path, "stderr."); ok {
		text, path = ts.ReadFile("stderr"), rest
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var at any
	ts.Check(dec.Decode(&at))
	for _, part := range strings.Split(path, ".") {
		switch v := at.(type) {
		case map[string]any:
			next, ok := v[part]
			if !ok {
				ts.Fatalf("%s: no %s in %s", path, part, text)
			}
			at = next
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(v) {
				ts.Fatalf("%s: no %s in %s", path, part, text)
			}
			at = v[i]
		default:
			ts.Fatalf("%s: no %s in %s", path, part, text)
		}
	}
	return at
}

func plain(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "null"
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func jsonCmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: json PATH OP VALUE")
	}
	at := lookUp(ts, args[0])
	got, want := plain(at), args[2]
	var ok bool
	switch args[1] {
	case "=":
		ok = got == want
	case "~":
		ok = regexp.MustCompile(want).MatchString(got)
	case ">=", "<":
		g, err := strconv.ParseFloat(got, 64)
		ts.Check(err)
		w, err := strconv.ParseFloat(want, 64)
		ts.Check(err)
		ok = (g >= w) == (args[1] == ">=")
	case "len":
		list, is := at.([]any)
		n, err := strconv.Atoi(want)
		ts.Check(err)
		ok = is && len(list) == n
	default:
		ts.Fatalf("json: no operator %q", args[1])
	}
	if ok == neg {
		ts.Fatalf("%s is %q: not %s %s", args[0], got, args[1], want)
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	ts.Setenv(args[0], plain(lookUp(ts, args[1])))
}

type (
	nodes     struct{}
	snapshots struct{}
)

// background is a running node.
type background struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	first  chan string
	done   chan struct{} // closed when it has ended
	err    error
}

const patience = 30 * time.Second // for what should take much less

func node(ts *testscript.TestScript, neg bool, args []string) {
	name, home := args[0], ts.MkAbs(args[1])
	path := petnameIn(ts.Getenv("PATH"))
	if path == "" {
		ts.Fatalf("no petname in the path")
	}
	n := startNode(path, []string{
		"HOME=" + ts.Getenv("HOME"), "XDG_RUNTIME_DIR=" + ts.Getenv("XDG_RUNTIME_DIR"), "TZ=UTC", "TMPDIR=" + ts.Getenv("TMPDIR"),
	}, append([]string{"--home", home, "node"}, args[2:]...))
	ts.Defer(func() {
		_ = n.cmd.Process.Kill()
		<-n.done
	})
	select {
	case line := <-n.first:
		fmt.Fprint(ts.Stdout(), line)
		var started struct{ Addrs []string }
		if json.Unmarshal([]byte(line), &started) == nil && len(started.Addrs) > 0 {
			ts.Setenv(name, started.Addrs[0])
		}
	case <-n.done:
		ts.Fatalf("node %s ended: %v: %s", name, n.err, n.stderr.String())
	case <-time.After(patience):
		ts.Fatalf("node %s said nothing", name)
	}
	ts.Value(nodes{}).(map[string]*background)[name] = n
}

func petnameIn(path string) string {
	for _, dir := range filepath.SplitList(path) {
		for _, name := range []string{"petname", "petname.exe"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
				return filepath.Join(dir, name)
			}
		}
	}
	return ""
}

// startNode starts a node, whose first line comes out of first.
func startNode(path string, env, args []string) *background {
	n := &background{cmd: exec.Command(path, args...), first: make(chan string, 1), done: make(chan struct{})}
	n.cmd.Env, n.cmd.Stderr = env, &n.stderr
	stdout, err := n.cmd.StdoutPipe()
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		n.err = err
		close(n.done)
		return n
	}
	go func() {
		r := bufio.NewReader(stdout)
		if line, err := r.ReadString('\n'); err == nil {
			n.first <- line
		}
		_, _ = io.Copy(io.Discard, r)
		n.err = n.cmd.Wait()
		close(n.done)
	}()
	return n
}

var signals = map[string]os.Signal{"INT": os.Interrupt, "TERM": syscall.SIGTERM, "KILL": os.Kill}

func end(ts *testscript.TestScript, neg bool, args []string) {
	n := ts.Value(nodes{}).(map[string]*background)[args[0]]
	if n == nil || len(args) != 3 {
		ts.Fatalf("usage: end NAME SIGNAL STATUS")
	}
	if args[1] != "none" {
		ts.Check(n.cmd.Process.Signal(signals[args[1]]))
	}
	began := time.Now()
	select {
	case <-n.done:
	case <-time.After(patience):
		ts.Fatalf("node %s didn't end", args[0])
	}
	ts.Logf("ended in %s", time.Since(began))
	if got := strconv.Itoa(n.cmd.ProcessState.ExitCode()); got != args[2] {
		ts.Fatalf("node %s ended with %s: %v: %s", args[0], got, n.err, n.stderr.String())
	}
	if time.Since(began) > 8*time.Second {
		ts.Fatalf("node %s took %s to end", args[0], time.Since(began))
	}
}

// fingerprint sums up all that is in a folder, or says that it isn't there.
func fingerprint(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s %s", path, info.Mode())
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %x", sha256.Sum256(content))
		}
		b.WriteByte('\n')
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return "nothing there", nil
	}
	return b.String(), err
}

func snapshot(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		sum, err := fingerprint(ts.MkAbs(arg))
		ts.Check(err)
		ts.Value(snapshots{}).(map[string]string)[arg] = sum
	}
}

func unchanged(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		before, ok := ts.Value(snapshots{}).(map[string]string)[arg]
		if !ok {
			ts.Fatalf("no snapshot of %s", arg)
		}
		sum, err := fingerprint(ts.MkAbs(arg))
		ts.Check(err)
		if sum != before {
			ts.Fatalf("%s changed:\n%s\nbefore:\n%s", arg, sum, before)
		}
	}
}

func damage(ts *testscript.TestScript, neg bool, args []string) {
	name := ts.MkAbs(args[0])
	b, err := os.ReadFile(name)
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	if n < 0 {
		n += len(b)
	}
	switch args[1] {
	case "cut":
		b = b[:n]
	case "flip":
		b[n] ^= 1
	default:
		ts.Fatalf("damage: cut or flip")
	}
	ts.Check(os.WriteFile(name, b, 0o600))
}

func repeat(ts *testscript.TestScript, neg bool, args []string) {
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(args[1], n)), 0o600))
}

// tmpfs DIR SIZE mounts a small file system for the rest of the script.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(mount(dir, args[1]))
	ts.Defer(func() { ts.Check(unmount(dir)) })
}

func mount(dir, size string) error {
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

func unmount(dir string) error { return exec.Command("umount", "-l", dir).Run() }

// canMount tries it: root in a container often may not.
var canMount = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "petname-mount-")
	if err != nil {
		return false
	}
	defer os.Remove(dir)
	return mount(dir, "64k") == nil && unmount(dir) == nil
})
