package agent

import (
	"context"
	"fmt"
	"io"

	"github.com/petnames-go/petnames/dht"
	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
)

// Seal returns a writer that seals a file to the parties that paths of names lead to, as
// [seal.NewWriter] does: see [Agent.Resolve]. It fails with [ErrNoSealing] for a card without a
// sealing key. The owner can read the file only if its own pointer is among them.
func (a *Agent) Seal(ctx context.Context, w io.Writer, to ...string) (io.WriteCloser, error) {
	var cards [][]pointer.SealingKey
	for _, path := range to {
		card, err := a.resolveCard(ctx, path)
		if err == nil && len(card.Sealing) == 0 {
			err = ErrNoSealing
		}
		if err != nil {
			return nil, fmt.Errorf("seal to %q: %w", path, err)
		}
		cards = append(cards, card.Sealing)
	}
	return seal.NewWriter(w, cards...)
}

// resolveCard returns the card of the record that a path leads to.
func (a *Agent) resolveCard(ctx context.Context, path string) (pointer.Card, error) {
	res, err := a.Resolve(ctx, path, dht.LevelAny)
	if err != nil {
		return pointer.Card{}, err
	}
	r, err := pointer.Open(res.Pointer, res.Record, a.now())
	if err != nil {
		return pointer.Card{}, err
	}
	card, _ := r.Card()
	return card, nil
}

// Unseal returns a reader of a file that was sealed to the owner, as [seal.NewReader] does. It
// needs no passphrase. Files that were sealed before the sealing keys were replaced can be read
// as long as the home has the former keys: see [home.SealingRetention].
func (a *Agent) Unseal(r io.Reader) (io.Reader, error) {
	keys, err := a.sealing()
	if err != nil {
		return nil, err
	}
	return seal.NewReader(r, keys)
}
