package engine

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/doorstep"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/petname/postage"
	"github.com/petnames-go/petnames/pointer"
)

// KnockArgs are the arguments of knock.
type KnockArgs struct {
	To         string        `json:"to"` // a pointer, a link or a name
	As         string        `json:"as"` // what I may be called; empty: my nickname
	Note       string        `json:"note"`
	Puzzles    int           `json:"puzzles"` // 0: as many as their card asks for
	Expires    time.Duration `json:"expires"`
	Stop       bool          `json:"stop"` // knock no more
	Passphrase string        `json:"passphrase,omitempty"`
}

// Knocking is the result of knock.
type Knocking struct {
	To        string    `json:"to"`
	ToName    string    `json:"to_name"` // my petname for them; empty: none
	Pointer   string    `json:"pointer"` // mine
	Suggested string    `json:"suggested"`
	Note      string    `json:"note"`
	Expires   time.Time `json:"expires"`
	ID        string    `json:"id"`
	Sent      string    `json:"sent"`    // "stored": it lies on their doorstep; "queued": it waits in this home
	Open      bool      `json:"open"`    // their card says that they look
	Puzzles   int       `json:"puzzles"` // that were solved
	Took      float64   `json:"took"`    // seconds
}

// Stopped is the result of knock --stop.
type Stopped struct {
	To     string `json:"to"`
	ToName string `json:"to_name"`
	Was    bool   `json:"was"` // I was knocking
}

// Knock introduces me to somebody who doesn't know me.
func (e *Engine) Knock(ctx context.Context, a KnockArgs) (*Knocking, error) {
	began := time.Now()
	if len(a.Note) > introduce.MaxNote {
		return nil, Usage("--note of %d bytes: at most %d", len(a.Note), introduce.MaxNote)
	}
	if a.Puzzles < 0 || a.Puzzles > postage.MaxPuzzles {
		return nil, Usage("--puzzles %d: at most %d", a.Puzzles, postage.MaxPuzzles)
	}
	if a.Expires < time.Hour || a.Expires > petname.MaxStrangerLife {
		return nil, Usage("--expires %s: must be at least an hour and at most %d days", a.Expires, petname.MaxStrangerLife/(24*time.Hour))
	}
	to, toName, err := e.atDoor(a.To)
	if err != nil {
		return nil, err
	}
	if to == e.book.Identity() {
		return nil, petname.ErrOwnPointer
	}
	nickname, err := e.book.Nickname()
	if err != nil {
		return nil, err
	}
	if a.As == "" {
		a.As = nickname
	}
	if a.As != "" {
		label, err := petname.CheckLabel(a.As)
		if err != nil {
			return nil, err
		}
		a.As = label.String()
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	if _, err := (&letters{engine: e}).stores(ctx); err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	knocked, err := p.Knock(ctx, key, peer.Knock{To: to, Suggested: a.As, Note: a.Note, Life: a.Expires,
		Price: postage.Price{Puzzles: a.Puzzles}, Progress: e.progress})
	if knocked.Sent == "" {
		return nil, err
	}
	i := knocked.Introduction
	out := &Knocking{To: to.String(), ToName: toName, Pointer: i.About.String(), Suggested: name.Clean(i.Suggested), Note: name.Clean(i.Note),
		Expires: i.Expires, ID: hex.EncodeToString(i.ID[:]), Open: knocked.Open, Puzzles: knocked.Price.Puzzles, Took: time.Since(began).Seconds()}
	return out, e.sent(knocked.Sent, err, &out.Sent)
}

// StopKnocking ends that.
func (e *Engine) StopKnocking(_ context.Context, a KnockArgs) (*Stopped, error) {
	to, toName, err := e.atDoor(a.To)
	if err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	was, err := p.StopKnocking(to)
	if err != nil {
		return nil, err
	}
	return &Stopped{To: to.String(), ToName: toName, Was: was}, nil
}

// atDoor is the pointer that a text means, and my petname for it, if I have one.
func (e *Engine) atDoor(text string) (pointer.Pointer, string, error) {
	to, err := e.whom(text)
	if err != nil {
		return pointer.Pointer{}, "", err
	}
	c, err := e.book.ByPointer(to)
	if err != nil && !errors.Is(err, petname.ErrNotFound) {
		return pointer.Pointer{}, "", err
	}
	return to, c.Name.String(), nil
}

// ProgressTo sets who is told how far the work of a knock is; it is called
// before anything else.
func (e *Engine) ProgressTo(fn func(answered, of int)) { e.progress = fn }

// price is what strangers have to pay here.
func price(c home.Config) postage.Price { return postage.Price{Puzzles: c.StrangerPuzzles} }

// strangers says whether a presence looks for strangers by itself.
func (e *Engine) strangers() (postage.Price, bool) {
	c, err := e.home.Config()
	if err != nil {
		e.log.Warn("strangers", "error", err)
		return postage.Price{}, false
	}
	return price(c), c.Strangers
}

// lookOutside looks for strangers once, though the home doesn't by itself.
func (e *Engine) lookOutside(ctx context.Context, p *peer.Peer, report *peer.Report) error {
	c, err := e.home.Config()
	if err != nil || c.Strangers {
		return err
	}
	one, err := p.Doorstep(ctx, price(c))
	report.Polled += one.Polled
	report.Fresh = append(report.Fresh, one.Fresh...)
	report.Refused = append(report.Refused, one.Refused...)
	if err != nil {
		report.Errs = append(report.Errs, err)
	}
	return nil
}

// doorLinks are what my card says of my doorstep.
func (e *Engine) doorLinks() ([]pointer.CardLink, error) {
	c, err := e.home.Config()
	if err != nil || !c.Strangers {
		return nil, err
	}
	return []pointer.CardLink{doorstep.Link(c.StrangerPuzzles)}, nil
}
