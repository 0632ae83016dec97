package main

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// contact is the JSON form of a contact.
type contact struct {
	Name       string           `json:"name"` // empty: it has none
	Pointer    string           `json:"pointer"`
	Nickname   string           `json:"nickname"`                    // what it calls itself, cleaned
	ReadsAs    string           `json:"nickname_reads_as,omitempty"` // "pointer", "path", "domain", "code" or "fingerprint"
	Lookalikes []string         `json:"lookalikes,omitempty"`        // other petnames that its nickname looks like
	NamedLike  []string         `json:"name_lookalikes,omitempty"`   // those that its petname looks like
	Provenance []fact           `json:"provenance"`
	Removed    *time.Time       `json:"removed"`  // null: not removed
	Conflict   *contactConflict `json:"conflict"` // null: none
	Me         bool             `json:"me,omitempty"`
	Words      string           `json:"words,omitempty"`
	As         string           `json:"as,omitempty"` // the key in the form of another system that was asked for
	Link       string           `json:"link,omitempty"`
	Next       string           `json:"next,omitempty"`
	Pin        string           `json:"pin,omitempty"` // of Next: "confirmed" or "claimed"; empty: nothing is pinned
	Duplicity  bool             `json:"duplicity,omitempty"`
	Unproven   string           `json:"unproven,omitempty"` // a successor that only a claim proves
	// claims about the next key that contradict each other
	Contradictions []pinContradiction `json:"contradictions"`
	Rejected       []pinClaim         `json:"rejected,omitempty"` // next keys that its own signature carried and the user rejected
	Shared         []string           `json:"shared,omitempty"`   // labels under which it is public
	Card           *contactCard       `json:"card,omitempty"`
	Evidence       []evidence         `json:"evidence,omitempty"`
	MovedFrom      string             `json:"moved_from,omitempty"` // by confirm, add and undo: the pointer before
	Unsent         int                `json:"unsent,omitempty"`     // by rm: messages to it that it has not fetched, and that are not sent any more
	Waiting        int                `json:"waiting,omitempty"`    // by rm: its suggestions in the inbox
	Undone         *entry             `json:"undone,omitempty"`     // by undo: the change that was reverted
}

// fact is the source of information about a contact.
type fact struct {
	Kind    string    `json:"kind"`
	By      string    `json:"by"`
	Channel string    `json:"channel"`
	At      time.Time `json:"at"`
}

// evidence is a fact with its details, or a statement by a contact about the
// contact, whether accepted or not.
type evidence struct {
	fact
	Pointer    string `json:"pointer"` // that it is about, or, of a succession, led to
	Nickname   string `json:"nickname"`
	Next       string `json:"next"`
	Entry      string `json:"entry"`                // of the ledger; empty: what was only suggested
	ByName     string `json:"by_name,omitempty"`    // the petname of the contact that stated it
	Suggested  string `json:"suggested,omitempty"`  // the name that was suggested, cleaned
	State      string `json:"state,omitempty"`      // of a suggestion: what became of it
	Retracted  bool   `json:"retracted,omitempty"`  // it was withdrawn
	OfReplaced bool   `json:"instead,omitempty"`    // about a contact that this contact replaced
	Transcript []byte `json:"transcript,omitempty"` // what was signed
}

// contactConflict lists the values of a contact that differ between devices.
type contactConflict struct {
	Names    []string `json:"names"`
	Pointers []string `json:"pointers"`
	Removed  bool     `json:"removed"`
}

// contactCard is the newest record of a contact that this home has, and the card
// in it.
type contactCard struct {
	Value    string            `json:"value"`
	Sequence uint64            `json:"sequence"`
	Expires  time.Time         `json:"expires"`
	Expired  bool              `json:"expired"`
	Nickname string            `json:"nickname"`
	Next     string            `json:"next"`
	Edges    map[string]string `json:"edges"` // label, cleaned → pointer
	Links    []string          `json:"links"`
}

// contactList is the result of list and find.
type contactList struct {
	Contacts []contact `json:"contacts"`
}

func asContact(c petname.Contact) contact {
	out := contact{
		Name: c.Name.String(), Pointer: c.Pointer.String(), Nickname: name.Clean(c.Nickname),
		Provenance: []fact{}, Pin: string(c.Pin), Contradictions: []pinContradiction{},
	}
	if !c.Unproven.IsZero() {
		out.Unproven = c.Unproven.String()
	}
	for _, one := range c.Contradictions {
		out.Duplicity = out.Duplicity || one.Duplicity
		shown := pinContradiction{Pointer: one.Pointer.String(), Duplicity: one.Duplicity, Claims: []pinClaim{}}
		for _, claim := range one.Claims {
			shown.Claims = append(shown.Claims, asPinClaim(claim))
		}
		out.Contradictions = append(out.Contradictions, shown)
	}
	for _, claim := range c.Rejected {
		out.Rejected = append(out.Rejected, asPinClaim(claim))
	}
	for _, f := range c.Provenance {
		out.Provenance = append(out.Provenance, fact{f.Kind, f.By, f.Channel, f.At})
	}
	if !c.Removed.IsZero() {
		out.Removed = &c.Removed
	}
	if c.Conflict != nil {
		out.Conflict = &contactConflict{Names: []string{}, Pointers: []string{}, Removed: c.Conflict.Removed}
		for _, n := range c.Conflict.Names {
			out.Conflict.Names = append(out.Conflict.Names, n.String())
		}
		for _, p := range c.Conflict.Pointers {
			out.Conflict.Pointers = append(out.Conflict.Pointers, p.String())
		}
	}
	return out
}

