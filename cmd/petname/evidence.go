package main

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// writeProof writes the proof that an introducer introduced a wrong key.
func (a *app) writeProof(contact, file string) error {
	if err := checkNewFile(file); err != nil {
		return err
	}
	var out proof
	if err := a.call("proof", nameArgs{Name: contact}, &out); err != nil {
		return err
	}
	done, err := a.writeStatement(file, &out.Armored, &out.File)
	if done {
		return err
	}
	return a.printResult(out, err, true, func(w *bufio.Writer) { printContradictions(w, a.style(), out.Contradictions) })
}

func printContradictions(w *bufio.Writer, st name.Style, all []contradiction) {
	for _, c := range all {
		fmt.Fprintf(w, "%s introduced\n", nickname(st, "", c.By))
		printField(w, "as", nickname(st, c.Suggested, c.Pointer))
		printField(w, "on", c.Made.Local().Format(time.DateTime))
		printField(w, "introducer", c.By)
		printField(w, "recipient", c.To)
		printField(w, "key", c.Pointer)
		printField(w, "DENIED BY", c.DeniedBy)
		printField(w, "", "on "+c.Denied.Local().Format(time.DateTime))
	}
}

func (a *app) evidenceVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "evidence FILE",
		Short: "Verify a proof that a contact introduced a wrong key",
		Long: `Verify a file that petname why -o wrote in any home: the introducer signed that
a key is a person's, and the holder of another key signed that it is not theirs.
No home is needed. The proof does not show which person has the other key: you
know that if you paired with its owner.

The exit status is 6 if the file has no proof that verifies. Other statements in
it prove nothing, and are counted in a warning.`,
		Example: `  petname evidence proof.txt`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			text, err := a.readStatements(args[0])
			if err != nil {
				return err
			}
			out, others, err := checkProof(text)
			if err != nil {
				return classify(err)
			}
			if others > 0 {
				a.warn("statements of the file that are no part of a proof: %d", others)
			}
			return a.printResult(out, nil, true, func(w *bufio.Writer) {
				fmt.Fprintln(w, "verified:")
				printContradictions(w, a.style(), out.Contradictions)
			})
		},
	}
}

// contradiction is an introduction and the denial of its key.
type contradiction struct {
	By        string    `json:"by"` // pointer of the introducer
	To        string    `json:"to"`
	Pointer   string    `json:"pointer"` // the introduced key
	Suggested string    `json:"suggested"`
	Made      time.Time `json:"made"`
	DeniedBy  string    `json:"denied_by"` // pointer of the contact that denies it
	Denied    time.Time `json:"denied"`
}

// proof is the result of why -o, and of evidence.
type proof struct {
	Contradictions []contradiction `json:"contradictions"`
	Others         int             `json:"others,omitempty"` // of evidence: statements that are no part of a proof
	File           string          `json:"file,omitempty"`
	Armored        []byte          `json:"armored,omitempty"`
}

// proof returns the proof that introducers introduced wrong keys for a contact.
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
		return nil, v.noProof(c, a.Name)
	}
	out := &proof{Contradictions: []contradiction{}}
	for _, one := range all {
		out.Contradictions = append(out.Contradictions, asContradiction(one))
		out.Armored = append(out.Armored, introduce.Armor(one.Bytes())...)
	}
	return out, nil
}

// noProof returns the failure of proof for a contact without a contradiction. Only a
// key that was introduced and then replaced can be disputed.
func (v *verbs) noProof(c petname.Contact, text string) error {
	stated, err := v.agent.Evidence(c.ID)
	if err != nil {
		return err
	}
	for _, e := range stated {
		if _, introduced, err := e.Subject(); err == nil && introduced && e.OfReplaced {
			return &failure{Code: "not_found", Exit: exitNotFound, Message: "nothing on record about " + c.Pointer.String() + " contradicts an introduction: it has not denied the introduced key",
				Next: "petname dispute " + shellWord(text)}
		}
	}
	return nothingToDispute(c.Pointer)
}

// nothingToDispute returns the failure for a contact that replaced no introduced key.
func nothingToDispute(p pointer.Pointer) error {
	return &failure{Code: "not_found", Exit: exitNotFound, Message: "no introduced key was replaced by " + p.String() + ": there is nothing to dispute, and no proof",
		Next: "to replace a false key by the true one, see --instead in\npetname accept --help"}
}

func asContradiction(c introduce.Contradiction) contradiction {
	i, d := c.Introduction(), c.Denial()
	return contradiction{By: i.By.String(), To: i.To.String(), Pointer: i.About.String(),
		Suggested: name.Clean(i.Suggested), Made: i.Made, DeniedBy: d.By.String(), Denied: d.Made}
}

// checkProof verifies the contradictions in a text: each is an introduction and a denial of it. It
// also returns the number of the statements that are no part of one. A text without a
// contradiction is an error.
func checkProof(text []byte) (out *proof, others int, err error) {
	statements, err := introduce.Dearmor(text)
	if err != nil {
		return nil, 0, err
	}
	out = &proof{Contradictions: []contradiction{}}
	used := make([]bool, len(statements))
	proven := map[[2][32]byte]bool{} // an answer to a mail repeats statements
	for i, introduction := range statements {
		for j, denial := range statements {
			one, cerr := introduce.OpenContradiction(introduction, denial)
			if cerr != nil {
				if j == i+1 && err == nil {
					err = cerr // of a pair, as why -o writes it
				}
				continue
			}
			used[i], used[j] = true, true
			pair := [2][32]byte{introduce.Hash(introduction), introduce.Hash(denial)}
			if !proven[pair] {
				proven[pair] = true
				out.Contradictions = append(out.Contradictions, asContradiction(one))
			}
		}
	}
	for _, u := range used {
		if !u {
			others++
		}
	}
	switch {
	case len(proven) > 0:
		return out, others, nil
	case len(statements) == 1:
		err = &failure{Code: "invalid", Exit: exitUnverified, Message: "an introduction without a denial, or the other way round, proves nothing"}
	}
	return nil, 0, err
}
