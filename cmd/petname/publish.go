package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
	"github.com/spf13/cobra"
)

func (a *app) publishVerb() *cobra.Command {
	var request publishArgs
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
					return usage("PATH is empty; leave it out to keep the last one")
				}
			}
			var err error
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out published
			err = a.call("publish", request, &out)
			if err == nil && request.Wait != "none" && out.Asked >= 20 && out.Stored < 10 {
				a.warn("only %d of %d peers stored it: publish again later", out.Stored, out.Asked)
			}
			if out.Doubt != "" {
				a.warn("%s: it may not be found. Publish again later, and from elsewhere", out.Doubt)
			}
			warnCopy(a, out.OtherCopy)
			return a.printResult(out, err, out.Sequence > 0, func(w *bufio.Writer) {
				fmt.Fprintf(w, "%s\n", out.Pointer)
				printField(w, "points to", contentPath(out.Value))
				printField(w, "record", fmt.Sprintf("sequence %d, until %s", out.Sequence, out.Expires.Local().Format(time.DateTime)))
				for _, label := range out.Edges {
					printField(w, "public edge", ownEdge(a.style(), label))
				}
				for _, p := range out.Former {
					printField(w, "stored again", "the last record of "+p)
				}
				for _, p := range out.Stranded {
					printField(w, "NOT STORED", "the last record of "+p+", which leads people on to this pointer")
				}
				switch {
				case request.Wait == "none":
					printField(w, "stored", "here; if a node of this home runs, it sends it on")
					return
				case out.Asked == 0:
					printField(w, "stored", "here alone")
					return
				}
				printField(w, "stored", fmt.Sprintf("by %d of %s asked (%d refused, %d unreachable), in %s",
					out.Stored, peersText(out.Asked), out.Refused, out.Unreachable, secondsText(out.Took)))
				if request.Wait == "all" {
					printField(w, "confirmed", fmt.Sprintf("by %s that gave it back", peersText(out.Confirmed)))
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

// publishArgs are the arguments of publish.
type publishArgs struct {
	Path       string        `json:"path"` // empty: the last one
	TTL        time.Duration `json:"ttl"`
	Lifetime   time.Duration `json:"lifetime"`
	Wait       string        `json:"wait"` // none, some, all
	Addresses  bool          `json:"addresses"`
	V1         bool          `json:"v1"`
	Passphrase string        `json:"passphrase,omitempty"`
}

// published is the result of publish.
type published struct {
	Pointer     string    `json:"pointer"`
	Value       string    `json:"value"`
	Sequence    uint64    `json:"sequence"`
	Expires     time.Time `json:"expires"`
	TTL         float64   `json:"ttl"` // seconds
	Asked       int       `json:"asked"`
	Stored      int       `json:"stored"`
	Refused     int       `json:"refused"`
	Unreachable int       `json:"unreachable"`
	Confirmed   int       `json:"confirmed"`       // peers that returned it in a new look-up; 0 unless Wait is all
	Doubt       string    `json:"doubt,omitempty"` // why the peers that stored it may be one attacker
	Took        float64   `json:"took"`            // seconds
	Edges       []string  `json:"edges,omitempty"`
	Former      []string  `json:"former,omitempty"`   // previous pointers whose last record was stored again
	Stranded    []string  `json:"stranded,omitempty"` // previous pointers whose last record no peer stored

	OtherCopy *otherCopy `json:"other_copy,omitempty"` // evidence that another copy of the home is in use; null: none
}

var waitLevels = map[string]agent.Wait{"none": agent.WaitNone, "some": agent.WaitSome, "all": agent.WaitAll}

func (v *verbs) publish(ctx context.Context, a publishArgs) (*published, error) {
	wait, ok := waitLevels[a.Wait]
	if !ok {
		return nil, usage("--wait %q: is none of none, some, all", a.Wait)
	}
	p, err := v.agentOnlyWith(a.Passphrase).PublishDraft(ctx, func(d *agent.Draft) error {
		if a.Path != "" {
			d.Value = a.Path
		}
		d.TTL, d.Lifetime, d.Wait, d.Addresses, d.V1 = a.TTL, a.Lifetime, wait, a.Addresses, a.V1
		return nil
	})
	if errors.Is(err, agent.ErrNotServing) {
		return nil, usage("--addresses needs a running node, whose addresses they are").With("petname node")
	}
	if p.Sequence == 0 {
		return nil, err
	}
	out := &published{Pointer: p.Pointer.String(), Value: p.Value, Sequence: p.Sequence, Expires: p.Expires, TTL: p.TTL.Seconds(),
		Asked: p.Receipt.Asked, Stored: p.Receipt.Stored, Refused: p.Receipt.Refused, Unreachable: p.Receipt.Unreachable,
		Confirmed: p.Receipt.Confirmed, Doubt: p.Receipt.Doubt(), Took: p.Took.Seconds(), Edges: p.Edges,
		Former: pointerTexts(p.Former), Stranded: pointerTexts(p.Stranded), OtherCopy: asOtherCopy(p.OtherCopy)}
	if noted := v.otherCopy(ctx, false); out.OtherCopy == nil { // such as by a renewal
		out.OtherCopy = noted
	}
	if err != nil {
		return out, publishError(err, p.Receipt.Stored)
	}
	return out, nil
}

func pointerTexts(ps []pointer.Pointer) []string {
	var texts []string
	for _, p := range ps {
		texts = append(texts, p.String())
	}
	return texts
}

// publishError returns the failure of a publication whose record was signed and saved
// in the home.
func publishError(err error, stored int) error {
	c := *classify(err)
	var short *dht.ShortError
	switch {
	case errors.As(err, &short):
		c.Message = short.Error()
	case errors.Is(err, dht.ErrUnreachable):
		c.Message = "nobody could be reached"
	}
	if reasons := routerReasons(err); reasons != "" && !strings.Contains(c.Message, reasons) {
		c.Message = strings.TrimSuffix(c.Message, "; try again") + ": " + reasons
	}
	how := "not stored as widely as wanted"
	if stored == 0 {
		how = "stored by nobody yet"
	}
	c.Message = "signed and saved here, but " + how + ": " + strings.TrimPrefix(c.Message, "publish: ")
	if c.Exit == exitNetwork && c.Code != "not_joined" {
		c.Next = "petname publish"
	}
	return &c
}
