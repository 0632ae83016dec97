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

// The commands of the README's first five minutes work as they are printed
// there, but for what stands in for an address and a link.
func TestTheREADMEsCommandsWork(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	require.NoError(t, err)
	var script strings.Builder
	commands := 0
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
		).Replace(command)
		require.NotContains(t, command, "…")
		if command == "--home hub node" {
			fmt.Fprintln(&script, "node HUB hub --json")
			continue
		}
		fmt.Fprintln(&script, "exits 0 petname "+command)
		if strings.HasSuffix(command, " id") {
			fmt.Fprintln(&script, "exits 0 petname "+command+" --json\nget LINK link")
		}
	}
	require.GreaterOrEqual(t, commands, 8)
	fmt.Fprintln(&script, "stdout $FIRST") // what Ana published is what Ben resolved
	file := filepath.Join(t.TempDir(), "readme.txt")
	require.NoError(t, os.WriteFile(file, []byte(script.String()), 0o600))
	p := scripts(t)
	p.Files = []string{file}
	testscript.Run(t, p)
}
