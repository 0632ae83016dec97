package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// block is a fenced block of a document: commands ("sh"), or what they print ("text").
type block struct {
	kind  string
	lines []string
}

func blocks(t *testing.T, name string) []block {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	var all []block
	inside := false
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		line = strings.TrimSuffix(line, "\n")
		kind, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && !inside:
			all = append(all, block{kind: kind})
			inside = true
		case fence:
			inside = false
		case inside:
			last := &all[len(all)-1]
			last.lines = append(last.lines, line)
		}
	}
	require.False(t, inside, "%s: the last block does not end", name)
	return all
}

// The commands of the README, and then those of the guide, work as they are printed
// there, in one go, but for a code and the numbers of an inbox. What they print has
// the words and the lines that the documents show; "…" stands for any lines.
func TestTheREADMEsCommandsWork(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the commands are those of a POSIX shell")
	}
	var script, files strings.Builder
	commands, outputs, invitations, devices, inbox := 0, 0, 0, 0, 0
	away, last := false, false // away: from the clone
	number := ""               // of the last inbox that was shown
	for _, b := range append(blocks(t, "../../README.md"), blocks(t, "../../petname/docs/guide.md")...) {
		switch b.kind {
		case "text":
			if digits := regexp.MustCompile(`^[0-9]{6}\b`).FindString(b.lines[0]); digits != "" {
				number = digits
			}
			shown := fmt.Sprintf("shown%d.txt", outputs)
			outputs++
			fmt.Fprintf(&script, "prints %s\n", shown)
			fmt.Fprintf(&files, "-- %s --\n%s\n", shown, strings.Join(b.lines, "\n"))
			continue
		case "sh":
			fmt.Fprintln(&script, "forget")
		default:
			continue
		}
		for _, line := range b.lines {
			require.LessOrEqual(t, len([]rune(line)), 80, "%s: a terminal of 80 columns breaks it", line)
			require.NotContains(t, line, "…")
			variable, inner, assigns := strings.Cut(strings.TrimSuffix(line, ")"), "=$(")
			command, ofOurs := strings.CutPrefix(line, "petname ")
			commands++
			switch {
			case strings.HasSuffix(line, "cd ~/petnames-tour"):
				away = true
				continue
			case strings.HasPrefix(line, "go install "):
				source := strings.TrimPrefix(line, "go install ")
				source = strings.Replace(strings.TrimSuffix(source, "@latest"), strings.TrimSuffix(module, "/"), ".", 1)
				require.FileExists(t, filepath.Join("..", "..", source, "main.go"))
				continue
			case assigns:
				require.True(t, away, "%s: a home in the clone", line)
				fmt.Fprintf(&script, "capture %s '%s'\n", variable, strings.ReplaceAll(inner, "'", "''"))
				continue
			}
			require.True(t, ofOurs, "%s: what is it?", line)
			require.True(t, away || !strings.Contains(line, "--home"), "%s: a home in the clone", line)
			command = strings.NewReplacer(
				`"`, "",
				"device-742-tunnel-orbit-candy", "$DEVICECODE",
				"742-tunnel-orbit-candy", "$CODE",
				"accept 482133", "accept $NUMBER",
				"accept 488712", "accept $NUMBER",
			).Replace(command)
			if strings.Contains(command, "accept $NUMBER") && number != "" {
				require.Contains(t, line, "accept "+number, "the number that an inbox above shows")
			}
			switch command {
			case "--home hub node":
				fmt.Fprintln(&script, "node NODE hub --json")
				continue
			case "--home ana invite": // another terminal goes on meanwhile
				invitations++
				fmt.Fprintln(&script, "start INVITE ana invite --json\nget CODE code")
				continue
			case "--home ana device add": // likewise
				devices++
				fmt.Fprintln(&script, "start DEVICE ana device add --json\nget DEVICECODE code")
				continue
			}
			fmt.Fprintln(&script, "exits 0 petname "+command+"\nnoted")
			switch {
			case command == "--home ana publish /ipfs/bafkqabtgn5wgizls", command == "--home ana publish /ipfs/bafkqablnn53gkza":
				_, path, _ := strings.Cut(command, " publish ")
				fmt.Fprintln(&script, "env PUBLISHED="+path)
			case strings.HasPrefix(command, "--home ben resolve ana") && !strings.Contains(command, "/"):
				fmt.Fprintln(&script, "stdout $PUBLISHED") // what Ana published is what Ben resolved
			case strings.Contains(command, " pair "):
				fmt.Fprintln(&script, "end INVITE none 0\nexits 0 petname --home ana inbox --json\njson suggestions len 1\nget NUMBER suggestions.0.id")
			case strings.Contains(command, " device join "):
				fmt.Fprintln(&script, "end DEVICE none 0")
			case strings.HasSuffix(command, " cleo publish"):
				fmt.Fprintln(&script, "exits 0 petname --home cleo id --json\nget POINTER pointer")
			case strings.HasSuffix(command, " ben inbox") && inbox == 0:
				inbox++ // with the second one, nothing waits
				fmt.Fprintln(&script, "exits 0 petname --home ben inbox --json\njson suggestions len 1\njson suggestions.0.pointer = $POINTER\nget NUMBER suggestions.0.id")
			case strings.HasSuffix(command, " why cleo"):
				fmt.Fprintln(&script, "stdout 'introduced, by ana'")
			case strings.HasSuffix(command, " resolve ana/alto"):
				fmt.Fprintln(&script, "stdout $POINTER")
				last = true
			}
		}
	}
	require.GreaterOrEqual(t, commands, 30)
	require.GreaterOrEqual(t, outputs, 7)
	require.Equal(t, 1, invitations)
	require.Equal(t, 1, devices)
	require.True(t, last)
	file := filepath.Join(t.TempDir(), "readme.txt")
	require.NoError(t, os.WriteFile(file, []byte(script.String()+files.String()), 0o600))
	p := scripts(t)
	p.Files = []string{file}
	var printed strings.Builder
	p.Cmds["forget"] = func(*testscript.TestScript, bool, []string) { printed.Reset() }
	p.Cmds["noted"] = func(ts *testscript.TestScript, _ bool, _ []string) { printed.WriteString(ts.ReadFile("stdout")) }
	p.Cmds["prints"] = func(ts *testscript.TestScript, _ bool, args []string) {
		shown, got := likewise(ts.ReadFile(args[0])), likewise(printed.String())
		if !shows(shown, got) {
			ts.Fatalf("the document shows\n%s\nand what is printed is\n%s", shown, got)
		}
	}
	p.Cmds["capture"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(ts.Exec("sh", "-c", args[1]))
		value := strings.TrimSpace(ts.ReadFile("stdout"))
		if value == "" || strings.ContainsAny(value, " \n") {
			ts.Fatalf("%s is %q", args[1], value)
		}
		ts.Setenv(args[0], value)
	}
	testscript.Run(t, p)
}

