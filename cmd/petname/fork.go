package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/name"
)

// forked returns what the book shows of another copy of this home, and the ids of the devices
// that have forked and were not removed.
func (v *verbs) forked() (agent.Fork, []string) {
	f, err := v.agent.Fork()
	if err != nil {
		return agent.Fork{}, nil // doctor reports the error
	}
	devices, err := v.agent.Devices()
	if err != nil {
		return f, nil
	}
	var ids []string
	for _, d := range devices {
		if d.Forked && !d.Removed {
			ids = append(ids, d.ID.String())
		}
	}
	return f, ids
}

// uncounted is a branch of a device as which two copies have written, with changes that do not
// count.
type uncounted struct {
	Device   string           `json:"device"`  // its id
	Name     string           `json:"name"`    // of the device, cleaned
	Hash     string           `json:"hash"`    // of the last entry: for device rm --keep
	Changes  int              `json:"changes"` // that do not count
	Last     entry            `json:"last"`    // of these
	Text     string           `json:"text"`
	Restored []admittedDevice `json:"restored,omitempty"` // devices that the branch had removed, and that are in the book

	Next []string `json:"next"` // the way to make them count if the copy does not exist any more, in lines: see repairNext
}

// uncounted returns the branches with changes that do not count, those of removed devices as well.
func (v *verbs) uncounted() (all []uncounted) {
	found, err := v.agent.Uncounted()
	removed, rerr := v.agent.TakenBack()
	if errors.Join(err, rerr) != nil {
		return nil // doctor reports the error
	}
	for _, b := range slices.Concat(found, removed) {
		all = append(all, uncounted{Device: b.Device.ID.String(), Name: name.Clean(b.Device.Name), Hash: b.Head.Hash.String(), Changes: b.Acts,
			Last: v.asEntry(b.Last), Text: name.Clean(b.String()), Restored: withRemovals(b.Restored), Next: repairNext(b)})
	}
	return all
}

// isNews reports whether a branch has more changes that do not count, or more devices that are back,
// than those of known.
func (b uncounted) isNews(known []uncounted) bool {
	return !slices.ContainsFunc(known, func(k uncounted) bool {
		return k.Device == b.Device && k.Hash == b.Hash && b.Changes <= k.Changes && !slices.ContainsFunc(b.Restored, func(d admittedDevice) bool {
			return !slices.ContainsFunc(k.Restored, func(o admittedDevice) bool { return o.ID == d.ID })
		})
	})
}

// newUncounted returns the branches of uncounted with what was not known before.
func (v *verbs) newUncounted(known []uncounted) (all []uncounted) {
	for _, b := range v.uncounted() {
		if b.isNews(known) {
			all = append(all, b)
		}
	}
	return all
}

func (a *app) printUncounted(w *bufio.Writer, all []uncounted) {
	for _, b := range all {
		printField(w, "NOT COUNTED", b.Text)
		for _, line := range b.Next {
			fmt.Fprintf(w, "  %s\n", a.withHomeFlag(line))
		}
	}
}

// repairNext returns the way to make the changes of a branch count, in lines. A command to copy is
// a line of its own; that of another device begins with two spaces.
func repairNext(b agent.UncountedBranch) []string {
	remove := "petname device rm " + b.Device.ID.String() + " --keep " + b.Head.Hash.String()[:16]
	in := []string{"if that copy is in use, in its home, with a code of petname device add:", "  petname device join --again CODE"}
	if b.Device.Removed || b.Unadmitted {
		in[0] = "if the device is yours, in its home, with a code of petname device add:"
		for _, d := range b.Restored {
			in = append(in, fmt.Sprintf("if device %s is to go, here or on another device with the identity key:", name.Quote(d.Name)), "petname device rm "+d.ID.String())
		}
		return in
	}
	if b.Device.This {
		return append(in, "if it does not exist any more, as this home was restored from a backup, on another device of yours:", "  "+remove, "  petname device add",
			"then here, with the code:", "petname device join --again CODE")
	}
	return append(in, "if it does not exist any more, as after a restored backup, here:", remove, "petname device add",
		"then, with the code, in the home that writes as the device:", "  petname device join --again CODE")
}

