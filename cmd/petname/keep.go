package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/dht/republish"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) keepVerb() *cobra.Command {
	var request keepArgs
	cmd := &cobra.Command{
		Use:   "keep [NAME…]",
		Short: "Republish records of contacts while their computers are off",
		Long: `Let your node republish the records of contacts before the network drops them,
until they expire: a contact's name then resolves while its owner's computer is
off. The node looks first, and stores nothing while enough peers have the newest
record. No key of the contact is needed. Without NAME, list the contacts whose
records are republished.

This is off by default because it reveals your contacts: a peer that stores such
a record sees the IP address that sent it. Each contact's record is sent under a
peer key of its own, so that peer keys alone link no record to your node or to
another record. It ends with petname unkeep, or when you remove the contact.`,
		Example: `  petname keep bob
  petname keep --all
  petname keep --json`,
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Names = args
			var out keptList
			if len(args) == 0 && !request.All {
				err := a.call("kept", noArgs{}, &out)
				return a.printResult(out, err, err == nil, func(w *bufio.Writer) { printKept(w, a.style(), out) })
			}
			err := a.call("keep", request, &out)
			if err == nil && out.Visible != "" {
				a.warn("%s\nTo end it:\n  %s", keepVisible, unkeepCommand(request))
			}
			if a.confirm(err, "keep_all", "\nRepublish the records of all contacts? Type yes: ") {
				request.Yes = true
				err = a.call("keep", request, &out)
			}
			return a.printResult(out, err, err == nil, func(w *bufio.Writer) { printKept(w, a.style(), out) })
		},
	}
	cmd.Flags().BoolVar(&request.All, "all", false, "all contacts in the book now, and none that is added later")
	cmd.Flags().BoolVar(&request.Yes, "yes", false, "with --all: accept that it reveals your contacts")
	return cmd
}

func (a *app) unkeepVerb() *cobra.Command {
	var request keepArgs
	cmd := &cobra.Command{
		Use:   "unkeep NAME… | --all",
		Short: "Stop republishing records of contacts",
		Long:  `Revert petname keep. Peers keep the copies that they have for at most two days.`,
		Example: `  petname unkeep bob
  petname unkeep --all`,
		ValidArgsFunction: a.completeMoreNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Names = args
			var out keptList
			err := a.call("unkeep", request, &out)
			return a.printResult(out, err, err == nil, func(w *bufio.Writer) { printKept(w, a.style(), out) })
		},
	}
	cmd.Flags().BoolVar(&request.All, "all", false, "all contacts whose records are republished")
	return cmd
}

func printKept(w *bufio.Writer, s name.Style, out keptList) {
	if len(out.Kept) == 0 {
		fmt.Fprintln(w, "no contact's record is republished")
	}
	for _, k := range out.Kept {
		shown := "(in conflict)"
		if k.Name != "" {
			shown = shownName(s, k.Name)
		}
		fmt.Fprintf(w, "%s  %s", shown, nickname(s, "", k.Pointer))
		switch {
		case k.Next == nil && out.Running:
			fmt.Fprint(w, "  first look-up soon")
		case k.Next == nil:
			fmt.Fprint(w, "  waits for a running node")
		case k.Looked == nil:
			fmt.Fprintf(w, "  first look-up %s", timeText(*k.Next))
		case k.Problem != "":
			fmt.Fprintf(w, "  %s; again %s", name.Clean(k.Problem), timeText(*k.Next))
		default:
			fmt.Fprintf(w, "  held by %d of %s; next look-up %s", k.Holders, peersText(k.Asked), timeText(*k.Next))
		}
		fmt.Fprintln(w)
	}
}

func timeText(t time.Time) string { return t.Local().Format(time.DateTime) }

// printKeepStatus prints the status of the republisher.
func printKeepStatus(w *bufio.Writer, k keepStatus) {
	text := countText(k.Kept, "contact")
	if k.Next != nil {
		text += ", next look-up " + timeText(*k.Next)
	}
	if k.Last != nil {
		text += fmt.Sprintf("; last %s: %s", timeText(*k.Last), name.Clean(k.Result))
	}
	printField(w, "republishes", text)
	if k.Own == nil {
		return
	}
	own := "until " + timeText(k.Own.Expires)
	if k.Own.Next != nil {
		own += ", stored again " + timeText(*k.Own.Next)
	}
	if k.Own.Problem != "" {
		own += "; " + name.Clean(k.Own.Problem)
	}
	printField(w, "your record", own)
	if k.Own.Warning != "" {
		printField(w, "WARNING", "your record "+k.Own.Warning)
	}
}

// keepVisible describes what the network learns from republishing records of contacts.
const keepVisible = "A running node stores their records again before the network drops them.\n" +
	"The peers that store them see your IP address, and learn from all the records\n" +
	"together which contacts you have."

// unkeepCommand returns the command that reverts keep.
func unkeepCommand(a keepArgs) string {
	if a.All {
		return "petname unkeep --all"
	}
	return strings.TrimSpace("petname unkeep " + argWords(a.Names))
}

// keepArgs are the arguments of keep and unkeep.
type keepArgs struct {
	Names []string `json:"names"`
	All   bool     `json:"all"`
	Yes   bool     `json:"yes"` // with All: the user has confirmed keepVisible
}

// keptList is the result of keep and unkeep: all contacts that are kept now.
type keptList struct {
	Kept    []keptContact `json:"kept"`
	Added   []string      `json:"added,omitempty"`   // pointers that this call added
	Running bool          `json:"running,omitempty"` // a node of this home runs
	// Visible is keepVisible with the command that reverts it, when the first contacts are added.
	Visible string `json:"visible,omitempty"`
}

