package exchange

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/petname"
	"github.com/petnames-go/petnames/petname/introduce"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// sharedState is what was last said to an audience. Whatever changes what one may read, an undo or a removal, another
// device or a key that went on, is so seen, and said, by the next Sync.
type sharedState struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Said    []byte // a hash of the edges, and of who said them
}

// ShareWith tells a contact what is shared with it alone, all of it, after
// something of it changed in the book.
func (p *Peer) ShareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer) (Sent, error) {
	sent, _, err := p.shareWith(ctx, key, audience, true)
	return sent, err
}

func (p *Peer) shareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer, always bool) (sent Sent, told bool, err error) {
	p.sharing.Lock()
	defer p.sharing.Unlock()
	c, err := p.c.Book.ByPointer(audience)
	if err != nil {
		return "", false, err
	}
	edges, err := p.c.Book.EdgesFor(c.ID)
	if err != nil {
		return "", false, err
	}
	hash, err := saying(p.c.Book.Identity(), edges)
	if err != nil {
		return "", false, err
	}
	var last sharedState
	b, err := p.get(tableShared, c.ID.Bytes())
	if err == nil && b != nil {
		err = canonical.UnmarshalLoose(b, &last, canonical.Bounds{})
	}
	if err != nil {
		return "", false, fmt.Errorf("what was shared with %s: %w", c.ID, err)
	}
	if !always && (bytes.Equal(hash, last.Said) || b == nil && len(edges) == 0) {
		return "", false, nil
	}
	// Versions rise with the clock, so that they go on rising on another device
	// and after a restore; and without it, when it was set back.
	now := p.c.Now()
	version := max(1, uint64(max(0, now.UnixMilli())), last.Version+1)
	signed, err := introduce.Edges{To: c.Pointer, Version: version, Edges: edges}.Sign(key, now)
	if err != nil {
		return "", false, err
	}
	if sent, err = p.Send(ctx, key, c.Pointer, signed); sent == "" {
		return "", false, err
	}
	row, rerr := canonical.Marshal(sharedState{Version: version, Said: hash})
	if rerr == nil {
		rerr = p.put1(tableShared, c.ID.Bytes(), row)
	}
	return sent, true, errors.Join(err, rerr)
}

// saying is a hash of who says what.
func saying(by pointer.Pointer, edges map[string]pointer.Edge) ([]byte, error) {
	said := make(map[string][2][]byte, len(edges))
	for label, e := range edges {
		said[label] = [2][]byte{e.Pointer.Bytes(), e.Next.Bytes()}
	}
	b, err := canonical.Marshal([]any{by.Bytes(), said})
	hash := sha256.Sum256(b)
	return hash[:], err
}

// reshare says to each audience what has changed since it was last told.
func (p *Peer) reshare(ctx context.Context, key crypto.Signer, report *Report) error {
	all, err := p.c.Book.Audiences()
	if err != nil {
		return err
	}
	for _, audience := range all {
		_, _, err := p.shareWith(ctx, key, audience, false)
		if errors.Is(err, petname.ErrNotFound) { // it was removed
			continue
		}
		if err != nil {
			report.Errs = append(report.Errs, err)
		}
	}
	return nil
}
