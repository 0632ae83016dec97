package request

import (
	"fmt"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer/canonical"
)

// Message is a contact request as it lies in a request mailbox.
type Message struct {
	Stamp     []byte // from MakeStamp; at most MaxStamp bytes
	Statement []byte // a signed statement of package introduce; at most MaxStatement bytes
}

const (
	messageVersion = 1

	// payloadSize is the size of every payload, so that it does not show the length.
	payloadSize = 4096
)

// MaxStatement bounds a statement, in bytes. A statement fits beside any stamp, with
// the larger KEM of package seal.
const MaxStatement = payloadSize - seal.HeaderSize -
	(1088 + 32) - // encapsulated key: ML-KEM-768, X25519
	16 - 2 - // authentication tag of the encryption, length of the content
	(1 + 1 + 3 + 3) - // CBOR heads: array, version, stamp, statement
	MaxStamp

// wireMessage is the encoding of a Message.
type wireMessage struct {
	_         struct{} `cbor:",toarray"`
	Version   uint64
	Stamp     []byte
	Statement []byte
}

// check checks the lengths of the stamp and the statement.
func (m Message) check() error {
	if len(m.Stamp) == 0 || len(m.Stamp) > MaxStamp || len(m.Statement) == 0 || len(m.Statement) > MaxStatement {
		return fmt.Errorf("contact request with a stamp of %d bytes and a statement of %d: at most %d and %d fit",
			len(m.Stamp), len(m.Statement), MaxStamp, MaxStatement)
	}
	return nil
}

// encode returns the plaintext of the seal.
func (m Message) encode() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return canonical.Marshal(wireMessage{Version: messageVersion, Stamp: m.Stamp, Statement: m.Statement})
}

// decodeMessage decodes the plaintext of the seal.
func decodeMessage(b []byte) (Message, error) {
	var w wireMessage
	if err := canonical.Unmarshal(b, &w, canonical.Bounds{}); err != nil {
		return Message{}, fmt.Errorf("contact request %w", err)
	}
	if w.Version != messageVersion {
		return Message{}, fmt.Errorf("contact request is of version %d, and this program knows %d", w.Version, messageVersion)
	}
	m := Message{Stamp: w.Stamp, Statement: w.Statement}
	return m, m.check()
}
