package exchange

import (
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// wireKnown has the sealing keys and the addresses that a contact sent when it paired, in
// canonical CBOR.
type wireKnown struct {
	_         struct{} `cbor:",toarray"`
	Sealing   []pointer.SealingKey
	Addresses [][]byte
}

func encodeKnown(d pointer.Details) ([]byte, error) {
	w := wireKnown{Sealing: d.Sealing, Addresses: d.Addresses}
	if w.Sealing == nil {
		w.Sealing = []pointer.SealingKey{}
	}
	return canonical.Marshal(w)
}

func decodeKnown(b []byte) (pointer.Details, error) {
	var w wireKnown
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{}); err != nil {
		return pointer.Details{}, err
	}
	if w.Sealing == nil {
		return pointer.Details{}, canonical.ErrNotCanonical // an empty list is one
	}
	return pointer.Details{Sealing: w.Sealing, Addresses: w.Addresses}, nil
}

// putKnown stores the keys and addresses that a contact sent when it paired.
func putKnown(local *ledger.View, contact pointer.Pointer, d pointer.Details) error {
	b, err := encodeKnown(d)
	if err != nil {
		return err
	}
	return local.Put(tableKnown, contact.Bytes(), b)
}

// known returns the keys and addresses that a contact sent when it paired; the zero value
// without a pairing.
func (e *Exchange) known(contact pointer.Pointer) (k pointer.Details, err error) {
	err = e.view(func(local *ledger.View) error {
		k, err = loadKnown(local, contact)
		return err
	})
	return k, err
}

func loadKnown(local *ledger.View, contact pointer.Pointer) (pointer.Details, error) {
	b, err := local.Get(tableKnown, contact.Bytes())
	if err != nil || b == nil {
		return pointer.Details{}, err
	}
	k, err := decodeKnown(b)
	if err != nil {
		return pointer.Details{}, fmt.Errorf("stored keys and addresses of %s: %w", contact, err)
	}
	return k, nil
}
