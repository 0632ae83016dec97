package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) publishVerb() *cobra.Command {
	var request publishArgs
	cmd := &cobra.Command{
		Use:   "publish [PATH]",
		Short: "Publish what your pointer points to, and your card",
		Long: `Sign a new record, save it in this home, and store it in the joined network.
PATH is a content path (/ipfs/…, /ipns/…), ipfs://…, ipns://…, or a bare CID;
without PATH the last one is published again, unless your key has signed another
one outside of this home: then PATH is needed. The record contains your card:
your nickname, your sealing keys, and the labels that you shared in public.

--wait some ends when three quarters of the closest peers (at most 15) have
stored the record. --wait all ends when all peers that respond have stored it,
and a new look-up has counted the peers that return it. --wait none ends when
the record is signed and saved in this home.`,
		Example: `  petname publish /ipfs/bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e
  petname publish
  petname publish --ttl 1m --lifetime 30d --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				if request.Path, err = parsePath(args[0]); err != nil {
					return err
				}
			}
			if !cmd.Flags().Changed("ttl") {
				request.TTL = min(request.TTL, max(request.Lifetime, 0))
			}
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
				if a.quiet {
					return
				}
				printCopied(w, "points to", contentPath(out.Value))
				printField(w, "record", fmt.Sprintf("sequence %d, until %s", out.Sequence, out.Expires.Local().Format(time.DateTime)))
				for _, label := range out.Edges {
					printField(w, "public label", ownEdge(a.style(), label))
				}
				if out.Clock != "" {
					printField(w, "CLOCK", a.style().Text(out.Clock))
				}
				for _, p := range out.Former {
					printCopied(w, "stored again: the last record of", p)
				}
				for _, p := range out.Stranded {
					printCopied(w, "NOT STORED: the last record, which leads to this pointer, of", p)
				}
				switch {
				case request.Wait == "none":
					printField(w, "stored", "in this home; a running node stores it in the network")
					return
				case out.Asked == 0:
					printField(w, "stored", "in this home only")
					return
				}
				printField(w, "stored", fmt.Sprintf("by %d of %s asked (%d refused, %d unreachable), in %s",
					out.Stored, peersText(out.Asked), out.Refused, out.Unreachable, secondsText(out.Took)))
				if request.Wait == "all" {
					printField(w, "confirmed", fmt.Sprintf("by %s that returned it", peersText(out.Confirmed)))
				}
			})
		},
	}
	f := cmd.Flags()
	durationFlag(f, &request.TTL, "ttl", 5*time.Minute, "how long caches may use it (at most --lifetime)")
	durationFlag(f, &request.Lifetime, "lifetime", 48*time.Hour, "how long it is valid")
	f.StringVar(&request.Wait, "wait", "some", "how many peers to wait for, a `level`: none, some or all")
	completeFlag(cmd, "wait", cobra.FixedCompletions([]string{"none", "some", "all"}, cobra.ShellCompDirectiveNoFileComp))
	f.BoolVar(&request.Addresses, "addresses", false, "make the network addresses of your node public in the record")
	f.BoolVar(&request.V1, "v1", false, "add a signature of version 1, for software from before 2021")
	f.BoolVar(&request.DespiteCopy, "despite-copy", false, "publish although another copy of this home, or a thief, signs with its key")
	return cmd
}

// publishArgs are the arguments of publish.
type publishArgs struct {
	Path      string        `json:"path"` // empty: the last one
	TTL       time.Duration `json:"ttl"`
	Lifetime  time.Duration `json:"lifetime"`
	Wait      string        `json:"wait"` // none, some, all
	Addresses bool          `json:"addresses"`
	V1        bool          `json:"v1"`

	DespiteCopy bool `json:"despite_copy"` // although another copy of the home signs with its key

	Passphrase string `json:"passphrase,omitempty"`
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
	Clock       string    `json:"clock,omitempty"`    // what contradicts this machine's clock
	Stranded    []string  `json:"stranded,omitempty"` // previous pointers whose last record no peer stored

	OtherCopy *otherCopy `json:"other_copy,omitempty"` // evidence that another copy of the home is in use; null: none
}

// minLifetime is the least lifetime of a record: its end has whole seconds, and it is put before.
const minLifetime = 2 * time.Second

func (v *verbs) publish(ctx context.Context, a publishArgs) (*published, error) {
	wait, ok := map[string]agent.Wait{"none": agent.WaitNone, "some": agent.WaitSome, "all": agent.WaitAll}[a.Wait]
	if !ok {
		return nil, usage("--wait %q: is none of none, some, all", a.Wait).With(strings.TrimSuffix("petname publish --wait some "+shellWord(a.Path), " ''"))
	}
	if a.Lifetime > 0 && a.Lifetime < minLifetime {
		return nil, usage("lifetime %s: must be at least %s", a.Lifetime, minLifetime)
	}
	p, err := v.agentOnlyWith(a.Passphrase).PublishDraft(ctx, func(d *agent.Draft) error {
		if a.Path != "" {
			d.Value = a.Path
		}
		d.TTL, d.Lifetime, d.Wait, d.Addresses, d.V1, d.DespiteCopy = a.TTL, a.Lifetime, wait, a.Addresses, a.V1, a.DespiteCopy
		return nil
	})
	if errors.Is(err, agent.ErrNotServing) {
		return nil, usage("--addresses needs a running node of this home").With("petname node")
	}
	if p.Sequence == 0 {
		return nil, err
	}
	out := &published{Pointer: p.Pointer.String(), Value: p.Value, Sequence: p.Sequence, Expires: p.Expires, TTL: p.TTL.Seconds(),
		Asked: p.Receipt.Asked, Stored: p.Receipt.Stored, Refused: p.Receipt.Refused, Unreachable: p.Receipt.Unreachable,
		Confirmed: p.Receipt.Confirmed, Doubt: p.Receipt.Doubt(), Took: p.Took.Seconds(), Edges: p.Edges,
		Former: pointerTexts(p.Former), Stranded: pointerTexts(p.FormerNotStored), Clock: p.Clock, OtherCopy: asOtherCopy(p.OtherCopy)}
	if noted := v.otherCopy(ctx, false); out.OtherCopy == nil { // such as by a renewal
		out.OtherCopy = noted
	}
	if err != nil {
		return out, withClock(publishError(err, p.Receipt.Stored), out.Clock)
	}
	return out, nil
}

// withClock adds a hint at a wrong clock to an error of the network or of an expired
// record, which a wrong clock causes.
func withClock(err error, hint string) error {
	c := *classify(err)
	if hint == "" || !mayBeClock(&c) {
		return err
	}
	c.Message += "; " + hint
	return &c
}

// mayBeClock reports whether a wrong clock can cause a failure.
func mayBeClock(f *failure) bool {
	return f.Exit == exitNetwork || f.Code == "expired" || f.Code == "invalid"
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
		c = *classify(short) // also if peers have a newer one: the next publish signs one that is newer
		c.Message = short.Error()
	case errors.Is(err, dht.ErrUnreachable):
		c.Message = dht.ErrUnreachable.Error()
	}
	if reasons := routerReasons(err); reasons != "" && !strings.Contains(c.Message, reasons) {
		c.Message = strings.TrimSuffix(c.Message, "; try again") + ": " + reasons
	}
	how := "stored by too few peers"
	if stored == 0 {
		how = "stored by no peer yet"
	}
	c.Message = "signed and saved here, but " + how + ": " + strings.TrimPrefix(c.Message, "publish: ")
	if c.Exit == exitNetwork && c.Code != "not_joined" {
		c.Next = "petname publish"
	}
	if errors.As(err, new(*pointer.ExpiredError)) { // the record ended before it was stored
		c.Next = "set the clock of this machine, then:\npetname publish"
	}
	return &c
}
