package petname

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

type wireSuggestion struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	By        []byte // nil: none
	About     []byte // nil: unknown yet
	Next      []byte // nil: none
	Suggested string
	Nickname  string
	Note      string
	Expires   int64 // ms since 1970; 0: never
	Channel   string
	Evidence  []byte
}

func (w wireSuggestion) id() SuggestionID {
	h := sha256.New()
	h.Write([]byte("petnames/suggestion/v1\x00" + w.Kind + "\x00"))
	h.Write(w.Evidence)
	return SuggestionID(h.Sum(nil)[:16])
}

// checkSuggestion checks the shape and the bounds of a suggestion or a
// decision. It does not verify the evidence.
func (a act) checkSuggestion() error {
	if a.Item != nil && len(a.Item) != len(SuggestionID{}) {
		return fmt.Errorf("suggestion with an id of %d bytes", len(a.Item))
	}
	if a.Verdict > verdictConsent || len(a.Channel) > maxSourceText {
		return fmt.Errorf("verdict %d, channel %s", a.Verdict, name.Quote(a.Channel))
	}
	if a.Suggestion == nil {
		return nil
	}
	return a.Suggestion.check()
}

// check checks the shape and the bounds of a suggestion.
func (w wireSuggestion) check() error {
	for _, mh := range [][]byte{w.By, w.About} {
		if mh == nil {
			continue
		}
		if _, err := pointer.FromBytes(mh); err != nil {
			return fmt.Errorf("suggestion: %w", err)
		}
	}
	if w.Next != nil {
		if _, err := pointer.CommitmentFromBytes(w.Next); err != nil {
			return fmt.Errorf("suggestion: %w", err)
		}
	}
	switch {
	case len(w.Evidence) == 0, len(w.Evidence) > maxEvidence:
		return fmt.Errorf("suggestion with evidence of %d bytes", len(w.Evidence))
	case len(w.Suggested) > introduce.MaxText, len(w.Nickname) > pointer.MaxNickname, len(w.Note) > maxNote, len(w.Channel) > maxSourceText:
		return errors.New("suggestion with a text that is too long")
	case !utf8.ValidString(w.Suggested), !utf8.ValidString(w.Nickname), !utf8.ValidString(w.Note):
		return errors.New("suggestion with a text that isn't UTF-8")
	case w.Expires < 0 || w.Expires > maxAt:
		return errors.New("suggestion with an expiry out of range")
	}
	switch kind := SuggestionKind(w.Kind); kind {
	case Introduced, ContactRequest:
		if self := bytes.Equal(w.By, w.About); self != (kind == ContactRequest) {
			return errors.New("an introduction by its own subject is a contact request, and no other is")
		}
	case Paired, Invited:
		if w.By != nil || w.About == nil {
			return errors.New("pairing without a subject, or by another party")
		}
	case Question, Mutual, Acquainted:
	default:
		return fmt.Errorf("suggestion of kind %s", name.Quote(w.Kind))
	}
	return nil
}

// verify verifies the evidence of a suggestion, and that the suggestion agrees
// with it. So no device can attribute a statement to a contact that did not
// sign it. The evidence of a pairing cannot be verified.
func (w wireSuggestion) verify(open opener) error {
	var content wireSuggestion
	switch kind := SuggestionKind(w.Kind); kind {
	case Introduced, ContactRequest:
		s, err := open(w.Evidence, introduce.KindIntroduction)
		if err != nil {
			return err
		}
		content = fromIntroduction(s, kind, w.Channel)
	case Question:
		s, err := open(w.Evidence, introduce.KindQuestion)
		if err != nil {
			return err
		}
		content = fromQuestion(s, w.Channel)
	case Mutual, Acquainted:
		var err error
		if content, _, err = fromMutual(kind, w.Evidence, w.Channel); err != nil {
			return err
		}
	default:
		return nil
	}
	if !sameEncoding(w, content) {
		return errors.New("suggestion does not agree with its evidence")
	}
	return nil
}

// fromIntroduction returns the suggestion of an introduction.
func fromIntroduction(s introduce.Statement, kind SuggestionKind, channel string) wireSuggestion {
	i, _ := s.Introduction()
	return wireSuggestion{Kind: string(kind), By: i.By.Bytes(), About: i.About.Bytes(), Next: i.Next.Bytes(), Suggested: i.Suggested,
		Note: i.Note, Expires: i.Expires.UnixMilli(), Channel: channel, Evidence: s.Bytes()}
}

// fromQuestion returns the suggestion of a question.
func fromQuestion(s introduce.Statement, channel string) wireSuggestion {
	q, _ := s.Question()
	i := q.Subject.Introduction()
	return wireSuggestion{Kind: string(Question), By: q.By.Bytes(), About: i.About.Bytes(), Suggested: i.Suggested, Channel: channel, Evidence: s.Bytes()}
}

// fromMutual returns the suggestion of a mutual introduction, offered or
// finished, and the request that started it.
func fromMutual(kind SuggestionKind, evidence []byte, channel string) (wireSuggestion, mutual.Request, error) {
	if kind == Acquainted {
		result, err := mutual.Verify(evidence)
		if err != nil {
			return wireSuggestion{}, mutual.Request{}, err
		}
		r := result.Request
		return wireSuggestion{Kind: string(kind), By: r.By.Bytes(), About: result.Pointer.Bytes(), Next: result.Payload.Next.Bytes(), Suggested: r.Suggested,
			Nickname: result.Payload.Nickname, Note: r.Note, Channel: channel, Evidence: evidence}, r, nil
	}
	r, err := mutual.OpenRequest(evidence, time.Time{})
	if err != nil {
		return wireSuggestion{}, mutual.Request{}, err
	}
	return wireSuggestion{Kind: string(kind), By: r.By.Bytes(), Suggested: r.Suggested, Note: r.Note, Expires: r.Expires.UnixMilli(),
		Channel: channel, Evidence: evidence}, r, nil
}

func sameEncoding(a, b wireSuggestion) bool {
	x, err := canonical.Marshal(a)
	y, err2 := canonical.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// encodesLess decides between two forms of one suggestion, whatever the order
// of their arrival.
func encodesLess(a, b wireSuggestion) bool {
	x, err := canonical.Marshal(a)
	y, err2 := canonical.Marshal(b)
	return err == nil && err2 == nil && bytes.Compare(x, y) < 0
}
