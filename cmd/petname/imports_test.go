package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/petnames-go/petnames/"

// mayImport is who may import whom: every package of the module, and what of
// the module it may import, in ordinary code and in its tests.
var mayImport = map[string][]string{
	"pointer":        {},
	"ledger":         {"ledger/durable", "pointer"},
	"dht":            {"ledger/durable", "pointer"},
	"dht/delegated":  {"dht", "pointer"},
	"dht/dhttest":    {"dht", "pointer"},
	"dht/drop":       {"dht", "dht/seal", "pointer"},
	"dht/kad":        {"dht", "dht/keep", "ledger/durable", "pointer"},
	"dht/kad/wansim": {"dht", "dht/kad", "pointer"},
	"dht/keep":       {"dht", "ledger/durable", "pointer"},
	"dht/seal":       {"pointer"},

	"ledger/durable":             {},
	"ledger/durable/durabletest": {"ledger/durable"},

	"petname":           {"dht", "ledger", "pointer", "petname/introduce", "petname/mutual", "petname/name"},
	"petname/introduce": {"petname/mutual", "pointer"},
	"petname/mutual":    {"pointer"},
	"petname/name":      {"pointer"},
	"petname/pair":      {"dht", "pointer"},
	"petname/peer":      {"dht", "dht/drop", "ledger", "petname", "petname/name", "petname/doorstep", "petname/introduce", "petname/mutual", "petname/pair", "petname/postage", "pointer"},

	"petname/peer/direct": {"dht", "pointer"},
	"petname/postage":     {"pointer"},
	"petname/doorstep":    {"dht", "dht/seal", "petname/postage", "pointer"},

	"cmd/petname":    {"*"},
	"examples/embed": {"petname", "petname/name", "ledger", "dht", "pointer"},

	"petname/home":                {"petname", "petname/postage", "ledger", "ledger/durable", "dht", "dht/delegated", "pointer"},
	"cmd/petname/internal/engine": {"*"},
	"cmd/petname/internal/socket": {"cmd/petname/internal/engine"},
}

// mayUseHost are the rooms that may import a libp2p host or the DHT on it, and
// so link them into whoever embeds them.
var mayUseHost = []string{"dht/kad", "petname/peer/direct", "cmd/petname", "cmd/petname/internal/engine", "cmd/petname/internal/socket"}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// The imports of the module's packages follow the design: a package that is
// missing or new to the table fails as well.
func TestImportRules(t *testing.T) {
	packages := list(t)
	for name := range mayImport {
		require.Contains(t, packages, name, "the package is gone: take it out of the table")
	}
	for name, p := range packages {
		allowed, known := mayImport[name]
		require.True(t, known, "package %s: say in the table whom it may import", name)
		imports := slices.Concat(p.Imports, p.TestImports, p.XTestImports)
		for _, imported := range imports {
			own, ok := strings.CutPrefix(imported, module)
			if !ok || own == name || slices.Contains(allowed, "*") {
				continue
			}
			if own == "dht/dhttest" && !slices.Contains(p.Imports, imported) && strings.HasPrefix(name, "dht") {
				continue // the suite is for the tests of stores
			}
			if own == "ledger/durable/durabletest" && !slices.Contains(p.Imports, imported) {
				continue // packages that write files may import the file system in tests
			}
			require.Contains(t, allowed, own, "package %s imports %s", name, own)
		}
		if slices.Contains(p.Imports, "go.etcd.io/bbolt") {
			require.Equal(t, "ledger", name, "a damaged file can end a program that opens it with bbolt: package ledger has the guards")
		}
		if !slices.Contains(mayUseHost, name) {
			for _, dep := range p.Deps {
				require.False(t, isHost(dep), "package %s links %s", name, dep)
			}
		}
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "examples/") {
			continue
		}
		for _, imported := range p.Imports {
			for _, banned := range []string{"flag", "log", "github.com/spf13/cobra", "testing"} {
				if name == "dht/dhttest" && banned == "testing" {
					continue
				}
				require.NotEqual(t, banned, imported, "package %s", name)
			}
		}
	}
}

func isHost(path string) bool {
	for _, host := range []string{
		"github.com/libp2p/go-libp2p", "github.com/libp2p/go-libp2p/p2p/", "github.com/libp2p/go-libp2p/core/host",
		"github.com/libp2p/go-libp2p-kad-dht",
	} {
		if path == strings.TrimSuffix(host, "/") || strings.HasSuffix(host, "/") && strings.HasPrefix(path, host) {
			return true
		}
	}
	return false
}

func list(t *testing.T) map[string]listed {
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", module+"...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	packages := make(map[string]listed)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if err == io.EOF {
			return packages
		}
		require.NoError(t, err)
		packages[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}
