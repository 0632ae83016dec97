package engine

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Contact is a contact as the verbs print it.
type Contact struct {
	Name       string     `json:"name"` // empty: it has none
	Pointer    string     `json:"pointer"`
	Nickname   string     `json:"nickname"`                    // what it calls itself, cleaned
	ReadsAs    string     `json:"nickname_reads_as,omitempty"` // "pointer", "path", "domain" or "fingerprint"
	Lookalikes []string   `json:"lookalikes,omitempty"`        // other petnames of mine that its nickname looks like
	NamedLike  []string   `json:"name_lookalikes,omitempty"`   // those that its petname looks like
	Provenance []Fact     `json:"provenance"`
	Removed    *time.Time `json:"removed"`  // null: not removed
	Conflict   *Conflict  `json:"conflict"` // null: none
	Me         bool       `json:"me,omitempty"`
	Words      string     `json:"words,omitempty"`
	Link       string     `json:"link,omitempty"`
	Next       string     `json:"next,omitempty"`
	Duplicity  bool       `json:"duplicity,omitempty"`
	Shared     []string   `json:"shared,omitempty"` // labels under which it is public
	Card       *Card      `json:"card,omitempty"`
	Evidence   []Evidence `json:"evidence,omitempty"`
	Undone     *Entry     `json:"undone,omitempty"` // by undo: what was taken back
}

// Fact is where something known of a contact came from.
type Fact struct {
	Kind    string    `json:"kind"`
	By      string    `json:"by"`
	Channel string    `json:"channel"`
	At      time.Time `json:"at"`
}

// Evidence is a fact with all that came with it, or what somebody said of the
// contact, believed or not.
type Evidence struct {
	Fact
	Pointer    string `json:"pointer"` // that it is about, or, of a succession, led to
	Nickname   string `json:"nickname"`
	Next       string `json:"next"`
	Entry      string `json:"entry"`                // of the ledger; empty: what was only suggested
	ByName     string `json:"by_name,omitempty"`    // my petname for who said it
	Suggested  string `json:"suggested,omitempty"`  // the name that was suggested, cleaned
	State      string `json:"state,omitempty"`      // of a suggestion: what became of it
	Retracted  bool   `json:"retracted,omitempty"`  // whoever said it took it back
	Instead    bool   `json:"instead,omitempty"`    // about a contact that gave way to this one
	Transcript []byte `json:"transcript,omitempty"` // what was signed
}

// Conflict is what devices disagree on.
type Conflict struct {
	Names    []string `json:"names"`
	Pointers []string `json:"pointers"`
	Removed  bool     `json:"removed"`
}

// Card is the newest record of a contact that this home has, and the card in it.
type Card struct {
	Value    string            `json:"value"`
	Sequence uint64            `json:"sequence"`
	Expires  time.Time         `json:"expires"`
	Expired  bool              `json:"expired"`
	Nickname string            `json:"nickname"`
	Next     string            `json:"next"`
	Edges    map[string]string `json:"edges"` // label, cleaned → pointer
	Links    []string          `json:"links"`
}

// Contacts is the result of list and find.
type Contacts struct {
	Contacts []Contact `json:"contacts"`
}

// NoArgs are the arguments of verbs that take none.
type NoArgs struct{}

func contact(c petname.Contact) Contact {
	out := Contact{
		Name: c.Name.String(), Pointer: c.Pointer.String(), Nickname: name.Clean(c.Nickname),
		Provenance: []Fact{}, Duplicity: c.Duplicity,
	}
	for _, f := range c.Provenance {
		out.Provenance = append(out.Provenance, Fact{f.Kind, f.By, f.Channel, f.At})
	}
	if !c.Removed.IsZero() {
		out.Removed = &c.Removed
	}
	if c.Conflict != nil {
		out.Conflict = &Conflict{Names: []string{}, Pointers: []string{}, Removed: c.Conflict.Removed}
		for _, n := range c.Conflict.Names {
			out.Conflict.Names = append(out.Conflict.Names, n.String())
		}
		for _, p := range c.Conflict.Pointers {
			out.Conflict.Pointers = append(out.Conflict.Pointers, p.String())
		}
	}
	return out
}

