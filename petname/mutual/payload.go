package mutual

import "github.com/petnames-go/petnames/pointer"

const maxPayload = 4096 // bytes, encoded

// wirePayload is what a party states about itself to the peer, and to the peer alone.
// The consent covers it: its hash is in the ACCEPT.
type wirePayload struct {
	_         struct{} `cbor:",toarray"`
	Salt      []byte   // so that the hash does not confirm guesses
	Next      []byte   // null: none
	Sealing   []pointer.SealingKey
	Nickname  string
	Addresses [][]byte
}

// encodePayload returns the encoded payload, or an error if it exceeds its bounds.
func encodePayload(d pointer.Details, salt []byte) ([]byte, error) {
	w := wirePayload{Salt: salt, Next: d.Next.Bytes(), Sealing: d.Sealing, Nickname: d.Nickname, Addresses: d.Addresses}
	if w.Sealing == nil {
		w.Sealing = []pointer.SealingKey{}
	}
	if w.Addresses == nil {
		w.Addresses = [][]byte{}
	}
	b := encode(w)
	_, err := openPayload(b)
	return b, err
}

// openPayload decodes a payload. Its hash is verified by openCommitted.
func openPayload(b []byte) (pointer.Details, error) {
	var w wirePayload
	if err := decodeInto(b, maxPayload, &w); err != nil {
		return pointer.Details{}, err
	}
	switch {
	case len(w.Salt) != saltSize:
		return pointer.Details{}, invalid("salt of %d bytes", len(w.Salt))
	case w.Sealing == nil || w.Addresses == nil:
		return pointer.Details{}, invalid("null in place of a list")
	}
	d := pointer.Details{Nickname: w.Nickname}
	if len(w.Sealing) > 0 {
		d.Sealing = w.Sealing
	}
	if len(w.Addresses) > 0 {
		d.Addresses = w.Addresses
	}
	if w.Next != nil {
		var err error
		if d.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return pointer.Details{}, invalid("%v", err)
		}
	}
	if err := d.Check(); err != nil {
		return pointer.Details{}, invalid("%v", err)
	}
	return d, nil
}

// payloadHash returns the hash of a payload that is in the consent.
func payloadHash(b []byte) [hashSize]byte { return hash("petnames/mutual/payload/v1\x00", b) }
