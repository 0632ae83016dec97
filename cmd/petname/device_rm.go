package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) deviceRmVerb() *cobra.Command {
	var request deviceArgs
	cmd := &cobra.Command{
		Use:   "rm DEVICE",
		Short: "Remove a device, such as a lost one, for ever",
		Long: `Remove a device from your book, on all devices and for ever: what it writes from
then on does not count. DEVICE is its name, or the first letters of its id.

What it wrote before is received first, as far as it can be reached in a few
seconds.

What the device has, it keeps: the book until then, the keys that open messages
to you, and your identity key if it has that. The keys for messages are replaced
at once, and published with the next publish. If it has the identity key, rotate
to the next one, which no device receives: petname key rotate. The device that
made the next key has it, unless a recovery file has: rotate there before you
remove that one.

The devices that it admitted stay, and are listed: remove those that are not
yours. One that it admitted with the identity key does not receive the next key
before you confirm it: petname device add DEVICE.

A removal that was interrupted is finished by the same command again. So is one
that another device of yours made before you rotated your key: the current key
signs it again, as key rotate and publish do on the device that made it. A
device that has the old key could contest it otherwise, or may have made it:
petname doctor names it.

If two copies have written as the device, both branches are shown, and --keep
names the last entry that is yours: by the first digits of its hash, or "none"
for nothing that only one of the copies has. What it does not name does not
count any more. A device that only another copy removed stays removed: the
removal is signed again. If a thief removed it, --restore lets it count again
where the hash of the new removal is the smaller one; otherwise it joins again
as a new device. The devices that this concerns are shown with the branches.`,
		Example: `  petname device rm phone
  petname device rm laptop --keep 3f0c99a1`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			request.Device, request.Ask = args[0], a.asks()
			var out removedDevice
			err = a.call("device-rm", request, &out)
			if e := (*failure)(nil); errors.As(err, &e) && e.Code == "remove_device" {
				request.Device, request.Ask, out = out.ID, false, removedDevice{}
				if a.confirm(err, e.Code, "\nRemove it for ever? Type yes: ") {
					err = a.call("device-rm", request, &out)
				}
			}
			if e := (*failure)(nil); errors.As(err, &e) && e.Code == "forked" && len(out.Branches) > 0 {
				if request.Keep = a.askBranch(e, out.Branches, out.None); request.Keep != "" {
					out = removedDevice{}
					err = a.call("device-rm", request, &out)
				} else if !a.json && !a.asks() { // the question shows them
					_ = writeRows(a.stderr, branchText(a.style(), out.Branches, out.None), terminalWidth(a.stderr))
				}
			}
			err = a.printResult(out, err, out.ID != "", func(w *bufio.Writer) {
				fmt.Fprintf(w, "removed %s\n", a.style().Text(out.Name))
				printCopied(w, "id", out.ID)
				if out.AdmittedAs != "" {
					printField(w, "admitted as", a.style().Text(out.AdmittedAs))
				}
				if out.Seen != nil {
					printField(w, "last entry", out.Seen.Local().Format(time.DateTime))
				}
				holds := "the book until now, the keys that open messages"
				if out.IdentityKey {
					holds += ", the identity key"
				}
				if out.Recovery != "" {
					holds += ", and the next key, if it made that and no recovery file has it"
				}
				printField(w, "it still has", holds)
				if out.Problem != nil {
					printField(w, "NOT SYNCED", *out.Problem+"; what it wrote and is not here does not count")
				}
				for _, d := range out.AdmittedDevices {
					fmt.Fprintf(w, "it admitted %s, which stays; if that is not yours\n  %s\n", a.style().Text(d.Name), d.Remove)
				}
				for _, d := range out.KeptRemoved {
					printField(w, "STAYS REMOVED", fmt.Sprintf("device %s, which another copy had removed: if it is yours, it joins again as a new device", a.style().Text(d.Name)))
					printCopied(w, "id", d.ID)
				}
				for _, d := range out.Restored {
					printField(w, "COUNTS AGAIN", fmt.Sprintf("device %s, which another copy had removed; if it is to go:", a.style().Text(d.Name)))
					fmt.Fprintf(w, "  %s\n", a.withHomeFlag(d.Remove))
				}
				a.printUncounted(w, out.Uncounted)
			})
			switch {
			case err != nil:
			case out.IdentityKey && out.Recovery != "":
				a.warn("it can publish in your name until you rotate the key, which changes your pointer; this home does not have the next one. Rotate on the device of yours that made it, by key rotate, or here, with the recovery file:\n  petname key rotate --next FILE --recovery NEWFILE --passphrase-file FILE\nthen:\n  petname publish")
				a.warn("if the removed device made the next key, and no recovery file has it, only its holder can rotate: make a new identity then, with petname init in another folder, and tell your contacts")
			case out.IdentityKey:
				a.warn("it can publish in your name until you rotate the key, which changes your pointer:\n  petname key rotate\n  petname publish")
				a.hint("until then it can also remove this device, for your other devices. If petname sync shows one that acknowledges nothing, on both after the rotation:\n  %s", syncFolder)
			default:
				a.hint("to publish the new keys for messages:\n  petname publish")
			}
			return err
		},
		ValidArgsFunction: a.completeOtherDevices,
	}
	cmd.Flags().StringVar(&request.Keep, "keep", "", "the `hash` of the last entry that is to count, of a device with two copies; none: the last one that both have")
	cmd.Flags().StringArrayVar(&request.Restore, "restore", nil, "with --keep: a `device` that another copy removed, and that is to count again; can be repeated")
	return cmd
}

