package petname

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// SuggestionKind is how a suggestion came about.
type SuggestionKind string

const (
	Introduced SuggestionKind = "introduced" // somebody in the book says so, in a signed introduction
	Paired     SuggestionKind = "paired"     // we met, or spoke, and both keys were proven
	Taken      SuggestionKind = "taken"      // it took an invitation of mine, and proved its key; whether it is whom I meant is for me to say
	Mutual     SuggestionKind = "mutual"     // somebody in the book offers to introduce us to each other; who it is isn't known yet
	Acquainted SuggestionKind = "acquainted" // somebody in the book introduced us to each other: both consented, and both keys were proven
	Question   SuggestionKind = "question"   // somebody asks whether a key that was introduced as mine is
	Stranger   SuggestionKind = "stranger"   // nobody in the book: it says so itself, and has paid for it with work
)

// met: we met, or spoke, and its key was proven.
func (k SuggestionKind) met() bool { return k == Paired || k == Taken }

// Suggestion is what others say of a pointer, waiting in the inbox. It is no
// name and can't become one by itself: [Book.Accept] is the user's own act, and
// takes the name from the user.
type Suggestion struct {
	ID        SuggestionID
	Kind      SuggestionKind
	Pointer   pointer.Pointer    // whom it is about; zero for Mutual
	By        pointer.Pointer    // who says so; zero for Paired and Taken: who was met says it itself
	Next      pointer.Commitment // to the next key, as it was said; zero: it wasn't
	Suggested string             // a name that is suggested: hostile text
	Nickname  string             // what Pointer calls itself, as far as it was said: hostile text
	Note      string             // hostile text
	Channel   string             // how it came: "drop", "doorstep", "file", "link", "code"
	At        time.Time          // when this book first heard it
	Expires   time.Time          // zero: never
	Evidence  []byte             // the signed statement, or the transcript of the pairing
	State     SuggestionState
}

// SuggestionState is what became of a suggestion.
type SuggestionState string

const (
	Pending   SuggestionState = "pending"
	Accepted  SuggestionState = "accepted"
	Declined  SuggestionState = "declined"
	Withdrawn SuggestionState = "withdrawn" // by who made it
	Expired   SuggestionState = "expired"
)

// SuggestionID tells suggestions apart: the hash of what was said, so that what
// comes twice, or another way, is one.
type SuggestionID [16]byte

// String gives the twelve digits by which people call it: a few of them are
// enough, see [Book.Suggestion].
func (id SuggestionID) String() string {
	return fmt.Sprintf("%012d", binary.BigEndian.Uint64(id[:8])%1_000_000_000_000)
}

// Bounds of suggestions.
const (
	maxEvidence = 16 << 10 // bytes of a statement or a transcript
	maxNote     = introduce.MaxNote
)

// The tables of what others said.
const (
	tableInbox     = "inbox"     // digits ‖ suggestion id → suggestionState
	tablePending   = "pending"   // digits ‖ suggestion id → nothing: those that nobody decided on
	tableAbout     = "about"     // pointer ‖ 0 ‖ digits ‖ suggestion id, or pointer ‖ 1 ‖ hash of a denial → nothing, or toldState
	tableMuted     = "muted"     // pointer → nothing: nothing more is to be heard of it
	tableRetracted = "retracted" // id of an introduction ‖ pointer of who takes it back → nothing
	tableTold      = "told"      // pointer → toldState: the edges that it shares with me
	tableInstead   = "instead"   // contact id ‖ entry → the id of the contact that gave way to it
)

const (
	aboutSuggestion byte = 0
	aboutDenial     byte = 1
)

// verdict is what was decided on a suggestion, but for its acceptance.
type verdict uint8

const (
	verdictDecline  verdict = 1
	verdictNever    verdict = 2 // and nothing more is to be heard of the pointer
	verdictWithdraw verdict = 3 // who made it took it back
	verdictConsent  verdict = 4 // to be introduced to each other: nobody is named by it
)

type wireSuggestion struct {
	_         struct{} `cbor:",toarray"`
	Kind      string
	By        []byte // nil: nobody
	About     []byte // nil: unknown yet
	Next      []byte // nil: none
	Suggested string
	Nickname  string
	Note      string
	Expires   int64 // ms since 1970; 0: never
	Channel   string
	Evidence  []byte
}

// suggestionState is a suggestion in the view: what was said, as soon as it is
// known, and what was decided.
type suggestionState struct {
	_        struct{}        `cbor:",toarray"`
	At       int64           // ms since 1970: the earliest that a device heard it
	Said     *wireSuggestion // nil: only the decision is known yet
	Accepted [][]byte        // the entries that accepted it, sorted
	Verdicts []verdict       // all that were given, sorted
}

// toldState is a statement that is kept: edges, or a denial.
type toldState struct {
	_         struct{} `cbor:",toarray"`
	At        int64
	Channel   string
	Statement []byte
}

// edges returns the edges that a row of the view keeps.
func (t toldState) edges() (introduce.Edges, error) {
	s, err := introduce.Restore(t.Statement)
	edges, _ := s.Edges()
	return edges, err
}

