package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// build compiles a package, and returns the path of the command.
func build(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "command")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// initialised is a package's line of GODEBUG=inittrace=1.
var initialised = regexp.MustCompile(`(?m)^init (\S+) @.*?, ([\d.]+) ms clock, (\d+) bytes, \d+ allocs$`)

// Packages of the module build no tables and compile no expressions before main. The log
// lists what the linked packages cost, the most first: figures.md has it.
func TestTheModuleInitialisesLittle(t *testing.T) {
	const most, mostOfAll = 4 << 10, 16 << 10 // bytes
	cmd := exec.Command(build(t, "."), "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	total, traced := 0, 0
	var lines []string
	for _, m := range initialised.FindAllStringSubmatch(string(out), -1) {
		traced++
		lines = append(lines, fmt.Sprintf("%8s ms %8s bytes  %s", m[2], m[3], m[1]))
		if !strings.HasPrefix(m[1], module) && m[1] != "main" {
			continue
		}
		n, err := strconv.Atoi(m[3])
		require.NoError(t, err)
		require.LessOrEqual(t, n, most, "package %s allocates at its initialisation", m[1])
		total += n
	}
	require.Greater(t, traced, 100, "%s", out)
	require.LessOrEqual(t, total, mostOfAll)
	slices.Sort(lines)
	slices.Reverse(lines)
	t.Logf("%d packages, the module's own %d bytes:\n%s", traced, total, strings.Join(lines[:20], "\n"))
}

// BenchmarkStart compares petname version, as a whole process, with a Go program
// that prints a line, by turns. The goal is at most 6 ms more.
func BenchmarkStart(b *testing.B) {
	line := filepath.Join(b.TempDir(), "line.go")
	require.NoError(b, os.WriteFile(line, []byte("package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"line\") }\n"), 0o600))
	commands := []string{build(b, line), build(b, ".")}
	for _, path := range commands { // the page cache holds a linker's output in pieces that are slower to map
		program, err := os.ReadFile(path)
		require.NoError(b, err)
		require.NoError(b, os.Remove(path))
		require.NoError(b, os.WriteFile(path, program, 0o700))
	}
	took := make([][]float64, len(commands))
	for b.Loop() {
		for i, path := range commands {
			cmd := exec.Command(path, "version")
			start := time.Now()
			require.NoError(b, cmd.Run())
			took[i] = append(took[i], float64(time.Since(start).Microseconds())/1000)
		}
	}
	var medians []float64
	for i, name := range []string{"line", "version"} {
		slices.Sort(took[i])
		medians = append(medians, took[i][len(took[i])/2])
		b.ReportMetric(medians[i], fmt.Sprintf("ms/%s", name))
	}
	b.ReportMetric(medians[1]-medians[0], "ms-more")
}