// removedDevice is the result of device rm.
type removedDevice struct {
	device
	Holds    []string      `json:"holds"`              // "book", "sealing_keys", "identity_key"
	Branches []branch      `json:"branches,omitempty"` // of a device with two copies, if it was not removed: one is to be chosen
	None     *branchEffect `json:"none,omitempty"`     // of --keep none, with Branches

	KeptRemoved []admittedDevice `json:"kept_removed,omitempty"` // that another branch had removed: this device signed that again
	Restored    []admittedDevice `json:"restored,omitempty"`     // that another branch had removed, and that count again

	Problem *string `json:"problem,omitempty"` // of the exchange before the removal

	// "elsewhere" if the device has the identity key, and this home has not the next one: the device
	// that made it may be this one.
	Recovery string `json:"recovery,omitempty"`

	AdmittedDevices []admittedDevice `json:"admitted_devices,omitempty"` // by it, directly or through others, that were not removed

	Uncounted []uncounted `json:"uncounted,omitempty"` // branches with changes that the removal took back
}

// admittedDevice is a device that a removed one admitted, or had removed.
type admittedDevice struct {
	ID     string `json:"id"`
	Name   string `json:"name"`   // cleaned
	Remove string `json:"remove"` // the command that removes it
}

func withRemovals(all []agent.Device) (out []admittedDevice) {
	for _, d := range all {
		out = append(out, admittedDevice{d.ID.String(), name.Clean(d.Name), "petname device rm " + d.ID.String()})
	}
	return out
}

// removalSync bounds the exchange before a removal.
const removalSync = 10 * time.Second

// syncBeforeRemoval exchanges entries, so that what the device wrote counts as far as it can be
// received. A failure is no reason not to remove it; it returns its text, null for none.
func (v *verbs) syncBeforeRemoval(ctx context.Context) *string {
	ctx, cancel := context.WithTimeout(ctx, removalSync)
	defer cancel()
	_, err := v.agent.Sync(ctx, agent.SyncOptions{Quiet: true})
	if errors.Is(err, agent.ErrNotJoined) || errors.Is(err, agent.ErrNoDevices) {
		return nil
	}
	return problemText(err)
}

