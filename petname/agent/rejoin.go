package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// Rejoined is what a home that joined again as a new device did. It is a plain value.
type Rejoined struct {
	Entered   int                       // acts of the old device that are in the book by the new one
	Conflicts []petname.ReentryConflict // acts that were left out
	Messages  int                       // to contacts, not acknowledged, that are sent again
	Unsent    []exchange.Uncarried      // what is not continued
	OldBook   string                    // path of the old book
	Device    ledger.DeviceID           // the old device; zero: an older version of the program joined

	// Remains is the last entry of the old device that counts, for [Agent.RemoveDeviceAfter]; number
	// 0: the device was removed, or is not known. Another copy of the home may use it.
	Remains ledger.Head `json:"-"`
}

// tableRejoined is a device-local table: sha2-256 of the invitation that this device joined
// by → Rejoined as JSON, null for a new home.
const tableRejoined = "rejoined"

// rejoin is JoinBook for an existing home.
func rejoin(ctx context.Context, h home.Home, j DeviceJoin, o Options) (*Agent, JoinedBook, error) {
	fail := func(err error) (*Agent, JoinedBook, error) { return nil, JoinedBook{}, err }
	o.Create = nil
	book, err := h.Book(petname.Options{Wait: o.Wait, Now: o.Now})
	if errors.Is(err, ledger.ErrInUse) {
		err = fmt.Errorf("%w; if it is to join again, end the process that has it open: %w", fmt.Errorf("%w at %q", home.ErrExists, h.Dir), err)
	}
	if err != nil {
		return fail(err)
	}
	open := true
	closeBook := func() error {
		if !open {
			return nil
		}
		open = false
		return book.Close()
	}
	r, done, err := readJoined(book, j.Invitation)
	_, counts, oerr := book.Ledger().Own()
	if err = cmp.Or(err, oerr); err == nil && !(done && counts) {
		r, err = rejoinOpen(ctx, h, book, j, o, closeBook)
	}
	if err = errors.Join(err, closeBook()); err != nil {
		return fail(err)
	}
	return rejoined(ctx, h, r, o)
}

// rejoined opens the home that has joined; r is nil unless it has joined again.
func rejoined(ctx context.Context, h home.Home, r *Rejoined, o Options) (*Agent, JoinedBook, error) {
	a, err := Open(ctx, h.Dir, o)
	if err != nil {
		return nil, JoinedBook{}, err
	}
	out := JoinedBook{Device: a.book.Ledger().Device(), Again: r}
	id, err := a.identity()
	if err == nil {
		out.Pointer, out.WithKey = id.Pointer, !id.KeyElsewhere
		out.Names, err = a.book.Count()
	}
	if r != nil && err == nil {
		r.Remains, err = a.remains(r.Device)
	}
	return a, out, err
}

// remains returns the last entry of a device that counts; number 0: the device was removed, or has
// none.
func (a *Agent) remains(id ledger.DeviceID) (last ledger.Head, err error) {
	d, err := a.device(id)
	if err != nil || d.Removed {
		return ledger.Head{}, nil
	}
	all, err := a.book.Ledger().Branches(id)
	for _, b := range all {
		if b.Counts() {
			last = b.Head
		}
	}
	return last, err
}

// rejoinOpen joins the book again, with the old one open.
func rejoinOpen(ctx context.Context, h home.Home, book *petname.Book, j DeviceJoin, o Options, closeBook func() error) (*Rejoined, error) {
	fail := func(err error) (*Rejoined, error) { return nil, err }
	exists := fmt.Errorf("%w at %q", home.ErrExists, h.Dir)
	_, counts, err := book.Ledger().Own()
	if err != nil || counts && !j.Again {
		return fail(cmp.Or(err, exists))
	}
	id, err := h.Identity()
	if err != nil {
		return fail(err)
	}
	now := time.Now().Round(0)
	if o.Now != nil {
		now = o.Now()
	}
	// Whether another inviter has a later key of this identity is known when it answers.
	if t, err := pair.ParseTicket(j.Invitation, now); err == nil && precedes(id, t.Inviter, book.Ledger().Identity()) {
		return fail(exists) // a book that was made after a recovery has no device with an earlier key
	}
	if err := ownDeviceCode(book, j.Invitation, now); err != nil {
		return fail(err)
	}
	if err := j.complete(now); err != nil {
		return fail(err)
	}
	if _, err := (&state{transport: o.Transport}).parseJoin(j.Networks); err != nil {
		return fail(err)
	}
	a, err := openProvisional(ctx, h.BeginRejoin, h.GiveUpRejoin, j, o)
	if err != nil {
		return fail(err)
	}
	paired := false
	handed, err := a.rejoinBook(ctx, h, book, id, j, &paired, exists)
	if errors.Is(err, home.ErrExists) || errors.Is(err, petname.ErrDeviceRemoved) || errors.As(err, new(*KeyHereError)) {
		paired = false
	}
	if err = errors.Join(err, a.Close()); err != nil {
		if !paired && ctx.Err() == nil { // nothing that continues
			err = errors.Join(err, h.GiveUpRejoin())
		}
		return fail(err)
	}
	out, err := enterAnew(h, book, handed, j, o, now)
	if err != nil {
		return fail(err)
	}
	return out, h.CommitRejoin(out.OldBook, closeBook)
}

