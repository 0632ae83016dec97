package pair

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/petnames-go/petnames/pointer"
)

// The compact form has only characters that a QR code encodes in its alphanumeric
// mode (ISO/IEC 18004):
//
//	"PETNAME:I." (of a device: "PETNAME:D.") ‖ base36, in upper case, of the big-endian number of the bytes
//	  1 ‖ Ed25519 key (32) ‖ secret (16) ‖ address
//
// The address may be empty. If it ends with the ID of a libp2p peer with an Ed25519 key,
// the 32 bytes of the key replace that ID, and the address starts with a zero byte, as no
// multiaddr does.
const (
	compactPrefix       = "PETNAME:I."
	compactDevicePrefix = "PETNAME:D." // of Invitation.Device
	compactVersion      = 1
	compactFixed        = 1 + ed25519.PublicKeySize + secretSize

	// maxCompact is the capacity of a QR code of version 5 at its lowest level of error
	// correction: the largest that fits a terminal of 80×24.
	maxCompact = 154
)

var (
	// keyPrefix is the prefix of an Ed25519 key in a pointer: the identity multihash
	// of libp2p's encoding of the key.
	keyPrefix = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

	// peerPrefix is the prefix of the key in the last part of a multiaddr, /p2p/…: the
	// code 421, the length, keyPrefix.
	peerPrefix = append([]byte{0xa5, 0x03, 0x26}, keyPrefix...)
)

// Compact returns the short form, for a QR code in a terminal: the inviter's key, the
// secret, and the first address that fits. Any holder of it can accept the invitation,
// which the inviter puts into the network. Compact returns "" if the inviter's key is not
// Ed25519.
func (i Invitation) Compact() string {
	key, ok := bytes.CutPrefix(i.Inviter.Bytes(), keyPrefix)
	if !ok || len(key) != ed25519.PublicKeySize {
		return ""
	}
	for _, address := range i.Addresses {
		packed := packAddress(address)
		if unpacked, err := unpackAddress(packed); err != nil || !bytes.Equal(unpacked, address) {
			continue // not a multiaddr
		}
		if s := i.compactText(key, packed); len(s) <= maxCompact {
			return s
		}
	}
	return i.compactText(key, nil)
}

func (i Invitation) compactText(key, address []byte) string {
	prefix := compactPrefix
	if i.Device {
		prefix = compactDevicePrefix
	}
	return compactText(prefix, key, i.secret, address)
}

// compactText returns the text of a compact form; address is packed.
func compactText(prefix string, key []byte, secret [secretSize]byte, address []byte) string {
	b := append([]byte{compactVersion}, key...)
	b = append(b, secret[:]...)
	b = append(b, address...)
	return prefix + strings.ToUpper(new(big.Int).SetBytes(b).Text(36))
}

// packAddress returns the short form of an address, or the address itself if it has none.
func packAddress(address []byte) []byte {
	at := len(address) - len(peerPrefix) - ed25519.PublicKeySize
	if at < 0 || !bytes.HasPrefix(address[at:], peerPrefix) {
		return address
	}
	packed := append([]byte{0}, address[:at]...)
	return append(packed, address[at+len(peerPrefix):]...)
}

// unpackAddress is the inverse of packAddress.
func unpackAddress(packed []byte) ([]byte, error) {
	if len(packed) == 0 || packed[0] != 0 {
		return packed, nil
	}
	at := len(packed) - ed25519.PublicKeySize
	if at < 1 {
		return nil, errors.New("its address is truncated")
	}
	address := append(bytes.Clone(packed[1:at]), peerPrefix...)
	return append(address, packed[at:]...), nil
}

// parseCompact parses a compact form.
func parseCompact(s string) (Ticket, error) {
	if len(s) > maxCompact {
		return Ticket{}, fmt.Errorf("is %d bytes long, over %d", len(s), maxCompact)
	}
	prefix := s[:len(compactPrefix)] // both have this length
	digits := s[len(prefix):]
	if strings.Trim(digits, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return Ticket{}, errors.New("is mistyped or truncated: scan it again")
	}
	n, ok := new(big.Int).SetString(digits, 36)
	if !ok {
		return Ticket{}, errors.New("is truncated: scan it again")
	}
	b := n.Bytes()
	if len(b) < compactFixed || b[0] != compactVersion {
		return Ticket{}, errors.New("is truncated, or of an unknown version")
	}
	key, rest := b[1:1+ed25519.PublicKeySize], b[1+ed25519.PublicKeySize:]
	p, err := pointer.FromBytes(append(bytes.Clone(keyPrefix), key...))
	if err != nil {
		return Ticket{}, err
	}
	t := Ticket{Inviter: p, Device: prefix == compactDevicePrefix, secret: [secretSize]byte(rest[:secretSize])}
	packed := rest[secretSize:]
	if len(packed) > 0 {
		address, err := unpackAddress(packed)
		if err != nil {
			return Ticket{}, err
		}
		t.Addresses = [][]byte{address}
	}
	if err := checkAddresses(t.Addresses); err != nil {
		return Ticket{}, err
	}
	// One encoding: no leading zeros, and the address in its shortest form.
	var address []byte
	if len(t.Addresses) > 0 {
		address = packAddress(t.Addresses[0])
	}
	if compactText(prefix, key, t.secret, address) != s {
		return Ticket{}, errors.New("is not in its canonical form: scan it again")
	}
	return t, nil
}
