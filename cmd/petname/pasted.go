package main

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/paste"
)

// secretFor returns the failure for a code or an invitation in the place of something else,
// with the verb that takes it; nil for any other text. Both are secret, and not quoted. wanted
// is what the text is not, and as the name for the contact, if one was given.
func secretFor(text, wanted, as string) *failure {
	device, what, argument := false, "invitation", "INVITATION"
	if code, err := pair.ParseCode(text); err == nil {
		device, what, argument = code.IsForDevice(), "code", "CODE"
	} else if ticket, err := pair.ParseTicket(text, time.Time{}); err == nil { // an expired one, too
		device = ticket.Device
	} else {
		damaged := paste.AfterAnyCase(text, "petname-invite:")
		if device = len(damaged) == 0; device {
			damaged = paste.AfterAnyCase(text, "petname-device:")
		}
		if len(damaged) == 0 || len(damaged[0]) < leastInvitation {
			return nil
		}
		takes := "petname pair"
		if device {
			takes = "petname device join"
		}
		return usage("this is an invitation, which %s takes, and no %s; it was damaged or cut short", takes, wanted).With("copy it whole, or ask for a new one")
	}
	article := "a "
	if what == "invitation" {
		article = "an "
	}
	if device {
		return usage("this is %s%s for a device, and no %s", article, what, wanted).With("on a new device of yours:\npetname device join " + argument)
	}
	next := "petname pair " + argument
	if _, err := name.Parse(as); err == nil {
		next += " --as " + shellWord(as)
	}
	return usage("this is %s%s, and no %s", article, what, wanted).With(next)
}

// leastInvitation is less than the length of each invitation behind its scheme.
const leastInvitation = 40

// pastedFor is secretFor, and also returns a failure for the link of a contact, and for a
// pointer in the form of one.
func pastedFor(text, wanted string) *failure {
	if f := secretFor(text, wanted, ""); f != nil {
		return f
	}
	link, err := pointer.ParseLink(text)
	if err != nil {
		return nil
	}
	switch {
	case link.Next.IsZero() && link.Nickname == "" && strings.Contains(text, "/"):
		return nil // an address or a path with a pointer in it
	case link.Next.IsZero() && link.Nickname == "":
		return usage("this is a pointer, and no %s", wanted).With("petname whois " + link.Pointer.String())
	}
	return usage("this is the link of a contact, and no %s", wanted).With("petname add NAME " + shellWord(link.String()))
}

// contactArguments are the arguments of verbs that are a contact, a pointer or a network.
type contactArguments struct {
	Name    string   `json:"name"`
	Old     string   `json:"old"` // of rename
	Path    string   `json:"path"`
	To      string   `json:"to"`
	From    string   `json:"from,omitempty"`
	For     string   `json:"for"`
	Pointer string   `json:"pointer"`
	Names   []string `json:"names"`
	Targets []string `json:"targets"` // of join
}

// withPasted returns, for a verb that refused its arguments or did not find them, the failure
// of what was pasted in their place, and err for other arguments. add, whois and pair have
// failures of their own.
func withPasted(err error, verb string, raw json.RawMessage) error {
	if err == nil || verb == "add" || verb == "whois" || verb == "pair" {
		return err
	}
	f := classify(err)
	if f.Code != "usage" && f.Code != "bad_name" && f.Code != "not_found" && f.Code != "failure" {
		return err
	}
	var args contactArguments
	_ = json.Unmarshal(raw, &args) // an argument of the same name and another type is none of these
	for _, text := range args.Targets {
		if is := pastedFor(text, "network"); is != nil {
			return is
		}
	}
	for _, text := range append(args.Names, args.Name, args.Old, args.Path, args.To, args.From, args.For, args.Pointer) {
		if is := secretFor(text, "contact", ""); is != nil {
			return &failure{Code: f.Code, Exit: f.Exit, Message: is.Message, Next: is.Next}
		}
		link, lerr := pointer.ParseLink(text)
		if errors.As(lerr, new(*pointer.WordsError)) {
			return &failure{Code: f.Code, Exit: f.Exit, Message: lerr.Error(), Next: "compare the words of each with the owner over another channel, such as a call"}
		}
		if errors.Is(lerr, pointer.ErrScanned) {
			return &failure{Code: f.Code, Exit: f.Exit, Message: lerr.Error(), Next: "ask the owner for the link, which petname id prints"}
		}
		if lerr == nil && strings.Contains(f.Message, "is a link, not a bare pointer") {
			return f.With("with the pointer in it alone:\npetname whois " + link.Pointer.String())
		}
	}
	return err
}
