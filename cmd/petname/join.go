package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/dht/delegated"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/spf13/cobra"
)

func (a *app) joinVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "join ipfs|lan|off|MULTIADDR|URL…",
		Short: "Choose the network to publish to and resolve from",
		Long: `Choose the networks of this home, and connect to them. Before join, nothing
leaves this machine.

  ipfs        the public IPFS DHT
  lan         the local network
  MULTIADDR…  peers to connect to first; without ipfs or lan, those of a private
              network: an address that petname node prints
  URL…        HTTP routers, used beside a DHT or instead of one: a URL that
              petname node --http prints
  off         no network
  -           those on standard input

Several can be combined. They replace the networks of before. A router learns
which client asks for which record; it cannot forge one. The choice is saved
even if no peer answers within 5 seconds (exit status 7); the error then has the
command that joins the networks of before again. It is not saved if a URL is
that of another web server (exit status 7, too).`,
		Example: `  petname join /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…
  petname join http://127.0.0.1:8080
  petname join lan https://router.example /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo…
  petname join off`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: cobra.FixedCompletions([]string{"ipfs", "lan", "off"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(_ *cobra.Command, args []string) error {
			if at := slices.Index(args, "-"); at >= 0 {
				text, err := a.readStdinText("addresses")
				if err != nil {
					return err
				}
				if strings.TrimSpace(text) == "" {
					return usage("standard input has no network")
				}
				args = slices.Replace(slices.Clone(args), at, at+1, text)
			}
			var out joined
			err := a.call("join", joinArgs{Targets: args}, &out)
			return a.printResult(out, err, err == nil, func(w *bufio.Writer) {
				switch {
				case out.Network != "off":
					fmt.Fprintf(w, "joined %s: %s\n", networkText(out.Network), peersText(out.Peers))
				case len(out.Routers) == 0:
					fmt.Fprintln(w, "off: nothing leaves this machine")
				}
				for _, router := range out.Routers {
					fmt.Fprintf(w, "joined router\n  %s\n", router)
				}
			})
		},
	}
}

// networkText describes the network of a home for people.
func networkText(network string) string {
	if network == "peers" {
		return "a private network"
	}
	return network
}

// joinArgs are the arguments of join.
type joinArgs struct {
	Targets []string `json:"targets"`
}

// joined is the result of join.
type joined struct {
	Network   string   `json:"network"`
	Bootstrap []string `json:"bootstrap"`
	Routers   []string `json:"routers"`
	Peers     int      `json:"peers"` // in the routing table
}

func (v *verbs) join(ctx context.Context, a joinArgs) (*joined, error) {
	err := v.agent.Join(ctx, a.Targets...)
	var saved *agent.JoinError
	switch {
	case errors.Is(err, delegated.ErrNoRouter) && !errors.As(err, &saved):
		c := *classify(err)
		c.Message = strings.ReplaceAll(c.Message, "\n", "; ")
		c.Next = "give the URL of a router, such as petname node --http prints"
		return nil, &c
	case err != nil && !errors.As(err, &saved):
		return nil, err
	}
	j, jerr := v.agent.Joined()
	if jerr != nil {
		return nil, jerr
	}
	out := &joined{Network: j.Network, Bootstrap: j.Bootstrap, Routers: j.Routers, Peers: j.Peers}
	if saved != nil {
		c := *classify(saved.Err)
		c.Message = "saved, but " + strings.ReplaceAll(c.Message, "\n", "; ")
		if saved.Before != nil {
			c.Next = "to join again what this has replaced:\n" + joinCommand(saved.Before) + "\n# to check the network:\npetname doctor"
		}
		return out, &c
	}
	return out, nil
}

// joinCommand returns the command that joins targets.
func joinCommand(targets []string) string {
	words := make([]string, len(targets))
	for i, target := range targets {
		words[i] = shellWord(target)
	}
	return "petname join " + strings.Join(words, " ")
}
