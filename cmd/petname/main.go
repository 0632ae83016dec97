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

	"github.com/libp2p/go-libp2p/gologshim"
)

func main() {
	// libp2p logs to standard error by itself, where an error is one object, and
	// what strangers wrote is cleaned. Whoever asks for its log gets it.
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		gologshim.SetDefaultHandler(slog.DiscardHandler)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
