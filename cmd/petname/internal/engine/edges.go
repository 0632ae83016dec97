package engine

import (
	"context"
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

// Edge is an edge of mine: public, or for one contact.
type Edge struct {
	Label    string `json:"label"`
	Pointer  string `json:"pointer"`
	Name     string `json:"name"` // my petname for it, which stays here
	Conflict bool   `json:"conflict"`
}

// Edges is the result of share and unshare: all that is public from the next
// publication on, or all that one contact alone may read.
type Edges struct {
	Edges []Edge   `json:"edges"`
	Added []string `json:"added,omitempty"` // labels that this call added
	To    string   `json:"to,omitempty"`    // pointer of the contact that they are for; empty: everybody
	Sent  string   `json:"sent,omitempty"`  // with To: "stored" or "queued"
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
	To     string   `json:"to"` // a contact; empty: everybody

	Passphrase string `json:"passphrase,omitempty"`
}

// Share makes contacts reachable under labels of mine.
func (e *Engine) Share(ctx context.Context, a ShareArgs) (*Edges, error) {
	if a.Public == (a.To != "") {
		return nil, Usage("share with whom? With one contact, or with everybody").
			With("petname share NAME --as LABEL --to CONTACT, or petname share NAME --as LABEL --public")
	}
	if a.Label != "" && len(a.Names) > 1 {
		return nil, Usage("--as gives one label, and %d names were given", len(a.Names))
	}
	if a.To != "" {
		return e.shareWith(ctx, a)
	}
	before, err := e.edges()
	if err != nil {
		return nil, err
	}
	contacts, labels, err := e.labelled(a)
	if err != nil {
		return before, err
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

// labelled are the contacts that are to be shared, and under which labels.
func (e *Engine) labelled(a ShareArgs) ([]petname.Contact, []name.Name, error) {
	var contacts []petname.Contact
	var labels []name.Name
	for _, name := range a.Names { // all are looked at before any is shared
		c, err := e.find(name)
		if err != nil {
			return nil, nil, err
		}
		label := a.Label
		if label == "" {
			// My petname for somebody is mine: what goes out by default is
			// what they call themselves.
			label = e.full(c).Nickname
		}
		if label == "" {
			return nil, nil, Usage("%q has no nickname to share it by, and your petname for it stays private", c.Name).
				With("petname share " + ShellWord(name) + " --as LABEL " + a.audience())
		}
		l, err := petname.CheckLabel(label)
		if err != nil {
			return nil, nil, err
		}
		contacts, labels = append(contacts, c), append(labels, l)
	}
	return contacts, labels, nil
}

func (a ShareArgs) audience() string {
	if a.To == "" {
		return "--public"
	}
	return "--to " + ShellWord(a.To)
}

// shareWith tells one contact alone.
func (e *Engine) shareWith(ctx context.Context, a ShareArgs) (*Edges, error) {
	to, err := e.find(a.To)
	if err != nil {
		return nil, err
	}
	contacts, labels, err := e.labelled(a)
	if err != nil {
		return nil, err
	}
	return e.tell(ctx, to, a.Passphrase, func() (added []string, undo func(), err error) {
		undo = func() {
			for _, label := range added {
				if n, err := petname.CheckLabel(label); err == nil {
					_, _ = e.book.UnshareWith(to.ID, n)
				}
			}
		}
		before := make(map[string]bool)
		for edge, err := range e.book.EdgesWith(to.ID) {
			if err != nil {
				return nil, nil, err
			}
			if n, err := petname.CheckLabel(edge.Label); err == nil && !edge.Conflict {
				before[n.Key()] = true
			}
		}
		for i, c := range contacts {
			if _, err := e.book.ShareWith(to.ID, c.ID, labels[i]); err != nil {
				undo()
				return nil, nil, err
			}
			if !before[labels[i].Key()] { // what stood before stays, whatever becomes of this
				added = append(added, labels[i].String())
			}
		}
		return added, undo, nil
	})
}

// tell changes what a contact alone may read, and brings it on its way. What
// can't be is not changed.
func (e *Engine) tell(ctx context.Context, to petname.Contact, passphrase string, change func() (added []string, undo func(), err error)) (*Edges, error) {
	key, err := e.unlock(passphrase)
	if err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	added, undo, err := change()
	if err != nil {
		return nil, err
	}
	how, err := p.ShareWith(ctx, key, to.Pointer)
	if how == "" {
		undo()
		return nil, noCard(err, fmt.Sprintf("%q has", to.Name))
	}
	out := &Edges{Edges: []Edge{}, Added: added, To: to.Pointer.String()}
	sent := e.sent(how, err, &out.Sent)
	for edge, err := range e.book.EdgesWith(to.ID) {
		if err != nil {
			return nil, err
		}
		out.Edges = append(out.Edges, Edge{edge.Label, edge.Pointer.String(), edge.Contact.Name.String(), edge.Conflict})
	}
	return out, sent
}

// UnshareArgs are the arguments of unshare.
type UnshareArgs struct {
	Label string `json:"label"`
	To    string `json:"to"` // a contact; empty: everybody

	Passphrase string `json:"passphrase,omitempty"`
}

// Unshare takes a label back.
func (e *Engine) Unshare(ctx context.Context, a UnshareArgs) (*Edges, error) {
	label, err := petname.CheckLabel(a.Label)
	if err != nil {
		return nil, err
	}
	if a.To != "" {
		to, err := e.find(a.To)
		if err != nil {
			return nil, err
		}
		return e.tell(ctx, to, a.Passphrase, func() ([]string, func(), error) {
			was, err := e.book.UnshareWith(to.ID, label)
			return nil, func() { _, _ = e.book.ShareWith(to.ID, was.Contact.ID, label) }, err
		})
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
