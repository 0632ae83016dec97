package engine

import (
	"context"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/home"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// Identity is the result of id and of init.
type Identity struct {
	Pointer  string `json:"pointer"`
	Nickname string `json:"nickname"`
	Device   string `json:"device"`
	Next     string `json:"next"` // the commitment to the next key
	Link     string `json:"link"`
	Words    string `json:"words"`
	Recovery string `json:"recovery"`
	Sequence uint64 `json:"sequence"` // of the last publication; 0: none
	Locked   bool   `json:"locked"`
}

// identity reads the header of the identity key, which must be the book's.
func (e *Engine) identity() (home.Identity, error) {
	id, err := e.home.Identity()
	if err != nil {
		return home.Identity{}, err
	}
	if first := e.book.Ledger().Identity(); id.First() != first {
		return home.Identity{}, &Error{Code: "damaged", Exit: ExitFailure,
			Message: "the identity key is of " + id.First().String() + ", and the book is of " + first.String(),
			Next:    "put the files that belong together back into " + e.home.Dir}
	}
	return id, nil
}

// ID says who I am.
func (e *Engine) ID(_ context.Context, _ NoArgs) (*Identity, error) {
	id, err := e.identity()
	if err != nil {
		return nil, err
	}
	nickname, err := e.book.Nickname()
	if err != nil {
		return nil, err
	}
	last, err := e.lastOwn()
	if err != nil {
		return nil, err
	}
	return &Identity{
		Pointer: id.Pointer.String(), Nickname: name.Clean(nickname), Device: e.book.Ledger().Device().String(), Next: id.Next.String(),
		Link:     pointer.Link{Pointer: id.Pointer, Next: id.Next, Nickname: nickname}.String(),
		Words:    id.Pointer.Words().String(),
		Recovery: id.Recovery(), Sequence: last.Sequence, Locked: id.Locked,
	}, nil
}

// Init makes a home in dir.
func Init(dir string, p home.Plan) (*Identity, error) {
	if p.Nickname != "" {
		if _, err := petname.CheckLabel(p.Nickname); err != nil {
			return nil, err
		}
	}
	h, err := home.Create(dir, p)
	if err != nil {
		return nil, err
	}
	e, err := Open(h.Dir, 0)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.ID(context.Background(), NoArgs{})
}

// lastOwn is what I last published, by the book and by the record that the
// home holds: either may know more, after a restore from a copy.
func (e *Engine) lastOwn() (petname.Published, error) {
	last, err := e.book.Published()
	if err != nil {
		return petname.Published{}, err
	}
	if r, _, err := e.held(e.book.Identity()); err == nil && r.Sequence() >= last.Sequence {
		last = petname.Published{Value: r.Value(), Sequence: r.Sequence()}
	}
	return last, nil
}
