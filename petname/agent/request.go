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
	// RequestLife is how long a [Request] can be accepted unless it says otherwise.
	RequestLife = exchange.RequestLifetime

	// MaxRequestLife bounds it.
	MaxRequestLife = petname.MaxRequestLifetime

	// DefaultPuzzles is the usual proof of work of a request, in puzzles.
	DefaultPuzzles = request.DefaultSolutions

	// MaxPuzzles bounds it.
	MaxPuzzles = request.MaxSolutions
)

// Request is a contact request: the owner introduces itself to the
// owner of another book, which it is not in.
type Request struct {
	To       string        // a petname, a pointer or a link
	As       string        // the name to suggest; empty: the owner's nickname
	Note     string        // at most introduce.MaxNote bytes
	Life     time.Duration // how long it can be accepted; 0: RequestLife
	Puzzles  int           // proof of work, in puzzles; 0: as many as the recipient's card asks for
	Progress func(done, of int)
}

// Requested is a contact request that was made.
type Requested struct {
	To           pointer.Pointer
	Introduction introduce.Introduction // of the owner
	Puzzles      int                    // that were solved
	Open         bool                   // the recipient's card says that it looks for requests
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
	if _, err := (&unlinkableStore{a.state}).stores(ctx); err != nil {
		return Requested{}, err
	}
	p, err := a.exchange()
	if err != nil {
		return Requested{}, err
	}
	made, err := p.SendRequest(ctx, key, exchange.Request{To: to, Suggested: r.As, Note: r.Note, Lifetime: r.Life, Difficulty: request.Difficulty{Solutions: r.Puzzles}, Progress: r.Progress})
	return Requested{To: to, Introduction: made.Introduction, Puzzles: made.Difficulty.Solutions, Open: made.Open, Sent: made.Delivery}, queued(made.Delivery, err)
}

// CancelRequest ends a contact request, and reports whether there was one.
func (a *Agent) CancelRequest(to pointer.Pointer) (bool, error) {
	p, err := a.exchange()
	if err != nil {
		return false, err
	}
	return p.CancelRequest(to)
}

// price returns the proof of work that contact requests to this home need.
func price(c home.Config) request.Difficulty {
	return request.Difficulty{Solutions: c.RequestSolutions}
}

// unknownSenders reports whether the home looks for contact requests by itself,
// and their price.
func (s *state) unknownSenders() (request.Difficulty, bool) {
	c, err := s.home.Config()
	if err != nil {
		s.log.Warn("contact requests", "error", err)
		return request.Difficulty{}, false
	}
	return price(c), c.ContactRequests
}

// fetchRequests looks for contact requests once, though the home doesn't by
// itself.
func (s *state) fetchRequests(ctx context.Context, p *exchange.Exchange, report *exchange.Report) error {
	c, err := s.home.Config()
	if err != nil || c.ContactRequests {
		return err
	}
	one, err := p.FetchRequests(ctx, price(c))
	report.Polled += one.Polled
	report.Fresh = append(report.Fresh, one.Fresh...)
	report.Refused = append(report.Refused, one.Refused...)
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	return nil
}

// requestLinks returns what the owner's card says about contact requests.
func (s *state) requestLinks() ([]pointer.CardLink, error) {
	c, err := s.home.Config()
	if err != nil || !c.ContactRequests {
		return nil, err
	}
	return []pointer.CardLink{request.CardLink(c.RequestSolutions)}, nil
}
