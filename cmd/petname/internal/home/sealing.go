package home

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/petnames-go/petnames/pointer"
)

// Sealing are the keys that others seal messages to this home with, one for
// each HPKE KEM that a card offers (RFC 9180; the hybrid with ML-KEM is of
// draft-ietf-hpke-pq). They can be read without unlocking anything, so that a
// node reads what came while its owner sleeps, and are no more secret than the
// book, which lies beside them:
//
//	# petname sealing keys 1
//	PETNAME-SEALING-KEY-1 0020 <private key ‖ checksum, base64>     X25519: also the drop channel's
//	PETNAME-SEALING-KEY-1 647a <private key ‖ checksum, base64>     MLKEM768X25519
//
// The checksum is the first 4 bytes of the sha2-256 of the line up to the key,
// and the key: a bit that turns on disk must not make another key of it.
type Sealing []hpke.PrivateKey

const (
	sealingMagic  = "# petname sealing keys 1"
	sealingPrefix = "PETNAME-SEALING-KEY-1 "
)

// sealingKEMs are the KEMs of a home, in the order that its card has them.
func sealingKEMs() []hpke.KEM {
	return []hpke.KEM{hpke.DHKEM(ecdh.X25519()), hpke.MLKEM768X25519()}
}

// Public is what a card says of the keys.
func (s Sealing) Public() []pointer.SealingKey {
	var keys []pointer.SealingKey
	for _, k := range s {
		keys = append(keys, pointer.SealingKey{KEM: k.KEM().ID(), Key: k.PublicKey().Bytes()})
	}
	return keys
}

// Sealing reads the sealing keys. A home that an older version made has none:
// it gets them now. The caller has the book open, so that no other process
// makes them at the same time.
func (h Home) Sealing() (Sealing, error) {
	name := h.path(sealingFile)
	b, err := readSmall(name)
	if errors.Is(err, fs.ErrNotExist) {
		if b, err = newSealing(); err == nil {
			err = h.replace(sealingFile, b)
		}
	}
	if err != nil {
		return nil, err
	}
	s, err := parseSealing(string(b))
	if err != nil {
		return nil, fmt.Errorf("sealing keys %q: %w", name, err)
	}
	return s, nil
}

func newSealing() ([]byte, error) {
	var b strings.Builder
	b.WriteString(sealingMagic + "\n")
	for _, kem := range sealingKEMs() {
		key, err := kem.GenerateKey()
		if err != nil {
			return nil, err
		}
		private, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		line := sealingLine(kem)
		b.WriteString(line + base64.StdEncoding.EncodeToString(append(private, sealingSum(line, private)...)) + "\n")
	}
	return []byte(b.String()), nil
}

// sealingLine is what the line of a key starts with.
func sealingLine(kem hpke.KEM) string { return fmt.Sprintf("%s%04x ", sealingPrefix, kem.ID()) }

func sealingSum(line string, private []byte) []byte {
	sum := sha256.Sum256(append([]byte(line), private...))
	return sum[:4]
}

// parseSealing never repeats what it read in an error.
func parseSealing(text string) (Sealing, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	kems := sealingKEMs()
	if len(lines) != 1+len(kems) || lines[0] != sealingMagic {
		return nil, errors.New("are not of this version, or damaged")
	}
	var s Sealing
	for i, kem := range kems {
		line := sealingLine(kem)
		encoded, ok := strings.CutPrefix(lines[i+1], line)
		if !ok {
			return nil, fmt.Errorf("line %d is not a key for KEM %04x: damaged", i+2, kem.ID())
		}
		b, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(b) < 4 {
			return nil, fmt.Errorf("line %d is not base64, or cut short: damaged", i+2)
		}
		private := b[:len(b)-4]
		if !bytes.Equal(b[len(b)-4:], sealingSum(line, private)) {
			return nil, fmt.Errorf("line %d has a wrong checksum: damaged", i+2)
		}
		key, err := kem.NewPrivateKey(private)
		if err != nil {
			return nil, fmt.Errorf("line %d is no private key: damaged", i+2)
		}
		s = append(s, key)
	}
	return s, nil
}
