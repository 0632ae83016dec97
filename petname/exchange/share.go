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
	Hash    []byte // a hash of the edges, and of who said them
}

// ShareWith tells a contact what is shared with it alone, all of it, after
// something of it changed in the book.
func (e *Exchange) ShareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer) (Delivery, error) {
	sent, _, err := e.shareWith(ctx, key, audience, true)
	return sent, err
}

func (e *Exchange) shareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer, always bool) (sent Delivery, told bool, err error) {
	e.sharing.Lock()
	defer e.sharing.Unlock()
	c, err := e.c.Book.ByPointer(audience)
	if err != nil {
		return "", false, err
	}
	edges, err := e.c.Book.EdgesFor(c.ID)
	if err != nil {
		return "", false, err
	}
	hash, err := edgesHash(e.c.Book.Identity(), edges)
	if err != nil {
		return "", false, err
	}
	var last sharedState
	b, err := e.getRow(tableShared, c.ID.Bytes())
	if err == nil && b != nil {
		err = canonical.UnmarshalLoose(b, &last, canonical.Bounds{})
	}
	if err != nil {
		return "", false, fmt.Errorf("what was shared with %s: %w", c.ID, err)
	}
	if !always && (bytes.Equal(hash, last.Hash) || b == nil && len(edges) == 0) {
		return "", false, nil
	}
	// Versions rise with the clock, so that they go on rising on another device
	// and after a restore; and without it, when it was set back.
	now := e.c.Now()
	version := max(1, uint64(max(0, now.UnixMilli())), last.Version+1)
	signed, err := introduce.Edges{To: c.Pointer, Version: version, Edges: edges}.Sign(key, now)
	if err != nil {
		return "", false, err
	}
	if sent, err = e.Send(ctx, key, c.Pointer, signed); sent == "" {
		return "", false, err
	}
	row, rerr := canonical.Marshal(sharedState{Version: version, Hash: hash})
	if rerr == nil {
		rerr = e.putRow(tableShared, c.ID.Bytes(), row)
	}
	return sent, true, errors.Join(err, rerr)
}

// saying is a hash of who says what.
func edgesHash(by pointer.Pointer, edges map[string]pointer.Edge) ([]byte, error) {
	said := make(map[string][2][]byte, len(edges))
	for label, e := range edges {
		said[label] = [2][]byte{e.Pointer.Bytes(), e.Next.Bytes()}
	}
	b, err := canonical.Marshal([]any{by.Bytes(), said})
	hash := sha256.Sum256(b)
	return hash[:], err
}

// reshare says to each audience what has changed since it was last told.
func (e *Exchange) shareChanges(ctx context.Context, key crypto.Signer, report *Report) error {
	all, err := e.c.Book.Audiences()
	if err != nil {
		return err
	}
	for _, audience := range all {
		_, _, err := e.shareWith(ctx, key, audience, false)
		if errors.Is(err, petname.ErrNotFound) { // it was removed
			continue
		}
		if err != nil {
			report.Errs = append(report.Errs, err)
		}
	}
	return nil
}
