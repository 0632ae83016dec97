package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// stepTimeout bounds one step of the invitations that are under way.
const stepTimeout = 20 * time.Second

// InvitationTerms are what an invitation to pair allows.
type InvitationTerms struct {
	Uses     int           // how many contacts may accept the link; at most pair.MaxUses
	Lifetime time.Duration // of the link: at least a minute, at most MaxLifetime
	Purpose  string        // which the other party sees; at most pair.MaxPurpose bytes
	For      string        // the only invitee that may accept the link: a petname or a pointer; empty: any
	// also make a code to be spoken, valid for at most ten minutes. No code is made if no
	// call of AwaitPairing follows (Awaited) and the agent does not run.
	Code    bool
	Awaited bool // a call of AwaitPairing follows
}

// Invitation is an invitation to pair.
type Invitation struct {
	ID      string
	Link    string // "petname-invite:…"
	Code    string // to be spoken, such as "742-tunnel-orbit-candy"; empty: none
	Compact string // for a QR code in a terminal
	Uses    int
	Expires time.Time

	Networks []string // of a device: what it has to join, for Code
}

// Invite makes an invitation to pair: a link, and a code to be spoken. An agent
// that runs answers, and so do AwaitPairing and Fetch, and Pair for a code.
func (a *Agent) Invite(ctx context.Context, t InvitationTerms) (Invitation, error) {
	if t.Lifetime < time.Minute || t.Lifetime > MaxLifetime {
		return Invitation{}, &ArgumentError{"life", fmt.Sprintf("an invitation for %s: must be at least a minute and at most %s", t.Lifetime, MaxLifetime)}
	}
	if t.Uses < 1 || t.Uses > pair.MaxUses {
		return Invitation{}, &ArgumentError{"uses", fmt.Sprintf("an invitation for %d uses: must be from 1 to %d", t.Uses, pair.MaxUses)}
	}
	if len(t.Purpose) > pair.MaxPurpose {
		return Invitation{}, &ArgumentError{"purpose", fmt.Sprintf("purpose of %d bytes: at most %d", len(t.Purpose), pair.MaxPurpose)}
	}
	now := a.now()
	terms := exchange.Terms{Code: t.Code && (t.Awaited || a.isServing()), Terms: pair.Terms{Expires: now.Add(t.Lifetime).Truncate(time.Second), Made: now, Uses: t.Uses, Purpose: t.Purpose}}
	if t.For != "" {
		var err error
		if terms.For, err = a.PointerOf(t.For); err != nil {
			return Invitation{}, err
		}
	}
	key, err := a.key()
	if err != nil {
		return Invitation{}, err
	}
	ex, err := a.pairingExchange(ctx)
	if err != nil {
		return Invitation{}, err
	}
	invited, err := ex.Invite(ctx, key, terms)
	if err != nil {
		return Invitation{}, err
	}
	a.syncSoon()
	return asInvitation(invited, t.Uses), nil
}

// pairingExchange returns the exchange, if the network for pairings can be reached.
func (a *Agent) pairingExchange(ctx context.Context) (*exchange.Exchange, error) {
	if err := (&unlinkableStore{a.state}).reachable(ctx); err != nil {
		return nil, err
	}
	return a.exchange()
}

func asInvitation(invited exchange.Invitation, uses int) Invitation {
	return Invitation{ID: invited.ID, Link: invited.Link.Link(), Compact: invited.Link.Compact(), Code: invited.Code.Secret(), Uses: uses, Expires: invited.Expires,
		Networks: invited.Link.Networks}
}

// AwaitPairing waits until an invitation is accepted, and returns the suggestion
// that is in the inbox then. It fails with [pair.ErrTimeout] when a code expires;
// the link may still be valid.
func (a *Agent) AwaitPairing(ctx context.Context, id string) (petname.Suggestion, error) {
	ex, err := a.exchange()
	if err != nil {
		return petname.Suggestion{}, err
	}
	return ex.Wait(ctx, id)
}

// Pair accepts an invitation: a code, a link, or the text of a QR code. A pairing by code
// that was broken off is continued when the code is passed again. Pair waits
// until the other party has proved its key, and returns the suggestion that is then
// in the inbox: [Agent.Accept] names it.
func (a *Agent) Pair(ctx context.Context, text string) (petname.Suggestion, error) {
	key, err := a.key()
	if err != nil {
		return petname.Suggestion{}, err
	}
	ex, err := a.pairingExchange(ctx)
	if err != nil {
		return petname.Suggestion{}, err
	}
	return ex.Pair(ctx, key, text)
}

// pairIdentity returns the owner's identity for the other party of a pairing.
func (a *Agent) pairIdentity(context.Context) (pair.Identity, error) {
	id, err := a.identity()
	if err != nil {
		return pair.Identity{}, err
	}
	nickname, err := a.book.Nickname()
	if err != nil {
		return pair.Identity{}, err
	}
	keys, err := a.ownSealing()
	if err != nil {
		return pair.Identity{}, err
	}
	out := pair.Identity{Pointer: id.Pointer, Details: pointer.Details{Next: id.Next, Sealing: keys.PublicKeys(), Nickname: nickname}}
	addresses, err := a.addresses()
	if errors.Is(err, ErrNotServing) {
		return out, nil
	}
	for _, address := range addresses {
		if len(address) <= pointer.MaxAddress && len(out.Addresses) < pointer.MaxAddresses {
			out.Addresses = append(out.Addresses, address)
		}
	}
	return out, err
}

// stepInvitations answers the invitations that are under way, while the agent
// runs.
func (a *Agent) stepInvitations(ctx context.Context) error {
	ex, err := a.exchange()
	if err != nil || !ex.HasInvitations() {
		return err
	}
	key, err := a.key()
	if errors.Is(err, home.ErrLocked) {
		return nil // none can be answered
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	_, err = ex.StepInvitations(ctx, key)
	return err
}
