package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) whyVerb() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "why NAME",
		Short: "Show the source of each fact about a contact",
		Long: `Show each fact in your book about a contact: its kind, its source, its time, and
its entry in the log; and what other contacts stated about the contact, accepted
or not. It shows facts, and no verdict.

With -o, the proof that an introducer introduced a wrong key for this contact is
written to a file. Anyone can verify it: see dispute and evidence.`,
		Example: `  petname why bob
  petname why bob -o proof.txt`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			if file != "" {
				return a.writeProof(args[0], file)
			}
			var c contact
			err := a.call("why", nameArgs{Name: args[0]}, &c)
			return a.printResult(c, err, err == nil, func(w *bufio.Writer) {
				s := a.style()
				fmt.Fprintln(w, contactLine(s, c))
				a.printPins(w, c)
				for _, e := range c.Evidence {
					printEvidence(w, s, e)
				}
			})
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write the proof of a wrong key to a `file`; - for standard output")
	return cmd
}

// printEvidence prints one fact or statement about a contact.
func printEvidence(w *bufio.Writer, st name.Style, e evidence) {
	by := st.Text(e.By)
	switch {
	case e.ByName != "":
		by = shownName(st, e.ByName)
	case e.Entry == "":
		by = nickname(st, "", e.By)
	}
	at := e.At.Local().Format(time.DateTime)
	if e.Entry != "" {
		fmt.Fprintf(w, "  %s  %s, by %s (%s), entry %s\n", at, st.Text(e.Kind), by, channelText(st, e.Channel), e.Entry)
	} else {
		fmt.Fprintf(w, "  %s  stated: %s, by %s (%s)", at, st.Text(e.Kind), by, channelText(st, e.Channel))
		if e.State != "" {
			fmt.Fprintf(w, ", %s", e.State)
		}
		fmt.Fprintln(w)
	}
	switch {
	case e.Kind == "denied":
		printField(w, "  DENIED KEY", e.Pointer)
	case e.OfReplaced:
		printField(w, "  REPLACED", e.Pointer)
	}
	if e.Suggested != "" {
		printField(w, "  as", nickname(st, e.Suggested, e.Pointer))
	}
	if e.Retracted {
		printField(w, "  WITHDRAWN", "by its sender")
	}
	if e.Nickname != "" {
		printField(w, "  nickname", nickname(st, e.Nickname, e.Pointer))
	}
	if e.Next != "" {
		printField(w, "  next key", e.Next)
	}
}

// why returns a contact with the sources of all information about it.
func (v *verbs) why(_ context.Context, a nameArgs) (*contact, error) {
	c, err := v.agent.Lookup(a.Name)
	if err != nil {
		return v.conflictingContact(err, pointer.Pointer{}), err
	}
	out := v.contactDetails(c)
	stated, err := v.agent.Evidence(c.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range stated {
		out.Evidence = append(out.Evidence, evidence{fact: fact{s.Kind, s.By.String(), name.Clean(s.Channel), s.At}, Pointer: s.Pointer.String(), Suggested: name.Clean(s.Suggested),
			State: string(s.State), Retracted: s.Retracted, OfReplaced: s.OfReplaced, Transcript: s.Statement})
	}
	for i := range out.Evidence {
		if by, err := pointer.Parse(out.Evidence[i].By); err == nil {
			if c, err := v.agent.ByPointer(by); err == nil {
				out.Evidence[i].ByName = c.Name.String()
			}
		}
	}
	slices.SortStableFunc(out.Evidence, func(a, b evidence) int { return a.At.Compare(b.At) })
	return out, nil
}
