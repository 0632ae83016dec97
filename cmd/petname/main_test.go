package main

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/petnames-go/petnames/pointer/lawtest"
)

// cheap is scrypt's work factor in scripts: no secret is at stake, and age's
// default takes a second of CPU time for each file.
const cheap = 10

// patient bounds a request to a peer in scripts: a slow response on a busy machine
// must not count as a dead peer.
const patient = time.Minute

// TestMain lets the test binary be the command: scripts, and tests that kill
// it, run "petname" as a process of its own. With PETNAME_TEST_RUN it is main
// itself.
func TestMain(m *testing.M) {
	if os.Getenv("PETNAME_TEST_RUN") != "" {
		main()
	}
	// Most tests wait for processes and networks rather than for the CPU. More
	// of them than there are cores run at once, unless -parallel is set.
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	lawtest.CollectRarely()
	testscript.Main(m, map[string]func(){"petname": func() { runProcess(cheap, patient, testClock()) }})
}

// testClock returns the clock of a command in a script: that of the system, set
// wrong by the duration in PETNAME_TEST_CLOCK.
func testClock() func() time.Time {
	off, err := time.ParseDuration(os.Getenv("PETNAME_TEST_CLOCK"))
	if err != nil {
		return nil
	}
	return func() time.Time { return time.Now().Add(off) }
}
