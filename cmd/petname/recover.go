package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/agent/libp2p"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/pointer"
)

func (a *app) recoverVerb() *cobra.Command {
	var r home.RecoverOptions
	var networks []string
	cmd := &cobra.Command{
		Use:   "recover FILE",
		Short: "Make a home from a recovery file, after yours was lost",
		Long: `Make a home from the recovery file that init or key rotate wrote, and from
nothing else. Your pointer is then that of the next key. A last record of the
old key, valid for 20 years, leads your followers on to it. An existing home is
never overwritten. The recovery file may be within another text, such as a mail.

If another device of yours with the identity key works, make no home: rotate
there, with petname key rotate --next FILE --recovery NEWFILE. A device without
the key has the book, and cannot take over the identity.

Lost are the book, unless a backup or such a device has it; the value that you
published; and the keys of the old home for messages: what was sent to it and
not read yet cannot be read any more.

The key after the next is in a new recovery file: the one given with --recovery,
or else FILE.next. It has the passphrase of the old one, and so has the home.
Destroy the old file.

With --join, both records are published at once; without it, nothing leaves
this machine, and publish stores both after join.`,
		Example: `  petname recover /media/stick/alice.key --home new --passphrase-file pass.txt
  petname recover alice.key --recovery alice2.key --join ipfs --passphrase-file pass.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			r.File, r.WorkFactor = args[0], a.work
			if r.Passphrase, err = a.recoveryPassphrase(r.File); err != nil {
				return err
			}
			out, err := a.recover(dir, r, networks)
			if out.UsedBefore != "" {
				a.warn("the recovery file was used before: a home with this key may have been made, to which this belongs:\n  %s\nuse one home alone for one identity", out.UsedBefore)
			}
			warnCopy(a, out.OtherCopy)
			err = a.printResult(out, err, out.Pointer != "", func(w *bufio.Writer) { printRecovered(w, out, r.File, a.clock()) })
			if err == nil && !out.Published.New {
				a.hint("\nlet people know:\n  petname join --help\n  petname publish")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&r.Recovery, "recovery", "", "new recovery `file` (default: FILE.next)")
	cmd.Flags().StringArrayVar(&networks, "join", nil, "a `network` to join, as for the verb join; may be repeated")
	return cmd
}

// recovered is the result of recover.
type recovered struct {
	Pointer      string     `json:"pointer"`  // the new one
	Old          string     `json:"old"`      // the one before
	Nickname     string     `json:"nickname"` // of the old pointer when the file was written
	Link         string     `json:"link"`
	RecoveryFile string     `json:"recovery_file"` // the new one
	Until        *time.Time `json:"until"`         // the end of the last record of the old key; null: there is none
	Sequence     uint64     `json:"sequence"`      // of the record of the new pointer; 0: none was signed
	Published    struct {
		Old bool `json:"old"` // the last record of the old pointer is stored in a network
		New bool `json:"new"` // the record of the new pointer is
	} `json:"published"`
	Lost       []string   `json:"lost"`                  // "book", "value", "device_key", "sealing_keys"; "former": last records of pointers before the old one; "nickname": this version refuses it
	OtherCopy  *otherCopy `json:"other_copy,omitempty"`  // the new key is in use in another home; null: not known
	UsedBefore string     `json:"used_before,omitempty"` // the new recovery file of an earlier recovery from the same file
	Missing    []string   `json:"missing"`               // what the recovery file does not have: "last_record", "old_signature"
	Clock      string     `json:"clock,omitempty"`       // what contradicts this machine's clock
}

// besideFile reports whether an error is about a file in the folder of another file.
func besideFile(err *fs.PathError, file string) bool {
	if err == nil {
		return false
	}
	at, aerr := filepath.Abs(err.Path)
	of, oerr := filepath.Abs(file)
	return aerr == nil && oerr == nil && filepath.Dir(at) == filepath.Dir(of)
}

func (a *app) recover(dir string, r home.RecoverOptions, networks []string) (out recovered, err error) {
	o := agent.Options{Transport: libp2p.New(libp2p.Options{Timeout: a.timeout}), Now: a.now}
	ag, result, err := agent.Recover(a.ctx, dir, r, o, networks...)
	if ag != nil {
		defer func() {
			if cerr := ag.Close(); cerr != nil && err == nil {
				err = classify(cerr)
			}
		}()
	}
	if err != nil && result.New.IsZero() {
		var path *fs.PathError
		if errors.As(err, &path) && path.Path == r.File {
			return out, usage("%v", onPath("recovery file", r.File, path))
		}
		if kind := (*durable.KindError)(nil); errors.As(err, &kind) && kind.Path == r.File {
			return out, usage("recovery file: %v", kind)
		}
		f := classify(err)
		if besideFile(path, r.File) && r.Recovery == "" && durable.ReadOnly(err) {
			f = f.With("write the new recovery file elsewhere:\npetname recover " + shellPath(r.File) + " --recovery NEWFILE")
		}
		return out, f
	}
	out = recovered{Pointer: result.New.String(), Old: result.Old.String(), Nickname: result.Nickname, RecoveryFile: result.RecoveryFile,
		Until: timeOrNull(result.Until), Sequence: result.Sequence, Lost: []string{"book", "value", "device_key", "sealing_keys"}, Missing: []string{}}
	if ag != nil {
		if link, lerr := ag.Link(); lerr == nil {
			out.Link = link.String()
		}
		if id, ierr := ag.Identity(); ierr == nil && slices.ContainsFunc(id.LastRecords, func(r agent.LastRecord) bool { return r.Until.IsZero() && r.Pointer != result.Old }) {
			out.Lost = append(out.Lost, "former")
		}
	}
	if result.NicknameLost {
		out.Lost = append(out.Lost, "nickname")
	}
	if result.Until.IsZero() {
		out.Missing = []string{"last_record", "old_signature"}
	}
	out.OtherCopy, out.UsedBefore = asOtherCopy(result.OtherCopy), result.UsedBefore
	out.Clock = result.Clock
	out.Published.New = result.Receipt.Stored > 0
	for _, p := range result.Former {
		out.Published.Old = out.Published.Old || p == result.Old
	}
	switch {
	case err != nil:
		return out, withClock(madeHome(err), out.Clock)
	case result.Problem == nil, len(networks) == 0 && errors.Is(result.Problem, agent.ErrNotJoined):
		return out, nil
	}
	failed := *classify(result.Problem)
	if errors.Is(result.Problem, agent.ErrNotLedOn) {
		failed.Message = "the home is made and its record is stored, but " + failed.Message
		return out, withClock(&failed, out.Clock)
	}
	failed.Message = "the home is made, but its records are not stored as widely as wanted: " + failed.Message
	failed.Next = "petname publish"
	if errors.As(result.Problem, new(*pointer.ExpiredError)) { // the record ended before it was stored
		failed.Next = "set the clock of this machine, then:\npetname publish"
	}
	return out, withClock(&failed, out.Clock)
}

// madeHome returns the failure of a recovery that has made the home: a second one is not
// what comes next.
func madeHome(err error) *failure {
	failed := *classify(err)
	failed.Message = "the home is made, but not all that follows is done: " + failed.Message
	switch failed.Code {
	case "copied": // it has a next step of its own
	case "disk_full":
		failed.Next = "make room on the disk, then:\npetname publish"
	default:
		failed.Next = "petname doctor\npetname publish"
	}
	return &failed
}

func printRecovered(w *bufio.Writer, out recovered, file string, now time.Time) {
	fmt.Fprintf(w, "your pointer is now\n  %s\n", out.Pointer)
	printField(w, "succeeds", out.Old)
	if out.Clock != "" {
		printField(w, "CLOCK", out.Clock)
	}
	switch {
	case out.Until != nil && out.Until.Before(now):
		printField(w, "NOT LED ON", "the last record of the old key has ended on "+out.Until.Local().Format(time.DateTime)+".")
		printField(w, "", "Hand out your new link")
	case out.Until != nil && out.Published.New && !out.Published.Old:
		printField(w, "NOT LED ON", "the last record of the old key is not stored. Hand out your new link")
	case out.Until != nil:
		printField(w, "led on", "followers of the old pointer, until "+out.Until.Local().Format(time.DateTime))
	default:
		printField(w, "NOT LED ON", "this recovery file is of an older version: it has no last record of the old key")
		printField(w, "", "and no signature of it. Hand out your new link; contacts have to confirm it")
	}
	switch {
	case out.Published.Old && out.Published.New:
		printField(w, "published", "the records of both pointers")
	case out.Published.New:
		printField(w, "published", "the record of the new pointer")
	default:
		printField(w, "published", "nothing yet: after petname join, petname publish stores the records of both pointers")
	}
	printField(w, "lost", "the book, unless a backup or another device with the identity key has it")
	printField(w, "", "the value that was published")
	printField(w, "", "the device key and the sealing keys: messages to the old home that were not read")
	if slices.Contains(out.Lost, "nickname") {
		printField(w, "", "the nickname, which this version does not permit")
	}
	if slices.Contains(out.Lost, "former") {
		printField(w, "", "the last records of pointers before that one: see petname id")
	}
	fmt.Fprintf(w, "if another device with the identity key has the book, use the key there, and not this home:\n  petname key rotate --despite-copy --next %s --recovery NEWFILE --passphrase-file FILE\n", shellPath(file))
	if out.RecoveryFile != "" {
		fmt.Fprintf(w, "your new recovery file is\n  %s\n", out.RecoveryFile)
	}
}
