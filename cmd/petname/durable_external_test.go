//go:build external && linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each verb that changes a home runs as a separate process. Before it writes
// its result to stdout it has synced every file that it wrote in the home, and
// every folder in which it created names. The test observes system calls with
// strace, so this covers the database of the book as well. It needs strace
// (Debian: strace).
func TestAVerbSyncsItsFilesBeforeItsResult(t *testing.T) {
	strace, err := exec.LookPath("strace")
	require.NoError(t, err, "strace is needed")
	root := t.TempDir()
	home, secret := filepath.Join(root, "a", "home"), filepath.Join(t.TempDir(), "passphrase")
	require.NoError(t, os.WriteFile(secret, []byte("horse\n"), 0o600))
	next, after, record := filepath.Join(root, "next.key"), filepath.Join(root, "after.key"), filepath.Join(root, "mine.record")
	letter := filepath.Join(root, "letter")
	for _, c := range []struct {
		args   []string
		writes []string // at least these, under the root
	}{
		{[]string{"init", "--passphrase-file", secret, "--recovery", next}, []string{"next.key", "a/home/identity.key",
			"a/home/device.key", "a/home/peer.key", "a/home/sealing.key", "a/home/ledger.db"}},
		{[]string{"add", "bob", newPointer(t)}, []string{"a/home/ledger.db"}},
		{[]string{"rename", "bob", "carol"}, []string{"a/home/ledger.db"}},
		{[]string{"add", "dave", newPointer(t)}, []string{"a/home/ledger.db"}},
		{[]string{"introduce", "dave", "--to", "carol", "--as", "dave", "-o", letter, "--passphrase-file", secret}, []string{"letter", "a/home/ledger.db", "a/home/post.db"}},
		{[]string{"publish", firstPath, "--wait", "none", "--passphrase-file", secret}, []string{"a/home/ledger.db", "a/home/records/*.record"}},
		{[]string{"record", "export", "-o", record}, []string{"mine.record"}},
		{[]string{"record", "export", "-o", record, "--force"}, []string{"mine.record"}}, // replaces the existing file
		{[]string{"join", "off"}, []string{"a/home/config.toml"}},
		{[]string{"key", "rotate", "--next", next, "--recovery", after, "--passphrase-file", secret},
			[]string{"after.key", "a/home/identity.key", "a/home/sealing.key", "a/home/records/*.record"}},
	} {
		log := filepath.Join(t.TempDir(), "strace")
		s := &syncs{root: root, known: map[string]bool{}, content: map[string]int{}, unsynced: map[string]bool{}, ever: map[string]bool{}, began: map[string]int{}}
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			s.known[path] = true
			return err
		}))
		cmd := process(t, append([]string{"--home", home}, c.args...)...)
		cmd.Args = append([]string{strace, "-f", "--seccomp-bpf", "-y", "-qq", "-s", "0", "-e", "signal=none", "-o", log, "-e",
			"trace=fsync,fdatasync,openat,mkdir,mkdirat,link,linkat,rename,renameat,renameat2,unlink,unlinkat," +
				"write,writev,pwrite64,pwritev,pwritev2,ftruncate"}, cmd.Args...)
		cmd.Path = strace
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.NoError(t, cmd.Run(), "%v: %s%s", c.args, &stdout, &stderr)
		b, err := os.ReadFile(log)
		require.NoError(t, err)
		for line := range strings.Lines(string(b)) {
			s.call(line)
		}
		s.check("at the end")
		require.Empty(t, s.faults, "%v", c.args)
		require.True(t, s.shown, "%v: it wrote its result", c.args)
		for _, pattern := range c.writes {
			require.True(t, slices.ContainsFunc(s.written(), func(name string) bool {
				ok, _ := filepath.Match(filepath.Join(root, pattern), name)
				return ok
			}), "%v: %s was written, of %v", c.args, pattern, s.written())
		}
	}
}

