package drop

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/petnames-go/petnames/dht/seal"
	"github.com/petnames-go/petnames/pointer"
	"github.com/petnames-go/petnames/pointer/canonical"
)

const (
	// MaxMessage is the longest message, in bytes. A record can always hold one
	// such message, whatever the sealing key.
	MaxMessage = 8192

	batchVersion = 1

	// maxCounter bounds counters, so that adding to them cannot overflow.
	maxCounter = 1 << 62
)

// sizes is the sizes that payloads are padded to, in bytes: for an
// acknowledgement or a short message, for one or two introductions, and as much
// as a record holds.
var sizes = [...]int{2048, 4608, 9920}

// position is a position in the stream of one direction: the number of messages
// up to it, and the hash over all of them.
type position struct {
	_       struct{} `cbor:",toarray"`
	Counter uint64
	Chain   hash
}

// hash is a hash that identifies a channel, or a stream up to a message.
type hash = [sha256.Size]byte

// batch is the content of one record.
type batch struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	From     []byte
	To       []byte
	Channel  hash
	At       []byte   // the record's pointer
	Sequence uint64   // the record's
	Made     int64    // ms since 1970, by the sender's clock
	Base     position // of the last acknowledged message, which the messages follow
	Messages [][]byte
	Ack      position // of the last message of the recipient that the sender processed
}

// signed is the content of a payload: an encoded batch with its signature.
type signed struct {
	_         struct{} `cbor:",toarray"`
	Signature []byte
	Batch     []byte
}

// bounds is the bounds of batches and states: MaxQueue fits.
var bounds = canonical.Bounds{Nesting: 8, Elements: 1024}

// firstPosition returns the start of the stream of one direction.
func firstPosition(channel hash, from pointer.Pointer) position {
	b := append([]byte("petnames/drop/stream/v1\x00"), channel[:]...)
	return position{Chain: sha256.Sum256(append(b, from.Bytes()...))}
}

// next returns the position after one more message.
func (p position) next(message []byte) position {
	b := append([]byte("petnames/drop/message/v1\x00"), p.Chain[:]...)
	b = binary.BigEndian.AppendUint64(b, p.Counter+1)
	return position{Counter: p.Counter + 1, Chain: sha256.Sum256(append(b, message...))}
}

// signedBytes returns what the sender's identity key signs of an encoded batch. The
// domain has the format's older word for a batch.
func signedBytes(encoded []byte) []byte {
	sum := sha256.Sum256(encoded)
	return append([]byte("petnames/drop/letter/v1\x00"), sum[:]...)
}

// validate checks the version and the bounds of a batch.
func (b batch) validate() error {
	if b.Version != batchVersion {
		return fmt.Errorf("is of version %d, and this program knows %d", b.Version, batchVersion)
	}
	if b.Base.Counter > maxCounter || b.Ack.Counter > maxCounter {
		return fmt.Errorf("has a counter over %d", uint64(maxCounter))
	}
	if b.Messages == nil {
		return canonical.ErrNotCanonical // null in place of an empty list
	}
	if len(b.Messages) > MaxQueue {
		return fmt.Errorf("has %d messages, over %d", len(b.Messages), MaxQueue)
	}
	for _, m := range b.Messages {
		if len(m) == 0 || len(m) > MaxMessage {
			return fmt.Errorf("has a message of %d bytes, not 1 to %d", len(m), MaxMessage)
		}
	}
	return nil
}

// sign returns the signed and encoded batch, to be sealed.
func (b batch) sign(key crypto.Signer) ([]byte, error) {
	encoded, err := canonical.Marshal(b)
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(rand.Reader, signedBytes(encoded), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	return canonical.Marshal(signed{Signature: sig, Batch: encoded})
}

// decodeBatch decodes the content of a payload. It verifies neither the parties
// nor the signature: [Channel.openRecord] does.
func decodeBatch(b []byte) (batch, signed, error) {
	var envelope signed
	if err := canonical.Unmarshal(b, &envelope, bounds); err != nil {
		return batch{}, signed{}, fmt.Errorf("sealed content %w", err)
	}
	if len(envelope.Signature) != ed25519.SignatureSize {
		return batch{}, signed{}, fmt.Errorf("its signature has %d bytes", len(envelope.Signature))
	}
	var content batch
	if err := canonical.Unmarshal(envelope.Batch, &content, bounds); err != nil {
		return batch{}, signed{}, fmt.Errorf("batch %w", err)
	}
	if err := content.validate(); err != nil {
		return batch{}, signed{}, fmt.Errorf("batch %w", err)
	}
	return content, envelope, nil
}

// sealInfo binds a payload to the pointer of its record.
func sealInfo(at pointer.Pointer) []byte {
	return append([]byte("petnames/drop/seal/v1\x00"), at.Bytes()...)
}

// sealExtra binds a payload to the sequence of its record.
func sealExtra(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// sealPayload encrypts the payload of the record under at.
func sealPayload(to hpke.PublicKey, at pointer.Pointer, sequence uint64, b []byte) ([]byte, error) {
	return seal.Seal(to, sealInfo(at), sealExtra(sequence), sizes[:], b)
}

// openPayload decrypts the payload of the record under at.
func openPayload(keys []hpke.PrivateKey, at pointer.Pointer, sequence uint64, payload []byte) ([]byte, error) {
	return seal.Open(keys, sealInfo(at), sealExtra(sequence), payload)
}

// openRecord decrypts a record, and verifies that the other party signed its
// batch for this party, channel and record.
func (c *Channel) openRecord(rec pointer.Record) (batch, error) {
	plain, err := openPayload(c.local.sealing, rec.Pointer(), rec.Sequence(), rec.Payload())
	if err != nil {
		return batch{}, err
	}
	content, envelope, err := decodeBatch(plain)
	if err != nil {
		return batch{}, err
	}
	if !bytes.Equal(content.From, c.party.Bytes()) || !bytes.Equal(content.To, c.self.Pointer.Bytes()) || content.Channel != c.id {
		return batch{}, errors.New("was written for other parties")
	}
	if !bytes.Equal(content.At, rec.Pointer().Bytes()) || content.Sequence != rec.Sequence() {
		return batch{}, errors.New("was written for another record")
	}
	return content, c.party.Verify(signedBytes(envelope.Batch), envelope.Signature)
}
