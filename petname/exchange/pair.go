package exchange

import (
	"bytes"
	"cmp"
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
const PollInterval = time.Second

// maxOffers bounds the invitations that are good at one time.
const maxInvitations = 64

// Invited is an invitation that is out. Wait for who takes it; what is taken
// while nobody waits comes with [Peer.Sync].
type Invitation struct {
	ID      string
	Link    pair.Invitation // zero: it has none
	Code    pair.Code       // zero: it has none
	Expires time.Time
}

// offering is an invitation or a code in this process.
type pendingInvitation struct {
	stepper pair.Stepper
	inviter *pair.Inviter   // nil: a code
	signer  pointer.Pointer // the key of mine that it is signed by
	mu      sync.Mutex      // one step at a time
	err     error
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
func (e *Exchange) Invite(ctx context.Context, key crypto.Signer, terms Terms) (Invitation, error) {
	self, err := e.self(ctx, key)
	if err != nil {
		return Invitation{}, err
	}
	if n, err := e.countRows(tableInvitations); err != nil || n >= maxInvitations {
		return Invitation{}, cmp.Or(err, fmt.Errorf("%d invitations are out already: wait until some have expired", maxInvitations))
	}
	offer, err := pair.Invite(ctx, self, terms.Terms, e.saveInvitation)
	if err != nil {
		return Invitation{}, err
	}
	invitation := offer.Invitation()
	id := invitation.ID()
	out := Invitation{ID: hex.EncodeToString(id[:]), Link: invitation, Expires: invitation.Expires}
	e.addPending(out.ID, &pendingInvitation{stepper: offer, inviter: offer, signer: self.Identity.Pointer})
	if _, err := e.stepInvitation(ctx, out.ID); err != nil && pair.Final(err) {
		return Invitation{}, err
	}
	if !terms.Code {
		return out, nil
	}
	for range 3 { // somebody may be at the place of the first
		if out.Code, err = pair.NewCode(nil); err != nil {
			return Invitation{}, err
		}
		code, err := pair.InviteByCode(self, out.Code, e.markCodeUsed)
		if err != nil {
			return Invitation{}, err
		}
		e.addPending(codeID(out.ID), &pendingInvitation{stepper: code, signer: self.Identity.Pointer})
		_, err = e.stepInvitation(ctx, codeID(out.ID))
		if !errors.Is(err, pair.ErrOccupied) {
			if err != nil && pair.Final(err) {
				return Invitation{}, err
			}
			return out, nil
		}
	}
	return Invitation{}, pair.ErrOccupied
}

// codeID is under what the code of an invitation is kept.
func codeID(id string) string { return id + "/code" }

func (e *Exchange) addPending(id string, o *pendingInvitation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invitations[id] = o
	id = strings.TrimSuffix(id, codeID(""))
	if e.outcomes[id] == nil {
		e.outcomes[id] = make(chan outcome, pair.MaxUses+2) // and the ends of link and code
	}
	if len(e.outcomes) <= 2*maxInvitations {
		return
	}
	for old := range e.outcomes { // nobody came to hear them
		if e.invitations[old] == nil && e.invitations[codeID(old)] == nil {
			delete(e.outcomes, old)
		}
	}
}

// came keeps what came of an invitation for who waits for it, now or later,
// whoever did the step.
func (e *Exchange) addOutcome(id string, o outcome) {
	select {
	case e.outcomesOf(id) <- o:
	default: // nobody waited for those before it, either
	}
}

func (e *Exchange) outcomesOf(id string) chan outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.outcomes[strings.TrimSuffix(id, codeID(""))]
}

func (e *Exchange) pending(id string) *pendingInvitation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.invitations[id]
}

func (e *Exchange) removePending(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.invitations, id)
}

// ErrNotOut: no such invitation is out here.
var ErrNoInvitation = errors.New("no such invitation is out: it was used up, or has expired")

