package mutual

import (
	"unicode/utf8"

	"github.com/petnames-go/petnames/pointer"
)

// Payload is what one of the two tells the other of itself, and nobody else: who
// consents, consents to this being told.
type Payload struct {
	Next      pointer.Commitment   // to my next key; zero: none is told
	Sealing   []pointer.SealingKey // to seal messages to me with: at most MaxSealing
	Nickname  string               // ≤ pointer.MaxNickname bytes; hostile text
	Addresses [][]byte             // multiaddrs in binary form, at most MaxAddresses; not checked
}

// Bounds of a payload.
const (
	MaxSealing   = 4
	MaxAddresses = 8

	maxPayload = 4096 // bytes, encoded
	maxKey     = 2048 // bytes of a sealing key
	maxAddress = 256
)

type wirePayload struct {
	_         struct{} `cbor:",toarray"`
	Salt      []byte   // so that the hash of it tells nothing of it
	Next      []byte   // null: none
	Sealing   []wireKey
	Nickname  string
	Addresses [][]byte
}

type wireKey struct {
	_   struct{} `cbor:",toarray"`
	KEM uint16
	Key []byte
}

// encodePayload gives the payload's bytes, after holding it to its bounds.
func encodePayload(p Payload, salt []byte) ([]byte, error) {
	w := wirePayload{Salt: salt, Next: p.Next.Bytes(), Sealing: []wireKey{}, Nickname: p.Nickname, Addresses: p.Addresses}
	for _, k := range p.Sealing {
		w.Sealing = append(w.Sealing, wireKey{KEM: k.KEM, Key: k.Key})
	}
	if w.Addresses == nil {
		w.Addresses = [][]byte{}
	}
	b := encode(w)
	_, err := openPayload(b)
	return b, err
}

func openPayload(b []byte) (Payload, error) {
	var w wirePayload
	if err := decodeInto(b, maxPayload, &w); err != nil {
		return Payload{}, err
	}
	p := Payload{Nickname: w.Nickname}
	switch {
	case len(w.Salt) != saltSize:
		return Payload{}, invalid("salt of %d bytes", len(w.Salt))
	case w.Sealing == nil || w.Addresses == nil:
		return Payload{}, invalid("null where a list belongs")
	case len(w.Sealing) > MaxSealing || len(w.Addresses) > MaxAddresses:
		return Payload{}, invalid("%d sealing keys and %d addresses", len(w.Sealing), len(w.Addresses))
	case len(w.Nickname) > pointer.MaxNickname || !utf8.ValidString(w.Nickname):
		return Payload{}, invalid("nickname of %d bytes, or not UTF-8", len(w.Nickname))
	}
	if w.Next != nil {
		var err error
		if p.Next, err = pointer.CommitmentFromBytes(w.Next); err != nil {
			return Payload{}, invalid("%v", err)
		}
	}
	for _, k := range w.Sealing {
		if len(k.Key) == 0 || len(k.Key) > maxKey {
			return Payload{}, invalid("sealing key of %d bytes", len(k.Key))
		}
		p.Sealing = append(p.Sealing, pointer.SealingKey{KEM: k.KEM, Key: k.Key})
	}
	for _, a := range w.Addresses {
		if len(a) == 0 || len(a) > maxAddress {
			return Payload{}, invalid("address of %d bytes", len(a))
		}
		p.Addresses = append(p.Addresses, a)
	}
	return p, nil
}

// payloadHash is what a consent says of the payload.
func payloadHash(b []byte) [hashSize]byte { return hash("petnames/mutual/payload/v1\x00", b) }