// When a sync of a file, of a folder, or of the book's database fails, the verb
// fails and reports the reason.
func TestAVerbReportsASyncThatFails(t *testing.T) {
	strace, err := exec.LookPath("strace")
	require.NoError(t, err, "strace is needed")
	home := newHome(t)
	require.Zero(t, verb(home, "publish", firstPath, "--wait", "none").exit)
	for name, c := range map[string]struct {
		call, path string // path: only of this file or folder
		args       []string
	}{
		"a file":          {"fsync", "", []string{"join", "off"}},
		"the home":        {"fsync", home, []string{"join", "off"}},
		"another folder":  {"fsync", filepath.Dir(home), []string{"record", "export", "-o", filepath.Join(filepath.Dir(home), "mine.record")}},
		"the records":     {"fsync", filepath.Join(home, "records"), []string{"publish", firstPath, "--wait", "none"}},
		"the database":    {"fdatasync", "", []string{"add", "bob", newPointer(t)}},
		"a database file": {"fdatasync", filepath.Join(home, "ledger.db"), []string{"add", "carol", newPointer(t)}},
	} {
		cmd := process(t, append([]string{"--home", home}, c.args...)...)
		args := []string{strace, "-f", "-qq", "-o", filepath.Join(t.TempDir(), "strace"), "-e", "signal=none",
			"-e", "trace=" + c.call, "-e", "inject=" + c.call + ":error=EIO"}
		if c.path != "" {
			args = append(args, "-P", c.path)
		}
		cmd.Args, cmd.Path = append(args, cmd.Args...), strace
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		require.Error(t, cmd.Run(), "%s: %s", name, &stdout)
		require.Contains(t, stderr.String(), "input/output error", name)
	}
}

// Whichever sync of the book's database fails, at the beginning of a commit or at its end, the verb
// ends, and the home is whole: the verbs after it work. An exit of 0 means that the change is
// there, and the advice to try again that it is not.
func TestAVerbEndsWhicheverSyncFails(t *testing.T) {
	strace, err := exec.LookPath("strace")
	require.NoError(t, err, "strace is needed")
	for name, args := range map[string][]string{
		"add": {"add", "carol", newPointer(t)}, "rename": {"rename", "bob", "ben"}, "rm": {"rm", "bob"}, "undo": {"undo"},
		"publish": {"publish", secondPath, "--wait", "none"}, "rotate": {"key", "rotate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failures := 0
			for at := range 8 { // of each thread
				home := newHome(t)
				require.Zero(t, verb(home, "add", "bob", newPointer(t)).exit)
				require.Zero(t, verb(home, "publish", firstPath, "--wait", "none").exit)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				log := filepath.Join(t.TempDir(), "strace")
				cmd := exec.CommandContext(ctx, strace, "-f", "-qq", "-o", log, "-e", "signal=none", "-e", "trace=fdatasync",
					"-e", fmt.Sprint("inject=fdatasync:error=ENOSPC:when=", at+1))
				before := stateOf(t, home)
				own := process(t, append([]string{"--home", home}, args...)...)
				cmd.Args, cmd.Env = append(cmd.Args, own.Args...), own.Env
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				err := cmd.Run()
				require.NoError(t, ctx.Err(), "sync %d: the verb does not end", at)
				calls, rerr := os.ReadFile(log)
				require.NoError(t, rerr)
				changed := stateOf(t, home) != before
				switch {
				case err == nil:
					require.True(t, changed, "sync %d: the verb succeeded without its change", at)
				case strings.Contains(stderr.String(), "try again\n"):
					require.False(t, changed, "sync %d: the change is there: %s", at, &stderr)
				}
				require.NotContains(t, stderr.String(), "not known whether", "sync %d: the ledger can look", at)
				for _, after := range [][]string{{"list"}, {"log", "--verify"}, {"add", "dave", newPointer(t)}, {"id"}} {
					r := verb(home, after...)
					require.Zero(t, r.exit, "sync %d, then %v: %s", at, after, r.stderr)
				}
				if err != nil && strings.Contains(stderr.String(), "no space left") {
					require.Contains(t, string(calls), "(INJECTED)")
					failures++
				}
			}
			require.Positive(t, failures, "a sync that failed was reported")
		})
	}
}

// stateOf returns what the verbs show of a home: its names, its pointer, and the sequence that it
// published last.
func stateOf(t *testing.T, home string) string {
	var id struct {
		Pointer  string
		Sequence uint64
	}
	r := verb(home, "id", "--json")
	require.Zero(t, r.exit, r.stderr)
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &id))
	return fmt.Sprint(id, names(t, home))
}

// syncs records which files under root the system calls made durable.
type syncs struct {
	root     string
	n        int             // calls so far
	known    map[string]bool // existing names
	content  map[string]int  // files with unsynced content, and the number of the last write
	unsynced map[string]bool // unsynced names
	ever     map[string]bool // files that were written at any time
	began    map[string]int  // syncs in progress, by thread
	shown    bool            // stdout has been written to
	faults   []string
}

