package folder

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"slices"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/ledger/internal/bytestring"
	"github.com/petnames-go/petnames/ledger/internal/x25519"
)

const (
	magic        = "petnames sync 1\n"
	hintDomain   = "petnames/sync/hint/v1\x00"
	keyDomain    = "petnames/sync/key/v1\x00"
	framesDomain = "petnames/sync/frames/v1\x00"

	saltSize   = 32
	hintSize   = 8
	sealedSize = 32 + 32 + 16 // encapsulated key, file key, tag
	maxSlots   = 256          // as many as a book has devices
	maxFrame   = 1 << 20      // bytes of ciphertext
	lastFrame  = 1 << 31      // the bit in the length of the last frame
	frameFill  = 256 << 10    // bytes of entries after which a frame is written
)

var (
	errForeign    = errors.New("it was not written by petnames")
	errNotForUs   = errors.New("it is for devices of another book")
	errIncomplete = errors.New("a part of it is missing: it may not have arrived yet")
	errDamaged    = errors.New("it is damaged")
)

// hintOf returns the hint by which a device finds its slot.
func hintOf(salt []byte, id ledger.DeviceID) []byte {
	h := sha256.New()
	h.Write([]byte(hintDomain))
	h.Write(salt)
	h.Write(id[:])
	return h.Sum(nil)[:hintSize]
}

func suite() (hpke.KDF, hpke.AEAD) { return hpke.HKDFSHA256(), hpke.AES256GCM() }

// framesAEAD returns the cipher of the frames of a file.
func framesAEAD(fileKey []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nil, framesDomain, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce returns the nonce of a frame.
func nonce(number uint64) []byte {
	b := make([]byte, 12)
	binary.BigEndian.PutUint64(b[4:], number)
	return b
}

// content writes a file of entries for some devices. It is an io.WriterTo.
type content struct {
	devices []ledger.DeviceID
	entries [][]byte
}

// WriteTo writes the file.
func (c content) WriteTo(w io.Writer) (int64, error) {
	fileKey, salt := make([]byte, 32), make([]byte, saltSize)
	_, _ = rand.Read(fileKey)
	_, _ = rand.Read(salt)
	out := &counter{w: bufio.NewWriter(w)}
	out.write([]byte(magic), salt, binary.BigEndian.AppendUint16(nil, uint16(len(c.devices))))
	for _, id := range c.devices {
		public, err := x25519.Public(id)
		if err != nil {
			return out.n, err
		}
		recipient, err := hpke.NewDHKEMPublicKey(public)
		if err != nil {
			return out.n, err
		}
		kdf, aead := suite()
		sealed, err := hpke.Seal(recipient, kdf, aead, append([]byte(keyDomain), salt...), fileKey)
		if err != nil {
			return out.n, err
		}
		out.write(hintOf(salt, id), sealed)
	}
	aead, err := framesAEAD(fileKey)
	if err != nil {
		return out.n, err
	}
	var plain []byte
	number := uint64(0)
	flush := func(last uint32) {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(plain)+aead.Overhead())|last)
		out.write(length, aead.Seal(nil, nonce(number), plain, length))
		number, plain = number+1, plain[:0]
	}
	for _, e := range c.entries {
		plain = bytestring.Append(plain, e)
		if len(plain) >= frameFill {
			flush(0)
		}
	}
	flush(lastFrame)
	if out.err == nil {
		out.err = out.w.Flush()
	}
	return out.n, out.err
}

// counter counts the bytes that it writes, until the first error.
type counter struct {
	w   *bufio.Writer
	n   int64
	err error
}

func (c *counter) write(parts ...[]byte) {
	for _, b := range parts {
		if c.err == nil {
			_, c.err = c.w.Write(b)
			c.n += int64(len(b))
		}
	}
}

// slots are the recipients of a file.
type slots struct {
	salt  []byte
	hints map[[hintSize]byte][]byte // hint → sealed file key
}

