package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/exchange"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/petname/mutual"
	"github.com/petnames-go/petnames/petname/name"
	"github.com/petnames-go/petnames/pointer"
)

// IntroductionLifetime is how long an introduction can be accepted, as a rule.
const IntroductionLifetime = exchange.IntroductionLifetime

// Introduction is the argument of [Agent.Introduce].
type Introduction struct {
	About    string        // a petname or a pointer in the book
	To       string        // likewise
	As       string        // the name to suggest; empty: the nickname of About
	Note     string        // at most introduce.MaxNote bytes
	Lifetime time.Duration // how long it can be accepted: over 0, at most 366 days, and 90 with Both; usually IntroductionLifetime
	Both     bool          // introduce the two to each other, when both have consented
	SignOnly bool          // return the signed statement instead of sending it; not with Both
}

// Introduced is an introduction that was made or retracted. It is a plain value.
type Introduced struct {
	ID        string // of the introduction, or of the mutual one: hexadecimal
	To        petname.Contact
	About     pointer.Pointer
	Suggested string
	Expires   time.Time
	Both      bool
	Sent      Delivery            // empty with SignOnly
	Signed    introduce.Statement // with SignOnly
	Offers    []Offer             // of a mutual introduction: one for each of the two contacts, To first
}

// Offer is the delivery of a mutual introduction to one of the two contacts.
type Offer struct {
	To     petname.Contact
	Sent   Delivery
	NoCard bool // it is Queued because the contact has published nothing yet
}

// Introduce signs a statement to one contact about the key of another, and sends it.
// The error beside a Delivery of [Queued] is the reason.
//
// It fails with [petname.ErrNotFound], [ErrSameContact], a [*NoNicknameError], a
// [*NoCardError] when the contact has published nothing yet, or an
// [*ArgumentError] for a life or a note that cannot be used; of a mutual
// introduction, that is [mutual.ErrInvalid].
func (a *Agent) Introduce(ctx context.Context, i Introduction) (Introduced, error) {
	if i.Both && i.SignOnly {
		return Introduced{}, &ArgumentError{"introduction", "a mutual introduction needs an answer from each of the two: it is sent"}
	}
	about, err := a.Lookup(i.About)
	if err != nil {
		return Introduced{}, err
	}
	to, err := a.Lookup(i.To)
	if err != nil {
		return Introduced{}, err
	}
	if about.ID == to.ID {
		return Introduced{}, fmt.Errorf("%q and %q %w", i.About, i.To, ErrSameContact)
	}
	for _, c := range []petname.Contact{about, to} {
		if err := c.Pinned(c.Pointer, pointer.Commitment{}); err != nil {
			return Introduced{}, err
		}
	}
	label, err := a.label(i.About, about, i.As, "to suggest")
	if err != nil {
		return Introduced{}, err
	}
	key, err := a.key()
	if err != nil {
		return Introduced{}, err
	}
	now := a.now()
	out := Introduced{To: to, About: about.Pointer, Both: i.Both}
	if i.Both {
		m, sent, err := a.introduceBoth(ctx, key, mutual.Party{Pointer: about.Pointer, Suggested: label.String(), Note: i.Note}, to, now.Add(i.Lifetime))
		out.ID, out.Suggested, out.Expires, out.Sent = hex.EncodeToString(m.Session[:]), label.String(), m.Expires, sent
		out.To = a.advanced(to)
		if sent != "" {
			out.Offers = a.offers(m, out.To, a.advanced(about))
		}
		return out, err
	}
	chain, err := a.book.Succession(about.Pointer)
	if err != nil {
		return Introduced{}, err
	}
	signed, err := introduce.Introduction{To: to.Pointer, About: about.Pointer, Next: about.Next, Chain: chain, Suggested: label.String(), Note: i.Note,
		Expires: now.Add(i.Lifetime)}.Sign(key, nil, now)
	if err != nil {
		return Introduced{}, &ArgumentError{"introduction", err.Error()}
	}
	made, _ := signed.Introduction()
	out.ID, out.Suggested, out.Expires = hex.EncodeToString(made.ID[:]), label.String(), made.Expires
	if i.SignOnly {
		ex, err := a.exchange()
		if err != nil {
			return Introduced{}, err
		}
		out.Signed = signed
		return out, ex.RecordIntroduction(signed)
	}
	out.Sent, err = a.send(ctx, key, to, signed)
	out.To = a.advanced(to)
	return out, err
}

