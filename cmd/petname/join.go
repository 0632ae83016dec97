package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) joinVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "join ipfs|lan|off|MULTIADDR…",
		Short: "Choose the network to publish to and resolve from",
		Long: `Choose a network, and enter it. Nothing leaves this machine before.

  ipfs        the public IPFS DHT
  lan         a local network
  MULTIADDR…  a private set of peers: any address that petname node prints
  off         none

The choice is saved even if nobody answers within 5 seconds (exit status 7).`,
		Example: `  petname join /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…
  petname join off`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions([]string{"ipfs", "lan", "off"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			var out engine.Joined
			err := a.ask("join", engine.JoinArgs{Targets: args}, &out)
			return a.show(out, err, err == nil, func(w *bufio.Writer) {
				switch {
				case out.Network == "off":
					fmt.Fprintln(w, "off: nothing leaves this machine")
				default:
					fmt.Fprintf(w, "joined %s: %s\n", out.Network, peers(out.Peers))
				}
			})
		},
	}
}
