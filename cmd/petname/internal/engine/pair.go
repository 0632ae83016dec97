package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/kad"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/petname/peer"
	"github.com/petnames-go/petnames/pointer"
)

// stepTimeout bounds one look at the invitations that are out.
const stepTimeout = 20 * time.Second

// me is what those whom I pair with are told.
func (e *Engine) me(context.Context) (pair.Identity, error) {
	id, err := e.identity()
	if err != nil {
		return pair.Identity{}, err
	}
	nickname, err := e.book.Nickname()
	if err != nil {
		return pair.Identity{}, err
	}
	keys, err := e.home.Sealing()
	if err != nil {
		return pair.Identity{}, err
	}
	out := pair.Identity{Pointer: id.Pointer, Details: pointer.Details{Next: id.Next, Sealing: keys.Public(), Nickname: nickname}}
	e.mu.Lock()
	serving := e.serving && e.network != nil
	e.mu.Unlock()
	if !serving {
		return out, nil
	}
	addresses, err := e.addresses()
	for _, a := range addresses {
		if len(a) <= pointer.MaxAddress && len(out.Addresses) < pointer.MaxAddresses {
			out.Addresses = append(out.Addresses, a)
		}
	}
	return out, err
}

// InviteArgs are the arguments of invite.
type InviteArgs struct {
	Uses       int           `json:"uses"`
	Expires    time.Duration `json:"expires"`
	Purpose    string        `json:"purpose"`
	For        string        `json:"for"`  // a pointer or a name; empty: anybody
	Code       bool          `json:"code"` // one to be spoken, too
	Wait       bool          `json:"wait"` // await follows: else a code is made only by a node, which can answer
	Passphrase string        `json:"passphrase,omitempty"`
}

// Invited is the result of invite.
type Invited struct {
	Link    string    `json:"link"`
	Code    string    `json:"code"` // empty: none to be spoken
	Expires time.Time `json:"expires"`
	Uses    int       `json:"uses"`
	ID      string    `json:"id"`
	Compact string    `json:"compact,omitempty"` // what a QR code in a terminal has
	File    string    `json:"file,omitempty"`    // where a QR code was written
}

// Invite makes an invitation.
func (e *Engine) Invite(ctx context.Context, a InviteArgs) (*Invited, error) {
	if a.Expires < time.Minute || a.Expires > maxLifetime {
		return nil, Usage("--expires %s: must be at least a minute and at most %s", a.Expires, maxLifetime)
	}
	if a.Uses < 1 || a.Uses > pair.MaxUses {
		return nil, Usage("--uses %d: must be from 1 to %d", a.Uses, pair.MaxUses)
	}
	if len(a.Purpose) > pair.MaxPurpose {
		return nil, Usage("--purpose of %d bytes: at most %d", len(a.Purpose), pair.MaxPurpose)
	}
	e.mu.Lock()
	answered := a.Wait || e.serving
	e.mu.Unlock()
	terms := peer.Terms{Code: a.Code && answered, Terms: pair.Terms{Expires: time.Now().Add(a.Expires).Truncate(time.Second), Uses: a.Uses, Purpose: a.Purpose}}
	if a.For != "" {
		who, err := e.whom(a.For)
		if err != nil {
			return nil, err
		}
		terms.For = who
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	if err := e.somebodyThere(ctx); err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	invited, err := p.Invite(ctx, key, terms)
	if err != nil {
		return nil, err
	}
	e.wakePost()
	out := &Invited{Link: invited.Link.Link(), Expires: invited.Expires, Uses: a.Uses, ID: invited.ID, Compact: invited.Link.Compact()}
	if !invited.Code.IsZero() {
		out.Code = invited.Code.Secret()
	}
	return out, nil
}

// somebodyThere refuses at once what would wait in vain, in a network in which
// nobody is left.
func (e *Engine) somebodyThere(ctx context.Context) error {
	stores, err := (&letters{engine: e}).stores(ctx)
	if err != nil {
		return err
	}
	for _, s := range stores {
		if node, ok := s.(*kad.Node); !ok || node.Peers() > 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: nobody is left in the network that was joined", dht.ErrUnreachable)
}

// whom is the pointer that a text means: a contact's, or itself one.
func (e *Engine) whom(text string) (pointer.Pointer, error) {
	if c, err := e.find(text); err == nil {
		return c.Pointer, nil
	} else if link, perr := pointer.ParseLink(text); perr == nil {
		return link.Pointer, nil
	} else {
		return pointer.Pointer{}, err
	}
}

// AwaitArgs are the arguments of await.
type AwaitArgs struct {
	ID string `json:"id"`
}

// Await waits until somebody takes an invitation.
func (e *Engine) Await(ctx context.Context, a AwaitArgs) (*Suggestion, error) {
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	s, err := p.Wait(ctx, a.ID)
	if err != nil {
		return nil, err
	}
	return e.suggestion(s)
}

// PairArgs are the arguments of pair.
type PairArgs struct {
	Text       string `json:"text"` // a code, a link, or what a QR code has
	As         string `json:"as"`
	Lookalike  bool   `json:"lookalike"`
	Passphrase string `json:"passphrase,omitempty"`
}

// PairedContact is the result of pair: a contact, and where it waits if it has
// no name yet.
type PairedContact struct {
	Contact
	Suggestion string `json:"suggestion,omitempty"`
	Purpose    string `json:"purpose,omitempty"` // of the invitation, cleaned
}

// Pair takes an invitation or a code.
func (e *Engine) Pair(ctx context.Context, a PairArgs) (*PairedContact, error) {
	var as name.Name
	if a.As != "" {
		var err error
		if as, err = name.Parse(a.As); err != nil {
			return nil, err
		}
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	if err := e.somebodyThere(ctx); err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	s, err := p.Pair(ctx, key, a.Text)
	if err != nil {
		return nil, err
	}
	out := &PairedContact{Suggestion: s.ID.String(), Purpose: name.Clean(s.Note), Contact: Contact{Pointer: s.Pointer.String(), Nickname: name.Clean(s.Nickname), Next: s.Next.String(),
		Provenance: []Fact{{Kind: string(s.Kind), By: "me", Channel: s.Channel, At: s.At}}}}
	if c, err := e.book.ByPointer(s.Pointer); err == nil {
		out.Name = c.Name.String()
	}
	if err := e.flag(&out.Contact, s.Pointer); err != nil {
		return nil, err
	}
	if as.IsZero() {
		return out, nil
	}
	c, err := e.book.Accept(s.ID, as, petname.Acceptance{Lookalike: a.Lookalike})
	if err != nil {
		// They are paired, whatever became of the name.
		failed := *Classify(err)
		failed.Message = "paired, and waiting in the inbox, but " + failed.Message
		failed.Next = "petname accept " + s.ID.String() + " --as NAME"
		return out, &failed
	}
	named, err := e.flagged(c)
	if err != nil {
		return nil, err
	}
	return &PairedContact{Contact: *named, Purpose: out.Purpose}, nil
}

// stepInvitations looks after the invitations that are out, while a node runs.
func (e *Engine) stepInvitations(ctx context.Context) error {
	p, err := e.presence()
	if err != nil || !p.Inviting() {
		return err
	}
	key, err := e.unlock("")
	if errors.Is(err, home.ErrLocked) {
		return nil // nobody can be answered
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	_, err = p.StepInvitations(ctx, key)
	return err
}
