package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// settleNext is the next step for a contact with a next key in doubt.
var settleNext = settleWith("NAME", nil)

// settleWith is settleNext for a contact with a name, and with the flags of confirm for
// each choice that there is; none: its newest card.
func settleWith(petname string, choices []string) string {
	next := "ask the owner for the link over another channel, then one of\npetname add " + petname + " LINK --replace-pin"
	for _, choice := range choices {
		next += "\npetname confirm " + petname + " " + choice
	}
	if len(choices) == 0 {
		next += "\npetname confirm " + petname
	}
	return next
}

// inDoubt returns the pointer that an error about the next key of a contact is about,
// and the commitment of a card that was seen; zero: none.
func inDoubt(err error) (p pointer.Pointer, seen pointer.Commitment) {
	var (
		duplicity *petname.DuplicityError
		differing *petname.ContradictionError
	)
	switch {
	case errors.As(err, &duplicity):
		return duplicity.Pointer, duplicity.Seen
	case errors.As(err, &differing):
		return differing.Pointer, seen
	}
	return p, seen
}

// withName returns an error about the next key of a contact with the petname of the
// contact in the next step, and other errors unchanged.
func (v *verbs) withName(err error) error {
	p, seen := inDoubt(err)
	if p.IsZero() {
		return err
	}
	f := classify(err)
	if f.Next != settleNext {
		return err
	}
	c, cerr := v.agent.ByPointer(p)
	if cerr != nil || c.Name.IsZero() {
		return f.With("ask the owner for the link over another channel, then\npetname add NAME LINK --replace-pin")
	}
	choices := confirmChoices(asContact(c))
	if flag := "--next " + seen.String(); !seen.IsZero() && p == c.Pointer && !slices.Contains(choices, flag) {
		choices = append(choices, flag)
	}
	return f.With(settleWith(shellWord(c.Name.String()), choices))
}

// confirmChoices returns the flags of confirm for each choice about the next keys of a
// contact: of several commitments that a key signed, which is the newest is up to its
// holder, or to a thief; and at an earlier key, what the contact moved by is a choice,
// too.
func confirmChoices(c contact) (choices []string) {
	for _, one := range c.Contradictions {
		var flags []string
		for _, claim := range one.Claims {
			if claim.Pin == string(petname.Confirmed) {
				flags = append(flags, "--next "+claim.Next)
			}
		}
		if earlier := one.Pointer != c.Pointer; earlier {
			flags = append(flags, "--successor "+c.Pointer)
		} else if len(flags) < 2 {
			continue
		}
		for _, flag := range flags {
			if !slices.Contains(choices, flag) {
				choices = append(choices, flag)
			}
		}
	}
	return choices
}

// pinContradiction lists the claims about the next key of one pointer that
// contradict each other.
type pinContradiction struct {
	Pointer   string     `json:"pointer"`
	Duplicity bool       `json:"duplicity"` // the pointer's own signature carried two of them
	Claims    []pinClaim `json:"claims"`
}

// pinClaim is a commitment to a next key, with its source.
type pinClaim struct {
	Next   string `json:"next"`
	Pin    string `json:"pin"` // "confirmed" or "claimed"
	Kind   string `json:"kind"`
	By     string `json:"by"`
	ByName string `json:"by_name,omitempty"` // the petname of the contact that stated it
}

func asPinClaim(c petname.PinClaim) pinClaim {
	return pinClaim{Next: c.Next.String(), Pin: string(c.Pin), Kind: c.Kind, By: c.By}
}

// nameSources adds the petnames of the contacts that made contradicting claims.
func (v *verbs) nameSources(c *contact) {
	for _, one := range c.Contradictions {
		for i, claim := range one.Claims {
			p, err := pointer.Parse(claim.By)
			if err != nil {
				continue // the owner
			}
			if by, err := v.agent.ByPointer(p); err == nil {
				one.Claims[i].ByName = by.Name.String()
			}
		}
	}
}

// contradictions returns those of the contact that an error is about.
func (v *verbs) contradictions(err error) []pinContradiction {
	p, _ := inDoubt(err)
	if p.IsZero() {
		return nil
	}
	c, err := v.agent.ByPointer(p)
	if err != nil {
		return nil
	}
	shown := asContact(c)
	v.nameSources(&shown)
	return shown.Contradictions
}

// printPins prints what is in doubt about the next keys of a contact, and how to
// settle it.
func (a *app) printPins(w io.Writer, c contact) {
	s, petname := a.style(), shellWord(c.Name)
	command := func(text string) { fmt.Fprintf(w, "  %s\n", a.withHomeFlag("petname "+text)) }
	for _, one := range c.Contradictions {
		label, what := "CONTRADICTION", "these claims about the next key differ"
		if one.Duplicity {
			label, what = "DUPLICITY", "the key signed two next keys: another party may have it"
		}
		printField(w, label, what)
		if one.Pointer != c.Pointer {
			printField(w, "  of", one.Pointer)
		}
		for _, claim := range one.Claims {
			printField(w, "  next key", claim.Next)
			printField(w, "  "+claim.Pin, claimSource(s, claim, one.Pointer))
		}
	}
	if c.Name == "" {
		return // there is no contact to decide about
	}
	if len(c.Contradictions) > 0 {
		_, commands, _ := strings.Cut(settleWith(petname, confirmChoices(c)), "\n")
		fmt.Fprintln(w, "  ask its owner over another channel, then one of")
		for next := range strings.SplitSeq(commands, "\n") {
			fmt.Fprintf(w, "  %s\n", a.withHomeFlag(next))
		}
	}
	if c.Unproven != "" {
		what := "a claim alone proves this successor"
		if c.Next == "" {
			what = "its record names this successor, and nothing proves it"
		}
		printField(w, "NOT PROVEN", what)
		printField(w, "", c.Unproven)
		fmt.Fprintln(w, "  compare its words with its owner over another channel, then")
		command("confirm " + petname + " --successor " + c.Unproven)
	}
	for _, claim := range c.Rejected {
		what := "a record with this next key does not resolve"
		if claim.By != c.Pointer {
			what = "this next key, which its earlier key signed"
		}
		printField(w, "REJECTED", what)
		printField(w, "  next key", claim.Next)
		fmt.Fprintln(w, "  if its owner says that it is right:")
		command("confirm " + petname + " --next " + claim.Next)
	}
}

// claimSource describes the source of a claim about a next key of a pointer.
func claimSource(s name.Style, claim pinClaim, p string) string {
	by := s.Text(claim.Kind)
	switch {
	case claim.By == p: // its own signature
	case claim.ByName != "":
		by += ", by " + shownName(s, claim.ByName)
	case claim.By != "me":
		by += ", by " + s.Text(claim.By)
	}
	return by
}
