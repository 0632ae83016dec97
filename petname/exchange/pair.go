package exchange

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Every is how often the network is looked at while somebody waits.
const Every = time.Second

// maxOffers bounds the invitations that are good at one time.
const maxOffers = 64

// Invited is an invitation that is out. Wait for who takes it; what is taken
// while nobody waits comes with [Peer.Sync].
type Invited struct {
	ID      string
	Link    pair.Invitation // zero: it has none
	Code    pair.Code       // zero: it has none
	Expires time.Time
}

// offering is an invitation or a code in this process.
type offering struct {
	stepper pair.Stepper
	offer   *pair.Inviter   // nil: a code
	by      pointer.Pointer // the key of mine that it is signed by
	mu      sync.Mutex      // one step at a time
	over    error
}

// outcome is what came of an invitation, by its link or its code.
type outcome struct {
	suggestion petname.Suggestion
	err        error // final
}

// Terms say what an invitation is to be.
type Terms struct {
	pair.Terms
	Code bool // one to be spoken, too: it lives while this process does, and at most [pair.CodeLife]
}

// Invite makes an invitation: a link, and a code if the terms ask for one. It is
// durable when it returns, but for the code.
func (p *Peer) Invite(ctx context.Context, key crypto.Signer, terms Terms) (Invited, error) {
	self, err := p.self(ctx, key)
	if err != nil {
		return Invited{}, err
	}
	if n, err := p.count(tableOffers); err != nil || n >= maxOffers {
		return Invited{}, cmpErr(err, fmt.Errorf("%d invitations are out already: wait until some have expired", maxOffers))
	}
	offer, err := pair.Invite(ctx, self, terms.Terms, p.saveOffer)
	if err != nil {
		return Invited{}, err
	}
	invitation := offer.Invitation()
	id := invitation.ID()
	out := Invited{ID: hex.EncodeToString(id[:]), Link: invitation, Expires: invitation.Expires}
	p.keep(out.ID, &offering{stepper: offer, offer: offer, by: self.Identity.Pointer})
	if _, err := p.step(ctx, out.ID); err != nil && pair.Final(err) {
		return Invited{}, err
	}
	if !terms.Code {
		return out, nil
	}
	for range 3 { // somebody may be at the place of the first
		if out.Code, err = pair.NewCode(nil); err != nil {
			return Invited{}, err
		}
		code, err := pair.InviteByCode(self, out.Code, p.burn)
		if err != nil {
			return Invited{}, err
		}
		p.keep(codeID(out.ID), &offering{stepper: code, by: self.Identity.Pointer})
		_, err = p.step(ctx, codeID(out.ID))
		if !errors.Is(err, pair.ErrOccupied) {
			if err != nil && pair.Final(err) {
				return Invited{}, err
			}
			return out, nil
		}
	}
	return Invited{}, pair.ErrOccupied
}

// codeID is under what the code of an invitation is kept.
func codeID(id string) string { return id + "/code" }

func cmpErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func (p *Peer) keep(id string, o *offering) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offers[id] = o
	id = strings.TrimSuffix(id, codeID(""))
	if p.outcomes[id] == nil {
		p.outcomes[id] = make(chan outcome, pair.MaxUses+2) // and the ends of link and code
	}
	if len(p.outcomes) <= 2*maxOffers {
		return
	}
	for old := range p.outcomes { // nobody came to hear them
		if p.offers[old] == nil && p.offers[codeID(old)] == nil {
			delete(p.outcomes, old)
		}
	}
}

// came keeps what came of an invitation for who waits for it, now or later,
// whoever did the step.
func (p *Peer) came(id string, o outcome) {
	select {
	case p.outcome(id) <- o:
	default: // nobody waited for those before it, either
	}
}

func (p *Peer) outcome(id string) chan outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outcomes[strings.TrimSuffix(id, codeID(""))]
}

func (p *Peer) offering(id string) *offering {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offers[id]
}

