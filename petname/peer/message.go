package peer

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/petnames-go/petnames/dht/drop"
)

// kind is what a message is.
type kind uint8

const (
	kindStatement kind = 1 // a signed statement of package introduce
	kindMutual    kind = 2 // a message of package mutual
)

// message is one on a channel, in canonical CBOR: [kind, body].
type message struct {
	_    struct{} `cbor:",toarray"`
	Kind kind
	Body []byte
}

var (
	encoder = func() cbor.EncMode {
		mode, err := cbor.CoreDetEncOptions().EncMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
	decoder = func() cbor.DecMode {
		mode, err := cbor.DecOptions{
			DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
			ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 4,
		}.DecMode()
		if err != nil {
			panic(err) // constant options
		}
		return mode
	}()
)

func (m message) encode() ([]byte, error) { return encoder.Marshal(m) }

func decodeMessage(b []byte) (message, error) {
	var m message
	if len(b) > drop.MaxMessage {
		return message{}, fmt.Errorf("message of %d bytes", len(b))
	}
	if err := decoder.Unmarshal(b, &m); err != nil {
		return message{}, fmt.Errorf("message: %w", err)
	}
	if again, err := m.encode(); err != nil || !bytes.Equal(again, b) {
		return message{}, errors.New("message: is not in canonical encoding")
	}
	return m, nil
}
