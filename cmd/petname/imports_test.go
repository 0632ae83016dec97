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

// mayImport contains every package of the module, with the packages of the module that
// it may import, in ordinary code and in its tests.
var mayImport = map[string][]string{
	"pointer":        {"pointer/canonical", "pointer/paste"},
	"ledger":         {"ledger/durable", "pointer", "pointer/canonical"},
	"dht":            {"ledger/durable", "pointer"},
	"dht/delegated":  {"dht", "dht/share", "pointer"},
	"dht/dhttest":    {"dht", "pointer"},
	"dht/drop":       {"dht", "dht/seal", "pointer", "pointer/canonical"},
	"dht/frames":     {},
	"dht/kad":        {"dht", "dht/frames", "dht/republish", "dht/share", "ledger/durable", "pointer"},
	"dht/kad/wansim": {"dht", "dht/kad", "pointer"},
	"dht/republish":  {"dht", "ledger/durable", "pointer"},
	"dht/seal":       {"pointer"},

	"pointer/canonical":               {},
	"pointer/paste":                   {},
	"pointer/canonical/canonicaltest": {},

	"pointer/lawtest": {},
	"dht/share":       {},

	"ledger/durable":             {},
	"ledger/folder":              {"ledger", "ledger/durable", "ledger/internal/bytestring", "ledger/internal/x25519", "pointer", "pointer/canonical"},
	"ledger/internal/bytestring": {"pointer/canonical"},
	"ledger/internal/x25519":     {"ledger"},
	"ledger/replicate":           {"ledger", "ledger/internal/bytestring", "ledger/internal/x25519", "pointer", "pointer/canonical"},
	"ledger/durable/durabletest": {"ledger/durable"},

	"petname":              {"dht", "ledger", "pointer", "petname/introduce", "petname/mutual", "petname/name", "pointer/canonical"},
	"petname/agent":        {"dht", "dht/delegated", "dht/republish", "dht/seal", "ledger", "ledger/folder", "ledger/replicate", "pointer/canonical", "petname", "petname/delegation", "petname/exchange", "petname/home", "petname/introduce", "petname/mutual", "petname/name", "petname/pair", "petname/request", "pointer", "pointer/paste"},
	"petname/agent/libp2p": {"dht", "dht/kad", "dht/share", "petname/agent", "pointer"},
	"petname/introduce":    {"petname/mutual", "pointer", "pointer/canonical", "pointer/paste"},
	"petname/mutual":       {"pointer", "pointer/canonical"},
	"petname/name":         {"pointer"},
	"petname/pair":         {"dht", "pointer", "pointer/canonical", "pointer/paste"},
	"petname/pair/qr":      {"petname/pair", "pointer"},
	"petname/exchange":     {"dht", "dht/drop", "ledger", "ledger/replicate", "petname", "petname/name", "petname/introduce", "petname/mutual", "petname/pair", "petname/request", "pointer", "pointer/canonical"},

	"petname/delegation": {"dht/seal", "pointer", "pointer/canonical"},
	"petname/request":    {"dht", "dht/seal", "pointer", "pointer/canonical"},

	"cmd/petname":        {"*"},
	"examples/embed":     {"dht", "petname", "petname/agent", "petname/agent/libp2p", "pointer"},
	"examples/embedhttp": {"dht", "dht/delegated", "petname", "petname/agent", "pointer"},

	"petname/home":                {"petname", "petname/name", "petname/request", "ledger", "ledger/durable", "dht", "dht/delegated", "dht/frames", "dht/republish", "pointer", "pointer/paste"},
	"cmd/petname/internal/socket": {"ledger/durable"},
}

// mayUseHost are the directories whose packages may import a libp2p host or the DHT on
// it, and so link them into the applications that embed them.
var mayUseHost = []string{"dht/kad", "petname/agent/libp2p", "cmd/petname", "examples/embed"}

// mayUseImages are the packages that may link package image, and the command,
// which reads and draws QR codes; rapid links it, and so does its wrapper.
var mayUseImages = []string{"petname/pair/qr", "cmd/petname", "pointer/lawtest"}

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
			if own == "dht/dhttest" && !slices.Contains(p.Imports, imported) && (strings.HasPrefix(name, "dht") || strings.HasPrefix(name, "petname")) {
				continue // the suite and the clock are for tests
			}
			if own == "ledger/durable/durabletest" && !slices.Contains(p.Imports, imported) {
				continue // packages that write files may import the file system in tests
			}
			if own == "pointer/lawtest" && !slices.Contains(p.Imports, imported) {
				continue // it runs random tests
			}
			if own == "pointer/canonical/canonicaltest" && !slices.Contains(p.Imports, imported) {
				continue // it is for the tests of formats
			}
			if name == "petname/agent" && (own == "petname/agent/libp2p" || own == "dht/kad") && !slices.Contains(p.Imports, imported) {
				continue // its tests run agents on real nodes
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
		for _, dep := range p.Deps {
			require.False(t, isUnused(dep), "package %s links %s", name, dep)
		}
		if !slices.Contains(mayUseImages, name) {
			for _, dep := range p.Deps {
				require.False(t, isImage(dep), "package %s links %s", name, dep)
			}
		}
		if slices.Contains(imports, "pgregory.net/rapid") && name != "pointer/lawtest" {
			require.True(t, slices.Contains(imports, module+"pointer/lawtest"), "package %s: the seed of its laws is new each time", name)
		}
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "examples/") || name == "pointer/lawtest" {
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

// isUnused reports whether a package belongs to a transport that no node uses.
// Package libp2p links all of them: see dht/kad/hostplan.go.
func isUnused(path string) bool {
	for _, unused := range []string{
		"github.com/pion/", "github.com/quic-go/webtransport-go", "github.com/gorilla/websocket", "github.com/libp2p/go-libp2p/config",
	} {
		if strings.HasPrefix(path, unused) {
			return true
		}
	}
	return false
}

func isImage(path string) bool {
	return path == "image" || strings.HasPrefix(path, "image/") || strings.HasPrefix(path, "golang.org/x/image")
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
