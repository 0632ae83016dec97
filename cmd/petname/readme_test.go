package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
)

// The commands of the README work as they are printed there, in one go, but for
// what stands in for an address, a link, a code, and a number of the inbox.
func TestTheREADMEsCommandsWork(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	var script strings.Builder
	commands, shared, last := 0, false, false
	for line := range strings.Lines(string(readme)) {
		line = strings.TrimSpace(strings.TrimPrefix(line, "    "))
		if target, ok := strings.CutPrefix(line, "go build -o "); ok {
			// The folder is not one of ours, where a binary has no business.
			folder, _, _ := strings.Cut(target, " ")
			_, err := os.Stat(filepath.Join("..", "..", folder, "doc.go"))
			require.ErrorIs(t, err, os.ErrNotExist)
			ignored, err := os.ReadFile(filepath.Join("..", "..", ".gitignore"))
			require.NoError(t, err)
			require.Contains(t, string(ignored), "/"+folder+"\n")
		}
		command, ok := strings.CutPrefix(line, "bin/petname ")
		if !ok {
			continue
		}
		commands++
		command = strings.NewReplacer(
			"/ip4/127.0.0.1/tcp/…/p2p/12D3Koo…", "$HUB",
			"'petname:k51…?c=…&n=Ana&s=…'", "$LINK",
			"'petname:k51…?c=…&n=Cleo&s=…'", "$LINK",
			"742-tunnel-orbit-candy", "$CODE",
			"accept 482133", "accept $NUMBER",
		).Replace(command)
		require.NotContains(t, command, "…")
		home := strings.Fields(command)[1]
		switch command {
		case "--home hub node":
			fmt.Fprintln(&script, "node HUB hub --json")
			continue
		case "--home ana invite": // another terminal goes on meanwhile
			fmt.Fprintln(&script, "start INVITE ana invite --json\nget CODE code")
			continue
		}
		fmt.Fprintln(&script, "exits 0 petname "+command)
		switch {
		case strings.HasSuffix(command, " id"):
			fmt.Fprintln(&script, "exits 0 petname "+command+" --json\nget LINK link\nget POINTER pointer")
		case command == "--home ben resolve ana":
			fmt.Fprintln(&script, "stdout $FIRST") // what Ana published is what Ben resolved
		case strings.Contains(command, " pair "):
			fmt.Fprintln(&script, "end INVITE none 0\nexits 0 petname --home ana inbox --json\njson suggestions len 1\nget NUMBER suggestions.0.id")
		case strings.HasSuffix(command, " ben inbox") && !shared:
			shared = true // with the second one, nobody waits
			fmt.Fprintln(&script, "exits 0 petname --home "+home+" inbox --json\njson suggestions len 1\njson suggestions.0.pointer = $POINTER\nget NUMBER suggestions.0.id")
		case strings.HasSuffix(command, " why cleo"):
			fmt.Fprintln(&script, "stdout 'introduced, by ana'")
		case strings.HasSuffix(command, " resolve ana/alto"):
			fmt.Fprintln(&script, "stdout $POINTER")
			last = true
		}
	}
	require.GreaterOrEqual(t, commands, 20)
	require.True(t, last)
	file := filepath.Join(t.TempDir(), "readme.txt")
	require.NoError(t, os.WriteFile(file, []byte(script.String()), 0o600))
	p := scripts(t)
	p.Files = []string{file}
	testscript.Run(t, p)
}
