package main

import (
	"bufio"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) publishVerb() *cobra.Command {
	var request engine.PublishArgs
	cmd := &cobra.Command{
		Use:   "publish [PATH]",
		Short: "Publish what your pointer points to, and your card",
		Long: `Sign a new record, keep it, and store it in the network that was joined. PATH is
a content path (/ipfs/…, /ipns/…); without it the last one stays. Your nickname
and the labels that you shared travel in the record.

--wait some ends when three quarters of the closest peers (at most 15) have
stored it, all when each that can be reached has, and the record was looked up
again to count who gives it back, none once it is signed and saved here.`,
		Example: `  petname publish /ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e
  petname publish
  petname publish --ttl 1m --lifetime 24h --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if request.Path = args[0]; request.Path == "" {
					return engine.Usage("PATH is empty; leave it out to keep the last one")
				}
			}
			var err error
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out engine.Published
			err = a.ask("publish", request, &out)
			if err == nil && request.Wait != "none" && out.Asked >= 20 && out.Stored < 10 {
				a.warn("only %d of %d peers stored it: publish again later", out.Stored, out.Asked)
			}
			if out.Doubt != "" {
				a.warn("%s: it may not be found. Publish again later, and from elsewhere", out.Doubt)
			}
			return a.show(out, err, out.Sequence > 0, func(w *bufio.Writer) {
				fmt.Fprintf(w, "%s\n", out.Pointer)
				field(w, "points to", contentPath(out.Value))
				field(w, "record", fmt.Sprintf("sequence %d, until %s", out.Sequence, out.Expires.Local().Format(time.DateTime)))
				for _, label := range out.Edges {
					field(w, "public edge", ownEdge(a.style(), label))
				}
				for _, p := range out.Former {
					field(w, "stored again", "the last record of "+p)
				}
				for _, p := range out.Stranded {
					field(w, "NOT STORED", "the last record of "+p+", which leads people on to this pointer")
				}
				switch {
				case request.Wait == "none":
					field(w, "stored", "here; if a node of this home runs, it sends it on")
					return
				case out.Asked == 0:
					field(w, "stored", "here alone")
					return
				}
				field(w, "stored", fmt.Sprintf("by %d of %s asked (%d refused, %d unreachable), in %s",
					out.Stored, peers(out.Asked), out.Refused, out.Unreachable, seconds(out.Took)))
				if request.Wait == "all" {
					field(w, "confirmed", fmt.Sprintf("by %s that gave it back", peers(out.Confirmed)))
				}
			})
		},
	}
	f := cmd.Flags()
	f.DurationVar(&request.TTL, "ttl", 5*time.Minute, "how long others may cache it")
	f.DurationVar(&request.Lifetime, "lifetime", 48*time.Hour, "how long it is valid")
	f.StringVar(&request.Wait, "wait", "some", "none, some or all: how many peers to wait for")
	completeFlag(cmd, "wait", cobra.FixedCompletions([]string{"none", "some", "all"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&request.Addresses, "addresses", false, "put your node's network addresses into the record, for everybody")
	f.BoolVar(&request.V1, "v1", false, "sign in the old way too, for readers from before 2021")
	return cmd
}
