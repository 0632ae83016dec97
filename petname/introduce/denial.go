package introduce

import (
	"crypto"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// Question asks somebody whether a key that was introduced as theirs is.
type Question struct {
	By      pointer.Pointer // set by Sign
	To      pointer.Pointer
	Subject []byte    // the signed introduction, or the redacted transcript of a mutual one
	Made    time.Time // set by Sign
}

// Sign gives the signed statement.
func (q Question) Sign(asker crypto.Signer, now time.Time) ([]byte, error) {
	b, err := wire{Kind: KindQuestion, To: q.To.Bytes(), Made: millis(now), Subject: q.Subject}.sign(asker)
	if err != nil {
		return nil, fmt.Errorf("question: %w", err)
	}
	if _, _, err := OpenQuestion(b); err != nil {
		return nil, err
	}
	return b, nil
}

// OpenQuestion parses and verifies a question, and the introduction that it is
// about, expired or not. Its errors wrap [ErrInvalid].
func OpenQuestion(b []byte) (Question, Introduction, error) {
	o, err := open(b, KindQuestion)
	if err != nil {
		return Question{}, Introduction{}, fmt.Errorf("question: %w", err)
	}
	i, err := openAny(o.Subject)
	if err != nil {
		return Question{}, Introduction{}, fmt.Errorf("question: %w", err)
	}
	if i.To != o.by {
		return Question{}, Introduction{}, fmt.Errorf("question: %w", invalid("the introduction was made to %s, and not to who asks", i.To))
	}
	return Question{By: o.by, To: o.to, Subject: o.Subject, Made: o.made}, i, nil
}

// openAny opens what somebody was told a pointer by: an introduction, whose end
// may have come, or the transcript of a mutual one (package mutual).
func openAny(b []byte) (Introduction, error) {
	if kind, err := KindOf(b); err == nil && kind == KindIntroduction {
		return OpenIntroduction(b, time.Time{})
	}
	s, err := mutual.Verify(b)
	if err != nil {
		return Introduction{}, invalid("no introduction: %v", err)
	}
	r := s.Request
	return Introduction{By: r.By, To: r.To, About: s.Pointer, Suggested: r.Suggested, Note: r.Note, Made: r.Made, Expires: r.Expires}, nil
}

// Denial says that the key that an introduction is about isn't the signer's. It
// is for everybody: whoever was lied to may show it.
type Denial struct {
	By      pointer.Pointer // set by Sign
	About   pointer.Pointer // the key that is denied
	Subject [32]byte        // the Hash of the signed introduction, or transcript
	Made    time.Time       // set by Sign
}

// Deny signs that the key in an introduction is not the signer's own.
func Deny(introduction []byte, denier crypto.Signer, now time.Time) ([]byte, error) {
	i, err := openAny(introduction)
	if err != nil {
		return nil, fmt.Errorf("denial: %w", err)
	}
	hash := Hash(introduction)
	b, err := wire{Kind: KindDenial, About: i.About.Bytes(), Made: millis(now), Subject: hash[:]}.sign(denier)
	if err != nil {
		return nil, fmt.Errorf("denial: %w", err)
	}
	if _, err := OpenDenial(b); err != nil {
		return nil, err
	}
	return b, nil
}

// OpenDenial parses and verifies a denial. Its errors wrap [ErrInvalid].
func OpenDenial(b []byte) (Denial, error) {
	o, err := open(b, KindDenial)
	if err != nil {
		return Denial{}, fmt.Errorf("denial: %w", err)
	}
	if o.by == o.about {
		return Denial{}, fmt.Errorf("denial: %w", invalid("a key denies itself"))
	}
	return Denial{By: o.by, About: o.about, Subject: [32]byte(o.Subject), Made: o.made}, nil
}

// Contradiction is evidence that anyone can verify: an introducer signed that a
// pointer is somebody, and whoever has another key signed that it isn't them.
// It proves who said what. Which of the two speaks the truth, and whose key the
// denier's is, is known to those who paired with it.
type Contradiction struct {
	Introduction Introduction
	Denial       Denial
}

// OpenContradiction verifies the two statements, and that one is about the other.
// Its errors wrap [ErrInvalid].
func OpenContradiction(introduction, denial []byte) (Contradiction, error) {
	i, err := openAny(introduction)
	if err != nil {
		return Contradiction{}, err
	}
	d, err := OpenDenial(denial)
	if err != nil {
		return Contradiction{}, err
	}
	if d.Subject != Hash(introduction) || d.About != i.About {
		return Contradiction{}, fmt.Errorf("contradiction: %w", invalid("the denial is of another introduction"))
	}
	if d.By == i.By {
		return Contradiction{}, fmt.Errorf("contradiction: %w", invalid("the introducer denies its own word"))
	}
	return Contradiction{i, d}, nil
}
