package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) chooseVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "choose NAME POINTER",
		Short: "Settle a conflict of two of your devices",
		Long: `Settle a conflict that arose when two of your devices changed the same thing:
the contact with POINTER has NAME from then on. Another contact that also has it
loses its name, and can be given another one with add. petname list and show
print the conflicts; until you choose, the name resolves to nothing (status 8).`,
		Example: `  petname choose bob k51qzi5uqu5d…`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var c chosen
			err := a.call("choose", chooseArgs{Name: args[0], Pointer: args[1]}, &c)
			return a.printResult(c, err, c.Pointer != "", func(w *bufio.Writer) {
				fmt.Fprintln(w, contactLine(a.style(), c.contact))
				for _, other := range c.Unnamed {
					fmt.Fprintf(w, "no longer named: %s\n", nickname(a.style(), other.Nickname, other.Pointer))
				}
			})
		},
		ValidArgsFunction: a.completeConflicts,
	}
}

// chooseArgs are the arguments of choose.
type chooseArgs struct {
	Name    string `json:"name"`
	Pointer string `json:"pointer"`
}

// chosen is the result of choose.
type chosen struct {
	contact
	Unnamed []contact `json:"unnamed"` // that lost the name
}

func (v *verbs) choose(_ context.Context, a chooseArgs) (*chosen, error) {
	c, others, err := v.agent.Choose(a.Name, a.Pointer)
	if errors.Is(err, petname.ErrNoConflict) {
		return nil, &failure{Code: "no_conflict", Exit: exitNotFound, Message: fmt.Sprintf("%s and %s are in no conflict", name.Quote(a.Name), name.Quote(a.Pointer)), Next: "petname list"}
	}
	if err != nil {
		return nil, err
	}
	out := &chosen{contact: asContact(c), Unnamed: []contact{}}
	for _, other := range others {
		out.Unnamed = append(out.Unnamed, asContact(other))
	}
	return out, nil
}
