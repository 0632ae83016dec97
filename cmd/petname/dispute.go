package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/cmd/petname/internal/engine"
	"github.com/petnames-go/petnames/petname/name"
)

// writeNew writes what a verb made to a file that isn't there yet, or to
// standard output. JSON has it in the object.
func (a *app) writeNew(file string, b []byte) error {
	if file == "-" {
		if a.json {
			return nil
		}
		_, err := a.stdout.Write(b)
		return err
	}
	if err := writeFile(file, b); err != nil {
		return engine.Classify(err)
	}
	return nil
}

// carried writes a statement that is to be carried as a file, and notes in the
// result where. done: it is on standard output, and nothing is left to show.
func (a *app) carried(file string, armored *[]byte, at *string) (done bool, err error) {
	if err := a.writeNew(file, *armored); err != nil {
		return false, err
	}
	if file == "-" {
		return !a.json, nil
	}
	*at, *armored = file, nil
	return false, nil
}

// freeFile refuses the name of a file that is there already.
func freeFile(file string) error {
	if file == "" || file == "-" {
		return nil
	}
	if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() || err == nil && info.IsDir() {
		return engine.Usage("-o %q: there is a file of that name already", file)
	}
	return nil
}

// proof writes what proves that an introducer gave a wrong key.
func (a *app) proof(contact, file string) error {
	if err := freeFile(file); err != nil {
		return err
	}
	var out engine.Proof
	if err := a.ask("proof", engine.NameArgs{Name: contact}, &out); err != nil {
		return err
	}
	if done, err := a.carried(file, &out.Armored, &out.File); done || err != nil {
		return err
	}
	return a.show(out, nil, true, func(w *bufio.Writer) { contradictions(w, a.style(), out.Contradictions) })
}

func contradictions(w *bufio.Writer, st name.Style, all []engine.Contradiction) {
	for _, c := range all {
		fmt.Fprintf(w, "%s introduced\n", nickname(st, "", c.By))
		field(w, "as", nickname(st, c.Suggested, c.Pointer))
		field(w, "on", c.Made.Local().Format(time.DateTime))
		field(w, "to", nickname(st, "", c.To))
		field(w, "DENIED BY", nickname(st, "", c.DeniedBy)+", "+c.Denied.Local().Format(time.DateTime))
	}
}

func (a *app) evidenceVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "evidence FILE",
		Short: "Check the proof that somebody introduced a wrong key",
		Long: `Verify what petname why -o wrote, anybody's: that the introducer signed that a
key is somebody's, and that the holder of another key signed that it isn't
theirs. It needs no home. Whose the other key is, you know if you paired with
its owner.

Exit status 6 if it doesn't verify.`,
		Example: `  petname evidence proof.txt`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := a.readUpTo(args[0], maxStdin+1)
			if err != nil {
				return err
			}
			out, err := engine.CheckProof(text)
			if err != nil {
				return engine.Classify(err)
			}
			return a.show(out, nil, true, func(w *bufio.Writer) {
				fmt.Fprintln(w, "verified:")
				contradictions(w, a.style(), out.Contradictions)
			})
		},
	}
}

func (a *app) disputeVerb() *cobra.Command {
	var request engine.DisputeArgs
	var file string
	cmd := &cobra.Command{
		Use:   "dispute NAME",
		Short: "Ask somebody whether the other key that you were given is theirs",
		Long: `When you accepted somebody instead of a key that you were introduced to before,
ask them about that other key. They see the introduction that was signed, and
can deny that the key is theirs: petname deny. Their denial and the introduction
prove to anybody who said what: petname why NAME -o FILE.

It travels like an introduction: sealed, or with -o as a file.`,
		Example: `  petname dispute bob
  petname dispute bob -o for-bob.txt`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeNames,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := freeFile(file); err != nil {
				return err
			}
			request.Name, request.File = args[0], file != ""
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out engine.Disputed
			err = a.ask("dispute", request, &out)
			return a.disputed(out, err, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	return cmd
}

// disputed shows a question or a denial, and writes it if it is to be carried.
func (a *app) disputed(out engine.Disputed, err error, file string) error {
	if err == nil && file != "" {
		if done, err := a.carried(file, &out.Armored, &out.File); done || err != nil {
			return err
		}
	}
	return a.show(out, err, out.Sent != "", func(w *bufio.Writer) {
		st := a.style()
		to := nickname(st, "", out.To)
		if out.ToName != "" {
			to = shownName(st, out.ToName)
		}
		fmt.Fprintf(w, "%s %s\n", sentText(out.Sent), to)
		for _, p := range out.Pointers {
			field(w, "about", p)
		}
	})
}

func (a *app) denyVerb() *cobra.Command {
	var request engine.DenyArgs
	var file string
	cmd := &cobra.Command{
		Use:   "deny N|FILE",
		Short: "Deny that a key that was introduced as yours is yours",
		Long: `Answer a question in your inbox (petname dispute asks it): sign that the key
which somebody introduced as yours isn't. N and FILE are as for accept. Whoever
gets your answer can show it to others, with the introduction.

Your own keys, those of before among them, can't be denied.`,
		Example:           `  petname deny 482133`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeSuggestions,
		RunE: func(_ *cobra.Command, args []string) (err error) {
			if err := freeFile(file); err != nil {
				return err
			}
			if err := a.suggestionOrFile(args[0], &request.ID, &request.Text); err != nil {
				return err
			}
			request.File = file != ""
			if request.Passphrase, err = a.passphrase(); err != nil {
				return err
			}
			var out engine.Disputed
			err = a.ask("deny", request, &out)
			if e := (*engine.Error)(nil); errors.As(err, &e) && e.Code == "own_pointer" {
				return e.With("petname decline " + engine.ShellWord(args[0]))
			}
			return a.disputed(out, err, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	return cmd
}
