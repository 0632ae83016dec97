package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

func document(t *testing.T, name string) string {
	b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// found returns what the pattern's group matches in a text, sorted, each once.
func found(text, pattern string) []string {
	var all []string
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestTheREADMEIsShort(t *testing.T) {
	require.LessOrEqual(t, len(document(t, "README.md")), 6<<10)
}

// Every relative link of the documents leads to a file.
func TestLinksOfDocumentsLeadToFiles(t *testing.T) {
	links := 0
	for _, pattern := range []string{"*.md", "petname/docs/*.md", ".github/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		require.NoError(t, err)
		require.NotEmpty(t, names, pattern)
		for _, name := range names {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, link := range found(string(b), `\]\(([^)#]+)`) {
				if strings.Contains(link, "://") {
					continue
				}
				links++
				_, err := os.Stat(filepath.Join(filepath.Dir(name), filepath.FromSlash(link)))
				require.NoError(t, err, "%s", name)
			}
		}
	}
	require.Greater(t, links, 10)
}

// Every test that attacks a claim exists.
func TestThreatsNameTestsThatExist(t *testing.T) {
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, name := range found(string(b), `(?m)^func ((?:Test|Fuzz)\w+)\(`) {
			tests[name] = true
		}
		return err
	})
	require.NoError(t, err)
	named := found(document(t, "petname/docs/threats.md"), "`((?:Test|Fuzz)\\w+)`")
	require.Greater(t, len(named), 100)
	named = slices.DeleteFunc(named, func(name string) bool { return tests[name] })
	require.Empty(t, named, "these tests do not exist")
	for line := range strings.Lines(document(t, "petname/docs/threats.md")) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| claim |") && !strings.HasPrefix(line, "| --- |") {
			require.Regexp(t, "`(Test|Fuzz)", line, "a claim without a test")
		}
	}
}

// The table of domain separation has each string of the code, and no other.
func TestFormatsHaveEachDomain(t *testing.T) {
	var domains []string
	for _, quoted := range found(document(t, "cmd/petname/testdata/strings.golden"), `(?m)^("petnames/.*")$`) {
		domain, err := strconv.Unquote(quoted)
		require.NoError(t, err)
		if domain = strings.TrimSpace(domain); domain != "petnames-go/petnames" {
			domains = append(domains, strings.ReplaceAll(domain, "\x00", `\0`))
		}
	}
	slices.Sort(domains)
	require.Greater(t, len(domains), 30)
	require.Equal(t, slices.Compact(domains), found(document(t, "petname/docs/formats.md"), "(?m)^\\| `(petnames/[^`]*)` \\|"))
}

// The first file in each row of that table has the string of the row.
func TestFormatsNameTheFileOfEachDomain(t *testing.T) {
	rows := 0
	for _, row := range regexp.MustCompile("(?m)^\\| `(petnames/[^`]*)` \\|.*?\\| `([a-z0-9_/]+\\.go)`").FindAllStringSubmatch(document(t, "petname/docs/formats.md"), -1) {
		rows++
		require.Contains(t, document(t, row[2]), `"`+strings.ReplaceAll(row[1], `\0`, `\x00`), row[2])
	}
	require.Greater(t, rows, 30)
}

// The folder list shows where a thing is: the top has these folders and files, and those
// with a dot before their names.
func TestTheTopIsShort(t *testing.T) {
	entries, err := os.ReadDir("../..")
	require.NoError(t, err)
	for _, e := range entries {
		if name := e.Name(); name != "bin" && !strings.HasPrefix(name, ".") { // bin is ignored by git
			require.Contains(t, strings.Fields("petname pointer ledger dht cmd examples go.mod go.sum README.md LICENSE"), name)
		}
	}
}

// The table of packages in architecture.md has every package of the import table once,
// and no other, above those that it may import.
func TestArchitectureListsEachPackage(t *testing.T) {
	text := document(t, "petname/docs/architecture.md")
	_, table, ok := strings.Cut(text, "\n| package | content |\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n\n")
	at := map[string]int{}
	for i, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		require.NotContains(t, at, row[1], "twice in the table")
		require.Contains(t, mayImport, row[1], "no package of the module")
		at[row[1]] = i
	}
	for name, imports := range mayImport {
		require.Contains(t, at, name, "not in the table")
		for _, imported := range imports {
			if imported != "*" {
				require.Less(t, at[name], at[imported], "%s imports %s, which stands above it", name, imported)
			}
		}
	}
}

// Every file of the repository that a document names exists, by its path or by the end
// of its path.
func TestFilesOfDocumentsExist(t *testing.T) {
	var files []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() && d.Name() == ".git" {
			return filepath.SkipDir
		}
		files = append(files, "/"+filepath.ToSlash(path))
		return err
	})
	require.NoError(t, err)
	named := 0
	for _, pattern := range []string{"*.md", "petname/docs/*.md", ".github/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		require.NoError(t, err)
		for _, name := range names {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, file := range found(string(b), "`([a-z0-9_./-]+\\.(?:go|md|txt|golden))`") {
				named++
				require.True(t, slices.ContainsFunc(files, func(path string) bool { return strings.HasSuffix(path, "/"+file) }), "%s names %s", name, file)
			}
		}
	}
	require.Greater(t, named, 40)
}
