package engine

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// IntroduceArgs are the arguments of introduce.
type IntroduceArgs struct {
	Name       string        `json:"name"`
	To         string        `json:"to"`
	As         string        `json:"as"` // empty: what the contact calls itself
	Note       string        `json:"note"`
	Both       bool          `json:"both"`
	Expires    time.Duration `json:"expires"`
	File       bool          `json:"file"` // give it back instead of sending it
	Passphrase string        `json:"passphrase,omitempty"`
}

// Introducing is the result of introduce and of retract.
type Introducing struct {
	ID        string    `json:"id"`
	To        string    `json:"to"`
	ToName    string    `json:"to_name"`
	Pointer   string    `json:"pointer"`
	Suggested string    `json:"suggested"`
	Expires   time.Time `json:"expires"`
	Sent      string    `json:"sent"`           // "stored": the network has it; "queued": it waits in this home; "file"
	File      string    `json:"file"`           // where it was written
	Both      bool      `json:"both,omitempty"` // both are asked first
	Armored   []byte    `json:"armored,omitempty"`
}

// Introduce signs, for one contact, who another one is.
func (e *Engine) Introduce(ctx context.Context, a IntroduceArgs) (*Introducing, error) {
	about, err := e.find(a.Name)
	if err != nil {
		return nil, err
	}
	to, err := e.find(a.To)
	if err != nil {
		return nil, err
	}
	if about.ID == to.ID {
		return nil, Usage("%q and %q are one contact", a.Name, a.To)
	}
	if err := about.Pinned(about.Pointer, about.Next); err != nil && !about.Next.IsZero() {
		return nil, err
	}
	suggested := a.As
	if suggested == "" {
		// My petname for somebody is mine: what goes out by default is what they
		// call themselves.
		suggested = e.full(about).Nickname
	}
	if suggested == "" {
		return nil, Usage("%q has no nickname to suggest, and your petname for it stays private", about.Name).
			With("petname introduce " + ShellWord(a.Name) + " --to " + ShellWord(a.To) + " --as NAME")
	}
	name, err := petname.CheckLabel(suggested)
	if err != nil {
		return nil, err
	}
	if a.Both && a.File {
		return nil, Usage("--both takes an answer from each of them: it can't go by a file")
	}
	if len(a.Note) > introduce.MaxNote {
		return nil, Usage("--note of %d bytes: at most %d", len(a.Note), introduce.MaxNote)
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if a.Both {
		return e.introduceBoth(ctx, key, mutual.Party{Pointer: about.Pointer, Suggested: name.String(), Note: a.Note}, to, now.Add(a.Expires))
	}
	chain, err := e.book.Succession(about.Pointer)
	if err != nil {
		return nil, err
	}
	signed, err := introduce.Introduction{To: to.Pointer, About: about.Pointer, Next: about.Next, Chain: chain, Suggested: name.String(), Note: a.Note,
		Expires: now.Add(a.Expires)}.Sign(key, nil, now)
	if err != nil {
		return nil, Usage("%v", err)
	}
	i, _ := signed.Introduction()
	out := &Introducing{ID: hex.EncodeToString(i.ID[:]), To: to.Pointer.String(), ToName: to.Name.String(), Pointer: about.Pointer.String(),
		Suggested: name.String(), Expires: i.Expires}
	if a.File {
		p, err := e.presence()
		if err != nil {
			return nil, err
		}
		out.Sent, out.Armored = "file", introduce.Armor(signed.Bytes())
		return out, p.Said(signed)
	}
	return out, e.send(ctx, key, to, signed, &out.Sent)
}

// introduceBoth asks both whether they want to be introduced to each other.
func (e *Engine) introduceBoth(ctx context.Context, key crypto.Signer, about mutual.Party, to petname.Contact, expires time.Time) (*Introducing, error) {
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	other := mutual.Party{Pointer: to.Pointer}
	if name, err := petname.CheckLabel(e.full(to).Nickname); err == nil {
		other.Suggested = name.String()
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	m, how, err := p.IntroduceBoth(ctx, key, about, other, expires)
	err = noCard(err, "one of them has")
	if how == "" {
		return nil, err
	}
	out := &Introducing{ID: hex.EncodeToString(m.Session[:]), To: to.Pointer.String(), ToName: to.Name.String(), Pointer: about.Pointer.String(),
		Suggested: about.Suggested, Expires: m.Expires, Both: true}
	return out, e.sent(how, err, &out.Sent)
}

// unlock gives the identity's key.
func (e *Engine) unlock(passphrase string) (crypto.Signer, error) {
	id, err := e.identity()
	if err != nil {
		return nil, err
	}
	if passphrase == "" {
		passphrase = e.passphrase
	}
	return id.Key(passphrase)
}

// RetractArgs are the arguments of retract.
type RetractArgs struct {
	Name       string `json:"name"`
	To         string `json:"to"`
	Passphrase string `json:"passphrase,omitempty"`
}

// Retract takes back what I said to one contact about another.
func (e *Engine) Retract(ctx context.Context, a RetractArgs) (*Introducing, error) {
	about, err := e.find(a.Name)
	if err != nil {
		return nil, err
	}
	to, err := e.find(a.To)
	if err != nil {
		return nil, err
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if out, err := e.withdraw(ctx, key, to, about); out != nil || err != nil {
		return out, err
	}
	found, how, err := p.Retract(ctx, key, to.Pointer, about.Pointer)
	if how == "" && errors.Is(err, petname.ErrNotFound) {
		return nil, &Error{Code: "not_found", Exit: ExitNotFound, Message: fmt.Sprintf("you did not introduce %q to %q, or it has expired", a.Name, a.To)}
	}
	if how == "" {
		return nil, err
	}
	i := found[len(found)-1]
	out := &Introducing{ID: hex.EncodeToString(i.ID[:]), To: to.Pointer.String(), ToName: to.Name.String(), Pointer: about.Pointer.String(),
		Suggested: name.Clean(i.Suggested), Expires: i.Expires}
	return out, e.sent(how, err, &out.Sent)
}

// withdraw takes back a mutual introduction of two contacts that goes on; nil
// when there is none.
func (e *Engine) withdraw(ctx context.Context, key crypto.Signer, a, b petname.Contact) (*Introducing, error) {
	p, err := e.presence()
	if err != nil {
		return nil, err
	}
	all, err := p.Mutuals()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		both := m.Parties == [2]pointer.Pointer{a.Pointer, b.Pointer} || m.Parties == [2]pointer.Pointer{b.Pointer, a.Pointer}
		if !both || m.Phase >= mutual.Active {
			continue
		}
		m, how, err := p.WithdrawMutual(ctx, key, m.Session)
		if how == "" {
			return nil, err
		}
		out := &Introducing{ID: hex.EncodeToString(m.Session[:]), To: a.Pointer.String(), ToName: a.Name.String(), Pointer: b.Pointer.String(), Expires: m.Expires, Both: true}
		return out, e.sent(how, err, &out.Sent)
	}
	return nil, nil
}
