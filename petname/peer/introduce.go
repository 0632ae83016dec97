package peer

import (
	"context"
	"crypto"
	"time"

	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
)

// Send brings a signed statement to whom it is said. It is durable here when
// Send returns without Sent being empty; an error beside [Queued] says why it
// waits.
func (p *Peer) Send(ctx context.Context, key crypto.Signer, to pointer.Pointer, signed []byte) (Sent, error) {
	return p.send(ctx, key, to, message{Kind: kindStatement, Body: signed})
}

// ShareWith tells a contact what is shared with it alone, all of it, after
// something of it changed in the book.
func (p *Peer) ShareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer) (Sent, error) {
	edges, err := p.c.Book.EdgesFor(audience)
	if err != nil {
		return "", err
	}
	now := p.c.Now()
	// Versions rise with the clock, so that they go on rising on another device
	// and after a restore.
	signed, err := introduce.Edges{To: audience, Version: uint64(max(1, now.UnixMilli())), Edges: edges}.Sign(key, now)
	if err != nil {
		return "", err
	}
	return p.Send(ctx, key, audience, signed)
}

// Life is how long an introduction is good for unless something else is said.
const Life = 30 * 24 * time.Hour