func (p *Peer) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.offers, id)
}

// ErrNotOut: no such invitation is out here.
var ErrNotOut = errors.New("no such invitation is out: it was used up, or has expired")

// Wait waits until somebody takes an invitation, by its link or its code, and
// gives the suggestion that this is in the inbox.
func (p *Peer) Wait(ctx context.Context, id string) (petname.Suggestion, error) {
	tick := time.NewTicker(p.c.Every)
	defer tick.Stop()
	came := p.outcome(id)
	var failed error
	for {
		waiting := false
		for _, id := range []string{id, codeID(id)} {
			_, _ = p.step(ctx, id) // what comes of it comes by way of the outcomes
			waiting = waiting || p.offering(id) != nil
		}
		for more := true; more; {
			select {
			case o := <-came:
				if o.err == nil {
					return o.suggestion, nil
				}
				// The link is good for as long as it says, whatever became of the code.
				failed = o.err
				if !errors.Is(failed, pair.ErrTimeout) && !errors.Is(failed, pair.ErrExpired) {
					return petname.Suggestion{}, failed
				}
			default:
				more = false
			}
		}
		if !waiting {
			return petname.Suggestion{}, cmpErr(failed, ErrNotOut)
		}
		select {
		case <-ctx.Done():
			return petname.Suggestion{}, ctx.Err()
		case <-tick.C:
		}
	}
}

