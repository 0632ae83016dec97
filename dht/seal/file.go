package seal

import (
	"crypto/hpke"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/petnames-go/petnames/pointer"
)

const (
	// MaxRecipients bounds the cards that a file is sealed to.
	MaxRecipients = 256

	stanzaType  = "petnames-hpke"
	fileContext = "petnames/seal/file/v1\x00"
	fileKeySize = 16
)

// ErrNotForKeys is returned by NewReader for a file that is sealed to none of the keys.
var ErrNotForKeys = errors.New("the file is sealed to none of the keys")

// NewWriter returns a writer that seals a file of any size to the sealing keys of several
// cards, of each to the key of [SelectKey], in constant memory. The file is one of age
// (age-encryption.org/v1), with a stanza "petnames-hpke" for each card. It is complete
// after Close, which does not close w. Cards of which one has no hybrid key can be
// mixed: for the file the weakest of the keys counts.
//
// A file hides its content, and not its size or the number of recipients. It does not
// authenticate its sender.
func NewWriter(w io.Writer, cards ...[]pointer.SealingKey) (io.WriteCloser, error) {
	if len(cards) == 0 || len(cards) > MaxRecipients {
		return nil, fmt.Errorf("a file is sealed to 1 to %d recipients, not to %d", MaxRecipients, len(cards))
	}
	var to []age.Recipient
	for _, card := range cards {
		key, err := SelectKey(card)
		if err != nil {
			return nil, err
		}
		to = append(to, recipient{key})
	}
	return age.Encrypt(w, to...)
}

// NewReader returns a reader of the content of a file that was sealed to one of the keys.
// It reads in constant memory. NewReader fails with [ErrNotForKeys] if it was sealed to
// none of them. Read returns what was verified alone, and an error other than [io.EOF] for
// a file that was changed or cut off: what was read before it is then only a part of the
// content.
func NewReader(r io.Reader, keys []hpke.PrivateKey) (io.Reader, error) {
	if len(keys) == 0 {
		return nil, ErrNotForKeys
	}
	content, err := age.Decrypt(r, identity(keys)) // it bounds the header, and the number of stanzas
	if errors.As(err, new(*age.NoIdentityMatchError)) {
		return nil, ErrNotForKeys
	}
	if err != nil {
		return nil, fmt.Errorf("sealed file: %w", err)
	}
	return content, nil
}

// recipient is an [age.Recipient] of the key of a card.
type recipient struct{ key hpke.PublicKey }

// Wrap returns the stanza of a file key: the KEM id and the encapsulated key as arguments,
// and the sealed file key as body.
func (r recipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	enc, sender, err := hpke.NewSender(r.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(fileContext))
	if err != nil {
		return nil, err
	}
	sealed, err := sender.Seal(nil, fileKey)
	if err != nil {
		return nil, err
	}
	return []*age.Stanza{{Type: stanzaType, Args: []string{kemText(r.key.KEM()), base64.RawStdEncoding.EncodeToString(enc)}, Body: sealed}}, nil
}

func kemText(kem hpke.KEM) string { return fmt.Sprintf("%04x", kem.ID()) }

// identity is an [age.Identity] of the private keys of a card.
type identity []hpke.PrivateKey

// Unwrap returns the file key in the first stanza that one of the keys opens.
func (i identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	for _, s := range stanzas {
		if s.Type != stanzaType || len(s.Args) != 2 || len(s.Body) != fileKeySize+tagSize {
			continue
		}
		enc, err := base64.RawStdEncoding.Strict().DecodeString(s.Args[1])
		if err != nil {
			continue
		}
		for _, key := range i {
			if s.Args[0] != kemText(key.KEM()) || len(enc) != encapsulatedSize(key.KEM().ID()) {
				continue
			}
			recipient, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(fileContext))
			if err != nil {
				continue
			}
			if fileKey, err := recipient.Open(nil, s.Body); err == nil {
				return fileKey, nil
			}
		}
	}
	return nil, age.ErrIncorrectIdentity
}
