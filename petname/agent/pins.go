package agent

import (
	"context"
	"errors"
	"time"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/pointer"
)

// Confirm records that the owner believes the card of a contact about its next
// key, and settles the contradictions on record: see [petname.Book.Confirm]. text
// is a petname, or a pointer in any form. The card is that of the newest record,
// from the networks that were joined or else from the home. If the card names a
// successor that it now proves, the contact advances. A card that contradicts what
// is on record, and that was not shown before, is recorded, and the error says so.
//
// If the confirmation names a commitment or a successor that is on record, no
// network is asked. Its Card is not used.
//
// The context bounds it, to [MaxTimeout] at most; without a deadline it takes at
// most 30 seconds. The errors are those of Lookup and of [petname.Book.Confirm].
// That no network can be reached is no error if the home has a record.
func (a *Agent) Confirm(ctx context.Context, text string, what petname.Confirmation) (petname.Contact, error) {
	c, err := a.Lookup(text)
	if err != nil {
		return c, err
	}
	what.Card = nil
	if !what.Successor.IsZero() || !what.Next.IsZero() {
		confirmed, err := a.book.Confirm(c.ID, what)
		bare := c.Next.IsZero() && len(c.Contradictions) == 0
		if !errors.Is(err, petname.ErrNothingToConfirm) || !bare && what.Next.IsZero() {
			return confirmed, err
		}
		// The newest card may state it; if nothing was known before, that card names
		// the successor.
	}
	timeout := defaultTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(time.Until(deadline), MaxTimeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	network := &lazyNetwork{state: a.state}
	resolver := a.resolver(a.sources(network)...)
	resolver.Timeout = timeout
	var newest *pointer.Record
	result, lookUpErr := resolver.Best(ctx, c.Pointer, dht.LevelFresh)
	if lookUpErr == nil {
		newest = &result.Record
	} else if r, expired, err := a.held(c.Pointer); err == nil && !expired {
		newest = &r
	}
	if ctx.Err() != nil && errors.Is(lookUpErr, context.Canceled) {
		return c, lookUpErr
	}
	what.Card = newest
	confirmed, err := a.book.Confirm(c.ID, what)
	if errors.Is(err, petname.ErrNothingToConfirm) && isNetwork(lookUpErr) {
		err = errors.Join(err, lookUpErr)
	}
	if err != nil || newest == nil {
		return confirmed, err
	}
	// The contact advances to the successor that the card names.
	if card, _ := newest.Card(); card.Successor.IsZero() && len(card.Succession) == 0 {
		return confirmed, nil
	}
	if _, err := a.book.Resolve(ctx, resolver, confirmed.Pointer.String(), dht.LevelAny); err != nil {
		a.log.Info("the successor that the card names is not proven, or was not found", "contact", c.ID, "error", err)
	}
	return a.book.ByPointer(c.ID)
}

// maxNamed bounds the contacts that wait for runCards.
const maxNamed = 64

// runCards fetches the card of each contact soon after it was named, until the
// agent closes: the card confirms or contradicts what the owner entered.
func (a *Agent) runCards() {
	a.mu.Lock()
	running := a.running
	a.mu.Unlock()
	a.loops.Go(func() {
		for {
			select {
			case p := <-a.named:
				ctx, cancel := context.WithTimeout(running, defaultTimeout)
				if _, err := a.Resolve(ctx, p.String(), dht.LevelAny); err != nil && running.Err() == nil {
					a.log.Info("no card of a new contact", "contact", p, "error", err)
				}
				cancel()
			case <-running.Done():
				return
			}
		}
	})
}

// The table of the mark that the records of an older version were read.
const (
	pinsTable = "pins"
	pinsKey   = "records"
)

// learnRecords confirms the pins of a book of an older version, which recorded
// no card that agrees with one, by the unexpired records of contacts that the
// home holds. It does so once in the life of a home.
func (s *state) learnRecords() error {
	var mark []byte
	err := s.book.Ledger().ReadLocal(func(local *ledger.View) (err error) {
		mark, err = local.Get(pinsTable, []byte(pinsKey))
		return err
	})
	if err != nil || mark != nil {
		return err
	}
	all, err := s.records.Pointers()
	if err != nil || len(all) == 0 {
		return err
	}
	for _, p := range all {
		r, expired, err := s.held(p)
		if err != nil || expired {
			continue // a record that cannot be read confirms nothing
		}
		// What one record contradicts or proves about another contact is shown when that is
		// resolved; the others confirm theirs.
		if err := s.book.LearnCard(r); err != nil && !isContradiction(err) && !errors.As(err, new(*petname.ConflictError)) {
			return err
		}
	}
	return s.book.Update(func(_ *petname.Book, local *ledger.View) error {
		return local.Put(pinsTable, []byte(pinsKey), []byte{})
	})
}

// isContradiction reports whether an error states that commitments contradict
// each other.
func isContradiction(err error) bool {
	return errors.As(err, new(*petname.DuplicityError)) || errors.As(err, new(*petname.ContradictionError))
}