// ownDeviceCode returns [pair.ErrSelf] for a code that this home made: while the home joins,
// nothing answers it.
func ownDeviceCode(book *petname.Book, text string, now time.Time) error {
	code, err := pair.ParseCode(text)
	if err != nil {
		return nil
	}
	return book.Ledger().ReadLocal(func(local *ledger.View) error {
		own, err := exchange.OwnsCode(local, code.ForDevice(), now)
		if err == nil && own {
			err = pair.ErrSelf
		}
		return err
	})
}

// precedes reports whether the owner had the key of p before the one that created the book.
func precedes(id home.Identity, p, created pointer.Pointer) bool {
	for _, s := range id.Succession {
		if s.Old == p || s.Old == created {
			return s.Old == p && p != created
		}
	}
	return false
}

// rejoinBook pairs, and merges what the inviter hands over into the old home: its keys and its
// book, which admits the new device. Nothing in the home is replaced that it does not have.
func (a *Agent) rejoinBook(ctx context.Context, h home.Home, book *petname.Book, id home.Identity, j DeviceJoin, paired *bool, exists error) (exchange.Handover, error) {
	inviter, handed, entries, err := a.receiveBook(ctx, j, paired)
	if err != nil {
		return handed, err
	}
	theirs, err := home.ParseHandover(handed.Identity)
	if err != nil {
		return handed, err
	}
	if theirs.Pointer != inviter {
		return handed, fmt.Errorf("the device of %s handed over the identity of %s", inviter, theirs.Pointer)
	}
	if handed.Creator != book.Ledger().Identity() {
		return handed, exists
	}
	device, _ := a.Pointer().Ed25519()
	if theirs.Pointer == id.Pointer && theirs.KeyElsewhere && !id.KeyElsewhere {
		return handed, &KeyHereError{ledger.DeviceID(device)}
	}
	switch _, _, err := h.AdoptInvited(handed.Identity); {
	case errors.Is(err, home.ErrNoSuccessor) && id.Created(theirs.Pointer): // a thief may have that key
		return handed, errEarlierKey
	case errors.Is(err, home.ErrNoSuccessor):
		if theirs.First() == id.First() {
			exists = ErrDiverged
		}
		return handed, fmt.Errorf("%w; the other device has admitted this one as %s: remove it there", exists, ledger.DeviceID(device))
	case err != nil:
		return handed, err
	}
	if _, err := h.MergeSealing(handed.Sealing, a.now()); err != nil {
		return handed, err
	}
	_, waiting, err := book.Ledger().MergePart(entries)
	if err != nil && !errors.Is(err, ledger.ErrFork) && !errors.Is(err, ledger.ErrRefused) {
		return handed, err
	}
	if len(waiting) > 0 {
		return handed, errors.New("the book that the other device handed over is incomplete")
	}
	return handed, nil
}

// KeyHereError is returned when a home that has the identity key joins again by an invitation
// without the key: the other devices would take it for one without the key. Nothing in the home has
// changed.
type KeyHereError struct {
	Device ledger.DeviceID // as which the other device has admitted this one: to be removed there
}

func (e *KeyHereError) Error() string {
	return fmt.Sprintf("this home has the identity key, and the invitation is for a device without it; the other device has admitted this one as %s: remove it there", e.Device)
}

// errEarlierKey is returned for an invitation that an earlier key of this home made.
var errEarlierKey = errors.New("the other device has an earlier key of yours: exchange with it first, or use another one")

// enterAnew makes the new book of the old one, and enters into it what does not count.
func enterAnew(h home.Home, old *petname.Book, handed exchange.Handover, j DeviceJoin, o Options, now time.Time) (*Rejoined, error) {
	own, _, err := old.Ledger().Own()
	if err != nil {
		return nil, err
	}
	book, err := h.NewBook(old, petname.Options{Now: o.Now})
	if err != nil {
		return nil, err
	}
	out := &Rejoined{Device: old.Ledger().Device()}
	err = func() error {
		chain := old.Ledger().Chain(own.Head, own.Counted)
		if own.Head.Number == 0 { // the old device has written nothing
			chain = func(func(ledger.EntryBody, error) bool) {}
		}
		acts, err := book.Reenter(old, chain, own.Counted, j.Decide)
		if err != nil {
			return err
		}
		carried, err := exchange.Carry(old.Ledger(), book, now)
		if err != nil {
			return err
		}
		id, err := h.Identity()
		if err == nil {
			err = book.StateOwnKey(!id.KeyElsewhere)
		}
		if err != nil {
			return err
		}
		if out.OldBook, err = h.OldBook(); err != nil {
			return err
		}
		lost, err := lostStatements(old, own.Head.Device, book)
		if err != nil {
			return err
		}
		devices, err := book.Devices()
		if err != nil {
			return err
		}
		entered := UncountedBranch{Head: own.Head, Counted: own.Counted}
		if entered.Restored, err = restored(book.Ledger(), devices, own.Head.Device, own.Counted); err != nil {
			return err // lost names them
		}
		out.Entered, out.Conflicts = acts.Entered, append(acts.Conflicts, lost...)
		out.Messages, out.Unsent = carried.Messages, carried.Unsent
		return book.Update(func(_ *petname.Book, local *ledger.View) error {
			if err := putDeviceAddresses(local, handed.Inviter, handed.Addresses); err != nil {
				return err
			}
			if err := putEntered(local, entered, now); err != nil {
				return err
			}
			return putJoined(local, j.Invitation, out)
		})
	}()
	return out, errors.Join(err, book.Close())
}

