package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// DeviceJoin is how a device joins the book of its owner.
type DeviceJoin struct {
	Invitation string   // the code or the link of [Agent.InviteDevice]
	Networks   []string // to join: see [Agent.Join]; none: those in the link
	Name       string   // what the device calls itself; empty: the name of the machine

	Progress func(paired bool, bytes int64) // called while it waits; may be nil

	// Again makes a home of the owner join again also if its book does not show that it has to: a
	// device that was removed is sent nothing any more.
	Again bool

	// Decide returns whether an act of a home that joins again is entered although it conflicts
	// with the book; nil: it is not. See [JoinBook].
	Decide func(petname.ReentryConflict) (mine bool, err error)
}

// complete sets the networks of a link, if none are named.
func (j *DeviceJoin) complete(now time.Time) error {
	if len(j.Networks) == 0 {
		ticket, err := pair.ParseTicket(j.Invitation, now)
		switch {
		case err != nil:
			if _, cerr := pair.ParseCode(j.Invitation); cerr == nil {
				return ErrNoNetworks
			}
			return fmt.Errorf("%w: %w", ErrMalformed, err)
		case !ticket.Device:
			return pair.ErrNoDevice
		case ticket.Invitation != nil:
			j.Networks = ticket.Invitation.Networks
		}
		if len(j.Networks) == 0 {
			j.Networks = addressTexts(ticket.Addresses)
		}
		if len(j.Networks) == 0 {
			return ErrNoNetworks
		}
	}
	return nil
}

// JoinedBook is a book that a device has joined. It is a plain value.
type JoinedBook struct {
	Pointer pointer.Pointer // of the owner
	Device  ledger.DeviceID
	WithKey bool      // the device has the identity key
	Names   int       // in the book
	Again   *Rejoined // of a home that has joined again as a new device; nil: it is a new home
}

// ErrNoNetworks is returned by [JoinBook] when nothing says which network the other device
// uses.
var ErrNoNetworks = errors.New("the code does not say which network the other device uses")

// JoinBook makes a home in dir for a device that joins the book of its owner: see
// [Agent.InviteDevice]. It waits until it has received the book, and returns the agent of the
// new home, for the caller to close. An interrupted call is continued by the next one with the
// same invitation; one with another invitation begins again, with a new device key. After any
// other error nothing is left in dir.
//
// In the folder of a home of the same owner whose device has forked, or was removed from the
// book, it makes a new device key for that home, takes over the book, and enters the acts of
// the home that do not count anew: see [petname.Book.Reenter]. The old book stays beside the
// new one. Interrupted at any moment the home is the old one or the new one, and the same
// call continues; when it was done, it returns the same result. In any other home it fails
// with [home.ErrExists]. By an invitation without the identity key, a home that has the key fails
// with a [*KeyHereError].
//
// It fails with the errors of [home.BeginJoin], [Agent.Join] and [Agent.Pair], with
// [ErrNoNetworks], with [pair.ErrNoDevice] for an invitation of contacts, and with
// [pair.ErrSelf] for a code that the home in dir made. It fails with
// [petname.ErrDeviceRemoved] if the device was removed before it had the book, and with
// [exchange.ErrHandoverTimeout] if nothing of the book arrives any more. If something contradicts
// the clock of this machine, the error is a [*WrongClockError].
func JoinBook(ctx context.Context, dir string, j DeviceJoin, o Options) (*Agent, JoinedBook, error) {
	fail := func(err error) (*Agent, JoinedBook, error) { return nil, JoinedBook{}, err }
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	now := time.Now().Round(0)
	if o.Now != nil {
		now = o.Now().Round(0)
	}
	if h, err := home.Open(dir); err == nil {
		return rejoin(ctx, h, j, o)
	}
	if err := j.complete(now); err != nil {
		return fail(err)
	}
	if _, err := (&state{transport: o.Transport}).parseJoin(j.Networks); err != nil {
		return fail(err)
	}
	o.Create = nil
	begin := func() (home.Home, error) { return home.BeginJoin(dir) }
	a, err := openProvisional(ctx, begin, func() error { return home.GiveUpJoin(dir) }, j, o)
	if err != nil {
		return fail(err)
	}
	paired := false
	joined, err := a.joinBook(ctx, dir, j, &paired)
	if err = errors.Join(err, a.Close()); err != nil {
		if (!paired || errors.Is(err, petname.ErrDeviceRemoved)) && ctx.Err() == nil { // nothing that continues
			err = errors.Join(err, home.GiveUpJoin(dir))
		}
		return fail(err)
	}
	if a, err = Open(ctx, dir, o); err != nil {
		return fail(err)
	}
	joined.Names, err = a.book.Count()
	return a, joined, err
}

// openProvisional opens the provisional home of a device that joins. One that has paired by
// another invitation is replaced, and its device key with it: that device may have been removed
// since, and the parts of the book that it received are not continued.
func openProvisional(ctx context.Context, begin func() (home.Home, error), giveUp func() error, j DeviceJoin, o Options) (*Agent, error) {
	for {
		provisional, err := begin()
		if err != nil {
			return nil, err
		}
		a, err := Open(ctx, provisional.Dir, o)
		if err != nil {
			return nil, err
		}
		ex, err := a.exchange()
		other := false
		if err == nil {
			other, err = ex.JoinsByOther(j.Invitation)
		}
		if err == nil && !other {
			return a, nil
		}
		if err = errors.Join(err, a.Close()); err == nil {
			err = giveUp()
		}
		if err != nil {
			return nil, err
		}
	}
}

