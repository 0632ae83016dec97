package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/petnames-go/petnames/ledger/durable"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/spf13/cobra"
)

func (a *app) keyVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:        "key",
		SuggestFor: []string{"rotate"},
		Short:      "Rotate to your next key",
		Long: `Replace the identity key. The next key is known to your contacts before it is
needed, by a commitment in your link and in your cards: see petname key rotate.
To make a home from a recovery file, see petname recover.`,
		Example: `  petname key rotate`,
		Args:    cobra.NoArgs,
		RunE:    a.helpOnly,
	}
	cmd.AddCommand(a.keyRotateVerb())
	return cmd
}

func (a *app) keyRotateVerb() *cobra.Command {
	var request rotateArgs
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Rotate to your next key, which changes your pointer",
		Long: `Replace the identity key by the next key. Your pointer changes. Your link and
your cards have a commitment to the next key: the homes of your contacts verify
the rotation with it, and keep the names that they have for you. The old key
signs a last record, valid for 20 years, and is then erased; publish stores both
records.

Rotate when another party may have the old key. If a device of yours was lost or
stolen, remove it first, with petname device rm: your other devices receive the
new key by petname sync, not through a folder. The next key should then be in
no place that this party could read: --next reads it from the recovery file that
was written last, and --recovery writes the key after it to a new file. Destroy
the old recovery file then.

A rotation that was interrupted is finished when the home is next used, or
reverted if the key had not changed. Rotating again finishes it, once.`,
		Example: `  petname key rotate
  petname key rotate --next alice.key --recovery alice2.key --passphrase-file pass.txt`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var err error
			for _, file := range []*string{&request.Next, &request.Recovery} {
				if *file == "" {
					continue
				}
				if *file, err = filepath.Abs(*file); err != nil { // the node may run elsewhere
					return classify(err)
				}
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			if request.Recovery != "" && request.Passphrase == "" {
				return usage("--recovery writes an encrypted file, and needs a passphrase").
					With("petname key rotate --recovery FILE --passphrase-file FILE")
			}
			var out rotated
			err = a.call("rotate", request, &out)
			if out.Resumed {
				a.warn("an interrupted rotation was finished, and the key was not rotated again")
			}
			err = a.printResult(out, err, out.Pointer != "", func(w *bufio.Writer) {
				if a.quiet {
					fmt.Fprintln(w, out.Pointer)
					return
				}
				fmt.Fprintf(w, "your pointer is now\n  %s\n", out.Pointer)
				printField(w, "succeeds", out.Former[len(out.Former)-1])
				printField(w, "next key", agent.NextKeyText(out.Recovery, out.Added))
				if out.RecoveryFile != "" {
					fmt.Fprintf(w, "your new recovery file is\n  %s\n", out.RecoveryFile)
				}
			})
			for _, d := range out.Unconfirmed {
				a.warn("%s does not receive the new key: only a device that you removed had admitted it with the key. If it is yours:\n  %s\nif not:\n  petname device rm %s", name.Quote(d.Name), confirmCommand(d.ID), d.ID)
			}
			if err == nil {
				publish := "petname publish"
				if request.DespiteCopy { // the copy may have published under the new key
					publish += " --despite-copy"
				}
				a.hint("\npublish both records:\n  %s\nand send out your new link:\n  petname id", publish)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.Next, "next", "", "the recovery `file` with the next key")
	cmd.Flags().StringVar(&request.Recovery, "recovery", "", "new recovery `file` for the key after it, instead of this home")
	cmd.Flags().BoolVar(&request.DespiteCopy, "despite-copy", false, "rotate although another copy of this home did, or another device published what this one lacks: only if that one is gone")
	return cmd
}

// rotateArgs are the arguments of key rotate.
type rotateArgs struct {
	Next       string `json:"next"`     // absolute path of the recovery file with the next key; empty: the home has it
	Recovery   string `json:"recovery"` // absolute path of a new recovery file for the key after the next; empty: the home
	Passphrase string `json:"passphrase,omitempty"`

	DespiteCopy bool `json:"despite_copy"` // rotate although another copy of the home has
}

// rotated is the result of key rotate.
type rotated struct {
	identity
	Former       []string `json:"former"`                  // previous pointers, oldest first
	RecoveryFile string   `json:"recovery_file,omitempty"` // the new recovery file; empty: none
	Resumed      bool     `json:"resumed,omitempty"`       // an interrupted rotation was finished, and no new one was made
	Unconfirmed  []device `json:"unconfirmed,omitempty"`   // devices that do not receive the key before they are confirmed
}

func (v *verbs) rotate(ctx context.Context, a rotateArgs) (*rotated, error) {
	r, err := v.agentOnlyWith(a.Passphrase).Rotate(ctx, agent.Rotation{Next: a.Next, Recovery: a.Recovery, WorkFactor: v.work, DespiteCopy: a.DespiteCopy})
	var kind *durable.KindError
	switch {
	case errors.As(err, new(*home.UnfinishedError)):
	case errors.Is(err, fs.ErrNotExist) && a.Next != "", errors.As(err, &kind) && kind.Path == a.Next:
		return nil, usage("%v", err)
	case errors.Is(err, home.ErrRecoveryInHome):
		return nil, usage("%v", err).With("name a file outside of " + v.agent.Dir())
	case errors.Is(err, home.ErrNextElsewhere):
		return nil, v.nextElsewhere(err, a.DespiteCopy)
	case err != nil:
		return nil, err
	}
	if len(r.Former) == 0 { // it cannot be read back
		return nil, err
	}
	out := &rotated{identity: asIdentity(r.Identity), Former: pointerTexts(r.Former), Resumed: r.Resumed}
	if !r.Resumed {
		out.RecoveryFile = a.Recovery
	}
	devices, derr := v.agent.Devices()
	for _, d := range devices {
		if one := asDevice(d); one.Unconfirmed {
			out.Unconfirmed = append(out.Unconfirmed, one)
		}
	}
	return out, cmp.Or(err, derr)
}

// nextElsewhere returns the failure of a rotation to a key that is not in this home.
func (v *verbs) nextElsewhere(err error, despite bool) *failure {
	f := *classify(err)
	if despite {
		f.Next = strings.Replace(f.Next, "key rotate", "key rotate --despite-copy", 1)
	}
	if id, ierr := v.agent.Identity(); ierr == nil && id.Added {
		f.Message = "the next key is not on this device: it is on the device that made it, or in the recovery file that was written last"
		f.Next = "rotate on the device that has the key, or with the recovery file:\n" + f.Next
	}
	return &f
}
