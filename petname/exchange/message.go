package exchange

import (
	"fmt"

	"github.com/petnames-go/petnames/dht/drop"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// kind is the protocol of a message. Values are sent: they do not change.
type kind uint8

const (
	kindStatement kind = 1 // a signed statement of package introduce
	kindMutual    kind = 2 // a message of package mutual
)

// message is a message on a channel, encoded as canonical CBOR: [kind, body].
type message struct {
	_    struct{} `cbor:",toarray"`
	Kind kind
	Body []byte
}

func (m message) encode() ([]byte, error) { return canonical.Marshal(m) }

// decodeMessage decodes a message of a channel. It accepts unknown kinds and any body, which
// [Exchange.handle] refuses.
func decodeMessage(b []byte) (message, error) {
	var m message
	if err := canonical.Unmarshal(b, &m, canonical.Bounds{Size: drop.MaxMessage}); err != nil {
		return message{}, fmt.Errorf("message: %w", err)
	}
	return m, nil
}