// branch is one branch of a device as which two copies have written.
type branch struct {
	Hash   string    `json:"hash"` // of its last entry: for device rm --keep
	Last   time.Time `json:"last"` // the date of that entry
	Counts bool      `json:"counts"`
	Acts   []entry   `json:"acts"` // its last ones that the other branch does not have
	More   int       `json:"more"` // before these

	branchEffect
}

// branchEffect is what the choice of a branch changes for devices other than the removed one.
type branchEffect struct {
	Kept       []admittedDevice `json:"kept_removed,omitempty"` // only another branch removed them: they stay removed, except those of --restore
	Unadmitted []admittedDevice `json:"unadmitted,omitempty"`   // only another branch admitted them: they are in the book no more
}

func asBranchEffect(e petname.RemovalEffect) branchEffect {
	return branchEffect{Kept: withRemovals(e.Kept), Unadmitted: withRemovals(e.Unadmitted)}
}

// lines returns the text of the effect.
func (e branchEffect) lines(s name.Style) (all []string) {
	for _, d := range e.Kept {
		all = append(all, fmt.Sprintf("device %s stays removed: this device signs the removal by the other copy again; if it is to come back, as far as possible, add", s.Text(d.Name)), "  --restore "+d.ID)
	}
	for _, d := range e.Unadmitted {
		all = append(all, fmt.Sprintf("device %s is in your book no more, since only the other copy admitted it, until it joins again:", s.Text(d.Name)), "  "+d.ID)
	}
	return all
}

func (v *verbs) asBranches(choice *agent.BranchError) (all []branch) {
	for _, b := range choice.Branches {
		out := branch{Hash: b.Head.Hash.String(), Last: b.At, Counts: b.Counts(), More: b.More, Acts: []entry{}, branchEffect: asBranchEffect(b.Effect)}
		for _, event := range b.Acts {
			out.Acts = append(out.Acts, v.asEntry(event))
		}
		all = append(all, out)
	}
	return all
}

// branchFailure returns the failure for a device of which a branch is to be chosen.
func (v *verbs) branchFailure(choice *agent.BranchError, device string) *failure {
	f := *classify(choice)
	f.Next = "with the branch that is yours, one of"
	for _, b := range choice.Branches {
		f.Next += "\npetname device rm " + shellWord(device) + " --keep " + b.Head.Hash.String()[:16]
	}
	f.Next += "\npetname device rm " + shellWord(device) + " --keep none"
	return &f
}

// removeAfter removes a device after the entry that the arguments name, and returns the devices that
// other branches had removed: those that stay removed, and those that count again.
func (v *verbs) removeAfter(d agent.Device, a deviceArgs) (_ agent.Device, kept, restored []agent.Device, err error) {
	fail := func(err error) (agent.Device, []agent.Device, []agent.Device, error) {
		return agent.Device{}, nil, nil, err
	}
	if !d.Forked {
		return fail(usage("--keep %s: no two copies have written as the device", name.Quote(a.Keep)).With("petname device rm " + shellWord(a.Device)))
	}
	_, err = v.agent.RemoveDevice(d.ID) // removes nothing of a device that has forked
	var choice *agent.BranchError
	if !errors.As(err, &choice) {
		return fail(err)
	}
	last, effect := choice.Shared, choice.Effect
	if a.Keep != "none" {
		var found []agent.Branch
		for _, b := range choice.Branches {
			if len(a.Keep) >= 4 && strings.HasPrefix(b.Head.Hash.String(), strings.ToLower(a.Keep)) {
				found = append(found, b)
			}
		}
		if len(found) != 1 {
			return fail(usage("--keep %s: is not the hash of one branch", name.Quote(a.Keep)).With(v.branchFailure(choice, a.Device).Next))
		}
		last, effect = found[0].Head, found[0].Effect
	}
	var ids []ledger.DeviceID // to restore
	for _, text := range a.Restore {
		back, err := v.deviceBy(text)
		if err != nil {
			return fail(err)
		}
		if !slices.ContainsFunc(effect.Kept, func(d agent.Device) bool { return d.ID == back.ID }) {
			return fail(usage("--restore %s: no other copy alone removed that device", name.Quote(text)).With(v.branchFailure(choice, a.Device).Next))
		}
		ids = append(ids, back.ID)
	}
	out, err := v.agentWith(a.Passphrase).RemoveDeviceAfter(last, ids...)
	if err != nil {
		return fail(err)
	}
	now, err := v.agent.Devices()
	for _, x := range effect.Kept {
		if slices.ContainsFunc(now, func(d agent.Device) bool { return d.ID == x.ID && !d.Removed }) {
			restored = append(restored, x)
		} else {
			kept = append(kept, x)
		}
	}
	return out, kept, restored, err
}