// Wait waits until somebody takes an invitation, by its link or its code, and
// gives the suggestion that this is in the inbox.
func (e *Exchange) Wait(ctx context.Context, id string) (petname.Suggestion, error) {
	tick := time.NewTicker(e.c.PollInterval)
	defer tick.Stop()
	came := e.outcomesOf(id)
	var failed error
	for {
		waiting := false
		for _, id := range []string{id, codeID(id)} {
			_, _ = e.stepInvitation(ctx, id) // what comes of it comes by way of the outcomes
			waiting = waiting || e.pending(id) != nil
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
			return petname.Suggestion{}, cmp.Or(failed, ErrNoInvitation)
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
func (e *Exchange) stepInvitation(ctx context.Context, id string) (*petname.Suggestion, error) {
	o := e.pending(id)
	if o == nil {
		return nil, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return nil, o.err
	}
	var event pair.Event
	var err error
	if o.signer == e.c.Book.Identity() {
		event, err = o.stepper.Step(ctx, e.storeFor(nil), e.c.Now())
	} else {
		err = ErrOldInvitation
	}
	if err != nil {
		if isFinal(err) {
			o.err = err
			e.addOutcome(id, outcome{err: err})
			e.removePending(id)
			if o.inviter != nil {
				_ = e.deleteInvitation(id)
			}
		}
		return nil, err
	}
	var s *petname.Suggestion
	switch {
	case event.Paired != nil:
		o.err = ErrNoInvitation
		defer e.removePending(id)
		s, err = e.suggestPaired(*event.Paired, petname.Paired, "")
	case event.Accepted != nil:
		s, err = e.suggestPaired(*event.Accepted, petname.Invited, "")
	}
	switch {
	case s != nil:
		e.addOutcome(id, outcome{suggestion: *s})
	case err != nil && event.Paired != nil: // the disk, say: there is no other time
		e.addOutcome(id, outcome{err: err})
	}
	return s, err
}

// ErrOldInvitation: my key has gone on since.
var ErrOldInvitation = errors.New("an invitation was made under your earlier key, and is void: make a new one")

// over reports whether nothing more will come of an invitation.
func isFinal(err error) bool { return pair.Final(err) || errors.Is(err, ErrOldInvitation) }

// met puts who was met into the inbox, with what its invitation was for, and keeps
// where it says it can be reached.
func (e *Exchange) suggestPaired(m pair.Paired, kind petname.SuggestionKind, purpose string) (s *petname.Suggestion, err error) {
	err = e.update(func(tx tx) error {
		s, err = tx.suggestPaired(m, kind, purpose)
		return err
	})
	return s, err
}

func (tx tx) suggestPaired(m pair.Paired, kind petname.SuggestionKind, purpose string) (*petname.Suggestion, error) {
	if err := putKnown(tx.local, m.Peer.Pointer, m.Peer.Details); err != nil {
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
func (e *Exchange) Pair(ctx context.Context, key crypto.Signer, text string) (petname.Suggestion, error) {
	self, err := e.self(ctx, key)
	if err != nil {
		return petname.Suggestion{}, err
	}
	var stepper pair.Stepper
	var addresses [][]byte
	if code, cerr := pair.ParseCode(text); cerr == nil {
		stepper, err = pair.AcceptCode(self, code, e.markCodeUsed)
	} else if ticket, terr := pair.ParseTicket(text, e.c.Now()); terr == nil {
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
	event, err := pair.Run(ctx, stepper, e.storeFor(addresses), e.c.Now, e.c.PollInterval)
	if err != nil {
		return petname.Suggestion{}, err
	}
	purpose := ""
	if take, ok := stepper.(*pair.Invitee); ok {
		invitation, _ := take.Invitation()
		purpose = invitation.Purpose
	}
	s, err := e.suggestPaired(*event.Paired, petname.Paired, purpose)
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

func (e *Exchange) self(ctx context.Context, key crypto.Signer) (pair.Self, error) {
	me, err := e.c.Identity(ctx)
	return pair.Self{Key: key, Identity: me, Direct: e.c.Direct}, err
}

// burn notes that a code had its try.
func (e *Exchange) markCodeUsed(_ context.Context, mark string, until time.Time) error {
	return e.update(func(tx tx) error {
		now := e.c.Now()
		for row, err := range tx.local.Scan(tableUsedCodes, nil) {
			if err != nil {
				return err
			}
			if end, err := time.Parse(time.RFC3339, string(row.Value)); err == nil && !now.After(end) {
				continue
			}
			if err := tx.local.Delete(tableUsedCodes, row.Key); err != nil {
				return err
			}
		}
		if old, err := tx.local.Get(tableUsedCodes, []byte(mark)); err != nil || old != nil {
			return cmp.Or(err, pair.ErrCodeUsed)
		}
		return tx.local.Put(tableUsedCodes, []byte(mark), []byte(until.UTC().Add(time.Second).Format(time.RFC3339)))
	})
}

// saveOffer keeps an invitation, and who took it, both or neither: who took it
// can be told again out of the state, and is in the inbox then.
func (e *Exchange) saveInvitation(_ context.Context, state []byte, taken *pair.Paired) error {
	id, err := pair.InvitationID(state)
	if err != nil {
		return err
	}
	return e.update(func(tx tx) error {
		if taken != nil {
			// The inbox takes what comes twice once.
			if _, err := tx.suggestPaired(*taken, petname.Invited, ""); err != nil {
				return err
			}
		}
		return tx.local.Put(tableInvitations, []byte(hex.EncodeToString(id[:])), state)
	})
}

func (e *Exchange) deleteInvitation(id string) error {
	return e.deleteRow(tableInvitations, []byte(id))
}

// StepInvitations looks once at each invitation that is out, those of before a
// restart among them, and gives what was taken since.
func (e *Exchange) StepInvitations(ctx context.Context, key crypto.Signer) ([]petname.Suggestion, error) {
	void := e.resumeInvitations(ctx, key)
	if void != nil && !errors.Is(void, ErrOldInvitation) {
		return nil, void
	}
	e.mu.Lock()
	var ids []string
	for id := range e.invitations {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	var taken []petname.Suggestion
	errs := []error{void}
	for _, id := range ids {
		s, err := e.stepInvitation(ctx, id)
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
func (e *Exchange) HasInvitations() bool {
	e.mu.Lock()
	n := len(e.invitations)
	e.mu.Unlock()
	if n > 0 {
		return true
	}
	n, err := e.countRows(tableInvitations)
	return err == nil && n > 0
}

// resume goes on with the invitations of before a restart.
func (e *Exchange) resumeInvitations(ctx context.Context, key crypto.Signer) error {
	states := make(map[string][]byte)
	err := e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableInvitations, nil) {
			if err != nil {
				return err
			}
			if e.pending(string(row.Key)) == nil {
				states[string(row.Key)] = bytes.Clone(row.Value)
			}
		}
		return nil
	})
	if err != nil || len(states) == 0 || key == nil {
		return err
	}
	self, err := e.self(ctx, key)
	if err != nil {
		return err
	}
	var void error
	for id, state := range states {
		offer, err := pair.ResumeInviter(self, state, e.saveInvitation)
		if err != nil { // of another key, before it went on: nobody can answer it any more
			void = errors.Join(ErrOldInvitation, e.deleteInvitation(id))
			continue
		}
		e.addPending(id, &pendingInvitation{stepper: offer, inviter: offer, signer: self.Identity.Pointer})
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
func putKnown(local *ledger.View, who pointer.Pointer, d pointer.Details) error {
	b, err := encodeKnown(d)
	if err != nil {
		return err
	}
	return local.Put(tableKnown, who.Bytes(), b)
}

// known returns what somebody said of itself when we paired; the zero value when
// we didn't.
func (e *Exchange) known(who pointer.Pointer) (k pointer.Details, err error) {
	err = e.view(func(local *ledger.View) error {
		k, err = loadKnown(local, who)
		return err
	})
	return k, err
}

func loadKnown(local *ledger.View, who pointer.Pointer) (pointer.Details, error) {
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