// names reports whether a file is for a device.
func (s slots) names(id ledger.DeviceID) bool {
	_, found := s.hints[[hintSize]byte(hintOf(s.salt, id))]
	return found
}

// readSlots reads the start of a file. r is at the frames then.
func readSlots(r io.Reader) (s slots, err error) {
	head := make([]byte, len(magic)+saltSize+2)
	switch n, err := io.ReadFull(r, head); {
	case n < len(magic) && magic[:n] == string(head[:n]) && cut(err):
		return s, errIncomplete
	case string(head[:min(n, len(magic))]) != magic:
		return s, errForeign
	case cut(err):
		return s, errIncomplete
	case err != nil:
		return s, err
	}
	s.salt = head[len(magic) : len(magic)+saltSize]
	count := int(binary.BigEndian.Uint16(head[len(magic)+saltSize:]))
	if count > maxSlots {
		return s, errDamaged
	}
	all := make([]byte, count*(hintSize+sealedSize))
	if _, err := io.ReadFull(r, all); cut(err) {
		return s, errIncomplete
	} else if err != nil {
		return s, err
	}
	s.hints = make(map[[hintSize]byte][]byte, count)
	for slot := range slices.Chunk(all, hintSize+sealedSize) {
		s.hints[[hintSize]byte(slot)] = slot[hintSize:]
	}
	return s, nil
}

// open returns the cipher of the frames of a file for a device.
func (s slots) open(id ledger.DeviceID, private *ecdh.PrivateKey) (cipher.AEAD, error) {
	sealed, found := s.hints[[hintSize]byte(hintOf(s.salt, id))]
	if !found {
		return nil, errNotForUs
	}
	recipient, err := hpke.NewDHKEMPrivateKey(private)
	if err != nil {
		return nil, err
	}
	kdf, aead := suite()
	fileKey, err := hpke.Open(recipient, kdf, aead, append([]byte(keyDomain), s.salt...), sealed)
	if err != nil || len(fileKey) != 32 {
		return nil, errDamaged
	}
	return framesAEAD(fileKey)
}

// cut reports whether a file ended too early.
func cut(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// read yields the entries of a file for a device, as far as they can be read, and the
// error after which nothing more can be; none at the end of a complete file. r is at the
// frames.
func (s slots) read(r io.Reader, id ledger.DeviceID, private *ecdh.PrivateKey) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		aead, err := s.open(id, private)
		if err != nil {
			yield(nil, err)
			return
		}
		length := make([]byte, 4)
		for number := uint64(0); ; number++ {
			plain, last, err := readFrame(r, aead, number, length)
			for err == nil && len(plain) > 0 {
				var entry []byte
				if entry, plain, err = bytestring.Cut(plain, maxFrame); err != nil {
					err = errDamaged
				} else if !yield(entry, nil) {
					return
				}
			}
			if err != nil {
				yield(nil, err)
			}
			if err != nil || last {
				return
			}
		}
	}
}

// readFrame reads the next frame. It uses length as a buffer.
func readFrame(r io.Reader, aead cipher.AEAD, number uint64, length []byte) (plain []byte, last bool, err error) {
	if _, err := io.ReadFull(r, length); cut(err) {
		return nil, false, errIncomplete
	} else if err != nil {
		return nil, false, err
	}
	n := binary.BigEndian.Uint32(length)
	last = n&lastFrame != 0
	if n &^= lastFrame; n > maxFrame || int(n) < aead.Overhead() {
		return nil, false, errDamaged
	}
	sealed := make([]byte, n)
	if _, err := io.ReadFull(r, sealed); cut(err) {
		return nil, false, errIncomplete
	} else if err != nil {
		return nil, false, err
	}
	if plain, err = aead.Open(sealed[:0], nonce(number), sealed, length); err != nil {
		return nil, false, errDamaged
	}
	return plain, last, nil
}