// AddArgs are the arguments of add.
type AddArgs struct {
	Name      string `json:"name"`
	Target    string `json:"target"`    // a pointer or a link
	Channel   string `json:"channel"`   // "argument" or "stdin"
	Lookalike bool   `json:"lookalike"` // the user was told what the name looks like
}

// Add gives a name to a pointer.
func (e *Engine) Add(_ context.Context, a AddArgs) (*Contact, error) {
	name, err := name.Parse(a.Name)
	if err != nil {
		return nil, err
	}
	link, err := parseTarget(a.Target)
	if err != nil {
		return nil, err
	}
	c, err := e.book.Add(name, link, petname.Source{Channel: a.Channel, Lookalike: a.Lookalike})
	if err != nil {
		return e.inTheWay(err, link.Pointer), err
	}
	return e.flagged(c)
}

// inTheWay is the contact that a change was refused for: who has the name, or
// one that looks like it, or whom it was about.
func (e *Engine) inTheWay(err error, p pointer.Pointer) *Contact {
	var taken *petname.TakenError
	if errors.As(err, &taken) {
		p = taken.Contact
	}
	var alike *petname.LookalikeError
	if errors.As(err, &alike) && !alike.Like[0].Contact.ID.IsZero() {
		p = alike.Like[0].Contact.ID
	}
	if p == e.book.Identity() {
		return &Contact{Pointer: p.String(), Me: true, Provenance: []Fact{}}
	}
	c, err := e.book.ByPointer(p)
	if err != nil {
		return &Contact{Provenance: []Fact{}}
	}
	out := contact(c)
	return &out
}

// parseTarget reads what people hand over: a link or a pointer. Twelve words
// are recognised, to say what they are for.
func parseTarget(text string) (pointer.Link, error) {
	link, err := pointer.ParseLink(text)
	if err == nil {
		return link, nil
	}
	if len(strings.Fields(text)) > 1 {
		if _, werr := pointer.ParseWords(text); werr != nil {
			return pointer.Link{}, Usage("%v", werr)
		}
		return pointer.Link{}, Usage("twelve words are for comparing: they can't be turned back into a pointer").
			With("ask for the link (petname id), and compare its words with petname whois")
	}
	return pointer.Link{}, Usage("%v", err)
}

// List gives everybody with a name.
func (e *Engine) List(_ context.Context, _ NoArgs) (*Contacts, error) {
	return e.gather(e.book.Contacts())
}

// FindArgs are the arguments of find and of completion.
type FindArgs struct {
	Text string `json:"text"`
}

// Find gives the contacts whose name or nickname contains a text.
func (e *Engine) Find(_ context.Context, a FindArgs) (*Contacts, error) {
	return e.gather(e.book.Search(a.Text))
}

// maxSuggestions bounds completion.
const maxSuggestions = 100

// Suggest gives the contacts whose name starts with a text.
func (e *Engine) Suggest(_ context.Context, a FindArgs) (*Contacts, error) {
	return e.gather(func(yield func(petname.Contact, error) bool) {
		n := 0
		for c, err := range e.book.Prefix(a.Text) {
			if n++; n > maxSuggestions || !yield(c, err) {
				return
			}
		}
	})
}

func (e *Engine) gather(contacts iter.Seq2[petname.Contact, error]) (*Contacts, error) {
	out := &Contacts{Contacts: []Contact{}}
	for c, err := range contacts {
		if err != nil {
			return nil, err
		}
		one, err := e.flagged(c)
		if err != nil {
			return nil, err
		}
		out.Contacts = append(out.Contacts, *one)
	}
	return out, nil
}

// flagged is a contact with what it could be taken for.
func (e *Engine) flagged(c petname.Contact) (*Contact, error) {
	out := contact(c)
	if err := e.flag(&out, c.Pointer); err != nil {
		return nil, err
	}
	return &out, nil
}

