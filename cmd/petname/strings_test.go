package main

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var updateStrings = flag.Bool("update-strings", false, "write testdata/strings.golden anew")

// machine matches a string that is written for programs: no space, no capital.
var machine = regexp.MustCompile(`^[a-z0-9_./:+,=-]{2,}$`)

// The strings that are stored, sent or printed for programs are those of
// testdata/strings.golden: domain separation, names of buckets, tables, files and
// fields, kinds and channels of the ledger, metrics, codes of errors. A change of
// words must not change one of them. -update-strings writes the list; look at each
// line of its difference.
func TestStringsForProgramsAreGolden(t *testing.T) {
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "lawtest" || strings.HasPrefix(d.Name(), ".") && d.Name() != "..") && path != "../..":
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false
			case *ast.Field:
				if n.Tag != nil {
					tag, err := strconv.Unquote(n.Tag.Value)
					require.NoError(t, err)
					found["tag "+tag] = true
				}
				return true
			case *ast.BasicLit:
				if n.Kind != token.STRING || strings.HasPrefix(n.Value, "`") && strings.Contains(n.Value, ":\"") {
					return true
				}
				s, err := strconv.Unquote(n.Value)
				require.NoError(t, err, "%s: %s", path, n.Value)
				if machine.MatchString(s) || strings.Contains(s, "\x00") || strings.HasPrefix(s, "petnames/") || strings.HasPrefix(s, "# ") {
					found[strconv.Quote(s)] = true
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(found), 500, "the source was not found")
	got := strings.Join(slices.Sorted(maps.Keys(found)), "\n") + "\n"
	golden := filepath.Join("testdata", "strings.golden")
	if *updateStrings {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), got)
}