// collectContacts returns the contacts with the petnames that each could be confused with.
func (v *verbs) collectContacts(contacts iter.Seq2[petname.Contact, error]) (*contactList, error) {
	out := &contactList{Contacts: []contact{}}
	for c, err := range contacts {
		if err != nil {
			return nil, err
		}
		one, err := v.withLookalikes(c)
		if err != nil {
			return nil, err
		}
		out.Contacts = append(out.Contacts, *one)
	}
	return out, nil
}

// withLookalikes returns a contact with the petnames that it could be confused with.
func (v *verbs) withLookalikes(c petname.Contact) (*contact, error) {
	out := asContact(c)
	if err := v.addLookalikes(&out, c.Pointer); err != nil {
		return nil, err
	}
	return &out, nil
}

// addLookalikes adds to c the other petnames that its nickname and its own petname
// look like. Its own petname is checked too: two devices can assign similar names
// independently, and a user can have confirmed a similar name long ago.
func (v *verbs) addLookalikes(c *contact, p pointer.Pointer) (err error) {
	v.nameSources(c)
	c.ReadsAs = name.ReadsAs(c.Nickname)
	if c.Lookalikes, err = v.agent.NamesLike(c.Nickname, p); err == nil {
		c.NamedLike, err = v.agent.NamesLike(c.Name, p)
	}
	return err
}

// conflictingContact returns the contact because of which a change was refused: the
// contact with the same name, a contact with a similar name, or else the contact p
// that the change was about. It returns nil if the book has none of them.
func (v *verbs) conflictingContact(err error, p pointer.Pointer) *contact {
	var taken *petname.TakenError
	if errors.As(err, &taken) {
		p = taken.Contact
	}
	var alike *petname.LookalikeError
	if errors.As(err, &alike) && !alike.Like[0].Contact.ID.IsZero() {
		p = alike.Like[0].Contact.ID
	}
	if p == v.agent.Pointer() {
		return &contact{Pointer: p.String(), Me: true, Provenance: []fact{}}
	}
	c, err := v.agent.ByPointer(p)
	if err != nil {
		return nil
	}
	out := asContact(c)
	v.nameSources(&out)
	return &out
}

// contactDetails returns a contact with all details that this home has.
func (v *verbs) contactDetails(c petname.Contact) *contact {
	out := asContact(c)
	out.Words = c.Pointer.Words().String()
	out.Next = c.Next.String()
	out.Link = pointer.Link{Pointer: c.Pointer, Next: c.Next, Nickname: c.Nickname}.String()
	out.Shared = v.labels(c.ID)
	out.Evidence = []evidence{}
	for _, f := range c.Provenance {
		out.Evidence = append(out.Evidence, evidence{fact: fact{f.Kind, f.By, f.Channel, f.At},
			Pointer: f.Pointer.String(), Nickname: name.Clean(f.Nickname), Next: f.Next.String(), Entry: f.Entry.String()})
	}
	if r, expired, err := v.agent.Held(c.Pointer); err == nil {
		out.Card = asCard(r, expired)
		if out.Card.Nickname != "" {
			out.Nickname = out.Card.Nickname
		}
		if card, _ := r.Card(); !c.Name.IsZero() && c.Next.IsZero() && len(c.Contradictions) == 0 && !card.Successor.IsZero() && card.Successor != c.Pointer {
			out.Unproven = card.Successor.String() // nothing on record could prove it
		}
	}
	_ = v.addLookalikes(&out, c.Pointer) // without them if the book is damaged
	return &out
}

// labels returns the public labels of a contact.
func (v *verbs) labels(id pointer.Pointer) []string {
	var labels []string
	for edge, err := range v.agent.Edges() {
		if err == nil && edge.Contact.ID == id {
			labels = append(labels, edge.Label)
		}
	}
	return labels
}

func asCard(r pointer.Record, expired bool) *contactCard {
	out := &contactCard{Value: r.Value(), Sequence: r.Sequence(), Expires: r.Expires(), Expired: expired,
		Edges: map[string]string{}, Links: []string{}}
	c, ok := r.Card()
	if !ok {
		return out
	}
	out.Nickname, out.Next = name.Clean(c.Nickname), c.Next.String()
	if !petname.NamedSuccessor(r.Pointer(), c).IsZero() {
		c.Edges = nil // as in package petname: they may have been withdrawn since
	}
	for _, label := range slices.Sorted(maps.Keys(c.Edges)) {
		shown := name.Clean(label)
		// If the cleaned forms of two labels are equal, the label that equals its cleaned
		// form is kept: it can be typed.
		if _, taken := out.Edges[shown]; !taken || shown == label {
			out.Edges[shown] = c.Edges[label].Pointer.String()
		}
	}
	for _, l := range c.Links {
		out.Links = append(out.Links, name.Clean(l.Rel+" "+l.Target))
	}
	return out
}
