package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the command: scripts, and tests that kill
// it, run "petname" as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("PETNAME_TEST_RUN") != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"petname": main})
}
