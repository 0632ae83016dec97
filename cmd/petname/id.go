package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
	"github.com/spf13/cobra"
)

func (a *app) idVerb() *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "id",
		Short: "Show your pointer, your link and its twelve words",
		Long: `Show your identity. The link is for the people that add you to their books: it
has a checksum, and the commitment (a hash) to your next key, with which their
homes verify a rotation. The twelve words are for comparing a pointer aloud.

With --as the key is printed in the form of another system alone: did:key, peer
(of libp2p), ssh or pkarr.`,
		Example: `  petname id
  petname id --as did:key`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var id identity
			err := a.call("id", noArgs{}, &id)
			if form != "" && err == nil {
				id.As, err = keyAs(id.Pointer, form)
				return a.printResult(id, err, err == nil, func(w *bufio.Writer) { fmt.Fprintln(w, id.As) })
			}
			return a.printResult(id, err, err == nil, func(w *bufio.Writer) {
				if a.quiet {
					fmt.Fprintln(w, id.Link)
					return
				}
				fmt.Fprintf(w, "%s\n\n", id.Link)
				printField(w, "pointer", id.Pointer)
				if id.Nickname != "" {
					printField(w, "nickname", a.style().Text(id.Nickname))
				}
				printWords(w, id.Words)
				printField(w, "next key", agent.NextKeyText(id.Recovery, id.Added))
				if id.Sequence > 0 {
					printField(w, "published", fmt.Sprintf("sequence %d", id.Sequence))
				} else {
					printField(w, "published", "nothing yet")
				}
				if id.Locked {
					printField(w, "key", "locked by a passphrase")
				}
				for _, last := range id.LastRecords {
					until := "nobody is led on from there: its last record is not in this home"
					switch {
					case last.Until != nil && last.Until.Before(a.clock()):
						until = "nobody is led on from there: its last record has ended on " + last.Until.Local().Format(time.DateTime)
					case last.Until != nil:
						until = "followers are led on until " + last.Until.Local().Format(time.DateTime)
					}
					printField(w, "before", last.Pointer)
					printField(w, "", until)
					if last.Above > 0 {
						printField(w, "NOT LED ON", fmt.Sprintf("where this newer record is found, which another holder of that key signed: sequence %d", last.Above))
					}
				}
			})
		},
	}
	addAsFlag(cmd, &form)
	return cmd
}

// addAsFlag adds the flag for the form of another system.
func addAsFlag(cmd *cobra.Command, form *string) {
	cmd.Flags().StringVar(form, "as", "", "print the key in this `form` alone: did:key, peer, ssh or pkarr")
	var forms []string
	for _, f := range pointer.Forms() {
		forms = append(forms, string(f))
	}
	_ = cmd.RegisterFlagCompletionFunc("as", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// keyAs returns the key of a pointer in the form of another system.
func keyAs(text, form string) (string, error) {
	p, err := pointer.Parse(text)
	if err != nil {
		return "", err
	}
	as, err := p.As(pointer.Form(form))
	if err != nil {
		return "", usage("--as: %v", err)
	}
	return as, nil
}

// identity is the result of id and of init.
type identity struct {
	Pointer  string `json:"pointer"`
	As       string `json:"as,omitempty"` // the key in the form of another system that was asked for
	Nickname string `json:"nickname"`
	Device   string `json:"device"`
	Next     string `json:"next"` // the commitment to the next key
	Link     string `json:"link"`
	Words    string `json:"words"`
	Recovery string `json:"recovery"`
	Sequence uint64 `json:"sequence"` // of the last publication; 0: none
	Locked   bool   `json:"locked"`
	Added    bool   `json:"added,omitempty"` // another device admitted this one

	LastRecords []lastRecord `json:"last_records,omitempty"` // of the previous pointers, oldest first
}

// lastRecord is the last record of a previous pointer, which leads followers on.
type lastRecord struct {
	Pointer string     `json:"pointer"`
	Until   *time.Time `json:"until"` // the end of its validity; null: it is not in this home

	// sequence of a record by a thief of that key that this home has seen; followers prefer it
	Above uint64 `json:"above,omitempty"`
}

func asIdentity(id agent.Identity) identity {
	var last []lastRecord
	for _, r := range id.LastRecords {
		last = append(last, lastRecord{r.Pointer.String(), timeOrNull(r.Until), r.Above})
	}
	return identity{
		Pointer: id.Pointer.String(), Nickname: id.Nickname, Device: id.Device, Next: id.Next.String(),
		Link:  pointer.Link{Pointer: id.Pointer, Next: id.Next, Nickname: id.Nickname}.String(),
		Words: id.Pointer.Words().String(), Recovery: id.Recovery, Sequence: id.Sequence, Locked: id.Locked, Added: id.Added,
		LastRecords: last,
	}
}

func (v *verbs) id(context.Context, noArgs) (*identity, error) {
	id, err := v.agent.Identity()
	if err != nil {
		return nil, err
	}
	out := asIdentity(id)
	return &out, nil
}
