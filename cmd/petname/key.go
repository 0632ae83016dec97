package main

import (
	"bufio"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
)

func (a *app) keyVerb() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "key",
		Short:   "Go on to your next key",
		Example: `  petname key rotate`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.keyRotateVerb())
	return cmd
}

func (a *app) keyRotateVerb() *cobra.Command {
	var request engine.RotateArgs
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Go on to your next key, and so to a new pointer",
		Long: `Go on to the key that your cards have committed to, which makes you a new
pointer. Whoever has your link, or has seen your card, follows: they hold the
commitment, and only that key opens it. The old key signs one last record, and
is then overwritten; publish stores both records.

Do it when the old key may be in others' hands, and keep the next one elsewhere:
with --next it comes from the recovery file that init wrote, and --recovery
names a new file for the key after it.`,
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
					return engine.Classify(err)
				}
			}
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			if request.Recovery != "" && request.Passphrase == "" {
				return engine.Usage("--recovery writes an encrypted file, and needs a passphrase").
					With("petname key rotate --recovery FILE --passphrase-file FILE")
			}
			var out engine.Rotated
			err = a.ask("rotate", request, &out)
			err = a.show(out, err, err == nil, func(w *bufio.Writer) {
				fmt.Fprintf(w, "your pointer is now\n  %s\n", out.Pointer)
				field(w, "succeeds", out.Former[len(out.Former)-1])
				field(w, "next key", out.Recovery)
			})
			if err == nil {
				a.hint("\nlet people know:\n  petname publish\nand hand out your new link:\n  petname id")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&request.Next, "next", "", "the recovery `file` that has the next key")
	cmd.Flags().StringVar(&request.Recovery, "recovery", "", "new `file` to keep the key after it in, instead of this home")
	return cmd
}
