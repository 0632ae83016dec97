package agent

import (
	"context"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
)

const (
	// RequestLifetime is how long a [Request] without a Lifetime can be accepted.
	RequestLifetime = exchange.RequestLifetime

	// MaxRequestLifetime bounds how long a [Request] can be accepted.
	MaxRequestLifetime = petname.MaxRequestLifetime

	// DefaultSolutions is the usual proof of work of a [Request], in solutions.
	DefaultSolutions = request.DefaultSolutions

	// MaxSolutions bounds the proof of work of a [Request].
	MaxSolutions = request.MaxSolutions
)

// Request is a contact request: the owner introduces itself to the owner of
// another book, which does not have it.
type Request struct {
	To        string        // a petname, a pointer or a link
	As        string        // the name to suggest; empty: the owner's nickname
	Note      string        // at most introduce.MaxNote bytes
	Lifetime  time.Duration // how long it can be accepted; 0: RequestLifetime
	Solutions int           // proof of work, in solutions; 0: the number in the recipient's card
	Progress  func(done, of int)
}

// Requested is a contact request that was made.
type Requested struct {
	To           pointer.Pointer
	Introduction introduce.Introduction // of the owner
	Solutions    int                    // that were found
	Open         bool                   // the recipient's card states that it fetches requests
	Sent         Delivery
}

// RequestContact makes a contact request, with a proof of work, and leaves it in
// the recipient's request mailbox; an agent that runs, or Fetch, keeps it there
// until it expires or [Agent.CancelRequest] is called.
func (a *Agent) RequestContact(ctx context.Context, r Request) (Requested, error) {
	to, err := a.PointerOf(r.To)
	if err != nil {
		return Requested{}, err
	}
	if to == a.book.Identity() {
		return Requested{}, petname.ErrOwnPointer
	}
	if r.As == "" {
		if r.As, err = a.book.Nickname(); err != nil {
			return Requested{}, err
		}
	}
	if r.As != "" {
		label, err := petname.CheckLabel(r.As)
		if err != nil {
			return Requested{}, err
		}
		r.As = label.String()
	}
	key, err := a.key()
	if err != nil {
		return Requested{}, err
	}
	// Without a network, fail before the proof of work is made.
	if _, err := (&unlinkableStore{a.state}).stores(ctx); err != nil {
		return Requested{}, err
	}
	ex, err := a.exchange()
	if err != nil {
		return Requested{}, err
	}
	made, err := ex.SendRequest(ctx, key, exchange.Request{To: to, Suggested: r.As, Note: r.Note, Lifetime: r.Lifetime, Difficulty: request.Difficulty{Solutions: r.Solutions}, Progress: r.Progress})
	if err == nil || made.Delivery != "" {
		to = made.Introduction.To // the recipient may have advanced
	}
	return Requested{To: to, Introduction: made.Introduction, Solutions: made.Difficulty.Solutions, Open: made.Open, Sent: made.Delivery}, queued(made.Delivery, err)
}

// CancelRequest ends a contact request, and reports whether there was one.
func (a *Agent) CancelRequest(to pointer.Pointer) (bool, error) {
	ex, err := a.exchange()
	if err != nil {
		return false, err
	}
	return ex.CancelRequest(to)
}

// requestDifficulty returns the proof of work that contact requests to this home need.
func requestDifficulty(c home.Config) request.Difficulty {
	return request.Difficulty{Solutions: c.RequestSolutions}
}

// unknownSenders is that of [exchange.Config]: it returns the proof of work that contact
// requests need, and reports whether each fetch includes them. It logs an error of the
// settings, and reports false then.
func (s *state) unknownSenders() (request.Difficulty, bool) {
	c, err := s.home.Config()
	if err != nil {
		s.log.Warn("contact requests", "error", err)
		return request.Difficulty{}, false
	}
	return requestDifficulty(c), c.ContactRequests
}

// fetchRequests fetches contact requests once, unless each fetch includes them.
func (s *state) fetchRequests(ctx context.Context, ex *exchange.Exchange, report *exchange.Report) error {
	c, err := s.home.Config()
	if err != nil || c.ContactRequests {
		return err
	}
	one, err := ex.FetchRequests(ctx, requestDifficulty(c))
	report.Polled += one.Polled
	report.Fresh = append(report.Fresh, one.Fresh...)
	report.Refused = append(report.Refused, one.Refused...)
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	return nil
}

// requestLinks returns the links about contact requests for the owner's card.
func (s *state) requestLinks() ([]pointer.CardLink, error) {
	c, err := s.home.Config()
	if err != nil || !c.ContactRequests {
		return nil, err
	}
	return []pointer.CardLink{request.CardLink(c.RequestSolutions)}, nil
}
