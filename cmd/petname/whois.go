package main

import (
	"context"
	"errors"
	"strings"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
	"github.com/spf13/cobra"
)

func (a *app) whoisVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "whois POINTER|LINK|WORDS",
		Short: "Find the contact with a pointer, a link or twelve words",
		Long: `Show the contact with a pointer. A link is also checked against the commitment
to the next key that your book has. Twelve words, which another person reads
aloud, are compared with the words of each contact.`,
		Example: `  petname whois k51qzi5uqu5d…
  petname whois 'petname:k51…?c=…&s=…'
  petname whois canyon tube loop rocket stone jar visit exile rib chief melt van`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.printContactOf("whois", whoisArgs{Target: strings.Join(args, " ")})
		},
	}
}

// whoisArgs are the arguments of whois.
type whoisArgs struct {
	Target string `json:"target"` // a pointer, a link, or twelve words
}

// whois finds a pointer in the book. A pointer that is not in the book is returned
// with the failure, with what the link and the home contain about it.
func (v *verbs) whois(_ context.Context, a whoisArgs) (*contact, error) {
	if _, err := pointer.ParseWords(a.Target); err == nil || looksLikeWords(a.Target) {
		return v.whoisWords(a.Target)
	}
	link, err := parseTarget(a.Target)
	if err != nil {
		if c, lerr := v.agent.Lookup(a.Target); lerr == nil && !c.Name.IsZero() {
			return nil, usage("%q is a name in the book; whois finds the contact of a pointer", c.Name).With("petname show " + shellWord(c.Name.String()))
		}
		return nil, err
	}
	return v.whoisLink(link)
}

func (v *verbs) whoisLink(link pointer.Link) (*contact, error) {
	if link.Pointer == v.agent.Pointer() {
		id, err := v.id(context.Background(), noArgs{})
		if err != nil {
			return nil, err
		}
		return &contact{Pointer: id.Pointer, Nickname: id.Nickname, Words: id.Words, Link: id.Link, Me: true, Provenance: []fact{}}, nil
	}
	c, err := v.agent.ByPointer(link.Pointer)
	if err == nil && !c.Means(link) {
		err = petname.ErrNotFound
	}
	if err == nil {
		if err := c.PinnedByLink(link); err != nil && !link.Next.IsZero() {
			return v.contactDetails(c), err
		}
		if c.Name.IsZero() && c.Conflict == nil && c.Removed.IsZero() {
			return v.contactDetails(c), &failure{Code: "not_found", Exit: exitNotFound, Message: c.Pointer.String() + " has no name in the book any more"}
		}
		return v.contactDetails(c), nil
	}
	if !errors.Is(err, petname.ErrNotFound) {
		return nil, err
	}
	unknown := v.contactDetails(petname.Contact{ID: link.Pointer, Pointer: link.Pointer, Nickname: link.Nickname, Next: link.Next})
	return unknown, &failure{Code: "not_found", Exit: exitNotFound, Message: link.Pointer.String() + " is not in the book",
		Next: "petname add NAME " + shellWord(unknown.Link)}
}

// whoisWords finds the pointer with the given twelve words.
func (v *verbs) whoisWords(text string) (*contact, error) {
	words, err := pointer.ParseWords(text)
	if err != nil {
		return nil, usage("%v", err)
	}
	if v.agent.Pointer().Words() == words {
		return v.whoisLink(pointer.Link{Pointer: v.agent.Pointer()})
	}
	for c, err := range v.agent.Contacts() {
		if err != nil {
			return nil, err
		}
		if c.Pointer.Words() == words {
			return v.contactDetails(c), nil
		}
	}
	return nil, &failure{Code: "not_found", Exit: exitNotFound, Message: "no contact has a pointer with these words"}
}