func (v *verbs) rmDevice(ctx context.Context, a deviceArgs) (*removedDevice, error) {
	d, err := v.deviceBy(a.Device)
	if err != nil {
		return nil, err
	}
	finished := false
	if d.Removed {
		if finished, err = v.agent.FinishRemoval(d.ID); err != nil {
			return nil, err
		}
		renewed, err := v.agentWith(a.Passphrase).RenewRemoval(d.ID)
		if err != nil && !errors.Is(err, home.ErrLocked) {
			return nil, err
		}
		finished = finished || renewed
	}
	if d.Removed && !finished {
		return nil, &failure{Code: "removed", Exit: exitConflict, Message: fmt.Sprintf("device %s was removed before", name.Quote(a.Device)), Next: "petname device list"}
	}
	if d.This {
		return nil, &failure{Code: "usage", Exit: exitUsage, Message: fmt.Sprintf("device %s is this one", name.Quote(a.Device)), Next: "remove it on another device of yours"}
	}
	if a.Ask && !finished && !(d.Forked && a.Keep == "") { // otherwise the branches are asked about
		out := &removedDevice{device: asDevice(d), Holds: []string{}, Recovery: v.nextKeyOf(d)}
		return out, removalQuestion(out)
	}
	var problem *string
	if !finished {
		problem = v.syncBeforeRemoval(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if d, err = v.deviceBy(d.ID.String()); err != nil { // it may have forked, or been removed, by what was received
			return nil, err
		}
	}
	if len(a.Restore) > 0 && !d.Forked {
		return nil, usage("--restore %s: no two copies have written as the device", name.Quote(a.Restore[0])).With("petname device rm " + shellWord(a.Device))
	}
	known := v.uncounted()
	var kept, restored []agent.Device
	switch {
	case finished:
	case d.Removed:
		return nil, &failure{Code: "removed", Exit: exitConflict, Message: fmt.Sprintf("device %s was removed before", name.Quote(a.Device)), Next: "petname device list"}
	case a.Keep == "":
		d, err = v.agentWith(a.Passphrase).RemoveDevice(d.ID)
	default:
		d, kept, restored, err = v.removeAfter(d, a)
	}
	if choice := (*agent.BranchError)(nil); errors.As(err, &choice) {
		none := asBranchEffect(choice.Effect)
		return &removedDevice{Holds: []string{}, Branches: v.asBranches(choice), None: &none}, v.branchFailure(choice, a.Device)
	}
	if err != nil {
		return nil, err
	}
	out := &removedDevice{device: asDevice(d), Holds: []string{"book", "sealing_keys"}, Problem: problem, KeptRemoved: withRemovals(kept), Restored: withRemovals(restored)}
	if d.IdentityKey {
		out.Holds = append(out.Holds, "identity_key")
	}
	out.Uncounted, out.Recovery = v.newUncounted(known), v.nextKeyOf(d)
	admitted, err := v.agent.AdmittedBy(d.ID)
	out.AdmittedDevices = withRemovals(admitted)
	return out, err
}

// nextKeyOf returns "elsewhere" if a device has the identity key, and may have the next one, which
// this home has not.
func (v *verbs) nextKeyOf(d agent.Device) string {
	if id, err := v.agent.Identity(); err == nil && d.IdentityKey && id.Recovery == "elsewhere" {
		return id.Recovery
	}
	return ""
}

// removalQuestion returns the failure that describes a device before its removal.
func removalQuestion(d *removedDevice) *failure {
	text := fmt.Sprintf("device %s\n  id %s", name.Quote(d.Name), d.ID)
	if d.AdmittedAs != "" {
		text += "\n  admitted as " + name.Quote(d.AdmittedAs)
	}
	if d.Seen != nil {
		text += "\n  last entry " + d.Seen.Local().Format(time.DateTime)
	}
	if d.Recovery != "" {
		text += "\nThis home does not have the next key: if that device made it, and you have neither it at hand, to rotate the key there first, nor a recovery file, its holder alone can rotate."
	}
	return &failure{Code: "remove_device", Exit: exitChoose, Message: text, Next: "petname device list"}
}
