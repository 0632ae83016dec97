package agent

import "github.com/petnames-go/petnames/petname"

// AwaitsCard reports whether a contact cannot find the messages of the owner before the owner
// publishes: the sealing keys that its mailbox is derived from are in a card alone, and no
// record with one has been signed. A contact from a pairing has them already.
func (a *Agent) AwaitsCard(c petname.Contact) (bool, error) {
	last, err := a.book.Published()
	if err != nil || last.Sequence > 0 {
		return false, err
	}
	ex, err := a.exchange()
	if err != nil {
		return false, err
	}
	has, err := ex.HasDetails(c.Pointer)
	return !has, err
}
