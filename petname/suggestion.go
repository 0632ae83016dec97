package petname

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// SuggestionKind is the origin of a suggestion.
type SuggestionKind string

const (
	Introduced     SuggestionKind = "introduced" // a contact introduced it, in a signed introduction
	Paired         SuggestionKind = "paired"     // the owner paired with it: both keys were proven
	Invited        SuggestionKind = "taken"      // it accepted an invitation of the owner, and proved its key; the owner decides whether it is the invitee
	Mutual         SuggestionKind = "mutual"     // a contact offers a mutual introduction; its subject is not known yet
	Acquainted     SuggestionKind = "acquainted" // the result of a mutual introduction: both parties consented, and both keys were proven
	Question       SuggestionKind = "question"   // a contact asks whether a key that was introduced as the owner's is the owner's
	ContactRequest SuggestionKind = "stranger"   // it is not in the book, introduced itself, and did proof of work
)

// isDirect reports whether the owner and the subject met or talked, and the key
// was proven.
func (k SuggestionKind) isDirect() bool { return k == Paired || k == Invited }

// isSigned reports whether only a contact can make such a suggestion, in a statement
// that it signed.
func (k SuggestionKind) isSigned() bool { return k == Introduced || k == Mutual || k == Question }

// Suggestion is a statement about a pointer that waits in the inbox for the
// owner's decision. It names nothing: [Book.Accept] is an act of the owner,
// with a name that the owner chose.
type Suggestion struct {
	ID        SuggestionID
	Kind      SuggestionKind
	Pointer   pointer.Pointer    // the subject; zero for Mutual
	By        pointer.Pointer    // the signer; zero for Paired and Invited
	Next      pointer.Commitment // to the next key of Pointer; zero: none
	Suggested string             // a suggested name: hostile text
	Nickname  string             // the subject's name for itself; empty: unknown; hostile text
	Note      string             // hostile text
	Channel   string             // how it arrived: "drop", "doorstep", "file", "link", "code"
	At        time.Time          // when the book first received it
	Expires   time.Time          // zero: never
	Evidence  []byte             // the signed statement, or the transcript of the pairing
	State     SuggestionState
}

// SuggestionState is the state of a suggestion.
type SuggestionState string

const (
	Pending   SuggestionState = "pending"
	Accepted  SuggestionState = "accepted"
	Declined  SuggestionState = "declined"
	Withdrawn SuggestionState = "withdrawn" // by its sender
	Expired   SuggestionState = "expired"
)

// SuggestionID identifies a suggestion: a hash of its kind and its evidence, so
// that copies of one statement have one ID.
type SuggestionID [16]byte

// String returns the ID as twelve digits, for display and input. A few of them
// are enough: see [Book.Suggestion].
func (id SuggestionID) String() string {
	return fmt.Sprintf("%012d", binary.BigEndian.Uint64(id[:8])%1_000_000_000_000)
}

// Bounds of suggestions.
const (
	maxEvidence = 16 << 10 // bytes of a statement or a transcript
	maxNote     = introduce.MaxNote
)

// The tables of suggestions and statements.
const (
	tableInbox        = "inbox"     // digits ‖ suggestion id → suggestionState
	tablePending      = "pending"   // end (8 bytes) ‖ digits ‖ suggestion id → empty, for each suggestion without a decision
	tableEnds         = "ends"      // end (8 bytes) ‖ digits ‖ suggestion id → empty, for each suggestion whose body can be dropped after its end
	tableAbout        = "about"     // pointer ‖ 0 ‖ digits ‖ suggestion id → empty; pointer ‖ 1 ‖ hash of a denial → statementState
	tableMuted        = "muted"     // pointer → empty: suggestions about it are refused
	tableRetracted    = "retracted" // id of an introduction ‖ pointer of the signer of its retraction → empty
	tablePrivateEdges = "told"      // pointer → statementState: the edges that it shares with the owner
	tableReplaced     = "instead"   // contact id ‖ entry → the id of the replaced contact
)

const (
	aboutSuggestion byte = 0
	aboutDenial     byte = 1
)

// verdict is a decision on a suggestion other than its acceptance.
type verdict uint8

const (
	verdictDecline  verdict = 1
	verdictNever    verdict = 2 // and further suggestions about the pointer are refused
	verdictWithdraw verdict = 3 // withdrawn by its sender
	verdictConsent  verdict = 4 // to a mutual introduction; names nothing
)

// row returns the suggestion's key in the tables.
func (id SuggestionID) row() []byte { return append([]byte(id.String()), id[:]...) }
