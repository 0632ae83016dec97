package exchange

import (
	"fmt"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// wireKnown has the known details of a contact, in canonical CBOR: the sealing keys and the
// addresses that the contact sent in a pairing or a mutual introduction. They are used until
// its card has others.
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

// putKnown stores the known details of a contact.
func putKnown(local *ledger.View, contact pointer.Pointer, d pointer.Details) error {
	b, err := encodeKnown(d)
	if err != nil {
		return err
	}
	return local.Put(tableKnown, contact.Bytes(), b)
}

// knownDetails returns the known details of a contact, the zero value if there are none.
func (e *Exchange) knownDetails(contact pointer.Pointer) (details pointer.Details, err error) {
	err = e.view(func(local *ledger.View) error {
		details, err = loadKnown(local, contact)
		return err
	})
	return details, err
}

// HasDetails reports whether a contact sent its details in a pairing or a mutual introduction,
// and so has those of the owner without a card.
func (e *Exchange) HasDetails(contact pointer.Pointer) (bool, error) {
	details, err := e.knownDetails(contact)
	return len(details.Sealing) > 0, err
}

// loadKnown is knownDetails within a transaction.
func loadKnown(local *ledger.View, contact pointer.Pointer) (pointer.Details, error) {
	b, err := local.Get(tableKnown, contact.Bytes())
	if err != nil || b == nil {
		return pointer.Details{}, err
	}
	details, err := decodeKnown(b)
	if err != nil {
		return pointer.Details{}, fmt.Errorf("stored keys and addresses of %s: %w", contact, err)
	}
	return details, nil
}
