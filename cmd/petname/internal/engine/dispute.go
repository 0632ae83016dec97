package engine

import (
	"context"
	"crypto"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/name"
)

// Contradiction is an introduction, and the denial of its key.
type Contradiction struct {
	By        string    `json:"by"` // pointer of the introducer
	To        string    `json:"to"`
	Pointer   string    `json:"pointer"` // that was introduced
	Suggested string    `json:"suggested"`
	Made      time.Time `json:"made"`
	DeniedBy  string    `json:"denied_by"` // pointer of who says that it isn't theirs
	Denied    time.Time `json:"denied"`
}

// Proof is the result of why -o, and of evidence.
type Proof struct {
	Contradictions []Contradiction `json:"contradictions"`
	File           string          `json:"file,omitempty"`
	Armored        []byte          `json:"armored,omitempty"`
}

// Proof gives what proves that introducers gave wrong keys for a contact.
func (e *Engine) Proof(_ context.Context, a NameArgs) (*Proof, error) {
	c, err := e.find(a.Name)
	if err != nil {
		return nil, err
	}
	found, err := e.book.Contradictions(c.ID)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &Error{Code: "not_found", Exit: ExitNotFound, Message: "nothing on record about " + c.Pointer.String() + " contradicts an introduction",
			Next: "petname dispute " + ShellWord(a.Name)}
	}
	out := &Proof{Contradictions: []Contradiction{}}
	for _, one := range found {
		out.Contradictions = append(out.Contradictions, contradiction(one))
		out.Armored = append(out.Armored, introduce.Armor(one.Bytes())...)
	}
	return out, nil
}

func contradiction(c introduce.Contradiction) Contradiction {
	i, d := c.Introduction(), c.Denial()
	return Contradiction{By: i.By.String(), To: i.To.String(), Pointer: i.About.String(),
		Suggested: name.Clean(i.Suggested), Made: i.Made, DeniedBy: d.By.String(), Denied: d.Made}
}

// CheckProof verifies the contradictions in a text: pairs of an introduction and
// its denial.
func CheckProof(text []byte) (*Proof, error) {
	statements, err := introduce.Dearmor(text)
	if err != nil {
		return nil, err
	}
	if len(statements)%2 != 0 {
		return nil, &Error{Code: "invalid", Exit: ExitUnverified, Message: "an introduction without a denial, or the other way round, proves nothing"}
	}
	out := &Proof{Contradictions: []Contradiction{}}
	for i := 0; i < len(statements); i += 2 {
		one, err := introduce.OpenContradiction(statements[i], statements[i+1])
		if err != nil {
			return nil, err
		}
		out.Contradictions = append(out.Contradictions, contradiction(one))
	}
	return out, nil
}

// DisputeArgs are the arguments of dispute.
type DisputeArgs struct {
	Name       string `json:"name"`
	File       bool   `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
}

// Disputed is the result of dispute and of deny.
type Disputed struct {
	To       string   `json:"to"`
	ToName   string   `json:"to_name"`
	Pointers []string `json:"pointers"` // the keys that are asked about, or denied
	Sent     string   `json:"sent"`     // as in introduce
	File     string   `json:"file"`
	Armored  []byte   `json:"armored,omitempty"`
}

// Dispute asks a contact about the keys that were introduced and gave way to
// theirs.
func (e *Engine) Dispute(ctx context.Context, a DisputeArgs) (*Disputed, error) {
	c, err := e.find(a.Name)
	if err != nil {
		return nil, err
	}
	said, err := e.book.Evidence(c.ID)
	if err != nil {
		return nil, err
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	out := &Disputed{To: c.Pointer.String(), ToName: c.Name.String(), Pointers: []string{}}
	var questions []introduce.Statement
	for _, s := range said {
		subject, introduced, err := s.Subject()
		if err != nil {
			return nil, err
		}
		if !introduced || !s.Instead {
			continue
		}
		signed, err := introduce.Question{To: c.Pointer, Subject: subject}.Sign(key, time.Now())
		if err != nil {
			return nil, err
		}
		out.Pointers = append(out.Pointers, s.Pointer.String())
		questions = append(questions, signed)
	}
	if len(questions) == 0 {
		return nil, &Error{Code: "not_found", Exit: ExitNotFound, Message: "no key that was introduced to you gave way to " + c.Pointer.String() + ": there is nothing to ask",
			Next: "petname why " + ShellWord(a.Name)}
	}
	return out, e.carry(ctx, key, c, a.File, questions, out)
}

// DenyArgs are the arguments of deny.
type DenyArgs struct {
	ID         string `json:"id"`
	Text       []byte `json:"text"`
	File       bool   `json:"file"`
	Passphrase string `json:"passphrase,omitempty"`
}

// Deny answers a question: the key is not mine.
func (e *Engine) Deny(ctx context.Context, a DenyArgs) (*Disputed, error) {
	s, err := e.meant(a.ID, a.Text)
	if err != nil {
		return nil, err
	}
	if s.Kind != petname.Question {
		return nil, Usage("%s asks nothing of you", s.ID).With("petname inbox")
	}
	asked, err := introduce.Open(s.Evidence, introduce.KindQuestion)
	if err != nil {
		return nil, err
	}
	q, _ := asked.Question()
	if e.book.Mine(s.Pointer) {
		return nil, petname.ErrOwnPointer
	}
	to, err := e.book.ByPointer(s.By)
	if err != nil {
		return nil, err
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	signed, err := introduce.Deny(q.Subject, key, time.Now())
	if err != nil {
		return nil, err
	}
	out := &Disputed{To: to.Pointer.String(), ToName: to.Name.String(), Pointers: []string{s.Pointer.String()}}
	err = e.carry(ctx, key, to, a.File, []introduce.Statement{signed}, out)
	if out.Sent == "" {
		return nil, err
	}
	if _, derr := e.book.Decline(s.ID, false); derr != nil { // it is answered
		return out, derr
	}
	return out, err
}

// carry sends statements to a contact, or gives them back as a file's text.
func (e *Engine) carry(ctx context.Context, key crypto.Signer, to petname.Contact, file bool, statements []introduce.Statement, out *Disputed) error {
	if file {
		out.Sent = "file"
		for _, signed := range statements {
			out.Armored = append(out.Armored, introduce.Armor(signed.Bytes())...)
		}
		return nil
	}
	for _, signed := range statements {
		if err := e.send(ctx, key, to, signed, &out.Sent); err != nil {
			return err
		}
	}
	return nil
}