// lostStatements returns what the old device of a home stated of other devices and does not count:
// the removals of devices that count again, and the admissions of devices of which no admission
// counts. Only the owner can repeat the former, with the identity key. The home of a device that is
// not admitted joins again.
func lostStatements(old *petname.Book, device ledger.DeviceID, book *petname.Book) (all []petname.ReentryConflict, err error) {
	statements, err := old.Ledger().Statements()
	if err != nil {
		return nil, err
	}
	add := func(kind ledger.Kind, op string, d ledger.DeviceID, name string) {
		i := slices.IndexFunc(statements, func(s ledger.Statement) bool {
			return s.Kind == kind && s.At.Device == device && s.Device == d
		})
		if i >= 0 {
			all = append(all, petname.ReentryConflict{Op: op, At: statements[i].Time, Mine: name, Reason: petname.ReentryChanged})
		}
	}
	devices, err := book.Devices()
	for _, d := range devices {
		if !d.Removed && !d.This && d.ID != device {
			add(ledger.KindRemove, petname.OpRetire, d.ID, d.Name)
		}
	}
	for _, d := range book.Ledger().Unadmitted() {
		add(ledger.KindAdmit, petname.OpAdmit, d.ID, d.Name)
	}
	return all, err
}

// putJoined records that this device joined by an invitation; r is nil for a new home.
func putJoined(local *ledger.View, invitation string, r *Rejoined) error {
	row, err := json.Marshal(r)
	if err != nil {
		return err
	}
	key := sha256.Sum256([]byte(invitation))
	return local.Put(tableRejoined, key[:], row)
}

// readJoined reports whether this device joined by an invitation, and returns what a home that
// joined again did; nil: it is a new home.
func readJoined(book *petname.Book, invitation string) (r *Rejoined, done bool, err error) {
	key := sha256.Sum256([]byte(invitation))
	err = book.Ledger().ReadLocal(func(local *ledger.View) error {
		row, err := local.Get(tableRejoined, key[:])
		if err != nil || row == nil {
			return err
		}
		done = true
		return json.Unmarshal(row, &r)
	})
	return r, done, err
}

// Branch is one branch of a device that has forked. It is a plain value.
type Branch struct {
	ledger.Branch
	Acts []petname.Event // its last ones that no other branch has, oldest first
	More int             // acts before these

	// What [Agent.RemoveDeviceAfter] with Head changes for other devices.
	Effect petname.RemovalEffect
}

// BranchError is returned by [Agent.RemoveDevice] for a device that has forked: which branch is
// the owner's, only the owner knows.
type BranchError struct {
	Device   Device
	Branches []Branch
	Shared   ledger.Head // the last entry that all branches have; number 0: none

	// What [Agent.RemoveDeviceAfter] with Shared changes for other devices.
	Effect petname.RemovalEffect
}

func (e *BranchError) Error() string {
	return fmt.Sprintf("two copies have written as device %q: which entry of it is the last one that is to count?", e.Device.Name)
}

// maxBranchActs bounds the acts of a Branch.
const maxBranchActs = 5

// branches returns the branches of a device, the one that counts first.
func (a *Agent) branches(d Device) (*BranchError, error) {
	found, err := a.book.Ledger().Branches(d.ID)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	all := []Branch{}
	shared := ledger.Head{Device: d.ID, Number: found[0].Shared}
	for _, b := range found {
		shared.Number = min(shared.Number, b.Shared)
		out := Branch{Branch: b}
		for event, err := range a.book.ChainLog(b.Head, b.Shared) {
			if err != nil {
				return nil, err
			}
			if out.Acts = append(out.Acts, event); len(out.Acts) > maxBranchActs {
				out.Acts, out.More = out.Acts[1:], out.More+1
			}
		}
		if out.Effect, err = a.book.EffectOfRemoval(b.Head); err != nil {
			return nil, err
		}
		all = append(all, out)
	}
	slices.SortStableFunc(all, func(a, b Branch) int { return cmp.Compare(b.Counted, a.Counted) })
	if shared.Number > 0 {
		for e, err := range a.book.Ledger().Chain(found[0].Head, shared.Number-1) {
			if err != nil {
				return nil, err
			}
			shared.Hash = e.Hash()
			break
		}
	}
	effect, err := a.book.EffectOfRemoval(shared)
	return &BranchError{Device: d, Branches: all, Shared: shared, Effect: effect}, err
}
