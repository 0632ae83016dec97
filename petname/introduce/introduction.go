package introduce

import (
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/petnames-go/petnames/pointer"
)

// MaxLife bounds how long an introduction is good for: so long, a recipient
// remembers it.
const MaxLife = 366 * 24 * time.Hour

// maxSkew is by how much an introducer's clock may be ahead of the recipient's.
const maxSkew = 24 * time.Hour

// Introduction is what an introducer says to one recipient about one pointer. It
// is no petname, neither the introducer's, which never leaves its book, nor the
// recipient's: a name is suggested at most.
type Introduction struct {
	ID        ID              // set by Sign
	By        pointer.Pointer // likewise
	To        pointer.Pointer
	About     pointer.Pointer
	Next      pointer.Commitment   // to About's next key, as the introducer has it pinned; zero: none is known
	Chain     []pointer.Succession // how About came from earlier pointers; nil: unknown
	Suggested string               // a name, ≤ MaxText bytes; hostile text
	Note      string               // ≤ MaxNote bytes; hostile text
	Made      time.Time            // set by Sign, to the millisecond
	Expires   time.Time            // likewise to the millisecond
}

// Sign gives the signed statement. random is for the ID; nil: crypto/rand.
func (i Introduction) Sign(introducer crypto.Signer, random io.Reader, now time.Time) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, i.ID[:]); err != nil {
		return nil, err
	}
	if i.To.IsZero() || i.About.IsZero() {
		return nil, errors.New("introduction: nobody to introduce, or nobody to introduce to")
	}
	if i.To == i.About {
		return nil, fmt.Errorf("introduction: %s is the one it would be sent to", i.About)
	}
	if !i.Expires.After(now) || i.Expires.Sub(now) > MaxLife {
		return nil, fmt.Errorf("introduction: expires in %s: give between now and %d days", i.Expires.Sub(now), MaxLife/(24*time.Hour))
	}
	w := wire{Kind: KindIntroduction, To: i.To.Bytes(), Made: millis(now), ID: i.ID[:], About: i.About.Bytes(), Next: i.Next.Bytes(),
		Suggested: i.Suggested, Note: i.Note, Expires: millis(i.Expires)}
	if len(i.Chain) > 0 {
		var err error
		if w.Succession, err = pointer.EncodeSuccession(i.Chain); err != nil {
			return nil, err
		}
	}
	b, err := w.sign(introducer)
	if err != nil {
		return nil, fmt.Errorf("introduction: %w", err)
	}
	if _, err := OpenIntroduction(b, now); err != nil {
		return nil, err
	}
	return b, nil
}

// OpenIntroduction parses and verifies an introduction. One that has expired
// comes inside an [*ExpiredError]; every other error wraps [ErrInvalid]. With the
// zero time, for one that was received before, only its own bounds are checked.
func OpenIntroduction(b []byte, now time.Time) (Introduction, error) {
	o, err := open(b, KindIntroduction)
	if err != nil {
		return Introduction{}, fmt.Errorf("introduction: %w", err)
	}
	i := Introduction{ID: ID(o.ID), By: o.by, To: o.to, About: o.about, Next: o.next, Suggested: o.Suggested, Note: o.Note, Made: o.made, Expires: o.expires}
	if o.Succession != nil {
		i.Chain, _ = pointer.ParseSuccession(o.Succession) // checked above
	}
	switch {
	case i.To == i.About, i.By == i.To:
		return Introduction{}, fmt.Errorf("introduction: %w", invalid("names one pointer twice"))
	case i.Expires.Sub(i.Made) > MaxLife:
		return Introduction{}, fmt.Errorf("introduction: %w", invalid("is good for over %d days", MaxLife/(24*time.Hour)))
	case !now.IsZero() && i.Expires.Sub(now) > MaxLife+maxSkew:
		return Introduction{}, fmt.Errorf("introduction: %w", invalid("was made in the future, and would be good for %s", i.Expires.Sub(now)))
	case len(i.Chain) > 0 && !leads(i.Chain, i.About):
		return Introduction{}, fmt.Errorf("introduction: %w", invalid("its succession doesn't lead to who is introduced"))
	case !now.Before(i.Expires):
		return Introduction{}, &ExpiredError{i}
	}
	return i, nil
}

// leads reports whether a chain ends at a pointer, its signatures verified.
func leads(chain []pointer.Succession, to pointer.Pointer) bool {
	var at pointer.Pointer
	for i, s := range chain {
		if i > 0 && s.Old != at {
			return false
		}
		var err error
		if at, err = s.Verify(); err != nil {
			return false
		}
	}
	return at == to
}

// Retraction takes an introduction back.
type Retraction struct {
	By   pointer.Pointer // set by Sign
	To   pointer.Pointer
	ID   ID
	Made time.Time // set by Sign
}

// Sign gives the signed statement.
func (r Retraction) Sign(introducer crypto.Signer, now time.Time) ([]byte, error) {
	b, err := wire{Kind: KindRetraction, To: r.To.Bytes(), Made: millis(now), ID: r.ID[:]}.sign(introducer)
	if err != nil {
		return nil, fmt.Errorf("retraction: %w", err)
	}
	return b, nil
}

// OpenRetraction parses and verifies a retraction. Its errors wrap [ErrInvalid].
func OpenRetraction(b []byte) (Retraction, error) {
	o, err := open(b, KindRetraction)
	if err != nil {
		return Retraction{}, fmt.Errorf("retraction: %w", err)
	}
	return Retraction{By: o.by, To: o.to, ID: ID(o.ID), Made: o.made}, nil
}
