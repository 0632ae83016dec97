package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/petname/pair"
)

func (a *app) deviceAddVerb() *cobra.Command {
	var request deviceAddArgs
	var noKey, qr, noWait bool
	var file string
	cmd := &cobra.Command{
		Use:   "add [DEVICE]",
		Short: "Admit another device of yours",
		Long: `Make a code and a link that admit one more device of yours, and wait for it.
petname device join, with one of them, makes the home there.

Whoever uses the code or the link first becomes a device of yours: it receives
your book, the keys that open messages to you, and your identity key, unless
--no-key is given. A device without the key names and resolves, and cannot
publish, introduce or pair. The next key is never handed over.

A code is valid for ten minutes; it is made while this command waits, or if a
node runs. When this command has ended, a running node, or petname inbox,
answers until the link expires.

With a DEVICE of yours, it confirms that one instead: only a device that was
removed since had admitted it with the identity key, and it does not receive the
next key before you confirm it. DEVICE is its name, or the first letters of its
id.`,
		Example: `  petname device add
  petname device add --no-key --name phone --qr
  petname device add tablet`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 1 {
				return a.confirmDevice(cmd, args[0])
			}
			if err := checkNewFile(file); err != nil {
				return err
			}
			if file == "-" {
				return usage("-o %q: a picture goes to a file", file)
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			request.WithKey, request.Wait = !noKey, !noWait
			return a.withOpenHome(func(do func(verb string, args, result any) error) error {
				return a.addDevice(do, request, qr, noWait, file)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&noKey, "no-key", false, "do not hand over the identity key")
	f.StringVar(&request.Name, "name", "", "the `name` of the device (default: what it calls itself)")
	durationFlag(f, &request.Expires, "expires", pair.CodeLife, "how long the link is valid, at most an hour")
	f.BoolVar(&qr, "qr", false, "show a QR code")
	f.StringVarP(&file, "output", "o", "", "write the QR code as a PNG to a `file`")
	f.BoolVar(&noWait, "no-wait", false, "do not wait for the device")
	cmd.ValidArgsFunction = a.completeOtherDevices
	return cmd
}

// confirmDevice confirms that a device of the book is to hold the identity key.
func (a *app) confirmDevice(cmd *cobra.Command, text string) (err error) {
	for _, flag := range []string{"no-key", "name", "expires", "qr", "output", "no-wait"} {
		if cmd.Flags().Changed(flag) {
			return usage("--%s is for a new device, and %s is one of yours", flag, name.Quote(text))
		}
	}
	request := deviceArgs{Device: text}
	if request.Passphrase, err = a.passphrase(); err != nil {
		return err
	}
	var out device
	err = a.call("device-confirm", request, &out)
	return a.printResult(out, err, out.ID != "", func(w *bufio.Writer) {
		fmt.Fprintf(w, "confirmed %s: it receives the identity key with the next sync\n", a.style().Text(out.Name))
		printDevice(w, a.style(), out)
	})
}

func (v *verbs) confirmDevice(_ context.Context, a deviceArgs) (*device, error) {
	d, err := v.deviceBy(a.Device)
	if err == nil {
		d, err = v.agentWith(a.Passphrase).ConfirmDevice(d.ID)
	}
	if errors.Is(err, petname.ErrConfirmed) {
		return nil, &failure{Code: "confirmed", Exit: exitConflict, Message: fmt.Sprintf("device %s needs no confirmation", name.Quote(a.Device)), Next: "petname device list"}
	}
	if err != nil {
		return nil, err
	}
	out := asDevice(d)
	return &out, nil
}

// deviceAddArgs are the arguments of device add.
type deviceAddArgs struct {
	Name       string        `json:"name"`
	WithKey    bool          `json:"with_key"`
	Expires    time.Duration `json:"expires"`
	Wait       bool          `json:"wait"`
	Passphrase string        `json:"passphrase,omitempty"`
}

// deviceInvited is the result of device add.
type deviceInvited struct {
	Link     string    `json:"link"`
	Code     string    `json:"code"` // empty: none
	Expires  time.Time `json:"expires"`
	ID       string    `json:"id"`
	Networks []string  `json:"networks"` // which the code needs: see device join --join
	Compact  string    `json:"compact,omitempty"`
	File     string    `json:"file,omitempty"`
}

func (v *verbs) inviteDevice(ctx context.Context, a deviceAddArgs) (*deviceInvited, error) {
	if a.Expires < time.Minute || a.Expires > agent.MaxDeviceLifetime {
		return nil, usage("--expires %s: must be at least a minute and at most %s", a.Expires, agent.MaxDeviceLifetime)
	}
	i, err := v.agentWith(a.Passphrase).InviteDevice(ctx, agent.DeviceTerms{Name: a.Name, WithKey: a.WithKey, Lifetime: a.Expires, Awaited: a.Wait})
	if err != nil {
		return nil, deviceFailure(err)
	}
	return &deviceInvited{Link: i.Link, Code: i.Code, Expires: i.Expires, ID: i.ID, Networks: i.Networks, Compact: i.Compact}, nil
}

// awaitDeviceArgs are the arguments of the operation that waits for a device.
type awaitDeviceArgs struct {
	ID         string `json:"id"`
	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) awaitDevice(ctx context.Context, a awaitDeviceArgs) (*device, error) {
	d, err := v.agentWith(a.Passphrase).AwaitDevice(ctx, a.ID)
	if err != nil {
		return nil, deviceFailure(err)
	}
	out := asDevice(d)
	return &out, nil
}

// deviceFailure returns the failure of a pairing of devices, with its own next step.
func deviceFailure(err error) error {
	f := *classify(err)
	f.Next = strings.ReplaceAll(f.Next, "petname invite", "petname device add")
	return &f
}

func (a *app) addDevice(do func(verb string, args, result any) error, request deviceAddArgs, qr, noWait bool, file string) error {
	var out deviceInvited
	if err := do("device-invite", request, &out); err != nil {
		return a.printResult(out, err, false, nil)
	}
	unwritten := writePicture(&out.File, file, out.Link)
	err := a.printResult(out, unwritten, true, func(w *bufio.Writer) { printDeviceInvitation(w, out) })
	if err == nil && !noWait {
		a.hint("waiting for the device until %s; after ^C, petname inbox answers", out.Expires.Local().Format(time.TimeOnly))
	}
	if err == nil && qr {
		err = a.drawQR(out.Compact)
	}
	if err != nil || noWait {
		return err
	}
	var d device
	for {
		err := do("device-await", awaitDeviceArgs{ID: out.ID, Passphrase: request.Passphrase}, &d)
		if e := (*failure)(nil); errors.As(err, &e) && a.clock().Before(out.Expires) {
			switch e.Code {
			case "timeout":
				continue // the code has expired, but not the link
			case "wrong_code":
				a.warn("a wrong code was entered on another device, so that the code is of no use any more; the link still is, and is waited for")
				continue
			}
		}
		if err != nil {
			return err
		}
		break
	}
	if a.json {
		return nil // stdout has its one object
	}
	return a.printResult(d, nil, true, func(w *bufio.Writer) {
		fmt.Fprintf(w, "%s has joined, and has your book\n", a.style().Text(d.Name))
		printDevice(w, a.style(), d)
	})
}

// printDeviceInvitation prints what to type on the other device.
func printDeviceInvitation(w *bufio.Writer, out deviceInvited) {
	fmt.Fprintln(w, "on the other device, type one of")
	if out.Code != "" {
		code := "petname device join " + out.Code
		for _, n := range out.Networks {
			code += " --join " + shellWord(n)
		}
		fmt.Fprintf(w, "  %s\n", code)
	}
	fmt.Fprintf(w, "  petname device join %s\n", shellWord(out.Link))
	printField(w, "valid until", out.Expires.Local().Format(time.DateTime))
	if out.File != "" {
		printField(w, "QR code", filepath.Clean(out.File))
	}
}

func (a *app) deviceJoinVerb() *cobra.Command {
	var j agent.DeviceJoin
	var qr string
	cmd := &cobra.Command{
		Use:   "join CODE|LINK|--qr FILE",
		Short: "Make a home here, for a book that you have elsewhere",
		Long: `Make a home on this device for the book of another device of yours, with the
code or the link that petname device add made there. The other device has to be
online meanwhile.

A link says which network to join; with a code, --join names it, as device add
prints it. An interrupted join is continued by the same command.

In a home of yours that another copy of itself writes as well, and of which the
changes do not count any more, it makes a device of its own: the home gets a new
device key, and what it wrote is entered anew. Where that conflicts with a
change of another device, it asks, and otherwise leaves it out and lists it. The
old book stays beside the new one. --again does the same if the device was
removed, which it may not know, or to end the use of a key that was copied.`,
		Example: `  petname device join petname-device:…
  petname device join device-742-tunnel-orbit-candy --join ipfs --name phone`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			if j.Invitation, err = a.invitationText(args, qr, "petname device join"); err != nil {
				return err
			}
			if _, err := pair.ParseCode(j.Invitation); err != nil && len(args) > 1 && !strings.Contains(j.Invitation, ":") {
				return usage("too many arguments, or %v", err).With("petname device join --help")
			}
			j.Decide = a.decideReentry()
			out, err := a.joinBook(dir, j)
			err = a.printResult(out, err, out.Device != "", func(w *bufio.Writer) { printJoined(w, a.style(), out) })
			if err == nil && out.IdentityKey {
				a.hint("so that contacts read what this device sends:\n  petname publish")
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&qr, "qr", "", "read the QR code from a picture `file`, PNG or JPEG")
	f.StringArrayVar(&j.Networks, "join", nil, "a `network` to join, as for the verb join; may be repeated")
	f.StringVar(&j.Name, "name", "", "the `name` of this device (default: that of the machine)")
	f.BoolVar(&j.Again, "again", false, "make a new device of this home, whose device was removed or copied")
	return cmd
}

// joinPatience is how long a device that joins waits for an answer before it says so.
const joinPatience = 10 * time.Second

// joinedBook is the result of device join.
type joinedBook struct {
	Device      string `json:"device"`
	Pointer     string `json:"pointer"`
	IdentityKey bool   `json:"identity_key"`
	Contacts    int    `json:"contacts"`
	Name        string `json:"name,omitempty"` // of this device, cleaned: with a number if another one had it
	*rejoined
}

func (a *app) joinBook(dir string, j agent.DeviceJoin) (out joinedBook, err error) {
	a.warn("waiting for the other device")
	var paired atomic.Bool
	j.Progress = func(now bool, _ int64) {
		if now && !paired.Swap(now) {
			a.hint("the other device answers; receiving the book")
		}
	}
	silent := time.AfterFunc(joinPatience, func() {
		if !paired.Load() {
			a.warn("no answer yet: the other device answers while petname device add waits there, or a node runs; a code that was entered wrongly before is answered no more, but its link is")
		}
	})
	defer silent.Stop()
	o := agent.Options{Transport: libp2p.New(libp2p.Options{Timeout: a.timeout}), Now: a.now}
	ag, joined, err := agent.JoinBook(a.ctx, dir, j, o)
	remove, called := "", ""
	if ag != nil {
		called = nameOf(ag, joined.Device)
		remove = a.removeOld(ag, joined.Again)
		err = errors.Join(err, ag.Close())
	}
	var keyHere *agent.KeyHereError
	switch {
	case errors.Is(err, agent.ErrMalformed):
		f := *classify(err)
		f.Next = "petname device join --help"
		return out, &f
	case errors.Is(err, home.ErrExists):
		return out, classify(err).With("choose another folder with --home: a code or link that no device has used is valid until it expires.\nIf it is another copy of a home of yours, or was removed from your book:\npetname sync\nthen, if it says so or nothing else helps:\npetname device join --again " + shellWord(j.Invitation))
	case errors.As(err, &keyHere):
		id := keyHere.Device.String()
		return out, classify(err).With("on the other device, where it was made with --no-key:\n  petname device rm " + id + "\n  petname device add\nthen here, with the new code:\npetname device join --again CODE")
	case errors.Is(err, pair.ErrSelf):
		return out, classify(err).With("enter it on the other device of yours:\npetname device join CODE")
	case errors.Is(err, petname.ErrDeviceRemoved):
		return out, classify(err).With("make a new code on the device that has your book, with petname device add, and join with it")
	case errors.Is(err, exchange.ErrHandoverTimeout):
		return out, &failure{Code: "timeout", Exit: exitNetwork, Message: err.Error(), Next: "let petname device add wait on the other device, or a node run there, then repeat this command"}
	case errors.Is(err, home.ErrNotEmpty):
		return out, classify(err).With("choose another folder with --home: a code or link that no device has used is valid until it expires")
	case errors.Is(err, dht.ErrUnreachable):
		return out, classify(err).With("check the network, the addresses and the clock of this machine, then repeat this command")
	case err != nil:
		f := *classify(err)
		f.Next = strings.ReplaceAll(f.Next, "petname invite", "make a new code on the device that has your book, with petname device add")
		return out, &f
	}
	out = joinedBook{joined.Device.String(), joined.Pointer.String(), joined.WithKey, joined.Names, called, asRejoined(joined.Again)}
	if out.rejoined != nil {
		out.remove = remove
	}
	return out, nil
}

// nameOf returns the name of a device, cleaned; empty: it is not known.
func nameOf(ag *agent.Agent, id ledger.DeviceID) string {
	devices, _ := ag.Devices() // of a damaged book other verbs report it
	for _, d := range devices {
		if d.ID == id {
			return name.Clean(d.Name)
		}
	}
	return ""
}

// removeOld returns the command that removes the old device of a home that has joined again; empty:
// it was removed.
func (a *app) removeOld(ag *agent.Agent, r *agent.Rejoined) string {
	if r == nil || r.Remains.Number == 0 {
		return ""
	}
	command := "petname device rm " + r.Device.String()
	devices, _ := ag.Devices() // without them, device rm asks
	for _, d := range devices {
		if d.ID == r.Device && d.Forked {
			command += " --keep " + r.Remains.Hash.String()[:16]
		}
	}
	return a.withHomeFlag(command)
}

func printJoined(w *bufio.Writer, s name.Style, out joinedBook) {
	fmt.Fprintf(w, "this device has joined the book of\n  %s\n", out.Pointer)
	printCopied(w, "device", out.Device)
	if out.Name != "" {
		printField(w, "name", s.Text(out.Name))
	}
	printField(w, "contacts", fmt.Sprint(out.Contacts))
	if out.IdentityKey {
		printField(w, "identity key", "yes: this device can publish")
	} else {
		printField(w, "identity key", "no: this device names and resolves, and cannot publish")
	}
	if out.rejoined != nil {
		printRejoined(w, s, *out.rejoined)
	}
}
