package agent

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/pair"
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
// errors of a locked identity, and with a [*petname.DeviceNameError] if another device has the
// name, or one that looks alike. A device that takes the name before this one is admitted, or calls
// itself like another one, gets a number after it.
func (a *Agent) InviteDevice(ctx context.Context, t DeviceTerms) (Invitation, error) {
	t.Lifetime = cmp.Or(t.Lifetime, pair.CodeLife)
	if t.Lifetime < time.Minute || t.Lifetime > MaxDeviceLifetime {
		return Invitation{}, &ArgumentError{"life", fmt.Sprintf("an invitation for %s: must be at least a minute and at most %s", t.Lifetime, MaxDeviceLifetime)}
	}
	if t.Name != "" {
		if err := a.book.CheckDeviceName(ledger.DeviceID{}, t.Name); err != nil {
			return Invitation{}, err
		}
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
	handed, err := id.Handover(passphrase, t.WithKey)
	if err != nil {
		return Invitation{}, err
	}
	networks, err := a.targets()
	if err != nil {
		return Invitation{}, err
	}
	ex, err := a.pairingExchange(ctx)
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
	if _, err := a.ownSealing(); err != nil {
		return exchange.Handover{}, err
	}
	sealing, err := a.sealingHome().SealingFile()
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

// RenameDevice changes the name of a device, for all devices. It needs no key. It fails with a
// [*petname.DeviceNameError] if another device has the name, or one that looks alike.
func (a *Agent) RenameDevice(id ledger.DeviceID, name string) (Device, error) {
	if err := a.book.RenameDevice(id, name); err != nil {
		return Device{}, err
	}
	return a.device(id)
}

// RemoveDevice removes a device from the book for ever, on all devices: what it writes later
// does not count. It cannot take back what the device has: the book until now, the keys that
// open messages, which RemoveDevice replaces, and the identity key if
// it holds that: only [Agent.Rotate] makes that worthless. What the device wrote and this one has
// not received does not count, also on devices that have received it: an [Agent.Sync] before keeps
// that. See [Agent.TakenBack].
//
// An interruption after the removal is finished by [Agent.FinishRemoval], and a later publication
// replaces the keys for messages.
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
// branch of a device that is the owner's, if another one was written by a thief. Devices that only
// its other branches removed stay removed, since this device signs their removals again: except
// those in restore, which count again unless the hash of their removal is smaller than that of the
// new one: see [ledger.Ledger.RemoveDeviceKeeping]. A [Branch] names them before.
func (a *Agent) RemoveDeviceAfter(last ledger.Head, restore ...ledger.DeviceID) (Device, error) {
	if _, err := a.device(last.Device); err != nil {
		return Device{}, err
	}
	return a.removeDevice(last.Device, func(key crypto.Signer) error { return a.book.RemoveDeviceAfter(key, last, restore...) })
}