var (
	straceLine = regexp.MustCompile(`^(\d+) +(<\.\.\. )?(\w+)[( ](.*)$`)
	straceFD   = regexp.MustCompile(`^(\d+)<([^>]*)>`)
	straceName = regexp.MustCompile(`"([^"]*)"`)
	straceEnd  = regexp.MustCompile(`, (\d+), (\d+)(\)| <unfinished)`)
)

func (s *syncs) call(line string) {
	m := straceLine.FindStringSubmatch(strings.TrimSpace(line))
	if m == nil {
		s.faults = append(s.faults, "not understood: "+line)
		return
	}
	s.n++
	thread, resumed, name, rest := m[1], m[2] != "", m[3], m[4]
	unfinished, failed := strings.HasSuffix(rest, "<unfinished ...>"), strings.Contains(rest, ") = -1 ")
	switch name {
	case "fsync", "fdatasync":
		if !resumed {
			fd := straceFD.FindStringSubmatch(rest)
			s.began[thread+fd[2]] = s.n
			if !unfinished && !failed {
				s.synced(fd[2], s.n)
			}
			return
		}
		for key, n := range s.began {
			if path, ok := strings.CutPrefix(key, thread+"/"); ok && !failed {
				s.synced("/"+path, n)
			}
		}
	case "write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate":
		fd := straceFD.FindStringSubmatch(rest)
		if resumed || fd == nil {
			return
		}
		if fd[1] == "1" && !s.shown {
			s.shown = true
			s.check("when the result was written")
		}
		s.write(fd[2], rest)
	case "openat", "mkdir", "mkdirat", "link", "linkat", "rename", "renameat", "renameat2", "unlink", "unlinkat":
		// A call that another thread interrupted has its names in the first line.
		if !resumed && !failed {
			s.names(name, straceName.FindAllStringSubmatch(rest, 2), rest)
		}
	}
}

// write records a write. The ledger's sweep of free pages and its mark of a
// clean end need not be durable; the ledger's crash tests check that. They are
// the only writes to the ledger of less than a page.
func (s *syncs) write(path, rest string) {
	if !strings.HasPrefix(path, s.root+"/") {
		return
	}
	s.ever[path] = true
	if strings.HasPrefix(filepath.Base(path), "ledger.db") && strings.Contains(rest, `""`) {
		at := straceEnd.FindStringSubmatch(rest)
		length, _ := strconv.Atoi(at[1])
		offset, _ := strconv.Atoi(at[2])
		if length < 512 {
			return
		}
		// The page that makes a commit count is written after its data is synced.
		if _, dirty := s.content[path]; length == os.Getpagesize() && offset < 2*length && dirty {
			s.faults = append(s.faults, path+": the meta page was written before the data was synced")
		}
	}
	s.content[path] = s.n
}

func (s *syncs) names(call string, names [][]string, rest string) {
	if len(names) == 0 {
		return
	}
	first, last := names[0][1], names[len(names)-1][1]
	switch {
	case !strings.HasPrefix(last, s.root+"/"):
	case call == "openat":
		if strings.Contains(rest, "O_CREAT") && !s.known[first] {
			s.known[first], s.unsynced[first] = true, true
		}
	case strings.HasPrefix(call, "unlink"):
		delete(s.known, first)
		delete(s.unsynced, first)
		delete(s.content, first)
	case strings.HasPrefix(call, "mkdir"):
		s.known[first], s.unsynced[first], s.ever[first] = true, true, true
	default: // link, rename
		s.known[last], s.unsynced[last], s.ever[last] = true, true, true
		if n, ok := s.content[first]; ok {
			s.content[last] = n
		} else {
			delete(s.content, last)
		}
		if strings.HasPrefix(call, "rename") {
			delete(s.known, first)
			delete(s.unsynced, first)
			delete(s.content, first)
		}
	}
}

// synced records the end of a sync of a file or a folder that began at the
// given call.
func (s *syncs) synced(path string, began int) {
	if n, ok := s.content[path]; ok && n < began {
		delete(s.content, path)
	}
	for name := range s.unsynced {
		if filepath.Dir(name) == path {
			delete(s.unsynced, name)
		}
	}
}

func (s *syncs) check(when string) {
	for path := range s.content {
		s.faults = append(s.faults, path+": its content is not synced "+when)
	}
	for path := range s.unsynced {
		if s.ever[path] { // a lock file need not be durable
			s.faults = append(s.faults, path+": its name is not synced "+when)
		}
	}
}

func (s *syncs) written() []string {
	var all []string
	for path := range s.ever {
		all = append(all, path)
	}
	return all
}
