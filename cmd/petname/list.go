package main

import (
	"bufio"
	"context"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
)

func (a *app) listVerb() *cobra.Command {
	return &cobra.Command{
		Use:        "list",
		SuggestFor: []string{"contacts"},
		Aliases:    []string{"ls"},
		Short:      "List your contacts",
		Long:       "List the contacts in the book, in alphabetical order. Your own identity is\nnot among them.",
		Example: `  petname list
  petname list --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.printContacts("list", noArgs{}, "the book has no contacts yet:\n  petname add NAME LINK")
		},
	}
}

// printContacts runs a verb that returns contacts, and prints them. none is the hint
// for an empty list.
func (a *app) printContacts(verb string, args any, none string) error {
	var out contactList
	err := a.call(verb, args, &out)
	if err == nil && len(out.Contacts) == 0 {
		a.hint("%s", none)
	}
	return a.printResult(out, err, err == nil, func(w *bufio.Writer) {
		for _, c := range out.Contacts {
			fmt.Fprintln(w, contactLine(a.style(), c))
		}
	})
}

func (v *verbs) list(context.Context, noArgs) (*contactList, error) {
	return v.collectSorted(v.agent.Contacts())
}

// collectSorted is collectContacts in the order in which people look up names.
func (v *verbs) collectSorted(contacts iter.Seq2[petname.Contact, error]) (*contactList, error) {
	var all []petname.Contact
	for c, err := range contacts {
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	petname.SortByName(all)
	return v.collectContacts(func(yield func(petname.Contact, error) bool) {
		for _, c := range all {
			if !yield(c, nil) {
				return
			}
		}
	})
}
