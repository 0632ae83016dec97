package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// TestScript runs the scripts in testdata/script, with the command as a separate
// process. In addition to the commands of testscript, the scripts use
//
//	exits STATUS petname …      run it: with exactly this exit status. Every output is
//	                            checked for secrets and, with --json, for its form
//	fields NAME…                stdout is one object with exactly these fields after v, in
//	                            this order; ?NAME may be missing
//	[!] json PATH OP VALUE      in the object on stdout: = ~ (regexp) >= < len
//	get VAR PATH                the value there becomes an environment variable
//	node NAME HOME ARG…         start a node; its first line goes to stdout, an address to $NAME
//	start NAME HOME ARG…        run another verb that takes its time, likewise
//	wrongcode VAR CODE          a code for the same place with other secret words
//	end NAME SIGNAL STATUS      send it a signal ("none": none), wait for it, check its status
//	snapshot DIR                remember all that is in a folder …
//	unchanged DIR               … and compare
//	damage FILE cut|flip N      cut a file to N bytes (under 0: from the end), or flip a bit
//	repeat FILE TEXT N          write a text N times
//	falselink VAR LINK          the link with a commitment to an attacker's key
//	falsestep VAR FILE POINTER  an attacker's record with a step to its pointer, in $VAR
//	signcard SEED N VAR NEXT FILE   the record of a key with sequence N and the Nth next key
//	badrouter VAR KIND [FILE]   start an HTTP router that misbehaves, its URL to $VAR
//	[!] wasasked VAR            whether anything asked it since the last time
//	fits COLUMNS FILE           no row in it is wider, but for what is copied whole
//	fetch STATUS METHOD URL [TYPE FILE]   send a request, the answer's body to stdout
func TestScript(t *testing.T) {
	p := scripts(t)
	p.Dir = "testdata/script"
	testscript.Run(t, p)
}

// scripts is all but the scripts.
func scripts(t *testing.T) testscript.Params {
	kubo, err := filepath.Abs("../../pointer/testdata/kubo")
	require.NoError(t, err)
	return testscript.Params{
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("KUBO", kubo)
			e.Setenv("TZ", "UTC")
			e.Setenv("GOGC", "400") // see lawtest.CollectRarely
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
			for name, link := range craftyLinks(t) {
				e.Setenv("LINK_"+name, link)
			}
			e.Setenv("EOT", "\x04") // ends input at a terminal
			e.Setenv("TENKILOBYTES", "z"+strings.Repeat("\u0335", 5<<10))
			marks, ofMarks := marksRecord(t)
			e.Setenv("MARKSPTR", ofMarks.String())
			e.Setenv("MARKSRECORD", filepath.Join(e.WorkDir, "marks.record"))
			require.NoError(t, os.WriteFile(filepath.Join(e.WorkDir, "marks.record"), marks, 0o600))
			e.Setenv("HOSTILELINK", link.String())
			e.Setenv("HOSTILEPTR", link.Pointer.String())
			e.Setenv("HOSTILERECORD", filepath.Join(e.WorkDir, "hostile.record"))
			require.NoError(t, os.WriteFile(filepath.Join(e.WorkDir, "hostile.record"), record, 0o600))
			e.Values[nodes{}] = map[string]*background{}
			e.Values[snapshots{}] = map[string]string{}
			e.Values[routers{}] = map[string]*atomic.Int64{}
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
			"exits": exits, "fields": fields, "json": jsonCmd, "get": get, "node": node, "start": startCmd, "wrongcode": wrongCode, "end": end,
			"snapshot": snapshot, "unchanged": unchanged, "damage": damage, "repeat": repeat, "tmpfs": tmpfs,
			"falselink": falseLink, "falsestep": falseStep, "signcard": signCard,
			"badrouter": badRouter, "wasasked": wasAsked, "fetch": fetch, "fits": fits,
		},
	}
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

type (
	nodes     struct{}
	snapshots struct{}
)

// fingerprint summarizes the content of a folder, or states that it does not exist.
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

func wrongCode(ts *testscript.TestScript, neg bool, args []string) {
	words := strings.Split(args[1], "-")
	last := len(words) - 1 // a code of a device has one more
	words[last-1], words[last] = words[last], "zoo"
	ts.Setenv(args[0], strings.Join(words, "-"))
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