// joinBook pairs, receives the book, and makes the home in dir. The agent is that of the
// provisional home.
func (a *Agent) joinBook(ctx context.Context, dir string, j DeviceJoin, paired *bool) (JoinedBook, error) {
	inviter, handed, entries, err := a.receiveBook(ctx, j, paired)
	if err != nil {
		return JoinedBook{}, err
	}
	id, err := home.ParseHandover(handed.Identity)
	if err != nil {
		return JoinedBook{}, err
	}
	if id.Pointer != inviter {
		return JoinedBook{}, fmt.Errorf("the device of %s handed over the identity of %s", inviter, id.Pointer)
	}
	config, err := a.home.Config()
	if err != nil {
		return JoinedBook{}, err
	}
	in := home.Handed{Identity: handed.Identity, Sealing: handed.Sealing, Creator: handed.Creator, Config: config, Entries: entries}
	in.Complete = func(book *petname.Book) error {
		return book.Update(func(_ *petname.Book, local *ledger.View) error {
			if err := assumeInviter(book, local, handed); err != nil {
				return err
			}
			return putJoined(local, j.Invitation, nil)
		})
	}
	for i, b := range handed.Former {
		if i < len(id.Succession) {
			r, _, err := pointer.OpenExpired(id.Succession[i].Old, b, a.now())
			if err == nil && id.IsLast(r) {
				in.Former = append(in.Former, r)
			}
		}
	}
	if _, err := home.FinishJoin(dir, in); err != nil {
		return JoinedBook{}, err
	}
	device, _ := a.Pointer().Ed25519()
	return JoinedBook{Pointer: id.Pointer, Device: ledger.DeviceID(device), WithKey: !id.KeyElsewhere}, nil
}

// assumeInviter stores the addresses of the device that handed the book over, and that it has
// what it handed over, so that the first sync sends what is written here.
func assumeInviter(book *petname.Book, local *ledger.View, h exchange.Handover) error {
	if err := putDeviceAddresses(local, h.Inviter, h.Addresses); err != nil {
		return err
	}
	own := func(head ledger.Head) bool { return head.Device == book.Ledger().Device() }
	return exchange.AssumeDevice(local, h.Inviter, slices.DeleteFunc(book.Ledger().Heads(), own))
}

// fetchBook fetches the entries of a book over a stream, from the device that handed it over,
// into a file of the provisional home. What an interrupted call wrote to the file stays.
func (a *Agent) fetchBook(ctx context.Context, h exchange.Handover) (iter.Seq[[]byte], error) {
	if len(h.Addresses) == 0 || a.transport == nil {
		return nil, dht.ErrUnreachable
	}
	key, err := a.home.DeviceKey()
	if err != nil {
		return nil, err
	}
	node, err := a.network(ctx)
	if err != nil {
		return nil, err
	}
	name := filepath.Join(a.home.Dir, "entries")
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	for {
		conn, err := node.OpenStream(ctx, h.Addresses, syncProtocol, false)
		if err != nil {
			return nil, err
		}
		one, cancel := context.WithTimeout(ctx, deviceSyncTime)
		r, err := replicate.Fetch(one, h.Book, key, conn, h.Inviter, file, replicate.Options{})
		cancel()
		if err != nil {
			return nil, err
		}
		if !r.More {
			break
		}
		if r.Received == 0 {
			return nil, errors.New("the other device has more of the book, and sends nothing")
		}
	}
	if err := file.Sync(); err != nil {
		return nil, err
	}
	return func(yield func([]byte) bool) {
		f, err := os.Open(name)
		if err != nil {
			return // the ledger refuses a book without entries
		}
		defer f.Close()
		for b, err := range replicate.Read(bufio.NewReader(f)) {
			if err != nil || !yield(b) {
				return
			}
		}
	}, nil
}

// receiveBook pairs with the device that made an invitation, and returns the pointer of its
// owner and what it hands over. The agent is that of the provisional home.
func (a *Agent) receiveBook(ctx context.Context, j DeviceJoin, paired *bool) (pointer.Pointer, exchange.Handover, iter.Seq[[]byte], error) {
	fail := func(err error) (pointer.Pointer, exchange.Handover, iter.Seq[[]byte], error) {
		var saved *JoinError
		if errors.As(err, &saved) { // in the provisional home alone
			err = saved.Err
		}
		if hint := a.ClockHint(); hint != "" {
			err = &WrongClockError{Err: err, Hint: hint}
		}
		return pointer.Pointer{}, exchange.Handover{}, nil, err
	}
	ex, err := a.exchange()
	if err != nil {
		return fail(err)
	}
	if *paired, err = ex.HasInviter(); err != nil {
		return fail(err)
	}
	if err := a.Join(ctx, j.Networks...); err != nil {
		return fail(err)
	}
	text := j.Name
	if host, err := os.Hostname(); text == "" && err == nil {
		text = host
	}
	if err := a.book.SetNickname(text); err != nil && j.Name != "" {
		return fail(err)
	}
	key, err := a.key()
	if err != nil {
		return fail(err)
	}
	inviter, handed, entries, err := ex.JoinBook(ctx, key, j.Invitation, func(p exchange.JoinProgress) {
		*paired = true
		if j.Progress != nil {
			j.Progress(true, p.Bytes)
		}
	})
	if err != nil {
		return fail(err)
	}
	*paired = true
	return inviter, handed, entries, nil
}