// keptContact is a contact with kept records, with the republishing state on
// this device.
type keptContact struct {
	Name    string     `json:"name"` // empty: in conflict
	Pointer string     `json:"pointer"`
	Next    *time.Time `json:"next"`    // next look-up; null: no node has run yet
	Looked  *time.Time `json:"looked"`  // last look-up; null: never
	Put     *time.Time `json:"put"`     // last republication; null: never
	Holders int        `json:"holders"` // peers, of those asked, that had the record at the last look-up
	Asked   int        `json:"asked"`
	Problem string     `json:"problem"` // of the last look-up; empty: none
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}

func (v *verbs) kept(context.Context, noArgs) (*keptList, error) {
	known, err := v.agent.RepublishEntries()
	if err != nil {
		return nil, err
	}
	out := &keptList{Kept: []keptContact{}, Running: v.serving}
	for c, err := range v.agent.Republished() {
		if err != nil {
			return nil, err
		}
		k := keptContact{Name: c.Name.String(), Pointer: c.Pointer.String()}
		if r, ok := known[c.Pointer]; ok {
			k.Next, k.Looked, k.Put = timeOrNull(r.Next), timeOrNull(r.Looked), timeOrNull(r.Put)
			k.Holders, k.Asked, k.Problem = r.Holders, r.Asked, name.Clean(r.Problem)
		}
		out.Kept = append(out.Kept, k)
	}
	return out, nil
}

func (v *verbs) keep(ctx context.Context, a keepArgs) (*keptList, error) {
	return v.setKept(ctx, a, true)
}
func (v *verbs) unkeep(ctx context.Context, a keepArgs) (*keptList, error) {
	return v.setKept(ctx, a, false)
}

func (v *verbs) setKept(ctx context.Context, a keepArgs, on bool) (*keptList, error) {
	before, err := v.kept(ctx, noArgs{})
	if err != nil {
		return nil, err
	}
	if a.All == (len(a.Names) > 0) {
		return nil, usage("name the contacts, or use --all")
	}
	ids, err := v.contactsToMark(a, on)
	if err != nil {
		return before, err
	}
	if on && a.All && !a.Yes && len(ids) > 0 {
		return before, &failure{Code: "keep_all", Exit: exitChoose,
			Message: fmt.Sprintf("--all is every contact in your book (%d more).\n", len(ids)) + keepVisible,
			Next:    "petname keep --all --yes"}
	}
	if err := v.agent.SetRepublished(ids, on); err != nil {
		return before, err
	}
	out, err := v.kept(ctx, noArgs{})
	if err != nil {
		return nil, err
	}
	was := map[string]bool{}
	for _, k := range before.Kept {
		was[k.Pointer] = true
	}
	for _, k := range out.Kept {
		if !was[k.Pointer] {
			out.Added = append(out.Added, k.Pointer)
		}
	}
	if len(before.Kept) == 0 && len(out.Added) > 0 {
		out.Visible = strings.ReplaceAll(keepVisible, "\n", " ") + " To end it: " + unkeepCommand(a)
	}
	return out, nil
}

// contactsToMark returns the contacts of the arguments. It looks all of them up
// before any is changed, so that an unknown name changes nothing.
func (v *verbs) contactsToMark(a keepArgs, on bool) (ids []pointer.Pointer, err error) {
	for _, text := range a.Names {
		c, err := v.agent.Lookup(text)
		if err != nil {
			return nil, err
		}
		ids = append(ids, c.ID)
	}
	if !a.All {
		return ids, nil
	}
	all := v.agent.Contacts()
	if !on {
		all = v.agent.Republished()
	}
	for c, err := range all {
		if err != nil {
			return nil, err
		}
		if c.Republished != on && (c.Conflict == nil || !on) {
			ids = append(ids, c.ID)
		}
	}
	return ids, nil
}

// keepStatus is the status of the republisher.
type keepStatus struct {
	Kept   int        `json:"kept"`   // contacts
	Next   *time.Time `json:"next"`   // next look-up of any record, also of the owner; null: none
	Last   *time.Time `json:"last"`   // last look-up since the node started; null: none
	Result string     `json:"result"` // of the last look-up
	Walks  int        `json:"walks"`  // since the node started
	Every  float64    `json:"every"`  // seconds between look-ups of one record, adapted to the churn of peers
	Own    *keptOwn   `json:"own"`    // null: nothing was published
}

// keptOwn is the republishing state of the owner's record.
type keptOwn struct {
	Next    *time.Time `json:"next"`
	Put     *time.Time `json:"put"`
	Holders int        `json:"holders"`
	Asked   int        `json:"asked"`
	Expires time.Time  `json:"expires"`
	Problem string     `json:"problem"`
	Warning string     `json:"warning"` // that it will expire and cannot be renewed
}

func asKeepStatus(kept int, s republish.Status) keepStatus {
	out := keepStatus{Kept: kept, Next: timeOrNull(s.Next), Last: timeOrNull(s.Last), Result: name.Clean(s.Outcome), Walks: s.Walks, Every: s.Interval.Seconds()}
	if s.Own != nil {
		out.Own = &keptOwn{Next: timeOrNull(s.Own.Next), Put: timeOrNull(s.Own.Put), Holders: s.Own.Holders, Asked: s.Own.Asked,
			Expires: s.Own.Expires.UTC(), Problem: name.Clean(s.Own.Problem), Warning: s.Own.Warning}
	}
	return out
}
