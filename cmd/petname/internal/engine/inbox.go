package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Suggestion is one of the inbox, as the verbs print it.
type Suggestion struct {
	ID         string     `json:"id"`
	Digits     string     `json:"digits"` // the first of ID, as many as tell it from all others
	Kind       string     `json:"kind"`
	Pointer    string     `json:"pointer"`    // empty: not known before both agree
	By         string     `json:"by"`         // pointer of who says so; empty: the pointer itself
	ByName     string     `json:"by_name"`    // my petname for them
	Suggested  string     `json:"suggested"`  // cleaned
	Nickname   string     `json:"nickname"`   // what the pointer calls itself, cleaned
	Note       string     `json:"note"`       // cleaned
	Channel    string     `json:"channel"`    // how it came
	At         time.Time  `json:"at"`         // when this home heard it
	Expires    *time.Time `json:"expires"`    // null: never
	Lookalikes []string   `json:"lookalikes"` // petnames of mine that the suggested name, or the nickname, looks like
	Name       string     `json:"name"`       // my petname for the pointer; empty: none
	Removed    *time.Time `json:"removed"`    // when I removed the contact; null: not removed
	Duplicity  bool       `json:"duplicity"`  // another next key was pinned for the pointer
	State      string     `json:"state"`
}

// InboxArgs are the arguments of inbox.
type InboxArgs struct {
	Offline    bool     `json:"offline"`   // what is here already
	Texts      [][]byte `json:"texts"`     // of files, to be taken in first
	Strangers  bool     `json:"strangers"` // look for strangers' letters, too
	Passphrase string   `json:"passphrase,omitempty"`
}

// Inbox is the result of inbox.
type Inbox struct {
	Suggestions []Suggestion `json:"suggestions"`
	Fetched     *Fetch       `json:"fetched"` // null: nothing was asked for
}

// Inbox gives the suggestions that wait, those that others have just left for me
// among them.
func (e *Engine) Inbox(ctx context.Context, a InboxArgs) (*Inbox, error) {
	out := &Inbox{Suggestions: []Suggestion{}}
	for _, text := range a.Texts {
		if _, err := e.receive(text); err != nil {
			return nil, err
		}
	}
	if !a.Offline && len(a.Texts) == 0 {
		fetching, cancel := context.WithTimeout(ctx, syncTimeout)
		defer cancel()
		var err error
		if out.Fetched, err = e.fetch(fetching, a.Passphrase, a.Strangers); err != nil {
			return nil, err
		}
	}
	for s, err := range e.book.Inbox() {
		if err != nil {
			return nil, err
		}
		one, err := e.suggestion(s)
		if err != nil {
			return nil, err
		}
		out.Suggestions = append(out.Suggestions, *one)
	}
	return out, nil
}

// leastDigits is how many of a suggestion's twelve digits are shown at least.
const leastDigits = 6

// suggestion is one with all that this home knows of whom it is about.
func (e *Engine) suggestion(s petname.Suggestion) (*Suggestion, error) {
	out := &Suggestion{ID: s.ID.String(), Kind: string(s.Kind), Suggested: name.Clean(s.Suggested), Note: name.Clean(s.Note),
		Channel: name.Clean(s.Channel), At: s.At, Lookalikes: []string{}, State: string(s.State)}
	var err error
	if out.Digits, err = e.book.Digits(s.ID, leastDigits); err != nil {
		return nil, err
	}
	if !s.Expires.IsZero() {
		out.Expires = &s.Expires
	}
	if !s.By.IsZero() {
		out.By = s.By.String()
		by, err := e.book.ByPointer(s.By)
		if err != nil && !errors.Is(err, petname.ErrNotFound) {
			return nil, err
		}
		out.ByName = by.Name.String()
	}
	nickname := s.Nickname
	if !s.Pointer.IsZero() {
		out.Pointer = s.Pointer.String()
		if heard := e.calledBy(s.Pointer); heard != "" {
			nickname = heard
		}
		c, err := e.book.ByPointer(s.Pointer)
		switch {
		case errors.Is(err, petname.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			out.Name, out.Duplicity = c.Name.String(), !s.Next.IsZero() && c.Pinned(s.Pointer, s.Next) != nil
			if !c.Removed.IsZero() {
				out.Removed = &c.Removed
			}
		}
	}
	out.Nickname = name.Clean(nickname)
	for i, text := range []string{s.Suggested, nickname} {
		if i > 0 && text == s.Suggested {
			break
		}
		like, err := e.book.NamesLike(text, s.Pointer)
		if err != nil {
			return nil, err
		}
		out.Lookalikes = append(out.Lookalikes, like...)
	}
	return out, nil
}

// calledBy is what the newest record of a pointer that this home has calls it.
func (e *Engine) calledBy(p pointer.Pointer) string {
	r, _, err := e.held(p)
	if err != nil {
		return ""
	}
	card, _ := r.Card()
	return card.Nickname
}

// AcceptArgs are the arguments of accept: a suggestion by its digits, or what
// stands in a file.
type AcceptArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"` // of a file; nil: ID counts
	As         string `json:"as"`
	Lookalike  bool   `json:"lookalike"`
	Instead    string `json:"instead"` // a contact that gives way, by name or pointer
	Passphrase string `json:"passphrase,omitempty"`
}

// AcceptedContact is the result of accept: a contact, or, of an offer to be
// introduced to each other, somebody who isn't known yet.
type AcceptedContact struct {
	Contact
	Sent string `json:"sent,omitempty"` // how far the consent came: as in introduce
}

