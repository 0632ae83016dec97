//go:build external && linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// commandNames are petnames that a shell runs as a command, or reads as one, if it
// does not quote them. Each command makes a file.
var commandNames = []string{
	"$(touch ran1) a", "$(touch ran1) b", "`touch ran2` a", "`touch ran2` b", "(touch ran3) a", "(touch ran3) b", "x;touch ran4;", "x&touch ran5&", "x|touch ran6", "x\n", "y\\$(touch ran7)", "y'$(touch ran8)'", "y\"$(touch ran9)\"",
	"z$(touch${IFS}ran10)", "{a,b}", "é $(touch ran11)", "*", "!!", "$HOME", "~root", "#x", "<x", ">ran12", "%self", "=ls", "q: $(touch ran13)", "O'Brien", "Bob (work)", "Ann & Tom",
}

// In the real shells, at a terminal, TAB after every beginning of a petname runs
// none of it, whether the name is the only one, one of several, or stands before
// the word that is completed; and a completed name arrives whole at the command.
// It needs the shells, and script (Debian: bash-completion, zsh, fish, util-linux).
func TestNamesAreNotRunByCompletion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ shell, args, load string }{
		{"bash", "--noprofile --norc -i", "bind 'set page-completions off'; bind 'set completion-query-items 0'; source /usr/share/bash-completion/bash_completion; source "},
		{"bash", "--noprofile --norc -i", "bind 'TAB:menu-complete'; bind 'set page-completions off'; bind 'set completion-query-items 0'; source /usr/share/bash-completion/bash_completion; source "},
		{"zsh", "-f -i", "LISTMAX=1000; autoload -U compinit; compinit -u -D; source "},
		{"fish", `--no-config -i -C 'function fish_prompt; echo -n "READY> "; end'`, "source "},
	} {
		t.Run(test.shell, func(t *testing.T) {
			t.Parallel()
			args, load := test.args, test.load
			path, err := exec.LookPath(test.shell)
			require.NoError(t, err, "%s is needed", test.shell)
			dir := t.TempDir()
			home, bin, work := filepath.Join(dir, "home"), filepath.Join(dir, "bin"), filepath.Join(dir, "work")
			require.Zero(t, verb(home, "init").exit)
			var names []string
			for _, name := range commandNames {
				added := verb(home, "add", "--allow-lookalike", "--", name, newPointer(t))
				if added.exit != 0 {
					continue
				}
				names = append(names, strings.TrimSpace(name))
			}
			require.Greater(t, len(names), len(commandNames)*3/4)
			for _, folder := range []string{bin, work} {
				require.NoError(t, os.Mkdir(folder, 0o700))
			}
			self, err := os.Executable()
			require.NoError(t, err)
			calls := filepath.Join(dir, "calls")
			require.NoError(t, os.WriteFile(filepath.Join(bin, "petname"), fmt.Appendf(nil, "#!/bin/sh\nprintf '[%%s]' \"$@\" >>%s\necho >>%s\nPETNAME_TEST_RUN=1 exec %s \"$@\"\n", calls, calls, self), 0o700))
			script := filepath.Join(dir, "completion")
			require.NoError(t, os.WriteFile(script, []byte(verb(home, "completion", test.shell).stdout), 0o600))

			require.NoError(t, os.WriteFile(filepath.Join(bin, "mark"), []byte("#!/bin/sh\necho \"<done $1>\"\n"), 0o700))
			env := append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "PETNAME_HOME="+home, "HOME="+dir, "TERM=xterm", "LC_ALL=C.UTF-8", "HISTFILE=")
			shell := startShell(t, "env PS1='READY> ' "+path+" "+args, work, env)
			shell.run(load + script)
			const tabs, clear = "\t\t\t", "\x15"
			for _, name := range names {
				first := string([]rune(name)[:1])
				for _, typed := range []string{first, "\\" + first, "'" + strings.ReplaceAll(name, "'", `'\''`) + "' "} {
					shell.run("petname show " + typed + tabs + clear + "petname introduce " + typed + " --to " + tabs + clear)
				}
			}
			shell.run("petname show " + tabs + clear)
			for _, typed := range []string{"O", "Bob", "Ann"} {
				shell.run("petname show " + typed + tabs)
			}
			screen := shell.end()
			files, err := os.ReadDir(work)
			require.NoError(t, err)
			require.Empty(t, files, "%s", screen)
			called, err := os.ReadFile(calls)
			require.NoError(t, err, "%s", screen)
			for _, name := range []string{"O'Brien", "Bob (work)", "Ann & Tom"} {
				require.Contains(t, string(called), "\n[show]["+name+"]\n", "%s\n%s", screen, called)
			}
			require.Greater(t, strings.Count(string(called), "[__complete][show]"), len(names))
		})
	}
}

// A shellSession is a shell at a terminal.
type shellSession struct {
	t      *testing.T
	cmd    *exec.Cmd
	keys   io.WriteCloser
	output *bufio.Reader
	screen strings.Builder
	marks  int
}

// Without the package bash-completion one line states that it is missing, once.
func TestBashWithoutItsCompletionPackageStatesSo(t *testing.T) {
	script := filepath.Join(t.TempDir(), "completion")
	require.NoError(t, os.WriteFile(script, []byte(verb(t.TempDir(), "completion", "bash").stdout), 0o600))
	out, err := exec.Command("bash", "--noprofile", "--norc", "-c", "source "+script+"; COMP_WORDS=(petname sh); COMP_CWORD=1; __start_petname; __start_petname; echo end").CombinedOutput()
	require.NoError(t, err)
	require.Equal(t, "petname: completion needs the package bash-completion, loaded before\nend\n", string(out))
}

// startShell starts a command line at a terminal and waits for its prompt, READY.
func startShell(t *testing.T, command, dir string, env []string) *shellSession {
	terminal, err := exec.LookPath("script")
	require.NoError(t, err, "script of util-linux is needed")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // if it hangs
	t.Cleanup(cancel)
	s := &shellSession{t: t, cmd: exec.CommandContext(ctx, terminal, "-qfec", command, "/dev/null")}
	s.cmd.Dir, s.cmd.Env = dir, env
	s.keys, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	s.output = bufio.NewReader(out)
	require.NoError(t, s.cmd.Start())
	s.wait("READY> ")
	return s
}

// run types keys and a line feed, and waits until the shell has read them: a
// shell that runs a command has the terminal in a mode without completion.
func (s *shellSession) run(keys string) {
	s.marks++
	_, err := fmt.Fprintf(s.keys, "%s\nmark %d\n", keys, s.marks)
	require.NoError(s.t, err)
	s.wait(fmt.Sprintf("<done %d>", s.marks))
	s.wait("READY> ")
}

// wait reads the screen until it has a text.
func (s *shellSession) wait(text string) {
	from := s.screen.Len()
	for !strings.Contains(s.screen.String()[from:], text) {
		b, err := s.output.ReadByte()
		require.NoError(s.t, err, "%s", s.screen.String())
		s.screen.WriteByte(b)
	}
}

// end ends the shell and returns its screen.
func (s *shellSession) end() string {
	_, err := io.WriteString(s.keys, "exit\n")
	require.NoError(s.t, err)
	rest, _ := io.ReadAll(s.output)
	s.screen.Write(rest)
	require.NoError(s.t, s.cmd.Wait(), "%s", s.screen.String())
	return s.screen.String()
}
