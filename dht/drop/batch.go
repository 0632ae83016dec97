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
	// MaxMessage is the longest message, in bytes: alone in a record it always
	// fits, sealed to the larger key.
	MaxMessage = 8192

	batchVersion = 1

	// maxCounter bounds counters, so that adding to one never overflows.
	maxCounter = 1 << 62
)

// sizes are what a payload is padded to, in bytes: an acknowledgement or a
// short message; an introduction or two; as much as a record holds.
var sizes = [...]int{2048, 4608, 9920}

// mark is a place in one direction's stream: how many messages came so far,
// and the hash over all of them.
type position struct {
	_       struct{} `cbor:",toarray"`
	Counter uint64
	Chain   hash
}

type hash = [sha256.Size]byte

// letter is what one record says, as both sides have it.
type batch struct {
	_        struct{} `cbor:",toarray"`
	Version  uint64
	From     []byte
	To       []byte
	Channel  hash
	At       []byte   // the record's pointer
	Sequence uint64   // the record's
	Made     int64    // ms since 1970, by the sender's clock
	Base     position // what the messages go on from: the last that was acknowledged
	Messages [][]byte
	Ack      position // the last that the sender had from the recipient, and processed
}

// signed is what is sealed: the letter's bytes with the identity's signature.
type signed struct {
	_         struct{} `cbor:",toarray"`
	Signature []byte
	Batch     []byte
}

// bounds are those of letters and states: MaxQueue fits.
var bounds = canonical.Bounds{Nesting: 8, Elements: 1024}

// firstMark is where the stream of one direction begins.
func firstPosition(channel hash, from pointer.Pointer) position {
	b := append([]byte("petnames/drop/stream/v1\x00"), channel[:]...)
	return position{Chain: sha256.Sum256(append(b, from.Bytes()...))}
}

// next is where the stream stands after one message more.
func (m position) next(message []byte) position {
	b := append([]byte("petnames/drop/message/v1\x00"), m.Chain[:]...)
	b = binary.BigEndian.AppendUint64(b, m.Counter+1)
	return position{Counter: m.Counter + 1, Chain: sha256.Sum256(append(b, message...))}
}

// statement is what the identity signs.
func signedBytes(batch []byte) []byte {
	sum := sha256.Sum256(batch)
	return append([]byte("petnames/drop/letter/v1\x00"), sum[:]...)
}

func (l batch) validate() error {
	if l.Version != batchVersion {
		return fmt.Errorf("is of version %d, and this program knows %d", l.Version, batchVersion)
	}
	if l.Base.Counter > maxCounter || l.Ack.Counter > maxCounter {
		return fmt.Errorf("has a counter over %d", uint64(maxCounter))
	}
	if l.Messages == nil {
		return canonical.ErrNotCanonical // an empty list is one
	}
	if len(l.Messages) > MaxQueue {
		return fmt.Errorf("has %d messages, over %d", len(l.Messages), MaxQueue)
	}
	for _, m := range l.Messages {
		if len(m) == 0 || len(m) > MaxMessage {
			return fmt.Errorf("has a message of %d bytes, not 1 to %d", len(m), MaxMessage)
		}
	}
	return nil
}

// sign gives the bytes to seal.
func (l batch) sign(key crypto.Signer) ([]byte, error) {
	b, err := canonical.Marshal(l)
	if err != nil {
		return nil, err
	}
	sig, err := key.Sign(rand.Reader, signedBytes(b), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	return canonical.Marshal(signed{Signature: sig, Batch: b})
}

// decodeLetter reads what was sealed. Whose it is, and whether the signature is
// right, is for [Channel.open] to say.
func decodeBatch(b []byte) (batch, signed, error) {
	var s signed
	if err := canonical.Unmarshal(b, &s, bounds); err != nil {
		return batch{}, signed{}, fmt.Errorf("what is sealed %w", err)
	}
	if len(s.Signature) != ed25519.SignatureSize {
		return batch{}, signed{}, fmt.Errorf("its signature has %d bytes", len(s.Signature))
	}
	var l batch
	if err := canonical.Unmarshal(s.Batch, &l, bounds); err != nil {
		return batch{}, signed{}, fmt.Errorf("letter %w", err)
	}
	if err := l.validate(); err != nil {
		return batch{}, signed{}, fmt.Errorf("letter %w", err)
	}
	return l, s, nil
}

func sealInfo(at pointer.Pointer) []byte {
	return append([]byte("petnames/drop/seal/v1\x00"), at.Bytes()...)
}

// sealExtra binds a seal to its record's sequence.
func sealExtra(sequence uint64) []byte { return binary.BigEndian.AppendUint64(nil, sequence) }

// sealFor encrypts what a record under at is to carry.
func sealPayload(to hpke.PublicKey, at pointer.Pointer, sequence uint64, b []byte) ([]byte, error) {
	return seal.Seal(to, sealInfo(at), sealExtra(sequence), sizes[:], b)
}

func openPayload(keys []hpke.PrivateKey, at pointer.Pointer, sequence uint64, payload []byte) ([]byte, error) {
	return seal.Open(keys, sealInfo(at), sealExtra(sequence), payload)
}

// open reads a record of the other's, and checks that the other said it: to me,
// on this channel, in this very record.
func (c *Channel) openRecord(rec pointer.Record) (batch, error) {
	b, err := openPayload(c.local.sealing, rec.Pointer(), rec.Sequence(), rec.Payload())
	if err != nil {
		return batch{}, err
	}
	l, s, err := decodeBatch(b)
	if err != nil {
		return batch{}, err
	}
	if !bytes.Equal(l.From, c.party.Bytes()) || !bytes.Equal(l.To, c.self.Pointer.Bytes()) || l.Channel != c.id {
		return batch{}, errors.New("was written to others")
	}
	if !bytes.Equal(l.At, rec.Pointer().Bytes()) || l.Sequence != rec.Sequence() {
		return batch{}, errors.New("was written in another record")
	}
	return l, c.party.Verify(signedBytes(s.Batch), s.Signature)
}
