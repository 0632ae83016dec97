package introduce

import (
	"bytes"
	"crypto"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// Subject is verified evidence of an introduction that a question or a denial is
// about: the signed introduction, or the transcript of a mutual one (package
// mutual). The zero value is invalid.
type Subject struct {
	raw          []byte
	introduction Introduction
}

// OpenSubject parses and verifies the evidence of an introduction, expired or not.
// Its errors wrap [ErrInvalid].
func OpenSubject(b []byte) (Subject, error) { return openSubject(b, false) }

// openSubject opens a subject. With stored, it does not verify the signature of a
// statement again: see Restore.
func openSubject(b []byte, stored bool) (Subject, error) {
	if len(b) > 0 && b[0]>>5 == 5 { // a statement is a CBOR map, and a transcript an array
		s, err := open(b, stored, []Kind{KindIntroduction})
		i, _ := s.Introduction()
		return Subject{s.raw, i}, err
	}
	s, err := mutual.Verify(b)
	if err != nil {
		return Subject{}, invalid("no introduction: %v", err)
	}
	r := s.Request
	return Subject{bytes.Clone(b), Introduction{By: r.By, To: r.To, About: s.Pointer, Suggested: r.Suggested, Note: r.Note, Made: r.Made, Expires: r.Expires}}, nil
}

// Introduction returns the content of the introduction. That of a mutual one has
// no ID, Next and Chain.
func (s Subject) Introduction() Introduction { return s.introduction.clone() }

// Bytes returns the evidence, in the form that OpenSubject reads. The slice is
// the caller's.
func (s Subject) Bytes() []byte { return bytes.Clone(s.raw) }

// Question asks its recipient whether an introduced key is the recipient's own.
type Question struct {
	By      pointer.Pointer // set by Sign
	To      pointer.Pointer
	Subject Subject   // the introduction, made to By
	Made    time.Time // set by Sign
}

// Sign returns the signed statement.
func (q Question) Sign(asker crypto.Signer, now time.Time) (Statement, error) {
	return wire{Kind: KindQuestion, To: q.To.Bytes(), Made: millis(now), Subject: q.Subject.raw}.sign(asker)
}

// question returns the content of a question, its subject opened as well.
func (p *parsed) question() (Question, error) {
	s, err := openSubject(p.Subject, p.stored)
	if err != nil {
		return Question{}, err
	}
	if s.introduction.To != p.by {
		return Question{}, invalid("the introduction was made to %s, and not to the signer of the question", s.introduction.To)
	}
	return Question{By: p.by, To: p.to, Subject: s, Made: p.made}, nil
}

// Denial states that the key that an introduction is about isn't the signer's.
// It has no recipient: it can be shown to anyone.
type Denial struct {
	By      pointer.Pointer // set by Sign
	About   pointer.Pointer // the key that is denied
	Subject [32]byte        // the Hash of the evidence of the introduction
	Made    time.Time       // set by Sign
}

// Deny signs that the key in an introduction is not the signer's own.
func Deny(introduction Subject, denier crypto.Signer, now time.Time) (Statement, error) {
	hash := Hash(introduction.raw)
	return wire{Kind: KindDenial, About: introduction.introduction.About.Bytes(), Made: millis(now), Subject: hash[:]}.sign(denier)
}

// denial returns the content of a denial, checked.
func (p *parsed) denial() (Denial, error) {
	if p.by == p.about {
		return Denial{}, invalid("the signer denies its own key")
	}
	return Denial{By: p.by, About: p.about, Subject: [32]byte(p.Subject), Made: p.made}, nil
}

// Contradiction is evidence that anyone can verify: an introducer signed that a
// pointer is a certain contact's, and another key signed that it isn't its own.
// It proves the statement of each. Which of the two is right is known to the contacts
// that paired with the denier.
type Contradiction struct {
	subject Subject
	denial  Statement
}

// OpenContradiction verifies the evidence of an introduction and a denial, and
// that the denial is about that introduction. Its errors wrap [ErrInvalid].
func OpenContradiction(introduction, denial []byte) (Contradiction, error) {
	s, err := OpenSubject(introduction)
	if err != nil {
		return Contradiction{}, err
	}
	signed, err := Open(denial, KindDenial)
	if err != nil {
		return Contradiction{}, err
	}
	d, _ := signed.Denial()
	if d.Subject != Hash(s.raw) || d.About != s.introduction.About {
		return Contradiction{}, fmt.Errorf("contradiction: %w", invalid("the denial is of another introduction"))
	}
	if d.By == s.introduction.By {
		return Contradiction{}, fmt.Errorf("contradiction: %w", invalid("the introducer denies its own statement"))
	}
	return Contradiction{s, signed}, nil
}

// Introduction returns the content of the introduction.
func (c Contradiction) Introduction() Introduction { return c.subject.Introduction() }

// Denial returns the content of the denial.
func (c Contradiction) Denial() Denial {
	d, _ := c.denial.Denial()
	return d
}

// Bytes returns the two parts, in the form that OpenContradiction reads. The
// slices are the caller's.
func (c Contradiction) Bytes() (introduction, denial []byte) {
	return c.subject.Bytes(), c.denial.Bytes()
}
