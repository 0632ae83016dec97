// Package lawtest runs the random tests of the module. It is for test files.
//
// Each test package that imports rapid imports this package, too. Its laws are
// then checked on the same histories in each run: rapid draws from a fixed seed,
// also where a test calls rapid.Check itself. The flag -rapid.seed and the
// environment variable RAPID_SEED set another seed; 0 is a new one each time.
// Unless Long, each law is checked on 40 histories instead of 100.
package lawtest

import (
	"flag"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

const (
	seed   = "20260102"
	checks = "40" // of a law, unless Long: a usual run finds what one history in twenty shows
)

// rapid has no API for its seed and its number of checks but the flags, which package flag
// parses after this. rapid itself reads the variables of the environment.
func init() {
	setDefault("rapid.seed", "RAPID_SEED", seed)
	if !Long() {
		setDefault("rapid.checks", "RAPID_CHECKS", checks)
	}
}

func setDefault(name, variable, value string) {
	if _, ok := os.LookupEnv(variable); ok {
		return
	}
	f := flag.Lookup(name)
	if err := f.Value.Set(value); err != nil {
		panic(err)
	}
	f.DefValue = value
}

// Long reports whether tests run at full size: PETNAME_TEST_LONG is 1.
func Long() bool { return os.Getenv("PETNAME_TEST_LONG") == "1" }

// Size returns the size of a test: long if Long, else short.
func Size(short, long int) int {
	if Long() {
		return long
	}
	return short
}

// NeedsLong skips a test that takes long, unless Long.
func NeedsLong(t *testing.T) {
	t.Helper()
	if !Long() {
		t.Skip("takes long: set PETNAME_TEST_LONG=1")
	}
}

// FastDir returns a folder in memory, where there is one, which is removed at the end of the test:
// for tests that open hundreds of files and sync each.
func FastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "petname")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// CollectRarely lets the process collect garbage less often than usual, unless GOGC is set:
// many short tests spend a fifth of their time on it.
func CollectRarely() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// Main runs the tests of a package with all their folders in memory, where there is such a
// folder, so that none waits for a busy disk, and calls CollectRarely: TestMain passes its
// result to os.Exit.
func Main(m *testing.M) int {
	CollectRarely()
	if dir, err := os.MkdirTemp("/dev/shm", "petnames-"); err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		if err := os.Setenv("TMPDIR", dir); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

// Check calls rapid.Check for a law that takes long. It checks a number of
// histories, or rapid's usual number, 100, if Long. The flag -rapid.checks and
// RAPID_CHECKS set another number. Laws do not run in parallel: the number is a
// variable of rapid.
func Check(t *testing.T, checks int, law func(*rapid.T)) {
	t.Helper()
	if !Long() && !isNumberSet() {
		f := flag.Lookup("rapid.checks")
		before := f.Value.String()
		if err := f.Value.Set(strconv.Itoa(checks)); err != nil {
			t.Fatal(err)
		}
		defer f.Value.Set(before)
	}
	rapid.Check(t, law)
}

func isNumberSet() bool {
	_, set := os.LookupEnv("RAPID_CHECKS")
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "rapid.checks" })
	return set
}
