package exchange

import (
	"cmp"
	"context"
	"crypto"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/pair"
)

// A pairing by code that was broken off is continued: that of an inviter by the steps of
// later processes, and that of an invitee when the owner enters the code again. The states
// contain secrets, as those of links do.

// codeStateLife is how long a state is of use: as long as messages of the other side can be
// in the network.
const codeStateLife = 24 * time.Hour

// saveCode returns a function that stores the state of a side in a row.
func (e *Exchange) saveCode(table, key string) pair.SaveCode {
	return func(_ context.Context, state []byte) error {
		return e.update(func(tx tx) error {
			now := e.c.Now()
			if err := deleteOldCodes(tx.local, table, now); err != nil {
				return err
			}
			until := binary.BigEndian.AppendUint64(nil, uint64(max(now.Add(codeStateLife).UnixMilli(), 0)))
			return tx.local.Put(table, []byte(key), append(until, state...))
		})
	}
}

// codeState returns the state in the value of a row; nil if it is of no use any more.
func codeState(value []byte, now time.Time) []byte {
	if len(value) < 8 {
		return nil
	}
	left := time.UnixMilli(int64(binary.BigEndian.Uint64(value))).Sub(now)
	if left <= 0 || left > codeStateLife+time.Minute { // the clock was set back since
		return nil
	}
	return value[8:]
}

func deleteOldCodes(local *ledger.View, table string, now time.Time) error {
	for row, err := range local.Scan(table, nil) {
		if err != nil {
			return err
		}
		if codeState(row.Value, now) != nil {
			continue
		}
		if err := local.Delete(table, row.Key); err != nil {
			return err
		}
	}
	return nil
}

// OwnsCode reports whether a code has the number and the first word of one that the owner made
// and that is stored in the tables of a book: then it is this code, or a mistyped form of it.
func OwnsCode(local *ledger.View, code pair.Code, now time.Time) (bool, error) {
	for row, err := range local.Scan(tableCodes, nil) {
		if err != nil {
			return false, err
		}
		if own, err := pair.CodeOf(codeState(row.Value, now)); err == nil && own.String() == code.String() {
			return true, nil
		}
	}
	return false, nil
}

// acceptCode returns the side of the invitee for a code: the one that was broken off, if the
// owner entered the same code before. It fails with [pair.ErrSelf] for a code of the owner's
// own, to which an acceptance would be the one guess of an attacker, and with [ErrPaired] for
// one by which the owner has paired.
func (e *Exchange) acceptCode(self pair.Self, code pair.Code) (*pair.CodeInvitee, error) {
	own := false
	err := e.view(func(local *ledger.View) (err error) {
		own, err = OwnsCode(local, code, e.c.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	if own {
		return nil, pair.ErrSelf
	}
	if done, err := e.getRow(tableUsedCodes, pairedKey(code.String())); err != nil || done != nil && isUsed(done, e.c.Now()) {
		return nil, cmp.Or(err, ErrPaired)
	}
	row, err := e.getRow(tableAcceptedCodes, []byte(code.String()))
	if err != nil {
		return nil, err
	}
	invitee, err := pair.ResumeAcceptCode(self, codeState(row, e.c.Now()), code, e.markCodeUsed)
	if err != nil { // another code with the same public half, or none: the mark of a used code decides
		if invitee, err = pair.AcceptCode(self, code, e.markCodeUsed); err != nil {
			return nil, err
		}
	}
	invitee.SaveWith(e.saveCode(tableAcceptedCodes, code.String()))
	return invitee, nil
}

// resumeCodes loads the codes of invitations that were made before a restart, and deletes
// those of an earlier key of the owner.
func (e *Exchange) resumeCodes(ctx context.Context, key crypto.Signer) error {
	states, err := e.statesOf(tableCodes)
	if err != nil || len(states) == 0 || key == nil {
		return err
	}
	self, err := e.self(ctx, key)
	if err != nil {
		return err
	}
	for id, row := range states {
		inviter, err := pair.ResumeInviteByCode(self, codeState(row, e.c.Now()), e.markCodeUsed)
		device := errors.Is(err, pair.ErrDevice)
		if device {
			self := self
			self.Device = true
			inviter, err = pair.ResumeInviteByCode(self, codeState(row, e.c.Now()), e.markCodeUsed)
		}
		if err != nil {
			if err := e.deleteRow(tableCodes, []byte(id)); err != nil {
				return err
			}
			continue
		}
		inviter.SaveWith(e.saveCode(tableCodes, id))
		e.addPending(id, &pendingInvitation{stepper: inviter, signer: self.Identity.Pointer, device: device})
	}
	return nil
}

// besideOwnCodes is a side of a pairing that also steps the owner's own codes: of two
// persons that both made a code, each can enter that of the other. In a step the own codes
// come after the side. So when the side of one person ends, its codes have answered what the
// other person sent before.
type besideOwnCodes struct {
	pair.Stepper
	exchange *Exchange
}

// Step implements [pair.Stepper].
func (b besideOwnCodes) Step(ctx context.Context, store dht.Store, now time.Time) (pair.Event, error) {
	event, err := b.Stepper.Step(ctx, store, now)
	for _, id := range b.exchange.pendingCodes() {
		_, _ = b.exchange.stepInvitation(ctx, id) // results are in the inbox
	}
	return event, err
}

// pendingCodes returns the ids of the codes that this process steps.
func (e *Exchange) pendingCodes() (ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id := range e.invitations {
		if strings.HasSuffix(id, codeID("")) {
			ids = append(ids, id)
		}
	}
	return ids
}
