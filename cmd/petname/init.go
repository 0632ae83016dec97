package main

import (
	"bufio"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/home"
)

func (a *app) initVerb() *cobra.Command {
	var plan home.CreateOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Create a home: your keys and an empty book",
		Long: `Create a home, the folder of one identity: an identity key, the next key, a key
for this device, and an empty book. An existing home is never overwritten.

With --passphrase-file the identity key is encrypted: naming, listing and
resolving work without the passphrase. With --recovery the next key is stored in
that file only, under the same passphrase: keep the file off this computer.`,
		Example: `  petname init
  petname init --nickname "Alice L"
  petname init --passphrase-file pass.txt --recovery /media/stick/alice.key`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.dir()
			if err != nil {
				return err
			}
			if a.passphraseFile != "" {
				if plan.Passphrase, err = home.ReadPassphrase(a.passphraseFile); err != nil {
					return usage("%v", err)
				}
			}
			if plan.Recovery != "" && plan.Passphrase == "" {
				return usage("--recovery writes an encrypted file, and needs a passphrase").
					With("petname init --recovery FILE --passphrase-file FILE")
			}
			plan.WorkFactor = a.work
			var id identity
			err = a.create(dir, plan)
			if err == nil || needsResult(err) { // if the home exists, print its identity
				ierr := a.call("id", noArgs{}, &id)
				if err == nil {
					err = ierr
				}
			}
			err = a.printResult(struct {
				Pointer  string `json:"pointer"`
				Nickname string `json:"nickname"`
				Device   string `json:"device"`
				Next     string `json:"next"`
				Recovery string `json:"recovery"`
			}{id.Pointer, id.Nickname, id.Device, id.Next, id.Recovery}, err, err == nil, func(w *bufio.Writer) {
				if a.quiet {
					fmt.Fprintln(w, id.Pointer)
					return
				}
				fmt.Fprintf(w, "your pointer is\n  %s\n", id.Pointer)
				fmt.Fprintf(w, "your next key is %s\n", agent.NextKeyText(id.Recovery, id.Added))
			})
			if err == nil {
				a.hint("\nsend your link to your contacts:\n  petname id")
			}
			return err
		},
	}
	cmd.Flags().StringVar(&plan.Nickname, "nickname", "", "your `name` for yourself, at most 64 bytes; public when you publish")
	cmd.Flags().StringVar(&plan.Recovery, "recovery", "", "new `file` for the next key, instead of this home")
	return cmd
}

// create creates a home.
func (a *app) create(dir string, plan home.CreateOptions) error {
	if plan.Nickname != "" {
		if _, err := petname.CheckLabel(plan.Nickname); err != nil {
			return classify(err)
		}
	}
	if _, err := home.Create(dir, plan); err != nil {
		return classify(err)
	}
	return nil
}
