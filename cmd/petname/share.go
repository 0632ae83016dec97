package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) shareVerb() *cobra.Command {
	var request shareArgs
	cmd := &cobra.Command{
		Use:   "share NAME… --to NAME|--public [--as LABEL]",
		Short: "Share contacts under a label, with one contact or in public",
		Long: `Share contacts under labels: a contact that has you in its book as alice can
then resolve alice/LABEL. Without --as the label is the nickname of the shared
contact; your own name for it stays private.

--to NAME shares with one contact only: the message is sealed, and no other
party can resolve the label. --public puts the label into your record from your
next publication on: every reader of the record learns the label, the pointer,
and that you know its owner.`,
		Example: `  petname share bob --as bob --to carol
  petname share bob --as bob --public
  petname publish`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			request.Names = args
			var out edgeList
			if request.To != "" && !request.Public {
				if request.Passphrase, err = a.passphrase(); err != nil {
					return err
				}
				err = a.call("share", request, &out)
				a.warnUnpublished(out.Unpublished)
				return a.printResult(out, err, out.Sent != "", func(w *bufio.Writer) {
					fmt.Fprintln(w, sentText(out.Sent), "the recipient")
					printEdges(w, a.style(), out)
				})
			}
			err = a.call("share", request, &out)
			if err == nil && out.Visible != "" {
				a.warn("%s\nTo withdraw it before you publish:\n  petname unshare %s", shareVisible, shellWord(out.Added[0]))
			}
			if err = a.printResult(out, err, err == nil, func(w *bufio.Writer) { printEdges(w, a.style(), out) }); err == nil {
				a.hint("now publish it:\n  petname publish")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.Label, "as", "", "the `label` that others use (default: the contact's nickname)")
	cmd.Flags().BoolVar(&request.Public, "public", false, "share with every reader of your record")
	cmd.Flags().StringVar(&request.To, "to", "", "share with one contact only: a `name`")
	completeFlag(cmd, "to", a.completeMoreNames)
	return cmd
}

func printEdges(w *bufio.Writer, s name.Style, out edgeList) {
	switch {
	case len(out.Edges) == 0 && out.To != "":
		fmt.Fprintln(w, "nothing is shared with this contact any more")
	case len(out.Edges) == 0 && len(out.Retired) > 0:
		fmt.Fprintln(w, "nothing is public at your pointer")
	case len(out.Edges) == 0:
		fmt.Fprintln(w, "nothing is public")
	}
	for _, e := range out.Edges {
		fmt.Fprintf(w, "%s  (your %s)", ownEdge(s, e.Label), shownName(s, e.Name))
		if e.Conflict {
			fmt.Fprint(w, "  IN CONFLICT: not published")
		}
		fmt.Fprintf(w, "\n    %s\n", e.Pointer)
	}
	for _, r := range out.Retired {
		fmt.Fprintf(w, "%s  STAYS READABLE until %s at your previous pointer\n    %s\n    its last record has the label, and the key that could sign another is erased\n",
			ownEdge(s, r.Label), r.Until.Local().Format(time.DateTime), r.Pointer)
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
	// Unpublished is, with To, the name of the contact, if it finds them after the owner publishes.
	Unpublished []string `json:"unpublished,omitempty"`

	// Visible is shareVisible with the command that reverts it, when the first edges become public.
	Visible string `json:"visible,omitempty"`

	// Retired are the labels, of those that are not public, that last records of previous pointers
	// show: they cannot be withdrawn there.
	Retired []retiredLabel `json:"retired,omitempty"`
}

// retiredLabel is a label in the last record of a previous pointer.
type retiredLabel struct {
	Label   string    `json:"label"`
	Pointer string    `json:"pointer"` // the previous pointer
	Until   time.Time `json:"until"`   // the end of the record
}

// shareVisible describes what a public edge reveals.
const shareVisible = "From your next publication on, every reader of your record sees the\n" +
	"label and its pointer, and learns that you know the owner of the pointer."

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
func (v *verbs) public(context.Context, noArgs) (*edgeList, error) { return v.publicEdges() }

// publicEdges returns the public edges, and the labels that last records show.
func (v *verbs) publicEdges() (*edgeList, error) {
	out, err := asEdges(v.agent.Edges())
	if err != nil {
		return nil, err
	}
	id, err := v.agent.Identity()
	if err != nil {
		return out, nil // the edges are as they are; a damaged key is reported elsewhere
	}
	for _, last := range id.LastRecords {
		for _, label := range last.Labels {
			if !slices.ContainsFunc(out.Edges, func(e edge) bool { return e.Label == label && !e.Conflict }) {
				out.Retired = append(out.Retired, retiredLabel{label, last.Pointer.String(), last.Until})
			}
		}
	}
	return out, nil
}

// shareArgs are the arguments of share.
type shareArgs struct {
	Names  []string `json:"names"`
	Label  string   `json:"label"` // empty: the contact's nickname
	Public bool     `json:"public"`
	To     string   `json:"to"` // a contact; empty with Public

	Passphrase string `json:"passphrase,omitempty"`
}

// words returns the names and the label as they are typed.
func (a shareArgs) words() string {
	switch {
	case len(a.Names) > 1:
		return strings.TrimSpace(argWords(a.Names))
	case a.Label == "":
		return argWords(a.Names) + "--as LABEL"
	}
	return argWords(a.Names) + "--as " + shellWord(a.Label)
}

func (v *verbs) share(ctx context.Context, a shareArgs) (*edgeList, error) {
	if a.Public == (a.To != "") { // exactly one is needed
		return nil, usage("share with one contact, or in public?").
			With("petname share " + a.words() + " --to CONTACT\npetname share " + a.words() + " --public")
	}
	if a.Label != "" && len(a.Names) > 1 {
		return nil, usage("--as is one label, and there are %d names", len(a.Names))
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
	if len(before.Edges) == 0 { // the notice is for the first public edge alone
		out.Visible = strings.ReplaceAll(shareVisible, "\n", " ") + " To withdraw it before you publish: petname unshare " + shellWord(added[0])
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
	out.Added, out.To, out.Sent, out.Unpublished = added, to.Pointer.String(), string(sent), v.unpublishedFor(to)
	return out, delivery(sent, err)
}
