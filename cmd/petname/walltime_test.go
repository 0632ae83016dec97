package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// elapsed has the files that use time.Now with its monotonic reading, how often,
// and what for. That reading stands still while the machine sleeps, so it is no
// time at which something is due.
var elapsed = map[string]struct {
	uses int
	why  string
}{
	"ledger/open.go":                        {1, "Options.Now: only its milliseconds since 1970 are used"},
	"dht/memory.go":                         {1, "Memory.Now: Put removes the reading"},
	"dht/kad/kad.go":                        {1, "Config.Now: Start removes the reading"},
	"dht/republish/republish.go":            {1, "Config.Now: New removes the reading"},
	"petname/agent/agent.go":                {1, "Options.Now: Open removes the reading"},
	"petname/book.go":                       {1, "Options.Now: newBook removes the reading"},
	"petname/exchange/exchange.go":          {1, "Config.Now: Open removes the reading"},
	"petname/pair/step.go":                  {1, "the clock of Run, which removes the reading"},
	"petname/request/verifier.go":           {1, "the clock of NewVerifier, which removes the reading"},
	"petname/home/create.go":                {2, "written to a file"},
	"petname/home/recovery.go":              {1, "compared with the end of a record"},
	"petname/home/sealing.go":               {1, "written to a file"},
	"petname/home/rotate.go":                {1, "written to a file"},
	"dht/republish/schedule.go":             {1, "the monotonic clock, to detect a jump of the wall clock"},
	"dht/republish/state.go":                {1, "how often the file is written"},
	"dht/kad/get.go":                        {1, "handed to the routing table of kad-dht"},
	"dht/kad/put.go":                        {2, "how long peers take to answer"},
	"dht/kad/walk.go":                       {4, "how long peers take to answer"},
	"dht/kad/stream.go":                     {2, "deadlines of a stream"},
	"dht/delegated/server.go":               {2, "deadlines of a connection"},
	"dht/delegated/serve.go":                {1, "deadlines of a connection"},
	"petname/agent/libp2p/streams.go":       {2, "deadlines of a stream"},
	"petname/agent/dial.go":                 {1, "the deadline of a handshake"},
	"petname/agent/listen.go":               {1, "the deadline of a handshake"},
	"petname/agent/publish.go":              {1, "how long a publication took"},
	"petname/agent/clocksources.go":         {1, "the monotonic clock, beside the wall clock: how long ago a peer answered"},
	"cmd/petname/internal/socket/socket.go": {3, "deadlines of a connection"},
	"cmd/petname/app.go":                    {2, "how long to wait for the book"},
	"cmd/petname/demo.go":                   {1, "how long the demo took"},
	"cmd/petname/demo_story.go":             {1, "signed into a record"},
	"cmd/petname/invite.go":                 {1, "compared with a time that was decoded"},
	"cmd/petname/knock.go":                  {1, "how long a request took"},
	"cmd/petname/record.go":                 {2, "compared with the end of a record"},
	"dht/dhttest/clock.go":                  {1, "the reading of a test clock"},
	"dht/dhttest/dhttest.go":                {5, "tests of stores"},
}

// Each use of time.Now outside of tests has its monotonic reading removed at once,
// by Round(0), or is in the table above.
func TestDueTimesAreWallTimes(t *testing.T) {
	root := filepath.Join("..", "..")
	found := map[string]int{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() && (name == "examples" || strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		if n := monotonicUses(file); n > 0 {
			found[filepath.ToSlash(name)] = n
		}
		return nil
	}))
	for name, n := range found {
		require.Equal(t, elapsed[name].uses, n, "%s: uses of time.Now without Round(0)", name)
	}
	for name := range elapsed {
		require.Contains(t, found, name, "take it out of the table")
	}
}

// monotonicUses counts the uses of time.Now that no Round(0) follows.
func monotonicUses(file *ast.File) (n int) {
	isNow := func(e ast.Expr) bool {
		s, ok := e.(*ast.SelectorExpr)
		if !ok || s.Sel.Name != "Now" {
			return false
		}
		id, ok := s.X.(*ast.Ident)
		return ok && id.Name == "time"
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if s, ok := node.(*ast.SelectorExpr); ok && s.Sel.Name == "Round" {
			if call, ok := s.X.(*ast.CallExpr); ok && isNow(call.Fun) {
				return false
			}
		}
		if e, ok := node.(ast.Expr); ok && isNow(e) {
			n++
		}
		return true
	})
	return n
}
