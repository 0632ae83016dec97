package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

func (a *app) confirmVerb() *cobra.Command {
	var request confirmArgs
	cmd := &cobra.Command{
		Use:   "confirm NAME",
		Short: "Confirm the next key that a contact's card states",
		Long: `Settle contradictions about the next key of a contact: the contact's newest card
is right, and every other claim in the book about that key is wrong, as from a
link, an introduction or another card. If the card names a successor that it
proves, the contact moves to the successor. A card that contradicts the book and
was not shown before is entered in the book first, with exit status 6: look at
it with petname show, and confirm again. If the key signed cards with different
next keys, choose one of them with --next: which is the newest is up to the
signer. --next also names the first card of a pointer that the contact came to
without the signature of its old key.

With --successor the contact moves to a pointer that show prints as NOT PROVEN:
a link or another person states its key, and no card of the contact in the book
does. Or the contact stays at the pointer that it moved to. petname show prints
a command for each choice.

First compare the words of the pointer with its owner over another channel. If
you have a link from the owner, petname add NAME LINK --replace-pin settles the
contradictions by that link instead. The log has an entry of either verb, and
petname undo reverts it.`,
		Example: `  petname confirm bob
  petname confirm bob --next kmuhyhste9xn14f4lh202vko84xvp6osl92m8gguulglytjomgxy3`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) error {
			request.Name = args[0]
			return a.printContactOf("confirm", request)
		},
	}
	cmd.Flags().StringVar(&request.Next, "next", "", "believe this `next key`, as show prints it")
	cmd.Flags().StringVar(&request.Successor, "successor", "", "believe that the contact moved to this `pointer`, as show names it")
	durationFlag(cmd.Flags(), &request.Timeout, "timeout", 30*time.Second, "give up after")
	return cmd
}

// confirmArgs are the arguments of confirm.
type confirmArgs struct {
	Name      string        `json:"name"`
	Next      string        `json:"next"`      // a commitment that a card states; empty: that of the newest card
	Successor string        `json:"successor"` // a pointer; empty: none
	Timeout   time.Duration `json:"timeout"`
}

func (v *verbs) confirm(ctx context.Context, a confirmArgs) (*contact, error) {
	if a.Timeout <= 0 || a.Timeout > agent.MaxTimeout {
		return nil, usage("timeout %s: must be over 0 and at most %s", a.Timeout, agent.MaxTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	if a.Next != "" && a.Successor != "" {
		return nil, usage("--next believes a next key, and --successor the pointer that a step leads to: choose one")
	}
	var what petname.Confirmation
	var err error
	if a.Next != "" {
		if what.Next, err = pointer.ParseCommitment(paste.Token(a.Next)); err != nil {
			return nil, usage("--next: %v", err).With("petname show " + shellWord(a.Name))
		}
	}
	if a.Successor != "" {
		link, err := pointer.ParseLink(a.Successor)
		if err != nil {
			return nil, usage("--successor: %v", err).With("petname show " + shellWord(a.Name))
		}
		what.Successor = link.Pointer
	}
	before, err := v.agent.Lookup(a.Name)
	if err != nil {
		return v.conflictingContact(err, pointer.Pointer{}), err
	}
	c, err := v.agent.Confirm(ctx, a.Name, what)
	if err != nil {
		if errors.Is(err, petname.ErrNothingToConfirm) {
			next := "petname show " + shellWord(a.Name)
			if a.Next == "" && a.Successor == "" && !before.Name.IsZero() {
				first := "ask the owner to publish, or for the link"
				if joined, jerr := v.agent.Joined(); jerr == nil && joined.Network == "off" && len(joined.Routers) == 0 {
					first = "join a network, or ask the owner for the link"
				}
				next = first + ", then\npetname add " + shellWord(before.Name.String()) + " LINK --replace-pin"
			}
			if named := v.contactDetails(before).Unproven; named != "" && named != what.Successor.String() {
				next = "compare the words of the successor that it names with its owner over another channel, then\npetname confirm " +
					shellWord(a.Name) + " --successor " + named
			} else if a.Successor != "" && !before.Name.IsZero() {
				word := shellWord(before.Name.String())
				next = "if its owner says that this is its newer key and the first does not move it, the others:\npetname resolve " + what.Successor.String() + "\npetname rm " + word + "\npetname add " + word + " LINK"
			}
			err = classify(err).With(next)
		}
		return v.conflictingContact(err, before.ID), err
	}
	out := v.contactDetails(c)
	if c.Pointer != before.Pointer {
		out.MovedFrom = before.Pointer.String()
	}
	return out, nil
}
