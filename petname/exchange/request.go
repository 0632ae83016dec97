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
	// KnockLife is for how long somebody is knocked for unless something else is
	// said.
	RequestLifetime = 7 * 24 * time.Hour

	// maxKnocks bounds the doors that I knock at at one time: each is work again
	// every two hours.
	maxRequests = 16
)

// Knock is a letter to somebody in whose book I am not: who I am, by my own
// account, and why I write.
type Request struct {
	To         pointer.Pointer
	Suggested  string             // a name for me; empty: my nickname
	Note       string             // at most introduce.MaxNote bytes
	Lifetime   time.Duration      // how long it can be taken up, at most petname.MaxRequestLifetime; 0: KnockLife
	Difficulty request.Difficulty // the work to do; no Solutions: as many as their card asks for
	Progress   request.Progress   // is told how far the work is; nil: nobody is
}

// Knocked is a letter that is on its way.
type SentRequest struct {
	Introduction introduce.Introduction
	Delivery     Delivery
	Difficulty   request.Difficulty
	Open         bool // their card says that they look; else the letter may lie there unseen
}

// ErrKnocks: too many doors to knock at.
var ErrTooManyRequests = fmt.Errorf("knocking at %d doors already: wait until some have answered, or stop", maxRequests)

// wireKnock is a knock that goes on, in canonical CBOR.
type wireRequest struct {
	_         struct{} `cbor:",toarray"`
	Statement []byte
	Stamp     []byte
	Epoch     uint64 // that the stamp is for
	Complete  bool   // the stamp is whole
	Sent      bool   // the stamp's letter is on the doorstep
	Solutions int
	Bits      int
}

// Knock introduces me to somebody who doesn't have me in its book, after doing
// the work that a stranger has to do, which takes some seconds and stops with
// the context. A later Sync knocks again, every two hours and with new work,
// until the letter has expired, an answer came, or [Peer.StopKnocking].
//
// Whether they take the letter, and have read it, isn't known. An error beside
// [Queued] says why it waits.
func (e *Exchange) SendRequest(ctx context.Context, key crypto.Signer, k Request) (SentRequest, error) {
	fail := func(err error) (SentRequest, error) { return SentRequest{}, err }
	me, err := e.c.Identity(ctx)
	if err != nil {
		return fail(err)
	}
	now := e.c.Now()
	signed, err := introduce.Introduction{To: k.To, About: me.Pointer, Next: me.Next, Suggested: cmp.Or(k.Suggested, me.Nickname), Note: k.Note,
		Expires: now.Add(cmp.Or(k.Lifetime, RequestLifetime))}.Sign(key, nil, now)
	if err != nil {
		return fail(err)
	}
	out := SentRequest{Difficulty: k.Difficulty}
	out.Introduction, _ = signed.Introduction()
	if life := out.Introduction.Expires.Sub(now); life > petname.MaxRequestLifetime {
		return fail(fmt.Errorf("knocking for %s: at most %d days", life, petname.MaxRequestLifetime/(24*time.Hour)))
	}
	if n, err := e.countRows(tableRequests); err != nil || n >= maxRequests {
		return fail(cmp.Or(err, ErrTooManyRequests))
	}
	// Work for somebody to whom nothing can be sealed would be in vain.
	if _, _, err := e.contactDetails(ctx, k.To); err != nil {
		return fail(err)
	}
	var asked int
	if r, err := e.c.Records.Best(ctx, k.To, dht.LevelAny); err == nil {
		card, _ := r.Record.Card()
		asked, out.Open = request.RequiredSolutions(card)
	}
	if out.Difficulty.Solutions == 0 {
		out.Difficulty.Solutions = asked
	}
	out.Difficulty = out.Difficulty.WithDefaults()
	w := wireRequest{Statement: signed.Bytes(), Solutions: out.Difficulty.Solutions, Bits: out.Difficulty.Bits}
	if err := e.makeStamp(ctx, &w, k.To, k.Progress); err != nil {
		return fail(err)
	}
	if err := e.saveRequest(k.To, w); err != nil {
		return fail(err)
	}
	if err := e.sendStamped(ctx, k.To, w); err != nil {
		out.Delivery = Queued
		return out, err
	}
	out.Delivery = Stored
	return out, nil
}

// stamp does the work for the seed of now, as far as the context lets it.
func (e *Exchange) makeStamp(ctx context.Context, w *wireRequest, to pointer.Pointer, progress request.Progress) (err error) {
	on := request.Challenge{To: to, From: e.c.Book.Identity(), Statement: introduce.Hash(w.Statement)}
	now := e.c.Now()
	w.Epoch, w.Sent = request.EpochAt(now), false
	w.Stamp, err = request.ResumeStamp(ctx, w.Stamp, on, request.Difficulty{Solutions: w.Solutions, Bits: w.Bits}, now, progress)
	w.Complete = err == nil
	return err
}

