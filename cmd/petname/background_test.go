package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// background is a node that runs, or another verb that takes its time.
type background struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
	first  chan string
	line   string        // the first line, once serving has read it
	done   chan struct{} // closed when it has ended
	err    error
}

// patience is a guard against a hang, and is no promise about time: the
// operations that it bounds take milliseconds on a quiet machine.
const patience = 3 * time.Minute

func node(ts *testscript.TestScript, neg bool, args []string) {
	line := start(ts, args[0], append([]string{"--home", ts.MkAbs(args[1]), "node"}, args[2:]...))
	var started struct{ Addrs []string }
	if json.Unmarshal([]byte(line), &started) == nil && len(started.Addrs) > 0 {
		ts.Setenv(args[0], started.Addrs[0])
	}
}

// startCmd is start as a command of scripts.
func startCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: start NAME HOME ARG…")
	}
	start(ts, args[0], append([]string{"--home", ts.MkAbs(args[1])}, args[2:]...))
}

// start runs petname until it is stopped, and returns its first line of output.
func start(ts *testscript.TestScript, name string, args []string) (line string) {
	path := petnameIn(ts.Getenv("PATH"))
	if path == "" {
		ts.Fatalf("no petname in the path")
	}
	n := startNode(path, []string{
		"HOME=" + ts.Getenv("HOME"), "XDG_RUNTIME_DIR=" + ts.Getenv("XDG_RUNTIME_DIR"), "TZ=UTC", "TMPDIR=" + ts.Getenv("TMPDIR"), "PETNAME_TEST_CLOCK=" + ts.Getenv("PETNAME_TEST_CLOCK"),
	}, args)
	ts.Defer(func() {
		_ = n.cmd.Process.Kill()
		<-n.done
	})
	select {
	case line = <-n.first:
		fmt.Fprint(ts.Stdout(), line)
	case <-n.done:
		ts.Fatalf("%s ended: %v: %s", name, n.err, n.stderr.String())
	case <-time.After(patience):
		ts.Fatalf("%s said nothing", name)
	}
	ts.Value(nodes{}).(map[string]*background)[name] = n
	return line
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

// startNode starts a node. The channel first receives its first line of output.
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
		ts.Fatalf("usage: end NAME SIGNAL STATUS[|STATUS]")
	}
	if args[1] != "none" {
		ts.Check(n.cmd.Process.Signal(signals[args[1]]))
	}
	select {
	case <-n.done:
	case <-time.After(patience):
		ts.Fatalf("node %s didn't end", args[0])
	}
	if got := strconv.Itoa(n.cmd.ProcessState.ExitCode()); !slices.Contains(strings.Split(args[2], "|"), got) {
		ts.Fatalf("node %s ended with %s: %v: %s", args[0], got, n.err, n.stderr.String())
	}
}