// step does one step of an offering. What somebody took is in the inbox, durably,
// when it returns.
func (p *Peer) step(ctx context.Context, id string) (*petname.Suggestion, error) {
	o := p.offering(id)
	if o == nil {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over != nil {
		return nil, o.over
	}
	var event pair.Event
	var err error
	if o.by == p.c.Book.Identity() {
		event, err = o.stepper.Step(ctx, p.store(nil), p.c.Now())
	} else {
		err = ErrOldInvitation
	}
	if err != nil {
		if over(err) {
			o.over = err
			p.came(id, outcome{err: err})
			p.forget(id)
			if o.offer != nil {
				_ = p.dropOffer(id)
			}
		}
		return nil, err
	}
	var s *petname.Suggestion
	switch {
	case event.Paired != nil:
		o.over = ErrNotOut
		defer p.forget(id)
		s, err = p.met(*event.Paired, petname.Paired, "")
	case event.Accepted != nil:
		s, err = p.met(*event.Accepted, petname.Invited, "")
	}
	switch {
	case s != nil:
		p.came(id, outcome{suggestion: *s})
	case err != nil && event.Paired != nil: // the disk, say: there is no other time
		p.came(id, outcome{err: err})
	}
	return s, err
}

// ErrOldInvitation: my key has gone on since.
var ErrOldInvitation = errors.New("an invitation was made under your earlier key, and is void: make a new one")

// over reports whether nothing more will come of an invitation.
func over(err error) bool { return pair.Final(err) || errors.Is(err, ErrOldInvitation) }

// met puts who was met into the inbox, with what its invitation was for, and keeps
// where it says it can be reached.
func (p *Peer) met(m pair.Paired, kind petname.SuggestionKind, purpose string) (s *petname.Suggestion, err error) {
	err = p.update(func(tx tx) error {
		s, err = tx.met(m, kind, purpose)
		return err
	})
	return s, err
}

func (tx tx) met(m pair.Paired, kind petname.SuggestionKind, purpose string) (*petname.Suggestion, error) {
	if err := remember(tx.local, m.Peer.Pointer, m.Peer.Details); err != nil {
		return nil, err
	}
	id, _, err := tx.book.Suggest(petname.Suggestion{Kind: kind, Pointer: m.Peer.Pointer, Next: m.Peer.Next, Nickname: m.Peer.Nickname, Note: purpose,
		Channel: m.Channel, Evidence: m.Transcript})
	if err != nil {
		return nil, err
	}
	s, err := tx.book.Suggestion(id.String())
	return &s, err
}

// Pair takes an invitation, "petname-invite:…" or what a QR code has, or a code
// that was spoken, and waits for its inviter. It gives the suggestion that this
// is in the inbox.
func (p *Peer) Pair(ctx context.Context, key crypto.Signer, text string) (petname.Suggestion, error) {
	self, err := p.self(ctx, key)
	if err != nil {
		return petname.Suggestion{}, err
	}
	var stepper pair.Stepper
	var addresses [][]byte
	if code, cerr := pair.ParseCode(text); cerr == nil {
		stepper, err = pair.AcceptCode(self, code, p.burn)
	} else if ticket, terr := pair.ParseTicket(text, p.c.Now()); terr == nil {
		stepper, err = pair.AcceptTicket(self, ticket)
		addresses = ticket.Addresses
	} else if errors.Is(terr, pair.ErrExpired) {
		err = terr
	} else if looksLikeTicket(text) {
		err = fmt.Errorf("%w: %w", ErrMalformed, terr)
	} else {
		err = fmt.Errorf("%w: %w", ErrMalformed, cerr)
	}
	if err != nil {
		return petname.Suggestion{}, err
	}
	event, err := pair.Run(ctx, stepper, p.store(addresses), p.c.Now, p.c.Every)
	if err != nil {
		return petname.Suggestion{}, err
	}
	purpose := ""
	if take, ok := stepper.(*pair.Invitee); ok {
		invitation, _ := take.Invitation()
		purpose = invitation.Purpose
	}
	s, err := p.met(*event.Paired, petname.Paired, purpose)
	if err != nil {
		return petname.Suggestion{}, err
	}
	return *s, nil
}

// ErrMalformed: what was given to Pair is neither an invitation nor a code.
var ErrMalformed = errors.New("no code and no invitation")

// looksLikeTicket tells a spoiled link from a spoiled code.
func looksLikeTicket(text string) bool {
	for _, r := range text {
		if r == ':' {
			return true
		}
	}
	return false
}

func (p *Peer) self(ctx context.Context, key crypto.Signer) (pair.Self, error) {
	me, err := p.c.Me(ctx)
	return pair.Self{Key: key, Identity: me, Direct: p.c.Direct}, err
}

// burn notes that a code had its try.
func (p *Peer) burn(_ context.Context, mark string, until time.Time) error {
	return p.update(func(tx tx) error {
		now := p.c.Now()
		for row, err := range tx.local.Scan(tableBurnt, nil) {
			if err != nil {
				return err
			}
			if end, err := time.Parse(time.RFC3339, string(row.Value)); err == nil && !now.After(end) {
				continue
			}
			if err := tx.local.Delete(tableBurnt, row.Key); err != nil {
				return err
			}
		}
		if old, err := tx.local.Get(tableBurnt, []byte(mark)); err != nil || old != nil {
			return cmpErr(err, pair.ErrCodeUsed)
		}
		return tx.local.Put(tableBurnt, []byte(mark), []byte(until.UTC().Add(time.Second).Format(time.RFC3339)))
	})
}

// saveOffer keeps an invitation, and who took it, both or neither: who took it
// can be told again out of the state, and is in the inbox then.
func (p *Peer) saveOffer(_ context.Context, state []byte, taken *pair.Paired) error {
	id, err := pair.InvitationID(state)
	if err != nil {
		return err
	}
	return p.update(func(tx tx) error {
		if taken != nil {
			// The inbox takes what comes twice once.
			if _, err := tx.met(*taken, petname.Invited, ""); err != nil {
				return err
			}
		}
		return tx.local.Put(tableOffers, []byte(hex.EncodeToString(id[:])), state)
	})
}

func (p *Peer) dropOffer(id string) error { return p.delete1(tableOffers, []byte(id)) }

// StepInvitations looks once at each invitation that is out, those of before a
// restart among them, and gives what was taken since.
func (p *Peer) StepInvitations(ctx context.Context, key crypto.Signer) ([]petname.Suggestion, error) {
	void := p.resume(ctx, key)
	if void != nil && !errors.Is(void, ErrOldInvitation) {
		return nil, void
	}
	p.mu.Lock()
	var ids []string
	for id := range p.offers {
		ids = append(ids, id)
	}
	p.mu.Unlock()
	var taken []petname.Suggestion
	errs := []error{void}
	for _, id := range ids {
		s, err := p.step(ctx, id)
		if err != nil && !errors.Is(err, pair.ErrTimeout) && !errors.Is(err, pair.ErrExpired) {
			errs = append(errs, err) // of those that failed for good, whoever waits is told, too
		}
		if s != nil {
			taken = append(taken, *s)
		}
	}
	return taken, errors.Join(errs...)
}

// Inviting reports whether there is an invitation that somebody may take now.
func (p *Peer) Inviting() bool {
	p.mu.Lock()
	n := len(p.offers)
	p.mu.Unlock()
	if n > 0 {
		return true
	}
	n, err := p.count(tableOffers)
	return err == nil && n > 0
}

// resume goes on with the invitations of before a restart.
func (p *Peer) resume(ctx context.Context, key crypto.Signer) error {
	states := make(map[string][]byte)
	err := p.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableOffers, nil) {
			if err != nil {
				return err
			}
			if p.offering(string(row.Key)) == nil {
				states[string(row.Key)] = bytes.Clone(row.Value)
			}
		}
		return nil
	})
	if err != nil || len(states) == 0 || key == nil {
		return err
	}
	self, err := p.self(ctx, key)
	if err != nil {
		return err
	}
	var void error
	for id, state := range states {
		offer, err := pair.ResumeInviter(self, state, p.saveOffer)
		if err != nil { // of another key, before it went on: nobody can answer it any more
			void = errors.Join(ErrOldInvitation, p.dropOffer(id))
			continue
		}
		p.keep(id, &offering{stepper: offer, offer: offer, by: self.Identity.Pointer})
	}
	return void
}

