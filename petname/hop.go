package petname

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/pointer"
)

// hop resolves one pointer. It advances along proven successions to the last
// key.
func (b *Book) hop(ctx context.Context, records Records, part string, at start, level dht.Level) (Hop, error) {
	hop := Hop{Name: part}
	most := maxSteps
	if at.known {
		most = maxChain // as many as the book records
	}
	for {
		p := at.pointer
		hop.Pointer = p
		var err error
		if hop.Result, hop.Card, err = fetchRecord(ctx, records, p, level); err != nil {
			return hop, err
		}
		if err := b.compareCard(&at, hop.Card); err != nil {
			return hop, err
		}
		chain, err := provenSteps(ctx, records, at, hop.Card, level)
		if err != nil {
			return hop, err
		}
		if claimed := NamedSuccessor(p, hop.Card); !claimed.IsZero() && (chain == nil || !at.rank.permits(chain[0])) {
			// Without a pinned commitment the successor is not proven: the key
			// that signed the card's commitment also signed the name of the
			// successor. A claim needs the signature of the old key, or the
			// owner's decision: the step is stored, and shown.
			hop.Unproven = claimed
			return hop, b.applySteps(at, chain)
		}
		if chain == nil {
			return hop, b.finishHop(at, hop.Card)
		}
		if err := b.applySteps(at, chain); err != nil {
			return hop, err
		}
		if hop.Former = append(hop.Former, p); len(hop.Former) > most {
			return hop, &SuccessionError{p, fmt.Errorf("it is over %d keys long", most)}
		}
		if at.pointer, at.next, err = pointer.Follow(p, at.next, chain); err != nil {
			return hop, &SuccessionError{p, err}
		}
		// Both keys signed the commitment, or there is none.
		at.rank, at.unsigned = confirmed, at.next.IsZero()
		if slices.Contains(hop.Former, at.pointer) {
			return hop, &SuccessionError{p, errors.New("it leads in a circle")}
		}
	}
}

// applySteps records steps from the pointer of a start, unless the contact that is there
// is not what the start is about.
func (b *Book) applySteps(at start, chain []pointer.Succession) error {
	if at.apart {
		return nil
	}
	return b.applySuccession(at.pointer, chain, channelRecord)
}

// compareCard compares the commitment of a card with the pinned one. A card that
// agrees confirms the pin, and the book records both.
func (b *Book) compareCard(at *start, card pointer.Card) error {
	if at.next.IsZero() || card.Next.IsZero() {
		return nil
	}
	if !at.apart {
		if err := b.learnCard(at.pointer, card); err != nil {
			return err
		}
	}
	switch {
	case at.next == card.Next:
		// On a third party's claim, a card that names its successor as well moves no
		// contact.
		if !at.unsigned && (!at.known || at.rank > reported || NamedSuccessor(at.pointer, card).IsZero()) {
			at.rank = confirmed
		}
		return nil
	case at.rank == confirmed:
		return &DuplicityError{at.pointer, at.next, card.Next}
	}
	return &ContradictionError{Contradiction{Pointer: at.pointer, Claims: []PinClaim{
		{Next: at.next, Pin: at.rank.pin()}, {Next: card.Next, Pin: Confirmed, Kind: factCard, By: at.pointer.String()}}}}
}

// fetchRecord returns the record of a pointer, and its card if it has one.
func fetchRecord(ctx context.Context, records Records, p pointer.Pointer, level dht.Level) (dht.Result, pointer.Card, error) {
	result, err := records.Best(ctx, p, level)
	if err != nil {
		return result, pointer.Card{}, err
	}
	if result.Record.Pointer() != p {
		return result, pointer.Card{}, fmt.Errorf("received a record of %s for %s", result.Record.Pointer(), p)
	}
	card, _ := result.Record.Card()
	return result, card, nil
}

// NamedSuccessor returns the successor of p that its card names, by its field or by a step in
// its succession; zero: none. It verifies no proof.
func NamedSuccessor(p pointer.Pointer, card pointer.Card) pointer.Pointer {
	if steps := stepsFrom(p, card.Succession); len(steps) > 0 {
		if to, err := pointer.FromPublicKey(steps[len(steps)-1].New); err == nil {
			return to
		}
	}
	if card.Successor == p {
		return pointer.Pointer{}
	}
	return card.Successor
}

// provenSteps returns the steps to the successor that the card of a pointer
// names, if they open the pinned commitment; nil if it names none or nothing is
// pinned. Steps that do not agree with the pinned commitment are an error: the
// signer has the pointer's key and not the next one.
//
// A card may name its successor and leave the steps to the successor's card.
func provenSteps(ctx context.Context, records Records, at start, card pointer.Card, level dht.Level) ([]pointer.Succession, error) {
	p, pinned := at.pointer, at.next
	claimed := NamedSuccessor(p, card)
	if claimed.IsZero() || pinned.IsZero() {
		return nil, nil
	}
	chain := stepsFrom(p, card.Succession)
	if len(chain) == 0 {
		_, next, err := fetchRecord(ctx, records, claimed, level)
		if err != nil {
			return nil, fmt.Errorf("its successor %s: %w", claimed, err)
		}
		if chain = stepsFrom(p, next.Succession); len(chain) == 0 {
			return nil, &SuccessionError{p, fmt.Errorf("it names %s, and the card there has no such step", claimed)}
		}
	}
	if _, _, err := pointer.Follow(p, pinned, chain); err != nil {
		return nil, &SuccessionError{p, err}
	}
	return chain, nil
}

// stepsFrom returns the steps of a chain from a pointer on, to the first one that
// proves no commitment of its new key: the old key did not sign it, or it has none. The
// owner decides about a step after that one.
func stepsFrom(p pointer.Pointer, chain []pointer.Succession) []pointer.Succession {
	i := slices.IndexFunc(chain, func(s pointer.Succession) bool { return s.Old == p })
	if i < 0 {
		return nil
	}
	chain = chain[i:]
	if end := slices.IndexFunc(chain, func(s pointer.Succession) bool { return s.OldSignature == nil || s.Next.IsZero() }); end >= 0 {
		chain = chain[:end+1]
	}
	return chain
}

// finishHop records the last card, and advances contacts to p by the card's
// succession.
func (b *Book) finishHop(at start, card pointer.Card) error {
	if at.apart {
		return nil
	}
	p := at.pointer
	if n := len(card.Succession); n == 0 {
		return b.learnCard(p, card)
	} else if to, err := card.Succession[n-1].Verify(); err != nil || to != p {
		return b.learnCard(p, card) // the succession leads to another pointer
	}
	for _, s := range card.Succession {
		// The card may be of an unknown party. Steps that prove nothing are
		// ignored.
		if err := b.applySuccession(s.Old, card.Succession, channelRecord); err != nil && !errors.As(err, new(*SuccessionError)) {
			return err
		}
	}
	return b.learnCard(p, card)
}
