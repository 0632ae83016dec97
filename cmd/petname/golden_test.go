package main

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files")

// What changes from run to run, and what stands for it.
var changing = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{regexp.MustCompile(`(?m)^    [a-z]{3,8}( [a-z]{3,8}){3}$`), "    four words of twelve"},
	{regexp.MustCompile(`\bk51[a-z0-9]{59}\b`), "POINTER"},
	{regexp.MustCompile(`k51…[a-z0-9]{6}`), "k51…SHORT"},
	{regexp.MustCompile(`\bkmu[a-z0-9]{40,}\b`), "COMMITMENT"},
	{regexp.MustCompile(`([?&])s=[0-9a-f]{8}`), "${1}s=CHECKSUM"},
	{regexp.MustCompile(`\b[a-z2-7]{8}\.([0-9]+)\b`), "ENTRY.$1"},
	{regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}`), "DATE TIME"},
	{regexp.MustCompile(`\b[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4}\b`), "DAY"},
}

// What people read, verb for verb, is as it was looked at and found good in
// testdata/golden.txt; -update writes it anew.
func TestGolden(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	me, bob := filepath.Join(dir, "me"), filepath.Join(dir, "bob")
	require.Zero(t, verb(bob, "init", "--nickname", "Bob Wonder").exit)
	link, _, _ := strings.Cut(verb(bob, "id").stdout, "\n")
	carol := newPointer(t)
	var got strings.Builder
	for _, args := range [][]string{
		{"init", "--nickname", "Alice L"}, {"id"}, {"list"}, {"add", "Bob from work", link}, {"add", "carol", carol}, {"list"}, {"find", "wonder"},
		{"show", "bob from work"}, {"show", "carol"}, {"whois", link}, {"whois", newPointer(t)}, {"why", "bob from work"},
		{"rename", "carol", "caroline"}, {"undo"}, {"share", "bob from work", "--as", "bob", "--public"}, {"share", "carol", "--public"},
		{"publish", firstPath}, {"rm", "bob from work"}, {"show", "bob from work"}, {"undo"}, {"unshare", "bob"},
		{"resolve", "carol"}, {"resolve", "carol", "--offline"}, {"resolve", "nobody"}, {"join", "off"}, {"log"}, {"log", "carol", "--verify"},
		{"add", "carol", link}, {"add", "bob", link}, {"init"}, {"node", "status"}, {"doctor"},
	} {
		r := verb(me, args...)
		words := strings.ReplaceAll(typed(args), me, "HOME")
		got.WriteString("$ petname " + words + "\n" + r.stdout + r.stderr + "\n")
	}
	text := strings.ReplaceAll(strings.ReplaceAll(got.String(), me, "HOME"), link, "LINK")
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.instead)
	}
	file := filepath.Join("testdata", "golden.txt")
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, strings.ReplaceAll(string(want), "\r\n", "\n"), text)
}
