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

// sharedState is the state of the last statement to an audience. By it the next Sync finds and
// sends every change of the shared edges, whether its cause is an undo, a removal, another
// device or a rotation.
type sharedState struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Hash    []byte // edgesHash of the statement
}

// ShareWith sends a contact all edges that are shared with it alone. It is called after one
// of them changed in the book. The Delivery is that of [Exchange.Send].
func (e *Exchange) ShareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer) (Delivery, error) {
	sent, _, err := e.shareWith(ctx, key, audience, true)
	return sent, err
}

// shareWith is ShareWith if always is set. Otherwise it sends the edges only if they have
// changed since the last statement; changed reports whether it sent them.
func (e *Exchange) shareWith(ctx context.Context, key crypto.Signer, audience pointer.Pointer, always bool) (sent Delivery, changed bool, err error) {
	e.sharingLock.Lock()
	defer e.sharingLock.Unlock()
	contact, err := e.c.Book.ByPointer(audience)
	if err != nil {
		return "", false, err
	}
	edges, err := petname.PublishableEdges(e.c.Book.EdgesWith(contact.ID))
	if err != nil {
		return "", false, err
	}
	hash, err := edgesHash(e.c.Book.Identity(), edges)
	if err != nil {
		return "", false, err
	}
	var last sharedState
	b, err := e.getRow(tableShared, contact.ID.Bytes())
	if err == nil && b != nil {
		err = canonical.UnmarshalLoose(b, &last, canonical.Bounds{})
	}
	if err != nil {
		return "", false, fmt.Errorf("what was shared with %s: %w", contact.ID, err)
	}
	if !always && (bytes.Equal(hash, last.Hash) || b == nil && len(edges) == 0) {
		return "", false, nil
	}
	// Versions are times, so that they also increase on another device and after a
	// restore. They increase by one while the clock is behind the last version.
	now := e.c.Now()
	version := max(1, uint64(max(0, now.UnixMilli())), last.Version+1)
	signed, err := introduce.Edges{To: contact.Pointer, Version: version, Edges: edges}.Sign(key, now)
	if err != nil {
		return "", false, err
	}
	if sent, err = e.Send(ctx, key, contact.Pointer, signed); sent == "" {
		return "", false, err
	}
	row, rowErr := canonical.Marshal(sharedState{Version: version, Hash: hash})
	if rowErr == nil {
		rowErr = e.putRow(tableShared, contact.ID.Bytes(), row)
	}
	return sent, true, errors.Join(err, rowErr)
}

// edgesHash returns a hash of edges and of the pointer that states them.
func edgesHash(by pointer.Pointer, edges map[string]pointer.Edge) ([]byte, error) {
	stated := make(map[string][2][]byte, len(edges))
	for label, e := range edges {
		stated[label] = [2][]byte{e.Pointer.Bytes(), e.Next.Bytes()}
	}
	b, err := canonical.Marshal([]any{by.Bytes(), stated})
	hash := sha256.Sum256(b)
	return hash[:], err
}

// shareChanges sends each audience its shared edges if they changed since the last statement.
func (e *Exchange) shareChanges(ctx context.Context, key crypto.Signer, report *Report) error {
	all, err := e.c.Book.Audiences()
	if err != nil {
		return err
	}
	for _, audience := range all {
		_, _, err := e.shareWith(ctx, key, audience, false)
		if errors.Is(err, petname.ErrNotFound) { // it was removed meanwhile
			continue
		}
		if err != nil {
			report.Errs = append(report.Errs, err)
		}
	}
	return nil
}
