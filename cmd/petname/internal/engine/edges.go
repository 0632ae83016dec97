package engine

import (
	"context"
	"strings"

	"github.com/petnames-go/petnames/petname"
)

// Edge is a public edge of mine.
type Edge struct {
	Label    string `json:"label"`
	Pointer  string `json:"pointer"`
	Name     string `json:"name"` // my petname for it, which stays here
	Conflict bool   `json:"conflict"`
}

// Edges is the result of share and unshare: all that is public from the next
// publication on.
type Edges struct {
	Edges []Edge   `json:"edges"`
	Added []string `json:"added,omitempty"` // labels that this call made public
	// Visible says, of the first, what it shows to everybody.
	Visible string `json:"visible,omitempty"`
}

// Visible is what everybody can see of a public edge.
const Visible = "From your next publication on, everybody who looks you up can see\n" +
	"the label, the pointer behind it, and so that you know its owner.\n" +
	"Until then petname unshare takes it back."

// Public gives all that is public already.
func (e *Engine) Public(_ context.Context, _ NoArgs) (*Edges, error) { return e.edges() }

// ShareArgs are the arguments of share.
type ShareArgs struct {
	Names  []string `json:"names"`
	Label  string   `json:"label"` // empty: the contact's nickname
	Public bool     `json:"public"`
}

// Share makes contacts reachable under labels of mine.
func (e *Engine) Share(_ context.Context, a ShareArgs) (*Edges, error) {
	if !a.Public {
		return nil, Usage("share without --public: only public edges exist so far, which anybody can read").
			With("petname share NAME --as LABEL --public")
	}
	if a.Label != "" && len(a.Names) > 1 {
		return nil, Usage("--as gives one label, and %d names were given", len(a.Names))
	}
	before, err := e.edges()
	if err != nil {
		return nil, err
	}
	var contacts []petname.Contact
	var labels []petname.Name
	for _, name := range a.Names { // all are looked at before any is shared
		c, err := e.find(name)
		if err != nil {
			return before, err
		}
		label := a.Label
		if label == "" {
			// My petname for somebody is mine: what goes out by default is
			// what they call themselves.
			label = e.full(c).Nickname
		}
		if label == "" {
			return nil, Usage("%q has no nickname to share it by, and your petname for it stays private", c.Name).
				With("petname share " + ShellWord(name) + " --as LABEL --public")
		}
		l, err := petname.CheckLabel(label)
		if err != nil {
			return nil, err
		}
		contacts, labels = append(contacts, c), append(labels, l)
	}
	var added []string
	for i, c := range contacts {
		if _, err := e.book.SharePublic(c.ID, labels[i]); err != nil {
			return before, err
		}
		added = append(added, labels[i].String())
	}
	out, err := e.edges()
	if err != nil {
		return nil, err
	}
	out.Added = added
	if len(before.Edges) == 0 {
		out.Visible = strings.ReplaceAll(Visible, "\n", " ")
	}
	return out, nil
}

// UnshareArgs are the arguments of unshare.
type UnshareArgs struct {
	Label string `json:"label"`
}

// Unshare takes a label back.
func (e *Engine) Unshare(_ context.Context, a UnshareArgs) (*Edges, error) {
	label, err := petname.CheckLabel(a.Label)
	if err != nil {
		return nil, err
	}
	if _, err := e.book.Unshare(label); err != nil {
		return nil, err
	}
	return e.edges()
}

func (e *Engine) edges() (*Edges, error) {
	out := &Edges{Edges: []Edge{}}
	for edge, err := range e.book.Edges() {
		if err != nil {
			return nil, err
		}
		out.Edges = append(out.Edges, Edge{edge.Label, edge.Pointer.String(), edge.Contact.Name.String(), edge.Conflict})
	}
	return out, nil
}
