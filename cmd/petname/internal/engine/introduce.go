package engine

import (
	"context"
	"crypto"
	"encoding/hex"
	"time"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
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
	Sent      string    `json:"sent"` // "stored": the network has it; "queued": it waits in this home; "file"
	File      string    `json:"file"` // where it was written
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
	if len(a.Note) > introduce.MaxNote {
		return nil, Usage("--note of %d bytes: at most %d", len(a.Note), introduce.MaxNote)
	}
	key, err := e.unlock(a.Passphrase)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	signed, err := introduce.Introduction{To: to.Pointer, About: about.Pointer, Next: about.Next, Suggested: name.String(), Note: a.Note,
		Expires: now.Add(a.Expires)}.Sign(key, nil, now)
	if err != nil {
		return nil, Usage("%v", err)
	}
	i, err := introduce.OpenIntroduction(signed, now)
	if err != nil {
		return nil, err
	}
	out := &Introducing{ID: hex.EncodeToString(i.ID[:]), To: to.Pointer.String(), ToName: to.Name.String(), Pointer: about.Pointer.String(),
		Suggested: name.String(), Expires: i.Expires}
	if a.File {
		p, err := e.presence()
		if err != nil {
			return nil, err
		}
		out.Sent, out.Armored = "file", introduce.Armor(signed)
		return out, p.Said(signed)
	}
	return out, e.send(ctx, key, to, signed, &out.Sent)
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
	found, how, err := p.Retract(ctx, key, to.Pointer, about.Pointer)
	if how == "" {
		return nil, err
	}
	i := found[len(found)-1]
	out := &Introducing{ID: hex.EncodeToString(i.ID[:]), To: to.Pointer.String(), ToName: to.Name.String(), Pointer: about.Pointer.String(),
		Suggested: petname.Clean(i.Suggested), Expires: i.Expires}
	return out, e.sent(how, err, &out.Sent)
}
