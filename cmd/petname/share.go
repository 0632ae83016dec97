package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) shareVerb() *cobra.Command {
	var request shareArgs
	cmd := &cobra.Command{
		Use:   "share NAME… --to NAME|--public [--as LABEL]",
		Short: "Let others reach somebody by way of your name",
		Long: `Make contacts reachable by way of you: who calls you alice can then resolve
alice/LABEL. Without --as the label is what the contact calls itself; your own
petname for it stays private.

--to NAME tells one contact alone: it travels sealed, and nobody else can
resolve it. --public means everybody, from your next publication on: whoever
looks you up sees the label, the pointer, and so that you know its owner.`,
		Example: `  petname share bob --as bob --to carol
  petname share bob --as bob --public
  petname publish`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			request.Names = args
			var before, out edgeList
			if request.To != "" && !request.Public {
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
				err = a.call("share", request, &out)
				return a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
					fmt.Fprintln(w, sentText(out.Sent), "them")
					printEdges(w, a.style(), out)
				})
			}
			err = a.call("public", noArgs{}, &before)
			if err == nil {
				if request.Public && len(before.Edges) == 0 {
					a.warn("%s", shareVisible)
				}
				err = a.call("share", request, &out)
			}
			if err == nil && len(before.Edges) == 0 {
				a.hint("take it back before then with\n  petname unshare %s", shellWord(out.Added[0]))
			}
			if err = a.printResult(out, err, err == nil, func(w *bufio.Writer) { printEdges(w, a.style(), out) }); err == nil {
				a.hint("now publish it:\n  petname publish")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.Label, "as", "", "the `label` that others use (default: the contact's nickname)")
	cmd.Flags().BoolVar(&request.Public, "public", false, "for everybody")
	cmd.Flags().StringVar(&request.To, "to", "", "for one contact alone: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

func printEdges(w *bufio.Writer, s name.Style, out edgeList) {
	switch {
	case len(out.Edges) == 0 && out.To != "":
		fmt.Fprintln(w, "nothing is shared with it alone any more")
	case len(out.Edges) == 0:
		fmt.Fprintln(w, "nothing is public")
	}
	for _, e := range out.Edges {
		fmt.Fprintf(w, "%s → %s  (your %s)", ownEdge(s, e.Label), e.Pointer, shownName(s, e.Name))
		if e.Conflict {
			fmt.Fprint(w, "  IN CONFLICT: not published")
		}
		fmt.Fprintln(w)
	}
}

// edge is an edge of the owner, public or for one contact.
type edge struct {
	Label    string `json:"label"`
	Pointer  string `json:"pointer"`
	Name     string `json:"name"` // its petname, which is not shared
	Conflict bool   `json:"conflict"`
}

// edgeList is the result of share and unshare: all edges that are public with the next
// publication, or all edges that are shared with one contact.
type edgeList struct {
	Edges []edge   `json:"edges"`
	Added []string `json:"added,omitempty"` // labels that this call added
	To    string   `json:"to,omitempty"`    // pointer of the contact; empty: the edges are public
	Sent  string   `json:"sent,omitempty"`  // with To: "stored" or "queued"
	// Visible is shareVisible, when the first edges become public.
	Visible string `json:"visible,omitempty"`
}

// shareVisible describes what a public edge reveals.
const shareVisible = "From your next publication on, everybody who looks you up can see\n" +
	"the label, the pointer behind it, and so that you know its owner.\n" +
	"Until then petname unshare takes it back."

func asEdges(edges iter.Seq2[petname.Edge, error]) (*edgeList, error) {
	out := &edgeList{Edges: []edge{}}
	for e, err := range edges {
		if err != nil {
			return nil, err
		}
		out.Edges = append(out.Edges, edge{e.Label, e.Pointer.String(), e.Contact.Name.String(), e.Conflict})
	}
	return out, nil
}

// public returns the public edges.
func (v *verbs) public(context.Context, noArgs) (*edgeList, error) { return asEdges(v.agent.Edges()) }

// shareArgs are the arguments of share.
type shareArgs struct {
	Names  []string `json:"names"`
	Label  string   `json:"label"` // empty: the contact's nickname
	Public bool     `json:"public"`
	To     string   `json:"to"` // a contact; empty with Public

	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) share(ctx context.Context, a shareArgs) (*edgeList, error) {
	if a.Public == (a.To != "") {
		return nil, usage("share with whom? With one contact, or with everybody").
			With("petname share NAME --as LABEL --to CONTACT, or petname share NAME --as LABEL --public")
	}
	if a.Label != "" && len(a.Names) > 1 {
		return nil, usage("--as gives one label, and %d names were given", len(a.Names))
	}
	if a.To != "" {
		added, sent, err := v.agentWith(a.Passphrase).ShareWith(ctx, a.To, a.Names, a.Label)
		return v.sharedWith(a.To, added, sent, a.addNextStep(err))
	}
	before, err := asEdges(v.agent.Edges())
	if err != nil {
		return nil, err
	}
	added, err := v.agent.Share(a.Names, a.Label)
	if err != nil {
		return before, a.addNextStep(err)
	}
	out, err := asEdges(v.agent.Edges())
	if err != nil {
		return nil, err
	}
	out.Added = added
	if len(before.Edges) == 0 {
		out.Visible = strings.ReplaceAll(shareVisible, "\n", " ")
	}
	return out, nil
}

// addNextStep adds the next step to the error of a contact without a nickname.
func (a shareArgs) addNextStep(err error) error {
	var none *agent.NoNicknameError
	if !errors.As(err, &none) {
		return err
	}
	audience := "--public"
	if a.To != "" {
		audience = "--to " + shellWord(a.To)
	}
	return classify(err).With("petname share " + shellWord(none.Text) + " --as LABEL " + audience)
}

// sharedWith returns the edges that are shared with one contact, after a change.
func (v *verbs) sharedWith(text string, added []string, sent agent.Delivery, err error) (*edgeList, error) {
	if sent == "" {
		return nil, err
	}
	to, ferr := v.agent.Lookup(text)
	if ferr != nil {
		return nil, ferr
	}
	out, ferr := asEdges(v.agent.EdgesWith(to))
	if ferr != nil {
		return nil, ferr
	}
	out.Added, out.To, out.Sent = added, to.Pointer.String(), string(sent)
	return out, delivery(sent, err)
}
