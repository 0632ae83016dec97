package main

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/ledger"
)

// stopTimeout is how long a stopping node may take to publish, to finish its requests
// and to close the book.
const stopTimeout = 10 * time.Second

// waitStopped waits until a stopping node has closed the book.
func (a *app) waitStopped() error {
	dir, err := a.dir()
	if err != nil {
		return err
	}
	v, err := a.openHome(dir, stopTimeout)
	if errors.Is(err, ledger.ErrInUse) {
		return &failure{Code: "in_use", Exit: exitNetwork, Message: fmt.Sprintf("the node received the request to stop, and has not ended within %s", stopTimeout),
			Next: "petname node status"}
	}
	if err != nil {
		return nil // the node has stopped; other verbs report problems of the book
	}
	if err := v.agent.Close(); err != nil {
		return classify(err)
	}
	return nil
}

func (a *app) nodeStopVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the running node",
		Long: `Stop the running node of this home, and wait until it has closed the book. It
finishes the requests that it serves first, at most for 10 seconds.`,
		Example: `  petname node stop`,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.callNode("stop", nil); err != nil {
				return err
			}
			if err := a.waitStopped(); err != nil {
				return err
			}
			return a.printResult(struct{}{}, nil, true, func(w *bufio.Writer) { fmt.Fprintln(w, "stopped") })
		},
	}
}
