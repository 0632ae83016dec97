// Command petname names keys, publishes what they point to, and resolves names
// that nobody can take away. Run "petname help" or, to see the whole story on
// one machine, "petname demo".
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p/gologshim"
)

func main() { runProcess(0, 0) }

// runProcess runs the command and exits. work is scrypt's work factor, log2, for
// what is locked; 0 is age's own, which takes a second each time: tests take less.
// timeout bounds one request to a peer of the DHT; 0 is the usual time: tests, on
// machines that are busy, take more.
func runProcess(work int, timeout time.Duration) {
	// libp2p logs to standard error by itself, where an error is one object, and
	// what strangers wrote is cleaned. Whoever asks for its log gets it.
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{ctx: ctx, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, work: work, timeout: timeout}
	os.Exit(a.run(os.Args[1:]))
}
