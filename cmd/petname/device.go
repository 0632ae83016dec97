package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

func (a *app) deviceVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "device",
		SuggestFor: []string{"devices"},
		Short:      "Use your book on several devices",
		Long: `Your book can be on several devices. Each can change it, also offline, and none
loses what another one wrote. A device joins with a code or a link that a device
with your identity key makes.

A copy of a home is no second device: when both write, what one of them wrote
does not count, on any device, and that one can write no more. It becomes a
device of its own, and enters what it wrote anew, with petname device join. If a
copy was stolen, petname device rm names the last change that was yours.`,
		Example: `  petname device add
  petname device join device-742-tunnel-orbit-candy --join ipfs
  petname device list`,
		Args: cobra.NoArgs,
		RunE: a.helpOnly,
	}
	cmd.AddCommand(a.deviceAddVerb(), a.deviceJoinVerb(), a.deviceListVerb(), a.deviceRenameVerb(), a.deviceRmVerb())
	return cmd
}

// device is a device of the owner.
type device struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`                  // cleaned
	AdmittedAs  string     `json:"admitted_as,omitempty"` // the name of its admission, cleaned, if it is another one
	This        bool       `json:"this"`
	IdentityKey bool       `json:"identity_key"`
	Admitted    *time.Time `json:"admitted"`
	Removed     *time.Time `json:"removed"`          // null: it was not
	Seen        *time.Time `json:"seen"`             // the date of its last entry in this book; null: there is none
	Forked      bool       `json:"forked,omitempty"` // two copies have written as this device

	// Only removed devices stated that it has the identity key: it does not receive the next one.
	Unconfirmed bool `json:"unconfirmed,omitempty"`

	SameName bool `json:"same_name,omitempty"` // another device has the name, or one that looks alike
}

func asDevice(d agent.Device) device {
	out := device{ID: d.ID.String(), Name: name.Clean(d.Name), This: d.This, IdentityKey: d.IdentityKey,
		Admitted: timeOrNull(d.Admitted), Removed: timeOrNull(d.RemovedAt), Seen: timeOrNull(d.At), Forked: d.Forked, Unconfirmed: d.Unconfirmed && !d.Removed, SameName: d.SameName}
	if admitted := name.Clean(d.AdmittedAs); admitted != out.Name {
		out.AdmittedAs = admitted
	}
	return out
}

func printDevice(w *bufio.Writer, s name.Style, d device) {
	title := deviceTitle(s, d.Name, d.ID, d.SameName)
	switch {
	case d.This:
		title += " (this device)"
	case d.Removed != nil:
		title += " (REMOVED)"
	}
	fmt.Fprintln(w, title)
	printCopied(w, "id", d.ID)
	if d.SameName {
		printField(w, "SAME NAME", "another device has it, or one that looks alike: use the id")
		printCopied(w, "to change it", "petname device rename "+d.ID+" NEW")
	}
	if d.AdmittedAs != "" {
		printField(w, "admitted as", s.Text(d.AdmittedAs))
	}
	held := "no"
	if d.IdentityKey {
		held = "yes"
	}
	printField(w, "identity key", held)
	if d.Unconfirmed {
		printField(w, "NOT CONFIRMED", "a removed device admitted it with the key; it does not receive the next one")
		printCopied(w, "to confirm it", confirmCommand(d.ID))
	}
	if d.Forked {
		printField(w, "FORKED", "two copies have written as this device: see petname device --help")
	}
	for _, t := range []struct {
		label string
		at    *time.Time
	}{{"admitted", d.Admitted}, {"last entry", d.Seen}, {"removed", d.Removed}} {
		if t.at != nil {
			printField(w, t.label, t.at.Local().Format(time.DateTime))
		}
	}
	if d.Removed != nil && d.IdentityKey {
		printCopied(w, "if you did not remove it, on both devices", syncFolder)
	}
}

// deviceTitle returns the name of a device, with the first letters of its id if another one has the
// name, or one that looks alike.
func deviceTitle(s name.Style, text, id string, same bool) string {
	if same {
		return s.Text(text) + " (" + id[:min(len(id), 8)] + ")"
	}
	return s.Text(text)
}

// confirmCommand returns the command that confirms a device.
func confirmCommand(id string) string { return "petname device add " + id }

func (a *app) deviceListVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List your devices",
		Long: `List the devices of your book, also those that were removed. The dates are by
the clocks of the devices.`,
		Example: `  petname device list
  petname device list --json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var out deviceList
			err := a.call("devices", noArgs{}, &out)
			return a.printResult(out, err, out.Devices != nil, func(w *bufio.Writer) {
				for _, d := range out.Devices {
					if a.quiet {
						fmt.Fprintln(w, d.ID)
						continue
					}
					printDevice(w, a.style(), d)
				}
			})
		},
	}
}