// flag says which other petnames a contact could be taken for, by its nickname,
// and by its own petname: two devices can have named without knowing of each
// other, and who was told once may have forgotten.
func (e *Engine) flag(c *Contact, p pointer.Pointer) (err error) {
	c.ReadsAs = name.ReadsAs(c.Nickname)
	if c.Lookalikes, err = e.book.NamesLike(c.Nickname, p); err == nil {
		c.NamedLike, err = e.book.NamesLike(c.Name, p)
	}
	return err
}

// NameArgs are the arguments of verbs about one contact: its name or pointer.
type NameArgs struct {
	Name string `json:"name"`
}

// RenameArgs are the arguments of rename.
type RenameArgs struct {
	Old       string `json:"old"`
	New       string `json:"new"`
	Lookalike bool   `json:"lookalike"`
}

// Rename gives a contact another name.
func (e *Engine) Rename(_ context.Context, a RenameArgs) (*Contact, error) {
	name, err := name.Parse(a.New)
	if err != nil {
		return nil, err
	}
	old, err := e.find(a.Old)
	if err != nil {
		return e.inTheWay(err, pointer.Pointer{}), err
	}
	c, err := e.book.Rename(old.ID, name, petname.Source{Lookalike: a.Lookalike})
	if err != nil {
		return e.inTheWay(err, old.ID), err
	}
	return e.flagged(c)
}

// Rm takes a contact's name away.
func (e *Engine) Rm(_ context.Context, a NameArgs) (*Contact, error) {
	c, err := e.find(a.Name)
	if err != nil {
		return e.inTheWay(err, pointer.Pointer{}), err
	}
	name := c.Name
	shared := e.labels(c.ID)
	if c, err = e.book.Remove(c.ID); err != nil {
		return nil, err
	}
	out := contact(c)
	out.Name, out.Shared = name.String(), shared
	return &out, nil
}

func (e *Engine) labels(id pointer.Pointer) []string {
	var labels []string
	for edge, err := range e.book.Edges() {
		if err == nil && edge.Contact.ID == id {
			labels = append(labels, edge.Label)
		}
	}
	return labels
}

// Show gives all that this home knows of a contact.
func (e *Engine) Show(_ context.Context, a NameArgs) (*Contact, error) {
	c, err := e.find(a.Name)
	if err != nil {
		return e.inTheWay(err, pointer.Pointer{}), err
	}
	return e.full(c), nil
}

