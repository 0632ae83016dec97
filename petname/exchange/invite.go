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
)

// defaultPollInterval is the default of Config.PollInterval.
const defaultPollInterval = time.Second

// maxInvitations bounds the invitations that are pending.
const maxInvitations = 64

// Invitation is a pending invitation. [Exchange.Wait] returns the result; without a Wait,
// [Exchange.Sync] reports it.
type Invitation struct {
	ID      string
	Link    pair.Invitation
	Code    pair.Code // zero: there is no code
	Expires time.Time
}

// pendingInvitation is an invitation, or its code, that this process steps.
type pendingInvitation struct {
	stepper pair.Stepper
	inviter *pair.Inviter   // nil for a code
	signer  pointer.Pointer // the owner's pointer when it was made
	device  bool            // it admits a device
	mu      sync.Mutex      // held during a step
	err     error
}

// outcome is a result of an invitation, by its link or its code.
type outcome struct {
	suggestion petname.Suggestion
	device     *NewDevice // nil: of a contact
	err        error      // final
}

// Terms are the properties of a new invitation.
type Terms struct {
	pair.Terms
	Code bool // with a code to speak, which is valid for [pair.CodeLife]
}

// Invite makes an invitation: a link, and a code if the terms ask for one. Both are durable
// when Invite returns.
func (e *Exchange) Invite(ctx context.Context, key crypto.Signer, terms Terms) (Invitation, error) {
	return e.invite(ctx, key, terms, nil)
}

// invite is Invite and InviteDevice; admission is the row of the latter, nil for the former.
func (e *Exchange) invite(ctx context.Context, key crypto.Signer, terms Terms, admission []byte) (Invitation, error) {
	self, err := e.self(ctx, key)
	if err != nil {
		return Invitation{}, err
	}
	self.Device = terms.Device
	if n, err := e.countRows(tableInvitations); err != nil || n >= maxInvitations {
		return Invitation{}, cmp.Or(err, fmt.Errorf("%d invitations are pending already: wait until some have expired", maxInvitations))
	}
	inviter, err := pair.Invite(ctx, self, terms.Terms, e.saveInvitation)
	if err != nil {
		return Invitation{}, err
	}
	invitation := inviter.Invitation()
	id := invitation.ID()
	out := Invitation{ID: hex.EncodeToString(id[:]), Link: invitation, Expires: invitation.Expires}
	if terms.Device {
		if err := e.putRow(tableAdmissions, []byte(out.ID), admission); err != nil {
			return Invitation{}, err
		}
	}
	e.addPending(out.ID, &pendingInvitation{stepper: inviter, inviter: inviter, signer: self.Identity.Pointer, device: terms.Device})
	if _, err := e.stepInvitation(ctx, out.ID); err != nil && pair.Final(err) {
		return Invitation{}, err
	}
	if !terms.Code {
		return out, nil
	}
	for range 3 { // the record of the first code may be occupied
		if out.Code, err = pair.NewCode(nil); err != nil {
			return Invitation{}, err
		}
		if terms.Device {
			out.Code = out.Code.ForDevice()
		}
		codeInviter, err := pair.InviteByCode(self, out.Code, e.markCodeUsed)
		if err != nil {
			return Invitation{}, err
		}
		codeInviter.SaveWith(e.saveCode(tableCodes, codeID(out.ID)))
		e.addPending(codeID(out.ID), &pendingInvitation{stepper: codeInviter, signer: self.Identity.Pointer, device: terms.Device})
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

// codeID returns the key of the code of an invitation.
func codeID(id string) string { return id + "/code" }

// addPending adds an invitation, or its code, that this process then steps.
func (e *Exchange) addPending(id string, p *pendingInvitation) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.invitations[id] = p
	id = strings.TrimSuffix(id, codeID(""))
	if e.outcomes[id] == nil {
		e.outcomes[id] = make(chan outcome, pair.MaxUses+2) // also the errors of link and code
	}
	if len(e.outcomes) <= 2*maxInvitations {
		return
	}
	for old := range e.outcomes { // results that no Wait returned
		if e.invitations[old] == nil && e.invitations[codeID(old)] == nil {
			delete(e.outcomes, old)
		}
	}
}

// addOutcome stores a result of an invitation for Wait, which may be called later. Any caller
// of stepInvitation may have found the result.
func (e *Exchange) addOutcome(id string, o outcome) {
	select {
	case e.outcomesOf(id) <- o:
	default: // no Wait returned the earlier ones
	}
}

// outcomesOf returns the results of an invitation and of its code; nil: no such invitation.
func (e *Exchange) outcomesOf(id string) chan outcome {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.outcomes[strings.TrimSuffix(id, codeID(""))]
}

// pending returns an invitation or a code that this process steps, nil if there is none.
func (e *Exchange) pending(id string) *pendingInvitation {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.invitations[id]
}

// removePending ends the steps of an invitation or a code.
func (e *Exchange) removePending(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.invitations, id)
}