type deviceList struct {
	Devices []device `json:"devices"`
}

func (v *verbs) devices(context.Context, noArgs) (*deviceList, error) {
	all, err := v.agent.Devices()
	if err != nil {
		return nil, err
	}
	out := &deviceList{Devices: []device{}}
	for _, d := range all {
		out.Devices = append(out.Devices, asDevice(d))
	}
	return out, nil
}

func (a *app) deviceRenameVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "rename DEVICE NEW",
		Short: "Change the name of a device",
		Long: `Change the name of a device, on all devices. DEVICE is its name, or the first
letters of its id. Each device can rename itself, and one with your identity key
can rename the others. It needs no passphrase. A name that another device has,
or that looks like its name, is refused. If two devices got one name while they
were apart, the id tells them apart.`,
		Example: `  petname device rename phone 'old phone'`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var out device
			err := a.call("device-rename", deviceArgs{Device: args[0], New: args[1]}, &out)
			return a.printResult(out, err, out.ID != "", func(w *bufio.Writer) { printDevice(w, a.style(), out) })
		},
		ValidArgsFunction: a.completeDevices,
	}
}

// deviceArgs are the arguments of the verbs about one device.
type deviceArgs struct {
	Device     string   `json:"device"`
	New        string   `json:"new,omitempty"`
	Keep       string   `json:"keep,omitempty"`    // of rm: the first digits of a hash, or "none"
	Restore    []string `json:"restore,omitempty"` // of rm: devices that another branch than Keep removed
	Ask        bool     `json:"ask,omitempty"`     // of rm: describe the device, and do not remove it
	Passphrase string   `json:"passphrase,omitempty"`
}

// deviceBy returns the device that a text names: by its id, or else by its name or the first
// letters of its id. A name is that of a removed device only if no other device has it, and
// takes no id's place: each device states its own name.
func (v *verbs) deviceBy(text string) (agent.Device, error) {
	all, err := v.agent.Devices()
	if err != nil {
		return agent.Device{}, err
	}
	var found, removed []agent.Device
	clean := name.Clean(text)
	for _, d := range all {
		if d.ID.String() == strings.ToLower(clean) {
			return d, nil
		}
		byID := len(clean) >= 4 && strings.HasPrefix(d.ID.String(), strings.ToLower(clean))
		byName := strings.EqualFold(name.Clean(d.Name), clean) && clean != ""
		switch {
		case byID, byName && !d.Removed:
			found = append(found, d)
		case byName:
			removed = append(removed, d)
		}
	}
	if len(found) == 0 {
		found = removed
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return agent.Device{}, &failure{Code: "not_found", Exit: exitNotFound, Message: fmt.Sprintf("no device of yours is %s", name.Quote(text)), Next: "petname device list"}
	}
	next := "name it by its id, or its first letters; one of these:"
	for _, d := range found {
		next += "\n" + d.ID.String()
		if d.This {
			next += "  # this device"
		} else if !d.Admitted.IsZero() {
			next += "  # admitted " + d.Admitted.Local().Format(time.DateTime)
		}
	}
	next += "\n# so that each has a name of its own, there or on a device with your identity key:\npetname device rename " + found[0].ID.String() + " NEW"
	return agent.Device{}, &failure{Code: "ambiguous", Exit: exitChoose, Message: fmt.Sprintf("%d devices of yours are %s", len(found), name.Quote(text)), Next: next}
}

func (v *verbs) renameDevice(_ context.Context, a deviceArgs) (*device, error) {
	d, err := v.deviceBy(a.Device)
	if err != nil {
		return nil, err
	}
	d, err = v.agent.RenameDevice(d.ID, a.New)
	if err != nil {
		return nil, err
	}
	out := asDevice(d)
	return &out, nil
}

// completeDevices completes the name of a device that was not removed.
func (a *app) completeDevices(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.deviceNames(args, func(device) bool { return true })
}

// completeOtherDevices is completeDevices without this device.
func (a *app) completeOtherDevices(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return a.deviceNames(args, func(d device) bool { return !d.This })
}

func (a *app) deviceNames(args []string, offered func(device) bool) ([]string, cobra.ShellCompDirective) {
	var out deviceList
	if len(args) > 0 || a.call("devices", noArgs{}, &out) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, d := range out.Devices {
		if d.Removed == nil && name.Scrub(d.Name, false) == d.Name && offered(d) {
			if d.SameName {
				names = append(names, d.ID)
				continue
			}
			names = append(names, d.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
