package agent

import (
	"context"
	"errors"
	"slices"

	"github.com/petnames-go/petnames/petname/home"
)

// Recovered is an identity that [Recover] continued. It is a plain value.
type Recovered struct {
	home.Recovered
	Published

	// Problem is why the records of both pointers are not stored in a network yet:
	// [ErrNotJoined], an error of [Agent.Join], [ErrNotLedOn], or an error of [Agent.PublishDraft].
	// They are in the home, and the next publication, or an agent that runs, stores them.
	// Nil: stored.
	Problem error
}

// ErrNotLedOn is the Problem of a recovery whose new record is stored, and the last record
// of the old pointer is not: it has ended, or more peers refused than accepted it, since
// they have a newer record, which another holder of the old key signed. Followers are
// not led on; the new link leads them.
var ErrNotLedOn = errors.New("the last record of the old pointer is not stored: it has ended, or peers have a newer one, which another holder of the old key signed; followers are not led on")

// Recover makes a home in dir from a recovery file, opens it, joins the networks (see
// [Agent.Join]; none: the home stays offline), and publishes: the last record of the old
// pointer, which leads followers to the new one, and the first record of the new
// pointer. It returns the agent, for the caller to close.
//
// Recover fails with the errors of [home.Recover], and with an [*AddressError] for a
// network that cannot be used, and makes nothing then. After that the home exists,
// whatever the error: a [*CopiedError] says that the recovery file is not the newest.
func Recover(ctx context.Context, dir string, r home.RecoverOptions, o Options, networks ...string) (*Agent, Recovered, error) {
	if err := ctx.Err(); err != nil {
		return nil, Recovered{}, err
	}
	if _, err := (&state{transport: o.Transport}).parseJoin(networks); err != nil {
		return nil, Recovered{}, err
	}
	_, made, err := home.Recover(dir, r)
	if err != nil {
		return nil, Recovered{}, err
	}
	out := Recovered{Recovered: made}
	o.Create = nil
	a, err := Open(ctx, dir, o)
	if err != nil {
		return nil, out, err
	}
	var offline error
	if len(networks) > 0 {
		offline = a.Join(ctx, networks...)
	}
	unlocked := a.WithPassphrase(func() ([]byte, error) { return []byte(r.Passphrase), nil })
	out.Published, err = unlocked.PublishDraft(ctx, nil)
	out.Clock = hintText(a.recoveryHints(made), a.now())
	switch {
	case out.Sequence == 0:
		return a, out, err
	case offline != nil && err != nil:
		err = offline
	}
	id, ierr := a.identity()
	if ierr == nil {
		ierr = a.saveLastRecords(ctx, id) // offline nothing else has put it into the home
	}
	if err == nil && !made.Until.IsZero() && !slices.Contains(out.Former, made.Old) {
		err = ErrNotLedOn
	}
	out.Problem = err
	return a, out, ierr
}

// recoveryHints returns the times that contradict the clock, with the date of the recovery
// file: the last record in it is valid for 20 years. The new book has no other date.
func (s *state) recoveryHints(made home.Recovered) []clockHint {
	hints := s.clockHints()
	ahead := made.Until.AddDate(-20, 0, 0).Sub(s.now())
	if !made.Until.IsZero() && ahead > bookMargin {
		hints = append(hints, clockHint{source: "the last record of your former key", group: homeGroup, bound: atTheEarliest, ahead: ahead})
	}
	return hints
}