// branchText shows the branches to choose from.
func branchText(s name.Style, all []branch, none *branchEffect) string {
	var out strings.Builder
	w := bufio.NewWriter(&out)
	for i, b := range all {
		state := "does not count now"
		if b.Counts {
			state = "counts now"
		}
		fmt.Fprintf(w, "%d  %s, last change %s\n", i+1, state, b.Last.Local().Format(time.DateTime))
		fmt.Fprintf(w, "  %s\n", b.Hash)
		if b.More > 0 {
			fmt.Fprintf(w, "    (%s before these)\n", countText(b.More, "change"))
		}
		for _, e := range b.Acts {
			fmt.Fprintf(w, "    %s  %s\n", e.At.Local().Format(time.DateTime), entryText(s, e))
		}
		for _, line := range b.lines(s) {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	if none != nil && len(none.lines(s)) > 0 {
		fmt.Fprintln(w, "none")
		for _, line := range none.lines(s) {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	_ = w.Flush()
	return out.String()
}

// askBranch asks at a terminal which branch is the owner's; empty: it was not answered.
func (a *app) askBranch(e *failure, all []branch, none *branchEffect) string {
	if !a.asks() {
		return ""
	}
	_ = writeRows(a.stderr, cleanLines(e.Message)+"\n"+branchText(a.style(), all, none)+"Which is yours? Type its number, or none: ", terminalWidth(a.stderr))
	answer := a.answered(func() string { return readLine(a.stdin) })
	if err := a.ctx.Err(); err != nil {
		*e = *classify(err)
		return ""
	}
	if answer == "none" {
		return answer
	}
	for i, b := range all {
		if answer == fmt.Sprint(i+1) {
			return b.Hash
		}
	}
	return ""
}

// asks reports whether questions can be asked on the terminal.
func (a *app) asks() bool {
	return !a.json && !a.noInput && isTerminal(a.stdin) && isTerminal(a.stderr)
}

// answered returns what read returns, or an empty text when the command is interrupted before: a
// read of a terminal goes on until the process ends.
func (a *app) answered(read func() string) string {
	answer := make(chan string, 1)
	go func() { answer <- read() }()
	select {
	case text := <-answer:
		return text
	case <-a.ctx.Done():
		return ""
	}
}

// readLine returns the next line, without spaces around it; empty if it has no end.
func readLine(r io.Reader) string {
	var line []byte
	for b := make([]byte, 1); len(line) < 100; {
		if n, err := r.Read(b); n == 0 || err != nil {
			return ""
		}
		if b[0] == '\n' {
			return strings.TrimSpace(string(line))
		}
		line = append(line, b[0])
	}
	return ""
}

// rejoined is what device join did in a home that has joined again as a new device.
type rejoined struct {
	Reentered int               `json:"reentered"`
	Conflicts []reentryConflict `json:"conflicts"`
	Resent    int               `json:"messages_resent"`
	Unsent    []unsent          `json:"unsent"`
	OldBook   string            `json:"old_book"`
	remove    string            // the command that removes the old device; empty: it was removed
}

// reentryConflict is a change that was left out.
type reentryConflict struct {
	Op     string    `json:"op"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`          // name_taken, removed, changed, contradiction, undo, unreadable
	About  string    `json:"pointer"`         // of the contact; empty: none
	Mine   string    `json:"mine"`            // what the change led to: a name or a label, cleaned
	Theirs string    `json:"theirs"`          // what the book has in its place
	Other  string    `json:"other,omitempty"` // the pointer of the contact that has the name
}

// unsent is a message, or an invitation, that the new device does not continue.
type unsent struct {
	Kind string `json:"kind"` // mutual, former_key, invitation
	To   string `json:"to"`   // the pointer of the recipient; empty: none
}

func asRejoined(r *agent.Rejoined) *rejoined {
	if r == nil {
		return nil
	}
	out := &rejoined{Reentered: r.Entered, Conflicts: []reentryConflict{}, Resent: r.Messages, Unsent: []unsent{}, OldBook: r.OldBook}
	for _, c := range r.Conflicts {
		out.Conflicts = append(out.Conflicts, asReentryConflict(c))
	}
	for _, u := range r.Unsent {
		one := unsent{Kind: string(u.What)}
		if !u.To.IsZero() {
			one.To = u.To.String()
		}
		out.Unsent = append(out.Unsent, one)
	}
	return out
}

func asReentryConflict(c petname.ReentryConflict) reentryConflict {
	out := reentryConflict{Op: c.Op, At: c.At, Reason: string(c.Reason), Mine: name.Clean(c.Mine), Theirs: name.Clean(c.Theirs)}
	if !c.Contact.IsZero() {
		out.About = c.Contact.String()
	}
	if !c.Other.IsZero() {
		out.Other = c.Other.String()
	}
	return out
}

// text describes a conflict in one line.
func (c reentryConflict) text(s name.Style) string {
	switch c.Op {
	case petname.OpAdmit:
		return fmt.Sprintf("the admission of device %q, which is in your book no more; if it is yours, in its home, with a code of petname device add: petname device join --again CODE", c.Mine)
	case petname.OpRetire:
		return fmt.Sprintf("the removal of device %q, which counts again; if it is to go: petname device rm %s", c.Mine, shellWord(c.Mine))
	}
	about := ""
	if c.About != "" {
		about = " " + nickname(s, "", c.About)
	}
	mine, theirs := "", ""
	if c.Mine != "" {
		mine = " " + fmt.Sprintf("%q", c.Mine)
	}
	if c.Theirs != "" {
		theirs = fmt.Sprintf("; your book has %q", c.Theirs)
	}
	return c.Op + mine + about + theirs + " (" + strings.ReplaceAll(c.Reason, "_", " ") + ")"
}

// decideReentry returns the function that asks about conflicts at a terminal; nil: there is none.
func (a *app) decideReentry() func(petname.ReentryConflict) (bool, error) {
	if !a.asks() {
		return nil
	}
	return func(c petname.ReentryConflict) (bool, error) {
		question := "what was written here conflicts with your book:\n  " + asReentryConflict(c).text(a.style())
		if c.Reason == petname.ReentryTaken {
			question += "\n  (mine removes the contact that has the name)"
		}
		_ = writeRows(a.stderr, question+"\nKeep which? Type theirs or mine: ", terminalWidth(a.stderr))
		return a.answered(func() string { return readLine(a.stdin) }) == "mine", a.ctx.Err()
	}
}

func printRejoined(w *bufio.Writer, s name.Style, r rejoined) {
	printField(w, "entered anew", countText(r.Reentered, "change"))
	for _, c := range r.Conflicts {
		printField(w, "LEFT OUT", c.text(s))
	}
	if r.Resent > 0 {
		printField(w, "sent again", countText(r.Resent, "message"))
	}
	for _, u := range r.Unsent {
		text := map[string]string{"mutual": "a message of a mutual introduction: introduce them again",
			"former_key": "a message signed with your former key: send it again", "invitation": "an invitation or a code: make a new one"}[u.Kind]
		if u.To != "" {
			text += " (to " + nickname(s, "", u.To) + ")"
		}
		printField(w, "NOT CONTINUED", text)
	}
	printCopied(w, "the old book, until you remove it", r.OldBook)
	if r.remove != "" {
		printCopied(w, "the old device stays in the book; if no copy of the home uses it, with the identity key", r.remove)
	}
}
