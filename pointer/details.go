package pointer

import (
	"fmt"
	"unicode/utf8"
)

// Details is the statement of a pointer's owner about itself to one contact, in
// a pairing or a mutual introduction. All of it is a claim of the owner: the
// nickname is hostile until it is cleaned, and the addresses are not checked.
// Each format has its own encoding of Details; the bounds are the same in all,
// and [Details.Check] checks them. A [Card] is the statement for everyone, and
// has further bounds.
type Details struct {
	Next     Commitment   // to the next key; zero: none
	Sealing  []SealingKey // at most MaxSealing, with keys of 1 to MaxSealingKey bytes
	Nickname string       // at most MaxNickname bytes of UTF-8
	// multiaddrs in binary form, at most MaxAddresses, each of 1 to MaxAddress bytes
	Addresses [][]byte
}

// Bounds of Details.
const (
	MaxSealing    = 4
	MaxSealingKey = 2048 // bytes: a key for MLKEM768X25519 has 1216
	MaxAddresses  = 8
	MaxAddress    = 256 // bytes
)

// Check returns an error if a field is over its bounds.
func (d Details) Check() error {
	if len(d.Nickname) > MaxNickname || !utf8.ValidString(d.Nickname) {
		return fmt.Errorf("its nickname is over %d bytes long, or not UTF-8", MaxNickname)
	}
	if len(d.Sealing) > MaxSealing {
		return fmt.Errorf("has %d sealing keys, over %d", len(d.Sealing), MaxSealing)
	}
	for _, s := range d.Sealing {
		if len(s.Key) == 0 || len(s.Key) > MaxSealingKey {
			return fmt.Errorf("its sealing key for KEM %d is %d bytes long", s.KEM, len(s.Key))
		}
	}
	if len(d.Addresses) > MaxAddresses {
		return fmt.Errorf("has %d addresses, over %d", len(d.Addresses), MaxAddresses)
	}
	for _, a := range d.Addresses {
		if len(a) == 0 || len(a) > MaxAddress {
			return fmt.Errorf("has an address of %d bytes", len(a))
		}
	}
	return nil
}
