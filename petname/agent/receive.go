package agent

import (
	"fmt"
	"slices"
	"strings"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
)

// StatementsError is returned by [Agent.Receive] and [Agent.ReceiveAll] for a text of which some
// statements were refused. It wraps the reasons.
type StatementsError struct {
	Refused  []RefusedStatement
	Of       int // statements in the text
	Received int // statements that took effect
}

// RefusedStatement is a statement of a text that was refused.
type RefusedStatement struct {
	Number int   // in the text, from 1
	Err    error // as of [petname.Book.Receive]
	// the introduction is in the inbox all the same: only the succession in it was refused
	Waits bool
}

func (e *StatementsError) Error() string {
	var reasons []string
	for i, r := range e.Refused {
		text := r.Err.Error()
		if r.Waits {
			text += "; the introduction is in the inbox all the same"
		}
		if i > 0 && text == e.Refused[i-1].Err.Error() {
			continue // such as of the disk
		}
		if e.Of > 1 {
			text = fmt.Sprintf("statement %d of %d is refused: %s", r.Number, e.Of, text)
		}
		reasons = append(reasons, text)
	}
	switch {
	case e.Received == 1:
		reasons = append(reasons, "the other one is received")
	case e.Received > 1:
		reasons = append(reasons, fmt.Sprintf("the %d others are received", e.Received))
	case e.Of > 1 && len(e.Refused) < e.Of:
		reasons = append(reasons, "nothing of the text is received")
	}
	return strings.Join(reasons, "; ")
}

// Unwrap returns the reasons.
func (e *StatementsError) Unwrap() (all []error) {
	for _, r := range e.Refused {
		all = append(all, r.Err)
	}
	return all
}

// Receive processes the signed statements in a text, as [introduce.Armor] encodes them, and
// returns the suggestions among them, each once. A retraction, edges or a denial takes effect and
// is no suggestion. Each statement is processed by itself: if some are refused, the others take
// effect, and the error is a [*StatementsError].
func (a *Agent) Receive(text []byte) ([]petname.SuggestionID, error) {
	statements, err := introduce.Dearmor(text)
	if err != nil {
		return nil, err
	}
	r := received{refused: StatementsError{Of: len(statements)}}
	for _, b := range statements {
		r.one(a.book, b)
	}
	return r.ids, r.err()
}

// ReceiveAll is Receive, but if a statement is refused, none of the text takes effect. An
// introduction of which the succession alone is refused is not refused for this.
func (a *Agent) ReceiveAll(text []byte) ([]petname.SuggestionID, error) {
	statements, err := introduce.Dearmor(text)
	if err != nil {
		return nil, err
	}
	var r received
	err = a.book.Update(func(book *petname.Book, _ *ledger.View) error {
		r = received{refused: StatementsError{Of: len(statements)}} // the function can run again
		for _, b := range statements {
			r.one(book, b)
		}
		if slices.ContainsFunc(r.refused.Refused, func(s RefusedStatement) bool { return !s.Waits }) {
			return r.err()
		}
		return nil
	})
	if err != nil {
		r.refused.Received = 0
		return nil, err
	}
	return r.ids, r.err()
}

// received is what became of the statements of a text.
type received struct {
	ids     []petname.SuggestionID
	refused StatementsError
	number  int
}

// one processes the next statement.
func (r *received) one(book *petname.Book, b []byte) {
	r.number++
	signed, err := introduce.Open(b)
	var id petname.SuggestionID
	if err == nil {
		id, _, err = book.Receive(signed, "file")
	}
	_, introduction := signed.Introduction()
	waits := err != nil && introduction && id != (petname.SuggestionID{})
	if err != nil {
		r.refused.Refused = append(r.refused.Refused, RefusedStatement{r.number, err, waits})
	} else {
		r.refused.Received++
	}
	if (err == nil || waits) && id != (petname.SuggestionID{}) && !slices.Contains(r.ids, id) {
		r.ids = append(r.ids, id)
	}
}

// err returns the error of the refused statements; nil if there are none.
func (r *received) err() error {
	if len(r.refused.Refused) == 0 {
		return nil
	}
	return &r.refused
}