func (w wireSuggestion) id() SuggestionID {
	h := sha256.New()
	h.Write([]byte("petnames/suggestion/v1\x00" + w.Kind + "\x00"))
	h.Write(w.Evidence)
	return SuggestionID(h.Sum(nil)[:16])
}

// row is a suggestion's key in the tables.
func (id SuggestionID) row() []byte { return append([]byte(id.String()), id[:]...) }

// checkHeard checks the shape and the bounds of what others signed. Its evidence
// is verified apart.
func (a act) checkHeard() error {
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
		return errors.New("suggestion that expires at no time")
	}
	switch kind := SuggestionKind(w.Kind); kind {
	case Introduced, Stranger:
		if self := bytes.Equal(w.By, w.About); self != (kind == Stranger) {
			return errors.New("who is introduced by itself is a stranger, and nobody else")
		}
	case Paired, Taken:
		if w.By != nil || w.About == nil {
			return errors.New("pairing with nobody, or by somebody else")
		}
	case Question, Mutual, Acquainted:
	default:
		return fmt.Errorf("suggestion of kind %s", name.Quote(w.Kind))
	}
	return nil
}

// verify verifies the evidence of a suggestion, so that no device can attribute a
// statement to a contact that didn't sign it, and that the suggestion says what its
// evidence does. A pairing has no evidence that can be verified.
func (w wireSuggestion) verify(open opener) error {
	var said wireSuggestion
	switch kind := SuggestionKind(w.Kind); kind {
	case Introduced, Stranger:
		s, err := open(w.Evidence, introduce.KindIntroduction)
		if err != nil {
			return err
		}
		said = saidBy(s, kind, w.Channel)
	case Question:
		s, err := open(w.Evidence, introduce.KindQuestion)
		if err != nil {
			return err
		}
		said = askedBy(s, w.Channel)
	case Mutual, Acquainted:
		var err error
		if said, _, err = mutually(kind, w.Evidence, w.Channel); err != nil {
			return err
		}
	default:
		return nil
	}
	if !equalSaid(w, said) {
		return errors.New("suggestion says what its evidence doesn't")
	}
	return nil
}

// saidBy returns an introduction as a suggestion.
func saidBy(s introduce.Statement, kind SuggestionKind, channel string) wireSuggestion {
	i, _ := s.Introduction()
	return wireSuggestion{Kind: string(kind), By: i.By.Bytes(), About: i.About.Bytes(), Next: i.Next.Bytes(), Suggested: i.Suggested,
		Note: i.Note, Expires: i.Expires.UnixMilli(), Channel: channel, Evidence: s.Bytes()}
}

// askedBy returns a question as a suggestion.
func askedBy(s introduce.Statement, channel string) wireSuggestion {
	q, _ := s.Question()
	i := q.Subject.Introduction()
	return wireSuggestion{Kind: string(Question), By: q.By.Bytes(), About: i.About.Bytes(), Suggested: i.Suggested, Channel: channel, Evidence: s.Bytes()}
}

// mutually is an offer to introduce, or what came of it, as a suggestion, and the
// request that it all began with.
func mutually(kind SuggestionKind, evidence []byte, channel string) (wireSuggestion, mutual.Request, error) {
	if kind == Acquainted {
		s, err := mutual.Verify(evidence)
		if err != nil {
			return wireSuggestion{}, mutual.Request{}, err
		}
		r := s.Request
		return wireSuggestion{Kind: string(kind), By: r.By.Bytes(), About: s.Pointer.Bytes(), Next: s.Payload.Next.Bytes(), Suggested: r.Suggested,
			Nickname: s.Payload.Nickname, Note: r.Note, Channel: channel, Evidence: evidence}, r, nil
	}
	r, err := mutual.OpenRequest(evidence, time.Time{})
	if err != nil {
		return wireSuggestion{}, mutual.Request{}, err
	}
	return wireSuggestion{Kind: string(kind), By: r.By.Bytes(), Suggested: r.Suggested, Note: r.Note, Expires: r.Expires.UnixMilli(),
		Channel: channel, Evidence: evidence}, r, nil
}

func equalSaid(a, b wireSuggestion) bool {
	x, err := canonical.Marshal(a)
	y, err2 := canonical.Marshal(b)
	return err == nil && err2 == nil && bytes.Equal(x, y)
}

// suggest notes what came in. Devices that heard the same have one row of it.
func (f fold) suggest(v *ledger.View, e ledger.Entry, a act) error {
	id := a.Suggestion.id()
	return f.onSuggestion(v, id[:], func(s *suggestionState) {
		at := e.Time().UnixMilli()
		if s.Said == nil || at < s.At {
			s.At = at
		}
		if s.Said == nil || smaller(*a.Suggestion, *s.Said) {
			s.Said = a.Suggestion
		}
	})
}

// smaller picks one of two tellings of the same, in whatever order they come.
func smaller(a, b wireSuggestion) bool {
	x, err := canonical.Marshal(a)
	y, err2 := canonical.Marshal(b)
	return err == nil && err2 == nil && bytes.Compare(x, y) < 0
}

