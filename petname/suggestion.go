package petname

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// SuggestionKind is how a suggestion came about.
type SuggestionKind string

const (
	Introduced     SuggestionKind = "introduced" // somebody in the book says so, in a signed introduction
	Paired         SuggestionKind = "paired"     // we met, or spoke, and both keys were proven
	Invited        SuggestionKind = "taken"      // it took an invitation of mine, and proved its key; whether it is whom I meant is for me to say
	Mutual         SuggestionKind = "mutual"     // somebody in the book offers to introduce us to each other; who it is isn't known yet
	Acquainted     SuggestionKind = "acquainted" // somebody in the book introduced us to each other: both consented, and both keys were proven
	Question       SuggestionKind = "question"   // somebody asks whether a key that was introduced as mine is
	ContactRequest SuggestionKind = "stranger"   // nobody in the book: it says so itself, and has paid for it with work
)

// met: we met, or spoke, and its key was proven.
func (k SuggestionKind) isDirect() bool { return k == Paired || k == Invited }

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
	tableInbox        = "inbox"     // digits ‖ suggestion id → suggestionState
	tablePending      = "pending"   // digits ‖ suggestion id → nothing: those that nobody decided on
	tableAbout        = "about"     // pointer ‖ 0 ‖ digits ‖ suggestion id, or pointer ‖ 1 ‖ hash of a denial → nothing, or toldState
	tableMuted        = "muted"     // pointer → nothing: nothing more is to be heard of it
	tableRetracted    = "retracted" // id of an introduction ‖ pointer of who takes it back → nothing
	tablePrivateEdges = "told"      // pointer → toldState: the edges that it shares with me
	tableReplaced     = "instead"   // contact id ‖ entry → the id of the contact that gave way to it
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

// row is a suggestion's key in the tables.
func (id SuggestionID) row() []byte { return append([]byte(id.String()), id[:]...) }
