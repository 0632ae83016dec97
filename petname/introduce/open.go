package introduce

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// Statement is a signed statement that was parsed and verified: by [Open], or
// before it was stored (see [Restore]). It is immutable, and so safe for concurrent
// use. The zero value is invalid, and of no kind.
type Statement struct {
	raw     []byte
	kind    Kind
	content any // Introduction, Retraction, Edges, Question or Denial
}

// Open parses and verifies a statement of one of these kinds; of any kind if
// none is listed. It refuses another kind before it verifies a signature, and
// verifies the signature of the statement once. The subject of a question and the
// succession of an introduction are verified as well. Its errors wrap [ErrInvalid].
//
// Open reads no clock: see [Introduction.CheckTime].
func Open(b []byte, kinds ...Kind) (Statement, error) { return open(b, false, kinds) }

// Restore is Open for what [Statement.Bytes] returned in this process, or what was
// stored of it in storage of one's own that keeps a checksum, such as the view of a
// ledger. It parses the statement and verifies no signature of it, since that was
// done before. Never use it on bytes from elsewhere, such as a message or an entry
// of a device's log.
func Restore(b []byte, kinds ...Kind) (Statement, error) { return open(b, true, kinds) }

// open parses a statement, and verifies its signature unless it is stored: see Restore.
func open(b []byte, stored bool, kinds []Kind) (Statement, error) {
	p, err := parse(b, stored, kinds)
	if err == nil && !stored {
		err = p.verify()
	}
	s := Statement{raw: bytes.Clone(b), kind: p.Kind}
	if err == nil {
		s.content, err = p.content()
	}
	if err != nil {
		if kind := p.Kind.String(); kind != "" {
			err = fmt.Errorf("%s: %w", kind, err)
		}
		return Statement{}, err
	}
	return s, nil
}

// verify verifies the signature.
func (p *parsed) verify() error {
	message, err := p.signed()
	if err == nil {
		err = p.by.Verify(message, p.Signature)
	}
	if err != nil {
		return invalid("%v", err)
	}
	return nil
}

// content returns the content of a statement, checked by the rules of its kind.
func (p *parsed) content() (any, error) {
	switch p.Kind {
	case KindIntroduction:
		return p.introduction()
	case KindRetraction:
		return Retraction{By: p.by, To: p.to, ID: ID(p.ID), Made: p.made}, nil
	case KindEdges:
		return p.edges()
	case KindQuestion:
		return p.question()
	}
	return p.denial()
}

// Kind returns the kind of the statement.
func (s Statement) Kind() Kind { return s.kind }

// IsZero reports whether s is the zero value, which is no statement.
func (s Statement) IsZero() bool { return s.raw == nil }

// Bytes returns the signed statement, in the form that [Open] reads: at most
// 8000 bytes. The slice is the caller's.
func (s Statement) Bytes() []byte { return bytes.Clone(s.raw) }

// Introduction returns the content of an introduction, and whether the statement
// is one.
func (s Statement) Introduction() (Introduction, bool) {
	i, ok := s.content.(Introduction)
	return i.clone(), ok
}

// Retraction returns the content of a retraction, and whether the statement is
// one.
func (s Statement) Retraction() (Retraction, bool) {
	r, ok := s.content.(Retraction)
	return r, ok
}

// Edges returns the content of edges, and whether the statement is of that kind.
func (s Statement) Edges() (Edges, bool) {
	e, ok := s.content.(Edges)
	e.Edges = maps.Clone(e.Edges)
	return e, ok
}

// Question returns the content of a question, and whether the statement is one.
func (s Statement) Question() (Question, bool) {
	q, ok := s.content.(Question)
	return q, ok
}

// Denial returns the content of a denial, and whether the statement is one.
func (s Statement) Denial() (Denial, bool) {
	d, ok := s.content.(Denial)
	return d, ok
}

// clone returns a copy that shares nothing that a caller could change.
func (i Introduction) clone() Introduction {
	i.Chain = slices.Clone(i.Chain)
	for n := range i.Chain {
		s := &i.Chain[n]
		s.New, s.NewSignature, s.OldSignature = bytes.Clone(s.New), bytes.Clone(s.NewSignature), bytes.Clone(s.OldSignature)
	}
	return i
}
