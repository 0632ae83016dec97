package petname

import (
	"slices"
	"time"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/pointer"
)

// Evidence is one signed statement or transcript about a contact, whether or
// not the owner accepted it.
type Evidence struct {
	// "introduced", "acquainted", "paired", "stranger", "question", "denied"
	Kind       string
	Pointer    pointer.Pointer // the subject
	By         pointer.Pointer // the signer; for "paired" the contact itself
	Channel    string
	At         time.Time
	Suggested  string          // hostile text
	State      SuggestionState // of the suggestion; empty for "denied"
	Statement  []byte          // the signed statement, or the transcript of the pairing
	OfReplaced bool            // about a contact that this contact replaced
	Retracted  bool            // the introducer retracted it, accepted or not
}

// Evidence returns the evidence about the contact with pointer p and about the
// contacts that it replaced, and the denials of all their keys, ordered by
// time. The zero pointer has none.
func (b *Book) Evidence(p pointer.Pointer) ([]Evidence, error) {
	if p.IsZero() { // its bytes are the prefix of every row
		return nil, nil
	}
	var all []Evidence
	err := b.read(func(v *ledger.View) error {
		id, err := signerIDOf(v, p)
		if err != nil {
			return err
		}
		seen := map[pointer.Pointer]bool{id: true}
		for next := []pointer.Pointer{id}; len(next) > 0; next = next[1:] {
			if all, err = b.evidence(v, all, next[0], next[0] != id); err != nil {
				return err
			}
			for kv, err := range v.Scan(tableReplaced, next[0].Bytes()) {
				if err != nil {
					return err
				}
				replaced, err := pointer.Restore(kv.Value)
				if err != nil {
					return err
				}
				if !seen[replaced] && len(seen) < maxRivals {
					seen[replaced] = true
					next = append(next, replaced)
				}
			}
		}
		return nil
	})
	slices.SortStableFunc(all, func(a, b Evidence) int { return a.At.Compare(b.At) })
	return all, err
}

func (b *Book) evidence(v *ledger.View, all []Evidence, id pointer.Pointer, ofReplaced bool) ([]Evidence, error) {
	c, _, err := readContact(v, id)
	if err != nil {
		return nil, err
	}
	for _, step := range c.Chain {
		prefix := step.Pointer.Bytes()
		for kv, err := range v.Scan(tableAbout, prefix) {
			if err != nil {
				return nil, err
			}
			rest := kv.Key[len(prefix):]
			if len(rest) == 0 {
				return nil, errRow
			}
			e := Evidence{Pointer: step.Pointer, OfReplaced: ofReplaced}
			if rest[0] == aboutDenial {
				err = e.denial(kv.Value)
			} else {
				err = e.suggestion(v, rest[1:], b.now())
			}
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
	}
	return all, nil
}

func (e *Evidence) denial(row []byte) error {
	stored, err := decodeState[statementState](tableAbout, row)
	if err != nil {
		return err
	}
	s, err := introduce.Restore(stored.Statement)
	d, _ := s.Denial()
	e.Kind, e.By, e.Channel, e.At, e.Statement = "denied", d.By, stored.Channel, time.UnixMilli(stored.At).UTC(), stored.Statement
	return err
}

func (e *Evidence) suggestion(v *ledger.View, row []byte, now time.Time) error {
	s, err := readSuggestion(v, row, now)
	e.Kind, e.By, e.Channel, e.At, e.Suggested, e.State, e.Statement = string(s.Kind), s.By, s.Channel, s.At, s.Suggested, s.State, s.Evidence
	if err != nil {
		return err
	}
	switch s.Kind {
	case Paired, Invited:
		e.By = s.Pointer
	case Introduced:
		e.Retracted, err = retracted(v, s.Evidence)
		return err
	}
	return nil
}

// Subject returns the verified part of an introduction that may be shown to
// others: the signed introduction, or the transcript of a mutual introduction
// without its confidential part. It reports false for any other kind of
// evidence.
func (e Evidence) Subject() (introduce.Subject, bool, error) {
	shown := e.Statement
	switch SuggestionKind(e.Kind) {
	case Introduced:
	case Acquainted:
		var err error
		if shown, err = mutual.Redact(e.Statement); err != nil {
			return introduce.Subject{}, false, err
		}
	default:
		return introduce.Subject{}, false, nil
	}
	s, err := introduce.OpenSubject(shown)
	return s, err == nil, err
}

// Contradictions returns the proofs that an introducer named a wrong key for
// the contact with pointer p, each by a denial that the contact signed: see
// [introduce.Contradiction]. A denial by another party proves nothing.
func (b *Book) Contradictions(p pointer.Pointer) ([]introduce.Contradiction, error) {
	c, err := b.ByPointer(p)
	if err != nil {
		return nil, err
	}
	all, err := b.Evidence(p)
	if err != nil {
		return nil, err
	}
	var found []introduce.Contradiction
	for _, i := range all {
		subject, introduced, err := i.Subject()
		if err != nil {
			return nil, err
		}
		if !introduced || !i.OfReplaced {
			continue
		}
		for _, d := range all {
			if d.Kind != "denied" || !c.hasPointer(d.By) {
				continue
			}
			if c, err := introduce.OpenContradiction(subject.Bytes(), d.Statement); err == nil {
				found = append(found, c)
			}
		}
	}
	return found, nil
}

// hasPointer reports whether p is or was a pointer of the contact.
func (c Contact) hasPointer(p pointer.Pointer) bool {
	return slices.ContainsFunc(c.Chain, func(s Step) bool { return s.Pointer == p })
}