// Why gives where what is known of a contact came from.
func (e *Engine) Why(ctx context.Context, a NameArgs) (*Contact, error) {
	c, err := e.find(a.Name)
	if err != nil {
		return e.inTheWay(err, pointer.Pointer{}), err
	}
	out := e.full(c)
	said, err := e.book.Evidence(c.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range said {
		one := Evidence{Fact: Fact{s.Kind, s.By.String(), name.Clean(s.Channel), s.At}, Pointer: s.Pointer.String(), Suggested: name.Clean(s.Suggested),
			State: string(s.State), Retracted: s.Retracted, Instead: s.Instead, Transcript: s.Statement}
		out.Evidence = append(out.Evidence, one)
	}
	for i := range out.Evidence {
		if by, err := pointer.Parse(out.Evidence[i].By); err == nil {
			if who, err := e.book.ByPointer(by); err == nil {
				out.Evidence[i].ByName = who.Name.String()
			}
		}
	}
	slices.SortStableFunc(out.Evidence, func(a, b Evidence) int { return a.At.Compare(b.At) })
	return out, nil
}

func (e *Engine) full(c petname.Contact) *Contact {
	out := contact(c)
	out.Words = c.Pointer.Words().String()
	out.Next = c.Next.String()
	out.Link = pointer.Link{Pointer: c.Pointer, Next: c.Next, Nickname: c.Nickname}.String()
	out.Shared = e.labels(c.ID)
	out.Evidence = []Evidence{}
	for _, f := range c.Provenance {
		out.Evidence = append(out.Evidence, Evidence{Fact: Fact{f.Kind, f.By, f.Channel, f.At},
			Pointer: f.Pointer.String(), Nickname: name.Clean(f.Nickname), Next: f.Next.String(), Entry: f.Entry.String()})
	}
	if r, expired, err := e.held(c.Pointer); err == nil {
		out.Card = card(r, expired)
		if out.Card.Nickname != "" {
			out.Nickname = out.Card.Nickname
		}
	}
	if err := e.flag(&out, c.Pointer); err != nil {
		e.log.Warn("look-alikes", "error", err)
	}
	return &out
}

func card(r pointer.Record, expired bool) *Card {
	out := &Card{Value: r.Value(), Sequence: r.Sequence(), Expires: r.Expires(), Expired: expired,
		Edges: map[string]string{}, Links: []string{}}
	c, ok := r.Card()
	if !ok {
		return out
	}
	out.Nickname, out.Next = name.Clean(c.Nickname), c.Next.String()
	for _, label := range slices.Sorted(maps.Keys(c.Edges)) {
		shown := name.Clean(label)
		// Of two labels that are shown as one, the one is meant that can be typed.
		if _, taken := out.Edges[shown]; !taken || shown == label {
			out.Edges[shown] = c.Edges[label].Pointer.String()
		}
	}
	for _, l := range c.Links {
		out.Links = append(out.Links, name.Clean(l.Rel+" "+l.Target))
	}
	return out
}

// WhoisArgs are the arguments of whois.
type WhoisArgs struct {
	Target string `json:"target"` // a pointer, a link, or twelve words
}

// Whois says who a pointer is in my book. Beside a "not found" comes what the
// link and the home say of the stranger.
func (e *Engine) Whois(_ context.Context, a WhoisArgs) (*Contact, error) {
	if len(strings.Fields(a.Target)) > 1 {
		return e.whoseWords(a.Target)
	}
	link, err := parseTarget(a.Target)
	if err != nil {
		return nil, err
	}
	return e.whois(link)
}

func (e *Engine) whois(link pointer.Link) (*Contact, error) {
	if link.Pointer == e.book.Identity() {
		id, err := e.ID(context.Background(), NoArgs{})
		if err != nil {
			return nil, err
		}
		return &Contact{Pointer: id.Pointer, Nickname: id.Nickname, Words: id.Words, Link: id.Link, Me: true, Provenance: []Fact{}}, nil
	}
	c, err := e.book.ByPointer(link.Pointer)
	if err == nil {
		if err := c.Pinned(link.Pointer, link.Next); err != nil && !link.Next.IsZero() {
			return e.full(c), err
		}
		if c.Name.IsZero() && c.Conflict == nil && c.Removed.IsZero() {
			return e.full(c), &Error{Code: "not_found", Exit: ExitNotFound, Message: c.Pointer.String() + " has no name in the book any more"}
		}
		return e.full(c), nil
	}
	if !errors.Is(err, petname.ErrNotFound) {
		return nil, err
	}
	stranger := e.full(petname.Contact{ID: link.Pointer, Pointer: link.Pointer, Nickname: link.Nickname, Next: link.Next})
	return stranger, &Error{Code: "not_found", Exit: ExitNotFound, Message: link.Pointer.String() + " is not in the book",
		Next: "petname add NAME " + ShellWord(stranger.Link)}
}

// whoseWords finds whose pointer twelve words were read from.
func (e *Engine) whoseWords(text string) (*Contact, error) {
	words, err := pointer.ParseWords(text)
	if err != nil {
		return nil, Usage("%v", err)
	}
	if e.book.Identity().Words() == words {
		return e.whois(pointer.Link{Pointer: e.book.Identity()})
	}
	for c, err := range e.book.Contacts() {
		if err != nil {
			return nil, err
		}
		if c.Pointer.Words() == words {
			return e.full(c), nil
		}
	}
	return nil, &Error{Code: "not_found", Exit: ExitNotFound, Message: "nobody in the book has a pointer with these words"}
}
