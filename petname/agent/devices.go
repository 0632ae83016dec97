package agent

import (
	"bufio"
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/replicate"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/pair"
	"github.com/petnames-go/petnames/pointer"
)

// Device is a device of the owner. It is a plain value.
type Device = petname.Device

// DeviceTerms are what an invitation of [Agent.InviteDevice] allows.
type DeviceTerms struct {
	Name     string        // of the device; empty: what it calls itself
	WithKey  bool          // the device receives the identity key, and can publish and introduce
	Lifetime time.Duration // of the link: at least a minute, at most an hour; 0: ten minutes
	Awaited  bool          // a call of AwaitDevice follows: a code is made as well
}

// MaxDeviceLifetime bounds the lifetime of an invitation of a device: each of its readers
// becomes a device of the owner.
const MaxDeviceLifetime = time.Hour

// InviteDevice makes an invitation that admits one more device of the owner, by its link,
// "petname-device:…", or by its code. The first holder of either becomes a device of the owner,
// with the book, the keys that open messages, and with WithKey the identity key, but never
// the next one. An agent that runs answers, and so does AwaitDevice. No code is made if no
// AwaitDevice follows and the agent does not run. It fails with [ErrNotJoined], and with the
// errors of a locked identity.
func (a *Agent) InviteDevice(ctx context.Context, t DeviceTerms) (Invitation, error) {
	t.Lifetime = cmp.Or(t.Lifetime, pair.CodeLife)
	if t.Lifetime < time.Minute || t.Lifetime > MaxDeviceLifetime {
		return Invitation{}, &ArgumentError{"life", fmt.Sprintf("an invitation for %s: must be at least a minute and at most %s", t.Lifetime, MaxDeviceLifetime)}
	}
	id, err := a.identity()
	if err != nil {
		return Invitation{}, err
	}
	passphrase, err := a.passphrase(id)
	if err != nil {
		return Invitation{}, err
	}
	key, err := id.Key(passphrase)
	if err != nil {
		return Invitation{}, err
	}
	handed, err := id.Handover(passphrase, t.WithKey, 0)
	if err != nil {
		return Invitation{}, err
	}
	networks, err := a.targets()
	if err != nil {
		return Invitation{}, err
	}
	if err := (&unlinkableStore{a.state}).reachable(ctx); err != nil {
		return Invitation{}, err
	}
	ex, err := a.exchange()
	if err != nil {
		return Invitation{}, err
	}
	now := a.now()
	invited, err := ex.InviteDevice(ctx, key, exchange.DeviceTerms{Expires: now.Add(t.Lifetime).Truncate(time.Second), Made: now,
		Code: t.Awaited || a.isServing(), Name: t.Name, WithKey: t.WithKey, Identity: handed, Networks: networks})
	if err != nil {
		return Invitation{}, err
	}
	a.syncSoon()
	return asInvitation(invited, 1), nil
}

// targets returns what a device joins to be in the same networks, as for Join.
func (a *Agent) targets() (all []string, err error) {
	c, err := a.home.Config()
	if err != nil {
		return nil, err
	}
	if c.Network == "ipfs" || c.Network == "lan" {
		all = append(all, c.Network)
	}
	own, err := a.addresses()
	if err != nil && !errors.Is(err, ErrNotServing) {
		return nil, err
	}
	if c.Network == "peers" {
		all = append(all, c.Bootstrap...)
		all = append(all, addressTexts(own)...)
	}
	all = append(all, c.Routers...)
	if len(all) == 0 {
		return nil, ErrNotJoined
	}
	return all, nil
}

// addressTexts returns multiaddrs in binary form as texts, without those that are none.
func addressTexts(addresses [][]byte) (texts []string) {
	for _, b := range addresses {
		if m, err := multiaddr.NewMultiaddrBytes(b); err == nil {
			texts = append(texts, m.String())
		}
	}
	return texts
}

// handover returns what a device that is admitted receives beside its identity key and the
// book.
func (a *Agent) handover(exchange.NewDevice) (exchange.Handover, error) {
	id, err := a.identity()
	if err != nil {
		return exchange.Handover{}, err
	}
	sealing, err := a.home.SealingFile()
	if err != nil {
		return exchange.Handover{}, err
	}
	out := exchange.Handover{Sealing: sealing}
	for _, step := range id.Succession {
		r, _, _ := a.lastRecordOf(id, step.Old)
		out.Former = append(out.Former, r.Bytes()) // empty: there is none
	}
	if out.Addresses, err = a.addresses(); errors.Is(err, ErrNotServing) {
		err = nil
	}
	return out, err
}

// AwaitDevice waits until a device has accepted an invitation and has received the book, and
// returns it. It fails with [pair.ErrTimeout] when a code expires; the link may still be
// valid.
func (a *Agent) AwaitDevice(ctx context.Context, id string) (Device, error) {
	key, err := a.key()
	if err != nil {
		return Device{}, err
	}
	ex, err := a.exchange()
	if err != nil {
		return Device{}, err
	}
	admitted, err := ex.WaitDevice(ctx, key, id)
	if err != nil {
		return Device{}, err
	}
	return a.device(admitted.Device)
}

// Devices returns the devices of the owner, including removed ones.
func (a *Agent) Devices() ([]Device, error) { return a.book.Devices() }

// Digest returns a hash of the entries of the book that count: two devices with equal ones
// have the same book. See [ledger.Ledger.Digest].
func (a *Agent) Digest() (ledger.Hash, error) { return a.book.Ledger().Digest() }