// offers returns the deliveries of a mutual introduction to contacts.
func (a *Agent) offers(m exchange.Mutual, contacts ...petname.Contact) (all []Offer) {
	for _, c := range contacts {
		for _, o := range m.Offers {
			if to, err := a.book.ByPointer(o.To); err == nil && to.ID == c.ID {
				sent, _ := delivered(o.Sent, o.Err)
				all = append(all, Offer{To: c, Sent: sent, NoCard: sent == Queued && errors.Is(o.Err, dht.ErrNotFound)})
			}
		}
	}
	return all
}

// advanced returns a contact as it is after a message was sent to it: the card that was fetched
// for the message may have advanced it.
func (s *state) advanced(c petname.Contact) petname.Contact {
	if now, err := s.book.ByPointer(c.ID); err == nil {
		return now
	}
	return c
}

// label returns the name of a contact for others: as, or if it is empty the contact's
// nickname. The owner's petname stays private.
func (a *Agent) label(text string, c petname.Contact, as, what string) (name.Name, error) {
	if as == "" {
		as = a.shownNickname(c)
	}
	if as == "" {
		return name.Name{}, &NoNicknameError{Text: text, Name: c.Name, To: what}
	}
	return petname.CheckLabel(as)
}

// introduceBoth offers a mutual introduction to two contacts.
func (a *Agent) introduceBoth(ctx context.Context, key *pointer.Key, about mutual.Party, to petname.Contact, expires time.Time) (exchange.Mutual, Delivery, error) {
	ex, err := a.exchange()
	if err != nil {
		return exchange.Mutual{}, "", err
	}
	other := mutual.Party{Pointer: to.Pointer}
	if n, err := petname.CheckLabel(a.shownNickname(to)); err == nil {
		other.Suggested = n.String()
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	m, sent, err := ex.IntroduceBoth(ctx, key, about, other, expires)
	sent, err = delivered(sent, noCard(err, name.Name{}))
	return m, sent, err
}

// Retract withdraws the mutual introduction of two contacts that is under way, or if
// there is none retracts the introduction of one to the other. It fails with
// [ErrNotIntroduced].
func (a *Agent) Retract(ctx context.Context, about, to string) (Introduced, error) {
	subject, err := a.Lookup(about)
	if err != nil {
		return Introduced{}, err
	}
	recipient, err := a.Lookup(to)
	if err != nil {
		return Introduced{}, err
	}
	key, err := a.key()
	if err != nil {
		return Introduced{}, err
	}
	ex, err := a.exchange()
	if err != nil {
		return Introduced{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if out, found, err := a.retractMutual(ctx, ex, key, recipient, subject); found || err != nil {
		return out, err
	}
	found, sent, err := ex.Retract(ctx, key, recipient.Pointer, subject.Pointer)
	if sent == "" && errors.Is(err, petname.ErrNotFound) {
		return Introduced{}, ErrNotIntroduced
	}
	if sent == "" {
		return Introduced{}, err
	}
	i := found[len(found)-1]
	sent, err = delivered(sent, err)
	return Introduced{ID: hex.EncodeToString(i.ID[:]), To: recipient, About: subject.Pointer, Suggested: i.Suggested, Expires: i.Expires, Sent: sent}, err
}

// retractMutual withdraws the mutual introduction of two contacts that is under way,
// and reports whether it found one.
func (a *Agent) retractMutual(ctx context.Context, ex *exchange.Exchange, key *pointer.Key, to, about petname.Contact) (out Introduced, found bool, err error) {
	all, err := ex.Mutuals()
	if err != nil {
		return Introduced{}, false, err
	}
	had := func(c petname.Contact, p pointer.Pointer) bool { // it may have rotated since
		return slices.ContainsFunc(c.Chain, func(s petname.Step) bool { return s.Pointer == p })
	}
	for _, m := range all {
		both := had(to, m.Parties[0]) && had(about, m.Parties[1]) || had(about, m.Parties[0]) && had(to, m.Parties[1])
		if !both || m.Phase >= mutual.Active {
			continue
		}
		m, sent, err := ex.WithdrawMutual(ctx, key, m.Session)
		if sent == "" {
			return Introduced{}, true, err
		}
		sent, err = delivered(sent, err)
		return Introduced{ID: hex.EncodeToString(m.Session[:]), To: to, About: about.Pointer, Expires: m.Expires, Both: true, Sent: sent}, true, err
	}
	return Introduced{}, false, nil
}

// Statements are questions or denials that the owner signed for one contact.
type Statements struct {
	To       petname.Contact
	Pointers []pointer.Pointer // the keys that are asked about, or denied
	Sent     Delivery          // empty when they were signed only
	Signed   []introduce.Statement
}

// Dispute asks a contact about the keys that an introducer stated as the contact's
// and that the owner has since replaced by another key: whether they are its own.
// It signs one question for each key, and sends the questions unless signOnly is
// set. It fails with [ErrNothingToDispute] if there is no such key.
func (a *Agent) Dispute(ctx context.Context, text string, signOnly bool) (Statements, error) {
	c, err := a.Lookup(text)
	if err != nil {
		return Statements{}, err
	}
	all, err := a.book.Evidence(c.ID)
	if err != nil {
		return Statements{}, err
	}
	key, err := a.key()
	if err != nil {
		return Statements{}, err
	}
	out := Statements{To: c}
	former := false
	for _, e := range all {
		subject, introduced, err := e.Subject()
		if err != nil {
			return Statements{}, err
		}
		if !introduced || !e.OfReplaced {
			continue
		}
		if subject.Introduction().To != key.Pointer() { // a question is signed by the recipient
			former = true
			continue
		}
		signed, err := introduce.Question{To: c.Pointer, Subject: subject}.Sign(key, a.now())
		if err != nil {
			return Statements{}, err
		}
		out.Pointers, out.Signed = append(out.Pointers, e.Pointer), append(out.Signed, signed)
	}
	if len(out.Signed) == 0 && former {
		return Statements{To: c}, ErrFormerIntroduction
	}
	if len(out.Signed) == 0 {
		return Statements{To: c}, ErrNothingToDispute
	}
	return a.sendAll(ctx, key, out, signOnly)
}

// Deny answers a question about a key with the owner's signed denial: the key is not
// the owner's. With signOnly it does not send the denial.
func (a *Agent) Deny(ctx context.Context, id petname.SuggestionID, signOnly bool) (Statements, error) {
	s, err := a.book.Suggestion(id.String())
	if err != nil {
		return Statements{}, err
	}
	if s.Kind != petname.Question {
		return Statements{}, &ArgumentError{"suggestion", fmt.Sprintf("%s is not a question", s.ID)}
	}
	asked, err := introduce.Open(s.Evidence, introduce.KindQuestion)
	if err != nil {
		return Statements{}, err
	}
	q, _ := asked.Question()
	if a.book.IsOwn(s.Pointer) {
		return Statements{}, petname.ErrOwnPointer
	}
	to, err := a.book.ByPointer(s.By)
	if err != nil {
		return Statements{}, err
	}
	key, err := a.key()
	if err != nil {
		return Statements{}, err
	}
	signed, err := introduce.Deny(q.Subject, key, a.now())
	if err != nil {
		return Statements{}, err
	}
	out, err := a.sendAll(ctx, key, Statements{To: to, Pointers: []pointer.Pointer{s.Pointer}, Signed: []introduce.Statement{signed}}, signOnly)
	if out.Sent == "" && !signOnly {
		return Statements{}, err
	}
	if _, derr := a.book.Decline(s.ID, false); derr != nil { // the question is answered
		return out, derr
	}
	return out, err
}

// sendAll sends the statements in their order, unless signOnly is set, and returns
// them with Sent set to the delivery of the last one. It stops at the first error.
func (a *Agent) sendAll(ctx context.Context, key *pointer.Key, s Statements, signOnly bool) (Statements, error) {
	if signOnly {
		return s, nil
	}
	for _, signed := range s.Signed {
		var err error
		if s.Sent, err = a.send(ctx, key, s.To, signed); err != nil {
			return s, err
		}
	}
	return s, nil
}
