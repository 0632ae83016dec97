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

// MaxLife bounds how long an introduction is valid, and so how long a recipient
// remembers it.
const MaxLife = 366 * 24 * time.Hour

// maxSkew bounds by how much the clock of an introducer may be ahead of the
// recipient's.
const maxSkew = 24 * time.Hour

// Introduction is a statement of an introducer to one recipient about one
// pointer. It carries no petname: the introducer's never leaves its book, and the
// recipient's is chosen by the recipient. It can suggest a name.
type Introduction struct {
	ID        ID              // set by Sign
	By        pointer.Pointer // likewise
	To        pointer.Pointer
	About     pointer.Pointer
	Next      pointer.Commitment   // to About's next key, as pinned by the introducer; zero: unknown
	Chain     []pointer.Succession // from earlier pointers of the contact to About; nil: unknown
	Suggested string               // a name, ≤ MaxText bytes; untrusted text
	Note      string               // ≤ MaxNote bytes; untrusted text
	Made      time.Time            // set by Sign, to the millisecond
	Expires   time.Time            // likewise to the millisecond
}

// Sign returns the signed statement. random is the source of the ID; nil:
// crypto/rand.
func (i Introduction) Sign(introducer crypto.Signer, random io.Reader, now time.Time) (Statement, error) {
	if random == nil {
		random = rand.Reader
	}
	if _, err := io.ReadFull(random, i.ID[:]); err != nil {
		return Statement{}, err
	}
	if i.To.IsZero() || i.About.IsZero() {
		return Statement{}, errors.New("introduction: the recipient or the introduced pointer is missing")
	}
	if i.To == i.About {
		return Statement{}, fmt.Errorf("introduction: %s is both the recipient and the introduced pointer", i.About)
	}
	if !i.Expires.After(now) || i.Expires.Sub(now) > MaxLife {
		return Statement{}, fmt.Errorf("introduction: expires in %s: choose between now and %d days", i.Expires.Sub(now), MaxLife/(24*time.Hour))
	}
	w := wire{Kind: KindIntroduction, To: i.To.Bytes(), Made: millis(now), ID: i.ID[:], About: i.About.Bytes(), Next: i.Next.Bytes(),
		Suggested: i.Suggested, Note: i.Note, Expires: millis(i.Expires)}
	if len(i.Chain) > 0 {
		var err error
		if w.Succession, err = pointer.EncodeSuccession(i.Chain); err != nil {
			return Statement{}, err
		}
	}
	signed, err := w.sign(introducer)
	if err != nil {
		return Statement{}, err
	}
	content, _ := signed.Introduction()
	if err := content.CheckTime(now); err != nil {
		return Statement{}, err
	}
	return signed, nil
}

// CheckTime returns an [*ExpiredError] if the introduction has expired, and an
// error that wraps [ErrInvalid] if it expires more than [MaxLife] and a day from now:
// then it was made in the future.
func (i Introduction) CheckTime(now time.Time) error {
	switch {
	case i.Expires.Sub(now) > MaxLife+maxSkew:
		return fmt.Errorf("introduction: %w", invalid("was made in the future: it expires in %s", i.Expires.Sub(now)))
	case !now.Before(i.Expires):
		return &ExpiredError{i}
	}
	return nil
}

// introduction returns the content of an introduction, checked.
func (p *parsed) introduction() (Introduction, error) {
	i := Introduction{ID: ID(p.ID), By: p.by, To: p.to, About: p.about, Next: p.next, Chain: p.chain, Suggested: p.Suggested, Note: p.Note, Made: p.made, Expires: p.expires}
	switch {
	case i.To == i.About, i.By == i.To:
		return Introduction{}, invalid("names one pointer twice")
	case i.Expires.Sub(i.Made) > MaxLife:
		return Introduction{}, invalid("is valid for over %d days", MaxLife/(24*time.Hour))
	case len(i.Chain) > 0 && !p.stored && !chainEndsAt(i.Chain, i.About):
		return Introduction{}, invalid("its succession does not end at the introduced pointer")
	}
	return i, nil
}

// chainEndsAt reports whether a chain ends at a pointer, its signatures verified.
func chainEndsAt(chain []pointer.Succession, to pointer.Pointer) bool {
	var end pointer.Pointer
	for i, s := range chain {
		if i > 0 && s.Old != end {
			return false
		}
		var err error
		if end, err = s.Verify(); err != nil {
			return false
		}
	}
	return end == to
}

// Retraction retracts an introduction.
type Retraction struct {
	By   pointer.Pointer // set by Sign
	To   pointer.Pointer
	ID   ID
	Made time.Time // set by Sign
}

// Sign returns the signed statement.
func (r Retraction) Sign(introducer crypto.Signer, now time.Time) (Statement, error) {
	return wire{Kind: KindRetraction, To: r.To.Bytes(), Made: millis(now), ID: r.ID[:]}.sign(introducer)
}
