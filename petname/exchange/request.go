package exchange

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/request"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// RequestLifetime is the default time until a contact request expires.
	RequestLifetime = 7 * 24 * time.Hour

	// maxRequests bounds the requests that are sent again: each needs new proof of work
	// every two hours.
	maxRequests = 16
)

// Request is a contact request to a recipient that does not have the owner in its book.
type Request struct {
	To         pointer.Pointer
	Suggested  string             // a name for the owner; empty: the owner's nickname
	Note       string             // at most introduce.MaxNote bytes
	Lifetime   time.Duration      // until it expires, at most petname.MaxRequestLifetime; 0: RequestLifetime
	Difficulty request.Difficulty // of the proof of work; 0 Solutions: the number in the recipient's card
	Progress   request.Progress   // receives the progress of the work; may be nil
}

// SentRequest is the result of [Exchange.SendRequest].
type SentRequest struct {
	Introduction introduce.Introduction
	Delivery     Delivery
	Difficulty   request.Difficulty
	Open         bool // the recipient's card states that it fetches requests; otherwise it may never do so
}

// ErrTooManyRequests is returned when a bound of contact requests is reached.
var ErrTooManyRequests = fmt.Errorf("%d contact requests are pending already: wait for an answer, or cancel one", maxRequests)

// wireRequest is a contact request that is sent again, in canonical CBOR.
type wireRequest struct {
	_         struct{} `cbor:",toarray"`
	Statement []byte
	Stamp     []byte
	Epoch     uint64 // of the stamp
	Complete  bool   // the stamp has all solutions
	Sent      bool   // the stamped request is in the mailbox
	Solutions int
	Bits      int
}

// SendRequest sends a contact request, after the proof of work that the recipient demands of
// unknown senders. The work lasts some seconds and stops with the context. A later Sync sends
// the request again, with new work in each epoch of two hours, until the request expires, the
// recipient answers, or [Exchange.CancelRequest].
//
// A recipient that is a contact which has advanced to another pointer receives the request there:
// see To of the Introduction. A request to a pointer that its contact leaves later ends with an
// error of Sync.
//
// SendRequest does not report whether the recipient has read or accepted the request. An error
// beside [Queued] is the reason why it is not sent yet.
func (e *Exchange) SendRequest(ctx context.Context, key crypto.Signer, r Request) (SentRequest, error) {
	fail := func(err error) (SentRequest, error) { return SentRequest{}, err }
	self, err := e.c.Identity(ctx)
	if err != nil {
		return fail(err)
	}
	// Without a sealing key of the recipient the work would be useless.
	if r.To, err = e.currentPointer(ctx, r.To); err != nil {
		return fail(err)
	}
	if _, _, err := e.contactDetails(ctx, r.To); err != nil {
		return fail(err)
	}
	now := e.c.Now()
	signed, err := introduce.Introduction{To: r.To, About: self.Pointer, Next: self.Next, Suggested: cmp.Or(r.Suggested, self.Nickname), Note: r.Note,
		Expires: now.Add(cmp.Or(r.Lifetime, RequestLifetime))}.Sign(key, nil, now)
	if err != nil {
		return fail(err)
	}
	out := SentRequest{Difficulty: r.Difficulty}
	out.Introduction, _ = signed.Introduction()
	if lifetime := out.Introduction.Expires.Sub(now); lifetime > petname.MaxRequestLifetime {
		return fail(fmt.Errorf("contact request with a lifetime of %s: at most %d days", lifetime, petname.MaxRequestLifetime/(24*time.Hour)))
	}
	if n, err := e.countRows(tableRequests); err != nil || n >= maxRequests {
		return fail(cmp.Or(err, ErrTooManyRequests))
	}
	var required int
	if result, err := e.c.Records.Best(ctx, r.To, dht.LevelAny); err == nil {
		card, _ := result.Record.Card()
		required, out.Open = request.RequiredSolutions(card)
	}
	if out.Difficulty.Solutions == 0 {
		out.Difficulty.Solutions = required
	}
	out.Difficulty = out.Difficulty.WithDefaults()
	w := wireRequest{Statement: signed.Bytes(), Solutions: out.Difficulty.Solutions, Bits: out.Difficulty.Bits}
	if err := e.makeStamp(ctx, &w, r.To, r.Progress); err != nil {
		return fail(err)
	}
	if err := e.saveRequest(r.To, w); err != nil {
		return fail(err)
	}
	if err := e.sendStamped(ctx, r.To, w); err != nil {
		out.Delivery = Queued
		return out, err
	}
	out.Delivery = Stored
	return out, nil
}

// makeStamp does the work for the current epoch, until it is complete or the context ends. A
// part of it stays in w.
func (e *Exchange) makeStamp(ctx context.Context, w *wireRequest, to pointer.Pointer, progress request.Progress) (err error) {
	challenge := request.Challenge{To: to, From: e.c.Book.Identity(), Statement: introduce.Hash(w.Statement)}
	now := e.c.Now()
	w.Epoch, w.Sent = request.EpochAt(now), false
	w.Stamp, err = request.ResumeStamp(ctx, w.Stamp, challenge, request.Difficulty{Solutions: w.Solutions, Bits: w.Bits}, now, progress)
	w.Complete = err == nil
	return err
}