// wireKnown is what a contact stated about itself, as far as it is stored: its
// sealing keys and its addresses.
type wireKnown struct {
	_         struct{} `cbor:",toarray"`
	Sealing   []pointer.SealingKey
	Addresses [][]byte
}

func encodeKnown(d pointer.Details) ([]byte, error) {
	w := wireKnown{Sealing: d.Sealing, Addresses: d.Addresses}
	if w.Sealing == nil {
		w.Sealing = []pointer.SealingKey{}
	}
	return canonical.Marshal(w)
}

func decodeKnown(b []byte) (pointer.Details, error) {
	var w wireKnown
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{}); err != nil {
		return pointer.Details{}, err
	}
	if w.Sealing == nil {
		return pointer.Details{}, canonical.ErrNotCanonical // an empty list is one
	}
	return pointer.Details{Sealing: w.Sealing, Addresses: w.Addresses}, nil
}

// remember keeps what somebody said of itself when we paired.
func remember(local *ledger.View, who pointer.Pointer, d pointer.Details) error {
	b, err := encodeKnown(d)
	if err != nil {
		return err
	}
	return local.Put(tableKnown, who.Bytes(), b)
}

// known returns what somebody said of itself when we paired; the zero value when
// we didn't.
func (p *Peer) known(who pointer.Pointer) (k pointer.Details, err error) {
	err = p.view(func(local *ledger.View) error {
		k, err = knownOf(local, who)
		return err
	})
	return k, err
}

func knownOf(local *ledger.View, who pointer.Pointer) (pointer.Details, error) {
	b, err := local.Get(tableKnown, who.Bytes())
	if err != nil || b == nil {
		return pointer.Details{}, err
	}
	k, err := decodeKnown(b)
	if err != nil {
		return pointer.Details{}, fmt.Errorf("what %s said when we paired: %w", who, err)
	}
	return k, nil
}