// leave puts a stamped letter onto a doorstep, and keeps that it is there.
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

func (e *Exchange) saveRequest(to pointer.Pointer, w wireRequest) error {
	b, err := canonical.Marshal(w)
	if err != nil {
		return err
	}
	return e.putRow(tableRequests, to.Bytes(), b)
}

// StopKnocking ends knocking at somebody's door, and reports whether I did. What
// lies there goes within four hours.
func (e *Exchange) CancelRequest(to pointer.Pointer) (was bool, err error) {
	err = e.update(func(tx tx) error {
		row, err := tx.local.Get(tableRequests, to.Bytes())
		if was = row != nil; err != nil || !was {
			return err
		}
		return tx.local.Delete(tableRequests, to.Bytes())
	})
	return was, err
}

// answered ends knocking at the door of somebody who wrote.
func (e *Exchange) endAnsweredRequest(by pointer.Pointer) error {
	row, err := e.getRow(tableRequests, by.Bytes())
	if err != nil || row == nil { // most often, and then there is nothing to write
		return err
	}
	_, err = e.CancelRequest(by)
	return err
}

// knockAgain leaves anew what isn't on the doorsteps of this seed. It does the
// work for one letter at most: there is another Sync.
func (e *Exchange) resendRequests(ctx context.Context) error {
	if !e.resending.TryLock() {
		return nil // another Sync is at it
	}
	defer e.resending.Unlock()
	type knock struct {
		to pointer.Pointer
		w  wireRequest
	}
	var due []knock
	now := e.c.Now()
	var over []pointer.Pointer
	err := e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableRequests, nil) {
			if err != nil {
				return err
			}
			to, err := pointer.FromBytes(row.Key)
			if err != nil {
				return fmt.Errorf("knocking: %w", err)
			}
			var w wireRequest
			if err := canonical.UnmarshalLoose(row.Value, &w, canonical.Bounds{}); err != nil {
				return fmt.Errorf("knocking at %s: %w", to, err)
			}
			s, err := introduce.Restore(w.Statement, introduce.KindIntroduction) // the row has a checksum
			i, _ := s.Introduction()
			if err != nil || i.CheckTime(now) != nil || i.By != e.c.Book.Identity() { // expired; or the owner's key has been rotated since
				over = append(over, to)
			} else if !w.Sent || w.Epoch != request.EpochAt(now) {
				due = append(due, knock{to, w})
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, to := range over {
		if _, err := e.CancelRequest(to); err != nil {
			return err
		}
	}
	var errs []error
	worked := false
	for _, k := range due {
		if !k.w.Complete || k.w.Epoch != request.EpochAt(now) {
			if worked {
				continue
			}
			worked = true
			// What there was no time for is gone on with another time.
			err := e.makeStamp(ctx, &k.w, k.to, nil)
			if err = errors.Join(err, e.saveRequest(k.to, k.w)); err != nil {
				return errors.Join(append(errs, err)...)
			}
		}
		if err := e.sendStamped(ctx, k.to, k.w); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Doorstep looks at my doorstep, and puts into the inbox who left a letter there
// and paid the price. Whoever is asked for it can tell whose it is: it is for
// those alone who want to hear of strangers.
//
// What doesn't verify is passed over: anybody can leave anything there. What
// there is no time to check is looked at another time.
func (e *Exchange) FetchRequests(ctx context.Context, price request.Difficulty) (Report, error) {
	report := Report{Waiting: make(map[pointer.Pointer]int)}
	keys, err := e.c.Sealing()
	if err != nil {
		return report, err
	}
	now := e.c.Now()
	letters, err := request.Fetch(ctx, e.c.Store, e.c.Book.Identity(), keys, now)
	if err != nil {
		return report, err
	}
	report.Polled++
	for _, l := range letters {
		s, err := introduce.Open(l.Statement, introduce.KindIntroduction)
		i, _ := s.Introduction()
		if err != nil || i.CheckTime(now) != nil {
			continue
		}
		id, fresh, err := e.c.Book.ReceiveContactRequest(s, "doorstep", func(i introduce.Introduction) error {
			on := request.Challenge{To: i.To, From: i.By, Statement: introduce.Hash(l.Statement)}
			err := e.verifier.Verify(l.Stamp, on, price)
			if errors.Is(err, request.ErrStampUsed) {
				return nil // the book remembers what it took in, and for longer
			}
			return err
		})
		switch {
		case errors.Is(err, request.ErrBusy), errors.Is(err, request.ErrWrongEpoch):
		case err != nil:
			report.Refused = append(report.Refused, Refusal{i.By, err})
		case fresh:
			s, err := e.c.Book.Suggestion(id.String())
			if err != nil {
				return report, err
			}
			report.Fresh = append(report.Fresh, s)
		}
	}
	return report, nil
}