// likewise returns a text with what differs from run to run replaced.
func likewise(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.instead)
	}
	text = regexp.MustCompile(`\b[0-9]{6,12}\b`).ReplaceAllString(text, "NUMBER")
	return regexp.MustCompile(`\b[0-9.]+m?s\b`).ReplaceAllString(text, "TIME")
}

// shows reports whether a document shows what was printed. A line "…" stands for any
// number of lines, at least one.
func shows(shown, printed string) bool {
	pattern := regexp.QuoteMeta(strings.TrimSpace(shown) + "\n")
	return regexp.MustCompile(`^` + strings.ReplaceAll(pattern, "…\n", "(?:.*\n)+") + `$`).MatchString(printed)
}

// A document that shows other words, other lines or fewer of them does not match.
func TestWhatADocumentShowsIsCompared(t *testing.T) {
	const printed = "your pointer is\n  POINTER\nana  k51…SHORT\n"
	for _, shown := range []string{printed, "…\nana  k51…SHORT\n", "your pointer is\n…\n", "your pointer is\n…\nana  k51…SHORT\n"} {
		require.True(t, shows(shown, printed), shown)
	}
	for _, shown := range []string{
		"", "your pointer is\n", "ana  k51…SHORT\n", "…\nana k51…SHORT\n", "your pointer is\n  POINTER\n…\nana  k51…SHORT\n", "…\nben  k51…SHORT\n",
	} {
		require.False(t, shows(shown, printed), shown)
	}
	require.Equal(t, likewise("488712  k51…d4io19, in 18ms (4.954s)"), likewise("482133  k51…bekr11, in 7ms (1s)"))
	require.NotEqual(t, likewise("sequence 1"), likewise("sequence 2"))
}