// ErrNoInvitation is returned when no such invitation is pending on this device.
var ErrNoInvitation = errors.New("no such invitation is pending: it was used, or has expired")

// Wait waits until an invitation is accepted, by its link or its code, and returns the
// suggestion of it in the inbox. It returns [ErrNoInvitation] if no such invitation is pending.
func (e *Exchange) Wait(ctx context.Context, id string) (petname.Suggestion, error) {
	o, err := e.wait(ctx, id, func() (bool, error) { return false, nil })
	return o.suggestion, err
}

// wait returns the next result of an invitation. busy does what else belongs to it, and
// reports whether there will be a result after the invitation has ended.
func (e *Exchange) wait(ctx context.Context, id string, busy func() (bool, error)) (outcome, error) {
	tick := time.NewTicker(e.c.PollInterval)
	defer tick.Stop()
	outcomes := e.outcomesOf(id)
	var failed error
	for {
		waiting := false
		for _, id := range []string{id, codeID(id)} {
			_, _ = e.stepInvitation(ctx, id) // results are added to the outcomes
			waiting = waiting || e.pending(id) != nil
		}
		stillBusy, err := busy()
		if failed == nil || err != nil {
			failed = err
		}
		waiting = waiting || stillBusy
		for more := true; more; {
			select {
			case o := <-outcomes:
				if o.err == nil {
					return o, nil
				}
				// The link is valid until it expires, whatever the result of the code.
				failed = o.err
				if !errors.Is(failed, pair.ErrTimeout) && !errors.Is(failed, pair.ErrExpired) {
					return outcome{}, failed
				}
			default:
				more = false
			}
		}
		if !waiting {
			return outcome{}, cmp.Or(failed, ErrNoInvitation)
		}
		select {
		case <-ctx.Done():
			return outcome{}, errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// stepInvitation does one step of an invitation or a code. If it was accepted, the suggestion
// is in the inbox, durably, when stepInvitation returns.
func (e *Exchange) stepInvitation(ctx context.Context, id string) (*petname.Suggestion, error) {
	p := e.pending(id)
	if p == nil {
		return nil, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return nil, p.err
	}
	var event pair.Event
	var err error
	if p.signer == e.c.Book.Identity() {
		event, err = p.stepper.Step(ctx, e.storeFor(nil), e.c.Now())
	} else {
		err = ErrOldInvitation
	}
	if err != nil {
		if isFinal(err) {
			p.err = err
			e.addOutcome(id, outcome{err: err})
			e.removePending(id)
			_ = e.deleteInvitation(id)
		}
		return nil, err
	}
	var s *petname.Suggestion
	switch {
	case p.device && event != (pair.Event{}):
		return nil, e.admitPaired(ctx, id, p, event)
	case event.Paired != nil:
		p.err = ErrNoInvitation
		defer e.removePending(id)
		if s, err = e.suggestPaired(*event.Paired, petname.Paired, ""); err == nil {
			_ = e.deleteInvitation(id) // a state that stays is of a pairing that is known
		}
	case event.Accepted != nil:
		s, err = e.suggestPaired(*event.Accepted, petname.Invited, "")
	}
	switch {
	case s != nil:
		e.addOutcome(id, outcome{suggestion: *s})
	case err != nil && event.Paired != nil: // for example of the disk: the step is not repeated
		e.addOutcome(id, outcome{err: err})
	}
	return s, err
}

// ErrOldInvitation is returned when the owner's key was rotated after an invitation was made.
var ErrOldInvitation = errors.New("an invitation was made with your earlier key, and is void: make a new one")

// isFinal reports whether err ends an invitation.
func isFinal(err error) bool { return pair.Final(err) || errors.Is(err, ErrOldInvitation) }

// saveInvitation stores the state of an invitation, and the party that accepted it if there is
// one, in one transaction: a party that the state reports after a restart is in the inbox.
func (e *Exchange) saveInvitation(_ context.Context, state []byte, accepted *pair.Paired) error {
	invitation, err := pair.InvitationOf(state)
	if err != nil {
		return err
	}
	hash := invitation.ID()
	id := hex.EncodeToString(hash[:])
	var taken []string
	if accepted != nil && invitation.Device {
		var err error
		if taken, err = e.deviceNames(); err != nil {
			return err
		}
	}
	return e.update(func(tx tx) error {
		switch {
		case accepted != nil && invitation.Device:
			if err := tx.addNewcomer(id, *accepted, e.c.Now(), taken); err != nil {
				return err
			}
		case accepted != nil:
			// Suggesting the same party again changes nothing.
			if _, err := tx.suggestPaired(*accepted, petname.Invited, ""); err != nil {
				return err
			}
		}
		return tx.local.Put(tableInvitations, []byte(id), state)
	})
}

// deleteInvitation deletes the stored state of an invitation or of a code.
func (e *Exchange) deleteInvitation(id string) error {
	if strings.HasSuffix(id, codeID("")) {
		return e.deleteRow(tableCodes, []byte(id))
	}
	return e.deleteRow(tableInvitations, []byte(id))
}

// StepInvitations does one step of each pending invitation, and returns the suggestions of those
// that were accepted. With a nil key, invitations that were made before a restart are skipped.
func (e *Exchange) StepInvitations(ctx context.Context, key crypto.Signer) ([]petname.Suggestion, error) {
	if err := e.resumeCodes(ctx, key); err != nil {
		return nil, err
	}
	oldInvitationErr := e.resumeInvitations(ctx, key)
	if oldInvitationErr != nil && !errors.Is(oldInvitationErr, ErrOldInvitation) {
		return nil, oldInvitationErr
	}
	e.mu.Lock()
	var ids []string
	for id := range e.invitations {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	var accepted []petname.Suggestion
	errs := []error{oldInvitationErr, e.serveNewcomers(ctx, key)}
	for _, id := range ids {
		s, err := e.stepInvitation(ctx, id)
		if err != nil && !errors.Is(err, pair.ErrTimeout) && !errors.Is(err, pair.ErrExpired) {
			errs = append(errs, err) // a Wait returns final ones as well
		}
		if s != nil {
			accepted = append(accepted, *s)
		}
	}
	return accepted, errors.Join(errs...)
}

// HasInvitations reports whether an invitation is pending.
func (e *Exchange) HasInvitations() bool {
	e.mu.Lock()
	n := len(e.invitations)
	e.mu.Unlock()
	if n > 0 {
		return true
	}
	links, err := e.countRows(tableInvitations)
	codes, cerr := e.countRows(tableCodes)
	newcomers, nerr := e.countRows(tableNewcomers)
	return err == nil && cerr == nil && nerr == nil && links+codes+newcomers > 0
}

// statesOf returns the rows of a table of invitations or codes, of those that this process does
// not step yet.
func (e *Exchange) statesOf(table string) (map[string][]byte, error) {
	states := make(map[string][]byte)
	err := e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(table, nil) {
			if err != nil {
				return err
			}
			if e.pending(string(row.Key)) == nil {
				states[string(row.Key)] = bytes.Clone(row.Value)
			}
		}
		return nil
	})
	return states, err
}

// resumeInvitations loads the invitations that were made before a restart. It deletes those of
// an earlier key of the owner, and then returns ErrOldInvitation.
func (e *Exchange) resumeInvitations(ctx context.Context, key crypto.Signer) error {
	states, err := e.statesOf(tableInvitations)
	if err != nil || len(states) == 0 || key == nil {
		return err
	}
	self, err := e.self(ctx, key)
	if err != nil {
		return err
	}
	var oldInvitationErr error
	for id, state := range states {
		inviter, err := pair.ResumeInviter(self, state, e.saveInvitation)
		device := errors.Is(err, pair.ErrDevice)
		if device {
			self := self
			self.Device = true
			inviter, err = pair.ResumeInviter(self, state, e.saveInvitation)
		}
		if err != nil { // of the owner's earlier key: it cannot be answered any more
			oldInvitationErr = errors.Join(ErrOldInvitation, e.deleteInvitation(id))
			continue
		}
		e.addPending(id, &pendingInvitation{stepper: inviter, inviter: inviter, signer: self.Identity.Pointer, device: device})
	}
	return oldInvitationErr
}