// sendStamped puts a stamped request into the recipient's mailbox, and stores that it is sent.
func (e *Exchange) sendStamped(ctx context.Context, to pointer.Pointer, w wireRequest) error {
	sealing, _, err := e.contactDetails(ctx, to)
	if err != nil {
		return err
	}
	receipt, err := request.Send(ctx, e.c.Store, to, sealing, request.Message{Stamp: w.Stamp, Statement: w.Statement}, e.c.Now())
	if receipt.Stored == 0 {
		return cmp.Or(err, dht.ErrUnreachable)
	}
	w.Sent = true
	return e.saveRequest(to, w)
}

// saveRequest stores a contact request, so that a later Sync sends it again.
func (e *Exchange) saveRequest(to pointer.Pointer, w wireRequest) error {
	b, err := canonical.Marshal(w)
	if err != nil {
		return err
	}
	return e.putRow(tableRequests, to.Bytes(), b)
}

// CancelRequest stops sending a contact request, and reports whether there was one. A request
// that is in the mailbox expires within four hours.
func (e *Exchange) CancelRequest(to pointer.Pointer) (existed bool, err error) {
	err = e.update(func(tx tx) error {
		row, err := tx.local.Get(tableRequests, to.Bytes())
		if existed = row != nil; err != nil || !existed {
			return err
		}
		return tx.local.Delete(tableRequests, to.Bytes())
	})
	return existed, err
}

// endAnsweredRequest cancels the contact request to a party that answered.
func (e *Exchange) endAnsweredRequest(by pointer.Pointer) error {
	row, err := e.getRow(tableRequests, by.Bytes())
	if err != nil || row == nil { // usually there is nothing to write
		return err
	}
	_, err = e.CancelRequest(by)
	return err
}

// resendRequests sends the requests that are not in the mailboxes of the current epoch. It does
// the work for one request at most, and leaves the others to the next Sync.
func (e *Exchange) resendRequests(ctx context.Context) error {
	if !e.resendingLock.TryLock() {
		return nil // another Sync does it
	}
	defer e.resendingLock.Unlock()
	type dueRequest struct {
		to pointer.Pointer
		w  wireRequest
	}
	var due []dueRequest
	now := e.c.Now()
	var ended []pointer.Pointer
	err := e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableRequests, nil) {
			if err != nil {
				return err
			}
			to, err := pointer.FromBytes(row.Key)
			if err != nil {
				return fmt.Errorf("contact request: %w", err)
			}
			var w wireRequest
			if err := canonical.UnmarshalLoose(row.Value, &w, canonical.Bounds{}); err != nil {
				return fmt.Errorf("contact request to %s: %w", to, err)
			}
			s, err := introduce.Restore(w.Statement, introduce.KindIntroduction) // the row has a checksum
			i, _ := s.Introduction()
			if err != nil || i.CheckTime(now) != nil || i.By != e.c.Book.Identity() { // or the owner's key was rotated
				ended = append(ended, to)
			} else if !w.Sent || w.Epoch != request.EpochAt(now) {
				due = append(due, dueRequest{to, w})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, to := range ended {
		if _, err := e.CancelRequest(to); err != nil {
			return err
		}
	}
	var errs []error
	workDone := false
	for _, d := range due {
		if !d.w.Complete || d.w.Epoch != request.EpochAt(now) {
			if workDone {
				continue
			}
			workDone = true
			// A later Sync resumes incomplete work.
			err := e.makeStamp(ctx, &d.w, d.to, nil)
			if err = errors.Join(err, e.saveRequest(d.to, d.w)); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		err := e.sendStamped(ctx, d.to, d.w)
		if isMove(err) { // the stamp is one for the earlier key
			_, cancelErr := e.CancelRequest(d.to)
			err = errors.Join(fmt.Errorf("contact request: %w: make a new one", err), cancelErr)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// FetchRequests reads the owner's request mailbox once, and puts the contact requests with
// sufficient proof of work into the inbox. The peers that store the mailbox learn that the
// owner reads it: see package request.
//
// Invalid requests are skipped, since any peer can put any record there. Requests that cannot
// be verified yet, because of the rate of verifications or a stamp of a later epoch, are left
// for a later call.
func (e *Exchange) FetchRequests(ctx context.Context, difficulty request.Difficulty) (Report, error) {
	report := Report{Waiting: make(map[pointer.Pointer]int)}
	keys, err := e.c.Sealing()
	if err != nil {
		return report, err
	}
	now := e.c.Now()
	messages, err := request.Fetch(ctx, e.c.Store, e.c.Book.Identity(), keys, now)
	if err != nil {
		return report, err
	}
	report.Polled++
	for _, m := range messages {
		s, err := introduce.Open(m.Statement, introduce.KindIntroduction)
		i, _ := s.Introduction()
		if err != nil || i.CheckTime(now) != nil {
			continue
		}
		id, isNew, err := e.c.Book.ReceiveContactRequest(s, "doorstep", func(i introduce.Introduction) error {
			challenge := request.Challenge{To: i.To, From: i.By, Statement: introduce.Hash(m.Statement)}
			err := e.verifier.Verify(m.Stamp, challenge, difficulty)
			if errors.Is(err, request.ErrStampUsed) {
				return nil // a stored request is not new again, and one that was not stored is accepted
			}
			return err
		})
		switch {
		case errors.Is(err, request.ErrBusy), errors.Is(err, request.ErrWrongEpoch):
		case err != nil:
			report.refuse(i.By, err)
		case isNew:
			s, err := e.c.Book.Suggestion(id.String())
			if err != nil {
				return report, err
			}
			report.Fresh = append(report.Fresh, s)
		}
	}
	return report, nil
}
