package agent

import (
	"context"
	"errors"
	"iter"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
)

// Edges yields the public edges, which the owner's card has from the next publication
// on.
func (a *Agent) Edges() iter.Seq2[petname.Edge, error] { return a.book.Edges() }

// EdgesWith yields the private edges for one contact.
func (a *Agent) EdgesWith(contact petname.Contact) iter.Seq2[petname.Edge, error] {
	return a.book.EdgesWith(contact.ID)
}

// Share shares contacts publicly, under label, or if it is empty each under its
// nickname: all of them, or after an error none. It returns the labels that were
// shared. The labels and the pointers are public from the next publication on.
func (a *Agent) Share(names []string, label string) ([]string, error) {
	contacts, labels, err := a.labels(names, label)
	if err != nil {
		return nil, err
	}
	var added []string
	err = a.book.Update(func(book *petname.Book, _ *ledger.View) error {
		for i, c := range contacts {
			if _, err := book.SharePublic(c.ID, labels[i]); err != nil {
				return err
			}
			added = append(added, labels[i].String())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return added, nil
}

// ShareWith shares contacts with one other contact, under labels as in [Agent.Share],
// and sends it the edges. It returns the new labels. If the edges can be neither sent
// nor queued, nothing is changed and no labels are returned. With [Queued], the change
// is in the book and is sent by a later Fetch.
func (a *Agent) ShareWith(ctx context.Context, to string, names []string, label string) ([]string, Delivery, error) {
	audience, err := a.Lookup(to)
	if err != nil {
		return nil, "", err
	}
	contacts, labels, err := a.labels(names, label)
	if err != nil {
		return nil, "", err
	}
	var added []string
	undo := func() error {
		return a.book.Update(func(book *petname.Book, _ *ledger.View) error {
			for _, text := range added {
				n, err := petname.CheckLabel(text)
				if err == nil {
					_, err = book.UnshareWith(audience.ID, n)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	sent, err := a.sendEdges(ctx, audience, undo, func() error {
		before := make(map[string]bool) // keys of the labels that are shared already
		for edge, err := range a.book.EdgesWith(audience.ID) {
			if err != nil {
				return err
			}
			if n, err := petname.CheckLabel(edge.Label); err == nil && !edge.Conflict {
				before[n.Key()] = true
			}
		}
		return a.book.Update(func(book *petname.Book, _ *ledger.View) error {
			for i, c := range contacts {
				if _, err := book.ShareWith(audience.ID, c.ID, labels[i]); err != nil {
					return err
				}
				if !before[labels[i].Key()] { // an edge from before this call stays if the call fails
					added = append(added, labels[i].String())
				}
			}
			return nil
		})
	})
	if sent == "" {
		added = nil // undone
	}
	return added, sent, err
}

// Unshare removes a public label: see [petname.Book.Unshare].
func (a *Agent) Unshare(label string) error {
	n, err := petname.CheckLabel(label)
	if err != nil {
		return err
	}
	_, err = a.book.Unshare(n)
	return err
}

// UnshareWith removes a label that is shared with one contact, and sends the contact
// its remaining edges.
func (a *Agent) UnshareWith(ctx context.Context, to, label string) (Delivery, error) {
	n, err := petname.CheckLabel(label)
	if err != nil {
		return "", err
	}
	audience, err := a.Lookup(to)
	if err != nil {
		return "", err
	}
	var was petname.Edge
	undo := func() error {
		_, err := a.book.ShareWith(audience.ID, was.Contact.ID, n)
		return err
	}
	return a.sendEdges(ctx, audience, undo, func() error {
		was, err = a.book.UnshareWith(audience.ID, n)
		return err
	})
}

// SharedWith returns the contacts with which a label is shared privately.
func (a *Agent) SharedWith(label string) ([]petname.Contact, error) {
	n, err := petname.CheckLabel(label)
	if err != nil {
		return nil, err
	}
	audiences, err := a.book.Audiences()
	if err != nil {
		return nil, err
	}
	var all []petname.Contact
	for _, id := range audiences {
		c, err := a.book.ByPointer(id)
		if err != nil || c.Name.IsZero() {
			continue // removed, or in conflict: nothing is sent to it
		}
		for edge, err := range a.book.EdgesWith(id) {
			if err != nil {
				return nil, err
			}
			if shared, err := petname.CheckLabel(edge.Label); err == nil && shared.Key() == n.Key() {
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// labels returns the contacts that names mean, and the labels for them. All are
// looked up before any is shared.
func (a *Agent) labels(names []string, label string) ([]petname.Contact, []name.Name, error) {
	var contacts []petname.Contact
	var labels []name.Name
	for _, text := range names {
		c, err := a.Lookup(text)
		if err != nil {
			return nil, nil, err
		}
		l, err := a.label(text, c, label, "to share it by")
		if err != nil {
			return nil, nil, err
		}
		contacts, labels = append(contacts, c), append(labels, l)
	}
	return contacts, labels, nil
}

// sendEdges changes the private edges for a contact, and sends them. It undoes a change
// that can be neither sent nor queued. If that fails too, as on a full disk, the change
// remains, and is queued: the next Fetch sends every change of the book.
func (a *Agent) sendEdges(ctx context.Context, to petname.Contact, undo func() error, change func() error) (Delivery, error) {
	key, err := a.key()
	if err != nil {
		return "", err
	}
	ex, err := a.exchange()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := change(); err != nil {
		return "", err
	}
	sent, err := ex.ShareWith(ctx, key, to.Pointer)
	if sent == "" {
		err = noCard(err, to.Name)
		if uerr := undo(); uerr != nil {
			return Queued, errors.Join(err, uerr)
		}
		return "", err
	}
	return delivered(sent, err)
}
