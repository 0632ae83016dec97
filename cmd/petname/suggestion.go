package main

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// nextCommand returns the command that accepts, or answers, a suggestion.
func nextCommand(s suggestion) string {
	switch petname.SuggestionKind(s.Kind) {
	case petname.Mutual:
		return "petname accept " + s.Digits
	case petname.Question:
		return "petname deny " + s.Digits
	}
	return acceptCommand(s.Digits, s.Name)
}

// acceptCommand returns the command that accepts a suggestion of a pointer: under the name
// that its contact has, which it keeps; otherwise under a name to be chosen.
func acceptCommand(number, has string) string {
	if has == "" {
		return "petname accept " + number + " --as NAME"
	}
	return "petname accept " + number + " --as " + shellWord(has)
}

// printSuggestion prints a suggestion with all information for the decision.
func printSuggestion(w *bufio.Writer, st name.Style, s suggestion) {
	fmt.Fprintf(w, "%s  %s\n", s.Digits, headline(st, s))
	if s.Suggested != "" {
		printField(w, "as", suggestedName(st, s))
	}
	if s.Nickname != "" {
		printField(w, "calls itself", nickname(st, s.Nickname, s.Pointer))
	}
	if s.Pointer != "" {
		printField(w, "pointer", s.Pointer)
	}
	if petname.SuggestionKind(s.Kind) == petname.Invited {
		printField(w, "accept it", "if this is the person that you invited")
	}
	if s.Note != "" {
		printField(w, "note", st.Text(s.Note))
	}
	if s.Name != "" {
		printField(w, "in your book", shownName(st, s.Name))
	}
	if s.Removed != nil {
		printField(w, "REMOVED", "by you, "+s.Removed.Local().Format(time.DateTime))
	}
	if s.Duplicity {
		printField(w, "DUPLICITY", "another next key was pinned for this pointer")
	}
	if s.Contradiction {
		printField(w, "CONTRADICTION", "another next key is on record for this pointer")
	}
	if len(s.Lookalikes) > 0 {
		printField(w, "LOOKS LIKE", "your "+nameList(st, s.Lookalikes))
	}
	source := channelText(st, s.Channel) + ", " + s.At.Local().Format(time.DateTime)
	if s.Expires != nil {
		source += ", valid until " + s.Expires.Local().Format(time.DateTime)
	}
	printField(w, "received by", source)
}

// channelText describes the channel over which something was received.
func channelText(st name.Style, channel string) string {
	switch channel {
	case "drop":
		return "message"
	case "doorstep":
		return "contact request"
	}
	return st.Text(channel)
}

// suggestedName formats a suggested name: quoted, so that it cannot be mistaken for a
// petname.
func suggestedName(st name.Style, s suggestion) string {
	if s.Pointer == "" {
		return `"~` + st.Text(s.Suggested) + `"`
	}
	return nickname(st, s.Suggested, s.Pointer)
}

// headline describes the kind of a suggestion and its sender.
func headline(st name.Style, s suggestion) string {
	by := "an unknown sender"
	switch {
	case s.ByName != "":
		by = shownName(st, s.ByName)
	case s.By != "":
		by = nickname(st, "", s.By)
	}
	switch petname.SuggestionKind(s.Kind) {
	case petname.Introduced:
		return by + " introduces"
	case petname.Paired:
		return "you paired with"
	case petname.Invited:
		return "your invitation was used by"
	case petname.Mutual:
		return by + " offers to introduce you to each other"
	case petname.Acquainted:
		return by + " introduced you to each other"
	case petname.Question:
		return by + " asks whether this key is yours"
	}
	return "an unknown sender requests contact"
}

// suggestion is the JSON form of a suggestion.
type suggestion struct {
	ID         string     `json:"id"`
	Digits     string     `json:"digits"` // the shortest unique prefix of ID, at least leastDigits long
	Kind       string     `json:"kind"`
	Pointer    string     `json:"pointer"`    // empty: not known before both agree
	By         string     `json:"by"`         // pointer of the contact that suggests it; empty: the pointer itself
	ByName     string     `json:"by_name"`    // its petname
	Suggested  string     `json:"suggested"`  // cleaned
	Nickname   string     `json:"nickname"`   // of the pointer, cleaned
	Note       string     `json:"note"`       // cleaned
	Channel    string     `json:"channel"`    // over which it was received
	At         time.Time  `json:"at"`         // when this home received it
	Expires    *time.Time `json:"expires"`    // null: never
	Lookalikes []string   `json:"lookalikes"` // petnames that the suggested name, or the nickname, looks like
	Name       string     `json:"name"`       // the petname for the pointer; empty: none
	Removed    *time.Time `json:"removed"`    // when the contact was removed; null: not removed
	Duplicity  bool       `json:"duplicity"`  // the pointer's own signature carried another next key than the one that is pinned
	State      string     `json:"state"`

	Contradiction bool `json:"contradiction,omitempty"` // another next key is on record for the pointer, or several are
}

// leastDigits is the minimum number of digits of a suggestion that are shown.
const leastDigits = 6

// asSuggestion returns a suggestion with all information in this home about its
// pointer and its sender.
func (v *verbs) asSuggestion(s petname.Suggestion) (*suggestion, error) {
	out := &suggestion{ID: s.ID.String(), Kind: string(s.Kind), Suggested: name.Clean(s.Suggested), Note: name.Clean(s.Note),
		Channel: name.Clean(s.Channel), At: s.At, Lookalikes: []string{}, State: string(s.State)}
	var err error
	if out.Digits, err = v.agent.Digits(s.ID, leastDigits); err != nil {
		return nil, err
	}
	if !s.Expires.IsZero() {
		out.Expires = &s.Expires
	}
	if !s.By.IsZero() {
		out.By = s.By.String()
		by, err := v.agent.ByPointer(s.By)
		if err != nil && !errors.Is(err, petname.ErrNotFound) {
			return nil, err
		}
		out.ByName = by.Name.String()
	}
	nick := s.Nickname
	if !s.Pointer.IsZero() {
		out.Pointer = s.Pointer.String()
		if r, _, err := v.agent.Held(s.Pointer); err == nil {
			if card, _ := r.Card(); card.Nickname != "" {
				nick = card.Nickname
			}
		}
		c, err := v.agent.ByLink(pointer.Link{Pointer: s.Pointer, Next: s.Next})
		switch {
		case errors.Is(err, petname.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			out.Name = c.Name.String()
			doubt := c.PinnedByLink(pointer.Link{Pointer: s.Pointer, Next: s.Next})
			if s.Kind != petname.Introduced && s.Kind != petname.Question { // the pointer's own signature carried it
				doubt = c.Pinned(s.Pointer, s.Next)
			}
			out.Duplicity = !s.Next.IsZero() && errors.As(doubt, new(*petname.DuplicityError))
			out.Contradiction = !s.Next.IsZero() && doubt != nil && !out.Duplicity
			if !c.Removed.IsZero() {
				out.Removed = &c.Removed
			}
		}
	}
	out.Nickname = name.Clean(nick)
	for i, text := range []string{s.Suggested, nick} {
		if i > 0 && text == s.Suggested {
			break
		}
		like, err := v.agent.NamesLike(text, s.Pointer)
		if err != nil {
			return nil, err
		}
		out.Lookalikes = append(out.Lookalikes, like...)
	}
	return out, nil
}