// device returns a device by its ID.
func (a *Agent) device(id ledger.DeviceID) (Device, error) {
	all, err := a.book.Devices()
	if err != nil {
		return Device{}, err
	}
	i := slices.IndexFunc(all, func(d Device) bool { return d.ID == id })
	if i < 0 {
		return Device{}, fmt.Errorf("device %s: %w", id, petname.ErrNotFound)
	}
	return all[i], nil
}

// RenameDevice changes the name of a device, for all devices. It needs no key.
func (a *Agent) RenameDevice(id ledger.DeviceID, name string) (Device, error) {
	if err := a.book.RenameDevice(id, name); err != nil {
		return Device{}, err
	}
	return a.device(id)
}

// RemoveDevice removes a device from the book for ever, on all devices: what it writes later
// does not count. It cannot take back what the device has: the book until now, the keys that
// open messages, which RemoveDevice replaces, and the identity key if
// it holds that: only [Agent.Rotate] makes that worthless.
//
// Of a device that has forked it returns a [*BranchError]: use RemoveDeviceAfter.
func (a *Agent) RemoveDevice(id ledger.DeviceID) (Device, error) {
	d, err := a.device(id)
	if err != nil {
		return Device{}, err
	}
	if d.Forked && !d.Removed {
		choice, err := a.branches(d)
		if err == nil && choice != nil {
			err = choice
		}
		return Device{}, err
	}
	return a.removeDevice(id, func(key crypto.Signer) error { return a.book.RemoveDevice(key, id) })
}

// RemoveDeviceAfter is RemoveDevice with the last entry of the device that counts then: of the
// branch of a device that is the owner's, if another one was written by a thief.
func (a *Agent) RemoveDeviceAfter(last ledger.Head) (Device, error) {
	if _, err := a.device(last.Device); err != nil {
		return Device{}, err
	}
	return a.removeDevice(last.Device, func(key crypto.Signer) error { return a.book.RemoveDeviceAfter(key, last) })
}

func (a *Agent) removeDevice(id ledger.DeviceID, remove func(crypto.Signer) error) (Device, error) {
	key, err := a.key()
	if err != nil {
		return Device{}, err
	}
	if err := remove(key); err != nil {
		return Device{}, err
	}
	a.publishing.Lock()
	_, err = a.home.RenewSealing(a.now(), a.ownEntry(), 0)
	a.publishing.Unlock()
	if err != nil {
		return Device{}, fmt.Errorf("the device is removed, but the keys for messages are not replaced: %w", err)
	}
	return a.device(id)
}

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
// same invitation. After any other error nothing is left in dir.
//
// In the folder of a home of the same owner whose device has forked, or was removed from the
// book, it makes a new device key for that home, takes over the book, and enters the acts of
// the home that do not count anew: see [petname.Book.Reenter]. The old book stays beside the
// new one. Interrupted at any moment the home is the old one or the new one, and the same
// call continues; when it was done, it returns the same result. In any other home it fails
// with [home.ErrExists].
//
// It fails with the errors of [home.BeginJoin], [Agent.Join] and [Agent.Pair], with
// [ErrNoNetworks], and with [pair.ErrNoDevice] for an invitation of contacts.
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
	provisional, err := home.BeginJoin(dir)
	if err != nil {
		return fail(err)
	}
	o.Create = nil
	a, err := Open(ctx, provisional.Dir, o)
	if err != nil {
		return fail(err)
	}
	paired := false
	joined, err := a.joinBook(ctx, dir, j, &paired)
	if err = errors.Join(err, a.Close()); err != nil {
		if !paired && ctx.Err() == nil { // nothing that continues
			err = errors.Join(err, home.GiveUpJoin(dir))
		}
		return fail(err)
	}
	if a, err = Open(ctx, dir, o); err != nil {
		return fail(err)
	}
	if len(joined.addresses) > 0 {
		err = a.setDeviceAddresses(joined.inviter, joined.addresses)
	}
	if err == nil {
		joined.Names, err = a.book.Count()
	}
	return a, joined.JoinedBook, err
}

// madeHome is what joinBook made.
type madeHome struct {
	JoinedBook
	inviter   ledger.DeviceID
	addresses [][]byte // of it
}

// joinBook pairs, receives the book, and makes the home in dir. The agent is that of the
// provisional home.
func (a *Agent) joinBook(ctx context.Context, dir string, j DeviceJoin, paired *bool) (madeHome, error) {
	inviter, handed, entries, err := a.receiveBook(ctx, j, paired)
	if err != nil {
		return madeHome{}, err
	}
	id, err := home.ParseHandover(handed.Identity)
	if err != nil {
		return madeHome{}, err
	}
	if id.Pointer != inviter {
		return madeHome{}, fmt.Errorf("the device of %s handed over the identity of %s", inviter, id.Pointer)
	}
	config, err := a.home.Config()
	if err != nil {
		return madeHome{}, err
	}
	in := home.Handed{Identity: handed.Identity, Sealing: handed.Sealing, Creator: handed.Creator, Config: config, Entries: entries}
	for i, b := range handed.Former {
		if i < len(id.Succession) {
			r, _, err := pointer.OpenExpired(id.Succession[i].Old, b, a.now())
			if err == nil && id.IsLast(r) {
				in.Former = append(in.Former, r)
			}
		}
	}
	if _, err := home.FinishJoin(dir, in); err != nil {
		return madeHome{}, err
	}
	device, _ := a.Pointer().Ed25519()
	made := JoinedBook{Pointer: id.Pointer, Device: ledger.DeviceID(device), WithKey: !id.KeyElsewhere}
	return madeHome{made, handed.Inviter, handed.Addresses}, nil
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
		conn, err := node.OpenStream(ctx, h.Addresses, syncProtocol)
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
