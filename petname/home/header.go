package home

import (
	"fmt"
	"strings"

	"github.com/petnames-go/petnames/pointer"
)

// HeaderError is returned for a line of the header of identity.key that is malformed or
// does not match the keys. What such a line states must not be published or passed on.
type HeaderError struct {
	File   string // path; empty: the identity was not read from a file
	Line   int    // from 1; 0: it is locked
	Reason string // for people
	Mend   string // the line as it should be; empty: unknown
	Spare  bool   // the home works without the line

	withoutNext string // the line, for a home that goes on without the next key; empty: none
}

func (e *HeaderError) Error() string {
	file := "identity key"
	if e.File != "" {
		file = fmt.Sprintf("%s %q", file, e.File)
	}
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s: damaged", file, e.Reason)
	}
	return fmt.Sprintf("%s: line %d: %s: damaged", file, e.Line, e.Reason)
}

// Next returns the next step for people.
func (e *HeaderError) Next() string {
	switch {
	case e.Spare:
		return fmt.Sprintf("put back a copy of %s, or remove its line %d", e.File, e.Line)
	case e.withoutNext != "":
		return fmt.Sprintf("put back a copy of %s, or, to go on without the next key, which is lost then, replace its lines 4 and %d by\n# recovery: elsewhere\n%s", e.File, e.Line, e.withoutNext)
	case e.Mend == "":
		return "put back a copy of " + e.File
	}
	return fmt.Sprintf("put back a copy of %s, or replace its line %d by\n%s", e.File, e.Line, e.Mend)
}

// bodyNext begins the line in the place of a next key that is elsewhere: the commitment
// to it, so that the header can be checked. Older versions skip the line.
const bodyNext = "# next: "

// secretLines are the lines below the header, decrypted.
type secretLines struct {
	current   *pointer.Key
	next      *pointer.Key       // nil: elsewhere, or damaged
	committed pointer.Commitment // of bodyNext; zero: there is no such line
	damaged   int                // the number of a line after the first that is damaged; 0: none
	reason    string             // of damaged, for people
}

func parseSecrets(body string) (secretLines, error) {
	lines := strings.Split(strings.TrimSpace(body), "\n")
	current, err := pointer.ParseKey(lines[0])
	if err != nil {
		return secretLines{}, err
	}
	s := secretLines{current: current}
	if len(lines) > 1 {
		reason := "it is no private key"
		if text, ok := strings.CutPrefix(lines[1], bodyNext); ok {
			reason = "it is no commitment to the next key"
			s.committed, err = pointer.ParseCommitment(strings.TrimSpace(text))
		} else {
			s.next, err = pointer.ParseKey(lines[1])
		}
		if err != nil {
			s.next, s.damaged, s.reason = nil, 2, reason
		} else if len(lines) > 2 {
			s.damaged, s.reason = 3, "it is a line after the keys"
		}
	}
	return s, nil
}

// nextCommitment returns the commitment to the next key by the keys, or else by the
// last step of the succession, and the zero value if neither has it.
func (id Identity) nextCommitment(s secretLines) (pointer.Commitment, error) {
	switch {
	case s.next != nil:
		return pointer.Commit(s.next.Public())
	case !s.committed.IsZero():
		return s.committed, nil
	case len(id.Succession) > 0:
		return id.Succession[len(id.Succession)-1].Next, nil
	}
	return pointer.Commitment{}, nil
}

// checkHeader compares the header with the keys. It returns nil, or the first line
// that does not match.
func (id Identity) checkHeader(s secretLines) error {
	next, err := id.nextCommitment(s)
	if err != nil {
		return err
	}
	inFile := s.next != nil
	e := &HeaderError{File: id.file}
	switch {
	case id.badHeader != nil:
		*e = *id.badHeader
		e.File = id.file
	case s.current.Pointer() != id.Pointer:
		e.Line, e.Reason = 2, fmt.Sprintf("it states the pointer %s, and the key is that of %s", id.Pointer, s.current.Pointer())
	case !next.IsZero() && next != id.Next:
		e.Line, e.Reason = 3, "it states another commitment than that to the next key"
	case s.damaged > 0:
		e.Line, e.Reason = id.bodyLine+s.damaged-1, s.reason
		if id.Locked {
			e.Line, e.Reason = 0, "a line of its locked keys: "+s.reason
		}
	case id.NextElsewhere && inFile:
		e.Line, e.Reason = 4, "it states that the next key is elsewhere, and the key is in this file"
	case !id.NextElsewhere && !inFile:
		e.Line, e.Reason = 4, "it states that the next key is in this file, and it is not"
	default:
		return nil
	}
	switch {
	case e.Line == 2:
		e.Mend = "# pointer: " + s.current.Pointer().String()
	case e.Line == 3 && !next.IsZero():
		e.Mend = "# next: " + next.String()
	case e.Line == 4 && inFile:
		e.Mend = "# recovery: home"
	case e.Line == 4 && !s.committed.IsZero():
		e.Mend = "# recovery: elsewhere"
	case s.damaged == 2 && e.Line > 4 && id.NextElsewhere:
		e.Mend = bodyNext + id.Next.String()
	case s.damaged == 2 && e.Line > 4:
		e.withoutNext = bodyNext + id.Next.String()
	}
	return e
}

// CheckLast verifies the last record of the previous key: that key signed it, and it
// names the current one. Its expiry does not count.
func (id Identity) CheckLast() error {
	if id.Last == nil {
		return nil
	}
	e := &HeaderError{File: id.file, Line: id.lastLine, Spare: true}
	if len(id.Succession) == 0 {
		e.Reason = "a last record without a succession"
		return e
	}
	r, _, err := pointer.OpenExpired(id.Succession[len(id.Succession)-1].Old, id.Last, plausible)
	if err != nil {
		e.Reason = "the last record of the previous key does not verify"
		return e
	}
	if card, ok := r.Card(); !ok || card.Successor != id.Pointer {
		e.Reason = "the last record of the previous key does not lead to this key"
		return e
	}
	return nil
}
