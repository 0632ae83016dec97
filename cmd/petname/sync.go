package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

// syncFolder is the command that exchanges entries also with a device that regards this one as
// removed.
const syncFolder = "petname sync --dir FOLDER"

// syncPause is the pause between two exchanges of sync --watch.
const syncPause = 30 * time.Second

func (a *app) syncVerb() *cobra.Command {
	var request syncArgs
	var watch bool
	cmd := &cobra.Command{
		Use:   "sync",
		Short: "Exchange changes with your other devices",
		Long: `Exchange what your devices wrote, so that each has the whole book: directly with
those that are online, and in sealed messages that the network stores with the
others. An interrupted exchange is continued by the next one.

With --dir, the exchange goes through a folder that something else carries: a
memory stick, a network disk, Syncthing, or the folder of a cloud service. Its
files are sealed for your devices. They carry the book, and no keys: after
petname key rotate, the other devices receive the key by a sync without --dir.

Two copies of one home exchange nothing directly: they need another device, or a
folder. See petname device --help.

A running node does this by itself. Changes to different things merge; changes
to the same name are shown as a conflict until you decide.`,
		Example: `  petname sync
  petname sync --with phone
  petname sync --dir /media/stick/petnames`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("dir") && cmd.Flags().Changed("with") {
				return usage("--dir is for all devices, and --with for one: use one of them")
			}
			if request.Dir != "" {
				dir, err := filepath.Abs(request.Dir) // the node may run elsewhere
				if err != nil {
					return classify(err)
				}
				request.Dir = dir
			}
			if watch && a.json {
				return usage("--watch does not end, and --json prints one object: use one of them")
			}
			for {
				var out synced
				err := a.call("sync", request, &out)
				err = a.printResult(out, err, out.With != nil, func(w *bufio.Writer) { a.printSynced(w, out) })
				if out.Card {
					a.hint("what was received changes your card; to publish it:\n  petname publish")
				}
				if !watch {
					return err
				}
				if f := (*failure)(nil); err != nil && !(errors.As(err, &f) && f.Exit == exitNetwork) {
					return err
				}
				select {
				case <-a.ctx.Done():
					return classify(context.Canceled)
				case <-time.After(syncPause):
				}
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&request.With, "with", "", "only with this `device`: its name, or the first letters of its id")
	f.StringVar(&request.Dir, "dir", "", "through a `folder`")
	f.BoolVar(&watch, "watch", false, "repeat until interrupted")
	completeFlag(cmd, "with", a.completeOtherDevices)
	return cmd
}

// syncArgs are the arguments of sync.
type syncArgs struct {
	With string `json:"with"`
	Dir  string `json:"dir"` // an absolute path
}

// synced is the result of sync.
type synced struct {
	With      []syncedWith `json:"with"`
	Received  int          `json:"received"` // entries that are new here
	Sent      int          `json:"sent"`
	Conflicts int          `json:"conflicts"`              // contacts in conflict
	Problem   *string      `json:"problem"`                // null: none; messages may wait for a device: see waiting
	Card      bool         `json:"card_changed,omitempty"` // what was received changes the card, and publish is to state it
	Copy      string       `json:"copy,omitempty"`         // what was found of another copy of this home
	Forked    []string     `json:"forked,omitempty"`       // ids of devices as which two copies were found to write

	Uncounted []uncounted `json:"uncounted,omitempty"` // branches with changes that do not count, also those of removed devices, if this exchange changed them
}

// syncedWith is the exchange with one device, or through the folder.
type syncedWith struct {
	ID       string  `json:"id"`   // empty: the folder
	Name     string  `json:"name"` // cleaned
	By       string  `json:"by"`   // stream, drop or folder
	Received int     `json:"received"`
	Sent     int     `json:"sent"`
	Waiting  int     `json:"waiting"`          // messages that the device has not received, or entries that wait for others
	Unsent   int     `json:"unsent,omitempty"` // changes that the device does not receive before this one syncs again
	Problem  *string `json:"problem"`
	SameName bool    `json:"same_name,omitempty"` // another device has the name, or one that looks alike

	// After the removal of a device with the key: the device has not acknowledged what this one wrote.
	Unacknowledged bool `json:"unacknowledged,omitempty"`
}

func (v *verbs) sync(ctx context.Context, a syncArgs) (*synced, error) {
	o := agent.SyncOptions{Dir: a.Dir}
	if a.With != "" {
		d, err := v.deviceBy(a.With)
		if err != nil {
			return nil, err
		}
		switch {
		case d.This:
			return nil, usage("--with %s: is this device; a copy of it exchanges through another device, or a folder", name.Quote(a.With)).With("petname device list")
		case d.Removed:
			return nil, &failure{Code: "removed", Exit: exitConflict, Message: fmt.Sprintf("--with %s: was removed", name.Quote(a.With)), Next: "petname device list\n# if you did not remove it, on both devices:\n" + syncFolder}
		}
		o.With = d.ID
	}
	before, forks := v.forked()
	known := v.uncounted()
	s, err := v.agent.Sync(ctx, o)
	out := &synced{With: []syncedWith{}, Received: s.Received, Sent: s.Sent, Conflicts: s.Conflicts, Card: s.CardChanged}
	after, now := v.forked()
	if after.Lost != nil || after != before {
		out.Copy = after.String()
	}
	for _, id := range now {
		if !slices.Contains(forks, id) {
			out.Forked = append(out.Forked, id)
		}
	}
	out.Uncounted = v.newUncounted(known)
	for _, one := range s.With {
		if errors.Is(one.Problem, ledger.ErrFork) {
			err = cmp.Or(err, one.Problem) // through a folder as in messages
		}
		w := syncedWith{Name: name.Clean(one.Name), By: one.By, Received: one.Received, Sent: one.Sent, Waiting: one.Waiting, Unsent: one.Unsent, Problem: problemText(one.Problem), Unacknowledged: one.Unacknowledged, SameName: one.SameName}
		if one.Device != (ledger.DeviceID{}) {
			w.ID = one.Device.String()
		}
		out.With = append(out.With, w)
	}
	if err != nil {
		out.Problem = problemText(err)
	}
	if errors.Is(err, fs.ErrNotExist) && a.Dir != "" {
		return out, classify(err).With("mkdir " + shellWord(a.Dir))
	}
	if errors.Is(err, ledger.ErrFork) {
		return out, classify(err).With("to see what does not count, and what to do:\npetname doctor")
	}
	if err != nil {
		return out, err
	}
	for _, w := range out.With {
		if w.Problem != nil && out.Problem == nil {
			out.Problem = w.Problem
		}
	}
	return out, nil
}

// problemText returns the text of an error for people, in lines; null for none.
func problemText(err error) *string {
	if err == nil {
		return nil
	}
	text := name.Scrub(withoutTraces(err.Error()), true)
	return &text
}

func (a *app) printSynced(w *bufio.Writer, out synced) {
	s := a.style()
	for _, one := range out.With {
		how := map[string]string{agent.ByStream: "directly", agent.ByDrop: "in messages that the network stores", agent.ByFolder: "through the folder"}[one.By]
		title := "the folder"
		if one.ID != "" {
			title = deviceTitle(s, one.Name, one.ID, one.SameName)
		} else {
			how = ""
		}
		fmt.Fprintln(w, strings.TrimSpace(title+"  "+how))
		printField(w, "received", countText(one.Received, "change"))
		printField(w, "sent", countText(one.Sent, "change"))
		switch {
		case one.Waiting > 0 && one.By == agent.ByDrop:
			printField(w, "waiting", countText(one.Waiting, "message")+" for the next sync of the device")
		case one.Waiting > 0:
			printField(w, "waiting", countText(one.Waiting, "change")+" for others that are not here yet")
		}
		if one.Unsent > 0 {
			printField(w, "not stored", countText(one.Unsent, "change")+": sync again after the next sync of the device")
		}
		if one.Unacknowledged {
			printField(w, "NOT ACKNOWLEDGED", "this device's changes, perhaps the removal of another one among them; if that stays so although it is online, it may regard this device as removed: rotate the key, unless you did since a device with it was removed, and exchange through a folder")
			printCopied(w, "on both devices", syncFolder)
		}
		if one.Problem != nil {
			printField(w, "PROBLEM", *one.Problem)
		}
	}
	if out.Copy != "" {
		printField(w, "ANOTHER COPY", name.Clean(out.Copy))
	}
	for _, id := range out.Forked {
		printCopied(w, "FORKED: two copies have written as the device", id)
	}
	a.printUncounted(w, out.Uncounted)
	if out.Conflicts > 0 {
		printField(w, "CONFLICTS", countText(out.Conflicts, "contact")+": see petname list")
	}
}
