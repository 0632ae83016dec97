// Command petname assigns local names to keys, publishes signed records of what the
// keys point to, and resolves names. Run "petname help", or run "petname demo" for a
// demonstration on one machine.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/spf13/cobra"
)

func main() { runProcess(0, 0, nil) }

// runProcess runs the command and exits. work is the work factor of scrypt for new
// keys, log2; 0 is the default of age, which takes about a second: tests use less.
// timeout is for one request to a peer of the DHT; 0 is the default: tests on busy
// machines use more. now is the clock of the home; nil is the system's.
func runProcess(work int, timeout time.Duration, now func() time.Time) {
	// The log of libp2p is off unless its variable is set: it would go to standard
	// error, where an error is one JSON object and text from peers is cleaned.
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
	cobra.EnableCommandSorting = false // help lists the verbs in the order of use
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, work: work, timeout: timeout, now: now}
	os.Exit(a.run(os.Args[1:]))
}