// onSuggestion changes a suggestion's row, and keeps the indexes true.
func (f fold) onSuggestion(v *ledger.View, id []byte, change func(*suggestionState)) error {
	row := SuggestionID(id).row()
	state, err := getState[suggestionState](v, tableInbox, row)
	if err != nil {
		return err
	}
	change(&state)
	if err := putState(v, tableInbox, row, state); err != nil {
		return err
	}
	if state.Said != nil && state.Said.About != nil {
		if err := v.Put(tableAbout, slices.Concat(state.Said.About, []byte{aboutSuggestion}, row), []byte{}); err != nil {
			return err
		}
		if slices.Contains(state.Verdicts, verdictNever) {
			if err := v.Put(tableMuted, state.Said.About, []byte{}); err != nil {
				return err
			}
		}
	}
	if state.open() {
		return v.Put(tablePending, row, []byte{})
	}
	return v.Delete(tablePending, row)
}

// open: it was heard, and nobody decided.
func (s suggestionState) open() bool {
	return s.Said != nil && len(s.Accepted) == 0 && len(s.Verdicts) == 0
}

// accept notes that an entry accepted a suggestion, or, undone, no longer does.
func (f fold) accept(v *ledger.View, item []byte, entry ledger.ID, on bool) error {
	if item == nil {
		return nil
	}
	key := undoKey(entry)
	return f.onSuggestion(v, item, func(s *suggestionState) {
		s.Accepted = slices.DeleteFunc(s.Accepted, func(k []byte) bool { return bytes.Equal(k, key) })
		if on {
			s.Accepted = append(s.Accepted, key)
			slices.SortFunc(s.Accepted, bytes.Compare)
		}
	})
}

func (f fold) decide(v *ledger.View, a act) error {
	return f.onSuggestion(v, a.Item, func(s *suggestionState) {
		if !slices.Contains(s.Verdicts, a.Verdict) {
			s.Verdicts = append(s.Verdicts, a.Verdict)
			slices.Sort(s.Verdicts)
		}
	})
}

// hear keeps a statement: the newest edges of each contact that shares some,
// retractions, and denials.
func (f fold) hear(v *ledger.View, e ledger.Entry, a act, s introduce.Statement) error {
	told := toldState{At: e.Time().UnixMilli(), Channel: a.Channel, Statement: a.Statement}
	if r, is := s.Retraction(); is {
		return v.Put(tableRetracted, append(slices.Clone(r.ID[:]), r.By.Bytes()...), []byte{})
	}
	if edges, is := s.Edges(); is {
		return f.keepTold(v, tableTold, edges.By.Bytes(), told, edges.Version)
	}
	d, _ := s.Denial()
	hash := introduce.Hash(a.Statement)
	return f.keepTold(v, tableAbout, slices.Concat(d.About.Bytes(), []byte{aboutDenial}, hash[:]), told, 0)
}

// keepTold keeps the statement with the higher version, or else the lesser
// bytes, and of one the earlier hearing: the same in whatever order they come.
func (f fold) keepTold(v *ledger.View, table string, key []byte, told toldState, version uint64) error {
	old, err := getState[toldState](v, table, key)
	if err != nil {
		return err
	}
	if old.Statement != nil {
		before := uint64(0)
		if table == tableTold {
			edges, err := old.edges()
			if err != nil {
				return err
			}
			before = edges.Version
		}
		if cmp.Or(cmp.Compare(before, version), -bytes.Compare(old.Statement, told.Statement),
			-cmp.Compare(old.At, told.At), -strings.Compare(old.Channel, told.Channel)) >= 0 {
			return nil
		}
	}
	return putState(v, table, key, told)
}

// suggestion makes the exported form.
func (s suggestionState) suggestion(id SuggestionID, now time.Time) (Suggestion, error) {
	w := s.Said
	out := Suggestion{ID: id, Kind: SuggestionKind(w.Kind), Suggested: w.Suggested, Nickname: w.Nickname, Note: w.Note, Channel: w.Channel,
		At: time.UnixMilli(s.At).UTC(), Evidence: bytes.Clone(w.Evidence), State: Pending}
	var err error
	if w.By != nil {
		if out.By, err = pointer.Restore(w.By); err != nil {
			return Suggestion{}, err
		}
	}
	if w.About != nil {
		if out.Pointer, err = pointer.Restore(w.About); err != nil {
			return Suggestion{}, err
		}
	}
	if w.Next != nil {
		if out.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return Suggestion{}, err
		}
	}
	if w.Expires != 0 {
		out.Expires = time.UnixMilli(w.Expires).UTC()
	}
	switch {
	case len(s.Accepted) > 0:
		out.State = Accepted
	case slices.Contains(s.Verdicts, verdictWithdraw):
		out.State = Withdrawn
	case slices.Contains(s.Verdicts, verdictDecline), slices.Contains(s.Verdicts, verdictNever):
		out.State = Declined
	case len(s.Verdicts) > 0:
		out.State = Accepted
	case !out.Expires.IsZero() && !now.Before(out.Expires):
		out.State = Expired
	}
	return out, nil
}
