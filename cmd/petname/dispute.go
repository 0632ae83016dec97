package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/agent"
	"github.com/petnames-go/petnames/petname/introduce"
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
		return classify(err)
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
		return usage("-o %q: there is a file of that name already", file)
	}
	return nil
}

// proof writes what proves that an introducer gave a wrong key.
func (a *app) proof(contact, file string) error {
	if err := freeFile(file); err != nil {
		return err
	}
	var out proof
	if err := a.ask("proof", nameArgs{Name: contact}, &out); err != nil {
		return err
	}
	if done, err := a.carried(file, &out.Armored, &out.File); done || err != nil {
		return err
	}
	return a.show(out, nil, true, func(w *bufio.Writer) { contradictions(w, a.style(), out.Contradictions) })
}

func contradictions(w *bufio.Writer, st name.Style, all []contradiction) {
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
			out, err := checkProof(text)
			if err != nil {
				return classify(err)
			}
			return a.show(out, nil, true, func(w *bufio.Writer) {
				fmt.Fprintln(w, "verified:")
				contradictions(w, a.style(), out.Contradictions)
			})
		},
	}
}

func (a *app) disputeVerb() *cobra.Command {
	var request disputeArgs
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
			var out disputed
			err = a.ask("dispute", request, &out)
			return a.disputed(out, err, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	return cmd
}

// disputed shows a question or a denial, and writes it if it is to be carried.
func (a *app) disputed(out disputed, err error, file string) error {
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
	var request denyArgs
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
			var out disputed
			err = a.ask("deny", request, &out)
			if e := (*failure)(nil); errors.As(err, &e) && e.Code == "own_pointer" {
				return e.With("petname decline " + shellWord(args[0]))
			}
			return a.disputed(out, err, file)
		},
	}
	cmd.Flags().StringVarP(&file, "output", "o", "", "write it to a `file` instead of sending it; - for standard output")
	return cmd
}

// contradiction is an introduction, and the denial of its key.
type contradiction struct {
	By        string    `json:"by"` // pointer of the introducer
	To        string    `json:"to"`
	Pointer   string    `json:"pointer"` // that was introduced
	Suggested string    `json:"suggested"`
	Made      time.Time `json:"made"`
	DeniedBy  string    `json:"denied_by"` // pointer of the contact that denies it
	Denied    time.Time `json:"denied"`
}

// proof is the result of why -o, and of evidence.
type proof struct {
	Contradictions []contradiction `json:"contradictions"`
	File           string          `json:"file,omitempty"`
	Armored        []byte          `json:"armored,omitempty"`
}

// proof returns what proves that introducers gave wrong keys for a contact.
func (v *verbs) proof(_ context.Context, a nameArgs) (*proof, error) {
	c, err := v.agent.Lookup(a.Name)
	if err != nil {
		return nil, err
	}
	all, err := v.agent.Contradictions(c.ID)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, &failure{Code: "not_found", Exit: exitNotFound, Message: "nothing on record about " + c.Pointer.String() + " contradicts an introduction",
			Next: "petname dispute " + shellWord(a.Name)}
	}
	out := &proof{Contradictions: []contradiction{}}
	for _, one := range all {
		out.Contradictions = append(out.Contradictions, asContradiction(one))
		out.Armored = append(out.Armored, introduce.Armor(one.Bytes())...)
	}
	return out, nil
}

func asContradiction(c introduce.Contradiction) contradiction {
	i, d := c.Introduction(), c.Denial()
	return contradiction{By: i.By.String(), To: i.To.String(), Pointer: i.About.String(),
		Suggested: name.Clean(i.Suggested), Made: i.Made, DeniedBy: d.By.String(), Denied: d.Made}
}

// checkProof verifies the contradictions in a text: pairs of an introduction and
// its denial.
func checkProof(text []byte) (*proof, error) {
	statements, err := introduce.Dearmor(text)
	if err != nil {
		return nil, err
	}
	if len(statements)%2 != 0 {
		return nil, &failure{Code: "invalid", Exit: exitUnverified, Message: "an introduction without a denial, or the other way round, proves nothing"}
	}
	out := &proof{Contradictions: []contradiction{}}
	for i := 0; i < len(statements); i += 2 {
		one, err := introduce.OpenContradiction(statements[i], statements[i+1])
		if err != nil {
			return nil, err
		}
		out.Contradictions = append(out.Contradictions, asContradiction(one))
	}
	return out, nil
}

// disputeArgs are the arguments of dispute.
type disputeArgs struct {
	Name       string `json:"name"`
	File       bool   `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
}

// disputed is the result of dispute and of deny.
type disputed struct {
	To       string   `json:"to"`
	ToName   string   `json:"to_name"`
	Pointers []string `json:"pointers"` // the keys that are asked about, or denied
	Sent     string   `json:"sent"`     // as in introduce
	File     string   `json:"file"`
	Armored  []byte   `json:"armored,omitempty"`
}

func asDisputed(s agent.Statements, file bool) *disputed {
	out := &disputed{To: s.To.Pointer.String(), ToName: s.To.Name.String(), Pointers: append([]string{}, pointerTexts(s.Pointers)...), Sent: string(s.Sent)}
	if file {
		out.Sent = "file"
		for _, signed := range s.Signed {
			out.Armored = append(out.Armored, introduce.Armor(signed.Bytes())...)
		}
	}
	return out
}

func (v *verbs) dispute(ctx context.Context, a disputeArgs) (*disputed, error) {
	s, err := v.with(a.Passphrase).Dispute(ctx, a.Name, a.File)
	if errors.Is(err, agent.ErrNothingToDispute) {
		return nil, &failure{Code: "not_found", Exit: exitNotFound, Message: "no key that was introduced to you gave way to " + s.To.Pointer.String() + ": there is nothing to ask",
			Next: "petname why " + shellWord(a.Name)}
	}
	if len(s.Signed) == 0 {
		return nil, err
	}
	return asDisputed(s, a.File), delivery(s.Sent, err)
}

// denyArgs are the arguments of deny.
type denyArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	File       bool   `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
}

func (v *verbs) deny(ctx context.Context, a denyArgs) (*disputed, error) {
	asked, err := v.meant(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if asked.Kind != petname.Question {
		return nil, usage("%s asks nothing of you", asked.ID).With("petname inbox")
	}
	s, err := v.with(a.Passphrase).Deny(ctx, asked.ID, a.File)
	if len(s.Signed) == 0 {
		return nil, err
	}
	return asDisputed(s, a.File), delivery(s.Sent, err)
}