// Accept gives a name to whom a suggestion is about, or consents to an offer.
func (e *Engine) Accept(ctx context.Context, a AcceptArgs) (*AcceptedContact, error) {
	s, err := e.meant(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if s.Kind == petname.Mutual {
		return e.consent(ctx, s, a)
	}
	c, err := e.acceptAs(s, a)
	if c == nil {
		return nil, err
	}
	return &AcceptedContact{Contact: *c}, err
}

// consent agrees to be introduced to each other.
func (e *Engine) consent(ctx context.Context, s petname.Suggestion, a AcceptArgs) (*AcceptedContact, error) {
	if a.As != "" {
		return nil, Usage("--as %q: who it is shows when both of you have agreed; name them then", a.As).With("petname accept " + s.ID.String())
	}
	if s.State != petname.Pending {
		return nil, fmt.Errorf("suggestion %s: %s: %w", s.ID, s.State, petname.ErrDecided)
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	_, how, err := p.AcceptMutual(ctx, key, s.ID)
	if how == "" {
		return nil, err
	}
	out := &AcceptedContact{Contact: Contact{Provenance: []Fact{{Kind: string(s.Kind), By: s.By.String(), Channel: s.Channel, At: s.At}}}}
	return out, e.sent(how, err, &out.Sent)
}

// acceptAs gives a name to whom a suggestion is about.
func (e *Engine) acceptAs(s petname.Suggestion, a AcceptArgs) (*Contact, error) {
	if a.As == "" {
		return nil, Usage("what shall %s be called? The name is yours to choose", s.Pointer.Short()).
			With("petname accept " + s.ID.String() + " --as NAME")
	}
	name, err := name.Parse(a.As)
	if err != nil {
		return nil, err
	}
	how := petname.Acceptance{Lookalike: a.Lookalike, Nickname: e.calledBy(s.Pointer)}
	if a.Instead != "" {
		gives, err := e.find(a.Instead)
		if err != nil {
			return nil, err
		}
		how.Instead = gives.ID
	}
	c, err := e.book.Accept(s.ID, name, how)
	var taken *petname.TakenError
	if errors.As(err, &taken) && how.Instead.IsZero() {
		return e.inTheWay(err, s.Pointer), Classify(err).With("choose another name, or, if it is the same person and the other key was never theirs:\npetname accept " +
			s.ID.String() + " --as " + ShellWord(a.As) + " --instead " + ShellWord(taken.Name.String()))
	}
	if err != nil {
		return e.inTheWay(err, s.Pointer), err
	}
	return e.flagged(c)
}

// meant is the suggestion that digits, or a file, mean. What the file says goes
// into the inbox first.
func (e *Engine) meant(digits string, text []byte) (petname.Suggestion, error) {
	if text == nil {
		s, err := e.book.Suggestion(digits)
		if errors.Is(err, petname.ErrNotFound) {
			return s, &Error{Code: "not_found", Exit: ExitNotFound, Message: fmt.Sprintf("no suggestion has the number %q", digits), Next: "petname inbox"}
		}
		return s, err
	}
	ids, err := e.receive(text)
	if err != nil {
		return petname.Suggestion{}, err
	}
	switch len(ids) {
	case 0:
		return petname.Suggestion{}, &Error{Code: "noted", Exit: ExitChoose, Message: "what the file says was noted, and leaves nothing to decide", Next: "petname inbox"}
	case 1:
		return e.book.Suggestion(ids[0].String())
	}
	return petname.Suggestion{}, &Error{Code: "choose", Exit: ExitChoose, Message: "there are several suggestions in the file, and they wait in the inbox now", Next: "petname inbox"}
}

// receive takes in what stands in a file, and gives the suggestions in it.
func (e *Engine) receive(text []byte) ([]petname.SuggestionID, error) {
	statements, err := introduce.Dearmor(text)
	if err != nil {
		return nil, err
	}
	var ids []petname.SuggestionID
	for _, b := range statements {
		signed, err := introduce.Open(b)
		if err != nil {
			return nil, err
		}
		id, _, err := e.book.Receive(signed, "file")
		if err != nil {
			return nil, err
		}
		if id != (petname.SuggestionID{}) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// DeclineArgs are the arguments of decline.
type DeclineArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	Never      bool   `json:"never"` // and hear no more of the pointer
	Passphrase string `json:"passphrase,omitempty"`
}

// Decline takes a suggestion out of the inbox. Of an offer to be introduced to
// each other the introducer is told, and the other by way of it.
func (e *Engine) Decline(ctx context.Context, a DeclineArgs) (*Suggestion, error) {
	s, err := e.meant(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if s.Kind == petname.Mutual && !a.Never {
		return e.dissent(ctx, s, a.Passphrase)
	}
	if s, err = e.book.Decline(s.ID, a.Never); err != nil {
		return nil, err
	}
	return e.suggestion(s)
}

// dissent declines an offer. Where the key is locked, the introducer is told
// another time.
func (e *Engine) dissent(ctx context.Context, s petname.Suggestion, passphrase string) (*Suggestion, error) {
	key, err := e.unlock(passphrase)
	if errors.Is(err, home.ErrLocked) {
		key = nil
	} else if err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if _, how, err := p.DeclineMutual(ctx, key, s.ID); how == "" && err != nil {
		return nil, err
	} // that it waits to be told is no failure: it is declined
	if s, err = e.book.Suggestion(s.ID.String()); err != nil {
		return nil, err
	}
	return e.suggestion(s)
}
